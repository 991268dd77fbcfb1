//! The example configuration, as it stands but for its ports and the folders of
//! nginx's temporary files.

use std::fs;

use nginx_tests::client::{ask, get};
use nginx_tests::nginx::{Nginx, free_port};
use nginx_tests::place::{Place, module};
use nginx_tests::service::Service;
use nginx_tests::wait::wait_until;

const EXAMPLE: &str = include_str!("../../../crates/engine-ffi/examples/nginx/nginx.conf");
const FOLDERS: &str = "http {
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
";

#[test]
#[ignore = "cargo xtask nginx"]
fn the_example_works_as_it_stands() {
    let place = Place::new();
    let key = place.key(&["--limit", "100"]);
    let token = place.session("ada", &[]);
    fs::rename(place.path("store"), place.path("tokenkit")).expect("one file system");
    fs::create_dir(place.path("modules")).expect("a folder");
    let link = place.path("modules/ngx_http_tokenkit_module.so");
    std::os::unix::fs::symlink(module(), link).expect("a link");
    let service = Service::start();
    let port = free_port();
    let mut text = EXAMPLE.to_owned();
    for (from, to) in [
        ("http {\n", FOLDERS),
        ("127.0.0.1:3000", &format!("127.0.0.1:{}", service.port)),
        ("listen 8080", &format!("listen 127.0.0.1:{port}")),
    ] {
        assert_eq!(text.matches(from).count(), 1, "{from} in the example");
        text = text.replace(from, to);
    }
    let nginx = Nginx::start_with(&place, &text, port);

    let admitted = get(port, "/", &key.secret);
    assert_eq!(admitted.status, 200, "{}", nginx.log());
    assert_eq!(admitted.header("x-ratelimit-remaining"), Some("99"));
    assert!(
        admitted
            .body
            .contains(&format!("x-tokenkit-key: {}", key.id)),
        "{admitted:?}"
    );
    assert_eq!(
        get(port, "/orders/1", &key.secret).reason(),
        "bearer_required"
    );
    let head = format!(
        "api-key: {}\r\nauthorization: Bearer {token}\r\n",
        key.secret
    );
    let order = ask(port, "GET /orders/1", &head);
    assert_eq!(
        order.header("x-ratelimit-remaining"),
        Some("94"),
        "{order:?}"
    );
    assert_eq!(ask(port, "GET /health", "").status, 200);
    assert_eq!(ask(port, "GET /", "").reason(), "missing_key");
    wait_until("all is logged", || {
        let log = fs::read_to_string(place.path("access.log")).unwrap_or_default();
        log.contains(&format!("200 allowed {} shop ada 94", key.id))
            && log.contains("401 missing_key - - - -")
    });
    assert!(place.path("tokenkit/nginx.ledger").exists());
    assert!(nginx.stop().success());
}

//! What is wrong with a configuration is told by `nginx -t`, and keeps a
//! running nginx as it was; what goes wrong later denies.

use nginx_tests::client::{ask, get};
use nginx_tests::nginx::{Setup, is_root};
use nginx_tests::place::Place;
use nginx_tests::wait::wait_until;

/// A configuration with this in the `http` block, and a store.
fn with(http: &str) -> Setup {
    Setup::new("tokenkit on; root .;").http(http)
}

#[test]
#[ignore = "cargo xtask nginx"]
fn each_mistake_is_refused_and_named() {
    let place = Place::new();
    place.key(&[]);
    std::fs::write(place.path("scribble"), "no ledger".repeat(1000)).expect("a file");
    std::fs::create_dir(place.path("empty")).expect("a folder");
    // A store of another secret than its own.
    let stranger = Place::new();
    stranger.key(&[]);
    std::fs::rename(stranger.path("store"), place.path("strange")).expect("one file system");
    let no_store = |http: &str| Setup {
        http: http.into(),
        ..Setup::new("tokenkit on; root .;")
    };
    let location = |more: &str| Setup::new(format!("tokenkit on; {more} root .;"));
    for (setup, told) in [
        (no_store(""), "\"tokenkit on\" wants a \"tokenkit_store\""),
        (no_store("tokenkit_store nowhere;"), "there is no key store"),
        (no_store("tokenkit_store empty;"), "/empty/tokenkit.db\""),
        (
            no_store("tokenkit_store store secret=nowhere;"),
            "there is no server secret",
        ),
        (
            no_store("tokenkit_store store secret=scribble;"),
            "tokenkit: ",
        ),
        (
            no_store("tokenkit_store store password=x;"),
            "invalid parameter \"password=x\"",
        ),
        (
            with("tokenkit_store store;"),
            "\"tokenkit_store\" directive is duplicate",
        ),
        (
            no_store("tokenkit_store strange secret=store/tokenkit.secret;"),
            "secret",
        ),
        (with("tokenkit_ledger scribble;"), "scribble"),
        (with("tokenkit_ledger '';"), "wants a path"),
        (with("tokenkit_prefixes Tk_live;"), "prefixes: "),
        (with("tokenkit_origins https://a.test/path;"), "origins: "),
        (with("tokenkit_failures_exempt 192.0.2.0/33;"), "exempt: "),
        (with("tokenkit_failures threshold=0;"), "\"threshold=0\""),
        (
            with("tokenkit_failures threshold=5000;"),
            "threshold is 5000",
        ),
        (with("tokenkit_failures window=13s;"), "multiple of 12"),
        (with("tokenkit_failures window=soon;"), "\"window=soon\""),
        (with("tokenkit_failures patience=1;"), "\"patience=1\""),
        (
            with("tokenkit_failures block=1m; tokenkit_failures block=2m;"),
            "duplicate parameter \"block=2m\"",
        ),
        (
            with("tokenkit_max_keys 0;"),
            "\"0\" in \"tokenkit_max_keys\"",
        ),
        (
            with("tokenkit_max_keys 4294967295;"),
            "max_keys is 4294967295",
        ),
        (with("tokenkit_realm 'a\"b';"), "realm: "),
        (
            with("tokenkit_legacy_headers maybe;"),
            "it must be \"on\" or \"off\"",
        ),
        (with("tokenkit_preflight_max_age 0s;"), "from 1s to 1d"),
        (with("tokenkit_preflight_max_age 25h;"), "from 1s to 1d"),
        (location("tokenkit_cost -1;"), "\"-1\" in \"tokenkit_cost\""),
        (
            location("tokenkit_cost 4294967296;"),
            "one from 0 to 4294967295",
        ),
        (
            location("tokenkit_needs_user perhaps;"),
            "it must be \"on\" or \"off\"",
        ),
    ] {
        let (content, said) = setup.check(&place);
        assert!(!content, "{}\nis taken:\n{said}", setup.http);
        assert!(
            said.contains(told),
            "{}\n{told:?} is not in:\n{said}",
            setup.http
        );
    }
    let good = with(
        "tokenkit_ledger ledger;
         tokenkit_prefixes tk_live acme_live;
         tokenkit_origins https://a.test https://*.b.test;
         tokenkit_origins null;
         tokenkit_failures threshold=5 window=2m block=1h addresses=1000;
         tokenkit_failures_exempt 192.0.2.0/24 2001:db8::/32;
         tokenkit_max_keys 1000;
         tokenkit_realm shop;
         tokenkit_legacy_headers off;
         tokenkit_preflight_max_age 1h;",
    );
    let (content, said) = good.check(&place);
    assert!(content, "{said}");
    // To look at a configuration makes nothing.
    assert!(!place.path("ledger").exists());
}

#[test]
#[ignore = "cargo xtask nginx"]
fn a_bad_configuration_leaves_a_running_nginx_as_it_was() {
    let place = Place::new();
    let key = place.key(&[]);
    std::fs::write(place.path("file"), "x").expect("a file");
    let setup = with("");
    let nginx = setup.start(&place);
    assert_eq!(get(nginx.port, "/file", &key.secret).status, 200);
    let workers = nginx.workers();
    setup.clone().http("tokenkit_prefixes Bad;").rewrite(&place);
    nginx.begin_reload();
    wait_until("the mistake is logged", || {
        nginx.log().contains("prefixes: ")
    });
    assert_eq!(nginx.workers(), workers);
    assert_eq!(get(nginx.port, "/file", &key.secret).status, 200);
    // And a good one is taken: the ledger of before stays in use.
    setup.http("tokenkit_realm shop;").rewrite(&place);
    nginx.reload();
    let refused = ask(nginx.port, "GET /file", "");
    assert_eq!(
        refused.header("www-authenticate"),
        Some("api-key realm=\"shop\"")
    );
    assert_eq!(get(nginx.port, "/file", &key.secret).status, 200);
}

#[test]
#[ignore = "cargo xtask nginx"]
fn a_worker_without_an_engine_denies_and_says_why() {
    let place = Place::new();
    let key = place.key(&[]);
    std::fs::write(place.path("file"), "x").expect("a file");
    // The master cannot know that no file will be made in a folder of that name.
    let nginx = Setup::new(
        "root .; location / { tokenkit on; } location = /open { try_files /file =404; }",
    )
    .http("tokenkit_ledger missing/ledger;")
    .start(&place);
    for head in ["", &format!("api-key: {}\r\n", key.secret)] {
        let answer = ask(nginx.port, "GET /file", head);
        assert_eq!(
            (answer.status, &*answer.reason()),
            (503, "unusable"),
            "{answer:?}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let preflight = "origin: https://a.test\r\naccess-control-request-method: PUT\r\n";
    assert_eq!(ask(nginx.port, "OPTIONS /file", preflight).status, 503);
    assert_eq!(ask(nginx.port, "GET /open", "").status, 200);
    assert!(nginx.log().contains("[alert]"), "{}", nginx.log());
    assert!(
        nginx.log().contains("tokenkit denies all requests: "),
        "{}",
        nginx.log()
    );
}

#[test]
#[ignore = "cargo xtask nginx"]
fn one_process_without_a_master_does_it_too() {
    let place = Place::new();
    let key = place.key(&[]);
    std::fs::write(place.path("file"), "x").expect("a file");
    let setup = Setup {
        main: "master_process off;".into(),
        ..Setup::new("tokenkit on; root .;")
    };
    let nginx = setup.start(&place);
    assert_eq!(get(nginx.port, "/file", &key.secret).status, 200);
    assert_eq!(ask(nginx.port, "GET /file", "").status, 401);
    assert!(nginx.stop().success());
}

#[test]
#[ignore = "cargo xtask nginx"]
fn a_client_without_an_address_is_answered_as_the_proxy_does() {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    let place = Place::new();
    let key = place.key(&[]);
    let socket = place.path("socket");
    let nginx = Setup::new(format!(
        "listen unix:{}; tokenkit on; root .;",
        socket.display()
    ))
    .start(&place);
    let mut stream = UnixStream::connect(&socket).expect("nginx listens");
    let request = format!(
        "GET /nginx.conf HTTP/1.1\r\nhost: a\r\nconnection: close\r\napi-key: {}\r\n\r\n",
        key.secret
    );
    stream.write_all(request.as_bytes()).expect("nginx reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(
        answer.contains("\"reason\":\"no_client_address\""),
        "{answer}"
    );
    nginx.stop();
}

#[test]
#[ignore = "cargo xtask nginx"]
fn workers_are_told_when_they_may_not_read_the_store() {
    if !is_root() {
        eprintln!("left out: only root starts workers of another user");
        return;
    }
    let place = Place::new();
    let key = place.key(&[]);
    std::fs::write(place.path("file"), "x").expect("a file");
    let run = |program: &str, words: &[&str]| {
        let done = std::process::Command::new(program)
            .args(words)
            .current_dir(place.folder())
            .status();
        assert!(
            done.is_ok_and(|status| status.success()),
            "{program} {words:?}"
        );
    };
    let mut setup = with("tokenkit_ledger store/ledger;");
    setup.main = "user nobody nogroup;".into();
    run("chmod", &["755", "."]);
    let nginx = setup.start(&place);
    assert_eq!(get(nginx.port, "/file", &key.secret).status, 503);
    assert!(nginx.log().contains("Permission denied"), "{}", nginx.log());

    // Nothing has to be loaded but the workers.
    run("chown", &["-R", "nobody:nogroup", "store"]);
    nginx.reload();
    wait_until("the new workers answer", || {
        get(nginx.port, "/file", &key.secret).status == 200
    });
    assert!(nginx.stop().success());
}

//! The pages show a secret where it is made and nowhere else: not on another
//! page, not in the log, not in a file. Invariant 6.

mod pages_support;
mod serve_support;

use pages_support::{Visitor, first_token, hidden, secret_in};
use serve_support::Server;
use serve_support::admin::Admin;
use tests::canaries::Canaries;

/// Files that hold what is looked for, and digests where they are meant to be.
const OURS: [&str; 5] = [
    "tokenkit.secret",
    "tokenkit.toml",
    "tokenkit.db",
    "tokenkit.db-wal",
    "tokenkit.db-shm",
];

#[test]
fn the_pages_show_a_secret_where_it_is_made_and_nowhere_else() {
    let server = Server::start("", "level = \"trace\"\n[failures]\nthreshold = 4095\n");
    let secret = store::read_secret_file(&server.path("data/tokenkit.secret")).unwrap();
    let admin_token = first_token(&server);
    let visitor = Visitor::with(&server, &admin_token);

    let (key, id) = visitor.key(&[("name", "till")]);
    let rotation = visitor.page(&format!("/keys/{id}/rotate"));
    let number = |name: &str| hidden(&rotation, name);
    let (once, revision) = (number("once"), number("revision"));
    let fields = [
        ("once", once.as_str()),
        ("revision", &revision),
        ("overlap", "3600"),
    ];
    let rotated = visitor.post(&format!("/keys/{id}/rotate"), &fields);
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    let successor = secret_in(&rotated.text(), "tk_live_");
    let once = hidden(&visitor.page("/tokens"), "once");
    let fields = [
        ("once", once.as_str()),
        ("name", "n"),
        ("scope", "read"),
        ("expires", ""),
    ];
    let made = visitor.post("/tokens", &fields);
    assert_eq!(made.status, 200, "{}", made.text());
    let reader = secret_in(&made.text(), "tk_admin_");
    let user = serde_json::json!({ "project": "shop", "user": "u" });
    let session = Admin::first(&server).make("/v1/sessions", &user);
    let session = session["token"].as_str().unwrap();

    let mut canaries = Canaries::default();
    canaries.add("the server secret", secret.expose());
    canaries.token("a session's token", session, Some(&secret));
    let keys = [
        ("the first admin token", &admin_token),
        ("a key", &key),
        ("its successor", &successor),
        ("an admin token", &reader),
    ];
    for (name, key) in keys {
        canaries.key(name, key, Some(&secret));
    }

    let mut paths: Vec<String> = [
        "/",
        "/overview/live",
        "/blocked",
        "/keys",
        "/keys/new",
        "/projects",
        "/projects/shop",
        "/sessions",
        "/sessions?project=shop&user=u",
        "/tokens",
        "/audit",
    ]
    .map(String::from)
    .to_vec();
    for key in [&key, &successor] {
        for more in ["", "/change", "/rotate", "/revoke"] {
            paths.push(format!("/keys/{}{more}", &key["tk_live_".len()..][..10]));
        }
    }
    for path in &paths {
        canaries.absent(path, visitor.page(path).as_bytes());
    }
    // Whoever puts one where it does not belong is not told it in an error.
    let texts = keys.map(|(_, key)| key.as_str());
    for shown in texts.into_iter().chain([session]) {
        let wrong = [("address", shown), ("token", shown)];
        let errors = [
            visitor.get(&format!("/keys/{shown}")),
            visitor.get(&format!("/keys/{shown}/rotate")),
            visitor.get(&format!("/projects/{shown}")),
            visitor.get(&format!("/tokens/{shown}/revoke")),
            visitor.get(&format!("/{shown}?{shown}")),
            visitor.post(&format!("/sessions/{shown}/end"), &[]),
            visitor.post("/blocked/unblock", &wrong),
            Visitor::stranger(&server).post("/sign-in", &wrong[1..]),
        ];
        for answer in errors {
            let is_signed_in = answer.status == 303 && shown.starts_with("tk_admin_");
            assert!(is_signed_in || answer.status >= 400, "{answer:?}");
            canaries.absent("an error", format!("{answer:?}").as_bytes());
            canaries.absent("an error", &answer.body);
        }
        // What was typed stays in its field, and goes nowhere else.
        for path in [
            format!("/keys?q={shown}&project={shown}&state={shown}&after={shown}"),
            format!("/sessions?project={shown}&user={shown}&after={shown}"),
            format!("/audit?object={shown}&actor={shown}&before={shown}"),
            format!("/blocked?address={shown}"),
            format!("/sign-in?to=/{shown}"),
        ] {
            visitor.get(&path);
        }
        let all = ["name", "project", "origins", "ips", "expires", "addresses"];
        let fields = all.map(|name| (name, shown));
        for path in ["/keys", "/tokens", "/blocked/exempt"] {
            assert_eq!(visitor.post(path, &fields).status, 422, "{path}");
        }
    }
    canaries.absent("the metrics", server.admin("/metrics").text().as_bytes());
    let log = server.log();
    assert!(log.contains("\"level\":\"DEBUG\""), "it tells all it can");
    canaries.absent("the log", log.as_bytes());
    canaries.absent_below(&server.path("data"), &OURS);
}

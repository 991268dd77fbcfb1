//! Keys, tokens and the server secret go through all that the program does;
//! then all that came out of it, and every file, is searched for them: in
//! plain, in hexadecimal, in base64, as numbers, and by their digests.
//!
//! Invariant 6: no secret and no digest is ever shown.

mod cli_support;
mod serve_support;

use std::sync::{Arc, Mutex};

use cli_support::{Place, json};
use engine::{SecretKey, SessionToken};
use serve_support::admin::Admin;
use serve_support::collector::Collector;
use serve_support::frames::{END_HEADERS, END_STREAM, Frames, HEADERS, frame, literal, request};
use serve_support::upstream::Upstream;
use serve_support::{Server, wait_until};
use tests::canaries::Canaries;

/// Files that hold what others must not: the secret itself, the settings and
/// rows that a test wrote.
const OURS: [&str; 6] = [
    "tokenkit.secret",
    "tokenkit.toml",
    "bad.toml",
    "keys.csv",
    "bad.csv",
    "bad.jsonl",
];
/// Those that hold digests besides.
const STORE: [&str; 3] = ["tokenkit.db", "tokenkit.db-wal", "tokenkit.db-shm"];

/// A key of nobody's.
fn raw() -> String {
    let key = SecretKey::generate(&"tk_live".parse().unwrap()).unwrap();
    key.expose().to_owned()
}

/// The same with another check: malformed.
fn mistyped(key: &str) -> String {
    let last = if key.ends_with('0') { '1' } else { '0' };
    format!("{}{last}", &key[..key.len() - 1])
}

#[test]
fn a_server_at_its_most_talkative_shows_nothing() {
    let upstream_heads = Arc::new(Mutex::new(String::new()));
    let heads = Arc::clone(&upstream_heads);
    let upstream = Upstream::start(move |asked| {
        heads.lock().unwrap().push_str(&asked.head);
        asked.answer("200 OK", "", "");
        true
    });
    let collector = Collector::start();
    let server = Server::start(
        &upstream.setting(),
        &format!(
            "level = \"trace\"\n[http]\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
             [failures]\nthreshold = 4095\n[[routes]]\npath = \"/me/**\"\nneeds_user = true\n{}",
            collector.settings("")
        ),
    );
    let secret = store::read_secret_file(&server.path("data/tokenkit.secret")).unwrap();
    let minted = server.json(&["key", "create", "--project", "p1"]);
    let minted = minted["key"].as_str().unwrap().to_owned();
    let session = server.json(&["session", "create", "--project", "default", "--user", "u"]);
    let token = session["token"].as_str().unwrap().to_owned();
    let stranger = SessionToken::generate().unwrap().expose().to_owned();
    let (imported, unknown, other) = (raw(), raw(), raw());
    std::fs::write(
        server.path("keys.csv"),
        format!("key,project\n{imported},p2\n"),
    )
    .unwrap();
    let said = server.command(&["key", "import", "keys.csv"]);
    let revoked = raw();
    std::fs::write(
        server.path("keys.csv"),
        format!("key,project,state\n{revoked},p2,revoked\n"),
    )
    .unwrap();
    server.command(&["key", "import", "keys.csv"]);

    let mut canaries = Canaries::default();
    canaries.add("the server secret", secret.expose());
    let first = server.key().to_owned();
    let keys = [
        ("the first key", &first),
        ("a minted key", &minted),
        ("an imported key", &imported),
        ("a revoked key", &revoked),
        ("an unknown key", &unknown),
        ("a second unknown key", &other),
    ];
    // In files there are digests, where they are meant to be.
    let mut undigested = Canaries::default();
    undigested.add("the server secret", secret.expose());
    for (name, key) in keys {
        canaries.key(name, key, Some(&secret));
        undigested.key(name, key, None);
    }
    for (name, token) in [("a token", &token), ("a stranger's token", &stranger)] {
        canaries.token(name, token, Some(&secret));
        undigested.token(name, token, None);
    }

    let mut answers = Vec::new();
    let mut ask = |line: &str, head: &str| {
        let answer = server.ask(line, head);
        answers.push(format!(
            "{answer:?}\n{}",
            String::from_utf8_lossy(&answer.body)
        ));
        answer.status
    };
    server.wait_for_log("\"keys\":");
    for (_, key) in keys {
        let wrong = mistyped(key);
        for head in [
            format!("api-key: {key}\r\n"),
            format!("api-key: {key}\r\nauthorization: Bearer {token}\r\n"),
            format!("api-key: {key}\r\nauthorization: Bearer {stranger}\r\n"),
            format!("api-key: {wrong}\r\n"),
            format!("api-key: {key}\r\napi-key: {key}\r\n"),
            format!("api-key: {key}, {key}\r\n"),
            format!("api_key: {key}\r\nauthorization: Bearer {key}\r\n"),
            format!("api-key: {key}\r\nconnection: api-key\r\n"),
            format!("api-key: \"{key}\"\r\nte: trailers\r\n"),
            format!("x-forwarded-for: {key}\r\napi-key: {key}\r\n"),
            format!("api-key: {key}\r\nexpect: {key}\r\n"),
        ] {
            for path in ["/", "/me/x"] {
                ask(&format!("GET {path}"), &head);
            }
        }
        let about = format!("api-key: {key}\r\nx-forwarded-uri: /a?key={key}\r\n");
        ask("GET /.tokenkit/authorize", &about);
        // No path that a client is told to send one by, but it may.
        ask(&format!("GET /?api-key={key}"), "");
        ask(
            &format!("GET /{key}/x?{key}"),
            &format!("api-key: {key}\r\n"),
        );
        ask(
            "GET /.tokenkit/authorize",
            &format!("api-key: {key}\r\nx-forwarded-uri: /{key}?{key}\r\n"),
        );
        // What is no request at all.
        ask(&format!("{key} /"), "");
        ask("GET /", &format!("api key {key}\r\n"));
        ask("GET /", &format!("api-key: {key}\u{1}\r\n"));
        ask(
            "POST /",
            &format!("api-key: {key}\r\ncontent-length: {key}\r\n"),
        );
    }
    assert_eq!(ask("GET /", &format!("api-key: {imported}\r\n")), 200);
    assert_eq!(ask("GET /", &format!("api-key: {revoked}\r\n")), 401);
    let user = format!("api-key: {first}\r\nauthorization: Bearer {token}\r\n");
    assert_eq!(ask("GET /me/x", &user), 200);

    // HTTP/2, to be remembered by both sides and not.
    let mut frames = Frames::connect(server.listen);
    for (number, (_, key)) in keys.iter().enumerate() {
        let bearer = format!("Bearer {token}");
        let mut block = request(
            "GET",
            "/me/http2",
            &[("api-key", key), ("authorization", &bearer)],
        );
        literal(&mut block, 0x40, "x-more", key);
        let id = u32::try_from(2 * number + 1).unwrap();
        frames
            .send(&frame(HEADERS, END_HEADERS | END_STREAM, id, &block))
            .unwrap();
    }
    let logged = || server.log().matches(r#""path":"/me/http2""#).count();
    wait_until("all are answered", || logged() == keys.len());
    frames.finish();

    let metrics = server.admin("/metrics").text();
    for path in ["/readyz", "/healthz", &format!("/{first}?{token}")] {
        let answer = server.admin(path);
        canaries.absent(path, format!("{answer:?}").as_bytes());
        canaries.absent(path, &answer.body);
    }
    // A reload that is refused.
    server.rewrite_config("threads = \"many\"", &format!("level = \"{unknown}\""));
    server.signal("HUP");
    server.wait_for_log("tokenkit.toml");

    canaries.absent("the output of an import", &said.stdout);
    canaries.absent("the output of an import", &said.stderr);
    canaries.absent("an answer", answers.join("\n").as_bytes());
    canaries.absent("the metrics", metrics.as_bytes());
    // Those of HTTP/2 came last.
    let spans = || serde_json::to_string(&collector.spans()).unwrap();
    wait_until("all spans are sent", || {
        spans().matches("/me/http2").count() == keys.len()
    });
    canaries.absent("a span", spans().as_bytes());
    // The path is the client's own, with whatever it put there.
    let heads = upstream_heads.lock().unwrap().clone();
    let (lines, others): (Vec<_>, Vec<_>) = heads.lines().partition(|line| line.contains(" HTTP/"));
    assert!(lines.len() > 10, "the service behind was asked");
    let ours: Vec<_> = others
        .into_iter()
        .filter(|line| {
            // So are these: only the key and what says who it is are ours.
            let is = |name| line.to_ascii_lowercase().starts_with(name);
            !is("authorization:")
                && !is("x-more:")
                && !is("x-forwarded-")
                && !is("expect:")
                && !is("api_key:")
        })
        .collect();
    canaries.absent(
        "what goes to the service behind",
        ours.join("\n").as_bytes(),
    );
    let log = server.log();
    assert!(
        log.contains("\"level\":\"TRACE\""),
        "the log tells all it can"
    );
    assert!(
        log.contains(r#""reason":"unknown_key""#),
        "requests are logged"
    );
    canaries.absent("the log", log.as_bytes());
    let greeting = server.greeting.clone();
    assert!(greeting.contains(&first), "shown to whoever starts it");
    canaries.absent("the greeting", greeting.replace(&first, "").as_bytes());
    let admin = Admin::first(&server).token;
    assert!(!log.contains(&admin["tk_admin_".len() + 10..]));

    // While it runs there is a log beside the database, and after kill -9.
    assert!(server.path("data/tokenkit.db-wal").exists());
    let data = server.path("data");
    assert!(undigested.absent_below(&data, &OURS) >= 2);
    let but: Vec<&str> = OURS.iter().chain(&STORE).copied().collect();
    canaries.absent_below(&data, &but);
    let folder = server.kill();
    undigested.absent_below(folder.path(), &OURS);
    canaries.absent_below(folder.path(), &but);
}

#[test]
fn the_admin_address_shows_a_secret_where_it_is_made_and_nowhere_else() {
    let server = Server::start("", "level = \"trace\"\n[failures]\nthreshold = 4095\n");
    let secret = store::read_secret_file(&server.path("data/tokenkit.secret")).unwrap();
    let admin = Admin::first(&server);
    let wanted = serde_json::json!({ "project": "p", "name": "n" });
    let once = "idempotency-key: once\r\n";
    let key = admin.send("POST /v1/keys", once, &wanted).json();
    let again = admin.send("POST /v1/keys", once, &wanted).json();
    assert_eq!(key["key"], again["key"]);
    let id = key["id"].as_str().unwrap();
    let rotated = admin.make(&format!("/v1/keys/{id}/rotate"), &serde_json::json!({}));
    let user = serde_json::json!({ "project": "p", "user": "u" });
    let session = admin.make("/v1/sessions", &user);
    let named = serde_json::json!({ "name": "n", "scope": "read" });
    let other = admin.make("/v1/tokens", &named);
    let text = |value: &serde_json::Value, name: &str| value[name].as_str().unwrap().to_owned();
    let keys = [
        ("the first admin token", admin.token.clone()),
        ("a key", text(&key, "key")),
        ("a rotated key", text(&rotated, "key")),
        ("an admin token", text(&other, "token")),
    ];
    let token = text(&session, "token");

    let mut canaries = Canaries::default();
    canaries.add("the server secret", secret.expose());
    canaries.token("a session's token", &token, Some(&secret));
    let mut undigested = Canaries::default();
    undigested.add("the server secret", secret.expose());
    undigested.token("a session's token", &token, None);
    for (name, key) in &keys {
        canaries.key(name, key, Some(&secret));
        undigested.key(name, key, None);
    }
    let mut answers = Vec::new();
    for path in [
        "keys", "sessions", "tokens", "audit", "projects", "usage", "blocked", "overview",
    ] {
        answers.push(admin.get(&format!("/v1/{path}")));
    }
    answers.push(admin.get(&format!("/v1/keys/{id}")));
    let all = keys.iter().map(|(_, key)| key).chain([&token]);
    for shown in all {
        for path in [
            format!("/v1/keys/{shown}"),
            format!("/v1/projects/{shown}"),
            format!("/v1/keys?search={shown}"),
            format!("/v1/keys?cursor={shown}&project=%20{shown}&{shown}=1"),
            format!("/v1/usage?key={shown}&format={shown}"),
            format!("/{shown}?{shown}"),
        ] {
            answers.push(admin.get(&path));
        }
        let bad = serde_json::json!({ "project": format!(" {shown}"), "expires_at": shown,
            "ips": [shown], "origins": [shown], "prefix": shown, "hourly_limit": shown, (shown): 1 });
        answers.push(admin.send("POST /v1/keys", "", &bad));
        answers.push(admin.ask(
            "GET /v1/keys",
            &format!("if-none-match: {shown}\r\norigin: {shown}\r\n"),
            "",
        ));
        let wrong = Admin::with(&server, &mistyped(shown));
        answers.push(wrong.get("/v1/keys"));
        let repeated = Admin::with(
            &server,
            &format!("{shown}\r\nauthorization: Bearer {shown}"),
        );
        answers.push(repeated.get("/v1/keys"));
    }
    for answer in &answers {
        canaries.absent("an answer", format!("{answer:?}").as_bytes());
        canaries.absent("an answer", &answer.body);
    }
    canaries.absent("the metrics", server.admin("/metrics").text().as_bytes());
    canaries.absent("the log", server.log().as_bytes());
    let data = server.path("data");
    assert!(undigested.absent_below(&data, &OURS) >= 2);
    let but: Vec<&str> = OURS.iter().chain(&STORE).copied().collect();
    canaries.absent_below(&data, &but);
}

#[test]
fn no_command_shows_what_it_is_given() {
    let place = Place::new();
    let (id, key) = place.key();
    let data = place.path("tokenkit-data");
    let secret = store::read_secret_file(&data.join("tokenkit.secret")).unwrap();
    let token = json(&place.ok(&[
        "session",
        "create",
        "--project",
        "p1",
        "--user",
        "u",
        "--json",
    ]));
    let token = token["token"].as_str().unwrap().to_owned();
    let (unknown, imported) = (raw(), raw());
    let mut canaries = Canaries::default();
    canaries.add("the server secret", secret.expose());
    for (name, key) in [
        ("a key", &key),
        ("an unknown key", &unknown),
        ("an imported key", &imported),
    ] {
        canaries.key(name, key, Some(&secret));
    }
    canaries.token("a token", &token, Some(&secret));
    let secret_hex: String = secret
        .expose()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let digest: String = secret
        .digest_key(key.as_bytes())
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();

    place.write("keys.csv", format!("key,project\n{imported},p1\n"));
    for arguments in [
        &["key", "import", "keys.csv"][..],
        &["key", "list"],
        &["key", "list", "--json"],
        &["key", "show", &id],
        &["key", "show", &id, "--json"],
        &["key", "export"],
        &["key", "export", "--format", "jsonl"],
        &["key", "set", &id, "--limit", "5", "--json"],
        &["key", "disable", &id, "--json"],
        &["key", "enable", &id],
        &["session", "list"],
        &["session", "list", "--json"],
    ] {
        canaries.absent(&format!("{arguments:?}"), place.ok(arguments).as_bytes());
    }

    // Every place where a value may be given, given what should not be there.
    for value in [&key, &unknown, &token, &secret_hex, &digest] {
        let set = |name: &str| format!("--set={name}={value}");
        let refused: Vec<Vec<String>> = [
            vec![value.as_str()],
            vec!["key", value],
            vec!["key", "show", value],
            vec!["key", "revoke", value],
            vec!["key", "set", value, "--limit", "1"],
            vec!["key", "set", &id, "--limit", value],
            vec!["key", "set", &id, "--expires", value],
            vec!["key", "set", &id, "--origin", value],
            vec!["key", "set", &id, "--ip", value],
            vec!["key", "set", &id, "--require-origin", value],
            vec!["key", "create", "--project", "p", "--prefix", value],
            vec!["key", "create", "--project", "p", "--limit", value],
            vec!["key", "create", value],
            vec!["key", "list", "--state", value],
            vec!["key", "import", value],
            vec!["key", "import", "keys.csv", "--format", value],
            vec!["key", "export", "--format", value],
            vec!["session", "end", value],
            vec![
                "session",
                "create",
                "--project",
                "p",
                "--user",
                "u",
                "--expires",
                value,
            ],
            vec!["session", value],
            vec!["ledger", value],
            vec!["ledger", "show", "--ledger", value],
            vec!["replay", value],
            vec!["serve", "--listen", value],
            vec!["serve", "--threads", value],
            vec!["serve", "--upstream", value],
            vec!["serve", "--log-level", value],
            vec!["--config", value, "key", "list"],
            vec!["--data-dir", value, "key", "show", "x"],
            vec!["--set", value, "key", "list"],
            vec![&set("server.threads"), "serve"],
            vec![&set("keys.prefixes"), "key", "list"],
            vec![&set("store.secret_file"), "key", "list"],
            vec![&set("no.such"), "key", "list"],
            vec![&format!("--set={value}=1"), "key", "list"],
            vec![&format!("--{value}"), "key", "list"],
        ]
        .into_iter()
        .map(|arguments| arguments.into_iter().map(str::to_owned).collect())
        .collect();
        for arguments in refused {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let ran = place.run(&arguments);
            assert_ne!(ran.code, Some(0), "{arguments:?}: {ran:?}");
            canaries.absent("an output", ran.out.as_bytes());
            canaries.absent("an error", ran.err.as_bytes());
        }
        for text in [
            format!("[server]\nthreads = \"{value}\"\n"),
            format!("[{value}]\nx = 1\n"),
            format!("[server]\n{value} = 1\n"),
            format!("[store]\nsecret_file = \"{value}\"\n"),
            format!("[log]\nlevel = \"{value}\n"),
            format!("[failures]\nexempt = [\"{value}\"]\n"),
            format!("[http]\ntrusted_proxies = [\"{value}\"]\n"),
            format!("[[routes]]\npath = \"{value}\"\n"),
            format!("[cors]\norigins = [\"{value}\"]\n"),
            value.clone(),
        ] {
            place.write("bad.toml", text);
            let ran = place.run(&["--config", "bad.toml", "key", "list"]);
            assert_ne!(ran.code, Some(0), "{ran:?}");
            canaries.absent("an error about the settings", ran.err.as_bytes());
        }
        let mut command = place.command(&["key", "list"]);
        let ran = command
            .env("TOKENKIT_SERVER_THREADS", value)
            .output()
            .unwrap();
        assert!(!ran.status.success());
        canaries.absent("an error about a variable", &ran.stderr);

        for (name, text) in [
            (
                "bad.csv",
                format!("key,project\n{value},p\n{value},p\nx,{value}\n"),
            ),
            (
                "bad.csv",
                format!("key,project,hourly_limit\n{unknown},p,{value}\n"),
            ),
            ("bad.csv", format!("key,project,{value}\n{unknown},p,1\n")),
            (
                "bad.csv",
                format!("id,prefix,digest,project\n{id},tk_live,{value}0,p\n"),
            ),
            (
                "bad.jsonl",
                format!("{{\"key\":\"{value}\"}}\n{{\"key\":{{\"{value}\":1}}}}\n"),
            ),
            (
                "bad.jsonl",
                format!("{{\"{value}\":\"{unknown}\"}}\n{value}\n\"{value}\"\n"),
            ),
        ] {
            place.write(name, text);
            let ran = place.run(&["key", "import", name]);
            assert_ne!(ran.code, Some(0), "{ran:?}");
            canaries.absent("the output of an import", ran.out.as_bytes());
            canaries.absent("the errors of an import", ran.err.as_bytes());
        }
        let ran = place.run_with(&["key", "revoke", "-"], &format!("{value}\n"));
        assert_ne!(ran.code, Some(0), "{ran:?}");
        canaries.absent("an error about standard input", ran.err.as_bytes());
    }
    let ran = place.run_with(&["session", "end", "-"], &format!("{token}x\n"));
    assert_ne!(ran.code, Some(0), "{ran:?}");
    canaries.absent("an error about standard input", ran.err.as_bytes());
    let ran = place.run_with(&["session", "end", "-"], &token);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    canaries.absent("the output of an end", ran.out.as_bytes());

    // Where they are meant to be shown, they are: the search can find.
    let shown = place.ok(&["key", "export", "--with-digests"]);
    assert!(canaries.found_in(shown.as_bytes()).is_some());
    let own = std::fs::read(data.join("tokenkit.secret")).unwrap();
    assert_eq!(canaries.found_in(&own), Some("the server secret (hex)"));
}

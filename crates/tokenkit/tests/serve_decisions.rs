//! The built server, without a service behind: first start, every status on
//! the wire, connections that don't behave, changes from the command line,
//! the admin address, reload.

mod serve_support;

use std::time::{Duration, Instant};

use serve_support::http::Client;
use serve_support::{Server, command, pause, wait_until, write_config};

#[test]
fn only_the_first_start_shows_a_key() {
    let server = Server::start("", "");
    let key = server.key().to_owned();
    let curl = format!("curl -H 'api-key: {key}' http://{}/", server.listen);
    assert!(server.greeting.contains(&curl), "{}", server.greeting);

    let answer = server.get("/some/path?token=hidden", "");
    assert_eq!(answer.status, 200);
    let told = answer.json();
    assert_eq!(told["allowed"], true);
    assert_eq!(told["key"], server.key_id());
    assert_eq!(told["project"], "default");
    assert_eq!(told["user"], serde_json::Value::Null);
    assert_eq!(told["limit"], 1000);
    assert_eq!(told["remaining"], 999);
    assert!((1..=3600).contains(&told["reset"].as_u64().unwrap()));
    assert_eq!(told["path"], "/some/path");
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("999"));

    // Neither the key nor a query is ever logged.
    server.wait_for_log("/some/path");
    let log = server.log();
    assert!(log.contains(server.key_id()), "{log}");
    assert!(
        !log.contains(&key["tk_live_".len() + 10..]) && !log.contains("hidden"),
        "{log}"
    );

    let again = Server::start_in(server.stop(), "", "");
    assert_eq!(again.first_key, None);
    assert_eq!(again.greeting, "");
    let answer = again.ask("GET /", &format!("api-key: {key}\r\n"));
    assert_eq!(answer.status, 200);
}

#[test]
fn every_status_is_seen_on_the_wire() {
    let routes = "[[routes]]\npath = \"/me/**\"\nneeds_user = true\n\
                  [[routes]]\npath = \"/dear\"\ncost = 999\n\
                  [failures]\nthreshold = 3\n";
    let server = Server::start("", routes);
    let refused = |head: &str, path: &str| {
        let answer = server.ask(&format!("GET {path}"), head);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        (answer.status, answer.reason())
    };
    let with = |key: &str| format!("api-key: {key}\r\n");
    let key = with(server.key());

    assert_eq!(refused("", "/"), (401, "missing_key".into()));
    assert_eq!(refused(&key, "/me/x"), (403, "bearer_required".into()));
    let bad = format!("{key}authorization: Bearer nonsense\r\n");
    assert_eq!(refused(&bad, "/me/x"), (403, "bearer_invalid".into()));
    assert_eq!(server.get("/", "").status, 200);
    assert_eq!(server.get("/dear", "").status, 200);
    let limited = server.get("/dear", "");
    assert_eq!(
        (limited.status, limited.reason()),
        (429, "hourly_limit".into())
    );
    let reset = limited
        .header("x-ratelimit-reset")
        .unwrap()
        .parse::<u64>()
        .unwrap();
    let wait = limited
        .header("retry-after")
        .unwrap()
        .parse::<u64>()
        .unwrap();
    assert!((1..=3600).contains(&wait) && reset > wait);

    let twice = format!("{key}{key}");
    assert_eq!(refused(&twice, "/"), (401, "malformed_key".into()));
    assert_eq!(
        refused(&with("tk_live_x"), "/"),
        (401, "malformed_key".into())
    );
    let challenged = server.ask("GET /", &with("x"));
    assert_eq!(
        challenged.header("www-authenticate"),
        Some("api-key realm=\"tokenkit\"")
    );
    let blocked = server.get("/", "");
    assert_eq!(
        (blocked.status, blocked.reason()),
        (429, "ip_blocked".into())
    );
    assert_eq!(blocked.header("ratelimit"), None);
    // A missing key is quiet, whatever else is the case.
    assert_eq!(refused("", "/"), (401, "missing_key".into()));

    let decided = |outcome, reason| {
        let labels = format!("{{outcome=\"{outcome}\",reason=\"{reason}\"}}");
        server.metric(&format!("tokenkit_decisions_total{labels}"))
    };
    assert_eq!(decided("allowed", "allowed"), 2);
    assert_eq!(decided("refused", "missing_key"), 2);
    assert_eq!(decided("refused", "malformed_key"), 3);
    assert_eq!(decided("refused", "ip_blocked"), 1);
    assert_eq!(server.metric("tokenkit_blocked_addresses"), 1);
    assert!(!server.admin("/metrics").text().contains(server.key_id()));
}

#[test]
fn heads_and_preflights_have_no_body() {
    let server = Server::start("", "[cors]\norigins = [\"https://app.test\"]\n");
    let mut client = server.connect();
    let refused = client.ask("HEAD /", "");
    assert_eq!(refused.status, 401);
    assert!(
        refused
            .header("content-length")
            .unwrap()
            .parse::<usize>()
            .unwrap()
            > 0
    );
    let allowed = client.ask("HEAD /", &format!("api-key: {}\r\n", server.key()));
    assert_eq!(allowed.status, 200);
    let asked = "origin: https://app.test\r\naccess-control-request-method: PUT\r\n";
    let preflight = client.ask("OPTIONS /x", asked);
    assert_eq!(preflight.status, 204);
    assert_eq!(
        preflight.header("access-control-allow-origin"),
        Some("https://app.test")
    );
    assert_eq!(server.metric("tokenkit_preflights_total"), 1);
    // The connection lived through all of it.
    assert_eq!(client.ask("GET /", "").status, 401);
}

#[test]
fn what_is_no_good_request_is_refused_and_counted_nowhere() {
    let server = Server::start("max_header_bytes = 8192", "");
    let key = format!("api-key: {}\r\n", server.key());
    let answer = server.ask("CONNECT api.test:443", &key);
    assert_eq!(
        (answer.status, answer.reason()),
        (405, "method_not_allowed".into())
    );
    let answer = server.ask("GET /", &format!("host: other.test\r\n{key}"));
    assert_eq!((answer.status, answer.reason()), (400, "bad_host".into()));
    let answer = server.ask("GET http://api.test@other.test/", &key);
    assert_eq!((answer.status, answer.reason()), (400, "bad_host".into()));
    let mut client = server.connect();
    client.send(format!("GET / HTTP/1.1\r\n{key}\r\n"));
    assert_eq!(client.answer(false).status, 400);
    for path in ["/.tokenkit/", "/.tokenkit/other", "/.tokenkit/authorize/"] {
        let answer = server.get(path, "");
        assert_eq!((answer.status, answer.reason()), (404, "not_found".into()));
    }
    let long = format!("{key}x-long: {}\r\n", "x".repeat(9000));
    assert_eq!(server.ask("GET /", &long).status, 431);
    let mut client = server.connect();
    client.send("rubbish\r\n\r\n");
    assert_eq!(client.answer(false).status, 400);
    let answer = server.get("/", "");
    assert_eq!(
        answer.json()["remaining"],
        999,
        "nothing of this was charged"
    );
}

#[test]
fn a_refused_upload_gets_its_answer() {
    let server = Server::start("", "");
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\n");
    // More than any buffer between the two holds, so that much of it is unread
    // when the server closes.
    let stream = client.stream.get_ref().try_clone().unwrap();
    let upload = std::thread::spawn(move || {
        let mut stream = stream;
        let piece = vec![b'x'; 1 << 20];
        while std::io::Write::write_all(&mut stream, &piece).is_ok() {}
    });
    pause(Duration::from_millis(200));
    let answer = client.answer(false);
    assert_eq!(
        (answer.status, answer.reason()),
        (401, "missing_key".into())
    );
    drop(client);
    upload.join().unwrap();
}

#[test]
fn connections_get_their_time_and_no_more() {
    let server = Server::start("header_timeout_s = 1\nidle_timeout_s = 6", "");
    let begun = Instant::now();
    let mut silent = server.connect();
    let mut slow = server.connect();
    let mut idle = server.connect();
    let mut dripping = server.connect();
    slow.send("GET / HTTP/1.1\r\nhost");
    assert_eq!(idle.ask("GET /", "").status, 401);
    assert_eq!(dripping.ask("GET /", "").status, 401);
    assert!(silent.is_closed());
    assert!(slow.is_closed());
    let lived = begun.elapsed();
    assert!(lived >= Duration::from_millis(900), "{lived:?}");
    // A later head has the header timeout too, however much of it comes.
    pause(Duration::from_millis(1000));
    dripping.send("GET / HTTP/1.1\r\n");
    let dripped = Instant::now();
    assert!(dripping.is_closed());
    assert!(
        dripped.elapsed() < Duration::from_secs(4),
        "{:?}",
        dripped.elapsed()
    );
    // Between requests there is more time than for a head.
    assert_eq!(idle.ask("GET /", "").status, 401);
    wait_until("all are closed", || {
        server.metric("tokenkit_http_connections") == 0
    });
    assert!(idle.is_closed());
}

#[cfg(target_os = "linux")]
#[test]
fn silent_connections_are_probed() {
    let server = Server::start("", "");
    let client = server.connect();
    wait_until("the connection is taken", || {
        server.metric("tokenkit_http_connections") == 1
    });
    let port = client.stream.get_ref().local_addr().unwrap().port();
    // Local address, peer, ..., and the timer: 02 is that of the probes.
    let ends = format!(
        ": 0100007F:{:04X} 0100007F:{port:04X} 01 ",
        server.listen.port()
    );
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let socket = sockets.lines().find(|line| line.contains(&ends)).unwrap();
    let timer = socket.split_whitespace().nth(5).unwrap();
    assert!(timer.starts_with("02:"), "{socket}");
}

#[test]
fn more_connections_than_there_may_be_wait() {
    let server = Server::start("max_connections = 2\nmax_connections_per_address = 2", "");
    let mut first = server.connect();
    let mut second = server.connect();
    assert_eq!(first.ask("GET /", "").status, 401);
    assert_eq!(second.ask("GET /", "").status, 401);
    let mut third = server.connect();
    third.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    pause(Duration::from_millis(100));
    assert_eq!(server.metric("tokenkit_http_connections"), 2);
    drop(first);
    assert_eq!(third.answer(false).status, 401);
}

#[test]
fn a_change_by_the_command_line_is_in_force_within_100_ms() {
    // Until it is known, a new key is a guess.
    let server = Server::start("", "[failures]\nexempt = [\"127.0.0.0/8\"]\n");
    let mut client = server.connect();
    let mut ask = |key: &str| client.ask("GET /", &format!("api-key: {key}\r\n"));
    // Counted from the acknowledgement on.
    let mut delays = Vec::new();
    let mut in_force = |key: &str, status: u16| {
        let acknowledged = Instant::now();
        wait_until("the change is in force", || ask(key).status == status);
        delays.push(acknowledged.elapsed());
    };
    for _ in 0..4 {
        let made = server.json(&["key", "create", "--project", "p2"]);
        let key = made["key"].as_str().unwrap();
        in_force(key, 200);
        server.command(&["key", "revoke", made["id"].as_str().unwrap()]);
        in_force(key, 401);
    }
    assert_eq!(server.metric("tokenkit_keys{state=\"active\"}"), 1);
    assert_eq!(server.metric("tokenkit_keys{state=\"revoked\"}"), 4);
    // This machine may have been at something else now and then.
    delays.sort_unstable();
    assert!(
        delays[delays.len() / 2] < Duration::from_millis(100),
        "{delays:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_store_that_is_replaced_is_noticed_and_its_keys_stay_in_force() {
    let server = Server::start("", "");
    let file = server.path("data/tokenkit.db");
    let aside = server.path("aside");
    std::fs::rename(&file, &aside).unwrap();
    // Who records usage may say the latter before.
    server.wait_for_log("cannot take over changes from the store");
    server.wait_for_log("was deleted or replaced while it was in use");
    assert_eq!(server.get("/", "").status, 200);
    assert!(server.metric("tokenkit_store_errors_total") > 0);
    std::fs::rename(&aside, &file).unwrap();
    server.wait_for_log("the store can be read again");
    server.command(&["key", "revoke", server.key_id()]);
    wait_until("the change is in force", || {
        server.get("/", "").status == 401
    });
}

#[test]
fn a_session_brings_its_user_until_it_ends() {
    let server = Server::start("", "[[routes]]\npath = \"/me\"\nneeds_user = true\n");
    let made = server.json(&["session", "create", "--project", "default", "--user", "ada"]);
    let token = made["token"].as_str().unwrap();
    let bearer = format!("authorization: Bearer {token}\r\n");
    wait_until("the session is known", || {
        server.get("/me", &bearer).status == 200
    });
    assert_eq!(server.get("/me", &bearer).json()["user"], "ada");
    assert_eq!(server.metric("tokenkit_sessions"), 1);
    server.command(&["session", "end", made["id"].as_str().unwrap()]);
    wait_until("its end is known", || {
        server.get("/me", &bearer).status == 403
    });
    assert_eq!(server.get("/me", &bearer).reason(), "bearer_invalid");
    assert!(!server.log().contains(token));
}

#[test]
fn the_admin_address_tells_of_health() {
    let server = Server::start("", "");
    assert_eq!(server.admin("/healthz").status, 200);
    assert_eq!(server.admin("/readyz").status, 200);
    let metrics = server.admin("/metrics");
    let media_type = metrics.header("content-type").unwrap();
    assert!(
        media_type.starts_with("text/plain; version=0.0.4"),
        "{media_type}"
    );
    assert_eq!(server.metric("tokenkit_keys{state=\"active\"}"), 1);
    assert_eq!(server.admin("/other").status, 404);
    let posted = Client::connect(server.admin).ask("POST /healthz", "");
    assert_eq!(
        (posted.status, posted.header("allow")),
        (405, Some("GET, HEAD"))
    );
    // None of it is served where clients are.
    assert_eq!(server.ask("GET /metrics", "").status, 401);
}

#[test]
fn a_reload_changes_what_can_change() {
    let server = Server::start("", "");
    let mut client = server.connect();
    let head = format!("api-key: {}\r\n", server.key());
    assert_eq!(client.ask("GET /me", &head).status, 200);

    let route = "[[routes]]\npath = \"/me\"\nneeds_user = true\n";
    server.rewrite_config("max_connections = 5", route);
    server.signal("HUP");
    server.wait_for_log("server.max_connections");
    // On a connection that was open before, too.
    assert_eq!(client.ask("GET /me", &head).reason(), "bearer_required");

    server.rewrite_config("", "[[routes]]\npath = \"no path\"\n");
    server.signal("HUP");
    server.wait_for_log("not reloaded");
    assert_eq!(client.ask("GET /me", &head).reason(), "bearer_required");
}

#[test]
fn a_file_that_is_gone_at_a_reload_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = command(folder.path());
    // The one that is read where it is there.
    serve.env_remove("TOKENKIT_CONFIG").arg("serve");
    let route = "[[routes]]\npath = \"/me\"\nneeds_user = true\n";
    let server = Server::start_by(serve, folder, "", route);
    assert_eq!(server.get("/me", "").reason(), "bearer_required");
    std::fs::rename(server.path("tokenkit.toml"), server.path("moved")).unwrap();
    server.signal("HUP");
    server.wait_for_log("not reloaded");
    assert_eq!(server.get("/me", "").reason(), "bearer_required");
    assert_eq!(
        server.metric("tokenkit_reloads_total{outcome=\"failed\"}"),
        1
    );
}

/// What the settings of the contract's words come to on the wire.
#[test]
fn the_settings_of_answers_are_those_that_are_set() {
    let server = Server::start(
        "",
        "[keys]\nprefixes = [\"acme_x\"]\n\
         [http]\nrealm = \"acme\"\nlegacy_headers = false\n\
         trusted_proxies = [\"127.0.0.1\"]\nforwarded_header = \"forwarded\"\n\
         [failures]\nthreshold = 1\n",
    );
    let minted = server.json(&["key", "create", "--project", "p", "--limit", "9"]);
    let key = minted["key"].as_str().unwrap();
    assert!(key.starts_with("acme_x_"), "{key}");
    let head = format!("api-key: {key}\r\n");
    let known = || server.metric("tokenkit_keys{state=\"active\"}");
    wait_until("the key is known beside the first one", || known() == 2);

    let challenge = |own: &str| {
        let answer = server.ask("GET /", &format!("{own}api-key: tk_live_x\r\n"));
        let challenge = answer.header("www-authenticate").map(str::to_owned);
        (answer.reason(), challenge)
    };
    let forwarded = |ip: &str| format!("forwarded: for={ip}\r\n");
    let x_forwarded_for = |ip: &str| format!("x-forwarded-for: {ip}\r\n");
    let realm = |name: &str| Some(format!("api-key realm=\"{name}\""));
    let malformed = |name: &str| ("malformed_key".to_owned(), realm(name));
    let blocked = ("ip_blocked".to_owned(), None);

    let allowed = server.ask("GET /", &head);
    assert_eq!(allowed.status, 200);
    assert!(allowed.header("ratelimit").is_some());
    assert_eq!(allowed.header("x-ratelimit-remaining"), None);
    assert_eq!(challenge(&forwarded("192.0.2.1")), malformed("acme"));
    assert_eq!(challenge(&forwarded("192.0.2.1")), blocked);
    assert_eq!(challenge(&forwarded("192.0.2.2")), malformed("acme"));
    // All of another kind are the proxy's own.
    assert_eq!(challenge(&x_forwarded_for("192.0.2.3")), malformed("acme"));
    assert_eq!(challenge(&x_forwarded_for("192.0.2.4")), blocked);

    server.rewrite_config(
        "",
        "[keys]\nprefixes = [\"acme_x\"]\n\
         [http]\nrealm = \"other\"\nlegacy_headers = true\n\
         trusted_proxies = [\"127.0.0.1\"]\nforwarded_header = \"x-forwarded-for\"\n\
         [failures]\nthreshold = 1\n",
    );
    server.signal("HUP");
    wait_until("it is reloaded", || {
        challenge(&x_forwarded_for("192.0.2.5")) != blocked
    });
    assert_eq!(challenge(&x_forwarded_for("192.0.2.6")), malformed("other"));
    assert_eq!(challenge(&x_forwarded_for("192.0.2.6")), blocked);
    assert_eq!(challenge(&x_forwarded_for("192.0.2.7")), malformed("other"));
    let from_elsewhere = format!("{}{head}", x_forwarded_for("192.0.2.8"));
    let answer = server.ask("GET /", &from_elsewhere);
    assert!(answer.header("x-ratelimit-remaining").is_some());
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let server = Server::start("", "");
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path(), "", "");
    let taken = server.listen.to_string();
    let output = command(folder.path())
        .args(["serve", "--listen", &taken])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains(&taken) && said.contains("another program"),
        "{said}"
    );
    assert!(output.stdout.is_empty());
    assert!(!folder.path().join("data").exists(), "nothing was made");
}

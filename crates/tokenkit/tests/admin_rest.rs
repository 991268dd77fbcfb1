//! Projects, sessions, addresses, usage and the audit log through the admin
//! API.

mod serve_support;

use serde_json::{Value, json};
use serve_support::admin::Admin;
use serve_support::{Server, wait_until};

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
}

fn names(list: &Value, name: &str) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    list.map(|one| text(one, name).to_owned()).collect()
}

#[test]
fn projects_are_made_listed_and_changed() {
    let server = Server::start("", "");
    let admin = Admin::first(&server);
    for name in ["b", "a b/c"] {
        admin.make("/v1/projects", &json!({ "name": name, "label": "L" }));
    }
    let twice = admin.send("POST /v1/projects", "", &json!({ "name": "b" }));
    assert_eq!((twice.status, twice.problem()), (409, "exists".into()));
    for name in [".", ".."] {
        let dots = admin.send("POST /v1/projects", "", &json!({ "name": name }));
        assert_eq!(dots.faults(), ["#/name"]);
    }
    // A key brings its own.
    admin.make("/v1/keys", &json!({ "project": "z" }));
    let first = admin.see("/v1/projects?limit=3");
    assert_eq!(names(&first["projects"], "name"), ["a b/c", "b", "default"]);
    let rest = admin.see(&format!(
        "/v1/projects?cursor={}",
        text(&first, "next_cursor")
    ));
    assert_eq!(names(&rest["projects"], "name"), ["z"]);
    assert_eq!(rest["next_cursor"], Value::Null);

    let shown = admin.get("/v1/projects/a%20b%2Fc");
    assert_eq!((shown.status, text(&shown.json(), "label")), (200, "L"));
    let etag = shown.header("etag").unwrap().to_owned();
    let change = |label: &str| {
        let head = format!("if-match: {etag}\r\n");
        admin.send(
            "PATCH /v1/projects/a%20b%2Fc",
            &head,
            &json!({ "label": label }),
        )
    };
    assert_eq!(change("first").status, 200);
    assert_eq!(change("second").status, 412);
    assert_eq!(text(&admin.see("/v1/projects/a%20b%2Fc"), "label"), "first");
    assert_eq!(
        admin
            .send("PATCH /v1/projects/b", "", &json!({ "name": "x" }))
            .faults(),
        ["#/name"]
    );
    assert_eq!(admin.get("/v1/projects/none").status, 404);
    assert_eq!(
        admin.send("PATCH /v1/projects/none", "", &json!({})).status,
        404
    );
}

#[test]
fn sessions_begin_and_end_at_once() {
    let server = Server::start("", "[[routes]]\npath = \"/**\"\nneeds_user = true\n");
    let admin = Admin::first(&server);
    let status = |session: &Value| {
        server
            .get(
                "/",
                &format!("authorization: Bearer {}\r\n", text(session, "token")),
            )
            .status
    };
    let body = |user: &str| json!({ "project": "default", "user": user });
    let one = admin.make("/v1/sessions", &body("ann"));
    let more: Vec<Value> = (0..3)
        .map(|_| admin.make("/v1/sessions", &body("ann")))
        .collect();
    let other = admin.make("/v1/sessions", &body("bob"));
    assert_eq!(
        (status(&one), status(&more[0]), status(&other)),
        (200, 200, 200)
    );
    let line = format!("DELETE /v1/sessions/{}", text(&one, "id"));
    assert_eq!(admin.ask(&line, "", "").status, 204);
    assert_eq!(status(&one), 403);
    let count = |query: &str| {
        let page = admin.see(&format!("/v1/sessions?{query}"));
        assert!(!page.to_string().contains("token"));
        page["sessions"].as_array().unwrap().len()
    };
    assert_eq!(
        (count(""), count("user=ann"), count("user=ann&active=true")),
        (5, 4, 3)
    );
    let ended = admin.ask("DELETE /v1/sessions?project=default&user=ann", "", "");
    assert_eq!((ended.status, &ended.json()["ended"]), (200, &json!(3)));
    assert_eq!(
        (status(&more[0]), status(&more[2]), status(&other)),
        (403, 403, 200)
    );
    assert_eq!(
        admin.ask("DELETE /v1/sessions", "", "").faults(),
        ["project", "user"]
    );
    assert_eq!(
        admin.ask("DELETE /v1/sessions?user=x", "", "").faults(),
        ["project"]
    );
    assert_eq!(
        admin.ask("DELETE /v1/sessions/0000000000", "", "").status,
        404
    );
    let bad = admin.send(
        "POST /v1/sessions",
        "",
        &json!({ "user": 5, "expires_at": "2001-01-01T00:00:00Z" }),
    );
    assert_eq!(bad.faults(), ["#/project", "#/user"]);
}

#[test]
fn blocked_addresses_are_listed_unblocked_and_exempted() {
    let rest = "[failures]\nthreshold = 2\nexempt = [\"203.0.113.0/24\"]\n[http]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let server = Server::start("", rest);
    let admin = Admin::first(&server);
    let from = |ip: &str| format!("x-forwarded-for: {ip}\r\n");
    let guess = |ip: &str| {
        server
            .ask("GET /", &format!("api-key: guess\r\n{}", from(ip)))
            .status
    };
    for ip in ["192.0.2.1", "2001:db8::7"] {
        assert_eq!((guess(ip), guess(ip), guess(ip)), (401, 401, 429));
    }
    let blocked = admin.see("/v1/blocked");
    let mut listed = names(&blocked["blocked"], "addresses");
    listed.sort();
    assert_eq!(
        (listed, &blocked["total"]),
        (
            vec!["192.0.2.1/32".into(), "2001:db8::/64".into()],
            &json!(2)
        )
    );
    let one = admin.see("/v1/blocked?address=2001:db8::99");
    assert_eq!(names(&one["blocked"], "address"), ["2001:db8::"]);
    assert_eq!(
        admin.see("/v1/blocked?address=192.0.2.2")["blocked"],
        json!([])
    );
    assert_eq!(admin.get("/v1/blocked?address=x").faults(), ["address"]);

    let unblock = "POST /v1/blocked/192.0.2.1/unblock";
    let note = json!({ "note": "ours" });
    assert_eq!(admin.send(unblock, "", &note).faults(), ["#/note"]);
    assert_eq!(admin.act("/v1/blocked/192.0.2.1/unblock").status, 204);
    assert_eq!(server.get("/", &from("192.0.2.1")).status, 200);
    assert_eq!(admin.act("/v1/blocked/192.0.2.1/unblock").status, 404);
    assert_eq!(admin.act("/v1/blocked/nonsense/unblock").status, 404);

    // An exemption lets through who is blocked, and lasts.
    assert_eq!(server.get("/", &from("2001:db8::7")).status, 429);
    let made = admin.send(
        "POST /v1/exempt",
        "",
        &json!({ "addresses": "2001:db8::/32", "note": "ours" }),
    );
    assert_eq!(
        (made.status, made.header("location")),
        (201, Some("/v1/exempt/2001:db8::%2F32"))
    );
    assert_eq!(server.get("/", &from("2001:db8::7")).status, 200);
    let again = admin.make(
        "/v1/exempt",
        &json!({ "addresses": "2001:db8::/32", "note": "x" }),
    );
    assert_eq!(text(&again, "note"), "ours");
    let exempt = admin.see("/v1/exempt");
    assert_eq!(names(&exempt["exempt"], "source"), ["settings", "added"]);
    assert_eq!(
        admin
            .send(
                "POST /v1/exempt",
                "",
                &json!({ "addresses": "2001:db8::1/32" })
            )
            .faults(),
        ["#/addresses"]
    );
    let token = admin.token.clone();
    let server = Server::start_in(server.stop(), "", rest);
    let admin = Admin::with(&server, &token);
    let guess = |ip: &str| {
        server
            .ask("GET /", &format!("api-key: guess\r\n{}", from(ip)))
            .status
    };
    assert_eq!(
        [
            guess("2001:db8::9"),
            guess("2001:db8::9"),
            guess("2001:db8::9")
        ],
        [401; 3]
    );
    assert_eq!(
        admin
            .ask("DELETE /v1/exempt/2001:db8::%2F32", "", "")
            .status,
        204
    );
    assert_eq!(
        [
            guess("2001:db8:1::9"),
            guess("2001:db8:1::9"),
            guess("2001:db8:1::9")
        ],
        [401, 401, 429]
    );
    assert_eq!(
        admin
            .ask("DELETE /v1/exempt/2001:db8::%2F32", "", "")
            .status,
        404
    );
    let fixed = admin.ask("DELETE /v1/exempt/203.0.113.0%2F24", "", "");
    assert_eq!((fixed.status, fixed.problem()), (409, "of_settings".into()));
}

#[test]
fn every_change_is_in_the_audit_log_with_who_made_it() {
    let server = Server::start("", "");
    let admin = Admin::first(&server);
    let key = admin.make("/v1/keys", &json!({ "project": "p" }));
    let id = text(&key, "id");
    admin.send(&format!("PATCH /v1/keys/{id}"), "", &json!({ "name": "n" }));
    admin.act(&format!("/v1/keys/{id}/revoke"));
    server.command(&["key", "create", "--project", "cli"]);
    let entries = admin.see(&format!("/v1/audit?object={id}"));
    let entries = &entries["entries"];
    assert_eq!(
        names(entries, "action"),
        ["key.revoke", "key.change", "key.create"]
    );
    let actor = format!("token:{}", &admin.token["tk_admin_".len()..][..10]);
    assert!(names(entries, "actor").iter().all(|found| *found == actor));
    assert_eq!(
        entries[1]["details"]["name"],
        json!({ "from": "", "to": "n" })
    );
    // Times are told as in every other answer.
    for expires_at in [json!("2100-01-01T00:00:00Z"), json!(null)] {
        let made = json!({ "project": "p", "user": "u", "expires_at": expires_at });
        let made = admin.make("/v1/sessions", &made);
        let found = admin.see(&format!("/v1/audit?object={}", text(&made, "id")));
        assert_eq!(found["entries"][0]["details"]["expires_at"], expires_at);
    }
    let made = json!({ "project": "p", "expires_at": "2100-01-01T00:00:00Z" });
    let made = text(&admin.make("/v1/keys", &made), "id").to_owned();
    let later = json!({ "expires_at": "2101-01-01T00:00:00Z" });
    admin.send(&format!("PATCH /v1/keys/{made}"), "", &later);
    let found = admin.see(&format!("/v1/audit?object={made}&limit=1"));
    assert_eq!(
        found["entries"][0]["details"]["expires_at"],
        json!({ "from": "2100-01-01T00:00:00Z", "to": "2101-01-01T00:00:00Z" })
    );
    // All of it, two a page.
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = admin.see(&format!("/v1/audit?limit=2&cursor={cursor}"));
        all.extend(page["entries"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    let seqs: Vec<i64> = all
        .iter()
        .map(|entry| entry["seq"].as_i64().unwrap())
        .collect();
    assert!(seqs.is_sorted_by(|a, b| a > b) && *seqs.last().unwrap() == 1);
    assert!(
        all.iter()
            .any(|entry| text(entry, "actor").starts_with("cli:"))
    );
    assert!(all.iter().any(|entry| text(entry, "actor") == "system"));
    assert_eq!(admin.get("/v1/audit?cursor=k1").faults(), ["cursor"]);
}

#[test]
fn usage_comes_in_each_form() {
    let server = Server::start("", "");
    let admin = Admin::first(&server);
    let id = server.key_id().to_owned();
    let secret = store::read_secret_file(&server.path("data/tokenkit.secret")).unwrap();
    let mut store = store::Store::open(&server.path("data/tokenkit.db"), &secret).unwrap();
    let key = id.parse().unwrap();
    // 2001: long over, and of no other source.
    let rows = [1, 2, 3].map(|n| store::UsageRow {
        key,
        hour: 271_752 + n,
        used: 10 * u64::from(n),
    });
    store.record_usage(&[7; 16], &rows, 978_307_200).unwrap();
    let span = "from=2001-01-01T00:00:00Z&to=2001-01-01T03:00:00Z";
    let page = admin.see(&format!("/v1/usage?{span}"));
    assert_eq!(page["usage"].as_array().unwrap().len(), 2);
    let row = &page["usage"][0];
    assert_eq!(
        (text(row, "id"), &row["units"]),
        (&*format!("{id}-271753"), &json!(10))
    );
    assert_eq!(
        (text(row, "hour"), text(row, "project")),
        ("2001-01-01T01:00:00Z", "default")
    );
    let first = admin.get(&format!(
        "/v1/usage?{span}&limit=1&format=jsonl&final=false"
    ));
    assert_eq!(first.header("content-type"), Some("application/jsonl"));
    assert_eq!(first.json()["units"], 10);
    let link = first.header("link").unwrap();
    let next = link
        .strip_prefix('<')
        .unwrap()
        .strip_suffix(">; rel=\"next\"")
        .unwrap();
    assert_eq!(admin.get(next).json()["units"], 20);
    let csv = admin.ask(
        &format!("GET /v1/usage?{span}&final=false"),
        "accept: text/csv\r\n",
        "",
    );
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let csv = csv.text();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "id,key,project,hour,units,final");
    assert!(lines[1].starts_with(&format!(
        "{id}-271753,{id},default,2001-01-01T01:00:00Z,10,"
    )));
    let not_csv = admin.ask(
        &format!("GET /v1/usage?{span}"),
        "accept: text/csv;q=0, application/json;q=0.5\r\n",
        "",
    );
    assert_eq!(not_csv.header("content-type"), Some("application/json"));
    let own = admin.see(&format!("/v1/keys/{id}/usage?from=2001-01-01T00:00:00Z"));
    let units: Vec<i64> = own["hours"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hour| hour["units"].as_i64().unwrap())
        .collect();
    assert_eq!(units[..3], [10, 20, 30]);
    assert!(own["last_used_at"].is_string());
    assert_eq!(
        admin.get("/v1/usage?from=yesterday&format=xml").faults(),
        ["from", "format"]
    );
    assert_eq!(admin.get("/v1/keys/0000000000/usage").status, 404);
}

#[test]
fn the_overview_counts_and_the_description_is_served() {
    let server = Server::start("", "");
    let admin = Admin::first(&server);
    assert_eq!(server.get("/", "").status, 200);
    assert_eq!(server.get_with("guess").status, 401);
    admin.act(&format!("/v1/keys/{}/disable", server.key_id()));
    let overview = admin.see("/v1/overview");
    assert_eq!(overview["decisions"]["allowed"], 1);
    assert_eq!(overview["decisions"]["malformed_key"], 1);
    assert_eq!(
        overview["keys"],
        json!({ "active": 0, "disabled": 1, "revoked": 0 })
    );
    assert_eq!(admin.see("/v1/openapi.json")["openapi"], "3.1.0");
    assert_eq!(admin.get("/v1/overview?x=1").faults(), ["x"]);
}

#[test]
fn a_key_too_many_holds_up_no_other_change() {
    // More keys than the engine takes: one that another process makes room for
    // in the store only.
    let failures = "[failures]\nthreshold = 1\n[http]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let server = Server::start("", &format!("[keys]\nmax_keys = 2\n{failures}"));
    let admin = Admin::first(&server);
    let key = admin.make("/v1/keys", &json!({ "project": "p" }));
    let full = admin.send("POST /v1/keys", "", &json!({ "project": "p" }));
    assert_eq!((full.status, full.problem()), (409, "full".into()));
    let another = [
        "key",
        "create",
        "--project",
        "p",
        "--set",
        "keys.max_keys=9",
    ];
    server.command(&another);
    server.wait_for_log("raise max_keys");

    let path = format!("/v1/keys/{}", text(&key, "id"));
    let named = admin.send(&format!("PATCH {path}"), "", &json!({ "name": "n" }));
    assert_eq!((named.status, &named.json()["name"]), (200, &json!("n")));
    assert_eq!(admin.act(&format!("{path}/revoke")).status, 200);
    let refused = server.get_with(text(&key, "key"));
    assert_eq!(refused.reason(), "revoked_key");
    let token = json!({ "name": "t", "scope": "read" });
    let token = admin.make("/v1/tokens", &token);
    let reader = Admin::with(&server, text(&token, "token"));
    assert_eq!(reader.get("/v1/keys").status, 200);

    let guess = || {
        let head = "x-forwarded-for: 192.0.2.1\r\napi-key: nonsense\r\n";
        server.ask("GET /", head).reason()
    };
    assert_eq!([guess(), guess()], ["malformed_key", "ip_blocked"]);
    assert_eq!(admin.act("/v1/blocked/192.0.2.1/unblock").status, 204);
    assert_eq!(guess(), "malformed_key");
}

#[test]
fn what_cannot_be_in_force_yet_is_said_and_kept() {
    // Until it is known, a new key is a guess.
    let settings = "[failures]\nexempt = [\"127.0.0.0/8\"]\n";
    let server = Server::start("", settings);
    let admin = Admin::first(&server);
    // Of a store that was taken back to an older state nothing more is taken over.
    let store = rusqlite::Connection::open(server.path("data/tokenkit.db")).unwrap();
    store.execute("UPDATE meta SET rev = rev - 1", ()).unwrap();
    server.wait_for_log("older");
    let path = format!("/v1/keys/{}", server.key_id());
    let stuck = admin.send(&format!("PATCH {path}"), "", &json!({ "name": "kept" }));
    assert_eq!(
        (stuck.status, stuck.problem()),
        (503, "not_in_force".into())
    );
    assert!(stuck.header("retry-after").is_some());
    // What is shown but once is shown all the same, and again where it is sent
    // again.
    let send = |admin: &Admin| {
        let head = "idempotency-key: one\r\n";
        admin.send("POST /v1/keys", head, &json!({ "project": "p" }))
    };
    let [made, again] = [(); 2].map(|()| send(&admin));
    assert_eq!([made.status, again.status], [202, 202]);
    assert_eq!(made.json(), again.json());
    let made = made.json();
    assert_eq!(server.get_with(text(&made, "key")).status, 401);

    let server = Server::start_in(server.stop(), "", settings);
    let admin = Admin::with(&server, &admin.token);
    assert_eq!(server.get_with(text(&made, "key")).status, 200);
    assert_eq!(text(&admin.see(&path), "name"), "kept");
    let again = send(&admin);
    assert_eq!((again.status, again.json()), (201, made));
}

#[cfg(unix)]
#[test]
fn nothing_is_changed_in_a_file_that_nobody_finds_any_more() {
    let server = Server::start("", "[usage]\ninterval_s = 1\n");
    let admin = Admin::first(&server);
    let (file, aside) = (server.path("data/tokenkit.db"), server.path("aside"));
    let backup = server.path("backup");
    let store = rusqlite::Connection::open(&file).unwrap();
    store.execute("VACUUM INTO ?1", [backup.to_str()]).unwrap();
    let path = format!("/v1/keys/{}", server.key_id());
    std::fs::rename(&file, &aside).unwrap();
    for put_in_place in [false, true] {
        if put_in_place {
            std::fs::copy(&backup, &file).unwrap();
        }
        let made = admin.send("POST /v1/keys", "", &json!({ "project": "p" }));
        for refused in [made, admin.act(&format!("{path}/revoke"))] {
            assert_eq!(
                (refused.status, refused.problem()),
                (503, "store_replaced".into()),
                "{}",
                refused.text()
            );
        }
    }
    assert_eq!(server.get("/", "").status, 200, "what is known stays");
    wait_until("what was used is known to be unsaved", || {
        server.metric("tokenkit_usage_unsaved_units") == 1
    });
    // By the connection that was opened before.
    let count = "SELECT count(*) FROM keys";
    let count: i64 = store.query_row(count, (), |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
}

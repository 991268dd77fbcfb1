//! Keys through the admin API, against the server that they open.

mod serve_support;

use serde_json::{Value, json};
use serve_support::Server;
use serve_support::admin::Admin;

fn start() -> (Server, Admin) {
    let server = Server::start("", "");
    let admin = Admin::first(&server);
    (server, admin)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// The status that a key gets where clients speak.
fn status(server: &Server, key: &Value) -> u16 {
    server.get_with(text(key, "key")).status
}

#[test]
fn a_key_works_when_its_making_is_answered_and_no_more_once_it_is_revoked() {
    let (server, admin) = start();
    for _ in 0..100 {
        let key = admin.make("/v1/keys", &json!({ "project": "p" }));
        assert_eq!(status(&server, &key), 200);
        let revoked = admin.act(&format!("/v1/keys/{}/revoke", text(&key, "id")));
        assert_eq!(
            (revoked.status, &revoked.json()["state"]),
            (200, &json!("revoked"))
        );
        let refused = server.get_with(text(&key, "key"));
        assert_eq!(
            (refused.status, refused.reason()),
            (401, "revoked_key".into())
        );
    }
}

#[test]
fn all_that_a_key_may_have_is_kept_and_can_be_changed() {
    let (server, admin) = start();
    let wanted = json!({
        "project": "shop", "name": "till, Zürich", "hourly_limit": 2,
        "expires_at": "2031-01-01T00:00:00.5+01:00", "origins": ["https://a.example"],
        "require_origin": true, "ips": ["127.0.0.0/8"], "prefix": "tk_test",
    });
    let made = admin.send("POST /v1/keys", "", &wanted);
    assert_eq!(made.status, 201);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let key = made.json();
    let id = text(&key, "id");
    assert_eq!(made.header("location"), Some(&*format!("/v1/keys/{id}")));
    assert!(text(&key, "key").starts_with(&format!("tk_test_{id}")));
    assert_eq!(text(&key, "expires_at"), "2030-12-31T23:00:00Z");
    let shown = admin.get(&format!("/v1/keys/{id}"));
    assert_eq!(shown.header("etag"), made.header("etag"));
    let mut same = key.clone();
    same.as_object_mut().unwrap().remove("key");
    assert_eq!(shown.json(), same);

    // What is left out stays, null is none.
    let change = json!({ "require_origin": false, "hourly_limit": null, "name": "" });
    let changed = admin.send(&format!("PATCH /v1/keys/{id}"), "", &change);
    assert_eq!(changed.status, 200, "{}", changed.text());
    let now = changed.json();
    assert_eq!(
        (&now["hourly_limit"], text(&now, "name")),
        (&Value::Null, "")
    );
    assert_eq!(text(&now, "project"), "shop");
    assert_eq!(status(&server, &key), 200);
    // A change that changes nothing leaves the revision.
    let again = admin.send(&format!("PATCH /v1/keys/{id}"), "", &change);
    assert_eq!(again.header("etag"), changed.header("etag"));

    for (act, expected) in [("disable", 401), ("disable", 401), ("enable", 200)] {
        assert_eq!(admin.act(&format!("/v1/keys/{id}/{act}")).status, 200);
        assert_eq!(status(&server, &key), expected);
    }
    let reason = json!({ "reason": "it leaked" });
    // Where nothing is to be said, what is said is not passed over.
    let disable = format!("POST /v1/keys/{id}/disable");
    assert_eq!(admin.send(&disable, "", &reason).faults(), ["#/reason"]);
    assert_eq!(status(&server, &key), 200);
    let revoked = admin.send(&format!("POST /v1/keys/{id}/revoke"), "", &reason);
    assert_eq!(text(&revoked.json(), "revoked_reason"), "it leaked");
    for line in [
        format!("POST /v1/keys/{id}/enable"),
        format!("PATCH /v1/keys/{id}"),
    ] {
        let refused = admin.send(&line, "", &json!({}));
        assert_eq!(
            (refused.status, refused.problem()),
            (409, "revoked".into()),
            "{line}"
        );
    }
    let again = admin.send(
        &format!("POST /v1/keys/{id}/revoke"),
        "",
        &json!({ "reason": "x" }),
    );
    assert_eq!(
        (again.status, text(&again.json(), "revoked_reason")),
        (200, "it leaked")
    );
}

#[test]
fn every_bad_value_is_named() {
    let (server, admin) = start();
    let bad = json!({
        "project": " p", "name": "a\nb", "hourly_limit": -1, "expires_at": "soon",
        "origins": ["nonsense"], "require_origin": "yes", "ips": "10.0.0.0/8", "prefix": "TK",
        "hourlylimit": 1, "a/b~": 1,
    });
    let mut faults = admin.send("POST /v1/keys", "", &bad).faults();
    faults.sort();
    assert_eq!(
        faults,
        [
            "#/a~1b~0",
            "#/expires_at",
            "#/hourly_limit",
            "#/hourlylimit",
            "#/ips",
            "#/name",
            "#/origins",
            "#/prefix",
            "#/project",
            "#/require_origin"
        ]
    );
    let faults = |body: Value| admin.send("POST /v1/keys", "", &body).faults();
    assert_eq!(faults(json!({})), ["#/project"]);
    assert_eq!(faults(json!([])), ["#"]);
    let past = "2001-01-01T00:00:00Z";
    assert_eq!(
        faults(json!({ "project": "p", "expires_at": past })),
        ["#/expires_at"]
    );
    assert_eq!(
        faults(json!({ "project": "p", "prefix": "other" })),
        ["#/prefix"]
    );
    assert_eq!(
        faults(json!({ "project": "p", "hourly_limit": u64::MAX })),
        ["#/hourly_limit"]
    );
    for query in [
        "limit=0",
        "limit=501",
        "limit=x",
        "cursor=!",
        "state=gone",
        "project=%20",
        "limt=1",
        "limit=1&limit=1",
    ] {
        let faults = admin.get(&format!("/v1/keys?{query}")).faults();
        assert_eq!(faults, [query.split('=').next().unwrap()], "{query}");
    }
    let json = "content-type: application/json\r\n";
    for (head, body, status) in [
        (json, "{", 400),
        (json, "", 400),
        ("content-type: text/plain\r\n", "{}", 415),
        ("", "{}", 415),
        (json, &format!("\"{}\"", "x".repeat(70_000)), 413),
    ] {
        let answer = admin.ask("POST /v1/keys", head, body);
        assert_eq!(answer.status, status, "{}", answer.text());
        answer.problem();
    }
    for path in [
        "/v1/keys/0000000000",
        "/v1/keys/nonsense",
        "/v1/keys/%ff",
        "/v1/nothing",
    ] {
        assert_eq!(admin.get(path).status, 404, "{path}");
    }
    let refused = admin.ask("PUT /v1/keys", "", "");
    assert_eq!(
        (refused.status, refused.problem()),
        (405, "method_not_allowed".into())
    );
    assert_eq!(refused.header("allow"), Some("GET,HEAD,POST"));
    // What would stop a key at once is asked for by name.
    let path = format!("PATCH /v1/keys/{}", server.key_id());
    let past = json!({ "expires_at": "2020-01-01T00:00:00Z" });
    assert_eq!(admin.send(&path, "", &past).faults(), ["#/expires_at"]);
    let twice = r#"{ "hourly_limit": 1, "hourly_limit": 1000000 }"#;
    let head = "content-type: application/json\r\n";
    let twice = admin.ask(&path, head, twice);
    assert_eq!(
        (twice.status, twice.faults()),
        (422, vec!["#/hourly_limit".into()])
    );
}

#[test]
fn of_two_who_change_the_same_key_the_second_notices() {
    let (_server, admin) = start();
    let key = admin.make("/v1/keys", &json!({ "project": "p" }));
    let path = format!("/v1/keys/{}", text(&key, "id"));
    let etag = admin.get(&path).header("etag").unwrap().to_owned();
    let change = |head: &str, name: &str| {
        admin.send(&format!("PATCH {path}"), head, &json!({ "name": name }))
    };
    let first = change(&format!("if-match: {etag}\r\n"), "first");
    assert_eq!(first.status, 200);
    let second = change(&format!("if-match: {etag}\r\n"), "second");
    assert_eq!((second.status, second.problem()), (412, "changed".into()));
    assert_eq!(text(&admin.see(&path), "name"), "first");
    let now = first.header("etag").unwrap();
    // A weak tag matches nothing here; of several one suffices.
    assert_eq!(change(&format!("if-match: W/{now}\r\n"), "x").status, 412);
    assert_eq!(change("if-match: nonsense\r\n", "x").faults(), ["If-Match"]);
    assert_eq!(
        change(&format!("if-match: \"0\", {now}\r\n"), "third").status,
        200
    );
    assert_eq!(change("if-match: *\r\n", "fourth").status, 200);
    for act in ["disable", "enable", "revoke", "rotate"] {
        let line = format!("POST {path}/{act}");
        assert_eq!(
            admin
                .ask(&line, &format!("if-match: {etag}\r\n"), "")
                .status,
            412,
            "{act}"
        );
    }
    let now = admin.get(&path).header("etag").unwrap().to_owned();
    let known = admin.ask(
        &format!("GET {path}"),
        &format!("if-none-match: W/{now}\r\n"),
        "",
    );
    assert_eq!((known.status, known.header("etag")), (304, Some(&*now)));
    assert!(known.body.is_empty());
    let unknown = admin.ask(
        &format!("GET {path}"),
        &format!("if-none-match: {etag}\r\n"),
        "",
    );
    assert_eq!(unknown.status, 200);
}

#[test]
fn a_rotated_key_and_its_successor_both_work_for_a_while() {
    let (server, admin) = start();
    let body = json!({ "project": "p", "hourly_limit": 5, "expires_at": "2031-01-01T00:00:00Z" });
    let old = admin.make("/v1/keys", &body);
    let path = format!("/v1/keys/{}", text(&old, "id"));
    let new = admin.make(&format!("{path}/rotate"), &json!({ "overlap_s": 3600 }));
    assert_eq!((status(&server, &old), status(&server, &new)), (200, 200));
    assert_eq!(new["replaces"], old["id"]);
    assert_eq!(
        (&new["hourly_limit"], &new["expires_at"]),
        (&old["hourly_limit"], &old["expires_at"])
    );
    let ends = text(&new["replaced"], "expires_at").to_owned();
    assert!(*ends < *"2031", "{ends}");
    assert_eq!(admin.see(&path)["expires_at"], ends);
    // Never past its own expiry, however long the overlap.
    let newer = admin.make(
        &format!("{path}/rotate"),
        &json!({ "overlap_s": 31_536_000, "expires_at": null }),
    );
    assert_eq!(text(&newer["replaced"], "expires_at"), ends);
    assert_eq!(newer["expires_at"], Value::Null);
    // Without an overlap the old one ends at once.
    let last = admin.make(&format!("{path}/rotate"), &json!({ "overlap_s": 0 }));
    let refused = server.get_with(text(&old, "key"));
    assert_eq!(
        (refused.status, refused.reason()),
        (401, "expired_key".into())
    );
    assert_eq!(status(&server, &last), 200);
    let refused = admin.act(&format!("{path}/rotate"));
    assert_eq!((refused.status, refused.problem()), (409, "expired".into()));
    let path = format!("/v1/keys/{}", text(&newer, "id"));
    admin.act(&format!("{path}/disable"));
    assert_eq!(admin.act(&format!("{path}/rotate")).problem(), "disabled");
    admin.act(&format!("{path}/revoke"));
    assert_eq!(admin.act(&format!("{path}/rotate")).problem(), "revoked");
    let long = admin.send(
        &format!("POST {path}/rotate"),
        "",
        &json!({ "overlap_s": 31_536_001 }),
    );
    assert_eq!(long.faults(), ["#/overlap_s"]);
    assert_eq!(admin.act("/v1/keys/0000000000/rotate").status, 404);
}

#[test]
fn a_list_of_thousands_comes_in_pages_and_each_key_once() {
    let (server, admin) = start();
    let mut rows = String::from("key,project,name,state\n");
    for n in 0..3000 {
        let key = engine::SecretKey::generate(&"tk_live".parse().unwrap()).unwrap();
        let state = if n % 3 == 0 { "disabled" } else { "active" };
        rows.push_str(&format!("{},p{},name {n},{state}\n", key.expose(), n % 2));
    }
    std::fs::write(server.path("keys.csv"), rows).unwrap();
    server.command(&["key", "import", "keys.csv"]);
    let all = |filter: &str| {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = admin.see(&format!("/v1/keys?limit=400&cursor={cursor}{filter}"));
            let keys = page["keys"].as_array().unwrap();
            assert!(keys.len() <= 400);
            ids.extend(keys.iter().map(|key| text(key, "id").to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count, "{filter}");
        count
    };
    assert_eq!(all(""), 3001);
    assert_eq!(all("&project=p1"), 1500);
    assert_eq!(all("&state=disabled"), 1000);
    assert_eq!(all("&state=disabled&project=p1"), 500);
    assert_eq!(all("&search=NAME%20299"), 11);
    assert_eq!(all("&search=nothing"), 0);
    let one = admin.see("/v1/keys?limit=1");
    let id = text(&one["keys"][0], "id");
    assert_eq!(all(&format!("&search={}", &id[..6])), 1);
    let other = admin.see("/v1/projects?limit=1")["next_cursor"].clone();
    let refused = admin.get(&format!("/v1/keys?cursor={}", other.as_str().unwrap()));
    assert_eq!(refused.faults(), ["cursor"]);
}

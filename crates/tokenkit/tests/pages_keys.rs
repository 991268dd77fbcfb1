//! Keys at the pages: making, finding, changing, rotating and ending them.

mod pages_support;
mod serve_support;

use std::net::Ipv4Addr;

use pages_support::{Visitor, hidden, secret_in};
use serve_support::admin::Admin;
use serve_support::{Server, wait_until};

fn server() -> Server {
    Server::start("", "")
}

#[test]
fn a_key_is_made_shown_once_and_works_at_once() {
    let server = server();
    let visitor = Visitor::first(&server);
    let once = hidden(&visitor.page("/keys/new"), "once");
    let fields = [
        ("once", once.as_str()),
        ("name", "Checkout"),
        ("project", "shop"),
        ("limited", "yes"),
        ("limit", "5"),
        ("expires", "30d"),
        (
            "origins",
            "https://app.example.com\r\nhttps://*.example.org\r\n",
        ),
        ("ips", "127.0.0.0/8\n::1"),
    ];
    let answer = visitor.post("/keys", &fields);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let page = answer.text();
    let key = secret_in(&page, "tk_live_");
    let command = format!("curl -H 'api-key: {key}' http://{}/", server.listen);
    assert!(page.contains(&command), "{page}");
    assert_eq!(server.get_with(&key).status, 200);

    // The same form makes no second key and shows nothing again.
    let again = visitor.post("/keys", &fields);
    assert_eq!(again.status, 409);
    assert!(
        !again.text().contains(&key) && again.text().contains(&key[8..18]),
        "{}",
        again.text()
    );
    let list = visitor.page("/keys?project=shop");
    assert_eq!(list.matches("Checkout").count(), 1, "{list}");
    assert!(list.contains("/ 5<"), "{list}");
    for path in ["/keys", &format!("/keys/{}", &key[8..18]), "/audit"] {
        assert!(!visitor.page(path).contains(&key[18..]), "{path}");
    }
    let page = visitor.page(&format!("/keys/{}", &key[8..18]));
    for part in [
        "https://*.example.org",
        "127.0.0.0/8",
        "<code>::1/128</code>",
        "key.create",
        "Units in each of the last 48 hours",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!server.log().contains(&key));
}

#[test]
fn wrong_input_is_kept_and_each_field_says_what_is_wrong() {
    let server = server();
    let visitor = Visitor::first(&server);
    let long = "x".repeat(201);
    let answer = visitor.post(
        "/keys",
        &[
            ("once", "number-1"),
            ("name", &long),
            ("project", " "),
            ("limited", "yes"),
            ("limit", "many"),
            ("expires", "1 month"),
            ("origins", "https://good.example.com\n*"),
            ("ips", "10.0.0.0/8\n10.0.0.300"),
            ("require_origin", "yes"),
        ],
    );
    assert_eq!(answer.status, 422);
    let page = answer.text();
    for part in [
        "<a href=\"#name\">Name: at most 200 bytes",
        "<a href=\"#project\">Project: name the one",
        "<a href=\"#limit\">Limit: &quot;many&quot; is no whole number",
        "<a href=\"#expires\">Expiry: &quot;1 month&quot; is no time",
        "<a href=\"#origins\">Line 2: ",
        "<a href=\"#ips\">Line 2: ",
        "role=\"alert\" tabindex=\"-1\" autofocus",
        "aria-describedby=\"origins-hint origins-fault\"",
        "value=\"many\"",
        "value=\"1 month\"",
        "10.0.0.300",
        &format!("value=\"{long}\""),
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert_eq!(page.matches("aria-invalid=\"true\"").count(), 6, "{page}");
    assert_eq!(hidden(&page, "once"), "number-1");
    for (fields, part) in [
        (
            &[("limited", "yes"), ("limit", "")][..],
            "say how many units",
        ),
        (
            &[("limited", "yes"), ("limit", "68719476735")],
            "beyond what a counter holds",
        ),
        (&[("limited", "maybe")], "choose a limit, or none"),
        (
            &[("limited", "no"), ("expires", "1000000000")],
            "lies in the past",
        ),
        (&[("limited", "no"), ("project", "é")], "is no name"),
    ] {
        let fields = [&[("once", "number-2"), ("project", "shop")][..], fields].concat();
        let fields: Vec<_> = fields.iter().rev().copied().collect();
        let mut seen = Vec::new();
        let fields: Vec<_> = fields
            .into_iter()
            .filter(|(name, _)| {
                !seen.contains(name) && {
                    seen.push(*name);
                    true
                }
            })
            .collect();
        let answer = visitor.post("/keys", &fields);
        assert_eq!(answer.status, 422, "{part}");
        assert!(answer.text().contains(part), "{part}: {}", answer.text());
    }
    assert_eq!(
        visitor
            .post("/keys", &[("project", "shop"), ("limited", "no")])
            .status,
        400
    );
    assert!(!visitor.page("/keys").contains("shop"));
}

#[test]
fn keys_are_found_by_name_state_and_project_a_page_at_a_time() {
    let server = server();
    let visitor = Visitor::first(&server);
    for number in 0..53 {
        let name = format!("Number {number:02}");
        visitor.key(&[("name", &name), ("project", "many")]);
    }
    let page = visitor.page("/keys?project=many");
    assert!(
        page.contains("Number 52") && !page.contains("Number 02"),
        "{page}"
    );
    let next = page
        .split("<a href=\"")
        .find(|link| link.contains("rel=\"next\""))
        .unwrap();
    let next = next.split('"').next().unwrap().replace("&amp;", "&");
    let page = visitor.page(&next);
    assert!(
        page.contains("Number 02") && !page.contains("Number 03") && page.contains("rel=\"first\""),
        "{page}"
    );
    let page = visitor.page("/keys?q=ber+17");
    assert!(
        page.contains("Number 17") && !page.contains("Number 18"),
        "{page}"
    );
    assert!(
        visitor
            .page("/keys?state=revoked")
            .contains("No key is like that.")
    );
    assert!(
        visitor
            .page("/keys?state=odd")
            .contains("choose one of the list")
    );
    assert!(
        visitor
            .page("/keys?after=odd!")
            .contains("begin at the first")
    );
    assert!(visitor.page("/keys?project=%C3%A9").contains("is no name"));
    // A whole key is looked up by its public part, and stands in no address.
    let answer = visitor.get(&format!("/keys?q={}", server.key()));
    let found = format!("/keys?q={}", server.key_id());
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some(found.as_str()))
    );
    assert!(visitor.page(&found).contains(server.key_id()));
}

#[test]
fn a_key_with_long_lists_can_be_changed() {
    let server = server();
    let visitor = Visitor::first(&server);
    let (_, id) = visitor.key(&[("name", "Before")]);
    let ips: Vec<String> = (0..6000_u32)
        .map(|number| Ipv4Addr::from_bits((10 << 24) + number).to_string())
        .collect();
    let flags = ips.iter().flat_map(|ip| ["--ip", ip]);
    server.command(
        &["key", "set", &id]
            .into_iter()
            .chain(flags)
            .collect::<Vec<_>>(),
    );
    let at = format!("/keys/{id}/change");
    wait_until("the change is known", || {
        visitor.page(&at).contains(&ips[5999])
    });
    let form = visitor.page(&at);
    let answer = visitor.post(
        &at,
        &[
            ("revision", &hidden(&form, "revision")),
            ("name", "After"),
            ("project", "shop"),
            ("limited", "no"),
            ("ips", &ips.join("\n")),
        ],
    );
    assert_eq!(answer.status, 303, "{}", answer.text());
    let shown = Admin::first(&server).see(&format!("/v1/keys/{id}"));
    assert_eq!(shown["name"], "After");
    assert_eq!(shown["ips"].as_array().unwrap().len(), ips.len());
}

#[test]
fn a_change_is_in_force_when_it_is_shown_and_none_is_lost() {
    let server = server();
    let visitor = Visitor::first(&server);
    let (key, id) = visitor.key(&[("name", "Before"), ("origins", "https://a.example.com")]);
    let at = format!("/keys/{id}/change");
    let form = visitor.page(&at);
    assert!(
        form.contains("value=\"Before\"") && form.contains("\nhttps://a.example.com</textarea>"),
        "{form}"
    );
    let revision = hidden(&form, "revision");
    let fields = |name: &'static str, limit: &'static str, revision: &str| {
        let owned = [
            ("revision", revision),
            ("name", name),
            ("project", "shop"),
            ("limited", "yes"),
            ("limit", limit),
        ];
        owned.map(|(name, value)| (name, value.to_owned()))
    };
    let post = |fields: [(&str, String); 5]| {
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        visitor.post(&at, &fields)
    };
    let answer = post(fields("After", "1", &revision));
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(
        answer.header("location"),
        Some(format!("/keys/{id}?did=changed").as_str())
    );
    assert_eq!(server.get_with(&key).status, 200);
    assert_eq!(server.get_with(&key).status, 429);

    // Somebody who has not seen that yet is told of both versions.
    let answer = post(fields("Mine", "7", &revision));
    assert_eq!(answer.status, 409);
    let page = answer.text();
    for part in [
        "Somebody else has changed this key",
        ">Mine<",
        ">After<",
        "value=\"Mine\"",
        "value=\"7\"",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let newer = hidden(&page, "revision");
    assert_ne!(newer, revision);
    assert_eq!(post(fields("Mine", "7", &newer)).status, 303);
    let page = visitor.page(&format!("/keys/{id}"));
    assert!(
        page.contains("<h1>Mine</h1>") && page.contains("key.change"),
        "{page}"
    );

    let wrong = post(fields("Mine", "-1", &newer));
    assert_eq!(wrong.status, 422);
    assert_eq!(hidden(&wrong.text(), "revision"), newer);
    assert_eq!(visitor.post(&at, &[("revision", "x")]).status, 400);
    assert_eq!(visitor.post("/keys/nothing/change", &[]).status, 404);
    assert_eq!(visitor.get("/keys/zzzzzzzzzz").status, 404);
}

#[test]
fn states_are_changed_by_forms_and_revoking_is_asked_about() {
    let server = server();
    let visitor = Visitor::first(&server);
    let (key, id) = visitor.key(&[("name", "Leaky")]);
    let path = |what: &str| format!("/keys/{id}/{what}");
    let revision = || hidden(&visitor.page(&format!("/keys/{id}")), "revision");
    let post = |what: &str| visitor.post(&path(what), &[("revision", &revision())]);
    let old = revision();
    assert_eq!(
        post("disable").header("location"),
        Some(format!("/keys/{id}?did=disabled").as_str())
    );
    assert_eq!(server.get_with(&key).reason(), "disabled_key");
    let stale = visitor.post(&path("enable"), &[("revision", &old)]);
    assert_eq!(stale.status, 412);
    assert!(
        stale.text().contains("Not as you saw it"),
        "{}",
        stale.text()
    );
    assert_eq!(post("enable").status, 303);
    assert_eq!(server.get_with(&key).status, 200);

    let question = visitor.page(&path("revoke"));
    assert!(
        question.contains("This cannot be undone.") && question.contains("Leaky"),
        "{question}"
    );
    assert_eq!(server.get_with(&key).status, 200);
    let long = "x".repeat(201);
    let revision = hidden(&question, "revision");
    let wrong = visitor.post(
        &path("revoke"),
        &[("revision", &revision), ("reason", &long)],
    );
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.text().contains("Reason: at most 200 bytes"),
        "{}",
        wrong.text()
    );
    let done = visitor.post(
        &path("revoke"),
        &[
            ("revision", &revision),
            ("reason", "in a public repository"),
        ],
    );
    assert_eq!(done.status, 303);
    assert_eq!(server.get_with(&key).reason(), "revoked_key");
    let page = visitor.page(&format!("/keys/{id}"));
    assert!(
        page.contains("in a public repository") && !page.contains(&path("change")),
        "{page}"
    );
    assert_eq!(visitor.get(&path("change")).status, 409);
    // Its page has no form, and so no revision; whoever knows that of now is
    // refused all the same.
    let shown = Admin::first(&server).get(&format!("/v1/keys/{id}"));
    let revision = shown.header("etag").unwrap().trim_matches('"');
    let no_way = visitor.post(&path("enable"), &[("revision", revision)]);
    assert_eq!(no_way.status, 409, "{}", no_way.text());
    assert_eq!(server.get_with(&key).reason(), "revoked_key");
}

#[test]
fn a_rotated_key_and_its_successor_know_of_each_other() {
    let server = server();
    let visitor = Visitor::first(&server);
    let (old_key, old) = visitor.key(&[("name", "Rotor")]);
    let at = format!("/keys/{old}/rotate");
    let form = visitor.page(&at);
    let (once, revision) = (hidden(&form, "once"), hidden(&form, "revision"));
    let wrong = visitor.post(
        &at,
        &[
            ("once", &once),
            ("revision", &revision),
            ("overlap", "12"),
            ("expires", "soon"),
        ],
    );
    assert_eq!(wrong.status, 422);
    let page = wrong.text();
    assert!(
        page.contains("Overlap: choose one") && page.contains("Expiry: &quot;soon&quot;"),
        "{page}"
    );
    assert_eq!(hidden(&page, "once"), once);
    let fields = [
        ("once", once.as_str()),
        ("revision", &revision),
        ("overlap", "3600"),
    ];
    let made = visitor.post(&at, &fields);
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let new_key = secret_in(&made.text(), "tk_live_");
    let new = &new_key[8..18];
    assert_ne!(new, old);
    for key in [&old_key, &new_key] {
        assert_eq!(server.get_with(key).status, 200);
    }
    let again = visitor.post(&at, &fields);
    assert_eq!(again.status, 409);
    assert!(!again.text().contains(&new_key));
    assert!(
        visitor
            .page(&format!("/keys/{old}"))
            .contains(&format!("Replaced by</dt><dd><a href=\"/keys/{new}\""))
    );
    assert!(
        visitor
            .page(&format!("/keys/{new}"))
            .contains(&format!("In the place of</dt><dd><a href=\"/keys/{old}\""))
    );
    // Who lost the value, and rotates the old one once more, is told that the
    // next would end with it.
    let ends = |page: &str| page.contains("This one expires at");
    assert!(!ends(&made.text()));
    let form = visitor.page(&at);
    let before = format!("It was replaced before, by <a href=\"/keys/{new}\"");
    assert!(form.contains(&before), "{form}");
    let fields = [
        ("once", &hidden(&form, "once")[..]),
        ("revision", &hidden(&form, "revision")[..]),
        ("overlap", "86400"),
    ];
    let made = visitor.post(&at, &fields);
    assert!(ends(&made.text()), "{}", made.text());
    // At once, this time.
    let form = visitor.page(&format!("/keys/{new}/rotate"));
    assert!(!form.contains("It was replaced before"), "{form}");
    let fields = [
        ("once", &hidden(&form, "once")[..]),
        ("revision", &hidden(&form, "revision")[..]),
        ("overlap", "0"),
    ];
    assert_eq!(
        visitor.post(&format!("/keys/{new}/rotate"), &fields).status,
        200
    );
    assert_eq!(server.get_with(&new_key).reason(), "expired_key");
}

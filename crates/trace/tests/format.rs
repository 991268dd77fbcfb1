//! What is a trace and what is none, and that every fault is named with its
//! place.

#![forbid(unsafe_code)]

use trace::{EngineSubject, Trace, replay};

const KEY: &str = "tk_live_Gu8zTEly6PuVAgrEAjRWPLQCMK5kN1LZTSj1OLXdIW3Ctw06";
const OTHER: &str = "tk_live_Zs8IQ9Y7aJZqhB6baeCN6Zj4a3dDVhYRnKTbxTNJFo0b9RMP";

fn parse(text: &str) -> Result<Trace, String> {
    let text = text.replace("$KEY", KEY).replace("$OTHER", OTHER);
    Trace::parse(text.as_bytes()).map_err(|error| error.to_string())
}

/// A trace whose only step is the given one, after a key `k1`.
fn step(step: &str) -> Result<Trace, String> {
    parse(&format!(
        r#"{{"trace": 1, "keys": [{{"name": "k1", "secret": "$KEY"}}],
            "steps": [{{"at": 1, "request": {{"ip": "::1"}}}}, {step}]}}"#
    ))
}

/// Asserts that each text is refused with a message that has every part.
fn refused(read: impl Fn(&str) -> Result<Trace, String>, cases: &[(&str, &[&str])]) {
    for (text, parts) in cases {
        let Err(message) = read(text) else {
            panic!("{text} was taken");
        };
        for part in *parts {
            assert!(message.contains(part), "{text}: {message:?} lacks {part:?}");
        }
        assert!(
            !message.contains(&KEY[8..]),
            "{text}: a secret in {message:?}"
        );
    }
}

#[test]
fn what_may_be_left_out_is_left_out() {
    let trace = parse(r#"{"trace": 1, "steps": []}"#).unwrap_or_else(|error| panic!("{error}"));
    assert!(trace.steps.is_empty());
    for whole in [
        r#"{"trace": 1, "name": null, "config": null, "keys": [], "sessions": [], "steps": []}"#,
        r#"{"trace": 1, "config": {"failures": null}, "steps": []}"#,
        r#"{"trace": 1, "config": {"failures": {}, "origins": [], "prefixes": ["a"]}, "steps": []}"#,
        r#"{"trace": 1, "keys": [{"secret": "$KEY"}, {"secret": "$OTHER", "name": null,
            "project": null, "hourly_limit": null, "expires_at": null}], "steps": []}"#,
        r#"{"trace": 1, "keys": [{"secret": "$KEY", "hourly_limit": 68719476734}], "steps": []}"#,
        r#"{"trace": 1, "sessions": [{"token": "t"}, {"token": "t"}], "steps": []}"#,
    ] {
        parse(whole).unwrap_or_else(|error| panic!("{whole}: {error}"));
    }
    for good in [
        r#"{"at": 0, "request": {"ip": "::1", "api_key": null, "origin": null, "bearer": null}}"#,
        r#"{"at": 18446744073709551615, "request": {"ip": "1.2.3.4", "cost": 4294967295}}"#,
        r#"{"at": 1, "request": {"ip": "::1"}, "expect": {}}"#,
        r#"{"at": 1, "request": {"ip": "::1"}, "expect": null, "do": null}"#,
        r#"{"at": 1, "request": {"ip": "::1"}, "expect": {"key": null, "limit": null}}"#,
        r#"{"at": 1, "do": {"set_limit": ["k1", null]}}"#,
        r#"{"at": 1, "do": {"add_key": {"name": "k2", "secret": "$OTHER"}}}"#,
    ] {
        step(good).unwrap_or_else(|error| panic!("{good}: {error}"));
    }
}

#[test]
fn the_shape_is_exact() {
    refused(
        parse,
        &[
            ("", &["EOF", "line 1"]),
            ("[]", &["expected an object"]),
            (r#"{"steps": []}"#, &["missing field `trace`"]),
            (r#"{"trace": 1}"#, &["missing field `steps`"]),
            (r#"{"trace": 2, "steps": []}"#, &["trace is 2", "version 1"]),
            (r#"{"trace": "1", "steps": []}"#, &["trace", "string"]),
            (r#"{"trace": 1, "steps": []} {}"#, &["trailing", "line 1"]),
            (
                r#"{"trace": 1, "steps": [], "steps": []}"#,
                &["duplicate field `steps`"],
            ),
            (r#"{"trace": 1, "stepps": []}"#, &["unknown field `stepps`"]),
            (
                r#"{"trace": 1, "steps": [[1]]}"#,
                &["step 1: ", "expected an object"],
            ),
            (
                r#"{"trace": 1, "config": [], "steps": []}"#,
                &["config: ", "expected an object"],
            ),
            (
                r#"{"trace": 1, "config": {"window": 1}, "steps": []}"#,
                &["config", "`window`"],
            ),
            (
                r#"{"trace": 1, "config": {"failures": {"window": 1}}, "steps": []}"#,
                &["config.failures", "`window`"],
            ),
            (
                r#"{"trace": 1, "keys": [{}], "steps": []}"#,
                &["key 1", "`secret`"],
            ),
            (
                r#"{"trace": 1, "keys": [["k1"]], "steps": []}"#,
                &["key 1", "an object"],
            ),
            (
                r#"{"trace": 1, "keys": null, "steps": []}"#,
                &["keys", "null"],
            ),
            (
                r#"{"trace": 1, "keys": [{"secret": "$KEY", "limit": 1}], "steps": []}"#,
                &["key 1", "`limit`"],
            ),
            (
                r#"{"trace": 1, "sessions": [{"user": "u"}], "steps": []}"#,
                &["session 1", "`token`"],
            ),
        ],
    );
    refused(
        step,
        &[
            (r#"{"request": {"ip": "::1"}}"#, &["step 2: ", "`at`"]),
            (
                r#"{"at": 1.0, "request": {"ip": "::1"}}"#,
                &["step 2: at", "floating point"],
            ),
            (
                r#"{"at": 1.5, "request": {"ip": "::1"}}"#,
                &["step 2: at", "floating point"],
            ),
            (
                r#"{"at": -1, "request": {"ip": "::1"}}"#,
                &["step 2: at", "-1"],
            ),
            (
                r#"{"at": 18446744073709551616, "do": {"enable": "k1"}}"#,
                &["step 2: at"],
            ),
            (
                r#"{"at": "1", "request": {"ip": "::1"}}"#,
                &["step 2: at", "string"],
            ),
            (r#"{"at": 1, "request": {}}"#, &["step 2: request", "`ip`"]),
            (
                r#"{"at": 1, "at": 2, "request": {"ip": "::1"}}"#,
                &["step 2", "duplicate field `at`"],
            ),
            (
                r#"{"at": 1, "request": {"ip": "::1", "ip": "::1"}}"#,
                &["step 2: request", "`ip`"],
            ),
            (
                r#"{"at": 1, "request": {"ip": "::1", "key": "x"}}"#,
                &["step 2: request", "`key`"],
            ),
            (
                r#"{"at": 1, "request": {"ip": "::1", "cost": null}}"#,
                &["step 2: request.cost", "null"],
            ),
            (
                r#"{"at": 1, "request": {"ip": "::1", "cost": -1}}"#,
                &["step 2: request.cost", "-1"],
            ),
            (
                r#"{"at": 1, "request": {"ip": "::1", "needs_user": 1}}"#,
                &["step 2: request.needs_user"],
            ),
            (r#"{"at": 1}"#, &["step 2: ", "neither"]),
            (
                r#"{"at": 1, "request": {"ip": "::1"}, "do": {"revoke": "k1"}}"#,
                &["step 2: ", "both"],
            ),
            (
                r#"{"at": 1, "do": {"revoke": "k1"}, "expect": {}}"#,
                &["step 2: ", "expect"],
            ),
            (r#"{"at": 1, "do": {}}"#, &["step 2: do", "this one has 0"]),
            (
                r#"{"at": 1, "do": {"revoke": "k1", "enable": "k1"}}"#,
                &["step 2: do", "this one has 2"],
            ),
            (
                r#"{"at": 1, "do": {"delete": "k1"}}"#,
                &["step 2: do", "`delete`"],
            ),
            (
                r#"{"at": 1, "do": {"revoke": null}}"#,
                &["step 2: do.revoke", "null"],
            ),
            (
                r#"{"at": 1, "do": {"set_limit": ["k1"]}}"#,
                &["step 2: do.set_limit", "2"],
            ),
            (
                r#"{"at": 1, "do": {"set_limit": ["k1", 1, 2]}}"#,
                &["step 2: do.set_limit", "trailing"],
            ),
            (
                r#"{"at": 1, "request": {"ip": "::1"}, "expect": {"why": 1}}"#,
                &["step 2: expect", "`why`"],
            ),
            (
                r#"{"at": 1, "request": {"ip": "::1"}, "expect": {"status": null}}"#,
                &["step 2: expect.status", "null"],
            ),
        ],
    );
}

#[test]
fn values_are_checked_where_they_stand() {
    refused(
        step,
        &[
            (
                r#"{"at": 1, "request": {"ip": "1.2.3"}}"#,
                &["step 2: request.ip", "\"1.2.3\""],
            ),
            (
                r#"{"at": 1, "request": {"ip": "::1", "cost": 4294967296}}"#,
                &["request.cost", "4294967296"],
            ),
            (
                r#"{"at": 1, "request": {"ip": "::1"}, "expect": {"reason": "ok"}}"#,
                &["step 2: expect.reason", "\"ok\""],
            ),
            (
                r#"{"at": 1, "request": {"ip": "::1"}, "expect": {"key": "k2"}}"#,
                &["step 2: expect.key", "\"k2\""],
            ),
            (
                r#"{"at": 1, "do": {"revoke": "k2"}}"#,
                &["step 2: do.revoke", "\"k2\""],
            ),
            (
                r#"{"at": 1, "do": {"set_limit": ["k2", 1]}}"#,
                &["step 2: do.set_limit[0]", "\"k2\""],
            ),
            (
                r#"{"at": 1, "do": {"set_limit": ["k1", 68719476735]}}"#,
                &["step 2: do.set_limit[1]", "68719476735"],
            ),
            (
                r#"{"at": 1, "do": {"unblock": "::1/64"}}"#,
                &["step 2: do.unblock", "\"::1/64\""],
            ),
            (
                r#"{"at": 1, "do": {"add_key": {"name": "k1", "secret": "$OTHER"}}}"#,
                &["step 2: do.add_key.name", "\"k1\""],
            ),
            (
                r#"{"at": 1, "do": {"add_key": {"name": "k2", "secret": "$KEY"}}}"#,
                &["step 2: do.add_key.secret", "id"],
            ),
            (
                r#"{"at": 1, "do": {"add_session": {"token": "t", "user": "(none)"}}}"#,
                &["step 2: do.add_session.user", "(none)"],
            ),
        ],
    );
    let key = |members: &str| {
        parse(&format!(
            r#"{{"trace": 1, "keys": [{{"name": "k1", {members}}}], "steps": []}}"#
        ))
    };
    refused(
        key,
        &[
            (r#""secret": "tk_live_x""#, &["key 1: secret", "not a key"]),
            (
                r#""secret": "$KEY", "hourly_limit": 68719476735"#,
                &["key 1: hourly_limit"],
            ),
            (
                r#""secret": "$KEY", "hourly_limit": 1e3"#,
                &["key 1: hourly_limit", "floating"],
            ),
            (
                r#""secret": "$KEY", "project": """#,
                &["key 1: project", "\"\""],
            ),
            (
                r#""secret": "$KEY", "state": "on""#,
                &["key 1: state", "\"on\""],
            ),
            (
                r#""secret": "$KEY", "state": {"active": null}"#,
                &["key 1: state", "map"],
            ),
            (
                r#""secret": "$KEY", "ips": ["::/0", "1.2.3.4/33"]"#,
                &["key 1: ips[1]", "1.2.3.4/33"],
            ),
            (
                r#""secret": "$KEY", "origins": ["a.example"]"#,
                &["key 1: origins[0]", "a.example"],
            ),
            (
                r#""secret": "$KEY"}, {"name": "k1", "secret": "$OTHER""#,
                &["key 2: name", "\"k1\""],
            ),
            (
                r#""secret": "$KEY"}, {"name": "k2", "secret": "$KEY""#,
                &["key 2: secret"],
            ),
        ],
    );
    let config = |members: &str| {
        parse(&format!(
            r#"{{"trace": 1, "config": {{{members}}}, "steps": []}}"#
        ))
    };
    refused(
        config,
        &[
            (r#""prefixes": []"#, &["config.prefixes", "no key prefix"]),
            (r#""prefixes": ["a", "a"]"#, &["config.prefixes", "twice"]),
            (
                r#""prefixes": ["a", "A"]"#,
                &["config.prefixes[1]", "\"A\""],
            ),
            (
                r#""prefixes": ["abcdefghijklmnop"]"#,
                &["config.prefixes[0]", "too long"],
            ),
            (
                r#""origins": ["https://a.example/"]"#,
                &["config.origins[0]", "https://a.example/"],
            ),
            (
                r#""failures": {"exempt": ["10.0.0.1/8"]}"#,
                &["config.failures.exempt[0]", "10.0.0.0/8"],
            ),
        ],
    );
}

#[test]
fn what_only_the_engine_refuses_is_named_too() {
    for (failures, part) in [
        (r#"{"window_s": 301}"#, "301"),
        (r#"{"threshold": 0}"#, "threshold"),
        (r#"{"block_s": 0}"#, "block"),
    ] {
        let text = format!(r#"{{"trace": 1, "config": {{"failures": {failures}}}, "steps": []}}"#);
        let trace = parse(&text).unwrap_or_else(|error| panic!("{error}"));
        let Err(error) = replay::<EngineSubject>(&trace) else {
            panic!("{failures} was taken");
        };
        assert!(error.to_string().contains(part), "{error}");
    }
}

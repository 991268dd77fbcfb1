//! Each row of the decision table, as the wire has it.

use crate::rig::{APP, AT, Answer, Rig, TOKEN};
use engine::{CidrList, KeyState, Limit, OriginList};
use engine_hyper::{ForwardedHeader, RouteNeeds, RoutePolicy, RouteRule};

const UNKNOWN: &str = "tk_live_Gu8zTEly6PuVAgrEAjRWPLQCMK5kN1LZTSj1OLXdIW3Ctw06";

/// What every refusal has, and its own status, reason and detail.
#[track_caller]
fn refused(answer: &Answer, status: u16, reason: &str, detail: &str) {
    assert_eq!((answer.status, answer.reason()), (status, reason));
    assert_eq!(
        answer.header("content-type").unwrap(),
        "application/problem+json"
    );
    assert_eq!(answer.header("cache-control").unwrap(), "no-store");
    assert_eq!(answer.header("vary").unwrap(), "Origin");
    let body = answer.json();
    assert_eq!(body["status"], status);
    assert_eq!(body["reason"], reason);
    assert_eq!(body["detail"], detail);
    assert!(body["title"].is_string());
    if status != 429 {
        assert_eq!(body["type"], "about:blank");
    }
    let challenge = (status == 401).then(|| "api-key realm=\"tokenkit\"".to_owned());
    assert_eq!(answer.header("www-authenticate"), challenge);
    assert_eq!(answer.header("retry-after").is_some(), status == 429);
    assert_eq!(
        answer.header("ratelimit").is_some(),
        reason == "hourly_limit"
    );
    assert_eq!(answer.header("x-tokenkit-key"), None);
}

#[tokio::test]
async fn row_1_missing_key() {
    let rig = Rig::new();
    for headers in [&[][..], &[("api-key", "")], &[("api-key", "  ")]] {
        let answer = rig.send("GET", "/", headers).await;
        refused(
            &answer,
            401,
            "missing_key",
            "The api-key header is missing.",
        );
    }
    assert_eq!(rig.forwarded(), 0);
}

#[tokio::test]
async fn rows_2_to_4_guesses_block_the_address() {
    let rig = Rig::new();
    let key = rig.key(|_| {});
    let answer = rig.send("GET", "/", &[("api-key", "guess")]).await;
    refused(&answer, 401, "malformed_key", "The api-key is malformed.");
    let twice = [("api-key", key.expose()), ("api-key", key.expose())];
    let answer = rig.send("GET", "/", &twice).await;
    refused(&answer, 401, "malformed_key", "The api-key is malformed.");
    let answer = rig.send("GET", "/", &[("api-key", UNKNOWN)]).await;
    refused(&answer, 401, "unknown_key", "The api-key is unknown.");

    rig.clock.set(AT + 1);
    let answer = rig.send("GET", "/", &[("api-key", key.expose())]).await;
    let detail = "Too many failed api-key attempts from this IP address. Try again later.";
    refused(&answer, 429, "ip_blocked", detail);
    assert_eq!(answer.header("retry-after").unwrap(), "59");
    assert_eq!(
        answer.json()["type"],
        "https://iana.org/assignments/http-problem-types#abnormal-usage-detected"
    );
    rig.clock.set(AT + 60);
    assert_eq!(
        rig.send("GET", "/", &[("api-key", key.expose())])
            .await
            .status,
        200
    );
    assert_eq!(rig.forwarded(), 1);
}

#[tokio::test]
async fn row_5_dead_keys() {
    let rig = Rig::new();
    let cases = [
        (
            KeyState::Revoked,
            None,
            "revoked_key",
            "The api-key has been revoked.",
        ),
        (
            KeyState::Disabled,
            None,
            "disabled_key",
            "The api-key is disabled.",
        ),
        (
            KeyState::Active,
            Some(AT),
            "expired_key",
            "The api-key has expired.",
        ),
    ];
    for (state, expires_at, reason, detail) in cases {
        let key = rig.key(|policy| {
            policy.expires_at = expires_at;
            policy.state = state;
        });
        let answer = rig.send("GET", "/", &[("api-key", key.expose())]).await;
        refused(&answer, 401, reason, detail);
        assert_eq!(answer.decision.unwrap().key(), Some(key.id()));
    }
}

#[tokio::test]
async fn row_6_origin_denied() {
    let rig = Rig::new();
    let key = rig.key(|policy| policy.origins = OriginList::parse([APP]).unwrap());
    let strict = rig.key(|policy| policy.require_origin = true);
    let detail = "This origin is not in the api-key's allow list.";
    let listed = ("origin", APP);
    for (key, origins) in [
        (&key, &[("origin", "https://evil.test")][..]),
        (&key, &[listed, listed]),
        (&strict, &[]),
    ] {
        let headers = [&[("api-key", key.expose())], origins].concat();
        let answer = rig.send("GET", "/", &headers).await;
        refused(&answer, 401, "origin_denied", detail);
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let headers = [("api-key", key.expose()), listed];
    assert_eq!(rig.send("GET", "/", &headers).await.status, 200);
}

#[tokio::test]
async fn row_7_ip_denied() {
    let proxies = CidrList::parse(["198.51.100.0/24"]).unwrap();
    let rig = Rig::with(|builder| builder.trusted_proxies(proxies, ForwardedHeader::XForwardedFor));
    let key = rig.key(|policy| policy.ips = CidrList::parse(["192.0.2.1"]).unwrap());
    let from = |ip| {
        [
            ("api-key", key.expose().to_owned()),
            ("x-forwarded-for", String::from(ip)),
        ]
    };
    for (ip, status) in [
        ("192.0.2.1", 200),
        ("192.0.2.1, 192.0.2.2", 401),
        ("rubbish", 401),
    ] {
        let headers = from(ip);
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let answer = rig.send("GET", "/", &headers).await;
        assert_eq!(answer.status, status, "{ip}");
        if status == 401 {
            let detail = "This IP address is not in the api-key's allow list.";
            refused(&answer, 401, "ip_denied", detail);
        }
    }
}

#[tokio::test]
async fn rows_8_and_9_users() {
    let rig = Rig::new();
    let key = rig.key(|_| {});
    let key = ("api-key", key.expose());
    let bearer = format!("bearer {TOKEN}");
    let bearer = ("authorization", bearer.as_str());

    let detail = "This endpoint also requires a user's bearer token.";
    for headers in [
        &[key][..],
        &[key, ("authorization", "Basic dTpw")],
        &[key, ("authorization", "Bearer")],
    ] {
        let answer = rig.send("GET", "/me", headers).await;
        refused(&answer, 403, "bearer_required", detail);
        assert_eq!(answer.json()["title"], "Forbidden");
    }
    // However the path is spelt.
    for path in ["/%6de", "/me/x", "//me", "/x/..;/me", "/ME"] {
        assert_eq!(rig.send("GET", path, &[key]).await.status, 403, "{path}");
    }

    let detail = "The bearer token is invalid or has expired.";
    rig.session("p2", None);
    refused(
        &rig.send("GET", "/me", &[key, bearer]).await,
        403,
        "bearer_invalid",
        detail,
    );
    rig.session("p1", Some(AT));
    refused(
        &rig.send("GET", "/me", &[key, bearer]).await,
        403,
        "bearer_invalid",
        detail,
    );
    rig.session("p1", Some(AT + 1));
    refused(
        &rig.send("GET", "/me", &[key, bearer, bearer]).await,
        403,
        "bearer_invalid",
        detail,
    );
    assert_eq!(rig.forwarded(), 0);
    let answer = rig.send("GET", "/me", &[key, bearer]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("x-tokenkit-user: u1"));
}

#[tokio::test]
async fn rows_10_and_11_budget() {
    let rig = Rig::new();
    let key = rig.key(|_| {});
    let key = [("api-key", key.expose())];
    for (remaining, status) in [(1, 200), (0, 200), (0, 429)] {
        let answer = rig.send("GET", "/", &key).await;
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.header("ratelimit-policy").unwrap(),
            "\"hour\";q=2;w=3600"
        );
        assert_eq!(
            answer.header("ratelimit").unwrap(),
            format!("\"hour\";r={remaining};t=2800")
        );
        assert_eq!(answer.header("x-ratelimit-limit").unwrap(), "2");
        assert_eq!(
            answer.header("x-ratelimit-remaining").unwrap(),
            remaining.to_string()
        );
        assert_eq!(answer.header("x-ratelimit-reset").unwrap(), "1790002800");
        assert_eq!(answer.header("vary").unwrap(), "Origin");
        if status == 429 {
            refused(
                &answer,
                429,
                "hourly_limit",
                "The api-key's hourly rate limit is exhausted.",
            );
            assert_eq!(answer.header("retry-after").unwrap(), "2800");
            assert_eq!(
                answer.json()["violated-policies"],
                serde_json::json!(["hour"])
            );
            assert_eq!(
                answer.json()["type"],
                "https://iana.org/assignments/http-problem-types#quota-exceeded"
            );
        } else {
            assert_eq!(answer.reason(), "allowed");
            assert_eq!(answer.header("cache-control"), None);
        }
    }
    rig.clock.set(AT + 2800);
    assert_eq!(rig.send("GET", "/", &key).await.status, 200);
}

#[tokio::test]
async fn an_unlimited_key_has_no_budget_to_tell() {
    let rig = Rig::new();
    let key = rig.key(|policy| policy.hourly_limit = None);
    let answer = rig.send("GET", "/", &[("api-key", key.expose())]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("ratelimit"), None);
    assert_eq!(answer.header("x-ratelimit-limit"), None);
}

#[tokio::test]
async fn a_route_sets_the_cost() {
    let dear = RouteNeeds {
        needs_user: false,
        cost: 5,
    };
    let rig = Rig::with(|builder| {
        let rule = RouteRule::new([http::Method::POST], "/dear", dear).unwrap();
        builder.routes(RoutePolicy::new(vec![rule]))
    });
    let key = rig.key(|policy| policy.hourly_limit = Limit::try_from(10).ok());
    let key = [("api-key", key.expose())];
    for (method, remaining) in [("POST", 5), ("GET", 4)] {
        let answer = rig.send(method, "/dear", &key).await;
        assert_eq!(
            answer.header("x-ratelimit-remaining").unwrap(),
            remaining.to_string()
        );
    }
}

#[tokio::test]
async fn a_head_gets_the_headers_alone() {
    let rig = Rig::new();
    let get = rig.send("GET", "/", &[]).await;
    let head = rig.send("HEAD", "/", &[]).await;
    assert_eq!((head.status, head.body.as_str()), (401, ""));
    assert_eq!(
        head.header("content-length").unwrap(),
        get.body.len().to_string()
    );
    for name in ["content-type", "www-authenticate", "cache-control", "vary"] {
        assert_eq!(head.header(name), get.header(name));
    }
}

#[tokio::test]
async fn without_a_peer_nothing_is_admitted() {
    let rig = Rig::new();
    let key = rig.key(|_| {});
    for method in ["GET", "HEAD"] {
        let request = http::Request::builder()
            .method(method)
            .header("api-key", key.expose());
        let answer = rig.send_request(request.body(()).unwrap()).await;
        assert_eq!(answer.status, 500);
        assert_eq!(
            answer.header("content-type").unwrap(),
            "application/problem+json"
        );
        assert_eq!(answer.header("cache-control").unwrap(), "no-store");
        if method == "GET" {
            assert_eq!(answer.json()["status"], 500);
        } else {
            assert_eq!(answer.body, "");
        }
    }
    assert_eq!(rig.forwarded(), 0);
}

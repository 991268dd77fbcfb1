//! What browsers get: preflights, and answers that pages may read.

use crate::rig::{APP, AT, Answer, CONSOLE, Rig};
use engine::wire::Wire;
use engine::{KeyState, OriginList};
use http::HeaderValue;

const EXPOSED: &str = "www-authenticate, retry-after, ratelimit-policy, ratelimit, \
                       x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset";

fn rig_with_key() -> (Rig, String) {
    let rig = Rig::new();
    let key = rig.key(|policy| policy.origins = OriginList::parse([APP]).unwrap());
    let key = key.expose().to_owned();
    (rig, key)
}

async fn preflight(rig: &Rig, origin: &str, more: &[(&str, &str)]) -> Answer {
    let asks = [
        ("origin", origin),
        ("access-control-request-method", "PATCH"),
    ];
    rig.send("OPTIONS", "/v1", &[&asks, more].concat()).await
}

#[tokio::test]
async fn a_preflight_is_answered_and_never_forwarded() {
    let (rig, _) = rig_with_key();
    let asked = [
        ("access-control-request-headers", "x-a,API-KEY, bad name"),
        ("access-control-request-headers", "content-type"),
    ];
    for origin in [APP, CONSOLE] {
        let answer = preflight(&rig, origin, &asked).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(
            answer.header("access-control-allow-origin").unwrap(),
            origin
        );
        assert_eq!(
            answer.header("access-control-allow-methods").unwrap(),
            "PATCH"
        );
        assert_eq!(
            answer.header("access-control-allow-headers").unwrap(),
            "api-key, authorization, x-a, content-type"
        );
        assert_eq!(answer.header("access-control-max-age").unwrap(), "600");
        assert_eq!(
            answer.header("vary").unwrap(),
            "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
        );
        assert_eq!(answer.header("content-length"), None);
        assert!(answer.decision.is_none());
    }
    assert_eq!(rig.forwarded(), 0);
}

#[tokio::test]
async fn an_origin_that_nobody_lists_is_granted_nothing() {
    let (rig, _) = rig_with_key();
    let dead = rig.key(|policy| policy.origins = OriginList::parse(["https://old.test"]).unwrap());
    rig.engine
        .set_key_state(dead.id(), KeyState::Revoked)
        .unwrap();
    for (origin, more) in [
        ("https://evil.test", &[][..]),
        ("https://old.test", &[]),
        (APP, &[("origin", APP)]),
    ] {
        let answer = preflight(&rig, origin, more).await;
        assert_eq!(answer.status, 204);
        assert!(answer.header("vary").unwrap().starts_with("Origin"));
        assert_eq!(answer.headers.len(), 1, "{origin}");
    }
}

#[tokio::test]
async fn other_requests_are_no_preflights() {
    let (rig, _) = rig_with_key();
    let (origin, wanted) = (("origin", APP), ("access-control-request-method", "GET"));
    for (method, headers) in [
        ("OPTIONS", &[][..]),
        ("OPTIONS", &[origin]),
        ("OPTIONS", &[wanted]),
        ("GET", &[origin, wanted]),
    ] {
        let answer = rig.send(method, "/v1", headers).await;
        assert_eq!((answer.status, answer.reason()), (401, "missing_key"));
    }
}

#[tokio::test]
async fn a_page_may_read_answers_and_refusals() {
    let (rig, key) = rig_with_key();
    let api_key = ("api-key", key.as_str());
    let cases = [
        // The key is known and lists the origin.
        (&[api_key, ("origin", APP)][..], 200, Some(APP)),
        // So does the server, whatever the key: but this key does not.
        (&[api_key, ("origin", CONSOLE)], 401, Some(CONSOLE)),
        (
            &[("api-key", "guess"), ("origin", CONSOLE)],
            401,
            Some(CONSOLE),
        ),
        (&[("origin", CONSOLE)], 401, Some(CONSOLE)),
        // No key is known.
        (&[("origin", APP)], 401, None),
        (&[api_key, ("origin", "https://evil.test")], 401, None),
        (&[api_key], 200, None),
    ];
    for (headers, status, echoed) in cases {
        let answer = rig.send("GET", "/", headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        assert_eq!(
            answer.header("access-control-allow-origin").as_deref(),
            echoed
        );
        let exposed = answer.header("access-control-expose-headers");
        assert_eq!(exposed.as_deref(), echoed.map(|_| EXPOSED));
        assert_eq!(answer.header("vary").unwrap(), "Origin");
    }
    rig.clock.set(AT + 1);
    let answer = rig
        .send(
            "GET",
            "/",
            &[api_key, ("origin", "HTTPS://APP.example.com:443")],
        )
        .await;
    assert_eq!(answer.status, 429);
    let sent = "HTTPS://APP.example.com:443";
    assert_eq!(answer.header("access-control-allow-origin").unwrap(), sent);
}

#[tokio::test]
async fn what_the_service_says_never_stands_twice() {
    let (mut rig, key) = rig_with_key();
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", "etag"),
        ("ratelimit", "\"own\";r=9"),
        ("x-ratelimit-limit", "99"),
        ("vary", "Accept-Encoding"),
        ("etag", "\"e\""),
    ] {
        rig.says.insert(name, HeaderValue::from_static(value));
    }
    let answer = rig
        .send("GET", "/", &[("api-key", &key), ("origin", APP)])
        .await;
    assert_eq!(answer.header("access-control-allow-origin").unwrap(), APP);
    assert_eq!(
        answer.header("access-control-expose-headers").unwrap(),
        format!("etag, {EXPOSED}")
    );
    assert_eq!(answer.header("ratelimit").unwrap(), "\"hour\";r=1;t=2800");
    assert_eq!(answer.header("x-ratelimit-limit").unwrap(), "2");
    assert_eq!(answer.header("vary").unwrap(), "Accept-Encoding, Origin");
    assert_eq!(answer.header("etag").unwrap(), "\"e\"");
    // Where the layer has nothing to say, the service's word stands.
    let answer = rig.send("GET", "/", &[("api-key", &key)]).await;
    assert_eq!(answer.header("access-control-allow-origin").unwrap(), "*");
}

#[tokio::test]
async fn realm_legacy_headers_and_max_age_are_settings() {
    let wire = Wire::new("shop", false).unwrap();
    let rig = Rig::with(|builder| builder.wire(wire).preflight_max_age_s(5));
    let key = rig.key(|_| {});
    let refused = rig.send("GET", "/", &[("origin", CONSOLE)]).await;
    assert_eq!(
        refused.header("www-authenticate").unwrap(),
        "api-key realm=\"shop\""
    );
    assert_eq!(
        refused.header("access-control-expose-headers").unwrap(),
        "www-authenticate, retry-after, ratelimit-policy, ratelimit"
    );
    let allowed = rig.send("GET", "/", &[("api-key", key.expose())]).await;
    assert!(allowed.header("ratelimit").is_some());
    assert_eq!(allowed.header("x-ratelimit-limit"), None);
    let answer = preflight(&rig, CONSOLE, &[]).await;
    assert_eq!(answer.header("access-control-max-age").unwrap(), "5");
}

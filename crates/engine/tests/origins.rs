//! What an `Origin` header does to a decision.

use std::net::Ipv4Addr;

use engine::{Decision, Engine, KeyPolicy, OriginList, Reason, Request, SecretKey, ServerSecret};

/// An engine whose own list has one origin.
fn engine() -> Engine {
    Engine::builder(ServerSecret::from_bytes([7; 32]))
        .max_keys(8)
        .origins(OriginList::parse(["https://own.test"]).unwrap())
        .build()
        .unwrap()
}

fn key(engine: &Engine, origins: &[&str], require_origin: bool) -> SecretKey {
    let mut policy = KeyPolicy::new("p".parse().unwrap());
    policy.origins = OriginList::parse(origins).unwrap();
    policy.require_origin = require_origin;
    engine.mint(&"tk_live".parse().unwrap(), policy).unwrap()
}

fn asked(engine: &Engine, key: &SecretKey, origin: Option<&[u8]>) -> Decision {
    let mut request = Request::new(Ipv4Addr::LOCALHOST).api_key(key.expose().as_bytes());
    if let Some(origin) = origin {
        request = request.origin(origin);
    }
    engine.decide_at(&request, 1_790_000_000)
}

#[test]
fn a_demand_for_an_origin_is_not_met_by_a_blank_one() {
    let engine = engine();
    for (lists, origins) in [(false, &[] as &[&str]), (true, &["https://a.test"])] {
        for required in [false, true] {
            let key = key(&engine, origins, required);
            for (sent, blank) in [
                (None, true),
                (Some(b"" as &[u8]), true),
                (Some(b" \t"), true),
                (Some(b"https://a.test"), false),
            ] {
                // A blank header was sent, and so must be in the list, if any.
                let denied = blank && (required || lists && sent.is_some());
                let reason = asked(&engine, &key, sent).reason();
                let expected = if denied {
                    Reason::OriginDenied
                } else {
                    Reason::Allowed
                };
                assert_eq!(reason, expected, "{lists} {required} {sent:?}");
            }
        }
    }
}

#[test]
fn an_origin_too_long_to_be_one_is_in_no_list() {
    let engine = engine();
    let (listing, open) = (
        key(&engine, &["https://*.a.test"], false),
        key(&engine, &[], true),
    );
    let of_length = |len: usize| format!("https://{}.a.test", "x".repeat(len - 15));
    for (len, listed) in [(261, true), (262, false), (321, false), (100_000, false)] {
        let origin = of_length(len);
        assert_eq!(origin.len(), len);
        let decision = asked(&engine, &listing, Some(origin.as_bytes()));
        assert_eq!(decision.allow_origin(), listed, "{len}");
        assert_eq!(decision.is_allowed(), listed, "{len}");
        assert_eq!(engine.lists_origin(origin.as_bytes(), 0), listed, "{len}");
        let decision = asked(&engine, &open, Some(origin.as_bytes()));
        assert!(decision.is_allowed() && !decision.allow_origin());
    }
}

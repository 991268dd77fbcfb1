use engine::{KeyPolicy, ServerSecret, ShadowPolicy, ShadowScope};

use super::*;
use crate::layer::AuthLayer;
use crate::routes::RouteRule;
use crate::steps::counted;

const PATHS: [&str; 3] = ["/me/x", "//me/x%2fy", "//me/.%2f%2e%5c%252f%252e%5c;?#"];

/// A layer with a dear route that wants a user, among others.
fn layer() -> AuthLayer {
    let secret = ServerSecret::from_bytes([7; 32]);
    let engine = Engine::builder(secret).max_keys(1024).build().unwrap();
    let rule = |path: String| {
        let needs = RouteNeeds {
            needs_user: true,
            cost: 5,
        };
        RouteRule::new([], &path, needs).unwrap()
    };
    let rules = (0..20).map(|n| format!("/{n}/**")).chain(["/me/**".into()]);
    AuthLayer::builder(Arc::new(engine))
        .routes(RoutePolicy::new(rules.map(rule).collect()))
        .build()
}

/// Why, what it costs, and the steps of looking for the route.
fn decided(gate: &Gate, path: &str, keys: &[&str]) -> (Reason, u64, usize) {
    let mut headers = HeaderMap::new();
    for key in keys {
        headers.append(API_KEY, key.parse().unwrap());
    }
    let facts = RequestFacts {
        method: &Method::GET,
        path: path.as_bytes(),
        headers: &headers,
        client: ClientAddr::from(IpAddr::from([198, 51, 100, 7])),
    };
    let (verdict, steps) = counted(|| gate.decide(&facts));
    (verdict.decision().reason(), verdict.cost(), steps)
}

#[test]
fn a_request_without_a_key_has_its_route_not_looked_for() {
    let layer = layer();
    for path in PATHS {
        for keys in [&[][..], &[""], &[" \t"]] {
            let missing = (Reason::MissingKey, 1, 0);
            assert_eq!(
                decided(layer.gate(), path, keys),
                missing,
                "{path} {keys:?}"
            );
        }
    }
    let (reason, cost, steps) = decided(layer.gate(), "/me/x", &["", ""]);
    assert_eq!((reason, cost), (Reason::MalformedKey, 5));
    assert!(steps > 20);
    let policy = KeyPolicy::new("p1".parse().unwrap());
    let key = layer
        .gate()
        .engine()
        .mint(&"tk_live".parse().unwrap(), policy);
    let (reason, cost, steps) = decided(layer.gate(), "/me/x", &[key.unwrap().expose()]);
    assert_eq!((reason, cost), (Reason::BearerRequired, 5));
    assert!(steps > 20);
}

#[test]
fn a_missing_key_in_shadow_leaves_the_route_in_force() {
    let layer = layer();
    let mut policy = ShadowPolicy::default();
    policy.add(ShadowScope::All, Reason::MissingKey).unwrap();
    layer.gate().engine().set_shadow(policy);
    for path in PATHS {
        let (reason, cost, _) = decided(layer.gate(), path, &[]);
        assert_eq!((reason, cost), (Reason::BearerRequired, 5), "{path}");
    }
    let (reason, cost, _) = decided(layer.gate(), "/open", &[]);
    assert_eq!((reason, cost), (Reason::Allowed, 1));
    // Whatever else is in shadow, the key is missing.
    let mut policy = ShadowPolicy::default();
    policy.add(ShadowScope::All, Reason::HourlyLimit).unwrap();
    layer.gate().engine().set_shadow(policy);
    assert_eq!(decided(layer.gate(), "/me/x", &[]).0, Reason::MissingKey);
}

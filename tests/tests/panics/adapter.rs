//! Panics over the adapter's types.

use std::sync::Arc;

use engine::Engine;
use engine_hyper::{
    AuthLayer, ForwardedHeader, PathPattern, PeerAddr, RequestFacts, RouteNeeds, RoutePolicy,
    RouteRule,
};
use http::{HeaderMap, HeaderValue, Method};

use crate::tripped::{Secrets, Tripped};

/// Of `engine-hyper`, those that have no `Debug`: they hold what a client sent.
const SILENT_OF_HYPER: [&str; 3] = ["AuthFuture", "Checked", "RequestFacts"];
/// The body of an answer, which is the service's own, or a problem.
const BODIES_OF_HYPER: [&str; 1] = ["AuthBody"];

#[test]
fn no_panic_over_the_adapters_types_shows_a_secret() {
    let secrets = Secrets::new();
    let mut tripped = Tripped::new(&secrets);
    let engine = Arc::new(Engine::builder(secrets.server.clone()).build().unwrap());
    engine
        .insert_keys(vec![secrets.stored_key().record])
        .unwrap();
    let needs = RouteNeeds::default();
    let rule = RouteRule::new([], "/a/**", needs).unwrap();
    let pattern: PathPattern = "/a/**".parse().unwrap();
    tripped.over_two("PathPattern", &pattern, &"/b".parse().unwrap());
    tripped.over("RouteNeeds", &needs);
    tripped.over("RouteRule", &rule);
    let routes = RoutePolicy::new(vec![rule]);
    tripped.over("RoutePolicy", &routes);
    tripped.over("PeerAddr", &PeerAddr(([192, 0, 2, 1], 1).into()));
    tripped.over("ForwardedHeader", &ForwardedHeader::XForwardedFor);
    let builder = AuthLayer::builder(engine).routes(routes);
    tripped.over("AuthLayerBuilder", &builder);
    let layer = builder.build();
    tripped.over("AuthLayer", &layer);
    let gate = layer.gate();
    tripped.over("Gate", gate);
    tripped.over("Auth", &tower::Layer::layer(&layer, "a service"));
    let mut headers = HeaderMap::new();
    let key = HeaderValue::from_str(secrets.key.expose()).unwrap();
    headers.insert("api-key", key);
    let verdict = gate.decide(&RequestFacts {
        method: &Method::GET,
        path: b"/",
        headers: &headers,
        client: gate.client([192, 0, 2, 1].into(), &headers),
    });
    assert!(verdict.decision().is_allowed());
    tripped.over("Verdict", &verdict);
    tripped.all_of(
        include_str!("../../../crates/engine-hyper/src/lib.rs"),
        &[
            &SILENT_OF_HYPER,
            &BODIES_OF_HYPER,
            &["PatternError", "RouteError"],
        ],
    );
}

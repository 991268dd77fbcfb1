//! What reaches the service behind.

use crate::rig::{CLIENT, Rig, TOKEN};
use engine::Decision;
use engine_hyper::{Gate, RequestFacts};
use http::{HeaderMap, HeaderValue, Method};

const FORGED: [(&str, &str); 8] = [
    ("x-tokenkit-key", "forged"),
    ("x-tokenkit-project", "forged"),
    ("x-tokenkit-user", "forged"),
    ("X_Tokenkit_User", "forged"),
    ("x-tokenkit.user", "forged"),
    ("x.tokenkit.project", "forged"),
    ("api_key", "forged"),
    ("Api.Key", "forged"),
];

#[tokio::test]
async fn the_service_sees_who_asks_and_no_forgery() {
    let rig = Rig::new();
    let key = rig.key(|_| {});
    let headers = [&FORGED[..], &[("api-key", key.expose()), ("accept", "*/*")]].concat();
    let answer = rig.send("GET", "/", &headers).await;
    let expected = format!(
        "accept: */*\nx-tokenkit-key: {}\nx-tokenkit-project: p1",
        key.id()
    );
    assert_eq!((answer.status, answer.body), (200, expected));
}

#[tokio::test]
async fn a_valid_token_adds_its_user_where_none_is_wanted() {
    let rig = Rig::new();
    let key = rig.key(|_| {});
    rig.session("p1", None);
    let bearer = format!("Bearer {TOKEN}");
    let headers = [
        &FORGED[..],
        &[("api-key", key.expose()), ("authorization", &bearer)],
    ]
    .concat();
    let answer = rig.send("GET", "/", &headers).await;
    let users: Vec<_> = answer
        .body
        .lines()
        .filter(|line| line.contains("user"))
        .collect();
    assert_eq!(users, ["x-tokenkit-user: u1"]);
    // The token is the service's own business and goes on.
    assert!(answer.body.contains(&bearer));
}

#[tokio::test]
async fn the_key_is_forwarded_only_if_asked_for() {
    let rig = Rig::with(|builder| builder.forward_key(true));
    let key = rig.key(|_| {});
    let headers = [&FORGED[..], &[("api-key", key.expose())]].concat();
    let answer = rig.send("GET", "/", &headers).await;
    assert!(answer.body.contains(&format!("api-key: {}", key.expose())));
    assert!(!answer.body.contains("forged"));

    let mut headers = HeaderMap::new();
    headers.insert("api-key", HeaderValue::from_str(key.expose()).unwrap());
    rig.layer.gate().cleanse(&mut headers);
    assert!(!format!("{headers:?}").contains(key.expose()));
}

/// What a forward-auth endpoint does, without a service behind.
#[test]
fn the_gate_alone_decides_and_renders() {
    let rig = Rig::new();
    let gate: &Gate = rig.layer.gate();
    let key = rig.key(|_| {});
    let mut headers = HeaderMap::new();
    headers.insert("api-key", HeaderValue::from_str(key.expose()).unwrap());
    let facts = RequestFacts {
        method: &Method::GET,
        path: b"/",
        headers: &headers,
        client: gate.client(CLIENT.parse().unwrap(), &headers),
    };
    let verdict = gate.decide(&facts);
    assert!(gate.refusal(&verdict, &Method::GET).is_none());
    let mut answer = HeaderMap::new();
    gate.render(&verdict, &mut answer);
    gate.identify(&verdict, &mut answer);
    assert_eq!(answer["x-tokenkit-key"], key.id().to_string());
    assert_eq!(answer["x-tokenkit-project"], "p1");
    assert_eq!(answer["ratelimit"], "\"hour\";r=1;t=2800");

    let path = b"/me";
    let verdict = gate.decide(&RequestFacts { path, ..facts });
    let refusal = gate.refusal(&verdict, &Method::GET).unwrap();
    assert_eq!(refusal.status(), 403);
    assert_eq!(
        refusal.extensions().get::<Decision>(),
        Some(verdict.decision())
    );
    let mut answer = HeaderMap::new();
    gate.identify(&verdict, &mut answer);
    assert!(answer.is_empty(), "a refused request has no identity");
}

#[test]
fn no_secret_is_shown() {
    let rig = Rig::new();
    let key = rig.key(|_| {});
    let mut headers = HeaderMap::new();
    headers.insert("api-key", HeaderValue::from_str(key.expose()).unwrap());
    let gate = rig.layer.gate();
    let verdict = gate.decide(&RequestFacts {
        method: &Method::GET,
        path: b"/",
        headers: &headers,
        client: gate.client(CLIENT.parse().unwrap(), &headers),
    });
    let shown = format!("{verdict:?} {:?} {:?}", rig.layer, gate);
    assert!(!shown.contains(key.expose()));
    assert!(!shown.contains(&key.expose()[18..50]));
}

//! The layer on an axum router:
//! `cargo run -p engine-hyper --example axum`.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::routing::get;
use axum::{Extension, Router};
use engine::{Decision, Engine, KeyPolicy, Limit, ServerSecret};
use engine_hyper::{AuthLayer, RouteNeeds, RoutePolicy, RouteRule};
use http::{Extensions, Method};

fn peer(extensions: &Extensions) -> Option<IpAddr> {
    let info = extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(info.0.ip())
}

async fn hello(Extension(decision): Extension<Decision>) -> String {
    let key = decision
        .key()
        .map_or_else(|| "nobody".into(), |key| key.to_string());
    format!("hello, {key}\n")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::builder(ServerSecret::generate()?).build()?;
    let mut policy = KeyPolicy::new("demo".parse()?);
    policy.hourly_limit = Some(Limit::try_from(5)?);
    let key = engine.mint(&"tk_test".parse()?, policy)?;

    let report = RouteNeeds {
        needs_user: false,
        cost: 3,
    };
    let layer = AuthLayer::builder(Arc::new(engine))
        .routes(RoutePolicy::new(vec![RouteRule::new(
            [Method::GET],
            "/report",
            report,
        )?]))
        .peer(peer)
        .build();
    let router = Router::new()
        .route("/", get(hello))
        .route("/report", get(hello))
        .layer(layer);

    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 3000))).await?;
    writeln!(
        std::io::stdout(),
        "curl -i http://{}/report -H 'api-key: {}'",
        listener.local_addr()?,
        key.expose()
    )?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}

//! The layer before a service on hyper's own server:
//! `cargo run -p engine-hyper --example hyper`.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use engine::{Decision, Engine, KeyPolicy, Limit, ServerSecret};
use engine_hyper::{AuthLayer, PeerAddr};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tower::{ServiceBuilder, service_fn};

async fn hello(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let key = request
        .extensions()
        .get::<Decision>()
        .and_then(Decision::key);
    let key = key.map_or_else(|| "nobody".into(), |key| key.to_string());
    Ok(Response::new(format!("hello, {key}\n")))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::builder(ServerSecret::generate()?).build()?;
    let mut policy = KeyPolicy::new("demo".parse()?);
    policy.hourly_limit = Some(Limit::try_from(5)?);
    let key = engine.mint(&"tk_test".parse()?, policy)?;
    let layer = AuthLayer::builder(Arc::new(engine)).build();

    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 3000))).await?;
    writeln!(
        std::io::stdout(),
        "curl -i http://{}/ -H 'api-key: {}'",
        listener.local_addr()?,
        key.expose()
    )?;
    loop {
        let (stream, peer) = listener.accept().await?;
        let service = ServiceBuilder::new()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(PeerAddr(peer));
                request
            })
            .layer(layer.clone())
            .service(service_fn(hello));
        tokio::spawn(async move {
            let service = TowerToHyperService::new(service);
            // A connection that breaks concerns nobody else.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

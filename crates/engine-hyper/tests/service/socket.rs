//! The layer on hyper's server, over a real socket.

use std::convert::Infallible;
use std::net::SocketAddr;

use crate::rig::Rig;
use engine_hyper::{AuthLayer, PeerAddr};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{ServiceBuilder, service_fn};

/// Serves one connection, says where.
async fn serve_one(layer: AuthLayer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, peer) = listener.accept().await.unwrap();
        let service = ServiceBuilder::new()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(PeerAddr(peer));
                request
            })
            .layer(layer)
            .service(service_fn(|request: Request<Incoming>| async move {
                let key = request.headers()["x-tokenkit-key"]
                    .to_str()
                    .unwrap()
                    .to_owned();
                Ok::<_, Infallible>(Response::new(key))
            }));
        http1::Builder::new()
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
            .await
            .unwrap();
    });
    addr
}

#[tokio::test]
async fn requests_are_answered_over_a_socket() {
    let rig = Rig::new();
    let key = rig.key(|_| {});
    let addr = serve_one(rig.layer.clone()).await;
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let requests = format!(
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n\
         HEAD / HTTP/1.1\r\nhost: a\r\n\r\n\
         OPTIONS / HTTP/1.1\r\nhost: a\r\norigin: https://x.y\r\naccess-control-request-method: GET\r\n\r\n\
         GET / HTTP/1.1\r\nhost: a\r\nApi-Key: {}\r\nconnection: close, x-tokenkit-key\r\n\r\n",
        key.expose()
    );
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();

    let answers: Vec<&str> = text.split("HTTP/1.1 ").skip(1).collect();
    let [get, head, preflight, allowed] = answers[..] else {
        panic!("not four answers: {text}");
    };
    let length = |answer: &str| {
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        line.map(|length| length.parse::<usize>().unwrap())
    };
    let (_, body) = get.split_once("\r\n\r\n").unwrap();
    assert!(get.starts_with("401 Unauthorized\r\n"));
    assert!(get.contains("www-authenticate: api-key realm=\"tokenkit\"\r\n"));
    assert!(body.contains("\"reason\":\"missing_key\""));
    assert_eq!(length(get), Some(body.len()));

    assert!(head.starts_with("401 Unauthorized\r\n") && head.ends_with("\r\n\r\n"));
    assert_eq!(length(head), Some(body.len()));

    assert!(preflight.starts_with("204 No Content\r\n") && preflight.ends_with("\r\n\r\n"));
    assert_eq!(length(preflight), None);

    assert!(allowed.starts_with("200 OK\r\n"));
    assert!(allowed.contains("ratelimit: \"hour\";r=1;t=2800\r\n"));
    assert!(allowed.ends_with(&key.id().to_string()));
}

//! Whatever a client writes into the header by which proxies name their peer,
//! the hop that the trusted proxy wrote behind it is the client; and nothing
//! that an untrusted peer writes counts.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use engine::{CidrList, Engine, ServerSecret};
use engine_hyper::{AuthLayer, ForwardedHeader, Gate};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// For each header: its name, the gate that reads it, and the hop that the
/// proxy writes into it.
static HEADERS: LazyLock<[(&str, Arc<Gate>, &str); 2]> = LazyLock::new(|| {
    let gate = |header| {
        let engine = Engine::builder(ServerSecret::from_bytes([0; 32])).max_keys(1);
        let proxies = CidrList::parse(["10.0.0.0/8"]).expect("a block");
        let layer = AuthLayer::builder(Arc::new(engine.build().expect("an engine")))
            .trusted_proxies(proxies, header)
            .build();
        layer.gate().clone()
    };
    [
        (
            "x-forwarded-for",
            gate(ForwardedHeader::XForwardedFor),
            "192.0.2.1",
        ),
        (
            "forwarded",
            gate(ForwardedHeader::Forwarded),
            "for=\"192.0.2.1:4711\";proto=https",
        ),
    ]
});

fuzz_target!(|input: (bool, Vec<&[u8]>)| {
    let (own_line, sent) = input;
    for (name, gate, hop) in HEADERS.iter() {
        let mut lines: Vec<Vec<u8>> = sent.iter().map(|line| line.to_vec()).collect();
        match lines.last_mut() {
            Some(last) if !own_line => last.extend([b", ", hop.as_bytes()].concat()),
            _ => lines.push(hop.as_bytes().to_vec()),
        }
        let mut headers = HeaderMap::new();
        for line in lines {
            // What HTTP does not carry no proxy passes on.
            let Ok(value) = HeaderValue::from_bytes(&line) else {
                return;
            };
            headers.append(*name, value);
        }
        assert_eq!(gate.client(PROXY, &headers).ip(), CLIENT);
        assert_eq!(gate.client(STRANGER, &headers).ip(), STRANGER);
    }
});

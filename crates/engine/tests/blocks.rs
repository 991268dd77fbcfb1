//! Who is blocked, as people see it; and who is exempt, changed while the
//! engine decides.

use std::net::IpAddr;

use engine::{CidrList, Engine, FailureConfig, Reason, Request, ServerSecret};

const NOW: u64 = 1_790_000_000;

fn engine() -> Engine {
    let failures = FailureConfig {
        threshold: 2,
        window_s: 300,
        block_s: 60,
        max_addresses: 8192,
        ..FailureConfig::default()
    };
    let secret = ServerSecret::generate().unwrap();
    Engine::builder(secret).failures(failures).build().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn guess(engine: &Engine, from: &str, at: u64) -> Reason {
    let request = Request::new(engine::ClientAddr::from(ip(from))).api_key(b"guess");
    engine.decide_at(&request, at).reason()
}

fn named(engine: &Engine, at: u64) -> Vec<(String, u64)> {
    let blocks = engine.blocks(at).into_iter();
    blocks
        .map(|block| (block.addresses.to_string(), block.until))
        .collect()
}

#[test]
fn blocked_addresses_are_named_until_their_block_ends() {
    let engine = engine();
    let both = [
        ("2001:db8::/64".to_owned(), NOW + 70),
        ("192.0.2.1/32".to_owned(), NOW + 60),
    ];
    for (from, at, named_before) in [
        ("192.0.2.1", NOW, &both[2..]),
        ("2001:db8::1", NOW + 10, &both[1..]),
    ] {
        assert_eq!(guess(&engine, from, at), Reason::MalformedKey);
        assert_eq!(named(&engine, at), named_before, "not yet");
        // The one that blocks is answered like the others.
        assert_eq!(guess(&engine, from, at), Reason::MalformedKey);
    }
    assert_eq!(named(&engine, NOW + 10), both);
    assert_eq!(engine.stats(NOW + 10).blocked_addresses, 2);
    assert_eq!(named(&engine, NOW + 60), both[..1]);
    assert_eq!(engine.block_of(ip("192.0.2.1"), NOW + 59), Some(NOW + 60));
    assert_eq!(engine.block_of(ip("192.0.2.1"), NOW + 60), None);
    assert_eq!(engine.block_of(ip("192.0.2.2"), NOW), None);
    // One of the /64 stands for all.
    assert!(engine.unblock(ip("2001:db8::2"), NOW + 60));
    assert_eq!(named(&engine, NOW + 60), []);
}

#[test]
fn however_many_are_blocked_at_once_each_is_named() {
    let engine = engine();
    for n in 0..1000_u32 {
        let from = format!("10.0.{}.{}", n / 250, n % 250);
        guess(&engine, &from, NOW);
        guess(&engine, &from, NOW);
    }
    let counted = engine.stats(NOW).blocked_addresses;
    assert_eq!(named(&engine, NOW).len(), counted);
    assert!(counted > 900, "{counted}");
}

#[test]
fn an_exemption_is_in_force_at_once_and_ends_as_it_began() {
    let engine = engine();
    for _ in 0..2 {
        guess(&engine, "192.0.2.1", NOW);
    }
    assert_eq!(guess(&engine, "192.0.2.1", NOW), Reason::IpBlocked);
    engine.set_exempt(CidrList::parse(["192.0.2.0/24"]).unwrap());
    for _ in 0..5 {
        assert_eq!(guess(&engine, "192.0.2.1", NOW), Reason::MalformedKey);
        assert_eq!(guess(&engine, "192.0.2.9", NOW), Reason::MalformedKey);
    }
    assert_eq!(named(&engine, NOW), []);
    assert_eq!(engine.exempt().iter().count(), 1);
    engine.set_exempt(CidrList::default());
    // Its block goes on; of the other nothing was counted.
    assert_eq!(guess(&engine, "192.0.2.1", NOW), Reason::IpBlocked);
    assert_eq!(guess(&engine, "192.0.2.9", NOW), Reason::MalformedKey);
    assert_eq!(guess(&engine, "192.0.2.9", NOW), Reason::MalformedKey);
    assert_eq!(guess(&engine, "192.0.2.9", NOW), Reason::IpBlocked);
}

/// An exemption of some of those that are counted as one is of these alone.
#[test]
fn a_block_is_named_unless_all_of_it_is_exempt() {
    let engine = engine();
    for _ in 0..2 {
        guess(&engine, "2001:db8::2", NOW);
    }
    let named_if_exempt = |texts: &[&str]| {
        engine.set_exempt(CidrList::parse(texts).unwrap());
        named(&engine, NOW).len()
    };
    // The first of the /64, by which the engine knows it.
    assert_eq!(named_if_exempt(&["2001:db8::"]), 1);
    assert_eq!(named_if_exempt(&["2001:db8::2/128", "2001:db8::/65"]), 1);
    assert_eq!(named_if_exempt(&["192.0.2.0/24", "2001:db8:0:1::/64"]), 1);
    assert_eq!(named_if_exempt(&["::/0", "192.0.2.0/24"]), 0);
    assert_eq!(named_if_exempt(&["192.0.2.0/24", "2001:db8::/64"]), 0);
    assert_eq!(named_if_exempt(&[]), 1);
}

/// Only so many are kept by name: who is refused again and again is one of them.
#[test]
fn who_asks_on_while_blocked_takes_nobodys_place() {
    let engine = engine();
    for from in ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2"] {
        guess(&engine, from, NOW);
    }
    for _ in 0..5000 {
        assert_eq!(guess(&engine, "192.0.2.2", NOW), Reason::IpBlocked);
    }
    assert_eq!(named(&engine, NOW).len(), 2);
}

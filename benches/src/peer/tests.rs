use super::*;
use crate::keys::Keys;
use crate::row::State;
use limit::Counter;
use std::net::Ipv4Addr;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

type Kind = Peer<
    map::Dash<Digest, Record<Counter>, DigestHasher>,
    map::Dash<IpAddr, Failures, RandomState>,
    Counter,
>;

/// A peer with one key, its limit one unit, and the key.
fn peer() -> (Kind, Key) {
    let keys = Keys::draw(1);
    let scene = Scene {
        others: 0,
        ..Scene::new(&keys, State::Strict)
    };
    (Peer::new(&scene), keys.all()[0])
}

fn asked(key: Option<&[u8]>) -> Asked<'_> {
    Asked {
        key,
        client: CLIENT,
        origin: None,
        bearer: None,
        needs_user: false,
    }
}

/// A peer whose only record was changed, and its answer.
fn with(change: impl FnOnce(&mut Record<Counter>), origin: Option<&str>) -> Reason {
    let (peer, key) = peer();
    peer.keys.alter(&Digest::of(&key), |_, mut record| {
        change(&mut record);
        record
    });
    let answer = peer.check(&Asked {
        origin,
        ..asked(Some(&key))
    });
    assert_eq!(answer.project, Some(1));
    answer.reason
}

#[test]
fn it_does_the_engine_s_checks() {
    assert_eq!(with(|_| (), None), Reason::Allowed);
    assert_eq!(with(|r| r.revoked = true, None), Reason::RevokedKey);
    assert_eq!(with(|r| r.disabled = true, None), Reason::DisabledKey);
    assert_eq!(with(|r| r.expires_at = Some(1), None), Reason::ExpiredKey);
    assert_eq!(
        with(|r| r.require_origin = true, None),
        Reason::OriginDenied
    );
    let listed = |r: &mut Record<Counter>| {
        r.lists
            .get_or_insert_default()
            .origins
            .push("https://a.test".into());
    };
    assert_eq!(with(listed, Some("https://b.test")), Reason::OriginDenied);
    assert_eq!(with(listed, Some("https://a.test")), Reason::Allowed);
    let elsewhere = |r: &mut Record<Counter>| {
        r.lists
            .get_or_insert_default()
            .ips
            .push(Ipv4Addr::BROADCAST.into());
    };
    assert_eq!(with(elsewhere, None), Reason::IpDenied);
}

#[test]
fn users_are_asked_for_their_sessions() {
    let (peer, key) = peer();
    peer.change(&key, 9);
    for (token, project, expires_at) in [
        (&b"good"[..], 1, None),
        (b"late", 1, Some(1)),
        (b"other", 2, None),
    ] {
        let session = Session {
            project,
            user: 7,
            expires_at,
        };
        peer.sessions.insert(Digest::of(token), session);
    }
    let with = |bearer, needs_user| {
        let answer = peer.check(&Asked {
            bearer,
            needs_user,
            ..asked(Some(&key))
        });
        assert_eq!(answer.user, (bearer == Some(b"good")).then_some(7));
        answer.reason
    };
    assert_eq!(with(None, true), Reason::BearerRequired);
    assert_eq!(with(Some(b" "), true), Reason::BearerRequired);
    for token in [&b"none"[..], b"late", b"other"] {
        assert_eq!(with(Some(token), true), Reason::BearerInvalid);
        assert_eq!(with(Some(token), false), Reason::Allowed);
    }
    assert_eq!(with(Some(b"good"), true), Reason::Allowed);
}

#[test]
fn the_budget_is_told() {
    let (peer, key) = peer();
    peer.change(&key, 2);
    for (reason, remaining) in [
        (Reason::Allowed, 1),
        (Reason::Allowed, 0),
        (Reason::HourlyLimit, 0),
    ] {
        let answer = peer.check(&asked(Some(&key)));
        let budget = answer.budget.unwrap();
        assert_eq!((answer.reason, budget.remaining), (reason, remaining));
        assert_eq!(budget.limit, 2);
        assert!((1..=3600).contains(&budget.reset_s));
    }
}

#[test]
fn guesses_block() {
    let (mut peer, _) = peer();
    let guess = asked(Some(b"guess"));
    for _ in 0..State::Strict.threshold() {
        assert_eq!(peer.check(&guess).reason, Reason::MalformedKey);
    }
    assert_eq!(peer.check(&guess).reason, Reason::IpBlocked);
    assert_eq!(peer.check(&asked(None)).reason, Reason::MissingKey);
    peer.exempt.push(CLIENT);
    assert_eq!(peer.check(&guess).reason, Reason::MalformedKey);
}

//! What a panic over a value says of the secrets that went into it: nothing. A
//! panic's message goes where no code of ours looks at it: to standard error, a
//! log, a service that collects crashes.
//!
//! Invariant 6. Each is a real panic, by the ways in which programs trip, heard
//! by a hook. That it would be noticed is shown by a twin that shows itself.
//! Of the engine's types `shown.rs` has the whole list, and panics over each.

#![cfg(not(miri))]
#![forbid(unsafe_code)]

mod adapter;
mod store;
mod tripped;

use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock};

use ::store::Label;
use engine::{Clock, Engine, Prefix, Request, SecretKey};
use engine_hyper::{PathPattern, RouteNeeds, RouteRule};
use tests::panics::{heard, over, over_two};

use crate::tripped::{Secrets, Tripped};

const NOW: u64 = 1_790_000_000;

/// What must not be: it shows what it holds.
#[derive(Debug, PartialEq)]
struct Leaky {
    key: String,
    digest: [u8; 32],
}

#[test]
fn a_twin_that_shows_itself_is_caught() {
    let secrets = Secrets::new();
    let found = |said: &str| secrets.canaries.found_in_shown(said).map(str::to_owned);
    let digest = *secrets.key_digest().as_bytes();
    let key = secrets.key.expose();
    let leaky = |key: &str, digest| Leaky {
        key: key.into(),
        digest,
    };
    assert!(found(&over(&leaky(key, digest))).is_some());
    let with_key = leaky(key, [0; 32]);
    let with_digest = leaky("", digest);
    let by_key = Some("the key (plain)".to_owned());
    let by_digest = Some("the digest of the key (numbers)".to_owned());
    assert_eq!(found(&over(&with_key)), by_key);
    assert_eq!(found(&over(&with_digest)), by_digest);
    let two = over_two(&with_digest, &leaky("", [0; 32]));
    assert_eq!(found(&two), by_digest);
    // Each way tells it by itself, and a piece is enough.
    let shared = Arc::new(with_key);
    for way in [
        heard(|| OnceLock::from(key).set(key).unwrap()),
        heard(|| assert!(<[&str; 1]>::try_from(vec![key, key]).unwrap().is_empty())),
        heard(|| drop(Arc::try_unwrap(Arc::clone(&shared)).unwrap())),
        heard(|| panic!("{:?}", &key[20..28])),
    ] {
        assert_eq!(found(&way.concat()), by_key, "{way:?}");
    }
    for public in [
        &key[..18],
        &key[20..27],
        secrets.key.id().to_string().as_str(),
    ] {
        assert_eq!(found(&over(&public)), None, "{public}");
    }
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let by_hex = Some("the digest of the key (hex)".to_owned());
    assert_eq!(found(&over(&&hex[10..20])), by_hex);
}

/// `OnceLock::set`, `Arc::try_unwrap`, `try_into` and a poisoned lock hand back
/// what they were given, and `unwrap` shows that.
#[test]
fn the_engines_secrets_are_not_in_what_hands_them_back() {
    let secrets = Secrets::new();
    let other = Secrets::new();
    let mut tripped = Tripped::new(&secrets);
    let set_twice = |name, said: Vec<String>, tripped: &mut Tripped<'_>| {
        assert_eq!(said.len(), 1, "{name}: {said:?}");
        tripped.said(name, &said.concat());
    };
    let (key, token, server) = (&secrets.key, &secrets.token, &secrets.server);
    let said = heard(|| OnceLock::from(key.clone()).set(key.clone()).unwrap());
    set_twice("SecretKey", said, &mut tripped);
    let said = heard(|| OnceLock::from(token.clone()).set(token.clone()).unwrap());
    set_twice("SessionToken", said, &mut tripped);
    let said = heard(|| OnceLock::from(server.clone()).set(server.clone()).unwrap());
    set_twice("ServerSecret", said, &mut tripped);

    let said = heard(|| {
        let keys = vec![key.clone(), key.clone()];
        let _: [SecretKey; 1] = keys.try_into().unwrap();
    });
    set_twice("SecretKey", said, &mut tripped);
    let said = heard(|| {
        let kept = Mutex::new(secrets.server.clone());
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let _held = kept.lock();
            panic!("while it is held");
        }));
        drop(kept.into_inner().unwrap());
    });
    tripped.said("ServerSecret", &said.concat());

    let engine = Engine::builder(server.clone()).clock(Clock::manual(NOW));
    tripped.over("EngineBuilder", &engine);
    let engine = Arc::new(engine.build().unwrap());
    let stored = secrets.stored_key();
    engine.insert_keys(vec![stored.record.clone()]).unwrap();
    let kept = Arc::clone(&engine);
    let said = heard(|| drop(Arc::try_unwrap(engine).unwrap()));
    set_twice("Engine", said, &mut tripped);
    let again = kept.insert_keys(vec![stored.record.clone(), stored.record]);
    tripped.over_error("KeyChangeError", &again.unwrap_err());

    tripped.over_two("KeyDigest", &secrets.key_digest(), &other.key_digest());
    let digest = |secrets: &Secrets| secrets.stored_session().token;
    tripped.over_two("TokenDigest", &digest(&secrets), &digest(&other));
    let sent = Request::new(Ipv4Addr::LOCALHOST).api_key(key.expose().as_bytes());
    tripped.over("Decision", &kept.decide(&sent));
    for text in secrets.texts() {
        let wrong = format!("{text}!");
        tripped.over_error("KeyFormError", &wrong.parse::<SecretKey>().unwrap_err());
        let id = text.parse::<engine::KeyId>();
        tripped.over_error("KeyIdError", &id.unwrap_err());
    }
}

/// `SECURITY.md` says that these are not covered: they tell an operator what was
/// written into a setting, as it stands. Here so that the list is whole.
#[test]
fn errors_that_name_what_they_were_given_do_so() {
    let secrets = Secrets::new();
    let key = secrets.key.expose();
    let long = format!("{key}\n");
    let lower = format!("/{key}:{{id}}**");
    let errors: [&dyn Debug; 7] = [
        &key.parse::<engine::Cidr>().unwrap_err(),
        &long.parse::<engine::Name>().unwrap_err(),
        &key.parse::<engine::OriginPattern>().unwrap_err(),
        &key.parse::<Prefix>().unwrap_err(),
        &key.parse::<PathPattern>().unwrap_err(),
        &RouteRule::new([], &lower, RouteNeeds::default()).unwrap_err(),
        &long.parse::<Label>().unwrap_err(),
    ];
    for error in errors {
        let found = secrets.canaries.found_in_shown(&over(error));
        assert_eq!(found, Some("the key (plain)"), "{error:?}");
    }
}

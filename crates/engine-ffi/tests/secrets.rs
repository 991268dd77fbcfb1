//! Whatever a call is handed that it refuses, what `tk_last_error` says of it
//! shows no key, no token, no digest of one, and nothing of the server secret.
//!
//! Invariant 6. Texts that settings are made of (prefixes, lists, the realm) are
//! named as they stand, for whoever wrote them: none is a secret, and none is
//! tried here.

#![cfg(not(miri))]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

#[path = "support/mod.rs"]
mod support;

use std::ptr;

use engine::{SecretKey, ServerSecret, SessionToken};
use engine_ffi::*;
use support::{Owned, SECRET, key, last_error, session};
use tests::canaries::Canaries;
use tk_result::*;

const NOW: u64 = 1_790_000_000;

/// What is looked for, and an engine that is asked.
struct World {
    engine: Owned,
    key: String,
    token: String,
    digest: [u8; 32],
    canaries: Canaries,
}

impl World {
    fn new() -> Self {
        let secret = ServerSecret::from_bytes(SECRET);
        let key = SecretKey::generate(&"tk_live".parse().unwrap()).unwrap();
        let token = SessionToken::generate().unwrap();
        let (key, token) = (key.expose().to_owned(), token.expose().to_owned());
        let mut canaries = Canaries::of_short_pieces();
        canaries.key("the key", &key, Some(&secret));
        canaries.token("the token", &token, Some(&secret));
        Self {
            engine: Owned::new(),
            digest: *secret.digest_key(key.as_bytes()).as_bytes(),
            key,
            token,
            canaries,
        }
    }

    /// That a call was refused, and what it said of that.
    fn refused(&self, what: &str, result: tk_result, with: tk_result) {
        let said = last_error();
        assert_eq!(result, with, "{what}: {said}");
        assert!(!said.is_empty(), "{what}");
        assert_eq!(self.canaries.found_in_shown(&said), None, "{what}: {said}");
    }

    fn put(&self, what: &str, key: &tk_key, with: tk_result) {
        // SAFETY: one whole struct, whose texts are alive.
        let result = unsafe { tk_keys_put(self.engine.0, key, 1) };
        self.refused(what, result, with);
    }

    fn put_session(&self, what: &str, session: &tk_session, with: tk_result) {
        // SAFETY: as above.
        let result = unsafe { tk_sessions_put(self.engine.0, session, 1) };
        self.refused(what, result, with);
    }
}

#[test]
fn a_text_that_shows_one_is_found_out() {
    let world = World::new();
    for text in [&world.key, &world.token] {
        let said = format!("{:?} is no key", &text[20..28]);
        assert!(world.canaries.found_in_shown(&said).is_some());
    }
    let said = format!("{:?} is no digest", world.digest);
    assert!(world.canaries.found_in_shown(&said).is_some());
}

#[test]
fn refused_keys_are_not_told() {
    let world = World::new();
    let whole = world.key.as_str();
    let changed = format!("{whole}x");
    let cut = &whole[..whole.len() - 1];
    for text in [&changed, cut] {
        let broken = tk_key {
            secret: text.into(),
            ..key()
        };
        world.put("a key that is none", &broken, TK_ERR_VALUE);
    }
    let with_text = |text: &'static str| tk_key {
        secret: whole.into(),
        project: text.into(),
        ..key()
    };
    world.put("a key of no project", &with_text(""), TK_ERR_VALUE);
    let of_no_state = tk_key {
        state: 9,
        ..with_text("p1")
    };
    world.put("a key of no state", &of_no_state, TK_ERR_VALUE);
    let by_digest = |id: &'static str, digest: &[u8]| tk_key {
        id: id.into(),
        digest: digest.into(),
        ..key()
    };
    let short = by_digest("0123456789", &world.digest[..31]);
    world.put("a digest that is cut", &short, TK_ERR_LENGTH);
    let nobody_s = by_digest("0", &world.digest);
    world.put("a digest of no id", &nobody_s, TK_ERR_VALUE);
    let full = Owned::with(|config| config.max_keys = 1).unwrap();
    let two = ["0123456789", "0123456780"].map(|id| by_digest(id, &world.digest));
    // SAFETY: two whole structs, whose texts are alive.
    let result = unsafe { tk_keys_put(full.0, two.as_ptr(), two.len()) };
    world.refused("more keys than there may be", result, TK_ERR_FULL);
}

#[test]
fn a_key_in_place_of_its_id_is_not_told() {
    let world = World::new();
    let engine = world.engine.0;
    let whole = || tk_bytes::from(world.key.as_str());
    // SAFETY: the text is alive, and NULL is no output.
    let result = unsafe { tk_key_set_state(engine, whole(), 1, ptr::null_mut()) };
    world.refused("its state", result, TK_ERR_VALUE);
    // SAFETY: as above.
    let result = unsafe { tk_key_set_limit(engine, whole(), 1) };
    world.refused("its limit", result, TK_ERR_VALUE);
    // SAFETY: as above.
    let result = unsafe { tk_key_remove(engine, whole()) };
    world.refused("its end", result, TK_ERR_VALUE);
    let mut units = 0;
    // SAFETY: the text and the output are alive.
    let result = unsafe { tk_key_used(engine, whole(), NOW, &mut units) };
    world.refused("its units", result, TK_ERR_VALUE);
}

#[test]
fn refused_sessions_are_not_told() {
    let world = World::new();
    let token = || tk_bytes::from(world.token.as_str());
    let of_nobody = tk_session {
        token: token(),
        user: "".into(),
        ..session()
    };
    world.put_session("a session of nobody", &of_nobody, TK_ERR_VALUE);
    let of_another_version = tk_session {
        token: token(),
        reserved: 1,
        ..session()
    };
    world.put_session("of another version", &of_another_version, TK_ERR_STRUCT);
    let short = tk_session {
        digest: world.digest[..31].into(),
        ..session()
    };
    world.put_session("a digest that is cut", &short, TK_ERR_LENGTH);
}

#[test]
fn a_server_secret_that_is_none_is_not_told() {
    let mut world = World::new();
    let hidden: Vec<u8> = (0..40).map(|byte| byte * 5 + 3).collect();
    world.canaries.add("the server secret", &hidden);
    let refused = |what: &str, secret: tk_bytes, secret_file: tk_bytes, with| {
        let made = Owned::with(|config| {
            config.secret = secret;
            config.secret_file = secret_file;
        });
        world.refused(what, made.err().unwrap_or(TK_OK), with);
    };
    let long = hidden.as_slice().into();
    refused("one that is too long", long, tk_bytes::NONE, TK_ERR_LENGTH);
    let hex: String = hidden.iter().map(|byte| format!("{byte:02x}")).collect();
    let folder = std::env::temp_dir();
    let path = folder.join(format!("tk-secrets-{}", std::process::id()));
    for text in [&hex[..63], &hex[..66], &format!("{}zz", &hex[..62])] {
        std::fs::write(&path, text).unwrap();
        let file = path.to_str().unwrap().into();
        refused("a file of none", tk_bytes::NONE, file, TK_ERR_VALUE);
    }
    std::fs::remove_file(&path).unwrap();
}

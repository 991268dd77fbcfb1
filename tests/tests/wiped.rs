//! Secrets are wiped before their memory is given back: seen by an allocator
//! that looks at every block that is freed.
//!
//! Invariant 6. What no type can wipe is what the compiler leaves of a value
//! that was moved; `SECURITY.md` says so.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::Ipv4Addr;

use engine::{Engine, KeyPolicy, KeyRecord, Request, SecretKey, ServerSecret, SessionToken};

/// The system's allocator, looking at what is freed.
struct Looking;

/// What is looked for: 32 bytes.
type Needle = [u8; 32];

thread_local! {
    /// What this thread looks for, and how often it was found. Const and
    /// without a destructor: reading it never allocates.
    static WANTED: Cell<Option<Needle>> = const { Cell::new(None) };
    static FOUND: Cell<u32> = const { Cell::new(0) };
}

/// Looks at a block that is about to be freed.
///
/// # Safety
///
/// It may be read, so many bytes.
unsafe fn look(block: *const u8, bytes: usize) {
    // A thread at its very end looks for nothing any more.
    let Some(wanted) = WANTED.try_with(Cell::get).ok().flatten() else {
        return;
    };
    for start in 0..(bytes + 1).saturating_sub(wanted.len()) {
        let is_there = wanted.iter().enumerate().all(|(at, byte)| {
            // SAFETY: `start + at` lies within the block, says the loop's end.
            let place = unsafe { block.add(start + at) };
            // SAFETY: so it may be read; as it lies there, whatever the
            // compiler knows of it, for it is about what a dump would show.
            unsafe { place.read_volatile() == *byte }
        });
        if is_there {
            let _ = FOUND.try_with(|found| found.set(found.get() + 1));
            return;
        }
    }
}

// SAFETY: every method hands its arguments on to `System`, which keeps the
// contract of `GlobalAlloc`, and looking neither allocates nor unwinds.
unsafe impl GlobalAlloc for Looking {
    /// Zeroed: so all of a block may be looked at.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's duty, a layout that is not empty, is `System`'s.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is its caller's until it is freed below, as long as
        // its layout says.
        unsafe { look(block, layout.size()) };
        // SAFETY: it came from `System` by way of `alloc`, with this layout.
        unsafe { System.dealloc(block, layout) }
    }
    // `realloc` is left to these two: it frees what it moves.
}

#[global_allocator]
static ALLOCATOR: Looking = Looking;

/// How many blocks that hold `needle` are freed in `work`.
fn freed_with(needle: &[u8], work: impl FnOnce()) -> u32 {
    WANTED.set(Some(needle.try_into().unwrap()));
    FOUND.set(0);
    work();
    WANTED.set(None);
    FOUND.get()
}

fn needle(bytes: &[u8]) -> Needle {
    bytes.try_into().unwrap()
}

#[test]
fn the_allocator_finds_what_is_not_wiped() {
    let wanted = needle(&[0x5A; 32]);
    let found = freed_with(&wanted, || drop(vec![0x5A_u8; 100]));
    assert_eq!(found, 1);
    let found = freed_with(&wanted, || drop(vec![0x5A_u8; 31]));
    assert_eq!(found, 0);
    let found = freed_with(&wanted, || {
        let mut grows = vec![0x5A_u8; 64];
        grows.reserve_exact(4096);
        grows.fill(0);
    });
    assert_eq!(found, 1, "also what moves as it grows");
}

#[test]
fn a_key_and_a_token_are_wiped() {
    let key = SecretKey::generate(&"tk_live".parse().unwrap()).unwrap();
    let secret = needle(&key.expose().as_bytes()[18..50]);
    let work = || {
        let boxed = Box::new(key.clone());
        let many = vec![key.clone(), key.clone()];
        let read: Box<SecretKey> = Box::new(key.expose().parse().unwrap());
        drop((boxed, many, read));
    };
    assert_eq!(freed_with(&secret, work), 0);
    let token = SessionToken::generate().unwrap();
    let secret = needle(&token.expose().as_bytes()[10..42]);
    let work = || drop((Box::new(token.clone()), vec![token.clone(); 3]));
    assert_eq!(freed_with(&secret, work), 0);
}

/// The key that is derived of a secret for the digests of tokens: by it a guess
/// is tested as by the secret itself.
fn key_of_tokens(secret: &ServerSecret) -> Needle {
    let context = "tokenkit 2026-11-24 session token digest v1";
    let key = blake3::derive_key(context, secret.expose());
    let digest = blake3::keyed_hash(&key, b"a token");
    assert_eq!(
        digest.as_bytes(),
        secret.digest_token(b"a token").as_bytes()
    );
    key
}

#[test]
fn an_engine_forgets_its_secret() {
    let secret = ServerSecret::generate().unwrap();
    let bytes = *secret.expose();
    let of_tokens = key_of_tokens(&secret);
    for wanted in [&bytes, &of_tokens] {
        assert_eq!(freed_with(wanted, || drop(Box::new(secret.clone()))), 0);
    }
    let key = SecretKey::generate(&"tk_live".parse().unwrap()).unwrap();
    let of_key = needle(&key.expose().as_bytes()[18..50]);
    let work = |of: &Needle| {
        freed_with(of, || {
            let engine = Engine::builder(secret.clone()).build().unwrap();
            // Where it lies is freed with it.
            let engine = Box::new(engine);
            let policy = KeyPolicy::new("p".parse().unwrap());
            let record = KeyRecord {
                id: key.id(),
                digest: secret.digest_key(key.expose().as_bytes()),
                policy: policy.clone(),
            };
            engine.insert_keys(vec![record]).unwrap();
            let minted = engine.mint(&key.prefix(), policy).unwrap();
            let request = Request::new(Ipv4Addr::LOCALHOST).api_key(key.expose().as_bytes());
            assert!(engine.decide_at(&request, 1_790_000_000).is_allowed());
            drop((engine, minted));
        })
    };
    assert_eq!(work(&bytes), 0);
    assert_eq!(work(&of_tokens), 0);
    assert_eq!(work(&of_key), 0);
}

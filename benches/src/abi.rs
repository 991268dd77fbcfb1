//! The engine through its C interface, called as a C program calls it.

#![allow(unsafe_code, reason = "what is measured are functions for C")]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr;

use engine::{Clock, Reason};
use engine_ffi::{
    TK_CONFIG_VERSION, TK_UNLIMITED, tk_bytes, tk_config, tk_decide, tk_decide_at, tk_decide_batch,
    tk_decide_batch_at, tk_decision, tk_engine, tk_engine_free, tk_engine_new, tk_key,
    tk_key_set_limit, tk_keys_put, tk_request, tk_result, tk_state,
};

use crate::form::Key;
use crate::keys::Drawn;
use crate::subject::{BLOCK_S, LIFE_S, SECRET, Scene, Subject, WINDOW_S, Way, parsed};

/// Keys that are put at once.
const AT_ONCE: usize = 8192;

type Decide =
    unsafe extern "C" fn(*const tk_engine, *const tk_request, *mut tk_decision) -> tk_result;
type DecideAt =
    unsafe extern "C" fn(*const tk_engine, *const tk_request, u64, *mut tk_decision) -> tk_result;

/// An engine by its handle.
pub struct Abi {
    handle: *mut tk_engine,
    clock: Clock,
}

// SAFETY: a handle is a name, which any thread may use at any time.
unsafe impl Send for Abi {}
// SAFETY: as above.
unsafe impl Sync for Abi {}

impl Drop for Abi {
    fn drop(&mut self) {
        tk_engine_free(self.handle);
    }
}

/// Sets up the engine of a scene.
///
/// # Panics
///
/// Where it cannot be.
#[must_use]
pub fn abi(scene: &Scene<'_>) -> Abi {
    let config = tk_config {
        size: size_of::<tk_config>() as u32,
        version: TK_CONFIG_VERSION,
        secret: SECRET.as_slice().into(),
        secret_file: tk_bytes::NONE,
        prefixes: tk_bytes::NONE,
        origins: tk_bytes::NONE,
        exempt: tk_bytes::NONE,
        realm: tk_bytes::NONE,
        ledger: tk_bytes::NONE,
        threshold: scene.state.threshold(),
        window_s: WINDOW_S,
        block_s: BLOCK_S,
        max_addresses: scene.max_addresses(),
        max_keys: scene.keys.all().len() as u32,
        preflight_max_age_s: 0,
        omit_x_ratelimit: 0,
        reserved: [0; 7],
    };
    let mut handle = ptr::null_mut();
    // SAFETY: both lead to whole values, whose bytes are alive.
    let made = unsafe { tk_engine_new(&config, &mut handle) };
    assert_eq!(made, tk_result::TK_OK);
    let clock = scene.clock.clone();
    let expires_at = clock.now() + LIFE_S;
    let policy = |key: &Key| tk_key {
        size: size_of::<tk_key>() as u32,
        state: tk_state::TK_STATE_ACTIVE as u32,
        secret: key.as_slice().into(),
        id: tk_bytes::NONE,
        digest: tk_bytes::NONE,
        project: "bench".into(),
        origins: tk_bytes::NONE,
        ips: tk_bytes::NONE,
        hourly_limit: scene.state.hourly_limit().into(),
        expires_at,
        require_origin: 0,
        reserved: [0; 7],
    };
    for keys in scene.keys.all().chunks(AT_ONCE) {
        let keys: Vec<tk_key> = keys.iter().map(policy).collect();
        // SAFETY: as many whole structs as is said, whose bytes are alive.
        let put = unsafe { tk_keys_put(handle, keys.as_ptr(), keys.len()) };
        assert_eq!(put, tk_result::TK_OK);
    }
    let abi = Abi { handle, clock };
    scene.prepare(&abi);
    abi
}

/// A drawn request as a C program describes it.
#[inline]
fn described(drawn: &Drawn) -> tk_request {
    let mut request = tk_request {
        size: size_of::<tk_request>() as u32,
        cost: 1,
        api_key: drawn
            .key()
            .map_or(tk_bytes::NONE, |key| key.as_slice().into()),
        origin: tk_bytes::NONE,
        authorization: tk_bytes::NONE,
        bearer: tk_bytes::NONE,
        client: [0; 16],
        client_len: 4,
        needs_user: 0,
        api_key_repeated: 0,
        origin_repeated: 0,
        authorization_repeated: 0,
        reserved: [0; 3],
    };
    request.client[..4].copy_from_slice(&drawn.client().octets());
    request
}

impl Subject for Abi {
    #[inline]
    fn decide(&self, drawn: &Drawn) -> Reason {
        let request = described(drawn);
        let mut decision = MaybeUninit::<tk_decision>::uninit();
        // Through a pointer that the compiler does not see through, as a call
        // into a library is.
        match &self.clock {
            Clock::System => {
                let call = black_box(tk_decide as Decide);
                // SAFETY: whole structs, whose bytes are alive.
                unsafe { call(self.handle, &request, decision.as_mut_ptr()) };
            }
            clock => {
                let now = clock.now();
                let call = black_box(tk_decide_at as DecideAt);
                // SAFETY: whole structs, whose bytes are alive.
                unsafe { call(self.handle, &request, now, decision.as_mut_ptr()) };
            }
        }
        // SAFETY: it is always written.
        let decision = unsafe { decision.assume_init_ref() };
        seen(black_box(decision))
    }

    fn decide_all(&self, requests: &[Drawn], outcome: Reason, way: Way) -> u64 {
        let Way::Batch(size) = way else {
            return requests
                .iter()
                .map(|drawn| u64::from(self.decide(drawn) == outcome))
                .sum();
        };
        let mut described_all: Vec<tk_request> = Vec::with_capacity(size);
        let mut decisions: Vec<tk_decision> = Vec::with_capacity(size);
        let mut as_expected = 0;
        for drawn in requests.chunks(size) {
            described_all.clear();
            described_all.extend(drawn.iter().map(described));
            let (handle, asked) = (self.handle, described_all.as_ptr());
            let (count, place) = (drawn.len(), decisions.as_mut_ptr());
            match &self.clock {
                // SAFETY: whole structs, whose bytes are alive, and room for as
                // many decisions.
                Clock::System => unsafe { tk_decide_batch(handle, asked, count, place) },
                clock => {
                    let now = clock.now();
                    // SAFETY: as above.
                    unsafe { tk_decide_batch_at(handle, asked, count, now, place) }
                }
            };
            // SAFETY: all of them are always written.
            unsafe { decisions.set_len(count) };
            for decision in &decisions {
                as_expected += u64::from(seen(black_box(decision)) == outcome);
            }
        }
        as_expected
    }

    fn change(&self, key: &Key, hourly_limit: u32) {
        let id = parsed(key).id().to_chars();
        // SAFETY: the id is alive.
        let set =
            unsafe { tk_key_set_limit(self.handle, id.as_slice().into(), hourly_limit.into()) };
        assert!(set == tk_result::TK_OK && u64::from(hourly_limit) != TK_UNLIMITED);
    }
}

/// The reason of a decision; one that is none counts as an outcome that no row
/// has.
#[inline]
fn seen(decision: &tk_decision) -> Reason {
    let index = usize::from(decision.reason).wrapping_sub(1);
    Reason::ALL.get(index).copied().unwrap_or(Reason::IpDenied)
}

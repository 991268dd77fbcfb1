//! The C interface, called with whatever bytes in whatever order: no call
//! panics, a decision is always written, and none that failed admits.
//!
//! What C promises, that memory is as long as it says, holds here as well;
//! everything else may be wrong: sizes, versions, lengths, NULL, alignment,
//! handles.

#![no_main]

use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use arbitrary::Arbitrary;
use engine_ffi::*;
use libfuzzer_sys::fuzz_target;
use tokenkit_fuzz::{small_pages, with_check};

const SECRET: &[u8; 32] = &[7; 32];

/// What is done with two engines, one after the other.
#[derive(Arbitrary, Debug)]
struct Script {
    config: ConfigParts,
    calls: Vec<Call>,
}

/// Bytes as C lends them.
#[derive(Arbitrary, Debug)]
enum Lent {
    Nothing,
    Bytes(Vec<u8>),
    /// NULL with a length.
    Null(usize),
    /// Longer than anything may be.
    TooLong(Vec<u8>, u8),
    /// A key that is put, or could be.
    Key(u8),
    Id(u8),
    Text(u8),
}

/// Words that get further than chance would.
const TEXTS: [&str; 12] = [
    "p1",
    "api-key",
    "Origin",
    "authorization",
    "Bearer token",
    "token",
    "192.0.2.7",
    "2001:db8::1",
    "https://app.example.com",
    "https://*.example.com 192.0.2.0/24",
    "tk_live, tk_test",
    "POST",
];

#[derive(Arbitrary, Debug)]
struct ConfigParts {
    size: Size,
    version: u32,
    lists: [Lent; 5],
    numbers: [u16; 4],
    omit: u8,
}

/// The size that a struct says.
#[derive(Arbitrary, Debug)]
enum Size {
    Right,
    Any(u32),
}

#[derive(Arbitrary, Debug)]
struct RequestParts {
    size: Size,
    cost: u32,
    values: [Lent; 4],
    client: [u8; 16],
    client_len: u8,
    flags: [u8; 4],
    askew: bool,
}

#[derive(Arbitrary, Debug)]
struct KeyParts {
    size: Size,
    state: u32,
    values: [Lent; 6],
    hourly_limit: u64,
    expires_at: u64,
    require_origin: u8,
}

#[derive(Arbitrary, Debug)]
struct DecisionParts {
    reason: u8,
    allow_origin: u8,
    numbers: [u64; 3],
    reset_s: u32,
    project: u32,
    key_id: [u8; 16],
    user: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
enum Call {
    Decide(Handle, RequestParts, u64),
    Batch(Handle, Vec<RequestParts>, u64),
    Header(RequestParts, Lent, Lent),
    Address(RequestParts, Lent),
    PutKeys(Handle, Vec<KeyParts>),
    Mint(Handle, Lent, KeyParts, u8),
    Key(Handle, Lent, u32, u64),
    PutSession(Handle, Size, [Lent; 4], u64),
    MintSession(Handle, [Lent; 2], u8),
    Session(Handle, Lent),
    Render(Handle, DecisionParts, Lent, u16),
    Preflight(Handle, [Lent; 3], u16),
    Identity(Handle, DecisionParts, u16),
    Unblock(Handle, Lent, u64),
    Reserved(Lent),
    Metrics(Handle, Size),
    Trouble(Handle, u16),
    Free(Handle),
}

#[derive(Arbitrary, Debug)]
enum Handle {
    Live,
    Freed,
    Null,
    Any(usize),
}

/// The engines of a script.
struct World {
    live: *mut tk_engine,
    freed: *mut tk_engine,
}

impl Lent {
    /// The bytes, which live as long as `self` and `kept`.
    fn lend(&self, kept: &mut Vec<Vec<u8>>) -> tk_bytes {
        let mut keep = |bytes: Vec<u8>, from: usize, len: usize| {
            kept.push(bytes);
            let bytes = kept
                .last()
                .map_or(&[][..], |bytes| &bytes[from..from + len]);
            tk_bytes::from(bytes)
        };
        match self {
            Self::Nothing => tk_bytes::NONE,
            Self::Bytes(bytes) => bytes.as_slice().into(),
            Self::Null(len) => tk_bytes {
                data: ptr::null(),
                len: *len,
            },
            Self::TooLong(bytes, shift) => tk_bytes {
                data: bytes.as_ptr().cast::<c_void>(),
                len: (TK_MAX_BYTES + 1) << (shift % 39),
            },
            Self::Key(number) => {
                let key = key(*number);
                let len = key.len();
                keep(key, 0, len)
            }
            Self::Id(number) => {
                let key = key(*number);
                let from = key.len() - 48;
                keep(key, from, TK_KEY_ID_LEN)
            }
            Self::Text(number) => TEXTS[usize::from(*number) % TEXTS.len()].into(),
        }
    }
}

/// One of a few keys.
fn key(number: u8) -> Vec<u8> {
    let digit = b'a' + number % 4;
    with_check([b"tk_live_".as_slice(), &[digit; 42]].concat())
}

impl Size {
    /// Never more than is there.
    fn of<T>(&self) -> u32 {
        let right = size_of::<T>() as u32;
        match self {
            Self::Right => right,
            Self::Any(size) if *size <= right || *size > 4096 => *size,
            Self::Any(size) => size % (right + 1),
        }
    }
}

impl Handle {
    fn of(&self, world: &World) -> *mut tk_engine {
        match *self {
            Self::Live => world.live,
            Self::Freed => world.freed,
            Self::Null => ptr::null_mut(),
            // A guess that hits would free another's engine.
            Self::Any(number) if number == world.live.addr() => ptr::null_mut(),
            Self::Any(number) => ptr::without_provenance_mut(number),
        }
    }
}

impl RequestParts {
    fn described(&self, kept: &mut Vec<Vec<u8>>) -> tk_request {
        let [api_key, origin, authorization, bearer] = &self.values;
        let [needs_user, first, second, third] = self.flags;
        tk_request {
            size: self.size.of::<tk_request>(),
            cost: self.cost,
            api_key: api_key.lend(kept),
            origin: origin.lend(kept),
            authorization: authorization.lend(kept),
            bearer: bearer.lend(kept),
            client: self.client,
            client_len: match self.client_len {
                0..100 => 4,
                100..200 => 16,
                other => other,
            },
            needs_user,
            api_key_repeated: first & 1,
            origin_repeated: second & 1,
            authorization_repeated: third & 1,
            reserved: [0; 3],
        }
    }
}

impl KeyParts {
    fn described(&self, kept: &mut Vec<Vec<u8>>) -> tk_key {
        let [secret, id, digest, project, origins, ips] = &self.values;
        tk_key {
            size: self.size.of::<tk_key>(),
            state: self.state,
            secret: secret.lend(kept),
            id: id.lend(kept),
            digest: digest.lend(kept),
            project: project.lend(kept),
            origins: origins.lend(kept),
            ips: ips.lend(kept),
            hourly_limit: self.hourly_limit,
            expires_at: self.expires_at,
            require_origin: self.require_origin,
            reserved: [0; 7],
        }
    }
}

impl DecisionParts {
    fn described(&self) -> tk_decision {
        let mut decision = tk_decision {
            reason: self.reason,
            allow_origin: self.allow_origin,
            limit: self.numbers[0],
            remaining: self.numbers[1],
            unix_s: self.numbers[2],
            reset_s: self.reset_s,
            project: self.project,
            ..blank()
        };
        for (place, byte) in decision.key_id.iter_mut().zip(self.key_id) {
            *place = byte as c_char;
        }
        for (place, byte) in decision.user.iter_mut().zip(&self.user) {
            *place = *byte as c_char;
        }
        decision
    }
}

/// A decision that admits, but for what is written over it.
fn blank() -> tk_decision {
    tk_decision {
        status: 200,
        reason: tk_reason::TK_REASON_ALLOWED as u8,
        allow_origin: 0,
        retry_after_s: 0,
        limit: 0,
        remaining: 0,
        reset_s: 0,
        project: 0,
        unix_s: 0,
        key_id: [0; 16],
        user: [0; 72],
        reserved: [0; 2],
    }
}

fn told(result: tk_result) {
    assert_ne!(result, tk_result::TK_ERR_INTERNAL);
    if result != tk_result::TK_OK {
        // SAFETY: always a text that ends with a NUL.
        let text = unsafe { CStr::from_ptr(tk_last_error()) };
        assert!(!text.is_empty() && text.to_str().is_ok());
    }
}

fn decided(result: tk_result, decision: &tk_decision) {
    told(result);
    let admits = decision.reason == tk_reason::TK_REASON_ALLOWED as u8;
    assert_eq!(admits, decision.status == 200);
    let unusable = decision.reason == tk_reason::TK_REASON_UNUSABLE as u8;
    assert_eq!(unusable, result != tk_result::TK_OK);
    assert!(decision.key_id.contains(&0) && decision.user.contains(&0));
}

fn answered(result: tk_result, answer: &tk_answer, space: &[u8]) {
    told(result);
    if result != tk_result::TK_OK {
        assert_eq!(answer.status, 503);
        return;
    }
    let lies_in_space = |text: tk_str| space.as_ptr_range().contains(&text.data.cast());
    for header in &answer.headers[..answer.header_count as usize] {
        for text in [header.name, header.value] {
            if answer.status != 503 {
                assert!(lies_in_space(text));
            }
            // SAFETY: a text of the answer, which ends with a NUL.
            let bytes = unsafe { CStr::from_ptr(text.data) }.to_bytes();
            assert_eq!(bytes.len(), text.len);
            assert!(bytes.iter().all(|b| matches!(b, b' '..=b'~')));
        }
    }
}

impl Call {
    fn make(&self, world: &mut World) {
        let mut kept = Vec::new();
        let kept = &mut kept;
        // SAFETY: of every call below: what is lent is alive and as long as it
        // says, or longer than is looked at; structs are whole and say no larger
        // size than they have; outputs are whole and nobody else's.
        unsafe {
            match self {
                Self::Decide(handle, request, at) => {
                    let described = request.described(kept);
                    let mut room = [0u64; size_of::<tk_request>() / 8 + 1];
                    let mut place: *mut tk_request = room.as_mut_ptr().cast();
                    if request.askew {
                        place = place.wrapping_byte_add(1);
                    }
                    place.write_unaligned(described);
                    let mut decision = blank();
                    let result = tk_decide_at(handle.of(world), place, *at, &mut decision);
                    decided(result, &decision);
                    let mut again = blank();
                    decided(tk_decide(handle.of(world), place, &mut again), &again);
                }
                Self::Batch(handle, requests, at) => {
                    let requests: Vec<_> = requests.iter().map(|r| r.described(kept)).collect();
                    let mut decisions = vec![blank(); requests.len()];
                    let result = tk_decide_batch_at(
                        handle.of(world),
                        requests.as_ptr(),
                        requests.len(),
                        *at,
                        decisions.as_mut_ptr(),
                    );
                    told(result);
                    for decision in &decisions {
                        decided(result, decision);
                    }
                }
                Self::Header(request, name, value) => {
                    let mut request = request.described(kept);
                    let (name, value) = (name.lend(kept), value.lend(kept));
                    told(tk_request_header(name, value, &mut request));
                }
                Self::Address(request, text) => {
                    let mut request = request.described(kept);
                    told(tk_request_address(text.lend(kept), &mut request));
                }
                Self::PutKeys(handle, keys) => {
                    let keys: Vec<_> = keys.iter().map(|key| key.described(kept)).collect();
                    told(tk_keys_put(handle.of(world), keys.as_ptr(), keys.len()));
                }
                Self::Mint(handle, prefix, key, room) => {
                    let key = key.described(kept);
                    let mut space = vec![0; usize::from(*room)];
                    told(tk_key_mint(
                        handle.of(world),
                        prefix.lend(kept),
                        &key,
                        space.as_mut_ptr(),
                        space.len(),
                    ));
                }
                Self::Key(handle, id, state, number) => {
                    let (handle, id) = (handle.of(world), id.lend(kept));
                    let (mut now, mut units, mut digest) = (0, 0, [0; TK_DIGEST_LEN]);
                    told(tk_key_used(handle, id, *number, &mut units));
                    told(tk_key_set_limit(handle, id, *number));
                    told(tk_key_set_state(handle, id, *state, &mut now));
                    told(tk_key_digest(handle, id, digest.as_mut_ptr()));
                    if number % 4 == 0 {
                        told(tk_key_remove(handle, id));
                    }
                }
                Self::PutSession(handle, size, values, expires_at) => {
                    let [token, digest, project, user] = values;
                    let session = tk_session {
                        size: size.of::<tk_session>(),
                        reserved: 0,
                        token: token.lend(kept),
                        digest: digest.lend(kept),
                        project: project.lend(kept),
                        user: user.lend(kept),
                        expires_at: *expires_at,
                    };
                    told(tk_sessions_put(handle.of(world), &session, 1));
                }
                Self::MintSession(handle, [project, user], room) => {
                    let session = tk_session {
                        size: size_of::<tk_session>() as u32,
                        reserved: 0,
                        token: tk_bytes::NONE,
                        digest: tk_bytes::NONE,
                        project: project.lend(kept),
                        user: user.lend(kept),
                        expires_at: TK_NEVER,
                    };
                    let mut space = vec![0; usize::from(*room)];
                    told(tk_session_mint(
                        handle.of(world),
                        &session,
                        space.as_mut_ptr(),
                        space.len(),
                    ));
                }
                Self::Session(handle, token) => {
                    let (mut was_there, mut digest) = (0, [0; TK_DIGEST_LEN]);
                    let token = token.lend(kept);
                    told(tk_token_digest(
                        handle.of(world),
                        token,
                        digest.as_mut_ptr(),
                    ));
                    told(tk_session_end(handle.of(world), token, &mut was_there));
                }
                Self::Render(handle, decision, origin, room) => {
                    let mut space = vec![0u8; usize::from(*room) % 5000];
                    let mut answer = std::mem::MaybeUninit::uninit();
                    let result = tk_render(
                        handle.of(world),
                        &decision.described(),
                        origin.lend(kept),
                        space.as_mut_ptr().cast(),
                        space.len(),
                        answer.as_mut_ptr(),
                    );
                    answered(result, answer.assume_init_ref(), &space);
                }
                Self::Preflight(handle, [origin, method, asked], room) => {
                    let mut space = vec![0u8; usize::from(*room) % 9000];
                    let mut answer = std::mem::MaybeUninit::uninit();
                    let result = tk_preflight(
                        handle.of(world),
                        origin.lend(kept),
                        method.lend(kept),
                        asked.lend(kept),
                        space.as_mut_ptr().cast(),
                        space.len(),
                        answer.as_mut_ptr(),
                    );
                    answered(result, answer.assume_init_ref(), &space);
                }
                Self::Identity(handle, decision, room) => {
                    let mut space = vec![0u8; usize::from(*room) % 600];
                    let mut answer = std::mem::MaybeUninit::uninit();
                    let decision = decision.described();
                    let (place, len) = (space.as_mut_ptr().cast(), space.len());
                    let result =
                        tk_identity(handle.of(world), &decision, place, len, answer.as_mut_ptr());
                    answered(result, answer.assume_init_ref(), &space);
                    let mut project = tk_str {
                        data: c"".as_ptr(),
                        len: 0,
                    };
                    told(tk_project(
                        handle.of(world),
                        &decision,
                        place,
                        len,
                        &mut project,
                    ));
                }
                Self::Unblock(handle, client, at) => {
                    let client = client.lend(kept);
                    told(tk_unblock(handle.of(world), client, *at, ptr::null_mut()));
                }
                Self::Reserved(name) => {
                    assert!(tk_header_is_reserved(name.lend(kept)) <= 1);
                }
                Self::Metrics(handle, size) => {
                    let mut metrics = tk_metrics {
                        size: size.of::<tk_metrics>(),
                        follows: 0,
                        ledger_fault: 0,
                        reserved: [0; 2],
                        keys: 0,
                        sessions: 0,
                        blocked_addresses: 0,
                        decisions: [0; TK_REASONS],
                        store_lag_ms: 0,
                        store_errors: 0,
                    };
                    told(tk_metrics_read(handle.of(world), &mut metrics));
                }
                Self::Trouble(handle, room) => {
                    let mut space = vec![0u8; usize::from(*room) % 300];
                    let mut text = tk_str {
                        data: c"".as_ptr(),
                        len: 0,
                    };
                    let (place, len) = (space.as_mut_ptr().cast(), space.len());
                    told(tk_engine_trouble(handle.of(world), place, len, &mut text));
                    told(tk_engine_tidy(handle.of(world)));
                }
                Self::Free(handle) => {
                    let handle = handle.of(world);
                    told(tk_engine_free(handle));
                    if handle == world.live && !handle.is_null() {
                        world.freed = handle;
                        world.live = ptr::null_mut();
                    }
                }
            }
        }
    }
}

/// Puts a key in by which a request is admitted, if the engine takes its prefix:
/// bytes by chance seldom make one.
fn put_first_key(engine: *mut tk_engine) {
    let secret = key(0);
    let first = tk_key {
        size: size_of::<tk_key>() as u32,
        state: tk_state::TK_STATE_ACTIVE as u32,
        secret: secret.as_slice().into(),
        id: tk_bytes::NONE,
        digest: tk_bytes::NONE,
        project: "p1".into(),
        origins: tk_bytes::NONE,
        ips: tk_bytes::NONE,
        hourly_limit: 3,
        expires_at: TK_NEVER,
        require_origin: 0,
        reserved: [0; 7],
    };
    // SAFETY: a whole struct, whose bytes are alive.
    told(unsafe { tk_keys_put(engine, &first, 1) });
}

fuzz_target!(init: small_pages(), |script: Script| {
    let mut kept = Vec::new();
    let [prefixes, origins, exempt, realm, ledger] = &script.config.lists;
    // A file that bytes name is none to make.
    let no_file = matches!(
        ledger,
        Lent::Bytes(_) | Lent::Key(_) | Lent::Id(_) | Lent::Text(_)
    );
    let [threshold, window, block_s, addresses] = script.config.numbers;
    let mut config = tk_config {
        size: script.config.size.of::<tk_config>(),
        version: script.config.version,
        secret: SECRET.as_slice().into(),
        secret_file: tk_bytes::NONE,
        prefixes: prefixes.lend(&mut kept),
        origins: origins.lend(&mut kept),
        exempt: exempt.lend(&mut kept),
        realm: realm.lend(&mut kept),
        ledger: match no_file {
            true => tk_bytes::NONE,
            false => ledger.lend(&mut kept),
        },
        threshold: threshold.into(),
        window_s: u32::from(window),
        block_s: block_s.into(),
        max_addresses: u32::from(addresses % 64),
        max_keys: 64,
        preflight_max_age_s: 0,
        omit_x_ratelimit: script.config.omit,
        reserved: [0; 7],
    };
    let mut live = ptr::null_mut();
    // SAFETY: whole structs, whose bytes are alive.
    let made = unsafe { tk_engine_new(&config, &mut live) };
    told(made);
    if made != tk_result::TK_OK {
        assert!(live.is_null());
        // What follows is worth an engine.
        config = tk_config {
            size: size_of::<tk_config>() as u32,
            version: TK_CONFIG_VERSION,
            prefixes: tk_bytes::NONE,
            origins: "https://app.example.com".into(),
            exempt: tk_bytes::NONE,
            realm: tk_bytes::NONE,
            ledger: tk_bytes::NONE,
            threshold: 3,
            window_s: 12,
            block_s: 60,
            max_addresses: 64,
            omit_x_ratelimit: 0,
            ..config
        };
        // SAFETY: as above.
        told(unsafe { tk_engine_new(&config, &mut live) });
        assert!(!live.is_null());
    }
    put_first_key(live);
    let mut world = World {
        live,
        freed: ptr::null_mut(),
    };
    for call in &script.calls {
        call.make(&mut world);
    }
    tk_engine_free(world.live);
});

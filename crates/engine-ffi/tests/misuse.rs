//! What unsafe code does with pointers of every kind, small enough for Miri;
//! the C tests go further.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

#[path = "support/mod.rs"]
mod support;

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Barrier;
use std::thread;

use engine_ffi::*;
use support::{Owned, admitting, config, key, last_error, request, session};
use tk_result::*;

const NOW: u64 = 1_790_000_000;

/// Mints a key of an hourly limit.
fn mint(engine: &Owned, hourly_limit: u64) -> String {
    let mut space = [0 as c_char; TK_KEY_SPACE];
    let policy = tk_key {
        hourly_limit,
        ..key()
    };
    // SAFETY: a whole struct and as much space as is said.
    let result = unsafe {
        tk_key_mint(
            engine.0,
            tk_bytes::NONE,
            &policy,
            space.as_mut_ptr(),
            TK_KEY_SPACE,
        )
    };
    assert_eq!(result, TK_OK, "{}", last_error());
    // SAFETY: the key ends with a NUL.
    let key = unsafe { CStr::from_ptr(space.as_ptr()) };
    key.to_str().unwrap().to_owned()
}

/// Decides about a request wherever it lies.
fn decide(engine: *mut tk_engine, request: *const tk_request) -> (tk_result, tk_decision) {
    let mut decision = admitting();
    // SAFETY: each test hands over NULL, what is misaligned, or what is whole.
    let result = unsafe { tk_decide_at(engine, request, NOW, &mut decision) };
    (result, decision)
}

fn is_unusable(decision: &tk_decision) -> bool {
    decision.status == 503 && decision.reason == tk_reason::TK_REASON_UNUSABLE as u8
}

#[test]
fn pointers_that_are_wrong_deny() {
    let engine = Owned::new();
    let key = mint(&engine, 3);
    let asked = tk_request {
        api_key: key.as_str().into(),
        ..request()
    };
    let off_by_one = ptr::from_ref(&asked).wrapping_byte_add(1);
    for (request, wanted) in [(ptr::null(), TK_ERR_NULL), (off_by_one, TK_ERR_MISALIGNED)] {
        let (result, decision) = decide(engine.0, request);
        assert!(result == wanted && is_unusable(&decision));
    }
    // A decision that lies askew is written all the same.
    let mut room = [0u8; size_of::<tk_decision>() + 1];
    let askew: *mut tk_decision = room[1..].as_mut_ptr().cast();
    // SAFETY: as much room as a decision takes, if not aligned.
    let result = unsafe { tk_decide(engine.0, &asked, askew) };
    // SAFETY: a decision was written there.
    let decision = unsafe { askew.read_unaligned() };
    if askew.is_aligned() {
        assert_eq!(result, TK_OK);
    } else {
        assert!(result == TK_ERR_MISALIGNED && is_unusable(&decision));
    }
    // SAFETY: NULL is refused.
    let result = unsafe { tk_decide(engine.0, &asked, ptr::null_mut()) };
    assert_eq!(result, TK_ERR_NULL);
}

#[test]
fn structs_of_other_versions_are_taken_as_far_as_they_are_known() {
    let engine = Owned::new();
    let key = mint(&engine, 3);
    #[repr(C)]
    struct Later {
        now: tk_request,
        more: [u64; 2],
    }
    let mut later = Later {
        now: tk_request {
            size: size_of::<Later>() as u32,
            api_key: key.as_str().into(),
            ..request()
        },
        more: [0, 0],
    };
    assert_eq!(decide(engine.0, ptr::from_ref(&later).cast()).0, TK_OK);
    // SAFETY: a whole struct of the size that it says.
    let result = unsafe {
        tk_request_header(
            "origin".into(),
            "https://a.example".into(),
            ptr::from_mut(&mut later).cast(),
        )
    };
    assert_eq!(result, TK_OK);
    assert_eq!(later.now.origin.len, 17);
    later.more[1] = 1;
    let (result, decision) = decide(engine.0, ptr::from_ref(&later).cast());
    assert!(result == TK_ERR_STRUCT && is_unusable(&decision));
    for size in [0, 4, 95, 5000, u32::MAX] {
        let request = tk_request { size, ..request() };
        let (result, decision) = decide(engine.0, &request);
        assert!(result == TK_ERR_STRUCT && is_unusable(&decision), "{size}");
    }
    for place in 0..3 {
        let mut request = request();
        request.reserved[place] = 1;
        let (result, decision) = decide(engine.0, &request);
        assert!(result == TK_ERR_STRUCT && is_unusable(&decision), "{place}");
    }
}

#[test]
fn batches_are_all_or_nothing() {
    let engine = Owned::new();
    let key = mint(&engine, 3);
    let mut requests = [tk_request {
        api_key: key.as_str().into(),
        ..request()
    }; 4];
    let mut decisions = [admitting(); 4];
    let mut ask = |requests: &[tk_request]| {
        // SAFETY: as many whole structs as is said.
        unsafe {
            tk_decide_batch_at(
                engine.0,
                requests.as_ptr(),
                requests.len(),
                NOW,
                decisions.as_mut_ptr(),
            )
        }
    };
    requests[3].client_len = 9;
    assert_eq!(ask(&requests), TK_ERR_VALUE);
    requests[3].client_len = 4;
    assert_eq!(ask(&requests), TK_OK);
    let reasons = decisions.map(|decision| decision.reason);
    assert_eq!(reasons, [1, 1, 1, 13]);
    // SAFETY: NULL, with no request to read.
    let result = unsafe { tk_decide_batch(engine.0, ptr::null(), 0, ptr::null_mut()) };
    assert_eq!(result, TK_OK);
}

#[test]
fn batches_without_a_place_for_decisions_are_refused() {
    let engine = Owned::new();
    let key = mint(&engine, 3);
    let freed = Owned::new();
    let handle = freed.0;
    drop(freed);
    let requests = [tk_request {
        api_key: key.as_str().into(),
        ..request()
    }; 200];
    for (engine, wanted) in [
        (engine.0, TK_ERR_NULL),
        (ptr::null_mut(), TK_ERR_ENGINE),
        (handle, TK_ERR_ENGINE),
    ] {
        for count in [1, 2, requests.len()] {
            let asked = requests.as_ptr();
            // SAFETY: as many whole structs as is said; NULL is refused.
            let result = unsafe { tk_decide_batch(engine, asked, count, ptr::null_mut()) };
            assert_eq!(result, wanted, "{count}");
            // SAFETY: as above.
            let result = unsafe { tk_decide_batch_at(engine, asked, count, NOW, ptr::null_mut()) };
            assert_eq!(result, wanted, "{count}");
        }
    }
    // Nothing of that has charged the key.
    assert_eq!(decide(engine.0, &requests[0]).1.remaining, 2);
}

#[test]
fn answers_find_room_or_are_503() {
    let engine = Owned::new();
    let (_, decision) = decide(engine.0, &request());
    let mut space = [MaybeUninit::<c_char>::uninit(); TK_SPACE];
    for room in [0, 7, 100, 200, TK_SPACE] {
        let mut answer = MaybeUninit::<tk_answer>::uninit();
        // SAFETY: a whole decision, and as much space as is said.
        let result = unsafe {
            tk_render(
                engine.0,
                &decision,
                tk_bytes::NONE,
                space.as_mut_ptr().cast(),
                room,
                answer.as_mut_ptr(),
            )
        };
        // SAFETY: it is always written.
        let answer = unsafe { answer.assume_init() };
        let fits = room == TK_SPACE;
        assert_eq!(result == TK_OK, fits, "{room}");
        assert_eq!(answer.status, if fits { 401 } else { 503 });
        // SAFETY: every text ends with a NUL.
        let body = unsafe { CStr::from_ptr(answer.body.data) };
        assert_eq!(body.count_bytes(), answer.body.len);
    }
}

#[test]
fn handles_that_lead_nowhere_deny() {
    let first = Owned::new();
    let handle = first.0;
    drop(first);
    let second = Owned::new();
    assert_ne!(handle, second.0);
    for engine in [
        handle,
        ptr::null_mut(),
        ptr::without_provenance_mut(1),
        second.0.wrapping_byte_add(256),
    ] {
        let (result, decision) = decide(engine, &request());
        assert!(result == TK_ERR_ENGINE && is_unusable(&decision));
        assert_eq!(tk_engine_free(engine), TK_ERR_ENGINE);
    }
}

#[test]
fn an_engine_may_be_freed_while_others_decide() {
    let rounds = if cfg!(miri) { 2 } else { 20 };
    for _ in 0..rounds {
        let engine = Owned::new();
        let key = mint(&engine, TK_UNLIMITED);
        // A handle is a number: threads may share it.
        let handle = engine.0.addr();
        let asks = || {
            let request = tk_request {
                api_key: key.as_str().into(),
                ..request()
            };
            loop {
                let (result, decision) = decide(ptr::without_provenance_mut(handle), &request);
                match result {
                    TK_OK => assert_eq!(decision.status, 200),
                    other => {
                        assert!(other == TK_ERR_ENGINE && is_unusable(&decision));
                        return;
                    }
                }
            }
        };
        thread::scope(|scope| {
            scope.spawn(asks);
            scope.spawn(asks);
            thread::yield_now();
            drop(engine);
        });
    }
}

#[test]
fn outputs_stay_as_they_were_where_a_call_fails() {
    let mut handle = ptr::without_provenance_mut(5);
    let bad = tk_config {
        version: 9,
        ..config()
    };
    // SAFETY: whole structs of ours.
    let result = unsafe { tk_engine_new(&bad, &mut handle) };
    assert_eq!((result, handle.addr()), (TK_ERR_STRUCT, 5));
    let engine = Owned::new();
    let mut units = 5;
    // SAFETY: the id is alive, and so is the output.
    let result = unsafe { tk_key_used(engine.0, "0000000000".into(), NOW, &mut units) };
    assert_eq!((result, units), (TK_ERR_NO_KEY, 5));
    let nameless = tk_session {
        user: tk_bytes::NONE,
        token: "t".into(),
        ..session()
    };
    // SAFETY: one whole struct.
    let result = unsafe { tk_sessions_put(engine.0, &nameless, 1) };
    assert_eq!(result, TK_ERR_NULL);
    assert_eq!(last_error(), "user is NULL");
}

/// Threads that live need not all be within calls at one time.
#[test]
#[cfg_attr(miri, ignore = "thousands of threads")]
fn more_threads_may_live_than_can_be_within_calls() {
    const THREADS: usize = 2100;
    let engine = Owned::new();
    let key = mint(&engine, TK_UNLIMITED);
    let handle = engine.0.addr();
    let all_asked = Barrier::new(THREADS);
    let asks = || {
        let request = tk_request {
            api_key: key.as_str().into(),
            ..request()
        };
        decide(ptr::without_provenance_mut(handle), &request).0
    };
    let denied: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let thread = thread::Builder::new().stack_size(128 << 10);
                let asks_twice = || {
                    let first = asks();
                    all_asked.wait();
                    [first, asks()]
                };
                thread.spawn_scoped(scope, asks_twice).unwrap()
            })
            .collect();
        let answers = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap());
        answers.filter(|&answer| answer != TK_OK).count()
    });
    assert_eq!(denied, 0, "{}", last_error());
    // The numbers are exact, whoever had a place to keep.
    let mut metrics = support::metrics();
    // SAFETY: a whole struct that was set up.
    assert_eq!(unsafe { tk_metrics_read(engine.0, &mut metrics) }, TK_OK);
    assert_eq!(metrics.decisions[1], 2 * THREADS as u64);
}

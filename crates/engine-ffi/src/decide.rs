//! Deciding, alone and many at once. Whatever goes wrong denies.

use std::mem::MaybeUninit;
use std::net::Ipv4Addr;

use engine::{Decision, Request};

use crate::decision::tk_decision;
use crate::engine_handle::Instance;
use crate::guard;
use crate::handle::{self, tk_engine};
use crate::ptr::{Caller, Each};
use crate::request::tk_request;
use crate::result::{Refusal, tk_result};

/// Decides about a request at the system's time, and charges the key if it
/// admits. What was decided lies in `decision`, which is written whatever the
/// call answers: where it is not TK_OK, with `TK_REASON_UNUSABLE`.
///
/// Allocates nothing, takes no lock, and makes no system call but the clock's.
///
/// Ownership: both structs are the caller's; nothing is kept. Thread safety:
/// any number of threads with one engine, each with structs of its own, also
/// while others change or free the engine. Not to be called from a signal
/// handler.
/// Errors, all of which deny: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL,
/// TK_ERR_MISALIGNED (also of `decision`, which is written all the same),
/// TK_ERR_STRUCT, TK_ERR_LENGTH; TK_ERR_VALUE for a request without a client
/// address; TK_ERR_FULL past 1024 threads that are within calls.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_decide(
    engine: *const tk_engine,
    request: *const tk_request,
    decision: *mut tk_decision,
) -> tk_result {
    // SAFETY: promised by this function's own caller.
    let caller = unsafe { Caller::trusted() };
    lone(caller, engine, request, decision, None)
}

/// As `tk_decide`, at a time in unix seconds, which may lie before that of an
/// earlier call.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_decide_at(
    engine: *const tk_engine,
    request: *const tk_request,
    unix_s: u64,
    decision: *mut tk_decision,
) -> tk_result {
    // SAFETY: promised by this function's own caller.
    let caller = unsafe { Caller::trusted() };
    lone(caller, engine, request, decision, Some(unix_s))
}

/// One decision, at a time or at the clock's, or one that denies.
#[inline(always)]
fn lone(
    caller: Caller<'_>,
    engine: *const tk_engine,
    request: *const tk_request,
    decision: *mut tk_decision,
    at: Option<u64>,
) -> tk_result {
    let result = guard::call(|| {
        handle::with_thread(engine, |instance, thread| {
            let told = tell(caller, instance, request, decision, at);
            instance.counts.add(thread, *told.as_ref().unwrap_or(&0));
            told.map(drop)
        })
    });
    if result != tk_result::TK_OK {
        caller.write(decision, &tk_decision::UNUSABLE);
    }
    result
}

/// Decides, and writes what was decided; the number of the reason.
#[inline(always)]
fn tell(
    caller: Caller<'_>,
    instance: &Instance,
    request: *const tk_request,
    decision: *mut tk_decision,
    at: Option<u64>,
) -> Result<u8, Refusal> {
    let place = caller.place(decision, "decision")?;
    let mut copy = MaybeUninit::uninit();
    let described = caller.described(request, &mut copy, "tk_request")?;
    let request = described.asked(caller)?;
    let mut unix_s = at.unwrap_or(0);
    let decided = match at {
        Some(unix_s) => instance.engine.decide_at(&request, unix_s),
        None => instance.engine.decide_timed(&request, &mut unix_s),
    };
    tk_decision::tell(place, &decided, request.shown_key(), unix_s);
    Ok(decided.reason() as u8)
}

/// Decides about `count` requests of one moment, the system's time, and writes
/// as many decisions. Gives what as many calls of `tk_decide` in this order
/// would, in less time: keys are hashed side by side, and memory is asked for
/// early; 64 at a time are as good as more.
///
/// If any request of the array is wrong, none is decided about or charged: all
/// decisions hold `TK_REASON_UNUSABLE`.
///
/// Ownership, thread safety, errors: as `tk_decide`; TK_ERR_STRUCT also where
/// the requests say different sizes, TK_ERR_LENGTH also for a count that no
/// memory holds, with which nothing is written. A count of 0 does nothing.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_decide_batch(
    engine: *const tk_engine,
    requests: *const tk_request,
    count: usize,
    decisions: *mut tk_decision,
) -> tk_result {
    // SAFETY: promised by this function's own caller.
    let caller = unsafe { Caller::trusted() };
    batch(caller, engine, requests, count, decisions, |instance| {
        instance.engine.clock().now()
    })
}

/// As `tk_decide_batch`, at a time in unix seconds.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_decide_batch_at(
    engine: *const tk_engine,
    requests: *const tk_request,
    count: usize,
    unix_s: u64,
    decisions: *mut tk_decision,
) -> tk_result {
    // SAFETY: promised by this function's own caller.
    let caller = unsafe { Caller::trusted() };
    batch(caller, engine, requests, count, decisions, |_| unix_s)
}

/// Requests that are described to the engine at a time.
const CHUNK: usize = 64;

fn batch(
    caller: Caller<'_>,
    engine: *const tk_engine,
    requests: *const tk_request,
    count: usize,
    decisions: *mut tk_decision,
    unix_s: impl FnOnce(&Instance) -> u64,
) -> tk_result {
    let result = guard::call(|| {
        handle::with_thread(engine, |instance, thread| {
            let asked = || {
                let places = caller.places(decisions, count, "decisions")?;
                let requests = caller.each(requests, count, "tk_request")?;
                for request in requests.clone() {
                    request?.asked(caller)?;
                }
                Ok((places, requests))
            };
            match asked() {
                Ok((places, requests)) => {
                    let unix_s = unix_s(instance);
                    decide_all(caller, (instance, thread), requests, unix_s, places)
                }
                Err(refusal) => {
                    instance.counts.add(thread, 0);
                    Err(refusal)
                }
            }
        })
    });
    if result != tk_result::TK_OK {
        caller.write_all(decisions, count, &tk_decision::UNUSABLE);
    }
    result
}

fn decide_all<'a>(
    caller: Caller<'a>,
    (instance, thread): (&Instance, usize),
    mut requests: Each<'a, tk_request>,
    unix_s: u64,
    places: &mut [MaybeUninit<tk_decision>],
) -> Result<(), Refusal> {
    let mut asked = [Request::new(Ipv4Addr::UNSPECIFIED); CHUNK];
    let mut decided = [Decision::default(); CHUNK];
    for places in places.chunks_mut(CHUNK) {
        let chunk = places.len();
        for (place, request) in asked[..chunk].iter_mut().zip(&mut requests) {
            *place = request?.asked(caller)?;
        }
        let (asked, decided) = (&asked[..chunk], &mut decided[..chunk]);
        instance.engine.decide_batch_at(asked, decided, unix_s);
        for ((request, decision), place) in asked.iter().zip(&*decided).zip(places) {
            tk_decision::tell(place, decision, request.shown_key(), unix_s);
            instance.counts.add(thread, decision.reason() as u8);
        }
    }
    Ok(())
}

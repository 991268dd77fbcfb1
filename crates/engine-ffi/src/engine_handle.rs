//! An engine as C has it: made, freed, kept tidy.

use std::sync::Arc;

use engine::Engine;
use engine::wire::Wire;

use crate::bytes::tk_bytes;
use crate::config::{Setup, tk_config};
use crate::counts::Counts;
use crate::follow::Followed;
use crate::guard;
use crate::handle::{self, tk_engine};
use crate::ptr::Caller;
use crate::request::address;
use crate::result::{Refusal, tk_result};

/// What a handle stands for.
pub(crate) struct Instance {
    /// First, so that the thread is at its end before the engine is.
    pub(crate) followed: Followed,
    pub(crate) engine: Arc<Engine>,
    pub(crate) wire: Wire,
    pub(crate) preflight_max_age_s: u32,
    pub(crate) counts: Counts,
}

impl Instance {
    pub(crate) fn new(setup: Setup) -> Self {
        Self {
            followed: Followed::default(),
            engine: Arc::new(setup.engine),
            wire: setup.wire,
            preflight_max_age_s: setup.preflight_max_age_s,
            counts: Counts::new(),
        }
    }
}

/// Makes an engine without keys and sessions, with the counts of its ledger if
/// it names one, and writes its handle to
/// `engine`. It answers until `tk_engine_free`.
///
/// Ownership: the caller's; what `config` points to is not kept. Thread safety:
/// any thread. After `fork`: make an engine in the child; it may be done where
/// the parent has engines and threads.
/// Errors: TK_ERR_NULL, TK_ERR_MISALIGNED, TK_ERR_STRUCT, TK_ERR_LENGTH,
/// TK_ERR_UTF8; TK_ERR_VALUE where a setting is out of its range or form;
/// TK_ERR_FULL past 256 engines; TK_ERR_SYSTEM where there is no memory, no
/// random bytes, or the secret file cannot be read; TK_ERR_LEDGER where the
/// ledger file is none, does not fit the settings, or cannot be made.
///
/// # Safety
///
/// As the header says: pointers lead to memory of the length that goes with
/// them. So for each function that takes one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_engine_new(
    config: *const tk_config,
    engine: *mut *mut tk_engine,
) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        let out = caller.out(engine, "engine")?;
        let config = caller.copied(config, "tk_config")?;
        let instance = Instance::new(config.build(caller)?);
        out.write(handle::give(instance)?);
        Ok(())
    })
}

/// Frees an engine. It waits until calls that other threads are within have
/// ended, each of which sees the engine whole; calls that begin later find no
/// engine, deny, and answer TK_ERR_ENGINE. When this returns, no thread uses
/// the engine any more and its memory is given back.
///
/// In a child of `fork`, to which the engine does not belong, only the handle
/// ends: the memory stays shared with the parent, whose engine goes on.
///
/// Thread safety: any thread, also while others decide. Of several calls for
/// one engine one frees it. Not to be called from a signal handler.
/// Errors: TK_ERR_ENGINE where it is NULL, was freed before, or never was.
#[unsafe(no_mangle)]
pub extern "C" fn tk_engine_free(engine: *mut tk_engine) -> tk_result {
    guard::call(|| handle::free(engine))
}

/// Gives back memory of expired sessions, and of keys and sessions that were
/// replaced. Call it every few seconds from a thread that serves no requests;
/// it takes time in proportion to the number of sessions. Without it memory
/// is given back only as keys and sessions are changed. An engine that follows
/// a store needs none. Sessions that it drops stay dropped if the clock turns
/// out to have been ahead: put those in again.
///
/// Thread safety: any thread, also while others decide.
/// Errors: TK_ERR_ENGINE, TK_ERR_FORKED.
#[unsafe(no_mangle)]
pub extern "C" fn tk_engine_tidy(engine: *const tk_engine) -> tk_result {
    guard::call(|| {
        handle::with(engine, |instance| {
            instance
                .engine
                .purge_sessions(instance.engine.clock().now());
            instance.engine.reclaim();
            Ok(())
        })
    })
}

/// Ends the block of a client address, given as text (of its /64 for IPv6),
/// at a time in unix seconds. `was_blocked`, unless it is NULL, tells by 1 or 0
/// whether there was one. Its count of guesses starts again from nothing.
///
/// Thread safety: any thread, also while others decide.
/// Errors: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_LENGTH,
/// TK_ERR_UTF8; TK_ERR_VALUE for what is no address.
///
/// # Safety
///
/// As [`tk_engine_new`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_unblock(
    engine: *mut tk_engine,
    client: tk_bytes,
    unix_s: u64,
    was_blocked: *mut u8,
) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        let out = caller.optional(was_blocked, "was_blocked")?;
        let client = address(caller, client)?;
        let blocked: Result<bool, Refusal> = handle::with(engine, |instance| {
            Ok(instance.engine.unblock(client, unix_s))
        });
        let blocked = blocked?;
        if let Some(out) = out {
            out.write(blocked.into());
        }
        Ok(())
    })
}

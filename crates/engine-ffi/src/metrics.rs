//! Numbers for whoever watches over a gateway.

use std::time::Duration;

use store::Health;

use crate::counts::COUNTED;
use crate::guard;
use crate::handle::{self, tk_engine};
use crate::ptr::{Caller, Described};
use crate::result::tk_result;

/// Reasons that are counted: more than there are.
pub const TK_REASONS: usize = 32;

const _: () = assert!(TK_REASONS == COUNTED);

/// What an engine holds and has done. Set it up with `tk_metrics_init`; later
/// versions add members at the end.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tk_metrics {
    /// `sizeof(tk_metrics)`.
    pub size: u32,
    /// 1 where the engine follows a store and its thread is at work, else 0.
    pub follows: u8,
    /// 1 where the ledger file was found damaged, cut short or full, else 0.
    pub ledger_fault: u8,
    /// Zero.
    pub reserved: [u8; 2],
    /// Keys, whatever their state.
    pub keys: u64,
    /// Sessions, expired ones that were not yet given back included.
    pub sessions: u64,
    /// Client addresses that are blocked.
    pub blocked_addresses: u64,
    /// Decisions since the engine was made, by the number of their reason; at 0
    /// the calls that were wrong and decided nothing.
    pub decisions: [u64; 32],
    /// Milliseconds since the store that is followed was last looked at with
    /// success: some dozens while all is well. An alert on it says that
    /// revocations no longer arrive. 0 where none is followed.
    pub store_lag_ms: u64,
    /// Looks at the store that failed.
    pub store_errors: u64,
}

// SAFETY: repr(C), the size first, integers alone.
unsafe impl Described for tk_metrics {
    const LEAST: usize = 304;
}

/// Reads the numbers of an engine into `metrics`, each at some moment of this
/// call. Reads the whole table of blocked addresses (about 0.1 ms): for a
/// scrape, not for each request.
///
/// Thread safety: any thread, also while others decide.
/// Errors: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_MISALIGNED;
/// TK_ERR_STRUCT where `metrics` was not set up.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_metrics_read(
    engine: *const tk_engine,
    metrics: *mut tk_metrics,
) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        caller.change(metrics, "tk_metrics", |metrics| {
            handle::with(engine, |instance| {
                let stats = instance.engine.stats(instance.engine.clock().now());
                metrics.keys = stats.keys as u64;
                metrics.sessions = stats.sessions as u64;
                metrics.blocked_addresses = stats.blocked_addresses as u64;
                metrics.decisions = instance.counts.sums();
                metrics.ledger_fault = instance.engine.ledger_fault().is_some().into();
                let health = instance.followed.health();
                let health = health.as_deref();
                metrics.follows = health.is_some_and(Health::follows).into();
                let lag = health.map_or(Duration::ZERO, Health::lag);
                metrics.store_lag_ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
                metrics.store_errors = health.map_or(0, Health::errors);
                Ok(())
            })
        })
    })
}

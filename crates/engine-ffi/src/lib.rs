//! The engine from C: `libtokenkit` and `tokenkit.h`.
//!
//! Thin over the crates `engine` and `store`: nothing is decided here. What is
//! here is what C cannot promise by its types.
//!
//! - `ptr` turns pointers into references and back; no other file does.
//! - `guard` stands around each call: no panic crosses, a failure is a
//!   [`tk_result`] and a text, and a decision that fails denies.
//! - `handle` finds an engine by what C holds of it, which is a name and no
//!   address: one that was freed, made up or inherited by `fork` is found out.
//!
//! The header `include/tokenkit.h` is made from the types and comments here by
//! `cargo xtask header`: what a C programmer must know stands in the comments
//! of what is exported.

#![allow(non_camel_case_types, reason = "the names are those of C")]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("a handle has 64 bits and travels as a pointer: a 64-bit target is wanted");

mod answer;
mod barrier;
mod bytes;
mod config;
mod counts;
mod decide;
mod decision;
mod engine_handle;
mod follow;
mod guard;
mod handle;
mod keys;
mod last_error;
mod metrics;
mod names;
mod process;
mod ptr;
mod request;
mod result;
mod seat;
mod seats;
mod sessions;
mod signals;

/// The atomics of [`seat`].
mod atomic {
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
}

pub use answer::{
    TK_MAX_HEADERS, TK_SPACE, tk_answer, tk_header, tk_header_is_reserved, tk_identity,
    tk_preflight, tk_project, tk_render, tk_str,
};
pub use bytes::{TK_MAX_BYTES, tk_bytes};
pub use config::{TK_CONFIG_VERSION, tk_config};
pub use decide::{tk_decide, tk_decide_at, tk_decide_batch, tk_decide_batch_at};
pub use decision::{tk_decision, tk_reason, tk_reason_name};
pub use engine_handle::{tk_engine_free, tk_engine_new, tk_engine_tidy, tk_unblock};
pub use follow::{tk_engine_follow, tk_engine_trouble, tk_store_check};
pub use handle::tk_engine;
pub use keys::{
    TK_DIGEST_LEN, TK_KEY_ID_LEN, TK_KEY_SPACE, TK_NEVER, TK_UNLIMITED, tk_key, tk_key_digest,
    tk_key_mint, tk_key_remove, tk_key_set_limit, tk_key_set_state, tk_key_used, tk_keys_put,
    tk_state,
};
pub use metrics::{TK_REASONS, tk_metrics, tk_metrics_read};
pub use names::{tk_last_error, tk_result_name, tk_version};
pub use request::{tk_request, tk_request_address, tk_request_header};
pub use result::tk_result;
pub use sessions::{
    TK_TOKEN_SPACE, tk_session, tk_session_end, tk_session_mint, tk_sessions_put, tk_token_digest,
};

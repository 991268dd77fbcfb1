//! Replays trace files: what was asked, at which time, and what must be
//! answered.
//!
//! A trace is one JSON document, checked to the letter by [`Trace::parse`].
//! [`replay`] runs it against a [`Subject`]: the engine itself
//! ([`EngineSubject`]) or an adapter over it, so that all of them are held to
//! one contract. A [`Report`] says what differs.
//!
//! ```json
//! {
//!   "trace": 1,
//!   "name": "what it shows",
//!   "config": {
//!     "prefixes": ["tk_live"],
//!     "origins": ["https://console.example.com"],
//!     "failures": {"threshold": 3, "window_s": 300, "block_s": 60, "exempt": ["192.0.2.0/24"]}
//!   },
//!   "keys": [
//!     {"name": "k1", "project": "p1", "secret": "tk_live_...", "hourly_limit": 2, "origins": [],
//!      "require_origin": false, "ips": [], "expires_at": null, "state": "active"}
//!   ],
//!   "sessions": [{"token": "...", "project": "p1", "user": "u1", "expires_at": 1790003600}],
//!   "steps": [
//!     {"at": 1790000000,
//!      "request": {"api_key": "tk_live_...", "ip": "198.51.100.7", "origin": null,
//!                  "bearer": null, "needs_user": false, "cost": 1},
//!      "expect": {"status": 200, "reason": "allowed", "key": "k1", "limit": 2,
//!                 "remaining": 1, "reset": 2800}},
//!     {"at": 1790000001, "do": {"revoke": "k1"}}
//!   ]
//! }
//! ```
//!
//! - `trace`, `steps`, `at`, `ip`, and the `secret` or `token` of what is
//!   listed must be there. Every other member may be left out: `state` is then
//!   `active`, `cost` 1, `prefixes` and the numbers of `failures` what the
//!   engine has, lists are empty, the rest is null or false. A null
//!   `hourly_limit` is unlimited. An unknown member is an error.
//! - `at` is whole unix seconds, and may step back.
//! - `expect` names only what is compared: `status`, `reason`, `key` (its
//!   name), `user`, `limit`, `remaining`, `reset`, `retry_after`,
//!   `allow_origin` (whether the origin is echoed). `null` says that the
//!   decision carries no such thing.
//! - `do` is one of `{"revoke": NAME}`, `{"disable": NAME}`, `{"enable": NAME}`
//!   (a revoked key stays revoked), `{"set_limit": [NAME, N or null]}`,
//!   `{"add_key": {...}}`, `{"add_session": {...}}`, `{"end_session": TOKEN}`,
//!   `{"unblock": IP}`.
//!
//! ```
//! use trace::{EngineSubject, Trace, replay};
//!
//! let text = br#"{"trace": 1, "steps": [
//!     {"at": 1790000000, "request": {"ip": "198.51.100.7"},
//!      "expect": {"status": 401, "reason": "missing_key"}}]}"#;
//! let trace = Trace::parse(text).unwrap();
//! let report = replay::<EngineSubject>(&trace).unwrap();
//! assert!(report.differing.is_empty());
//! ```

#![forbid(unsafe_code)]

mod answer;
mod check;
mod engine_subject;
mod error;
mod format;
mod model;
mod report;
mod run;

pub use answer::Answer;
pub use engine_subject::{EngineSubject, EngineSubjectError};
pub use error::TraceError;
pub use model::{Action, Ask, Change, Config, Key, Session, Step, StepKind, Trace};
pub use report::{Difference, Report, Totals};
pub use run::{Applied, Subject, replay};

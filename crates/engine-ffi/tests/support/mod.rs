//! What the tests of the C interface share: structs as the header's `_init`
//! functions set them up, and an engine that is freed when it is dropped.

#![allow(dead_code, reason = "each test takes what it needs")]

#[cfg(not(miri))]
pub(crate) mod subject;

use std::ffi::CStr;
use std::ptr;

use engine_ffi::*;

/// The secret of test engines.
pub(crate) const SECRET: [u8; 32] = [7; 32];

/// An engine's handle, freed at its end.
pub(crate) struct Owned(pub(crate) *mut tk_engine);

impl Owned {
    /// By the configuration that a change makes of a small one.
    pub(crate) fn with(change: impl FnOnce(&mut tk_config)) -> Result<Self, tk_result> {
        let mut config = config();
        change(&mut config);
        let mut handle = ptr::null_mut();
        // SAFETY: both lead to whole structs of ours, whose texts are alive.
        match unsafe { tk_engine_new(&config, &mut handle) } {
            tk_result::TK_OK => Ok(Self(handle)),
            other => Err(other),
        }
    }

    /// A small one.
    pub(crate) fn new() -> Self {
        Self::with(|_| {}).unwrap()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        tk_engine_free(self.0);
    }
}

/// As `tk_config_init` and a secret; small, for there are many.
pub(crate) fn config() -> tk_config {
    tk_config {
        size: size_of::<tk_config>() as u32,
        version: TK_CONFIG_VERSION,
        secret: SECRET.as_slice().into(),
        secret_file: tk_bytes::NONE,
        prefixes: tk_bytes::NONE,
        origins: tk_bytes::NONE,
        exempt: tk_bytes::NONE,
        realm: tk_bytes::NONE,
        ledger: tk_bytes::NONE,
        threshold: 0,
        window_s: 0,
        block_s: 0,
        max_addresses: 64,
        max_keys: 256,
        preflight_max_age_s: 0,
        omit_x_ratelimit: 0,
        reserved: [0; 7],
    }
}

/// As `tk_request_init`, from an address of the documentation.
pub(crate) fn request() -> tk_request {
    tk_request {
        size: size_of::<tk_request>() as u32,
        cost: 1,
        api_key: tk_bytes::NONE,
        origin: tk_bytes::NONE,
        authorization: tk_bytes::NONE,
        bearer: tk_bytes::NONE,
        client: [192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        client_len: 4,
        needs_user: 0,
        api_key_repeated: 0,
        origin_repeated: 0,
        authorization_repeated: 0,
        reserved: [0; 3],
    }
}

/// As `tk_key_init`, of a project.
pub(crate) fn key() -> tk_key {
    tk_key {
        size: size_of::<tk_key>() as u32,
        state: tk_state::TK_STATE_ACTIVE as u32,
        secret: tk_bytes::NONE,
        id: tk_bytes::NONE,
        digest: tk_bytes::NONE,
        project: "p1".into(),
        origins: tk_bytes::NONE,
        ips: tk_bytes::NONE,
        hourly_limit: TK_UNLIMITED,
        expires_at: TK_NEVER,
        require_origin: 0,
        reserved: [0; 7],
    }
}

/// As `tk_session_init`, of a project and a user.
pub(crate) fn session() -> tk_session {
    tk_session {
        size: size_of::<tk_session>() as u32,
        reserved: 0,
        token: tk_bytes::NONE,
        digest: tk_bytes::NONE,
        project: "p1".into(),
        user: "u1".into(),
        expires_at: TK_NEVER,
    }
}

/// A decision that would admit, to see that it is written.
pub(crate) fn admitting() -> tk_decision {
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

/// The last error of this thread.
pub(crate) fn last_error() -> String {
    // SAFETY: always a text that ends with a NUL.
    let text = unsafe { CStr::from_ptr(tk_last_error()) };
    text.to_string_lossy().into_owned()
}

/// As `tk_metrics_init`.
pub(crate) fn metrics() -> tk_metrics {
    tk_metrics {
        size: size_of::<tk_metrics>() as u32,
        follows: 0,
        ledger_fault: 0,
        reserved: [0; 2],
        keys: 0,
        sessions: 0,
        blocked_addresses: 0,
        decisions: [0; 32],
        store_lag_ms: 0,
        store_errors: 0,
    }
}

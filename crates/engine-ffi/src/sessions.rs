//! Session tokens from C: put, ended, minted.

use std::ffi::c_char;

use engine::{SessionRecord, SessionToken, TokenDigest};

use crate::bytes::tk_bytes;
use crate::engine_handle::Instance;
use crate::guard;
use crate::handle::{self, tk_engine};
use crate::keys::{TK_DIGEST_LEN, TK_NEVER, digest, name, put_text, room};
use crate::ptr::{Caller, Described};
use crate::result::tk_result::{TK_ERR_NULL, TK_ERR_SYSTEM, TK_ERR_VALUE};
use crate::result::{Refusal, tk_result};

/// Room for a minted token and the NUL behind it.
pub const TK_TOKEN_SPACE: usize = 44;

/// A user's session. Set it up with `tk_session_init`, which sets no expiry.
///
/// It is named either by the whole token, of which only a digest is kept, or by
/// that digest (`tk_token_digest`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tk_session {
    /// `sizeof(tk_session)`.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// The whole token in the clear; or nothing, and `digest`.
    pub token: tk_bytes,
    /// The digest of the whole token: 32 bytes.
    pub digest: tk_bytes,
    /// The project whose keys the session goes with: 1 to 64 printable ASCII
    /// characters.
    pub project: tk_bytes,
    /// The user that the session speaks for: as `project`.
    pub user: tk_bytes,
    /// The unix second from which on the token is refused, or `TK_NEVER`.
    pub expires_at: u64,
}

// SAFETY: repr(C), the size first, integers and pointers.
unsafe impl Described for tk_session {
    const LEAST: usize = 80;
}

impl tk_session {
    fn record(&self, caller: Caller<'_>) -> Result<SessionRecord, Refusal> {
        if self.reserved != 0 {
            return Err(Refusal::unknown_members("tk_session"));
        }
        Ok(SessionRecord {
            project: name(caller, self.project, "project")?,
            user: name(caller, self.user, "user")?,
            expires_at: (self.expires_at != TK_NEVER).then_some(self.expires_at),
        })
    }

    fn token_digest(
        &self,
        caller: Caller<'_>,
        instance: &Instance,
    ) -> Result<TokenDigest, Refusal> {
        match caller.bytes(self.token, "token")? {
            Some(token) => Ok(instance.engine.secret().digest_token(token)),
            None => digest(caller, self.digest).map(TokenDigest::from_bytes),
        }
    }
}

/// Adds `count` sessions, or replaces those of the same tokens; all of them or
/// none. Every decision that starts after this returns sees them.
///
/// Ownership: nothing is kept of what `sessions` points to; of a whole token
/// its digest is. Thread safety: any thread, also while others decide.
/// Errors, which leave all as it was: TK_ERR_ENGINE, TK_ERR_FORKED,
/// TK_ERR_NULL, TK_ERR_MISALIGNED, TK_ERR_STRUCT, TK_ERR_LENGTH, TK_ERR_UTF8,
/// TK_ERR_VALUE.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_sessions_put(
    engine: *mut tk_engine,
    sessions: *const tk_session,
    count: usize,
) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        handle::with(engine, |instance| {
            let records = caller
                .each(sessions, count, "tk_session")?
                .map(|session| {
                    let session = session?;
                    Ok((
                        session.token_digest(caller, instance)?,
                        session.record(caller)?,
                    ))
                })
                .collect::<Result<Vec<_>, Refusal>>()?;
            for (token, record) in records {
                instance.engine.put_session(token, record);
            }
            Ok(())
        })
    })
}

/// Mints a token of 43 characters from the system's random source, puts in its
/// session (whose `token` and `digest` must be nothing), and writes the token
/// to `space` with a NUL behind it: hand it to the user, then wipe it, for only
/// its digest is kept.
///
/// Ownership: `space` is the caller's, `TK_TOKEN_SPACE` bytes suffice. Thread
/// safety: as `tk_sessions_put`.
/// Errors, which mint nothing: as `tk_sessions_put`; TK_ERR_SPACE where `space`
/// is too small, TK_ERR_SYSTEM where the system gives no random bytes.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_session_mint(
    engine: *mut tk_engine,
    session: *const tk_session,
    space: *mut c_char,
    space_len: usize,
) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        handle::with(engine, |instance| {
            let out = room(caller, space, space_len, "a token", TK_TOKEN_SPACE)?;
            let session = caller.copied(session, "tk_session")?;
            if !session.token.data.is_null() || !session.digest.data.is_null() {
                return Err(Refusal::of(
                    TK_ERR_VALUE,
                    "a session that is minted gets its token and digest: they must be nothing",
                ));
            }
            let record = session.record(caller)?;
            let token = SessionToken::generate().map_err(|_| {
                Refusal::of(TK_ERR_SYSTEM, "the operating system gives no random bytes")
            })?;
            let digest = instance
                .engine
                .secret()
                .digest_token(token.expose().as_bytes());
            instance.engine.put_session(digest, record);
            put_text(token.expose(), out);
            Ok(())
        })
    })
}

/// Ends the session of a whole token. `was_there`, unless it is NULL, tells by
/// 1 or 0 whether there was one.
///
/// Thread safety: any thread, also while others decide.
/// Errors: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_LENGTH.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_session_end(
    engine: *mut tk_engine,
    token: tk_bytes,
    was_there: *mut u8,
) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        let out = caller.optional(was_there, "was_there")?;
        let token = given(caller, token)?;
        let ended = handle::with(engine, |instance| {
            let digest = instance.engine.secret().digest_token(token);
            Ok(instance.engine.end_session(&digest))
        })?;
        if let Some(out) = out {
            out.write(u8::from(ended));
        }
        Ok(())
    })
}

/// Writes the digest of a whole session token under the engine's secret,
/// `TK_DIGEST_LEN` bytes, to `digest`: for `tk_session`. It is another than
/// that of a key of the same characters.
///
/// Thread safety: any thread.
/// Errors: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_LENGTH.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_token_digest(
    engine: *const tk_engine,
    token: tk_bytes,
    digest: *mut u8,
) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        let out = caller.out(digest.cast::<[u8; TK_DIGEST_LEN]>(), "digest")?;
        let token = given(caller, token)?;
        let digest = handle::with(engine, |instance| {
            Ok(*instance.engine.secret().digest_token(token).as_bytes())
        })?;
        out.write(digest);
        Ok(())
    })
}

fn given<'a>(caller: Caller<'a>, token: tk_bytes) -> Result<&'a [u8], Refusal> {
    caller
        .bytes(token, "token")?
        .ok_or(Refusal::of(TK_ERR_NULL, "token is NULL"))
}

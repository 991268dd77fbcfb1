//! Keys from C: put, removed, changed, minted.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use engine::{
    Hour, KeyChangeError, KeyDigest, KeyId, KeyPolicy, KeyRecord, KeyState, Limit, MAX_KEY_LEN,
    MintError, Name, Prefix, SecretKey,
};

use crate::bytes::tk_bytes;
use crate::config::{cidrs, origins};
use crate::engine_handle::Instance;
use crate::guard;
use crate::handle::{self, tk_engine};
use crate::ptr::{Caller, Described};
use crate::result::tk_result::{
    TK_ERR_DUPLICATE, TK_ERR_FULL, TK_ERR_LEDGER, TK_ERR_LENGTH, TK_ERR_NO_KEY, TK_ERR_NULL,
    TK_ERR_SPACE, TK_ERR_SYSTEM, TK_ERR_UTF8, TK_ERR_VALUE,
};
use crate::result::{Refusal, chain, tk_result};

/// An `hourly_limit` of none: unlimited, but still counted.
pub const TK_UNLIMITED: u64 = u64::MAX;
/// An `expires_at` of never.
pub const TK_NEVER: u64 = u64::MAX;
/// Bytes of a digest.
pub const TK_DIGEST_LEN: usize = 32;
/// Characters of a key's public id.
pub const TK_KEY_ID_LEN: usize = 10;
/// Room for a whole key and the NUL behind it.
pub const TK_KEY_SPACE: usize = 65;

const _: () = assert!(TK_KEY_SPACE > MAX_KEY_LEN && TK_KEY_ID_LEN == engine::ID_LEN);

/// Whether a key may be used at all: what `tk_key.state` holds.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum tk_state {
    /// It may.
    TK_STATE_ACTIVE = 1,
    /// Not now; it can be enabled again.
    TK_STATE_DISABLED = 2,
    /// Never again: a revoked key stays revoked, whatever is asked for.
    TK_STATE_REVOKED = 3,
}

/// A key, and what it may do. Set it up with `tk_key_init`: active, without
/// limit, expiry or lists. All zeroes are refused.
///
/// It is named either by the whole key, of which only a digest is kept, or by
/// its id and that digest (`tk_key_digest`), as a store of your own has them.
/// Texts are UTF-8. A list is one text, its items separated by blanks or
/// commas; none or an empty one allows any.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tk_key {
    /// `sizeof(tk_key)`.
    pub size: u32,
    /// A `tk_state`.
    pub state: u32,
    /// The whole key in the clear; or nothing, and `id` and `digest`.
    pub secret: tk_bytes,
    /// The public id: 10 characters.
    pub id: tk_bytes,
    /// The digest of the whole key: 32 bytes.
    pub digest: tk_bytes,
    /// The project that the key belongs to: 1 to 64 printable ASCII characters.
    pub project: tk_bytes,
    /// The origins that may use the key.
    pub origins: tk_bytes,
    /// The addresses (CIDR) that may use the key.
    pub ips: tk_bytes,
    /// Units an hour, up to 68719476734, or `TK_UNLIMITED`.
    pub hourly_limit: u64,
    /// The unix second from which on the key is refused, or `TK_NEVER`; a time
    /// past the year 4147 (2^36 seconds) is never, too.
    pub expires_at: u64,
    /// 1: a request without an origin is refused; else 0.
    pub require_origin: u8,
    /// Zero.
    pub reserved: [u8; 7],
}

// SAFETY: repr(C), the size first, integers and pointers.
unsafe impl Described for tk_key {
    const LEAST: usize = 128;
}

impl tk_key {
    fn policy(&self, caller: Caller<'_>) -> Result<KeyPolicy, Refusal> {
        if self.reserved != [0; 7] || self.require_origin > 1 {
            return Err(Refusal::unknown_members("tk_key"));
        }
        let mut policy = KeyPolicy::new(name(caller, self.project, "project")?);
        policy.hourly_limit = limit(self.hourly_limit)?;
        policy.expires_at = (self.expires_at != TK_NEVER).then_some(self.expires_at);
        policy.state = state(self.state)?;
        policy.require_origin = self.require_origin != 0;
        policy.origins = origins(caller, self.origins, "origins")?;
        policy.ips = cidrs(caller, self.ips, "ips")?;
        Ok(policy)
    }

    fn record(&self, caller: Caller<'_>, instance: &Instance) -> Result<KeyRecord, Refusal> {
        let (id, digest) = match caller.bytes(self.secret, "secret")? {
            Some(secret) => {
                let text = std::str::from_utf8(secret)
                    .map_err(|_| Refusal::of(TK_ERR_UTF8, "secret is not UTF-8"))?;
                let key: SecretKey = text
                    .parse()
                    .map_err(|error| Refusal::value("secret", error))?;
                let digest = instance.engine.secret().digest_key(secret);
                (key.id(), digest)
            }
            None => (
                key_id(caller, self.id)?,
                KeyDigest::from_bytes(digest(caller, self.digest)?),
            ),
        };
        Ok(KeyRecord {
            id,
            digest,
            policy: self.policy(caller)?,
        })
    }
}

/// A name of a project or a user.
pub(crate) fn name(caller: Caller<'_>, text: tk_bytes, what: &str) -> Result<Name, Refusal> {
    let text = caller
        .text(text, what)?
        .ok_or_else(|| Refusal::told(TK_ERR_NULL, format!("{what} is NULL")))?;
    text.parse().map_err(|error| Refusal::value(what, error))
}

/// The 32 bytes of a digest.
pub(crate) fn digest(caller: Caller<'_>, bytes: tk_bytes) -> Result<[u8; 32], Refusal> {
    let bytes = caller.bytes(bytes, "digest")?.ok_or(Refusal::of(
        TK_ERR_NULL,
        "neither the secret itself nor its digest is given",
    ))?;
    bytes.try_into().map_err(|_| {
        Refusal::told(
            TK_ERR_LENGTH,
            format!("digest has {} bytes: it must have 32", bytes.len()),
        )
    })
}

fn key_id(caller: Caller<'_>, id: tk_bytes) -> Result<KeyId, Refusal> {
    let id = caller
        .text(id, "id")?
        .ok_or(Refusal::of(TK_ERR_NULL, "the id of the key is NULL"))?;
    id.parse().map_err(|error| Refusal::value("id", error))
}

fn limit(units: u64) -> Result<Option<Limit>, Refusal> {
    match units {
        TK_UNLIMITED => Ok(None),
        units => Limit::try_from(units)
            .map(Some)
            .map_err(|error| Refusal::value("hourly_limit", error)),
    }
}

fn state(number: u32) -> Result<KeyState, Refusal> {
    match number {
        1 => Ok(KeyState::Active),
        2 => Ok(KeyState::Disabled),
        3 => Ok(KeyState::Revoked),
        other => Err(Refusal::told(
            TK_ERR_VALUE,
            format!("{other} is no tk_state: one of TK_STATE_ACTIVE, _DISABLED and _REVOKED is"),
        )),
    }
}

const fn state_number(state: KeyState) -> u32 {
    match state {
        KeyState::Active => tk_state::TK_STATE_ACTIVE as u32,
        KeyState::Disabled => tk_state::TK_STATE_DISABLED as u32,
        KeyState::Revoked => tk_state::TK_STATE_REVOKED as u32,
    }
}

fn changed(error: &KeyChangeError) -> Refusal {
    Refusal::told(result_of(error), error.to_string())
}

/// How it is told that keys could not be changed.
pub(crate) const fn result_of(error: &KeyChangeError) -> tk_result {
    match error {
        KeyChangeError::Duplicate(_) => TK_ERR_DUPLICATE,
        KeyChangeError::Unknown(_) => TK_ERR_NO_KEY,
        KeyChangeError::Full { .. } => TK_ERR_FULL,
        KeyChangeError::Ledger(_) => TK_ERR_LEDGER,
        KeyChangeError::Memory => TK_ERR_SYSTEM,
        _ => TK_ERR_VALUE,
    }
}

/// Adds `count` keys, or replaces those of the same ids, which keep what they
/// have used; all of them or none. A revoked key stays revoked, whatever
/// replaces it. Every decision that starts after this returns sees them.
///
/// Ownership: nothing is kept of what `keys` points to; of a whole key its
/// digest is. Thread safety: any thread, also while others decide; changes
/// take turns.
/// Errors, which leave all as it was: TK_ERR_ENGINE, TK_ERR_FORKED,
/// TK_ERR_NULL, TK_ERR_MISALIGNED, TK_ERR_STRUCT, TK_ERR_LENGTH, TK_ERR_UTF8,
/// TK_ERR_VALUE, TK_ERR_DUPLICATE for an id that stands twice; TK_ERR_FULL
/// past `max_keys`; TK_ERR_LEDGER where the ledger file has no place for a new
/// key, or was damaged; TK_ERR_SYSTEM where there is no memory.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_keys_put(
    engine: *mut tk_engine,
    keys: *const tk_key,
    count: usize,
) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        handle::with(engine, |instance| {
            let records = caller
                .each(keys, count, "tk_key")?
                .map(|key| key?.record(caller, instance))
                .collect::<Result<Vec<_>, _>>()?;
            instance
                .engine
                .put_keys(records)
                .map_err(|error| changed(&error))
        })
    })
}

/// Mints a key from the system's random source, puts it in with the policy of
/// `key` (whose `secret`, `id` and `digest` must be nothing), and writes the
/// whole key to `space` with a NUL behind it: show it once, then wipe it, for
/// only its digest is kept. Its public id is the ten characters before the last
/// 38. `prefix` is one of the configured ones; nothing is the first of them.
///
/// Ownership: `space` is the caller's, `TK_KEY_SPACE` bytes suffice. Thread
/// safety: as `tk_keys_put`.
/// Errors, which mint nothing: as `tk_keys_put`; TK_ERR_SPACE where `space` is
/// too small, TK_ERR_SYSTEM also where the system gives no random bytes.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_key_mint(
    engine: *mut tk_engine,
    prefix: tk_bytes,
    key: *const tk_key,
    space: *mut c_char,
    space_len: usize,
) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        handle::with(engine, |instance| {
            let out = room(caller, space, space_len, "a key", TK_KEY_SPACE)?;
            let key = caller.copied(key, "tk_key")?;
            let named = [key.secret, key.id, key.digest];
            if named.iter().any(|named| !named.data.is_null()) {
                return Err(Refusal::of(
                    TK_ERR_VALUE,
                    "a key that is minted gets its secret, id and digest: they must be nothing",
                ));
            }
            let policy = key.policy(caller)?;
            let prefix = match caller.text(prefix, "prefix")? {
                Some(prefix) => prefix
                    .parse::<Prefix>()
                    .map_err(|error| Refusal::value("prefix", error))?,
                None => *instance
                    .engine
                    .prefixes()
                    .iter()
                    .next()
                    .ok_or(Refusal::of(TK_ERR_VALUE, "no prefix is configured"))?,
            };
            let minted = instance
                .engine
                .mint(&prefix, policy)
                .map_err(|error| match &error {
                    MintError::Random(_) => Refusal::told(TK_ERR_SYSTEM, chain(&error)),
                    MintError::Keyring(cause) => changed(cause),
                    _ => Refusal::told(TK_ERR_VALUE, error.to_string()),
                })?;
            put_text(minted.expose(), out);
            Ok(())
        })
    })
}

/// The space for a text that is minted, if that and the NUL behind it fit.
pub(crate) fn room<'a>(
    caller: Caller<'a>,
    space: *mut c_char,
    space_len: usize,
    what: &str,
    wanted: usize,
) -> Result<&'a mut [MaybeUninit<u8>], Refusal> {
    let out = caller.space(space.cast(), space_len, "space")?;
    if out.len() < wanted {
        return Err(Refusal::told(
            TK_ERR_SPACE,
            format!("space has {space_len} bytes: {what} wants {wanted}"),
        ));
    }
    Ok(out)
}

/// Writes a text and the NUL behind it to where both have room.
pub(crate) fn put_text(text: &str, out: &mut [MaybeUninit<u8>]) {
    let bytes = text.bytes().chain(std::iter::once(0));
    for (place, byte) in out.iter_mut().zip(bytes) {
        place.write(byte);
    }
}

/// Removes a key by its id: from now on it is unknown, and using it counts as
/// a guess. To end a key, revoke it instead. What it has used rests for nine
/// hours, in which a key of the same id finds it again.
///
/// Thread safety: as `tk_keys_put`.
/// Errors: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_LENGTH,
/// TK_ERR_UTF8, TK_ERR_VALUE for what is no id, TK_ERR_NO_KEY; TK_ERR_SYSTEM
/// where there is no memory for the change.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_key_remove(engine: *mut tk_engine, id: tk_bytes) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        let id = key_id(caller, id)?;
        handle::with(engine, |instance| {
            instance
                .engine
                .remove_key(id)
                .map_err(|error| changed(&error))
        })
    })
}

/// Asks for the state of a key, a `tk_state`. `now`, unless it is NULL, gets
/// the one that the key is in afterwards: a revoked key stays revoked.
///
/// Thread safety: as `tk_keys_put`.
/// Errors: as `tk_key_remove`; TK_ERR_VALUE also for what is no state,
/// TK_ERR_MISALIGNED.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_key_set_state(
    engine: *mut tk_engine,
    id: tk_bytes,
    state: u32,
    now: *mut u32,
) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        let out = caller.optional(now, "now")?;
        let (id, wanted) = (key_id(caller, id)?, self::state(state)?);
        let now = handle::with(engine, |instance| {
            instance
                .engine
                .set_key_state(id, wanted)
                .map_err(|error| changed(&error))
        })?;
        if let Some(out) = out {
            out.write(state_number(now));
        }
        Ok(())
    })
}

/// Sets the hourly limit of a key, in units, or `TK_UNLIMITED`. It takes effect
/// at once, against what the hour has already used.
///
/// Thread safety: as `tk_keys_put`.
/// Errors: as `tk_key_remove`; TK_ERR_VALUE also for a limit past 68719476734.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_key_set_limit(
    engine: *mut tk_engine,
    id: tk_bytes,
    hourly_limit: u64,
) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        let (id, limit) = (key_id(caller, id)?, limit(hourly_limit)?);
        handle::with(engine, |instance| {
            instance
                .engine
                .update_key(id, |policy| policy.hourly_limit = limit)
                .map(drop)
                .map_err(|error| changed(&error))
        })
    })
}

/// Writes to `units` what a key has used in the hour of a time in unix seconds,
/// which may be that of any of the last 8 hours.
///
/// Thread safety: any thread, also while others decide.
/// Errors: as `tk_key_remove` but for TK_ERR_SYSTEM; TK_ERR_MISALIGNED;
/// TK_ERR_NO_KEY also where the hour is longer ago than is counted.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_key_used(
    engine: *const tk_engine,
    id: tk_bytes,
    unix_s: u64,
    units: *mut u64,
) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        let out = caller.out(units, "units")?;
        let id = key_id(caller, id)?;
        let used = handle::with(engine, |instance| {
            instance.engine.used(id, Hour::of(unix_s)).ok_or_else(|| {
                Refusal::told(
                    TK_ERR_NO_KEY,
                    format!("there is no key {id}, or no count of that hour any more"),
                )
            })
        })?;
        out.write(used);
        Ok(())
    })
}

/// Writes the digest of a whole key under the engine's secret, `TK_DIGEST_LEN`
/// bytes, to `digest`: what a store of your own keeps of it, for `tk_key`.
///
/// Thread safety: any thread.
/// Errors: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_LENGTH.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_key_digest(
    engine: *const tk_engine,
    key: tk_bytes,
    digest: *mut u8,
) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        let out = caller.out(digest.cast::<[u8; TK_DIGEST_LEN]>(), "digest")?;
        let key = caller
            .bytes(key, "key")?
            .ok_or(Refusal::of(TK_ERR_NULL, "key is NULL"))?;
        let digest = handle::with(engine, |instance| {
            Ok(*instance.engine.secret().digest_key(key).as_bytes())
        })?;
        out.write(digest);
        Ok(())
    })
}

//! A decision as C reads it.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use engine::{Decision, KeyId, MAX_NAME_LEN, Name, Reason};

use crate::ptr::Fixed;

/// Why a request was allowed or refused: what `tk_decision.reason` holds. The
/// words of the contract by their numbers; later versions add to them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum tk_reason {
    /// Nothing: a decision that was never written. It does not allow.
    TK_REASON_NONE = 0,
    /// 200: admitted, and charged by its cost.
    TK_REASON_ALLOWED = 1,
    /// 401: no `api-key` header, or an empty or blank one.
    TK_REASON_MISSING_KEY = 2,
    /// 429: the client address is blocked after too many guesses.
    TK_REASON_IP_BLOCKED = 3,
    /// 401: not of a key's form, or sent more than once.
    TK_REASON_MALFORMED_KEY = 4,
    /// 401: of the form, but no such key.
    TK_REASON_UNKNOWN_KEY = 5,
    /// 401: the key was revoked.
    TK_REASON_REVOKED_KEY = 6,
    /// 401: the key is disabled.
    TK_REASON_DISABLED_KEY = 7,
    /// 401: the key has expired.
    TK_REASON_EXPIRED_KEY = 8,
    /// 401: the origin is not among those that the key lists, or none was sent
    /// where the key demands one.
    TK_REASON_ORIGIN_DENIED = 9,
    /// 401: the client address is in none of the blocks that the key lists.
    TK_REASON_IP_DENIED = 10,
    /// 403: the endpoint wants a user, and no bearer token was sent.
    TK_REASON_BEARER_REQUIRED = 11,
    /// 403: the bearer token is malformed, unknown, expired or of another
    /// project.
    TK_REASON_BEARER_INVALID = 12,
    /// 429: the hour's budget does not hold the request's cost.
    TK_REASON_HOURLY_LIMIT = 13,
    /// 503: nothing could be decided, and so it is refused: the engine is NULL,
    /// was freed, or was made before `fork`, or the call was wrong.
    /// `tk_last_error` says why. No word of the contract: no counter moves.
    TK_REASON_UNUSABLE = 255,
}

/// What was decided about one request: plain data, to be copied at will. A
/// text in it ends with a NUL, and is empty where there is none.
///
/// A request is admitted if and only if `reason` is `TK_REASON_ALLOWED`, and
/// `status` then is 200. All zeroes do not admit.
///
/// The members are read directly: that costs nothing, and a debugger shows
/// them. Of what later versions add, the first lies in `reserved`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tk_decision {
    /// The HTTP status: 200, 401, 403 or 429; 503 where nothing could be
    /// decided.
    pub status: u16,
    /// A `tk_reason`.
    pub reason: u8,
    /// 1 where a browser at the request's origin may read the answer, else 0.
    pub allow_origin: u8,
    /// Seconds to wait before another try, on a 429; else 0.
    pub retry_after_s: u32,
    /// The key's hourly limit, in units. It, `remaining` and `reset_s` are told
    /// where the key has a limit and the request was admitted or refused for
    /// it: where `reset_s` is not 0.
    pub limit: u64,
    /// Units left in this hour, after the request.
    pub remaining: u64,
    /// Seconds until the next hour, 1 to 3600; 0 where no budget is told.
    pub reset_s: u32,
    /// For `tk_project`: the project as a number of this engine's; 0 where no
    /// key is known.
    pub project: u32,
    /// When it was decided, in unix seconds; 0 where that did not matter.
    pub unix_s: u64,
    /// The public id of the key, once one is known, whatever refused it
    /// afterwards: ten characters.
    pub key_id: [c_char; 16],
    /// The user of an admitted request that carried a valid bearer token: up
    /// to 64 characters.
    pub user: [c_char; 72],
    /// Zero.
    pub reserved: [u64; 2],
}

// SAFETY: repr(C), and integers alone.
unsafe impl Fixed for tk_decision {}

const _: () = assert!(size_of::<tk_decision>() == 144 && MAX_NAME_LEN < 72);

impl tk_decision {
    /// What denies where nothing could be decided.
    pub(crate) const UNUSABLE: Self = Self {
        status: 503,
        reason: tk_reason::TK_REASON_UNUSABLE as u8,
        ..Self::EMPTY
    };

    const EMPTY: Self = Self {
        status: 0,
        reason: 0,
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
    };

    /// Writes a decision that was made at a time about a request that showed a
    /// key: every member, each in its place.
    #[inline(always)]
    pub(crate) fn tell(
        place: &mut MaybeUninit<Self>,
        decision: &Decision,
        key: Option<&[u8]>,
        unix_s: u64,
    ) {
        let told = place.write(Self::EMPTY);
        told.status = decision.status();
        told.reason = decision.reason() as u8;
        told.allow_origin = decision.allow_origin().into();
        told.retry_after_s = decision.retry_after_s().unwrap_or(0);
        told.unix_s = unix_s;
        if let Some(budget) = decision.budget() {
            told.limit = budget.limit;
            told.remaining = budget.remaining;
            told.reset_s = budget.reset_s;
        }
        if let Some(project) = decision.project() {
            told.project = project.to_bits().wrapping_add(1);
        }
        if let Some(id) = decision.key() {
            // A known key is of the form, and so shows its id.
            let shown = key.and_then(KeyId::shown_in);
            debug_assert_eq!(shown, Some(&id.to_chars()));
            if let Some(shown) = shown {
                copy(shown, &mut told.key_id);
            }
        }
        if let Some(user) = decision.user() {
            copy(user.as_str().as_bytes(), &mut told.user);
        }
    }

    /// The reason, where it is one of the contract's.
    pub(crate) fn known_reason(&self) -> Option<Reason> {
        let index = usize::from(self.reason).checked_sub(1)?;
        Reason::ALL.get(index).copied()
    }

    /// The key's id, where it holds one.
    pub(crate) fn shown_id(&self) -> Option<KeyId> {
        shown(&self.key_id, &mut [0; 16])?.parse().ok()
    }

    /// The user, where it holds one. What is no name never gets into a header.
    pub(crate) fn shown_user(&self) -> Option<Name> {
        shown(&self.user, &mut [0; 72])?.parse().ok()
    }
}

/// A text up to its NUL, brought into `place`, which is as long.
fn shown<'p>(text: &[c_char], place: &'p mut [u8]) -> Option<&'p str> {
    let len = text.iter().position(|&char| char == 0)?;
    let place = place.get_mut(..len)?;
    for (place, &char) in place.iter_mut().zip(text) {
        *place = char as u8;
    }
    std::str::from_utf8(place).ok()
}

/// Copies a text that is shorter than its place.
#[inline]
fn copy(text: &[u8], place: &mut [c_char]) {
    for (place, &byte) in place.iter_mut().zip(text) {
        *place = byte as c_char;
    }
}

/// The word for a reason in bodies, logs and metrics, such as "allowed" or
/// "hourly_limit"; "unusable" for `TK_REASON_UNUSABLE`, and "none" for any
/// other number. Never NULL, never to be freed.
///
/// Thread safety: any thread. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn tk_reason_name(reason: u8) -> *const c_char {
    let word = match reason {
        1 => c"allowed",
        2 => c"missing_key",
        3 => c"ip_blocked",
        4 => c"malformed_key",
        5 => c"unknown_key",
        6 => c"revoked_key",
        7 => c"disabled_key",
        8 => c"expired_key",
        9 => c"origin_denied",
        10 => c"ip_denied",
        11 => c"bearer_required",
        12 => c"bearer_invalid",
        13 => c"hourly_limit",
        255 => c"unusable",
        _ => c"none",
    };
    word.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn reasons_have_the_numbers_and_words_of_the_engine() {
        for reason in Reason::ALL {
            // SAFETY: always a text that ends with a NUL.
            let word = unsafe { CStr::from_ptr(tk_reason_name(reason as u8)) };
            assert_eq!(word.to_str(), Ok(reason.as_str()));
            let told = tk_decision {
                reason: reason as u8,
                ..tk_decision::EMPTY
            };
            assert_eq!(told.known_reason(), Some(reason));
        }
        assert_eq!(tk_decision::EMPTY.known_reason(), None);
        assert_eq!(tk_decision::UNUSABLE.known_reason(), None);
        assert_eq!(
            tk_reason::TK_REASON_HOURLY_LIMIT as usize,
            Reason::ALL.len()
        );
    }
}

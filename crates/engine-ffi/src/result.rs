//! What a call answers, and why it failed.

use std::borrow::Cow;

/// What a call answers. Later versions add to these, and never change one.
///
/// A call that does not answer `TK_OK` has changed nothing, and left its
/// outputs as they were; only a `tk_decision` is always written, and then
/// denies, as does a `tk_answer`, which is then a 503. `tk_last_error` has the
/// reason in words.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum tk_result {
    /// Done. It says nothing about what was decided.
    TK_OK = 0,
    /// A pointer is NULL that must not be.
    TK_ERR_NULL = 1,
    /// The engine is NULL, was freed, or was never made.
    TK_ERR_ENGINE = 2,
    /// The engine was made before `fork`: make another in this process.
    TK_ERR_FORKED = 3,
    /// A pointer is not aligned to what it points to.
    TK_ERR_MISALIGNED = 4,
    /// A length or a count is larger than anything that can be meant.
    TK_ERR_LENGTH = 5,
    /// The size or the version in a struct is none that this library knows, or
    /// a reserved member is set.
    TK_ERR_STRUCT = 6,
    /// A text is not UTF-8.
    TK_ERR_UTF8 = 7,
    /// A value is not of its form, or out of its range.
    TK_ERR_VALUE = 8,
    /// There is no key of this id.
    TK_ERR_NO_KEY = 9,
    /// There is a key of this id already.
    TK_ERR_DUPLICATE = 10,
    /// There is no room for a further key, for a further engine, or for a
    /// further thread within a call: see "Threads" above.
    TK_ERR_FULL = 11,
    /// The space that was given is too small.
    TK_ERR_SPACE = 12,
    /// The system refused memory, random bytes, a file or a thread.
    TK_ERR_SYSTEM = 13,
    /// The key store cannot be used.
    TK_ERR_STORE = 14,
    /// The ledger file cannot be used.
    TK_ERR_LEDGER = 15,
    /// A fault of this library.
    TK_ERR_INTERNAL = 16,
}

/// Why a call fails: what it answers, and the text for people.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) result: tk_result,
    pub(crate) text: Cow<'static, str>,
}

impl Refusal {
    /// With a text made beforehand.
    pub(crate) const fn of(result: tk_result, text: &'static str) -> Self {
        Self {
            result,
            text: Cow::Borrowed(text),
        }
    }

    /// With a text of this moment.
    #[cold]
    pub(crate) fn told(result: tk_result, text: impl Into<String>) -> Self {
        Self {
            result,
            text: Cow::Owned(text.into()),
        }
    }

    /// A value that is not of its form; the error names it.
    #[cold]
    pub(crate) fn value(what: &str, error: impl std::fmt::Display) -> Self {
        Self::told(tk_result::TK_ERR_VALUE, format!("{what}: {error}"))
    }

    /// A struct in which reserved members are set, or flags that are none.
    #[cold]
    pub(crate) fn unknown_members(what: &str) -> Self {
        Self::told(
            tk_result::TK_ERR_STRUCT,
            format!(
                "{what} has members set that this version of the library does not have: \
                 set it up with {what}_init"
            ),
        )
    }
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

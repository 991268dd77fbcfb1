//! Texts for people: the version, what a result is called, the last error.

use std::ffi::{CStr, c_char};

use crate::last_error;
use crate::result::tk_result;

/// The version of the library, such as "0.1.0". Never NULL, never to be freed.
///
/// Thread safety: any thread, at any time, also after `fork`. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn tk_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}

/// Why the last call that failed on this thread did, and what to do about it;
/// empty where none has. It names no key and no secret. Never NULL.
///
/// Ownership: the library's; the place stays as long as the thread lives, and
/// another call that fails on it writes another text there. Thread safety: each thread has its own. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn tk_last_error() -> *const c_char {
    last_error::text()
}

/// The name of a result, such as "TK_ERR_NULL"; "TK_ERR_?" for a number that
/// this version does not know. Never NULL, never to be freed.
///
/// Thread safety: any thread. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn tk_result_name(result: i32) -> *const c_char {
    macro_rules! names {
        ($($name:ident),*) => {
            match result {
                $(result if result == tk_result::$name as i32 => {
                    concat!(stringify!($name), "\0").as_ptr().cast()
                })*
                _ => c"TK_ERR_?".as_ptr(),
            }
        };
    }
    names!(
        TK_OK,
        TK_ERR_NULL,
        TK_ERR_ENGINE,
        TK_ERR_FORKED,
        TK_ERR_MISALIGNED,
        TK_ERR_LENGTH,
        TK_ERR_STRUCT,
        TK_ERR_UTF8,
        TK_ERR_VALUE,
        TK_ERR_NO_KEY,
        TK_ERR_DUPLICATE,
        TK_ERR_FULL,
        TK_ERR_SPACE,
        TK_ERR_SYSTEM,
        TK_ERR_STORE,
        TK_ERR_LEDGER,
        TK_ERR_INTERNAL
    )
}

//! Bytes that the caller lends.

use std::ffi::c_void;
use std::ptr;

/// Bytes that the caller owns and lends for the length of one call. They may
/// lie anywhere, need no NUL behind them, and are never written to.
///
/// `data` NULL with `len` 0 stands for nothing at all, such as a header that
/// was not sent; `data` that is not NULL with `len` 0 is there and empty.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tk_bytes {
    /// Where they begin.
    pub data: *const c_void,
    /// How many there are, up to `TK_MAX_BYTES`.
    pub len: usize,
}

/// The most bytes in one `tk_bytes`, 16 MiB: far more than anything that can
/// be meant, so that a length that was never set is found out.
pub const TK_MAX_BYTES: usize = 1 << 24;

impl tk_bytes {
    /// Nothing at all.
    pub const NONE: Self = Self {
        data: ptr::null(),
        len: 0,
    };
}

impl From<&[u8]> for tk_bytes {
    fn from(bytes: &[u8]) -> Self {
        Self {
            data: bytes.as_ptr().cast(),
            len: bytes.len(),
        }
    }
}

impl From<&str> for tk_bytes {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

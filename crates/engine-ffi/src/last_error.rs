//! Why the last call of a thread failed, in words.

use std::cell::Cell;
use std::ffi::c_char;

/// Bytes of a text, the NUL behind it included: a longer one is cut.
const ROOM: usize = 1024;

thread_local! {
    /// In one place as long as the thread lives, so that a pointer to it always
    /// leads to some text.
    static TEXT: [Cell<u8>; ROOM] = const { [const { Cell::new(0) }; ROOM] };
}

/// Keeps a text for the calling thread. A thread that is at its end keeps none.
#[cold]
pub(crate) fn keep(text: &str) {
    let _ = TEXT.try_with(|kept| {
        let end = text.floor_char_boundary(ROOM - 1);
        // C ends the text at a NUL, which what is named in an error may hold.
        let bytes = text[..end].bytes().map(|byte| byte.max(1));
        for (place, byte) in kept.iter().zip(bytes.chain([0])) {
            place.set(byte);
        }
    });
}

/// The text of the calling thread; empty where no call has failed.
pub(crate) fn text() -> *const c_char {
    TEXT.try_with(|kept| kept.as_ptr().cast())
        .unwrap_or(c"".as_ptr())
}

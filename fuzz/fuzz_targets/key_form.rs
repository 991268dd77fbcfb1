//! Whatever is read as a key is shown again to the letter, and its parts are
//! of their forms; with a right check behind it, a right body is always read.

#![no_main]

use engine::{ID_LEN, MAX_KEY_LEN, Prefix, SecretKey};
use libfuzzer_sys::fuzz_target;
use tokenkit_fuzz::with_check;

fn check(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let Ok(key) = text.parse::<SecretKey>() else {
        return false;
    };
    assert_eq!(key.expose(), text);
    assert!(text.len() <= MAX_KEY_LEN);
    let prefix = key.prefix();
    assert_eq!(prefix.as_str().parse::<Prefix>(), Ok(prefix));
    let rest = text
        .strip_prefix(prefix.as_str())
        .and_then(|rest| rest.strip_prefix('_'));
    let id = key.id().to_string();
    assert!(rest.is_some_and(|rest| rest.starts_with(&id)), "{text}");
    assert_eq!(id.len(), ID_LEN);
    // What is shown of it is its public part.
    assert!(!format!("{key:?}").contains(&text[text.len() - 38..]));
    true
}

/// The form once more, in the words of the contract.
fn is_body(body: &[u8]) -> bool {
    let Some(at) = body.len().checked_sub(42) else {
        return false;
    };
    let (head, random) = body.split_at(at);
    let Some((b'_', prefix)) = head.split_last() else {
        return false;
    };
    let word = |word: &[u8]| {
        !word.is_empty() && word.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9'))
    };
    body.len() <= MAX_KEY_LEN - 6
        && prefix.split(|b| *b == b'_').all(word)
        && random.iter().all(u8::is_ascii_alphanumeric)
}

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    assert_eq!(check(&with_check(bytes.to_vec())), is_body(bytes));
});

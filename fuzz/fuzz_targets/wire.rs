//! Whatever a preflight asks, no header of its answer holds a byte that could
//! end it, each stands once, and nothing is granted to an origin not listed.

#![no_main]

use engine::wire::Wire;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, bool, &[u8], &[u8], Option<&[u8]>)| {
    let (realm, listed, origin, method, request_headers) = input;
    let Ok(wire) = Wire::new(realm, true) else {
        return;
    };
    let mut names = Vec::new();
    wire.preflight(
        listed,
        origin,
        method,
        request_headers,
        600,
        |name, value| {
            assert!(
                value.iter().all(|b| matches!(b, b' '..=b'~')),
                "{name}: {value:?}"
            );
            assert!(listed || name == "vary", "{name}");
            names.push(name);
        },
    );
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(!wire.challenge().contains(['\r', '\n']));
});

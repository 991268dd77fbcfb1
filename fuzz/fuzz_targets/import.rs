//! Whatever stands in a file of keys, each row is a key or a clear error that
//! shows no whole secret.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tokenkit::fuzzing::import;
use tokenkit_fuzz::shows_a_secret;

fuzz_target!(|input: (bool, &[u8])| {
    let (is_csv, file) = input;
    let rows = import(is_csv, file);
    assert!(rows.len() <= file.len() + 1, "more rows than bytes");
    for row in rows {
        match row {
            Ok(id) => assert_eq!(id.len(), 10),
            Err(told) => {
                assert!(!told.is_empty());
                assert!(!shows_a_secret(&told), "{told}");
            }
        }
    }
});

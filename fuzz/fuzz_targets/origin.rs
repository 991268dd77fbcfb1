//! A list of origins is shown in a form that reads back, names what it shows,
//! and keeps a wildcard to whole labels below its name.

#![no_main]

use std::slice;

use engine::{OriginList, OriginPattern};
use libfuzzer_sys::fuzz_target;
use tests::oracle_forms::in_origins;

fuzz_target!(|input: (&str, &[u8])| {
    let (text, sent) = input;
    let Ok(pattern) = text.parse::<OriginPattern>() else {
        return;
    };
    let shown = pattern.to_string();
    assert_eq!(
        shown.parse::<OriginPattern>(),
        Ok(pattern.clone()),
        "{text:?}"
    );
    let list: OriginList = [pattern].into_iter().collect();

    // What is listed the slow twin lists as well, whatever stands before or
    // behind, and in whatever case.
    if list.lists(sent) {
        let sent = str::from_utf8(sent).expect("an origin is ASCII");
        assert!(in_origins(slice::from_ref(&shown), sent), "{shown} {sent}");
    }
    match shown.split_once("*.") {
        None => assert!(list.lists(shown.as_bytes()), "{shown}"),
        Some((scheme, host)) => {
            for (label, named) in [
                ("a.", true),
                ("a.b.", true),
                ("", false),
                ("evil-", false),
                (".", false),
            ] {
                let sent = format!("{scheme}{label}{host}");
                let behind = format!("{sent}.evil");
                assert!(!list.lists(behind.as_bytes()), "{shown} {behind}");
                // No origin is longer than a name in DNS may be.
                let too_long = host.len() > 240;
                assert!(
                    list.lists(sent.as_bytes()) == named || too_long,
                    "{shown} {sent}"
                );
            }
        }
    }
});

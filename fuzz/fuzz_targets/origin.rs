//! A list of origins is shown in a form that reads back, names what it shows,
//! and keeps a wildcard to whole labels below its name.

#![no_main]

use engine::{OriginList, OriginPattern};
use libfuzzer_sys::fuzz_target;

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

    // What was sent is named only if it is what the list shows, but for the
    // case of letters, the default port, and the labels of a wildcard.
    if list.lists(sent) {
        let sent = String::from_utf8(sent.to_ascii_lowercase()).expect("an origin is ASCII");
        let (host, below) = match shown.split_once("*.") {
            Some((_, below)) => (below, true),
            None => (
                shown.split_once("://").map_or(&*shown, |(_, host)| host),
                false,
            ),
        };
        assert!(sent.contains(host), "{shown} {sent}");
        if below {
            assert!(sent.contains(&format!(".{host}")), "{shown} {sent}");
        }
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

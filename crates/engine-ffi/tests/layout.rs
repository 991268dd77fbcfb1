//! The layout of the structs, held against what a C compiler asserts.

use std::collections::HashMap;
use std::mem::offset_of;

use engine_ffi::*;

/// Sizes and places of a struct's members, by their names.
macro_rules! measured {
    ($($name:ident { $($member:ident),* })*) => {{
        let mut places = HashMap::new();
        $(
            places.insert((stringify!($name), None), size_of::<$name>());
            $(places.insert(
                (stringify!($name), Some(stringify!($member))),
                offset_of!($name, $member),
            );)*
        )*
        places
    }};
}

#[test]
fn structs_lie_as_c_has_them() {
    let places = measured! {
        tk_bytes { data, len }
        tk_str { data, len }
        tk_config {
            size, version, secret, secret_file, prefixes, origins, exempt, realm, ledger,
            threshold, window_s, block_s, max_addresses, max_keys, preflight_max_age_s,
            omit_x_ratelimit, reserved
        }
        tk_request {
            size, cost, api_key, origin, authorization, bearer, client, client_len, needs_user,
            api_key_repeated, origin_repeated, authorization_repeated, reserved
        }
        tk_decision {
            status, reason, allow_origin, retry_after_s, limit, remaining, reset_s, project,
            unix_s, key_id, user, reserved
        }
        tk_header { name, value }
        tk_answer { status, header_count, headers, content_type, body }
        tk_key {
            size, state, secret, id, digest, project, origins, ips, hourly_limit, expires_at,
            require_origin, reserved
        }
        tk_session { size, reserved, token, digest, project, user, expires_at }
        tk_metrics {
            size, follows, ledger_fault, reserved, keys, sessions, blocked_addresses, decisions,
            store_lag_ms, store_errors
        }
    };
    let mut held = 0;
    for line in include_str!("c/layout.h").lines() {
        let Some((word, rest)) = line.split_once('(') else {
            continue;
        };
        let words: Vec<&str> = rest.trim_end_matches(')').split(", ").collect();
        let (key, place) = match (word, words.as_slice()) {
            ("SIZE", &[name, size]) => ((name, None), size),
            ("LAYOUT", &[name, member, place]) => ((name, Some(member)), place),
            _ => continue,
        };
        assert_eq!(places.get(&key), place.parse().ok().as_ref(), "{key:?}");
        held += 1;
    }
    assert_eq!(
        held,
        places.len(),
        "a struct or a member is in one place alone"
    );
}

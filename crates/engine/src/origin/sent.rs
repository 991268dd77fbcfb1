//! An origin as it was sent, taken apart.
//!
//! Its bytes are a stranger's: what is read of them is bounded before anything
//! else is done.

/// The longest origin that is taken apart, in bytes: with room to spare for
/// the longest scheme, host and port. No list names a longer one.
const MAX_LEN: usize = 320;
/// The longest scheme, in bytes.
const MAX_SCHEME_LEN: usize = 32;
/// The longest host, in bytes: that of a name in DNS.
const MAX_HOST_LEN: usize = 253;

const _: () = assert!(MAX_SCHEME_LEN + "://".len() + MAX_HOST_LEN + ":65535".len() <= MAX_LEN);

/// An `Origin` header taken apart. Borrowed, case as sent.
#[derive(Clone, Copy)]
pub(super) enum Sent<'a> {
    Null,
    Tuple {
        scheme: &'a [u8],
        host: &'a [u8],
        port: u16,
    },
}

/// Splits an origin; `None` for what no browser serialises, or is longer than
/// any that a list names.
pub(super) fn split(origin: &[u8]) -> Option<Sent<'_>> {
    if origin.len() > MAX_LEN {
        return None;
    }
    if origin == b"null" {
        return Some(Sent::Null);
    }
    let colon = origin.iter().position(|&b| b == b':')?;
    let (scheme, rest) = origin.split_at(colon);
    let authority = rest.strip_prefix(b"://")?;
    let (&first, more) = scheme.split_first()?;
    let scheme_ok = first.is_ascii_alphabetic()
        && more
            .iter()
            .all(|&b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let (host, port) = split_port(authority)?;
    if !scheme_ok || scheme.len() > MAX_SCHEME_LEN || !host_ok(host) {
        return None;
    }
    let port = match port {
        Some(port) => port,
        None => default_port(scheme),
    };
    Some(Sent::Tuple { scheme, host, port })
}

/// Splits `host:port`, the host perhaps an IPv6 literal in brackets. `None`
/// for a port that is no number from 1 to 65535 without leading zeros.
fn split_port(authority: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let search_from = match authority.first()? {
        b'[' => authority.iter().position(|&b| b == b']')?,
        _ => 0,
    };
    let Some(colon) = authority[search_from..].iter().position(|&b| b == b':') else {
        return Some((authority, None));
    };
    let (host, port) = authority.split_at(search_from + colon);
    let digits = &port[1..];
    if digits.is_empty() || digits.len() > 5 || digits[0] == b'0' {
        return None;
    }
    let mut value = 0_u32;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u32::from(digit - b'0');
    }
    Some((host, Some(u16::try_from(value).ok()?)))
}

/// Whether a host is a dotted name (or IPv4 address) or a bracketed IPv6 one.
fn host_ok(host: &[u8]) -> bool {
    if let Some(inner) = host.strip_prefix(b"[") {
        return inner
            .strip_suffix(b"]")
            .and_then(|ip| std::str::from_utf8(ip).ok())
            .is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let label_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    host.len() <= MAX_HOST_LEN
        && host.iter().all(|&b| label_byte(b))
        && !host.is_empty()
        && host[0] != b'.'
        && !host.windows(2).any(|pair| pair == b"..")
}

/// The port that browsers leave out for a scheme; 0 where there is none.
pub(super) fn default_port(scheme: &[u8]) -> u16 {
    let is = |name: &[u8]| scheme.eq_ignore_ascii_case(name);
    if is(b"https") || is(b"wss") {
        443
    } else if is(b"http") || is(b"ws") {
        80
    } else {
        0
    }
}

/// Whether a host is a dotted-decimal address.
pub(super) fn is_ipv4(host: &[u8]) -> bool {
    std::str::from_utf8(host).is_ok_and(|text| text.parse::<std::net::Ipv4Addr>().is_ok())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn is_origin(text: &str) -> bool {
        split(text.as_bytes()).is_some()
    }

    #[test]
    fn parts_longer_than_any_real_one_make_no_origin() {
        let scheme = |len: usize| format!("{}://a.test", "s".repeat(len));
        assert!(is_origin(&scheme(MAX_SCHEME_LEN)));
        assert!(!is_origin(&scheme(MAX_SCHEME_LEN + 1)));
        let host = |len: usize| format!("https://{}", "h".repeat(len));
        assert!(is_origin(&host(MAX_HOST_LEN)));
        assert!(!is_origin(&host(MAX_HOST_LEN + 1)));
        let longest = format!("{}://{}:65535", "s".repeat(32), "h".repeat(253));
        assert!(is_origin(&longest));
    }
}

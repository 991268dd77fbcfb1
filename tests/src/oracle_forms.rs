//! The forms that the oracle reads: keys, addresses, blocks, origins. Slow
//! and plain; none of it is taken from the engine.

use std::net::{IpAddr, Ipv6Addr};

/// Whether a key has the right form, under one of the prefixes.
pub(crate) fn has_form(header: &str, prefixes: &[String]) -> bool {
    if header.len() > 64 || !header.is_ascii() {
        return false;
    }
    let Some((prefix, tail)) = header.rsplit_once('_') else {
        return false;
    };
    if tail.len() != 10 + 32 + 6 || !tail.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return false;
    }
    let (covered, check) = header.split_at(header.len() - 6);
    prefixes.iter().any(|taken| taken == prefix) && check == base62(crc32(covered.as_bytes()))
}

/// CRC-32 (IEEE), bit by bit.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

/// Six digits, most significant first.
pub(crate) fn base62(mut number: u32) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// The unit in which an address's failures are counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Unit {
    /// An IPv4 address.
    Address(u32),
    /// The upper half of an IPv6 one.
    Network(u64),
    /// All of a range from which no client speaks.
    Reserved,
}

/// The unit of an address.
pub(crate) fn unit(ip: IpAddr) -> Unit {
    match ip.to_canonical() {
        IpAddr::V4(ip) => Unit::Address(ip.to_bits()),
        // ffff:fffe::/31.
        IpAddr::V6(ip) if ip.to_bits() >> 97 == 0x7FFF_FFFF => Unit::Reserved,
        IpAddr::V6(ip) => Unit::Network((ip.to_bits() >> 64) as u64),
    }
}

/// Whether one of the blocks, `address/length`, holds an address.
pub(crate) fn in_blocks(blocks: &[String], ip: IpAddr) -> bool {
    // How many bits, and them.
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (32, u128::from(ip.to_bits())),
        IpAddr::V6(ip) => (128, ip.to_bits()),
    };
    let (all, ip) = bits(ip.to_canonical());
    blocks.iter().any(|block| {
        let (base, length) = block.split_once('/').unwrap_or((block, "128"));
        let (Ok(base), Ok(length)) = (base.parse::<IpAddr>(), length.parse::<u32>()) else {
            return false;
        };
        let (of, base) = bits(base);
        let bit = |of: u128, number: u32| of >> (all - 1 - number) & 1;
        of == all && (0..length.min(all)).all(|number| bit(base, number) == bit(ip, number))
    })
}

/// Whether a list names an origin as a browser sends it.
#[must_use]
pub fn in_origins(list: &[String], sent: &str) -> bool {
    let Some(sent) = origin(sent).filter(|sent| !sent.host.contains('*')) else {
        return false;
    };
    list.iter().filter_map(|entry| origin(entry)).any(|entry| {
        let host = match entry.host.strip_prefix('*') {
            Some(suffix) => sent.host.len() > suffix.len() && sent.host.ends_with(suffix),
            None => sent.host == entry.host,
        };
        host && entry.scheme == sent.scheme && entry.port == sent.port
    })
}

struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

/// Takes an origin apart; `null` is a scheme of its own.
fn origin(text: &str) -> Option<Origin> {
    if text == "null" {
        return Some(Origin {
            scheme: text.into(),
            host: String::new(),
            port: 0,
        });
    }
    let text = text.to_ascii_lowercase();
    let (scheme, rest) = text.split_once("://")?;
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, number(port)?),
        _ => match scheme {
            "http" | "ws" => (rest, 80),
            "https" | "wss" => (rest, 443),
            _ => (rest, 0),
        },
    };
    let scheme_plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let right = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(scheme_plain)
        && is_host(host);
    right.then(|| Origin {
        scheme: scheme.into(),
        host: host.into(),
        port,
    })
}

/// A port as it is written: from 1 to 65535, without leading zeros.
fn number(text: &str) -> Option<u16> {
    let number: u16 = text.parse().ok()?;
    (number > 0 && number.to_string() == text).then_some(number)
}

/// Whether a text is a dotted name, perhaps with a dot behind and in a list
/// with `*` as its first label; or an IPv6 address in brackets.
fn is_host(text: &str) -> bool {
    if let Some(ip) = text.strip_prefix('[') {
        return ip
            .strip_suffix(']')
            .is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok());
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty()
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    let labels = name.strip_suffix('.').unwrap_or(name);
    text.len() <= 253 && labels.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_are_read_as_the_contract_shows_them() {
        let prefixes = ["tk_live".into()];
        let key = "tk_live_Gu8zTEly6PuVAgrEAjRWPLQCMK5kN1LZTSj1OLXdIW3Ctw06";
        assert!(has_form(key, &prefixes));
        assert!(!has_form(key, &["tk".into()]));
        assert!(!has_form(&key.replace("Gu", "Gv"), &prefixes));
        // The check value of CRC-32 in every catalogue of such codes.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(base62(61), "00000z");

        let list = [
            "https://*.shop.example".into(),
            "http://a.example:8080".into(),
        ];
        assert!(in_origins(&list, "https://B.shop.example:443"));
        assert!(!in_origins(&list, "https://shop.example"));
        assert!(!in_origins(&list, "https://evilshop.example"));
        assert!(!in_origins(&list, "http://a.example"));
        assert!(!in_origins(&list, "null"));
        assert!(in_origins(&["null".into()], "null"));
        for no_origin in [
            "NULL",
            "http://a.example:08080",
            "http://a.example:8080/",
            "http://a..example:8080",
            "1http://a.example:8080",
        ] {
            assert!(origin(no_origin).is_none(), "{no_origin}");
        }
        assert!(origin("https://[2001:db8::1]:8443").is_some());
        assert!(in_blocks(
            &["10.0.0.0/8".into()],
            "::ffff:10.9.9.9".parse().unwrap()
        ));
        assert!(!in_blocks(
            &["10.0.0.0/8".into()],
            "11.0.0.0".parse().unwrap()
        ));
    }
}

//! Whose request it is: the peer, or whom a trusted proxy names.
//!
//! Fails towards the peer: whatever a header says, only a hop that a trusted
//! proxy wrote is believed, and a header that cannot be read counts as none.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use engine::{CidrList, ClientAddr};
use http::header::{FORWARDED, HeaderMap, HeaderName};

/// The peer of a connection: what a server puts into the extensions of each
/// request, unless the layer was told to look elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// The one header in which the trusted proxies name their peer. Any other is
/// a client's word and never read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`: a list of addresses.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239): a list of parameters, of which `for` counts.
    Forwarded,
}

/// Which proxies are trusted, and where they write.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies {
    pub(crate) proxies: CidrList,
    pub(crate) header: ForwardedHeader,
}

impl TrustedProxies {
    /// The client: walking from the peer leftwards through all lines of the
    /// header, the first address that is no trusted proxy. Where all are, the
    /// leftmost. Where a hop on that way has no readable address, the peer.
    ///
    /// Linear in the header; no heap.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddr {
        let peer = ClientAddr::from(peer);
        if !self.proxies.contains(peer) {
            return peer;
        }
        let name = match self.header {
            ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
            ForwardedHeader::Forwarded => FORWARDED,
        };
        let mut client = peer;
        for line in headers.get_all(name).iter().rev() {
            // An empty element of a list is none (RFC 9110, section 5.6.1).
            for hop in Backwards::split(b',', line.as_bytes()).filter(|hop| !hop.is_empty()) {
                let ip = match self.header {
                    ForwardedHeader::XForwardedFor => unquoted(hop).and_then(node),
                    ForwardedHeader::Forwarded => forwarded_for(hop),
                };
                let Some(ip) = ip else {
                    return peer;
                };
                client = ip.into();
                if !self.proxies.contains(client) {
                    return client;
                }
            }
        }
        client
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address in the one `for` parameter of an element of `Forwarded`.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    for pair in Backwards::split(b';', element).filter(|pair| !pair.is_empty()) {
        let equals = pair.iter().position(|&b| b == b'=')?;
        let (name, value) = (&pair[..equals], &pair[equals + 1..]);
        if name.eq_ignore_ascii_case(b"for") && found.replace(node(unquoted(value)?)?).is_some() {
            return None;
        }
    }
    found
}

/// A value without the quotes around it. An address has nothing to escape, so
/// a backslash or a lone quote makes it no value.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    let bare = match value {
        [b'"', bare @ .., b'"'] => bare,
        bare => bare,
    };
    (!bare.iter().any(|b| matches!(b, b'"' | b'\\'))).then_some(bare)
}

/// Reads `address`, `v4:port`, `[v6]` or `[v6]:port`; `unknown`, obfuscated
/// names and everything else are no address.
fn node(bytes: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(bytes).ok()?;
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, port) = rest.split_once(']')?;
        let ip: Ipv6Addr = ip.parse().ok()?;
        return (port.is_empty() || is_port(port.strip_prefix(':')?)).then_some(ip.into());
    }
    match text.split_once(':') {
        Some((ip, port)) if !port.contains(':') => {
            let ip: std::net::Ipv4Addr = ip.parse().ok()?;
            is_port(port).then_some(ip.into())
        }
        _ => text.parse().ok(),
    }
}

/// A port number, or the made-up name that RFC 7239 allows in its place.
fn is_port(port: &str) -> bool {
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    match port.strip_prefix('_') {
        Some(rest) => !rest.is_empty() && rest.bytes().all(name),
        None => port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok(),
    }
}

/// The parts of a list from the last to the first, each without the blanks
/// around it; a separator within quotes does not count.
///
/// Quotes are read backwards too. So whatever quote a client left open, what
/// the proxy appended stands for itself.
struct Backwards<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Backwards<'a> {
    fn split(separator: u8, list: &'a [u8]) -> Self {
        Self {
            rest: Some(list),
            separator,
        }
    }
}

impl<'a> Iterator for Backwards<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let mut quoted = false;
        for (at, &byte) in rest.iter().enumerate().rev() {
            if byte == b'"' && !is_escaped(rest, at) {
                quoted = !quoted;
            } else if byte == self.separator && !quoted {
                self.rest = Some(&rest[..at]);
                return Some(rest[at + 1..].trim_ascii());
            }
        }
        self.rest = None;
        Some(rest.trim_ascii())
    }
}

/// Whether an odd number of backslashes stands before a place. Each run of
/// them is looked at once, since a quote ends it.
fn is_escaped(text: &[u8], at: usize) -> bool {
    let run = text[..at].iter().rev().take_while(|&&b| b == b'\\');
    run.count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const PEER: &str = "10.0.0.1";

    fn client(header: ForwardedHeader, peer: &str, lines: &[&[u8]]) -> String {
        let trusted = TrustedProxies {
            proxies: CidrList::parse(["10.0.0.0/8", "2001:db8:ff::/48"]).unwrap(),
            header,
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            let name = match header {
                ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
                ForwardedHeader::Forwarded => FORWARDED,
            };
            headers.append(name, HeaderValue::from_bytes(line).unwrap());
        }
        trusted
            .client(peer.parse().unwrap(), &headers)
            .ip()
            .to_string()
    }

    fn xff(lines: &[&str]) -> String {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        client(ForwardedHeader::XForwardedFor, PEER, &lines)
    }

    fn forwarded(lines: &[&str]) -> String {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        client(ForwardedHeader::Forwarded, PEER, &lines)
    }

    #[test]
    fn an_untrusted_peer_is_the_client() {
        for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
            let lines = [b"192.0.2.1" as &[u8], b"for=192.0.2.1"];
            assert_eq!(client(header, "198.51.100.7", &lines), "198.51.100.7");
        }
    }

    #[test]
    fn without_the_header_the_peer_is_the_client() {
        assert_eq!(xff(&[]), PEER);
        assert_eq!(xff(&[""]), PEER);
        assert_eq!(forwarded(&[" , "]), PEER);
    }

    #[test]
    fn only_the_configured_header_is_read() {
        let trusted = TrustedProxies {
            proxies: CidrList::parse(["10.0.0.0/8"]).unwrap(),
            header: ForwardedHeader::Forwarded,
        };
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("192.0.2.1"));
        headers.insert("x-real-ip", HeaderValue::from_static("192.0.2.1"));
        let client = trusted.client(PEER.parse().unwrap(), &headers);
        assert_eq!(client.ip().to_string(), PEER);
    }

    #[test]
    fn the_rightmost_untrusted_hop_is_the_client() {
        assert_eq!(xff(&["192.0.2.1"]), "192.0.2.1");
        assert_eq!(xff(&["192.0.2.1, 192.0.2.2"]), "192.0.2.2");
        assert_eq!(xff(&["192.0.2.1, 192.0.2.2,10.9.9.9 "]), "192.0.2.2");
        assert_eq!(xff(&["192.0.2.1", "192.0.2.2", "10.2.3.4"]), "192.0.2.2");
        assert_eq!(xff(&["rubbish, 192.0.2.2, , 10.2.3.4,"]), "192.0.2.2");
        assert_eq!(xff(&["192.0.2.1, 2001:db8:ff::1"]), "192.0.2.1");
        assert_eq!(
            forwarded(&["for=192.0.2.1", "for=192.0.2.2, for=10.2.3.4"]),
            "192.0.2.2"
        );
    }

    #[test]
    fn where_all_are_trusted_the_leftmost_is_the_client() {
        assert_eq!(xff(&["10.1.1.1, 10.2.2.2", "10.3.3.3"]), "10.1.1.1");
        assert_eq!(forwarded(&["for=10.1.1.1, for=10.2.2.2"]), "10.1.1.1");
    }

    #[test]
    fn addresses_come_in_many_clothes() {
        for hop in [
            "192.0.2.1",
            "192.0.2.1:443",
            "\"192.0.2.1\"",
            "::ffff:192.0.2.1",
        ] {
            assert_eq!(xff(&[hop]), "192.0.2.1", "{hop}");
        }
        for hop in [
            "2001:db8::1",
            "[2001:db8::1]",
            "[2001:db8::1]:443",
            "\"[2001:db8::1]:443\"",
        ] {
            assert_eq!(xff(&[hop]), "2001:db8::1", "{hop}");
        }
        for hop in [
            "for=192.0.2.1",
            "For=\"192.0.2.1:4711\"",
            "proto=http;for=192.0.2.1;by=203.0.113.43",
            "for=192.0.2.1; host=\"a,b;for=1.1.1.1\"",
            "for=192.0.2.1;host=\"a\\\"\"",
            "host=\"a\\\",for=1.1.1.1;\";for=192.0.2.1",
            "for=\"192.0.2.1:_hidden\"",
        ] {
            assert_eq!(forwarded(&[hop]), "192.0.2.1", "{hop}");
        }
        assert_eq!(forwarded(&["for=\"[2001:db8::1]:4711\""]), "2001:db8::1");
        assert_eq!(forwarded(&["for=[2001:db8::1]"]), "2001:db8::1");
    }

    #[test]
    fn rubbish_falls_back_to_the_peer() {
        for hop in [
            "unknown",
            "_hidden",
            "192.0.2",
            "192.0.2.1:",
            "192.0.2.1:99999",
            "192.0.2.1:+1",
            "192.0.2.1:_",
            "[192.0.2.1]",
            "[2001:db8::1",
            "[2001:db8::1]443",
            "fe80::1%eth0",
            "\"192.0.2.1",
            "192.0.2.1\"",
            "19\\2.0.2.1",
            "for=192.0.2.1",
            "é",
        ] {
            assert_eq!(xff(&["198.51.100.1", hop]), PEER, "{hop}");
            // A trusted hop to its right changes nothing.
            assert_eq!(xff(&["198.51.100.1", hop, "10.2.2.2"]), PEER, "{hop}");
        }
        for hop in [
            "for=unknown",
            "for=_hidden",
            "192.0.2.1",
            "by=192.0.2.1",
            "for=192.0.2.1;x",
            "for=192.0.2.1;for=192.0.2.2",
            "for=",
            "for=\"192.0.2.1",
            "for = 192.0.2.1",
        ] {
            assert_eq!(forwarded(&["for=198.51.100.1", hop]), PEER, "{hop}");
        }
    }

    #[test]
    fn an_open_quote_does_not_swallow_what_the_proxy_wrote() {
        for left in [
            "for=\"",
            "for=6.6.6.6;x=\"",
            "\"",
            "x=\"\\",
            "for=\"6.6.6.6\\\"",
        ] {
            assert_eq!(forwarded(&[&format!("{left}, for=192.0.2.1")]), "192.0.2.1");
            let quoted = format!("{left}, for=\"[2001:db8::1]\";host=\"a\"");
            assert_eq!(forwarded(&[&quoted]), "2001:db8::1");
            assert_eq!(xff(&[&format!("{left}, 192.0.2.1")]), "192.0.2.1");
        }
    }

    proptest! {
        /// Whatever the client sent to its left, the hop that the proxy wrote
        /// is the client.
        #[test]
        fn what_a_client_sends_never_counts(
            sent in proptest::collection::vec("[ -~]{0,40}", 0..4),
            same_line in any::<bool>(),
        ) {
            for (header, hop) in [
                (ForwardedHeader::XForwardedFor, "192.0.2.1"),
                (ForwardedHeader::Forwarded, "for=192.0.2.1;host=\"a\""),
            ] {
                let mut lines = sent.clone();
                match lines.last_mut() {
                    Some(last) if same_line => *last = format!("{last}, {hop}"),
                    _ => lines.push(hop.into()),
                }
                let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
                prop_assert_eq!(client(header, PEER, &lines), "192.0.2.1");
            }
        }

        #[test]
        fn reading_never_panics(
            lines in proptest::collection::vec("[\\[\\]0-9a-f:.;,=\"\\\\_ forFOR]{0,60}", 0..4),
        ) {
            let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
            for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
                client(header, PEER, &lines);
            }
        }
    }
}

//! What the service behind is told about the client's connection: the
//! `X-Forwarded-*` headers and `Forwarded` (RFC 7239).
//!
//! What a trusted proxy sent is kept and added to. Anybody else's is the
//! client's invention and replaced. Spellings such as `x_forwarded_for`, which
//! some services take for the same name, no proxy writes: they always go.

use std::net::IpAddr;

use http::header::{FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST_SENT: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const FAMILY: &str = "x-forwarded-";

/// Who is at the other end of a connection, in the forms that are told.
#[derive(Debug)]
pub(in crate::serve) struct Peer {
    ip: IpAddr,
    /// For `X-Forwarded-For`: made once, since all requests of a connection
    /// tell it.
    text: HeaderValue,
}

impl Peer {
    /// Who a connection is from.
    pub(in crate::serve) fn new(ip: IpAddr) -> Self {
        let text = HeaderValue::from_str(&ip.to_canonical().to_string());
        Self {
            ip,
            // An address makes a header value.
            text: text.unwrap_or(HeaderValue::from_static("unknown")),
        }
    }

    /// The address, as the system says it.
    pub(in crate::serve) fn ip(&self) -> IpAddr {
        self.ip
    }
}

/// Tells of a peer, which is either a trusted proxy or the client. `Host`
/// stands in the headers already.
pub(super) fn tell(headers: &mut HeaderMap, peer: &Peer, trusted: bool) {
    super::remove_all(headers, |name| {
        tells(name).is_some_and(|plainly| !(trusted && plainly))
    });
    // Of one who is not trusted nothing of the kind is left.
    let said = |headers: &HeaderMap, name| trusted && headers.contains_key(name);
    if said(headers, FOR) {
        append(headers, &FOR, peer.text.as_bytes());
    } else {
        headers.insert(FOR, peer.text.clone());
    }
    if said(headers, FORWARDED) {
        let node = match peer.ip.to_canonical() {
            IpAddr::V4(ip) => format!("for={ip}"),
            IpAddr::V6(ip) => format!("for=\"[{ip}]\""),
        };
        append(headers, &FORWARDED, node.as_bytes());
    }
    if !said(headers, PROTO) {
        headers.insert(PROTO, HeaderValue::from_static("http"));
    }
    if !said(headers, HOST_SENT)
        && let Some(host) = headers.get(HOST).cloned()
    {
        headers.insert(HOST_SENT, host);
    }
}

/// Whether a name reads as one of those that tell of a connection, and if so,
/// whether it is spelt as they are.
pub(super) fn tells(name: &HeaderName) -> Option<bool> {
    let name = name.as_str().as_bytes();
    if !matches!(name.first(), Some(b'x' | b'f')) {
        return None;
    }
    let reads_as = |known: &str| {
        known.bytes().zip(name).all(|(wanted, &found)| {
            wanted == found || (wanted == b'-' && !found.is_ascii_alphanumeric())
        })
    };
    let whole = |known: &HeaderName| name.len() == known.as_str().len() && reads_as(known.as_str());
    let in_family = name.len() > FAMILY.len() && reads_as(FAMILY);
    (in_family || whole(&REAL_IP) || whole(&FORWARDED))
        .then(|| name.iter().all(|&c| c == b'-' || c.is_ascii_alphanumeric()))
}

/// Appends a member to a list header and makes one line of it, since some
/// services read but the first.
fn append(headers: &mut HeaderMap, list: &HeaderName, member: &[u8]) {
    let mut line = Vec::new();
    for sent in headers.get_all(list) {
        line.extend_from_slice(sent.as_bytes());
        line.extend_from_slice(b", ");
    }
    line.extend_from_slice(member);
    // Parts of header values make a header value.
    if let Ok(line) = HeaderValue::from_bytes(&line) {
        headers.insert(list, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[(&'static str, &str)], peer: &str, trusted: bool) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        tell(&mut headers, &Peer::new(peer.parse().unwrap()), trusted);
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_clients_invention_is_replaced() {
        let invented = [
            ("host", "api.test"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-host", "evil.test"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/admin"),
            ("x-real-ip", "1.1.1.1"),
            ("forwarded", "for=1.1.1.1"),
            ("x_forwarded_for", "1.1.1.1"),
            ("x.real.ip", "1.1.1.1"),
            ("x-real-ips", "not about this"),
        ];
        let wanted = [
            "host: api.test",
            "x-forwarded-for: 192.0.2.1",
            "x-forwarded-host: api.test",
            "x-forwarded-proto: http",
            "x-real-ips: not about this",
        ];
        assert_eq!(told(&invented, "::ffff:192.0.2.1", false), wanted);
    }

    #[test]
    fn a_trusted_proxys_word_is_added_to() {
        let sent = [
            ("host", "app:8080"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-host", "api.test"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "192.0.2.1"),
            ("forwarded", "for=192.0.2.1"),
            ("x_forwarded_for", "1.1.1.1"),
            ("x-forwarded_proto", "http"),
        ];
        let wanted = [
            "forwarded: for=192.0.2.1, for=\"[2001:db8::1]\"",
            "host: app:8080",
            "x-forwarded-for: 192.0.2.1, 10.0.0.1, 2001:db8::1",
            "x-forwarded-host: api.test",
            "x-forwarded-proto: https",
            "x-real-ip: 192.0.2.1",
        ];
        assert_eq!(told(&sent, "2001:db8::1", true), wanted);
    }
}

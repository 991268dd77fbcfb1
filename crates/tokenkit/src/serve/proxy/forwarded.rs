//! What the service behind is told about the client's connection: the
//! `X-Forwarded-*` headers and `Forwarded` (RFC 7239).
//!
//! What a trusted proxy sent is kept and added to. Anybody else's is the
//! client's invention and replaced. Of the headers that name the client a proxy
//! may write one and pass the others on as they came: they are made to say what
//! the one that is configured says. Spellings such as `x_forwarded_for`, which
//! some services take for the same name, no proxy writes: they always go.

use std::net::IpAddr;

use engine_hyper::ForwardedHeader;
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
        let text = value(&ip.to_canonical().to_string());
        Self { ip, text }
    }

    /// The address, as the system says it.
    pub(in crate::serve) fn ip(&self) -> IpAddr {
        self.ip
    }
}

/// On whose behalf a trusted proxy speaks.
#[derive(Clone, Copy, Debug)]
pub(in crate::serve) struct Behalf {
    /// Whom `header` names; the proxy, where it names nobody.
    pub(in crate::serve) client: IpAddr,
    pub(in crate::serve) header: ForwardedHeader,
}

impl Behalf {
    /// Has the headers that name the client, but for the one that says it, say
    /// the same.
    fn agree(self, headers: &mut HeaderMap, peer: IpAddr) {
        if headers.contains_key(REAL_IP) {
            headers.insert(REAL_IP, value(&self.client.to_string()));
        }
        let other = match self.header {
            ForwardedHeader::XForwardedFor => FORWARDED,
            ForwardedHeader::Forwarded => FOR,
        };
        if self.client == peer.to_canonical() {
            // Who is told of in any case.
            headers.remove(other);
        } else if other == FOR {
            headers.insert(FOR, value(&self.client.to_string()));
        } else if headers.contains_key(FORWARDED) {
            headers.insert(FORWARDED, value(&element(self.client)));
        }
    }
}

/// Tells of a peer, which is the client, or else a trusted proxy that speaks on
/// another's behalf. `Host` stands in the headers already.
pub(super) fn tell(headers: &mut HeaderMap, peer: &Peer, behalf: Option<Behalf>) {
    let trusted = behalf.is_some();
    super::remove_all(headers, |name| {
        tells(name).is_some_and(|plainly| !(trusted && plainly))
    });
    if let Some(behalf) = behalf {
        behalf.agree(headers, peer.ip);
    }
    // Of one who is not trusted nothing of the kind is left.
    if headers.contains_key(FOR) {
        append(headers, &FOR, peer.text.as_bytes());
    } else {
        headers.insert(FOR, peer.text.clone());
    }
    if headers.contains_key(FORWARDED) {
        append(headers, &FORWARDED, element(peer.ip).as_bytes());
    }
    if !headers.contains_key(PROTO) {
        headers.insert(PROTO, HeaderValue::from_static("http"));
    }
    if !headers.contains_key(HOST_SENT)
        && let Some(host) = headers.get(HOST).cloned()
    {
        headers.insert(HOST_SENT, host);
    }
}

/// An element of `Forwarded`.
fn element(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => format!("for={ip}"),
        IpAddr::V6(ip) => format!("for=\"[{ip}]\""),
    }
}

/// An address, or an element, as a header's value, which it always makes.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
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

    fn told(lines: &[(&'static str, &str)], peer: &str, behalf: Option<Behalf>) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        tell(&mut headers, &Peer::new(peer.parse().unwrap()), behalf);
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
        assert_eq!(told(&invented, "::ffff:192.0.2.1", None), wanted);
    }

    const PROXY: &str = "2001:db8::1";

    fn behalf(client: &str, header: ForwardedHeader) -> Option<Behalf> {
        let client = client.parse().unwrap();
        Some(Behalf { client, header })
    }

    #[test]
    fn a_trusted_proxys_word_is_added_to() {
        let sent = [
            ("host", "app:8080"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-host", "api.test"),
            ("x-forwarded-proto", "https"),
            ("x_forwarded_for", "1.1.1.1"),
            ("x-forwarded_proto", "http"),
        ];
        let wanted = [
            "host: app:8080",
            "x-forwarded-for: 192.0.2.1, 10.0.0.1, 2001:db8::1",
            "x-forwarded-host: api.test",
            "x-forwarded-proto: https",
        ];
        let behalf = behalf("192.0.2.1", ForwardedHeader::XForwardedFor);
        assert_eq!(told(&sent, PROXY, behalf), wanted);
    }

    /// A proxy that writes one of them passes what a client wrote into the
    /// others.
    #[test]
    fn all_that_name_the_client_name_the_same() {
        let sent = [
            ("x-forwarded-for", "192.0.2.1, 10.0.0.1"),
            ("x-real-ip", "1.1.1.1"),
            ("forwarded", "for=1.1.1.1;host=evil.test"),
            ("forwarded", "for=10.0.0.1"),
        ];
        let by_list = behalf("192.0.2.1", ForwardedHeader::XForwardedFor);
        let wanted = [
            "forwarded: for=192.0.2.1, for=\"[2001:db8::1]\"",
            "x-forwarded-for: 192.0.2.1, 10.0.0.1, 2001:db8::1",
            "x-forwarded-proto: http",
            "x-real-ip: 192.0.2.1",
        ];
        assert_eq!(told(&sent, PROXY, by_list), wanted);

        let by_parameter = behalf("10.0.0.1", ForwardedHeader::Forwarded);
        let wanted = [
            "forwarded: for=1.1.1.1;host=evil.test, for=10.0.0.1, for=\"[2001:db8::1]\"",
            "x-forwarded-for: 10.0.0.1, 2001:db8::1",
            "x-forwarded-proto: http",
            "x-real-ip: 10.0.0.1",
        ];
        assert_eq!(told(&sent, PROXY, by_parameter), wanted);

        let without_a_list = &sent[1..];
        let of_nobody = behalf(PROXY, ForwardedHeader::XForwardedFor);
        let wanted = [
            "x-forwarded-for: 2001:db8::1",
            "x-forwarded-proto: http",
            "x-real-ip: 2001:db8::1",
        ];
        assert_eq!(told(without_a_list, PROXY, of_nobody), wanted);
    }
}

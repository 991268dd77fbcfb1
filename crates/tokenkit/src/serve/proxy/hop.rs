//! Headers that are about one connection and never passed on (RFC 9110,
//! section 7.6.1), and the one exception: a change of protocol.

use http::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    TE, TRANSFER_ENCODING, UPGRADE,
};

/// Of one connection, whether or not `Connection` names them.
static HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    TE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes what is about one connection. What `te` said of trailers, and
/// nothing else of it, stays: both sides here pass trailers on.
///
/// `Host` stays whatever `Connection` says, since no request is without.
pub(super) fn remove(headers: &mut HeaderMap) {
    // One walk: most messages have none or one of them.
    let mut found = [false; HOP_BY_HOP.len()];
    for name in headers.keys() {
        for (known, found) in HOP_BY_HOP.iter().zip(&mut found) {
            *found |= name == known;
        }
    }
    let [connection, te, ..] = found;
    let trailers = te && names(headers, &TE).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
    if connection {
        let named: Vec<HeaderName> = names(headers, &CONNECTION)
            .filter(|name| !name.eq_ignore_ascii_case(b"keep-alive"))
            .filter_map(|name| HeaderName::from_bytes(name).ok())
            .filter(|name| *name != HOST)
            .collect();
        for name in &named {
            headers.remove(name);
        }
    }
    for (name, found) in HOP_BY_HOP.iter().zip(found) {
        if found {
            headers.remove(name);
        }
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
}

/// The protocol that a message offers to change to.
///
/// None where it is another form of HTTP, or TLS, beneath which there is more
/// HTTP: through such a tunnel requests would pass that nobody decides about.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    if !headers.contains_key(UPGRADE) {
        return None;
    }
    let offered = names(headers, &CONNECTION).any(|name| name.eq_ignore_ascii_case(b"upgrade"));
    let requests = |protocol: &[u8]| {
        let name = protocol.split(|&b| b == b'/').next().unwrap_or_default();
        let carriers: [&[u8]; 5] = [b"h2c", b"h2", b"h3", b"http", b"tls"];
        carriers
            .iter()
            .any(|carrier| name.eq_ignore_ascii_case(carrier))
    };
    if !offered || names(headers, &UPGRADE).any(requests) {
        return None;
    }
    let mut lines = headers.get_all(UPGRADE).iter();
    lines.next().filter(|_| lines.next().is_none()).cloned()
}

/// Says that this connection changes, or may change, to a protocol.
pub(super) fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// The members of a list header, over all its lines.
fn names<'a>(headers: &'a HeaderMap, list: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(list)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&b| b == b','))
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn what_connection_names_goes_with_it() {
        let mut headers = map(&[
            ("connection", "x-a, keep-alive"),
            ("connection", " X-B ,, upgrade"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("x-a", "1"),
            ("x-b", "1"),
            ("x-c", "1"),
            ("trailer", "x-d"),
        ]);
        assert_eq!(upgrade(&headers).unwrap(), "websocket");
        remove(&mut headers);
        assert_eq!(headers, map(&[("x-c", "1"), ("trailer", "x-d")]));
    }

    #[test]
    fn the_host_stays() {
        let mut headers = map(&[("connection", "Host, keep-alive"), ("host", "a.test")]);
        remove(&mut headers);
        assert_eq!(headers, map(&[("host", "a.test")]));
    }

    #[test]
    fn only_trailers_remain_of_te() {
        let mut headers = map(&[("te", "gzip;q=0.5, Trailers"), ("connection", "te")]);
        remove(&mut headers);
        assert_eq!(headers, map(&[("te", "trailers"), ("connection", "te")]));
        let mut headers = map(&[("te", "gzip")]);
        remove(&mut headers);
        assert_eq!(headers, HeaderMap::new());
    }

    #[test]
    fn an_upgrade_is_one_that_connection_names() {
        assert_eq!(upgrade(&map(&[("upgrade", "websocket")])), None);
        assert_eq!(upgrade(&map(&[("connection", "upgrade")])), None);
        let sent = map(&[("connection", "Upgrade"), ("upgrade", "foo/2, websocket")]);
        assert_eq!(upgrade(&sent).unwrap(), "foo/2, websocket");
    }

    #[test]
    fn no_further_requests_pass_through_a_tunnel() {
        for protocol in [
            "h2c",
            "H2C",
            "websocket, h2c",
            "TLS/1.2, HTTP/1.1",
            "HTTP/2.0",
            "h2",
        ] {
            let sent = map(&[("connection", "upgrade"), ("upgrade", protocol)]);
            assert_eq!(upgrade(&sent), None, "{protocol}");
        }
        let split = map(&[
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("upgrade", "h2c"),
        ]);
        assert_eq!(upgrade(&split), None);
    }
}

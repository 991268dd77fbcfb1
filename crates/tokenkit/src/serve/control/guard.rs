//! Which requests to the admin address could come from a page elsewhere that a
//! browser was made to send: these are refused before anything else.

use http::header::{HOST, HeaderMap, ORIGIN};
use http::uri::Authority;
use http::{Request, StatusCode};

use super::listen::Ends;
use super::problem::Problem;
use crate::settings::HostName;

/// Lets through what an admin sends on purpose.
///
/// # Errors
///
/// 421 for a request to a host that this is not, which is what a name looks
/// like that somebody pointed at our address; 403 for one from another origin.
pub(crate) fn check<B>(
    request: &Request<B>,
    ends: Ends,
    hosts: &[HostName],
) -> Result<(), Problem> {
    let headers = request.headers();
    let authority = host(request)?;
    if !is_ours(&authority, ends, hosts) {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "wrong_host",
            "The admin address is not called by this name: use localhost or its address, \
             or add the name to admin.hosts.",
        ));
    }
    if is_from_elsewhere(headers, &authority) {
        return Err(Problem::forbidden(
            "cross_origin",
            "The admin address takes nothing that a page of another origin sends.",
        ));
    }
    Ok(())
}

/// What the client calls us; a target in absolute form says it besides.
fn host<B>(request: &Request<B>) -> Result<Authority, Problem> {
    let bad =
        || Problem::bad_request("A request to the admin address has exactly one Host header.");
    let mut values = request.headers().get_all(HOST).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(bad());
    };
    let authority: Authority = value.as_bytes().try_into().map_err(|_| bad())?;
    let named = request.uri().authority();
    if authority.as_str().contains('@') || named.is_some_and(|named| *named != authority) {
        return Err(bad());
    }
    Ok(authority)
}

/// Whether a name is this machine's, whatever the port: a container's is
/// another outside of it.
fn is_ours(authority: &Authority, ends: Ends, hosts: &[HostName]) -> bool {
    let name = authority.host();
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    // No name can be pointed elsewhere that is an address.
    let is_address = bare
        .unwrap_or(name)
        .parse::<std::net::IpAddr>()
        .is_ok_and(|ip| ip.is_loopback() || ip.to_canonical() == ends.local.ip().to_canonical());
    is_address
        || hosts
            .iter()
            .any(|host| host.as_str().eq_ignore_ascii_case(name))
}

/// Whether a browser says that another origin's page is behind a request. Other
/// clients say nothing.
fn is_from_elsewhere(headers: &HeaderMap, authority: &Authority) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let foreign_origin = origins.any(|origin| {
        let origin = origin.as_bytes();
        let own = origin
            .strip_prefix(b"http://")
            .or_else(|| origin.strip_prefix(b"https://"));
        !own.is_some_and(|own| own.eq_ignore_ascii_case(authority.as_str().as_bytes()))
    });
    let mut sites = headers.get_all("sec-fetch-site").iter();
    let foreign_site = sites.any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    foreign_origin || foreign_site
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(host: &str, head: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().uri("/v1/keys");
        if !host.is_empty() {
            request = request.header("host", host);
        }
        for (name, value) in head {
            request = request.header(*name, *value);
        }
        let ends = Ends {
            peer: ([192, 0, 2, 7], 50_000).into(),
            local: ([192, 0, 2, 1], 9090).into(),
        };
        let hosts = ["admin.example.com".parse().unwrap()];
        match check(&request.body(()).unwrap(), ends, &hosts) {
            Ok(()) => 200,
            Err(problem) => problem.status().as_u16(),
        }
    }

    #[test]
    fn only_our_own_names_are_taken() {
        for good in [
            "localhost:9090",
            "LocalHost",
            "127.0.0.1:9091",
            "[::1]:9090",
            "192.0.2.1:9090",
            "[::ffff:192.0.2.1]",
            "admin.example.com",
            "ADMIN.example.com:8443",
        ] {
            assert_eq!(checked(good, &[]), 200, "{good}");
        }
        for bad in [
            "rebound.example.com:9090",
            "192.0.2.2:9090",
            "localhost.example.com",
            "evil-admin.example.com",
        ] {
            assert_eq!(checked(bad, &[]), 421, "{bad}");
        }
        for broken in ["", "a b", "user@localhost"] {
            assert_eq!(checked(broken, &[]), 400, "{broken}");
        }
        assert_eq!(checked("localhost", &[("host", "localhost")]), 400);
    }

    #[test]
    fn what_another_origin_sends_is_refused() {
        let host = "localhost:9090";
        for (name, value, expected) in [
            ("origin", "http://localhost:9090", 200),
            ("origin", "https://localhost:9090", 200),
            ("origin", "http://localhost:3000", 403),
            ("origin", "http://localhost", 403),
            ("origin", "null", 403),
            ("origin", "", 403),
            ("origin", "https://evil.example.com", 403),
            ("sec-fetch-site", "same-origin", 200),
            ("sec-fetch-site", "none", 200),
            ("sec-fetch-site", "same-site", 403),
            ("sec-fetch-site", "cross-site", 403),
            ("sec-fetch-site", "?", 403),
        ] {
            assert_eq!(checked(host, &[(name, value)]), expected, "{name}: {value}");
        }
    }
}

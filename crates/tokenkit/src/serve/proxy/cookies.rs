//! The cookies of a request on its way to the service behind.

use http::Version;
use http::header::{COOKIE, HeaderMap, HeaderValue};

use crate::serve::control::COOKIES;

/// Takes the dashboard's cookies out, which a browser sends to every port of its
/// host: whoever has one changes keys. HTTP/2 has cookies apart, for its tables;
/// before HTTP/1.1 they are one header again (RFC 9113, section 8.2.3), since
/// some services read but the first.
pub(super) fn pass_on(headers: &mut HeaderMap, version: Version) {
    let lines = || headers.get_all(COOKIE).iter();
    let apart = version == Version::HTTP_2 && lines().nth(1).is_some();
    let has_own = |line: &HeaderValue| pairs(line.as_bytes()).any(is_own);
    if !apart && !lines().any(has_own) {
        return;
    }
    let mut kept: Vec<Vec<u8>> = lines()
        .map(|line| without_own(line.as_bytes()))
        .filter(|line| !line.is_empty())
        .collect();
    if apart && !kept.is_empty() {
        kept = vec![kept.join(&b"; "[..])];
    }
    headers.remove(COOKIE);
    // Parts of header values make a header value.
    for line in kept.iter().flat_map(|line| HeaderValue::from_bytes(line)) {
        headers.append(COOKIE, line);
    }
}

fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b';')
}

fn is_own(pair: &[u8]) -> bool {
    let name = pair.split(|byte| *byte == b'=').next().unwrap_or(pair);
    COOKIES
        .iter()
        .any(|own| own.as_bytes() == name.trim_ascii())
}

fn without_own(line: &[u8]) -> Vec<u8> {
    let kept: Vec<&[u8]> = pairs(line).filter(|pair| !is_own(pair)).collect();
    kept.join(&b";"[..]).trim_ascii().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of lines.
    fn passed_on(lines: &[&str], version: Version) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::try_from(*line).unwrap());
        }
        pass_on(&mut headers, version);
        let lines = headers.get_all(COOKIE).iter();
        lines.map(|line| line.to_str().unwrap().into()).collect()
    }

    #[test]
    fn the_dashboards_cookies_go_and_all_others_stay() {
        for (line, kept) in [
            ("a=1", Some("a=1")),
            ("a=1;b=2;  c=3", Some("a=1;b=2;  c=3")),
            ("tokenkit_admin=x", None),
            ("a=1; tokenkit_admin=x; b=2", Some("a=1; b=2")),
            ("__Host-tokenkit_admin=x; a=1", Some("a=1")),
            ("a=1;tokenkit_admin=x", Some("a=1")),
            ("a=1; tokenkit_admin = x;tokenkit_admin", Some("a=1")),
            (
                "tokenkit_admin2=x; a=tokenkit_admin",
                Some("tokenkit_admin2=x; a=tokenkit_admin"),
            ),
        ] {
            let kept: Vec<&str> = kept.into_iter().collect();
            for version in [Version::HTTP_11, Version::HTTP_2] {
                assert_eq!(passed_on(&[line], version), kept, "{line}");
            }
        }
    }

    #[test]
    fn those_of_http_2_are_one_line() {
        let lines = ["a=1", "tokenkit_admin=x", "b=2"];
        assert_eq!(passed_on(&lines, Version::HTTP_2), ["a=1; b=2"]);
        assert_eq!(passed_on(&lines, Version::HTTP_11), ["a=1", "b=2"]);
        assert!(passed_on(&["tokenkit_admin=x"; 2], Version::HTTP_2).is_empty());
    }
}

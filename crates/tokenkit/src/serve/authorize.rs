//! Forward-auth: another proxy asks about a request that it holds, and acts on
//! the status. `docs/forward-auth.md` has a recipe for each.
//!
//! | path | who asks | method and path asked about |
//! |---|---|---|
//! | `/.tokenkit/authorize` | Traefik, Caddy | `X-Forwarded-Method`, `X-Forwarded-Uri` |
//! | `/.tokenkit/authorize/nginx` | nginx | `X-Original-Method`, `X-Original-URI` |
//! | `/.tokenkit/authorize/envoy/...` | Envoy | its own, behind the prefix |
//!
//! Each path reads the headers that its proxy sets and no other's, which that
//! proxy would pass on from the client unread. Only a trusted proxy is
//! believed. Anybody else's question is decided about as the request that it
//! is itself; a trusted proxy's that leaves the method or path open is an error,
//! since a guess could miss a route that wants a user.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::wire;
use engine_hyper::{Gate, Verdict};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, Response, StatusCode, Uri};

use super::answer::Problem;
use super::body::AnswerBody;

/// The space of paths that are the server's own.
pub(super) const OWN_PATHS: &str = "/.tokenkit/";
const AUTHORIZE: &str = "/.tokenkit/authorize";

/// Who asks, and so how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// A proxy that says `X-Forwarded-Method` and `X-Forwarded-Uri`.
    Forwarder,
    /// nginx, which takes no status but 2xx, 401 and 403.
    Nginx,
    /// Envoy, whose question has the request's own method and path.
    Envoy,
}

impl Asker {
    /// The asker whose endpoint a path is.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path.strip_prefix(AUTHORIZE)? {
            "" => Some(Self::Forwarder),
            "/nginx" => Some(Self::Nginx),
            rest => rest
                .strip_prefix(ENVOY)?
                .starts_with('/')
                .then_some(Self::Envoy),
        }
    }

    /// The headers that say the method and the path.
    fn headers(self) -> Option<(HeaderName, HeaderName)> {
        match self {
            Self::Forwarder => Some((
                HeaderName::from_static("x-forwarded-method"),
                HeaderName::from_static("x-forwarded-uri"),
            )),
            Self::Nginx => Some((
                HeaderName::from_static("x-original-method"),
                HeaderName::from_static("x-original-uri"),
            )),
            Self::Envoy => None,
        }
    }
}

const ENVOY: &str = "/envoy";

/// The request that is asked about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Original<'a> {
    pub(super) method: Cow<'a, Method>,
    /// Without the query.
    pub(super) path: Cow<'a, str>,
}

/// Finds the request that a question is about.
///
/// # Errors
///
/// The peer is trusted but does not say it, once and readably.
pub(super) fn original<'a>(
    asker: Asker,
    method: &'a Method,
    path: &'a str,
    headers: &'a HeaderMap,
    peer: IpAddr,
    trusted: bool,
) -> Result<Original<'a>, Problem> {
    let itself = Original {
        method: Cow::Borrowed(method),
        path: Cow::Borrowed(path),
    };
    let Some((method_name, uri_name)) = asker.headers() else {
        let rest = path
            .strip_prefix(AUTHORIZE)
            .and_then(|rest| rest.strip_prefix(ENVOY));
        return Ok(match rest {
            Some(path) if trusted => Original {
                path: Cow::Borrowed(path),
                ..itself
            },
            _ => itself,
        });
    };
    if !trusted {
        if headers.contains_key(&uri_name) {
            warn_of_untrusted(peer);
        }
        return Ok(itself);
    }
    let method = one(headers, &method_name).and_then(|value| Method::from_bytes(value).ok());
    let path = one(headers, &uri_name).and_then(path_of);
    match (method, path) {
        (Some(method), Some(path)) => Ok(Original {
            method: Cow::Owned(method),
            path,
        }),
        _ => Err(Problem::NO_ORIGINAL),
    }
}

/// The path of a URI; `None` where it is none, or where a `#` is in it: a proxy
/// may send what follows on, where the service behind takes it for a part of the
/// path, and the parser would drop it.
fn path_of(uri: &[u8]) -> Option<Cow<'_, str>> {
    if let Some(path) = plain_path(uri) {
        return Some(Cow::Borrowed(path));
    }
    if uri.contains(&b'#') {
        return None;
    }
    let uri = Uri::try_from(uri).ok()?;
    Some(Cow::Owned(uri.path().to_owned()))
}

/// The path of a target that begins with it and has no unusual sign, which
/// needs no parser. Most are so.
fn plain_path(target: &[u8]) -> Option<&str> {
    const LONGEST: usize = 4096;
    let plain = |&b: &u8| b.is_ascii_alphanumeric() || b"/-._~%?&=+,:@!$".contains(&b);
    if target.first() != Some(&b'/') || target.len() > LONGEST || !target.iter().all(plain) {
        return None;
    }
    let target = std::str::from_utf8(target).ok()?;
    Some(target.split_once('?').map_or(target, |(path, _)| path))
}

/// The value of a header that was sent once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first.as_bytes())
}

/// Says once in a process what an operator most likely forgot.
fn warn_of_untrusted(peer: IpAddr) {
    static SAID: AtomicBool = AtomicBool::new(false);
    // Relaxed: whoever sets it first logs, and nothing else hangs on it.
    if !SAID.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            %peer,
            "a forward-auth question came from a peer that is not among http.trusted_proxies; \
             what it says of the original request is not believed"
        );
    }
}

/// The most headers of a yes: its length, five of the budget, three of the
/// identity, and three for browsers.
const YES_HEADERS: usize = 12;

/// The answer to a question: a bare 200 with the identity, empty where there
/// is none, so that the asker overwrites whatever its client sent; or the
/// refusal.
pub(super) fn answer(
    gate: &Gate,
    asker: Asker,
    verdict: &Verdict,
    method: &Method,
) -> Response<AnswerBody> {
    match gate.refusal(verdict, method) {
        Some(refusal) if asker == Asker::Nginx => for_nginx(verdict, refusal.map(|_| ())),
        Some(refusal) => refusal.map(AnswerBody::text),
        None => {
            let mut headers = HeaderMap::with_capacity(YES_HEADERS);
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            gate.render(verdict, &mut headers);
            gate.identify_wholly(verdict, &mut headers);
            let mut answer = Response::new(AnswerBody::empty());
            *answer.headers_mut() = headers;
            answer
        }
    }
}

/// The answer to the question about a preflight, which no asker may take for a
/// yes: then a request that merely looks like one would pass without a key.
///
/// Envoy hands the 204 to the client. nginx is told it as it is told a refusal.
/// The others pass on only what refuses, and a browser takes only what doesn't:
/// there is no answer through them, and they have to send preflights here.
pub(super) fn preflight_answer(
    asker: Asker,
    answer: Response<bytes::Bytes>,
    method: &Method,
) -> Response<AnswerBody> {
    match asker {
        Asker::Envoy => answer.map(AnswerBody::text),
        Asker::Nginx => restorable(answer.map(|_| ()), "preflight"),
        Asker::Forwarder => Problem::ASKED_PREFLIGHT.answer(method),
    }
}

/// A refusal as nginx takes it: 401 or 403, without a body, and in headers of
/// its own what the client is to be told.
fn for_nginx(verdict: &Verdict, refusal: Response<()>) -> Response<AnswerBody> {
    let reason = verdict.decision().reason();
    let mut answer = restorable(refusal, reason.as_str());
    if let Some(body) = wire::problem(reason) {
        answer
            .headers_mut()
            .insert("x-tokenkit-problem", HeaderValue::from_static(body));
    }
    answer
}

/// An answer that refuses, whatever its own status, which it bears in a header.
fn restorable(answer: Response<()>, reason: &'static str) -> Response<AnswerBody> {
    let mut answer = answer.map(|()| AnswerBody::empty());
    let true_status = answer.status();
    if true_status != StatusCode::UNAUTHORIZED {
        *answer.status_mut() = StatusCode::FORBIDDEN;
    }
    let headers = answer.headers_mut();
    headers.remove(CONTENT_TYPE);
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers.insert("x-tokenkit-status", HeaderValue::from(true_status.as_u16()));
    headers.insert("x-tokenkit-reason", HeaderValue::from_static(reason));
    if let Some(seconds) = headers.get(RETRY_AFTER).cloned() {
        headers.insert("x-tokenkit-retry-after", seconds);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    /// Method and path that are found.
    fn found(path: &str, lines: &[(&'static str, &str)], trusted: bool) -> Option<String> {
        let asker = Asker::of(path).unwrap();
        let peer = [192, 0, 2, 1].into();
        let headers = map(lines);
        original(asker, &Method::GET, path, &headers, peer, trusted)
            .ok()
            .map(|original| format!("{} {}", original.method, original.path))
    }

    #[test]
    fn the_path_says_who_asks() {
        assert_eq!(Asker::of("/.tokenkit/authorize"), Some(Asker::Forwarder));
        assert_eq!(Asker::of("/.tokenkit/authorize/nginx"), Some(Asker::Nginx));
        assert_eq!(Asker::of("/.tokenkit/authorize/envoy/"), Some(Asker::Envoy));
        for other in [
            "/.tokenkit/authorize/",
            "/.tokenkit/authorize/envoy",
            "/.tokenkit/x",
            "/",
        ] {
            assert_eq!(Asker::of(other), None, "{other}");
        }
    }

    #[test]
    fn each_asker_is_read_by_its_own_headers() {
        let both = [
            ("x-forwarded-method", "POST"),
            ("x-forwarded-uri", "/a/b?c=/d"),
            ("x-original-method", "PUT"),
            ("x-original-uri", "http://host/e?f"),
        ];
        let find = |path, trusted| found(path, &both, trusted).unwrap();
        assert_eq!(find("/.tokenkit/authorize", true), "POST /a/b");
        assert_eq!(find("/.tokenkit/authorize/nginx", true), "PUT /e");
        assert_eq!(find("/.tokenkit/authorize/envoy/x/y", true), "GET /x/y");
        for path in [
            "/.tokenkit/authorize",
            "/.tokenkit/authorize/nginx",
            "/.tokenkit/authorize/envoy/x",
        ] {
            assert_eq!(find(path, false), format!("GET {path}"));
        }
    }

    #[test]
    fn a_plain_path_is_what_the_parser_finds() {
        let plain = [
            "/",
            "/a/b",
            "/a?b/c?d",
            "/?",
            "//a",
            "/%41;",
            "/a%20b:@!$&=+,~",
            "/../x",
        ];
        let odd: [&[u8]; 5] = [b"", b"*", b"http://h/a?b", b"a/b", b"/\xC3\xA9"];
        for uri in plain.into_iter().map(str::as_bytes).chain(odd) {
            let parsed = Uri::try_from(uri).ok().map(|uri| uri.path().to_owned());
            assert_eq!(path_of(uri).map(Cow::into_owned), parsed, "{uri:?}");
            assert!(plain_path(uri).is_none_or(|path| path.starts_with('/')));
        }
        assert_eq!(path_of(b"/a?b"), Some(Cow::Borrowed("/a")));
        for bad in ["/a b", "/\n", "/\u{7f}", "/a#b", "/open#/../me", "/a?b#c"] {
            assert_eq!(path_of(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn a_trusted_proxy_must_say_it_once_and_readably() {
        let cases: [&[(&str, &str)]; 6] = [
            &[],
            &[("x-forwarded-method", "GET")],
            &[("x-forwarded-uri", "/")],
            &[("x-forwarded-method", ""), ("x-forwarded-uri", "/")],
            &[("x-forwarded-method", "GET"), ("x-forwarded-uri", "a b")],
            &[
                ("x-forwarded-method", "GET"),
                ("x-forwarded-uri", "/"),
                ("x-forwarded-uri", "/"),
            ],
        ];
        for lines in cases {
            assert_eq!(found(AUTHORIZE, lines, true), None, "{lines:?}");
        }
    }
}

//! Origins as texts with the host first, by which a table of patterns is
//! searched.
//!
//! `https://app.example.com` becomes `app.example.com https 443`, and
//! `https://*.example.com` becomes `.example.com https 443`. So whatever
//! matches a sent origin is that origin's own text, or what follows the first
//! labels of it: a few look-ups in one text that is made once.

use super::sent::{Sent, split};
use super::{Form, OriginPattern};

/// A sent origin, host first and in lower case. Short, whatever was sent.
pub(crate) struct HostFirst {
    text: String,
    host_len: usize,
}

impl HostFirst {
    /// Reads an `Origin` header's value; `None` for what is no origin.
    pub(crate) fn of(origin: &[u8]) -> Option<Self> {
        Some(match split(origin)? {
            Sent::Null => Self {
                text: NULL.into(),
                host_len: 0,
            },
            Sent::Tuple { scheme, host, port } => {
                // Both are ASCII: `split` has looked at each byte.
                let lower = |bytes| String::from_utf8_lossy(bytes).to_ascii_lowercase();
                Self {
                    text: joined(&lower(host), &lower(scheme), port),
                    host_len: host.len(),
                }
            }
        })
    }

    /// The texts of all patterns that would match: the origin itself, then the
    /// wildcards over names of at most `labels` labels.
    pub(crate) fn candidates(&self, labels: usize) -> impl Iterator<Item = &str> {
        let dots = self.text[..self.host_len].rmatch_indices('.');
        let wildcards = dots.take(labels).map(|(dot, _)| &self.text[dot..]);
        std::iter::once(&*self.text).chain(wildcards)
    }
}

impl OriginPattern {
    /// The pattern with its host first: among the candidates of every origin
    /// that it matches, and of no other.
    pub(crate) fn host_first(&self) -> String {
        match &self.0 {
            Form::Null => NULL.into(),
            Form::Tuple {
                scheme, host, port, ..
            } => joined(host, scheme, *port),
        }
    }

    /// How many labels follow the `*`; 0 where there is none.
    pub(crate) fn wildcard_labels(&self) -> usize {
        match &self.0 {
            Form::Tuple {
                host,
                any_label: true,
                ..
            } => host.matches('.').count(),
            Form::Null | Form::Tuple { .. } => 0,
        }
    }
}

/// The blanks stand in no host and no scheme, so that no two origins are one
/// text.
fn joined(host: &str, scheme: &str, port: u16) -> String {
    format!("{host} {scheme} {port}")
}

/// The text of `null`; that of every other origin has blanks.
const NULL: &str = "null";

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::OriginList;
    use super::*;

    #[test]
    fn candidates_are_what_matches() {
        let patterns = [
            "null",
            "https://null",
            "https://a.b.test",
            "https://a.b.test:8443",
            "http://a.b.test",
            "https://*.b.test",
            "https://*.test",
            "http://*.test",
            "https://*.a.b.test",
            "https://b.test",
            "http://[::1]:3000",
            "app.x://a",
        ]
        .map(|text| text.parse::<OriginPattern>().unwrap());
        let sent = [
            "null",
            "NULL",
            "https://null",
            "https://A.b.test",
            "https://a.b.test:8443",
            "http://a.b.test:80",
            "https://x.a.b.test",
            "https://b.test",
            "https://test",
            "https://evil-b.test",
            "http://[::1]:3000",
            "app.x://a",
            "https://a.b.test/",
        ];
        for pattern in patterns {
            let list: OriginList = [pattern.clone()].into_iter().collect();
            for sent in sent {
                let found = HostFirst::of(sent.as_bytes()).is_some_and(|origin| {
                    origin
                        .candidates(pattern.wildcard_labels())
                        .any(|text| text == pattern.host_first())
                });
                assert_eq!(found, list.lists(sent.as_bytes()), "{pattern} {sent}");
            }
        }
    }

    #[test]
    fn a_host_of_many_labels_has_as_many_candidates_as_wildcards_have_labels() {
        let deep = format!("https://{}test", "a.".repeat(120));
        let origin = HostFirst::of(deep.as_bytes()).unwrap();
        for labels in [0, 1, 2, 3] {
            assert_eq!(origin.candidates(labels).count(), 1 + labels);
        }
        let wildcard: OriginPattern = "https://*.a.test".parse().unwrap();
        assert_eq!(wildcard.wildcard_labels(), 2);
        assert_eq!(
            origin.candidates(2).last(),
            Some(&*wildcard.host_first()),
            "the deepest comes last"
        );
    }
}

//! Many decisions at once: what is slow about one is done side by side for
//! several, and what has an order is done in it.
//!
//! For each group of requests: their keys are taken apart and their lines of
//! the keyring and of the failures asked for; the keys are hashed in the lanes
//! of wide registers while those lines come; the lines of the hours are asked
//! for; and then each request is decided as if it were alone.

use crate::decision::{Decision, Reason};
use crate::engine::Engine;
use crate::key::{Formed, KeyDigest, MOST_AT_ONCE};
use crate::request::Request;

/// Requests in a group: the lanes of the widest registers, and about as many
/// lines as a processor fetches at once.
const GROUP: usize = MOST_AT_ONCE;

/// What a request shows, before any table is looked at.
#[derive(Clone, Copy)]
pub(crate) enum Shown<'r> {
    /// No key.
    Missing,
    /// What is no key.
    Malformed,
    /// A key of the right form.
    Formed(Formed<'r>),
}

impl Engine {
    /// Decides about many requests of one moment, the clock's. Gives to the
    /// letter what as many calls of [`decide`](Self::decide) in this order
    /// would, in less time: keys are hashed side by side, and memory is asked
    /// for early.
    ///
    /// Allocates nothing; takes any number of requests.
    ///
    /// # Panics
    ///
    /// Where there are not as many decisions as requests.
    pub fn decide_batch(&self, requests: &[Request<'_>], decisions: &mut [Decision]) {
        self.decide_batch_at(requests, decisions, self.clock.now());
    }

    /// Decides about many requests at a given time in unix seconds, as
    /// [`decide_at`](Self::decide_at) would.
    ///
    /// # Panics
    ///
    /// Where there are not as many decisions as requests.
    pub fn decide_batch_at(
        &self,
        requests: &[Request<'_>],
        decisions: &mut [Decision],
        unix_s: u64,
    ) {
        assert_eq!(
            requests.len(),
            decisions.len(),
            "a decision for each request"
        );
        let groups = requests.chunks(GROUP).zip(decisions.chunks_mut(GROUP));
        for (requests, decisions) in groups {
            self.decide_group(requests, decisions, unix_s);
        }
    }

    fn decide_group(&self, requests: &[Request<'_>], decisions: &mut [Decision], unix_s: u64) {
        let mut shown = [Shown::Missing; GROUP];
        let shown = &mut shown[..requests.len()];
        for (shown, request) in shown.iter_mut().zip(requests) {
            *shown = self.shown(request);
            if !matches!(shown, Shown::Missing) {
                self.case(request, unix_s).place.expect();
            }
            if let Shown::Formed(formed) = *shown {
                self.keyring.expect(formed.id());
            }
        }
        let digests = self.digests(shown);
        for (shown, request) in shown.iter().zip(requests) {
            let found = match *shown {
                Shown::Missing => continue,
                Shown::Malformed => None,
                Shown::Formed(formed) => {
                    let snapshot = self.keyring.snapshot(formed.id());
                    snapshot.record().map(|record| self.expect_charge(record))
                }
            };
            if found.is_none() {
                self.case(request, unix_s).place.expect_record();
            }
        }
        let seen = shown.iter().zip(&digests);
        for ((request, decision), (shown, digest)) in requests.iter().zip(decisions).zip(seen) {
            *decision = self.decide_shown(request, *shown, digest, unix_s);
        }
    }

    /// Decides about a request of whose key all is known that can be.
    fn decide_shown(
        &self,
        request: &Request<'_>,
        shown: Shown<'_>,
        digest: &KeyDigest,
        unix_s: u64,
    ) -> Decision {
        if let Shown::Missing = shown {
            return self.keyless(request, Reason::MissingKey);
        }
        let case = self.case(request, unix_s);
        let look = case.place.look();
        if let Some(until) = self.blocked_until(&case, look) {
            return self.blocked(&case, until);
        }
        let Shown::Formed(formed) = shown else {
            return self.failure(&case, look, Reason::MalformedKey);
        };
        let id = formed.id();
        let snapshot = self.keyring.snapshot(id);
        self.compared(&case, look, id, snapshot.record(), digest, &snapshot)
    }

    /// The digests of the keys of the right form, each in its request's place.
    fn digests(&self, shown: &[Shown<'_>]) -> [KeyDigest; GROUP] {
        let mut keys: [&[u8]; GROUP] = [b""; GROUP];
        let mut places = [0; GROUP];
        let mut count = 0;
        for (place, shown) in shown.iter().enumerate().take(GROUP) {
            if let Shown::Formed(formed) = *shown {
                (keys[count], places[count]) = (formed.key(), place);
                count += 1;
            }
        }
        let hashed = self.secret.digest_keys(&keys[..count]);
        let mut digests = [KeyDigest::ZERO; GROUP];
        for (digest, place) in hashed.into_iter().zip(&places[..count]) {
            digests[*place] = digest;
        }
        digests
    }
}

//! Many decisions at once: what is slow about one is done side by side for
//! several, and what has an order is done in it.
//!
//! For each group of requests: their keys are taken apart and their lines of
//! the keyring and of the failures asked for; the keys are hashed in the lanes
//! of wide registers while those lines come; the lines of the hours are asked
//! for; and then each request is decided as if it were alone.

use smallvec::SmallVec;

use crate::decide::Case;
use crate::decision::{Decision, Reason};
use crate::engine::Engine;
use crate::failures::Place;
use crate::key::{Formed, KeyDigest, MOST_AT_ONCE};
use crate::keyring::{Found, Reading, Spot};
use crate::request::Request;

/// Requests in a group: the lanes of the widest registers, and about as many
/// lines as a processor fetches at once.
const GROUP: usize = MOST_AT_ONCE;

/// Groups under way: one whose lines are asked for, one whose keys are hashed
/// while they come, and one that is decided.
const UNDER_WAY: usize = 3;

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

/// A request under way.
#[derive(Clone, Copy)]
struct Seat<'a> {
    request: &'a Request<'a>,
    place: Place<'a>,
    shown: Shown<'a>,
    spot: Option<Spot<'a>>,
    digest: KeyDigest,
    found: Option<Found<'a>>,
}

/// A group of requests under way.
type Group<'a> = SmallVec<[Seat<'a>; GROUP]>;

impl Engine {
    /// Decides about many requests of one moment, the clock's. Gives to the
    /// letter what as many calls of [`decide`](Self::decide) in this order
    /// would, in less time: keys are hashed side by side, and memory is asked
    /// for early.
    ///
    /// Allocates nothing once the calling thread has looked a key up; takes any
    /// number of requests. Keys that are changed meanwhile are the old or the
    /// new ones, each request by itself.
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
        let keys = self.keyring.read();
        let mut asked = requests.chunks(GROUP);
        let mut answers = decisions.chunks_mut(GROUP);
        let mut groups: [Group<'_>; UNDER_WAY] = Default::default();
        // One step more for each group that is under way when no more come.
        let steps = requests.len().div_ceil(GROUP) + UNDER_WAY - 1;
        for step in 0..steps {
            let group = |back: usize| (step + UNDER_WAY - back) % UNDER_WAY;
            self.seat(
                &mut groups[group(0)],
                asked.next().unwrap_or_default(),
                &keys,
            );
            self.find(&mut groups[group(1)], &keys);
            let decided = &groups[group(2)];
            if !decided.is_empty() {
                let answers = answers.next().unwrap_or_default();
                self.decide_seated(decided, answers, unix_s);
            }
        }
    }

    /// Takes the keys of a group apart, and asks for the lines of the keyring
    /// and of the failures.
    fn seat<'a>(
        &'a self,
        group: &mut Group<'a>,
        requests: &'a [Request<'a>],
        keys: &'a Reading<'_>,
    ) {
        group.clear();
        for request in requests {
            let place = self.place(request.client);
            let shown = self.shown(request);
            let mut spot = None;
            match shown {
                Shown::Missing => {}
                Shown::Malformed => place.expect(),
                Shown::Formed(formed) => {
                    place.expect();
                    spot = Some(keys.spot(formed.id()));
                }
            }
            group.push(Seat {
                request,
                place,
                shown,
                spot,
                digest: KeyDigest::ZERO,
                found: None,
            });
        }
    }

    /// Hashes the keys of a group, finds their records, and asks for the lines
    /// that the decisions will write.
    fn find<'a>(&self, group: &mut Group<'a>, keys: &'a Reading<'_>) {
        let mut texts: [&[u8]; GROUP] = [b""; GROUP];
        let mut count = 0;
        for seat in &*group {
            if let Shown::Formed(formed) = seat.shown {
                texts[count] = formed.key();
                count += 1;
            }
        }
        let digests = self.secret.digest_keys(&texts[..count]);
        let mut digests = digests.into_iter();
        for seat in group {
            if let Some(spot) = seat.spot {
                seat.digest = digests.next().unwrap_or(KeyDigest::ZERO);
                seat.found = keys.find(spot);
            }
            match (seat.found, seat.shown) {
                (Some(found), _) => self.expect_charge(found.record()),
                (None, Shown::Missing) => {}
                (None, _) => seat.place.expect_record(),
            }
        }
    }

    /// Decides about the requests of a group, in their order.
    fn decide_seated(&self, group: &Group<'_>, decisions: &mut [Decision], unix_s: u64) {
        for (seat, decision) in group.iter().zip(decisions) {
            self.decide_seat(seat, unix_s, decision);
        }
    }

    #[inline(always)]
    fn decide_seat(&self, seat: &Seat<'_>, unix_s: u64, decision: &mut Decision) {
        if let Shown::Missing = seat.shown {
            *decision = self.missing(seat.request, || unix_s);
            return;
        }
        let case = Case {
            request: seat.request,
            unix_s,
            place: seat.place,
        };
        let look = case.place.look();
        if let Some(until) = self.blocked_until(&case, look) {
            *decision = self.blocked(&case, until);
            return;
        }
        let Shown::Formed(formed) = seat.shown else {
            *decision = self.failure(&case, look, Reason::MalformedKey);
            return;
        };
        self.compared(&case, look, formed.id(), seat.found, &seat.digest, decision);
    }
}

//! Whether there is an order of what was answered, within the times at which
//! it was, that one exact counter for each key and hour explains.
//!
//! What is left after a charge says which charge it was: the first that was
//! admitted leaves the limit less its cost, and so on. So the order of those
//! that were admitted is known, and of every other answer what the counter
//! stood at, which puts it behind one charge and before the next. All that is
//! asked for then is that something came no earlier than something else. So
//! everything is put as early as it can have been, in the order in which the
//! counter rose: if an answer had ended by then, no order explains it, and if
//! none had, this is one. That is linear in the events, but for sorting them.
//!
//! A refusal with nothing left may stand for a later hour in the place as well
//! as for a spent budget. There is nothing to try out: the later hour came
//! behind all charges of the earlier, so where the budget was spent at all the
//! refusal came behind the last of them either way.

use crate::record::Event;

/// What no order explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// More was admitted in an hour than its limit.
    Over { sum: u64, limit: u64 },
    /// Two were given the same unit, or one was charged that nobody was given.
    Uncounted(Event),
    /// Admitted at a time at which the counter stood elsewhere.
    OutOfOrder(Event),
    /// Refused, although it would have fitted whenever it was looked at.
    RefusedInVain(Event),
}

/// What was found in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) admitted: u64,
    pub(crate) refused: u64,
    /// Refused for nothing but that their hour's place held a later one.
    pub(crate) overtaken: u64,
    /// Places that went from one hour to a later one.
    pub(crate) roll_overs: u64,
    /// Those that began while another was at the same place: without them
    /// there was but one order.
    pub(crate) met: u64,
}

impl std::ops::AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.admitted += other.admitted;
        self.refused += other.refused;
        self.overtaken += other.overtaken;
        self.roll_overs += other.roll_overs;
        self.met += other.met;
    }
}

/// A place of a key's ring: what happens in it happens to one word.
fn place(event: &Event) -> (u64, u64) {
    (event.key, event.hour % 8)
}

/// Checks a history whose rings were empty, or held earlier hours, before it.
/// Each key has one limit throughout.
pub(crate) fn check(limits: &[u64], history: &mut [Event]) -> Result<Seen, Fault> {
    history.sort_unstable_by_key(|event| (place(event), event.start_ns));
    let mut seen = Seen::default();
    for events in history.chunk_by_mut(|a, b| place(a) == place(b)) {
        seen.met += met(events);
        let limit = limits[events[0].key as usize];
        seen += Word::new(limit).explains(events)?;
    }
    Ok(seen)
}

/// How many began before another had ended that began earlier. That is never of
/// the same thread, which asks one thing after the other. `events` are sorted
/// by their start.
fn met(events: &[Event]) -> u64 {
    let mut end_ns = 0;
    let met = events.iter().filter(|event| {
        let meets = event.start_ns < end_ns;
        end_ns = end_ns.max(event.end_ns);
        meets
    });
    met.count() as u64
}

/// One word, while its values are gone through.
struct Word {
    limit: u64,
    /// When it can have got its value, at the earliest.
    since_ns: u64,
    /// When it can get its next value, at the earliest: after all that saw this
    /// one.
    next_ns: u64,
    /// Used of the hour that it holds.
    used: u64,
    /// Refused for a later hour, which is still to come.
    overtaken: Vec<Event>,
    seen: Seen,
}

impl Word {
    fn new(limit: u64) -> Self {
        Self {
            limit,
            since_ns: 0,
            next_ns: 0,
            used: 0,
            overtaken: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Goes through all that was answered from this word.
    fn explains(mut self, events: &mut [Event]) -> Result<Seen, Fault> {
        let limit = self.limit;
        // What was charged is before those that saw it.
        events.sort_unstable_by_key(|event| {
            let used = limit.saturating_sub(event.left);
            (event.hour, used, !is_charge(event), event.start_ns)
        });
        let mut hours = 0_u64;
        for hour in events.chunk_by(|a, b| a.hour == b.hour) {
            hours += u64::from(self.hour(hour)?);
        }
        self.seen.roll_overs = hours.saturating_sub(1);
        match self.overtaken.first() {
            Some(event) => Err(Fault::RefusedInVain(*event)),
            None => Ok(self.seen),
        }
    }

    /// Goes through an hour; whether it took the word.
    fn hour(&mut self, events: &[Event]) -> Result<bool, Fault> {
        let admitted = events.iter().filter(|event| event.admitted);
        let (sum, limit) = (admitted.map(|event| event.cost).sum(), self.limit);
        if sum > limit {
            return Err(Fault::Over { sum, limit });
        }
        (self.since_ns, self.used) = (self.next_ns, 0);
        let mut taken_ns: Option<u64> = None;
        let mut overtaken = Vec::new();
        for event in events {
            if event.left > limit {
                return Err(Fault::Uncounted(*event));
            }
            if !event.admitted {
                self.seen.refused += 1;
                if !self.refuses(event)? {
                    overtaken.push(*event);
                }
                continue;
            }
            self.seen.admitted += 1;
            let at_ns = self.admits(event)?;
            // One that is free takes the word for its hour as well.
            if self.used == 0 || taken_ns.is_none() {
                taken_ns = Some(taken_ns.map_or(at_ns, |taken_ns| taken_ns.min(at_ns)));
            }
        }
        if let Some(taken_ns) = taken_ns {
            let in_vain = |event: &&Event| taken_ns > event.end_ns;
            if let Some(event) = self.overtaken.iter().find(in_vain) {
                return Err(Fault::RefusedInVain(*event));
            }
            self.seen.overtaken += self.overtaken.len() as u64;
            self.overtaken.clear();
        }
        self.overtaken.extend(overtaken);
        Ok(taken_ns.is_some())
    }

    /// When one that was admitted can have been, at the earliest.
    fn admits(&mut self, event: &Event) -> Result<u64, Fault> {
        let used = self.limit - event.left;
        if is_charge(event) {
            self.used += event.cost;
            if self.used != used {
                return Err(Fault::Uncounted(*event));
            }
            self.since_ns = self.next_ns.max(event.start_ns);
        }
        let at_ns = self.since_ns.max(event.start_ns);
        if self.used != used || at_ns > event.end_ns {
            return Err(Fault::OutOfOrder(*event));
        }
        self.next_ns = self.next_ns.max(at_ns);
        Ok(at_ns)
    }

    /// Whether one was refused for what was left of its own hour, rather than
    /// for a later one.
    fn refuses(&mut self, event: &Event) -> Result<bool, Fault> {
        let used = self.limit - event.left;
        if used != self.used || used + event.cost <= self.limit {
            return match event.left {
                0 => Ok(false),
                _ => Err(Fault::RefusedInVain(*event)),
            };
        }
        // The hour begins with nothing used, whatever the word held before: a
        // refusal does not take it.
        let since_ns = if used == 0 { 0 } else { self.since_ns };
        let at_ns = since_ns.max(event.start_ns);
        if at_ns > event.end_ns {
            return Err(Fault::RefusedInVain(*event));
        }
        // With nothing left it may have come behind a later hour too.
        if event.left > 0 {
            self.next_ns = self.next_ns.max(at_ns);
        }
        Ok(true)
    }
}

/// Whether it was admitted and cost something.
fn is_charge(event: &Event) -> bool {
    event.admitted && event.cost > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of key 0, whose limit is 3.
    fn event(times: (u64, u64), hour: u64, cost: u64, admitted: bool, left: u64) -> Event {
        Event {
            start_ns: times.0,
            end_ns: times.1,
            key: 0,
            hour,
            cost,
            admitted,
            left,
        }
    }

    fn checked(events: &[Event]) -> Result<Seen, Fault> {
        check(&[3], &mut events.to_vec())
    }

    #[test]
    fn what_one_counter_explains_is_in_order() {
        let seen = checked(&[
            event((10, 20), 5, 1, true, 2),
            // At the same time, and charged before.
            event((5, 30), 5, 2, true, 0),
            event((12, 40), 5, 0, true, 0),
        ]);
        // 2 after 1 leaves 0; the free one saw it.
        assert_eq!(seen.map(|seen| seen.admitted), Ok(3));
        let seen = checked(&[
            event((10, 20), 5, 3, true, 0),
            event((15, 16), 5, 1, false, 0),
            event((30, 40), 13, 1, true, 2),
            event((35, 36), 5, 0, false, 0),
            event((50, 60), 13, 3, false, 2),
        ]);
        let expected = Seen {
            admitted: 2,
            refused: 3,
            overtaken: 1,
            roll_overs: 1,
            met: 2,
        };
        assert_eq!(seen, Ok(expected));
        // A refusal takes no hour: an earlier one goes on behind it.
        let refused = event((1, 2), 13, 4, false, 3);
        let seen = checked(&[refused, event((10, 20), 5, 1, true, 2)]);
        assert_eq!(seen.map(|seen| seen.refused), Ok(1));
    }

    #[test]
    fn more_than_the_limit_is_seen() {
        let events: Vec<_> = (0..4).map(|at| event((at, at), 5, 1, true, 0)).collect();
        assert_eq!(checked(&events), Err(Fault::Over { sum: 4, limit: 3 }));
    }

    #[test]
    fn a_unit_given_twice_or_to_nobody_is_seen() {
        for left in [1, 2] {
            let second = event((30, 40), 5, 1, true, left);
            let events = [event((10, 20), 5, 1, true, left), second];
            assert!(matches!(checked(&events), Err(Fault::Uncounted(_))));
        }
        let lost = event((10, 20), 5, 1, true, 1);
        assert_eq!(checked(&[lost]), Err(Fault::Uncounted(lost)));
    }

    #[test]
    fn what_came_the_wrong_way_round_is_seen() {
        let late = event((10, 20), 5, 1, true, 1);
        let early = event((30, 40), 5, 1, true, 2);
        assert_eq!(checked(&[late, early]), Err(Fault::OutOfOrder(late)));
        // An hour that goes on after a later one took its place.
        let after = event((30, 40), 5, 1, true, 2);
        let before = event((10, 20), 13, 1, true, 2);
        assert_eq!(checked(&[after, before]), Err(Fault::OutOfOrder(before)));
        // A free one that saw what was not there yet.
        let free = event((1, 2), 5, 0, true, 2);
        let charge = event((10, 20), 5, 1, true, 2);
        assert_eq!(checked(&[free, charge]), Err(Fault::OutOfOrder(free)));
        // An hour that goes on after a free one took its place.
        let free = event((1, 2), 13, 0, true, 3);
        assert_eq!(checked(&[free, charge]), Err(Fault::OutOfOrder(free)));
    }

    #[test]
    fn a_refusal_while_budget_was_left_is_seen() {
        let spends = event((30, 40), 5, 3, true, 0);
        for refused in [
            // Ended before the budget was spent.
            event((10, 20), 5, 1, false, 0),
            // Says itself that it fitted.
            event((10, 50), 5, 1, false, 2),
            // Of another hour.
            event((50, 60), 6, 1, false, 0),
            // A free one always fits, unless its place is another hour's.
            event((50, 60), 5, 0, false, 0),
        ] {
            assert_eq!(
                checked(&[spends, refused]),
                Err(Fault::RefusedInVain(refused))
            );
        }
        let overtakes = event((70, 80), 13, 0, true, 3);
        let refused = event((50, 60), 5, 0, false, 0);
        assert_eq!(
            checked(&[spends, overtakes, refused]),
            Err(Fault::RefusedInVain(refused))
        );
    }

    #[test]
    fn a_later_hour_that_can_only_have_come_later_excuses_nothing() {
        let later = event((0, 100), 13, 1, true, 2);
        let first = event((10, 20), 5, 1, true, 2);
        let refused = event((30, 40), 5, 1, false, 0);
        assert!(checked(&[later, first, refused]).is_ok());
        // It came behind this one, and so behind the refusal.
        let second = event((50, 60), 5, 1, true, 1);
        assert_eq!(
            checked(&[later, first, refused, second]),
            Err(Fault::RefusedInVain(refused))
        );
    }

    #[test]
    fn what_two_saw_has_to_go_together() {
        let first = event((1, 2), 5, 2, true, 1);
        // It gave the last unit at some time of these.
        let last = event((0, 100), 5, 1, true, 0);
        let spent = |times| event(times, 5, 1, false, 0);
        let unspent = |times| event(times, 5, 2, false, 1);
        for (spent, unspent, goes) in [
            (spent((50, 60)), unspent((10, 20)), true),
            (spent((10, 55)), unspent((50, 60)), true),
            (spent((10, 20)), unspent((50, 60)), false),
        ] {
            let seen = checked(&[first, last, spent, unspent]);
            assert_eq!(seen.is_ok(), goes, "{seen:?}");
        }
    }
}

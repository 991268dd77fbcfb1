//! Whether there is an order of what was answered, within the times at which
//! it was, that one exact counter for each key and hour explains.
//!
//! What is left after a charge says which charge it was: the first that was
//! admitted leaves the limit less its cost, and so on. So the order of those
//! that were admitted is known, and it stays to be seen whether each of them
//! can have happened between its start and its end, the one after the other;
//! and for each refusal, whether the counter can have stood where it says at
//! some moment between its start and its end. That is linear in the events,
//! but for sorting them.

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
    /// Refused because their hour's place held a later one.
    pub(crate) overtaken: u64,
    /// Places that went from one hour to a later one.
    pub(crate) roll_overs: u64,
}

impl std::ops::AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.admitted += other.admitted;
        self.refused += other.refused;
        self.overtaken += other.overtaken;
        self.roll_overs += other.roll_overs;
    }
}

/// A place of a key's ring: what happens in it happens to one word.
fn place(event: &Event) -> (u64, u64) {
    (event.key, event.hour % 8)
}

/// Checks a history whose rings were empty, or held earlier hours, before it.
/// Each key has one limit throughout.
pub(crate) fn check(limits: &[u64], history: &mut [Event]) -> Result<Seen, Fault> {
    let used = |event: &Event| limits[event.key as usize].saturating_sub(event.left);
    history.sort_unstable_by_key(|event| (place(event), event.hour, used(event), event.start_ns));
    let mut seen = Seen::default();
    for events in history.chunk_by(|a, b| place(a) == place(b)) {
        let limit = limits[events[0].key as usize];
        seen += Word::of(limit, events)?.explains(events)?;
    }
    Ok(seen)
}

/// One word's successive values.
struct Word {
    limit: u64,
    /// In the order in which they were charged, of all hours.
    charges: Vec<Charge>,
    /// For each hour, when it can have taken the word at the earliest; in the
    /// order of hours.
    taken: Vec<(u64, u64)>,
}

/// A charge that was admitted and cost something.
struct Charge {
    hour: u64,
    /// Used after it.
    used: u64,
    /// When it happened, at the earliest and the latest.
    earliest_ns: u64,
    latest_ns: u64,
}

impl Word {
    /// Puts the admitted in order. `events` are sorted by hour and use.
    fn of(limit: u64, events: &[Event]) -> Result<Self, Fault> {
        let mut word = Self {
            limit,
            charges: Vec::new(),
            taken: Vec::new(),
        };
        for hour in events.chunk_by(|a, b| a.hour == b.hour) {
            word.add_hour(hour)?;
        }
        // No charge came later than the one behind it.
        let mut latest_ns = u64::MAX;
        for charge in word.charges.iter_mut().rev() {
            latest_ns = latest_ns.min(charge.latest_ns);
            charge.latest_ns = latest_ns;
        }
        Ok(word)
    }

    fn add_hour(&mut self, events: &[Event]) -> Result<(), Fault> {
        let admitted = || events.iter().filter(|event| event.admitted);
        let sum = admitted().map(|event| event.cost).sum();
        if sum > self.limit {
            let limit = self.limit;
            return Err(Fault::Over { sum, limit });
        }
        let mut used = 0;
        for event in admitted().filter(|event| event.cost > 0) {
            used += event.cost;
            if used != self.limit.saturating_sub(event.left) {
                return Err(Fault::Uncounted(*event));
            }
            // No charge came earlier than the one before it.
            let before = self.charges.last().map_or(0, |before| before.earliest_ns);
            let earliest_ns = before.max(event.start_ns);
            if earliest_ns > event.end_ns {
                return Err(Fault::OutOfOrder(*event));
            }
            self.charges.push(Charge {
                hour: event.hour,
                used,
                earliest_ns,
                latest_ns: event.end_ns,
            });
        }
        // One that is free takes the word for its hour as well.
        let taken = admitted().map(|event| event.start_ns).min();
        self.taken
            .extend(taken.map(|start_ns| (events[0].hour, start_ns)));
        Ok(())
    }

    /// Whether the counter can have stood where each event found it.
    fn explains(&self, events: &[Event]) -> Result<Seen, Fault> {
        let mut seen = Seen {
            roll_overs: self.taken.len().saturating_sub(1) as u64,
            ..Seen::default()
        };
        for event in events {
            if event.admitted {
                seen.admitted += 1;
                if event.cost == 0 && !self.stood(event) {
                    return Err(Fault::OutOfOrder(*event));
                }
                continue;
            }
            seen.refused += 1;
            let used = self.limit.saturating_sub(event.left);
            if used + event.cost > self.limit && self.stood(event) {
                continue;
            }
            if event.left > 0 || !self.overtaken(event) {
                return Err(Fault::RefusedInVain(*event));
            }
            seen.overtaken += 1;
        }
        Ok(seen)
    }

    /// Whether the counter of its hour can have stood where an event found it,
    /// between its start and its end.
    fn stood(&self, event: &Event) -> bool {
        let used = self.limit.saturating_sub(event.left);
        // The first charge after that state; it follows the one that made it.
        let next = self
            .charges
            .partition_point(|charge| (charge.hour, charge.used) <= (event.hour, used));
        let before = next.checked_sub(1).map(|at| &self.charges[at]);
        let made = match before {
            // The hour begins with nothing used, whatever the word held before.
            _ if used == 0 => true,
            Some(before) => (before.hour, before.used) == (event.hour, used),
            None => false,
        };
        let from_ns = before.map_or(0, |before| before.earliest_ns);
        let to_ns = self.charges.get(next).map_or(u64::MAX, |at| at.latest_ns);
        made && event.start_ns <= to_ns && from_ns <= event.end_ns
    }

    /// Whether a later hour can have taken the word before an event ended.
    fn overtaken(&self, event: &Event) -> bool {
        let later = self.taken.iter().filter(|(hour, _)| *hour > event.hour);
        later.into_iter().any(|(_, ns)| *ns <= event.end_ns)
    }
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
        };
        assert_eq!(seen, Ok(expected));
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
}

//! Several things measured side by side, in rounds: what stands in a ratio was
//! so measured within the same moments, whatever else the machine did.

use std::time::Duration;

use crate::figures::Figures;

/// Takes the time of so many decisions.
type Run<'a> = Box<dyn FnMut(u64) -> Duration + 'a>;

/// One of those side by side.
struct Lane<'a> {
    name: &'static str,
    /// What it is made of, where the name does not say.
    what: String,
    run: Run<'a>,
    /// Nanoseconds for each decision, round by round.
    rounds_ns: Vec<f64>,
    /// The last of them, whatever the round.
    last_ns: Option<f64>,
}

/// Untimed decisions before the timed ones: enough to come across most of the
/// keys that fit the caches.
const WARM_DECISIONS: u64 = 30_000;

/// Several side by side; the first is the one that the others stand beside.
#[derive(Default)]
pub struct Contest<'a> {
    lanes: Vec<Lane<'a>>,
    /// Decisions of a round.
    decisions: u64,
    /// Rounds so far.
    rounds: usize,
}

impl<'a> Contest<'a> {
    /// Adds a lane.
    pub fn lane(
        &mut self,
        name: &'static str,
        what: impl Into<String>,
        run: impl FnMut(u64) -> Duration + 'a,
    ) {
        self.lanes.push(Lane {
            name,
            what: what.into(),
            run: Box::new(run),
            rounds_ns: Vec::new(),
            last_ns: None,
        });
    }

    /// One round: every lane once, a slower one with fewer decisions so that
    /// all take about as long, and who follows whom changes. Returns
    /// the time that the first lane took for these decisions.
    ///
    /// Each lane first makes some decisions untimed, so that it finds in the
    /// caches what a lane that runs alone would. Only rounds of the present
    /// length are kept.
    pub fn round(&mut self, decisions: u64) -> Duration {
        if self.decisions != decisions {
            self.decisions = decisions;
            self.lanes
                .iter_mut()
                .for_each(|lane| lane.rounds_ns.clear());
        }
        let first_ns = self.lanes.first().and_then(|lane| lane.last_ns);
        let mut taken = Duration::ZERO;
        for turn in 0..self.lanes.len() {
            // There and back, so that nobody always comes after the same other.
            let turn = if self.rounds.is_multiple_of(2) {
                turn
            } else {
                self.lanes.len() - 1 - turn
            };
            let at = (turn + self.rounds / 2) % self.lanes.len();
            let lane = &mut self.lanes[at];
            let share = first_ns.zip(lane.last_ns).map_or(1.0, |(a, b)| a / b);
            let own = if at == 0 {
                decisions
            } else {
                ((decisions as f64 * share) as u64).max(1)
            };
            (lane.run)(own.min(WARM_DECISIONS).max(own / 8).max(1));
            let time = (lane.run)(own);
            let ns = time.as_nanos() as f64 / own as f64;
            lane.rounds_ns.push(ns);
            lane.last_ns = Some(ns.max(0.1));
            if at == 0 {
                taken = time;
            }
        }
        self.rounds += 1;
        taken
    }

    /// The median time of each lane in nanoseconds.
    pub fn medians(&self) -> impl Iterator<Item = (&str, f64)> {
        self.lanes
            .iter()
            .map(|lane| (lane.what.as_str(), median(&lane.rounds_ns)))
    }

    /// How many times as long the first lane took as another: the median over
    /// the rounds.
    #[must_use]
    pub fn ratio(&self, other: &str) -> Option<f64> {
        let (first, others) = self.lanes.split_first()?;
        let lane = others.iter().find(|lane| lane.name == other)?;
        let pairs = first.rounds_ns.iter().zip(&lane.rounds_ns);
        let ratios: Vec<f64> = pairs.map(|(a, b)| a / b).collect();
        Some(median(&ratios))
    }

    /// Writes `NAME/LANE` in nanoseconds, and for all but the first
    /// `NAME/LANE/ratio`: how many times as long as that lane the first took,
    /// the median over the rounds. Says the same in a line.
    pub fn tell(&self, name: &str, figures: &mut Figures) -> String {
        let mut line = format!("{name}:");
        for lane in &self.lanes {
            let ns = median(&lane.rounds_ns);
            let own = format!("{name}/{}", lane.name);
            figures.add_of(&own, ns, "ns", &lane.what);
            line += &format!(" {} {ns:.1} ns", lane.name);
            if let Some(ratio) = self.ratio(lane.name) {
                figures.add(&format!("{own}/ratio"), ratio, "ratio");
            }
        }
        line
    }
}

/// The median; of an even number the mean of the middle two; NaN of none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = match sorted.len() {
        0 => return f64::NAN,
        count => (sorted[(count - 1) / 2], sorted[count / 2]),
    };
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn lanes_take_turns_and_about_as_long() {
        let calls = RefCell::new(Vec::new());
        let mut contest = Contest::default();
        for (name, ns) in [("fast", 10), ("slow", 100)] {
            let calls = &calls;
            contest.lane(name, name, move |decisions| {
                calls.borrow_mut().push((name, decisions));
                Duration::from_nanos(ns * decisions)
            });
        }
        contest.round(80_000);
        contest.round(800_000);
        assert_eq!(contest.round(800_000), Duration::from_millis(8));
        let seen = calls.borrow();
        // The third round is the first again, begun one further.
        let begun: Vec<_> = seen.iter().map(|call| call.0).step_by(4).collect();
        assert_eq!(begun, ["fast", "slow", "slow"]);
        // Some untimed, then the timed; a tenth for the slow one.
        let slow = [("slow", 30_000), ("slow", 80_000)];
        let fast = [("fast", 100_000), ("fast", 800_000)];
        assert_eq!(seen[4..8], [slow, fast].concat());
        assert!(contest.medians().eq([("fast", 10.0), ("slow", 100.0)]));
        let mut figures = Figures::default();
        let line = contest.tell("row", &mut figures);
        assert_eq!(line, "row: fast 10.0 ns slow 100.0 ns");
        assert_eq!(contest.ratio("slow"), Some(0.1));
        assert_eq!(contest.ratio("fast"), None);
    }
}

//! What is aimed at, and whether what was measured reaches it.

use crate::figures::Figures;

/// A goal: a figure and its bound.
pub(crate) struct Goal {
    /// By which remarks name it.
    pub(crate) id: &'static str,
    /// What is measured.
    pub(crate) what: &'static str,
    measure: Measure,
    bound: Bound,
    unit: &'static str,
}

/// How a goal's number comes from figures.
enum Measure {
    /// It is one.
    Is(&'static str),
    /// How many times faster: one divided by it.
    Inverse(&'static str),
    /// The first divided by the second.
    Quotient(&'static str, &'static str),
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// How a goal stands.
#[derive(Debug, PartialEq)]
pub(crate) enum Standing {
    Met,
    /// By how many per cent it is missed.
    Missed(f64),
    NotMeasured,
}

impl Goal {
    /// The number that counts, as far as it was measured.
    pub(crate) fn value(&self, figures: &Figures) -> Option<f64> {
        let value = match self.measure {
            Measure::Is(name) => figures.value(name)?,
            Measure::Inverse(name) => 1.0 / figures.value(name)?,
            Measure::Quotient(part, whole) => figures.value(part)? / figures.value(whole)?,
        };
        value.is_finite().then_some(value)
    }

    /// Whether it is met.
    pub(crate) fn standing(&self, figures: &Figures) -> Standing {
        let Some(value) = self.value(figures) else {
            return Standing::NotMeasured;
        };
        let over = match self.bound {
            Bound::AtMost(bound) => value / bound - 1.0,
            Bound::AtLeast(bound) => 1.0 - value / bound,
        };
        if over > 0.0 {
            Standing::Missed(over * 100.0)
        } else {
            Standing::Met
        }
    }

    /// The bound in words.
    pub(crate) fn aim(&self) -> String {
        match self.bound {
            Bound::AtMost(bound) => format!("at most {bound}{}", self.unit),
            Bound::AtLeast(bound) => format!("at least {bound}{}", self.unit),
        }
    }

    /// What was measured, in words.
    pub(crate) fn measured(&self, figures: &Figures) -> String {
        let told = |value: f64| format!("{}{}", digits(value), self.unit);
        self.value(figures).map_or_else(|| "-".into(), told)
    }
}

/// A number by three digits that count.
pub(crate) fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The goals of the engine.
pub(crate) const ENGINE: [Goal; 16] = [
    Goal {
        id: "allowed_10k",
        what: "`decide`, allowed, 10,000 keys, uniform",
        measure: Measure::Is("decide/10000/uniform/allowed/hash/ratio"),
        bound: Bound::AtMost(1.35),
        unit: " × the bare hash",
    },
    Goal {
        id: "allowed_1m",
        what: "`decide`, allowed, 1,000,000 keys, uniform",
        measure: Measure::Inverse("decide/1000000/uniform/allowed/peer/ratio"),
        bound: Bound::AtLeast(3.0),
        unit: " × the peer",
    },
    Goal {
        id: "allowed_10m",
        what: "`decide`, allowed, 10,000,000 keys, uniform",
        measure: Measure::Is("decide/10000000/uniform/allowed/million/ratio"),
        bound: Bound::AtMost(1.6),
        unit: " × itself at 1,000,000",
    },
    Goal {
        id: "batch_10k",
        what: "`decide_batch` of 64, 10,000 keys, each",
        measure: Measure::Is("batch/10000/64/hash/ratio"),
        bound: Bound::AtMost(0.4),
        unit: " × the bare hash",
    },
    Goal {
        id: "batch_1m",
        what: "`decide_batch` of 64, 1,000,000 keys",
        measure: Measure::Inverse("batch/1000000/64/peer/ratio"),
        bound: Bound::AtLeast(8.0),
        unit: " × the peer",
    },
    Goal {
        id: "unknown",
        what: "unknown key",
        measure: Measure::Is("decide/10000/uniform/unknown/hash/ratio"),
        bound: Bound::AtMost(1.5),
        unit: " × the bare hash",
    },
    Goal {
        id: "malformed",
        what: "malformed key",
        measure: Measure::Is("decide/10000/uniform/malformed/hash/ratio"),
        bound: Bound::AtMost(0.5),
        unit: " × the bare hash",
    },
    Goal {
        id: "missing",
        what: "missing key",
        measure: Measure::Is("decide/10000/uniform/missing/hash/ratio"),
        bound: Bound::AtMost(0.1),
        unit: " × the bare hash",
    },
    Goal {
        id: "blocked",
        what: "blocked address, 10,000 of them",
        measure: Measure::Is("decide/10000/uniform/blocked/hash/ratio"),
        bound: Bound::AtMost(0.35),
        unit: " × the bare hash",
    },
    Goal {
        id: "threads_own",
        what: "two threads, each its own keys",
        measure: Measure::Is("threads/own/10000/2/scaling"),
        bound: Bound::AtLeast(1.9),
        unit: " × one thread",
    },
    Goal {
        id: "threads_hot",
        what: "two threads on one hot limited key, exact",
        measure: Measure::Inverse("threads/hot/2/peer/ratio"),
        bound: Bound::AtLeast(1.0),
        unit: " × the peer",
    },
    Goal {
        id: "latency",
        what: "p99.9 of `decide` under 1,000 changes a second, 1,000,000 keys",
        measure: Measure::Quotient("latency/changing/p99.9", "latency/quiet/p99.9"),
        bound: Bound::AtMost(2.0),
        unit: " × a quiet run",
    },
    Goal {
        id: "revoke",
        what: "a revocation returns, 10,000,000 keys, p99",
        measure: Measure::Is("scale/revoke/p99"),
        bound: Bound::AtMost(1000.0),
        unit: " µs",
    },
    Goal {
        id: "memory",
        what: "memory for each key, 10,000,000 keys, everything counted",
        measure: Measure::Is("scale/memory"),
        bound: Bound::AtMost(192.0),
        unit: " bytes",
    },
    Goal {
        id: "build",
        what: "building a keyring of 10,000,000 records, one core",
        measure: Measure::Is("scale/build"),
        bound: Bound::AtMost(4.0),
        unit: " s",
    },
    Goal {
        id: "exact",
        what: "units admitted beyond the limit of the hot key",
        measure: Measure::Is("threads/hot/2/over"),
        bound: Bound::AtMost(0.0),
        unit: "",
    },
];

/// The goals of the server, beside what else would do its job.
pub(crate) const END_TO_END: [Goal; 7] = [
    Goal {
        id: "forward_auth",
        what: "forward-auth answer, everything on: CPU time",
        measure: Measure::Is("forward_auth/ratio"),
        bound: Bound::AtMost(0.85),
        unit: " × HAProxy",
    },
    Goal {
        id: "auth_adds",
        what: "what auth adds to our own bare reverse proxy",
        measure: Measure::Is("auth_adds/tokenkit"),
        bound: Bound::AtMost(1.5),
        unit: " µs",
    },
    Goal {
        id: "auth_adds_half",
        what: "the same, beside what it adds to HAProxy",
        measure: Measure::Is("auth_adds/ratio"),
        bound: Bound::AtMost(0.5),
        unit: " × HAProxy",
    },
    Goal {
        id: "reverse_proxy",
        what: "reverse proxy with auth: CPU time",
        measure: Measure::Is("reverse_proxy/ratio"),
        bound: Bound::AtMost(1.2),
        unit: " × HAProxy",
    },
    Goal {
        id: "reverse_proxy_p99",
        what: "reverse proxy with auth: p99",
        measure: Measure::Is("reverse_proxy_p99/ratio"),
        bound: Bound::AtMost(1.0),
        unit: " × HAProxy",
    },
    Goal {
        id: "server_memory",
        what: "resident memory with 1,000,000 keys",
        measure: Measure::Is("memory/ratio"),
        bound: Bound::AtMost(0.75),
        unit: " × HAProxy",
    },
    Goal {
        id: "start",
        what: "start with 1,000,000 keys in the store, until the first answer",
        measure: Measure::Is("start/tokenkit"),
        bound: Bound::AtMost(2.0),
        unit: " s",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(id: &str) -> &'static Goal {
        let all = ENGINE.iter().chain(&END_TO_END);
        all.into_iter().find(|goal| goal.id == id).unwrap()
    }

    fn figures(rows: &[(&str, f64)]) -> Figures {
        let mut figures = Figures::default();
        for (name, value) in rows {
            figures.add(*name, *value, "ratio");
        }
        figures
    }

    #[test]
    fn a_ceiling_is_met_from_below() {
        let name = "decide/10000/uniform/allowed/hash/ratio";
        let goal = goal("allowed_10k");
        assert_eq!(goal.standing(&figures(&[(name, 1.35)])), Standing::Met);
        let missed = figures(&[(name, 2.7)]);
        assert_eq!(goal.standing(&missed), Standing::Missed(100.0));
        assert_eq!(goal.measured(&missed), "2.70 × the bare hash");
        assert_eq!(goal.standing(&figures(&[])), Standing::NotMeasured);
        assert_eq!(goal.measured(&figures(&[])), "-");
    }

    #[test]
    fn a_floor_is_met_from_above() {
        let goal = goal("allowed_1m");
        // Half of the peer's time is twice its speed.
        let twice = figures(&[("decide/1000000/uniform/allowed/peer/ratio", 0.5)]);
        assert_eq!(goal.value(&twice), Some(2.0));
        let Standing::Missed(by) = goal.standing(&twice) else {
            panic!("two is less than three");
        };
        assert!((by - 100.0 / 3.0).abs() < 1e-9, "{by}");
        let four = figures(&[("decide/1000000/uniform/allowed/peer/ratio", 0.25)]);
        assert_eq!(goal.standing(&four), Standing::Met);
    }

    #[test]
    fn quotients_need_both_figures() {
        let goal = goal("latency");
        let both = [
            ("latency/changing/p99.9", 900.0),
            ("latency/quiet/p99.9", 600.0),
        ];
        assert_eq!(goal.value(&figures(&both)), Some(1.5));
        assert_eq!(goal.value(&figures(&both[..1])), None);
    }

    #[test]
    fn ids_differ() {
        let mut ids: Vec<_> = ENGINE
            .iter()
            .chain(&END_TO_END)
            .map(|goal| goal.id)
            .collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn numbers_have_three_digits() {
        let told = [123.4, 12.34, 1.234, 0.012_34, 0.0].map(digits);
        assert_eq!(told, ["123", "12.3", "1.23", "0.012", "0.00"]);
    }
}

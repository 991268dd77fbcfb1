//! What is proved, and how much of it a run does.

use crate::concurrency::{self, Memory};
use crate::fuzz::{self, Until};
use crate::shell::{Failure, Program};
use crate::side_by_side::Steps;

/// How long a run takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// About so many minutes; what is not bounded by time, such as the models,
    /// may add to it.
    Minutes(u64),
    /// As much as was ever asked for: a day or so.
    Full,
}

impl Size {
    /// A share of the time, in seconds; `None` where time is no bound.
    fn seconds(self, percent: u64) -> Option<u64> {
        match self {
            Self::Minutes(minutes) => Some((minutes * 60 * percent / 100).max(1)),
            Self::Full => None,
        }
    }
}

/// One thing that is shown by something that can fail.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// The numbers of the invariants in `ARCHITECTURE.md` that it holds.
    pub(crate) invariants: &'static str,
    /// What it does, and what could fail.
    pub(crate) what: &'static str,
    /// What is to be run.
    pub(crate) steps: fn(Size, u64) -> Result<Steps, Failure>,
    /// The part of the time, in hundredths, for which they are run
    /// again and again; `None` where they bound their time themselves.
    pub(crate) again_percent: Option<u64>,
    /// What they must have done each time: a test that is called otherwise, or
    /// whose module is lost, fails nothing by itself.
    pub(crate) least: Least,
}

/// What the programs of a check must tell of themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Least {
    pub(crate) work: Work,
    /// Whether a line has to say how much was done: `proved: …`.
    pub(crate) is_told: bool,
}

/// What was done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// So many tests passed.
    Tests(u64),
    /// As many tests passed as the engine's sources hold of that name.
    Named(&'static str),
    /// Inputs were run.
    Executions,
}

impl Least {
    const fn of(work: Work) -> Self {
        Self {
            work,
            is_told: false,
        }
    }

    pub(crate) const fn tests(tests: u64) -> Self {
        Self::of(Work::Tests(tests))
    }

    const fn told(self) -> Self {
        Self {
            is_told: true,
            ..self
        }
    }
}

/// When one fuzz target has run enough: all of them take a third of the time.
fn fuzzed(size: Size) -> Result<Until, Failure> {
    let targets = fuzz::targets()?.len() as u64;
    Ok(match size.seconds(35) {
        Some(seconds) => Until::Seconds((seconds / targets).max(5)),
        None => Until::Runs(100_000_000),
    })
}

/// The check that a fuzz target is: whatever it tries, no panic, and no answer
/// that is wrong.
macro_rules! fuzzing {
    ($target:literal, $invariants:literal, $what:literal $(,)?) => {
        Check {
            name: concat!("fuzzing: ", $target),
            invariants: $invariants,
            what: $what,
            steps: |size, seed| fuzz::steps(fuzzed(size)?, seed, $target),
            again_percent: None,
            least: Least::of(Work::Executions),
        }
    };
}

/// A test that runs as long as it is told, by the profile of long runs.
fn long_test(words: &str, count: (&str, u64), percent: u64, size: Size, seed: u64) -> Program {
    let test = Program::cargo("test --profile prove")
        .words(words)
        .words("-- --nocapture")
        .env("TK_TEST_SEED", &seed.to_string())
        .env(count.0, &count.1.to_string());
    match size.seconds(percent) {
        Some(seconds) => test.env("TK_TEST_SECONDS", &seconds.to_string()),
        None => test,
    }
}

/// As many as are asked for where time is the bound.
const BILLION: u64 = 1_000_000_000;
/// What says how many processes a test kills, and how many those are.
const KILLS: (&str, u64) = ("TK_TEST_KILLS", 20_000);

/// All checks, in the order in which they run: what finds most comes first.
pub(crate) const CHECKS: [Check; 32] = [
    Check {
        name: "oracle",
        invariants: "1, 2, 3, 4, 7",
        what: "Random operations on the engine and on its slow twin, in memory and over a ledger's \
               file that engines leave and join: every answer is compared, and what every key has \
               used after each step.",
        steps: |size, seed| {
            let words = "--package tokenkit-tests --test oracle";
            Ok(long_test(words, ("TK_TEST_OPS", BILLION), 20, size, seed).into())
        },
        again_percent: None,
        least: Least::tests(4).told(),
    },
    Check {
        name: "history of threads",
        invariants: "1",
        what: "What four threads were told over roll-overs, with the times at which they asked: some \
               order of one exact counter must explain every admission and every refusal.",
        steps: |size, seed| {
            let words = "--package tokenkit-tests --test history";
            let test = |name: &str| format!("{words} {name}");
            let threads = test("threads_are_told");
            let count = ("TK_TEST_DECISIONS", BILLION);
            Ok(long_test(&threads, count, 10, size, seed).into())
        },
        again_percent: None,
        least: Least::tests(1).told(),
    },
    Check {
        name: "history of processes",
        invariants: "1",
        what: "The same of three processes that count in one ledger's file.",
        steps: |size, seed| {
            // Of what is asked for the processes do a fifth.
            let count = ("TK_TEST_DECISIONS", 5 * BILLION);
            let words = "--package tokenkit-tests --test history processes_are_told";
            Ok(long_test(words, count, 10, size, seed).into())
        },
        again_percent: None,
        least: Least::tests(1).told(),
    },
    Check {
        name: "broken counters",
        invariants: "1",
        what: "The history's check finds out a count that lies apart from its hour, and one that \
               refuses while it is busy; of small histories it says what trying every order says.",
        steps: |_, _| {
            let words = "--package tokenkit-tests --test history -- found_out every_order";
            Ok(Program::cargo("test --profile prove").words(words).into())
        },
        again_percent: Some(1),
        least: Least::tests(4),
    },
    Check {
        name: "clock faults",
        invariants: "1",
        what: "A clock that steps back a second, an hour or a day, leaps ahead, or stands: no budget \
               is filled again, no block forgotten.",
        steps: |_, _| {
            let words = "--package tokenkit-tests --test clock_faults";
            Ok(Program::cargo("test --profile prove").words(words).into())
        },
        again_percent: Some(1),
        least: Least::tests(5),
    },
    Check {
        name: "flood of addresses",
        invariants: "3, 5",
        what: "Guesses from ever new addresses: memory stays what it was, and who was blocked before \
               stays blocked.",
        steps: |size, seed| {
            let words = "--package tokenkit-tests --test flood";
            let count = ("TK_TEST_ADDRESSES", 100_000_000);
            Ok(long_test(words, count, 4, size, seed).into())
        },
        again_percent: None,
        least: Least::tests(1).told(),
    },
    Check {
        name: "kill -9 of who counts",
        invariants: "1",
        what: "Processes that share a ledger are killed while they charge, and while they bring and \
               remove keys: what was charged is there, and the directory is whole.",
        steps: |size, seed| {
            let words = "--package tokenkit-tests --test ledger_processes kill_9";
            Ok(long_test(words, KILLS, 3, size, seed).into())
        },
        again_percent: None,
        least: Least::tests(2).told(),
    },
    Check {
        name: "kill -9 of a server",
        invariants: "1",
        what: "A server is killed under load and between requests: what is recorded to be billed is \
               what was charged, to the unit, and holds all that was answered.",
        steps: |size, seed| {
            let words = "--package tokenkit --test serve_usage killed";
            Ok(long_test(words, KILLS, 3, size, seed).into())
        },
        again_percent: None,
        least: Least::tests(2).told(),
    },
    Check {
        name: "no memory for a change",
        invariants: "4, 7",
        what: "A process whose address space is bounded brings keys until there is no memory for one \
               more, and many at once: the change is refused whole, the keys before it stay in force.",
        steps: |_, _| {
            let words = "--package engine --test memory_pressure";
            Ok(Program::cargo("test --profile prove").words(words).into())
        },
        again_percent: Some(1),
        least: Least::tests(2),
    },
    Check {
        name: "mutants",
        invariants: "1, 2, 3, 7",
        what: "Faults put into the decision core one by one: a test fails of each, but for those that \
               MUTANTS.md shows to be none, at most one in twenty of those that compile.",
        steps: |_, _| Ok(Program::cargo("xtask mutants").into()),
        again_percent: None,
        least: Least::tests(1).told(),
    },
    Check {
        name: "models",
        invariants: "1, 3, 4, 5",
        what: "loom runs the interleavings of the engine's small models, and finds the fault of each \
               broken twin.",
        steps: |size, _| {
            let models = concurrency::models();
            Ok(match size {
                Size::Minutes(_) => models.into(),
                // Hours, where a thread of the failures' table makes room.
                Size::Full => models.env("TK_TEST_PREEMPTIONS", "3").into(),
            })
        },
        again_percent: None,
        least: Least::of(Work::Named("loom")),
    },
    Check {
        name: "schedules",
        invariants: "1, 3, 4",
        what: "shuttle draws schedules of whole structures and of the whole engine, of three to five \
               threads, and finds the fault of each broken twin.",
        steps: |size, seed| {
            // In a second the four tests get through some 5,000 each.
            let schedules = size.seconds(4).map_or(20_000_000, |seconds| seconds * 5000);
            let tests = concurrency::schedules().words("-- --nocapture");
            let seeded = tests.env("TK_TEST_SEED", &seed.to_string());
            let counted = seeded.env("TK_TEST_SCHEDULES", &schedules.to_string());
            Ok(counted.into())
        },
        again_percent: None,
        least: Least::of(Work::Named("shuttle")).told(),
    },
    Check {
        name: "Miri",
        invariants: "4, 7",
        what: "The engine's unsafe code and its concurrent tests under tree borrows, once for each \
               seed of the scheduler.",
        steps: |size, _| {
            let programs = match size {
                Size::Minutes(minutes) => {
                    concurrency::quick_miri_programs(Some((minutes / 10).max(2)))
                }
                Size::Full => concurrency::miri_programs(Some(64), ""),
            };
            programs.map(Steps::from)
        },
        again_percent: None,
        // Of those that CI runs; all are more.
        least: Least::tests(40),
    },
    Check {
        name: "ThreadSanitizer, AddressSanitizer",
        invariants: "4, 7",
        what: "The engine's own tests, those of the ledger's file, and the concurrent ones, built with \
               each; the latter looks for leaks too.",
        steps: |_, _| {
            let memories = [Memory::Races, Memory::Addresses];
            let programs: Result<Vec<_>, _> =
                memories.into_iter().map(concurrency::sanitized).collect();
            programs.map(Steps::from)
        },
        again_percent: None,
        least: Least::tests(300),
    },
    fuzzing!(
        "capi",
        "7",
        "The C interface, called with whatever bytes in whatever order: no call panics, none that failed admits.",
    ),
    fuzzing!(
        "cidr",
        "7",
        "Address blocks, read and shown: they hold the addresses that share their first bits, and no others.",
    ),
    fuzzing!(
        "decide",
        "1, 2, 3",
        "The engine and its slow twin answer every script of requests and changes alike.",
    ),
    fuzzing!(
        "forwarded",
        "7",
        "Whatever a client writes where proxies name their peer, the client is who the trusted proxy names.",
    ),
    fuzzing!(
        "http",
        "6, 7",
        "Whatever bytes are sent to a server behind the gate: nothing passes without the one right key.",
    ),
    fuzzing!(
        "identity",
        "7",
        "Whatever headers a request has, the service behind is told of nobody but its one key's owner.",
    ),
    fuzzing!(
        "import",
        "6",
        "Whatever stands in a file of keys, each row is a key or an error that shows no secret.",
    ),
    fuzzing!(
        "key_form",
        "7",
        "What is read as a key is shown again to the letter, and a right check makes a right body read.",
    ),
    fuzzing!(
        "ledger",
        "1, 7",
        "A ledger's file with any damage is refused or counts wrongly, and without damage no limit is exceeded.",
    ),
    fuzzing!(
        "origin",
        "7",
        "A list of origins, read and shown: a wildcard keeps to whole labels below its name.",
    ),
    fuzzing!(
        "route",
        "7",
        "However a path is spelt, no less is asked for it than for its plain spelling.",
    ),
    fuzzing!(
        "settings",
        "6",
        "Whatever an operator writes, an error of one line without a secret, or settings that read back.",
    ),
    fuzzing!(
        "trace_file",
        "1, 2, 3",
        "Whatever a trace file holds, an error, or steps that the engine and its slow twin answer alike.",
    ),
    fuzzing!(
        "wire",
        "7",
        "Whatever a preflight asks, its answer's headers are whole, and grant nothing to an origin not listed.",
    ),
    Check {
        name: "kill -9 of who writes the store",
        invariants: "4",
        what: "Writers are killed at any moment: what was acknowledged is there, nothing is half \
               there, and who follows comes to know the same.",
        steps: |size, seed| {
            let words = "--package tokenkit-store --test kill";
            Ok(long_test(words, KILLS, 3, size, seed).into())
        },
        again_percent: None,
        least: Least::tests(1).told(),
    },
    Check {
        name: "kill -9 amid changes",
        invariants: "4",
        what: "A server is killed while clients of its admin API make and change keys and sessions: each \
               that was answered is there as it was told, none that was not is there by half, and all is \
               in the audit log.",
        steps: |size, seed| {
            let words = "--package tokenkit --test serve_kill_changes";
            Ok(long_test(words, KILLS, 3, size, seed).into())
        },
        again_percent: None,
        least: Least::tests(1).told(),
    },
    Check {
        name: "damage to the store",
        invariants: "1, 7",
        what: "Its file with every bit of the rows of keys and sessions flipped, every column of every \
               sealed row changed, sectors emptied, pages in each other's place, its end or its log \
               cut: it admits nobody whom it would not have admitted before, and where it refuses somebody \
               it says that it is damaged.",
        steps: |size, seed| {
            let words = "--package tokenkit-store --test damage --test seals";
            let count = ("TK_TEST_DAMAGES", 1_000_000);
            Ok(long_test(words, count, 2, size, seed).into())
        },
        again_percent: None,
        least: Least::tests(5).told(),
    },
    Check {
        name: "what an attack takes",
        invariants: "5",
        what: "Idle connections, floods of HTTP/2 frames and of wrong keys, heads that come slowly or grow \
               large: the 99th percentile of a client that behaves at most doubles, beside that of the \
               calm moments in between. Who is cut off goes on from another address. \
               Wants a machine that does nothing else.",
        steps: |_, _| {
            let words = "--package tokenkit --test serve_attacks_share \
                         -- --ignored --nocapture --test-threads=1";
            Ok(Program::cargo("test --profile prove").words(words).into())
        },
        again_percent: None,
        least: Least::tests(9).told(),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fuzz_target_is_a_check() {
        let checks = CHECKS
            .iter()
            .filter_map(|check| check.name.strip_prefix("fuzzing: "));
        assert_eq!(checks.collect::<Vec<_>>(), fuzz::targets().unwrap());
    }
}

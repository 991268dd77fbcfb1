//! `benches/REPORT.md`: what is aimed at, what was measured, and where it goes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::goals::{self, Goal, Standing, digits};
use super::table::{NOTHING, Table};
use super::{END_TO_END, INSTRUCTIONS, PARTS, charts, origin};
use crate::figures::{Figures, grouped};
use crate::instructions::BEFORE;
use crate::profile::Part;
use crate::shell::{Failure, root};

/// Where the report, its charts and what goes into it lie.
pub(super) const REPORT: &str = "benches/REPORT.md";
const PLOTS: &str = "benches/plots";
const REMARKS: &str = "benches/remarks.toml";

/// What people have to say to the numbers.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remarks {
    /// By a goal's id: what stands in its way, shown while it is missed.
    #[serde(default)]
    goals: BTreeMap<String, String>,
    /// By a part of the profile: what is left of it, and why it cannot go.
    #[serde(default)]
    left: BTreeMap<String, String>,
    /// What was tried and did not help.
    #[serde(default)]
    tried: Vec<String>,
}

/// All that the report is made of.
struct Content {
    figures: Figures,
    end_to_end: Figures,
    origin: Figures,
    before: Figures,
    remarks: Remarks,
}

/// Writes the report and its charts from what was measured last.
pub(crate) fn write() -> Result<(), Failure> {
    let content = Content::read()?;
    let cannot = |error: std::io::Error| Failure::found(format!("cannot write {REPORT}: {error}"));
    let plots = root().join(PLOTS);
    fs::create_dir_all(&plots).map_err(cannot)?;
    for chart in charts::all(&content.figures) {
        if let Some(svg) = chart.plot.svg() {
            fs::write(plots.join(chart.file), svg).map_err(cannot)?;
        }
    }
    fs::write(root().join(REPORT), content.rendered()).map_err(cannot)?;
    let all = goals::ENGINE.iter().chain(&goals::END_TO_END);
    for goal in all {
        let figures = content.of(goal);
        println!(
            "{:<60} {:<28} {:<26} {}",
            goal.what.replace('`', ""),
            goal.aim(),
            goal.measured(figures),
            standing(goal, figures)
        );
    }
    println!("written: {REPORT}");
    Ok(())
}

/// A table of all who were asked the same, by the keys' number and what `second`
/// says.
fn lanes(second: &'static str) -> Table {
    Table::new(&[
        "keys",
        second,
        "`decide`",
        "`decide_at`",
        "bare hash",
        "peer",
        "`Mutex<HashMap>`",
        "governor alone",
        "the peer is",
    ])
}

impl Content {
    fn read() -> Result<Self, Failure> {
        let mut figures = Figures::default();
        for part in PARTS.into_iter().chain([INSTRUCTIONS]) {
            let of_part = Figures::read(part)?;
            let mut notes = std::mem::take(&mut figures.notes);
            notes.extend(of_part.notes.clone());
            figures.merge(of_part);
            figures.notes = notes;
        }
        let remarks = match fs::read_to_string(root().join(REMARKS)) {
            Ok(text) => toml::from_str(&text)
                .map_err(|error| Failure::found(format!("{REMARKS}: {error}")))?,
            Err(_) => Remarks::default(),
        };
        Ok(Self {
            figures,
            end_to_end: Figures::read(END_TO_END)?,
            origin: Figures::read(origin::PART)?,
            before: Figures::read_file(Path::new(&root().join(BEFORE)))?,
            remarks,
        })
    }

    /// The figures that a goal is about.
    fn of(&self, goal: &Goal) -> &Figures {
        let of_engine = goals::ENGINE.iter().any(|other| other.id == goal.id);
        if of_engine {
            &self.figures
        } else {
            &self.end_to_end
        }
    }

    fn rendered(&self) -> String {
        let mut text = String::new();
        let mut section = |title: &str, body: String| {
            // A String takes all that is written to it.
            let _ = write!(text, "## {title}\n\n{}\n\n", body.trim());
        };
        section("Goals", self.goals(&goals::ENGINE));
        section("Goals end to end", self.goals_end_to_end());
        section("Time against table size", self.sizes());
        section("Outcomes", self.outcomes());
        section("Draws", self.draws());
        section("Batches", self.batches());
        section("Threads", self.threads());
        section("Under change", self.changes());
        section("Latency", self.latency());
        section("Ten million keys", self.scale());
        section("Where the instructions go", self.profile());
        section("The peer", self.peers());
        section("Tried without gain", self.tried());
        let origin = list(&self.origin.notes);
        format!("{INTRODUCTION}\n{origin}\n{}\n", text.trim())
    }

    fn goals(&self, goals: &[Goal]) -> String {
        let mut table = Table::new(&["what", "goal", "measured", ""]);
        let mut remarks = String::new();
        for goal in goals {
            let figures = self.of(goal);
            table.row(&[
                goal.what.into(),
                goal.aim(),
                goal.measured(figures),
                standing(goal, figures),
            ]);
            let missed = matches!(goal.standing(figures), Standing::Missed(_));
            if let Some(remark) = self.remarks.goals.get(goal.id).filter(|_| missed) {
                remarks += &format!("- **{}**: {remark}\n", goal.what);
            }
        }
        match remarks.as_str() {
            "" => table.done(),
            remarks => format!("{}\nWhat stands in the way:\n\n{remarks}", table.done()),
        }
    }

    fn goals_end_to_end(&self) -> String {
        let mut text = self.goals(&goals::END_TO_END);
        let mut table = Table::new(&["figure", "measured"]);
        for figure in &self.end_to_end.figures {
            if figure.unit != "ratio" {
                let told = format!("{} {}", digits(figure.value), figure.unit);
                table.row(&[figure.name.replace('/', ", ").replace('_', " "), told]);
            }
        }
        text += "\nHow it is set up: [benches/e2e](e2e/README.md).\n\n";
        text + &table.done() + "\n" + &list(&self.end_to_end.notes)
    }

    /// A figure in nanoseconds, or that there is none.
    fn ns(&self, name: &str) -> String {
        self.figures
            .value(name)
            .map_or_else(|| NOTHING.into(), digits)
    }

    /// A ratio to a lane, as `(0.45)`.
    fn beside(&self, name: &str) -> String {
        let ratio = self.figures.value(&format!("{name}/ratio"));
        match ratio {
            Some(ratio) => format!("{} ({} ×)", self.ns(name), digits(ratio)),
            None => self.ns(name),
        }
    }

    fn what(&self, name: &str) -> String {
        let figure = self.figures.figure(name);
        figure.map_or_else(|| NOTHING.into(), |figure| figure.what.clone())
    }

    fn sizes(&self) -> String {
        "![Time against table size](plots/size.svg)".into()
    }

    fn outcomes(&self) -> String {
        let mut table = lanes("outcome");
        for size in charts::SIZES {
            for row in ROWS {
                self.row(
                    &mut table,
                    &format!("decide/{size}/uniform/{row}"),
                    &grouped(size),
                    row,
                );
            }
        }
        format!("{RATIOS}\n\n{}", table.done())
    }

    /// A row of a table of [`lanes`].
    fn row(&self, table: &mut Table, name: &str, first: &str, second: &str) {
        let lane = |lane: &str| format!("{name}/{lane}");
        if self.figures.value(&lane("engine")).is_none() {
            return;
        }
        table.row(&[
            first.into(),
            second.into(),
            self.ns(&lane("engine")),
            self.ns(&lane("decide_at")),
            self.beside(&lane("hash")),
            self.beside(&lane("peer")),
            self.beside(&lane("mutex")),
            self.beside(&lane("governor")),
            self.what(&lane("peer")),
        ]);
    }

    fn draws(&self) -> String {
        let mut table = lanes("draw");
        for size in charts::SIZES {
            for draw in ["uniform", "zipf", "hot"] {
                self.row(
                    &mut table,
                    &format!("decide/{size}/{draw}/allowed"),
                    &grouped(size),
                    draw,
                );
            }
        }
        format!(
            "Allowed requests whose keys are drawn uniformly, by Zipf's law (the n-th 1/n as often as the first), or are all one.\n\n{}",
            table.done()
        )
    }

    fn batches(&self) -> String {
        let mut table = Table::new(&[
            "keys",
            "batch",
            "`decide_batch`, each",
            "`decide`",
            "bare hash",
            "peer",
        ]);
        for size in charts::SIZES {
            for batch in [8, 16, 64, 256] {
                let lane = |lane: &str| format!("batch/{size}/{batch}/{lane}");
                if self.figures.value(&lane("engine")).is_none() {
                    continue;
                }
                table.row(&[
                    grouped(size),
                    batch.to_string(),
                    self.ns(&lane("engine")),
                    self.beside(&lane("lone")),
                    self.beside(&lane("hash")),
                    self.beside(&lane("peer")),
                ]);
            }
        }
        format!("![Batches](plots/batch.svg)\n\n{}", table.done())
    }

    fn threads(&self) -> String {
        let mut table = Table::new(&[
            "keys",
            "threads",
            "engine, ns each",
            "million a second",
            "× one thread",
            "the bare hash: × one thread",
            "peer",
            "the peer is",
        ]);
        for keys in ["own/10000", "own/1000000", "hot"] {
            for threads in 1..=64_u32 {
                let name = format!("threads/{keys}/{threads}");
                let Some(ns) = self.figures.value(&format!("{name}/engine")) else {
                    continue;
                };
                let times = |what: &str| {
                    let times = self.figures.value(&format!("{name}/{what}"));
                    times.map_or_else(|| NOTHING.into(), digits)
                };
                table.row(&[
                    keys.replace('/', ", ")
                        .replace("hot", "one hot key, its limit reached half-way"),
                    threads.to_string(),
                    digits(ns),
                    digits(f64::from(threads) * 1e3 / ns),
                    times("scaling"),
                    times("hash_scaling"),
                    self.beside(&format!("{name}/peer")),
                    self.what(&format!("{name}/peer")),
                ]);
            }
        }
        format!("![Threads](plots/threads.svg)\n\n{}", table.done())
    }

    fn changes(&self) -> String {
        let mut table = Table::new(&[
            "1,000,000 keys, allowed",
            "quiet",
            "1,000 changes a second",
            "times as long",
        ]);
        for lane in ["engine", "peer"] {
            let name = |kind: &str| format!("changes/{lane}/{kind}");
            table.row(&[
                format!("{lane} {}", self.what(&name("quiet"))),
                self.ns(&name("quiet")),
                self.ns(&name("changing")),
                self.ns(&name("quiet/ratio")),
            ]);
        }
        table.done()
    }

    fn latency(&self) -> String {
        let mut table = Table::new(&[
            "1,000,000 keys, one decision, ns",
            "p50",
            "p99",
            "p99.9",
            "max",
        ]);
        for (name, what) in [
            ("timer", "the timer alone"),
            ("quiet", "`decide`"),
            ("changing", "`decide`, 1,000 changes a second"),
            ("peer_quiet", "peer"),
            ("peer_changing", "peer, 1,000 changes a second"),
        ] {
            let point = |point: &str| self.ns(&format!("latency/{name}/{point}"));
            table.row(&[
                what.into(),
                point("p50"),
                point("p99"),
                point("p99.9"),
                point("max"),
            ]);
        }
        format!(
            "What the timer takes by itself (its median) is taken off. The maximum is the machine's: whatever stopped the thread.\n\n{}",
            table.done()
        )
    }

    fn scale(&self) -> String {
        let mut table = Table::new(&["10,000,000 keys", "measured"]);
        for (name, what, unit) in [
            ("scale/build", "building the keyring, one core", "s"),
            (
                "scale/memory",
                "resident memory for each key, everything counted",
                "bytes",
            ),
            ("scale/revoke/p50", "a revocation returns, p50", "µs"),
            ("scale/revoke/p99", "a revocation returns, p99", "µs"),
            ("scale/revoke/max", "a revocation returns, max", "µs"),
        ] {
            let value = self.figures.value(name);
            let told = value.map_or_else(
                || NOTHING.into(),
                |value| format!("{} {unit}", digits(value)),
            );
            table.row(&[what.into(), told]);
        }
        format!("{}\n{}", table.done(), list(&self.figures.notes))
    }

    fn profile(&self) -> String {
        let rows = [
            "allowed",
            "unknown",
            "malformed",
            "missing",
            "limited",
            "blocked",
            "batch64",
        ];
        let mut columns = vec!["part"];
        columns.extend(rows);
        let mut table = Table::new(&columns);
        let cell = |name: &str| {
            let told = |figures: &Figures| figures.value(name).map(|count| format!("{count:.0}"));
            match (told(&self.before), told(&self.figures)) {
                (None, None) => NOTHING.into(),
                (before, now) => {
                    let or = |told: Option<String>| told.unwrap_or_else(|| "?".into());
                    format!("{} → {}", or(before), or(now))
                }
            }
        };
        for part in Part::ALL {
            let mut cells = vec![part.meaning().to_owned()];
            cells.extend(rows.map(|row| cell(&format!("profile/{row}/{}", part.name()))));
            table.row(&cells);
        }
        let mut cells = vec!["**all**".to_owned()];
        cells.extend(rows.map(|row| cell(&format!("instructions/{row}"))));
        table.row(&cells);
        let hash = cell("instructions/blake3");
        let mut left = String::new();
        for part in Part::ALL {
            if let Some(why) = self.remarks.left.get(part.name()) {
                left += &format!("- **{}**: {why}\n", part.meaning());
            }
        }
        let left = match left.as_str() {
            "" => String::new(),
            left => format!("\nWhat is left, and why it cannot go:\n\n{left}"),
        };
        format!(
            "Instructions for each decision at 10,000 keys, before → now, by `cargo xtask instructions` and \
             `cargo xtask profile`: each is laid to the part whose source it was made from, inlined or not. \
             The clock stands still while they are counted. Valgrind runs no AVX-512: hashes and batches go \
             their AVX2 way. The bare hash takes {hash}.\n\n{}{left}\n{}",
            table.done(),
            list(&self.before.notes)
        )
    }

    fn peers(&self) -> String {
        let mut text = format!("{PEER}\n\n");
        for size in charts::SIZES {
            let mut kinds: BTreeMap<&str, BTreeMap<&str, f64>> = BTreeMap::new();
            for figure in &self.figures.figures {
                let row = figure.name.strip_prefix(&format!("tried/{size}/"));
                if let Some(row) = row {
                    kinds
                        .entry(&figure.what)
                        .or_default()
                        .insert(row, figure.value);
                }
            }
            if kinds.is_empty() {
                continue;
            }
            let mut columns = vec!["keys + failures + limit"];
            columns.extend(ROWS);
            let mut table = Table::new(&columns);
            for (kind, rows) in &kinds {
                let mut cells = vec![(*kind).to_owned()];
                let cell = |row: &&str| {
                    rows.get(*row)
                        .map_or_else(|| NOTHING.into(), |ns| digits(*ns))
                };
                cells.extend(ROWS.iter().map(cell));
                table.row(&cells);
            }
            let _ = write!(
                text,
                "<details><summary>{} keys: every kind, ns</summary>\n\n{}\n</details>\n\n",
                grouped(size),
                table.done()
            );
        }
        text
    }

    fn tried(&self) -> String {
        match list(&self.remarks.tried) {
            tried if tried.is_empty() => "Nothing is noted.".into(),
            tried => tried,
        }
    }
}

/// Outcomes, in the order of the tables.
const ROWS: [&str; 6] = [
    "allowed",
    "limited",
    "unknown",
    "malformed",
    "missing",
    "blocked",
];

const INTRODUCTION: &str = "\
# What a decision costs

Written by `cargo xtask bench`; `cargo xtask bench --report` writes it again from the same figures.

Every key has an hourly limit and an expiry, every address is looked up in a failures table in which a
million others stand, there are as many client addresses as keys, and requests were drawn beforehand and lie
in sequence in memory. Every answer is checked: one that is not the expected one fails the run. What stands
in a ratio is measured side by side in alternating rounds, and a ratio is the median over the rounds; times
are medians too. All run on mimalloc, which may use huge pages. \"Bare hash\" is one `blake3::keyed_hash` of
a key.
";

const RATIOS: &str = "\
Nanoseconds for each decision; in brackets how many times as long `decide` takes. `decide` reads the system's
clock each time, `decide_at` is given the time.";

const PEER: &str = "\
The peer does the same checks in the same order and answers as much. It is put together from well-kept
crates: a concurrent map from digests to records, a second one from addresses to failures, and in each record
an atomic counter of the hour or governor's limiter. All combinations are tried for a short while in each row
and at each size, beside the bare hash; the fastest is measured as the peer. At 10,000,000 keys, which take
long to set up, the fastest for each map of keys at 1,000,000 is tried. Digests are their own hash, addresses
go through ahash, the clock is the coarse one, and whether an address is blocked is read without a lock. One
map behind an `ArcSwap` is not among them: each change would copy all keys.";

/// How a goal stands, in words.
fn standing(goal: &Goal, figures: &Figures) -> String {
    match goal.standing(figures) {
        Standing::Met => "met".into(),
        Standing::Missed(by) if by.is_finite() => format!("**missed by {by:.0} %**"),
        Standing::Missed(_) => "**missed**".into(),
        Standing::NotMeasured => "not measured".into(),
    }
}

fn list(items: &[String]) -> String {
    items.iter().map(|item| format!("- {item}\n")).collect()
}

#[cfg(test)]
mod tests;

//! Instructions per decision, counted by callgrind: the same for one binary
//! whatever else the machine does, so a change of a few per cent is a change
//! of the code.

use std::collections::BTreeMap;
use std::path::Path;

use crate::disk;
use crate::figures::Figures;
use crate::profile;
use crate::shell::{Failure, Program, root, target};

/// The stored counts.
const BASELINE: &str = "benches/instructions.toml";

/// Decisions of the shorter run; the longer makes twice as many.
const DECISIONS: u64 = 100_000;
/// Runs of each length, an odd number.
const RUNS: usize = 5;

/// A row may cost this much more than its baseline, as a fraction.
const TOLERANCE: f64 = 0.03;

/// The functions within which instructions count, by their name: what
/// sets up a run differs by what the system gives, such as random seeds.
pub(crate) const MEASURED: &str = "*measured_leg*";

/// Instructions per decision, by row.
type Counts = BTreeMap<String, f64>;

/// Counts every row and compares it with the baseline, or makes the counts
/// the new baseline.
///
/// # Errors
///
/// Where a row costs over 3 % more than its baseline, is new, or is gone.
pub(crate) fn run(save: bool) -> Result<(), Failure> {
    let counts = counted(&counting_program()?)?;
    let path = root().join(BASELINE);
    if save {
        print_table(&counts, &Counts::new());
        disk::write(&path, &rendered(&counts)?)?;
        println!("saved to {BASELINE}");
        return Ok(());
    }
    let baseline = read(&path)?;
    print_table(&counts, &baseline);
    compare(&counts, &baseline)
}

/// Counts every row, and where its instructions go: figures named
/// `instructions/ROW` and `profile/ROW/PART`.
pub(crate) fn measure() -> Result<Figures, Failure> {
    measure_of(&counting_program()?)
}

fn measure_of(binary: &str) -> Result<Figures, Failure> {
    let mut figures = Figures::default();
    for (row, count) in counted(binary)? {
        // A tenth is the last digit that means anything.
        let rounded = |count: f64| (count * 10.0).round() / 10.0;
        figures.add(
            format!("instructions/{row}"),
            rounded(count),
            "instructions",
        );
        for (part, count) in profile::of_row(binary, &row, DECISIONS)? {
            let name = format!("profile/{row}/{}", part.name());
            figures.add(name, rounded(count), "instructions");
        }
    }
    Ok(figures)
}

/// Where the counts lie that the report shows as those of before.
pub(crate) const BEFORE: &str = "benches/before.json";

/// Counts a program that was built with the engine of an earlier commit.
pub(crate) fn keep_before(binary: &str, commit: &str) -> Result<(), Failure> {
    let mut figures = measure_of(binary)?;
    figures.note(format!(
        "Before: `cargo xtask profile --before`, the same counting program built with the engine of commit {commit}."
    ));
    figures.write_file(&root().join(BEFORE))
}

/// The instructions of every row.
fn counted(binary: &str) -> Result<Counts, Failure> {
    let mut counts = Counts::new();
    for row in Program::new(binary).output()?.lines() {
        counts.insert(row.to_owned(), per_decision(binary, row)?);
    }
    Ok(counts)
}

/// Builds the program whose instructions are counted; where it lies.
pub(crate) fn counting_program() -> Result<String, Failure> {
    if !Program::new("valgrind").arg("--version").succeeds() {
        return Err(Failure::missing("valgrind", "apt-get install valgrind"));
    }
    Program::cargo("build --release --package tokenkit-benches --bin instructions").run()?;
    Ok(target().join("release/instructions").display().to_string())
}

/// The instructions of one decision: a run of twice the decisions costs as
/// much more, and what only the first decisions cost cancels out.
fn per_decision(binary: &str, row: &str) -> Result<f64, Failure> {
    let once = median(binary, row, DECISIONS)?;
    let twice = median(binary, row, 2 * DECISIONS)?;
    Ok((twice as f64 - once as f64) / DECISIONS as f64)
}

/// The median of several runs, for each draws the places of keys and addresses
/// in the tables anew.
fn median(binary: &str, row: &str, decisions: u64) -> Result<u64, Failure> {
    let mut counts = [0; RUNS];
    for count in &mut counts {
        *count = collected(binary, row, decisions)?;
    }
    counts.sort_unstable();
    Ok(counts[RUNS / 2])
}

/// The instructions of all decisions of a run.
fn collected(binary: &str, row: &str, decisions: u64) -> Result<u64, Failure> {
    let text = Program::new("valgrind")
        .words("--tool=callgrind --callgrind-out-file=/dev/null")
        .arg(format!("--toggle-collect={MEASURED}"))
        .arg(binary)
        .arg(row)
        .arg(decisions.to_string())
        .output()?;
    text.lines()
        .find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
        .filter(|count| *count > decisions)
        .ok_or_else(|| Failure::found(format!("callgrind counted too little:\n{text}")))
}

/// Fails naming every row that is out of its bounds.
fn compare(counts: &Counts, baseline: &Counts) -> Result<(), Failure> {
    if baseline.is_empty() {
        println!("no baseline is stored: cargo xtask instructions --save");
        return Ok(());
    }
    let mut wrong = Vec::new();
    for (row, &now) in counts {
        match baseline.get(row) {
            None => wrong.push(format!("{row} has no baseline")),
            Some(&before) if now > before * (1.0 + TOLERANCE) => wrong.push(format!(
                "{row} takes {now:.0} instructions, {:+.1} % on {before:.0}",
                change(now, before)
            )),
            Some(_) => {}
        }
    }
    wrong.extend(
        baseline
            .keys()
            .filter(|row| !counts.contains_key(*row))
            .map(|row| format!("{row} has a baseline but is not measured")),
    );
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::found(format!(
        "{}\nif that is meant (or the compiler is new): cargo xtask instructions --save",
        wrong.join("\n")
    )))
}

/// The change in per cent.
fn change(now: f64, before: f64) -> f64 {
    (now / before - 1.0) * 100.0
}

fn print_table(counts: &Counts, baseline: &Counts) {
    println!(
        "{:<12}{:>14}{:>10}{:>10}",
        "row", "instructions", "baseline", "change"
    );
    for (row, &now) in counts {
        match baseline.get(row) {
            Some(&before) => println!(
                "{row:<12}{now:>14.1}{before:>10.1}{:>8.1} %",
                change(now, before)
            ),
            None => println!("{row:<12}{now:>14.1}{:>10}{:>10}", "-", "-"),
        }
    }
}

/// Reads a baseline; an absent file is an empty one.
fn read(path: &Path) -> Result<Counts, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Failure::found(format!("cannot read {BASELINE}: {error}"))),
    };
    let file: BTreeMap<String, Counts> =
        toml::from_str(&text).map_err(|error| Failure::found(format!("{BASELINE}: {error}")))?;
    Ok(file.into_values().flatten().collect())
}

/// A baseline as a file, with the compiler that it holds for.
fn rendered(counts: &Counts) -> Result<String, Failure> {
    let compiler = Program::new("rustc").arg("--version").output()?;
    let mut text = format!(
        "# Instructions per decision at 10,000 keys, by `cargo xtask instructions --save`\n\
         # with {} and one thread.\n\n[instructions]\n",
        compiler.trim()
    );
    for (row, count) in counts {
        text += &format!("{row} = {count:.1}\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(rows: &[(&str, f64)]) -> Counts {
        rows.iter()
            .map(|&(row, count)| (row.to_owned(), count))
            .collect()
    }

    #[test]
    fn a_row_may_grow_by_three_per_cent() {
        let before = counts(&[("allowed", 1000.0), ("missing", 10.0)]);
        assert!(compare(&counts(&[("allowed", 1029.0), ("missing", 5.0)]), &before).is_ok());
        let slow = counts(&[("allowed", 1031.0), ("missing", 10.0)]);
        let told = compare(&slow, &before).unwrap_err().to_string();
        assert!(
            told.contains("allowed takes 1031") && !told.contains("missing"),
            "{told}"
        );
    }

    #[test]
    fn rows_that_come_or_go_are_named() {
        let told = compare(&counts(&[("new", 1.0)]), &counts(&[("old", 1.0)]))
            .unwrap_err()
            .to_string();
        assert!(told.contains("new has no baseline"), "{told}");
        assert!(told.contains("old has a baseline"), "{told}");
    }

    #[test]
    fn a_baseline_reads_back() {
        let path = std::env::temp_dir().join(format!("xtask-instructions-{}", std::process::id()));
        assert_eq!(read(&path).unwrap(), Counts::new());
        let saved = counts(&[("allowed", 512.5), ("blake3", 100.0)]);
        std::fs::write(&path, rendered(&saved).unwrap()).unwrap();
        let read_back = read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read_back, saved);
    }
}

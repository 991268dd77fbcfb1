//! The benchmarks, and what they say about the engine beside its peer.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::shell::{Failure, Program, target};

/// Where criterion leaves its estimates, in the target folder:
/// `GROUP/SUBJECT/ROW/new/estimates.json`.
const RESULTS: &str = "criterion";

/// Runs the benchmarks (those whose names hold the filter), then prints for
/// each workload the time of a decision of the engine and of the peer, and
/// their ratio. Both stand in one run on one machine; a ratio is no verdict.
pub(crate) fn run(filter: Vec<String>) -> Result<(), Failure> {
    let results = target().join(RESULTS);
    let since = mark(&results)?;
    let bench = Program::cargo("bench --package tokenkit-benches --bench decide --");
    filter.into_iter().fold(bench, Program::arg).run()?;
    print!("\n{}\n{}", origin(), table(&results, since)?);
    Ok(())
}

/// The time at which a run begins, by the clock that stamps its results.
fn mark(results: &Path) -> Result<SystemTime, Failure> {
    let file = results.join("started");
    std::fs::create_dir_all(results)
        .and_then(|()| std::fs::write(&file, ""))
        .and_then(|()| std::fs::metadata(&file)?.modified())
        .map_err(|error| told(&file, &error))
}

/// What the numbers hold for: machine, compiler and commit.
fn origin() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu
        .lines()
        .find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim()))
        .unwrap_or(std::env::consts::ARCH);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let first_line = |program: Program| {
        let text = program.output().unwrap_or_default();
        text.lines().next().unwrap_or("unknown").to_owned()
    };
    let compiler = first_line(Program::new("rustc").arg("--version"));
    let commit = first_line(Program::new("git").words("describe --always --dirty --abbrev=12"));
    format!("{cpu}, {cores} cores, one thread; {compiler}; commit {commit}")
}

/// One table over what was measured since then.
fn table(results: &Path, since: SystemTime) -> Result<String, Failure> {
    let mut text = format!(
        "{:<10}{:<12}{:>10}{:>10}{:>8}\n",
        "keys", "row", "engine ns", "peer ns", "ratio"
    );
    let number = |ns: Option<f64>| ns.map_or_else(|| "-".into(), |ns| format!("{ns:.1}"));
    let mut line = |keys: &str, row: &str, engine: Option<f64>, peer: Option<f64>| {
        let ratio = engine.zip(peer).map(|(engine, peer)| engine / peer);
        let ratio = ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}"));
        // A String takes all that is written to it.
        let _ = writeln!(
            text,
            "{keys:<10}{row:<12}{:>10}{:>10}{ratio:>8}",
            number(engine),
            number(peer)
        );
    };
    for group in folders(results).filter(|name| name.starts_with("decide")) {
        let folder = results.join(&group);
        for row in folders(&folder.join("engine")) {
            let engine = median_ns(folder.join("engine").join(&row), since)?;
            let peer = median_ns(folder.join("peer").join(&row), since)?;
            if engine.is_some() || peer.is_some() {
                line(group.trim_start_matches("decide_"), &row, engine, peer);
            }
        }
    }
    let hash = median_ns(results.join("hash/blake3/key"), since)?;
    if hash.is_some() {
        line("-", "blake3", hash, None);
    }
    Ok(text)
}

/// The folders in a folder, sorted by name; criterion's own `report` is none.
fn folders(folder: &Path) -> impl Iterator<Item = String> + use<> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name != "report" && folder.join(name).is_dir())
        .collect();
    names.sort();
    names.into_iter()
}

/// The median of a benchmark in nanoseconds; `None` where it was not measured
/// since then, but was left out by a filter.
fn median_ns(folder: PathBuf, since: SystemTime) -> Result<Option<f64>, Failure> {
    let file = folder.join("new/estimates.json");
    let measured = std::fs::metadata(&file).and_then(|data| data.modified());
    if !measured.is_ok_and(|at| at >= since) {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&file).map_err(|error| told(&file, &error))?;
    let estimates: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| told(&file, &error))?;
    let median = estimates["median"]["point_estimate"].as_f64();
    median
        .map(Some)
        .ok_or_else(|| told(&file, &"holds no median"))
}

fn told(file: &Path, what: &dyn std::fmt::Display) -> Failure {
    Failure::found(format!("{}: {what}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(results: &Path, name: &str, text: &str) {
        let folder = results.join(name).join("new");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("estimates.json"), text).unwrap();
    }

    fn median(ns: f64) -> String {
        format!(r#"{{"median": {{"point_estimate": {ns}}}}}"#)
    }

    #[test]
    fn the_table_sets_engine_beside_peer() {
        let results = std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&results);
        let since = mark(&results).unwrap();
        estimate(&results, "decide_10000/engine/allowed", &median(120.0));
        estimate(&results, "decide_10000/peer/allowed", &median(240.0));
        estimate(&results, "decide_10000/engine/missing", &median(5.0));
        estimate(&results, "hash/blake3/key", &median(76.04));
        let text = table(&results, since).unwrap();
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(rows[1], ["10000", "allowed", "120.0", "240.0", "0.50"]);
        assert_eq!(rows[2], ["10000", "missing", "5.0", "-", "-"]);
        assert_eq!(rows[3], ["-", "blake3", "76.0", "-", "-"]);

        // What an earlier run left is no result of this one.
        let later = since + std::time::Duration::from_secs(3600);
        assert_eq!(table(&results, later).unwrap().lines().count(), 1);
        estimate(&results, "hash/blake3/key", "{}");
        let told = table(&results, since).unwrap_err().to_string();
        assert!(told.contains("no median"), "{told}");
        std::fs::remove_dir_all(&results).unwrap();
    }

    #[test]
    fn the_origin_of_numbers_is_named() {
        let text = origin();
        assert!(
            text.contains("rustc ") && text.contains("; commit "),
            "{text}"
        );
    }
}

//! The benchmarks, and what they say about the engine beside its peer.

use std::fmt::Write as _;
use std::path::Path;

use crate::shell::{Failure, Program, root};

/// Where criterion leaves its estimates: `GROUP/SUBJECT/ROW/new/estimates.json`.
const RESULTS: &str = "target/criterion";

/// Runs the benchmarks (those whose names hold the filter), then prints for
/// each workload the time of a decision of the engine and of the peer, and
/// their ratio. Both stand in one run on one machine; a ratio is no verdict.
pub(crate) fn run(filter: Vec<String>) -> Result<(), Failure> {
    let bench = Program::cargo("bench --package tokenkit-benches --bench decide --");
    filter.into_iter().fold(bench, Program::arg).run()?;
    print!("{}", table(&root().join(RESULTS))?);
    Ok(())
}

/// One table over all groups whose name starts with `decide`.
fn table(results: &Path) -> Result<String, Failure> {
    let mut text = format!(
        "\n{:<16}{:<12}{:>10}{:>10}{:>10}\n",
        "keys", "row", "engine ns", "peer ns", "ratio"
    );
    for group in folders(results).filter(|name| name.starts_with("decide")) {
        let folder = results.join(&group);
        for row in folders(&folder.join("engine")) {
            let engine = median_ns(&folder.join("engine").join(&row))?;
            let peer = median_ns(&folder.join("peer").join(&row))?;
            let keys = group.trim_start_matches("decide_");
            // A String takes all that is written to it.
            let _ = writeln!(
                text,
                "{keys:<16}{row:<12}{engine:>10.1}{peer:>10.1}{:>10.2}",
                engine / peer
            );
        }
    }
    let hash = median_ns(&results.join("hash/blake3/key"))?;
    let _ = writeln!(text, "{:<16}{:<12}{hash:>10.1}", "-", "blake3");
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

/// The median of a benchmark in nanoseconds.
fn median_ns(folder: &Path) -> Result<f64, Failure> {
    let file = folder.join("new/estimates.json");
    let told = |what: &dyn std::fmt::Display| Failure::found(format!("{}: {what}", file.display()));
    let text = std::fs::read_to_string(&file).map_err(|error| {
        told(&format!(
            "{error}; a run without a filter measures every row"
        ))
    })?;
    let estimates: serde_json::Value = serde_json::from_str(&text).map_err(|error| told(&error))?;
    estimates["median"]["point_estimate"]
        .as_f64()
        .ok_or_else(|| told(&"holds no median"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(results: &Path, name: &str, median: f64) {
        let folder = results.join(name).join("new");
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!(r#"{{"median": {{"point_estimate": {median}}}}}"#);
        std::fs::write(folder.join("estimates.json"), text).unwrap();
    }

    #[test]
    fn the_table_sets_engine_beside_peer() {
        let results = std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
        estimate(&results, "decide_10000/engine/allowed", 120.0);
        assert!(table(&results).unwrap_err().to_string().contains("peer"));
        estimate(&results, "decide_10000/peer/allowed", 240.0);
        estimate(&results, "hash/blake3/key", 76.04);
        let text = table(&results).unwrap();
        std::fs::remove_dir_all(&results).unwrap();
        let row = text.lines().find(|line| line.contains("allowed")).unwrap();
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words, ["10000", "allowed", "120.0", "240.0", "0.50"]);
        assert!(text.contains("76.0"));
    }
}

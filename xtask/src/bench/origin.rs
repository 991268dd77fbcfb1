//! What numbers hold for: machine, compiler, commit and command.

use super::report::REPORT;
use crate::figures::Figures;
use crate::prove::PROOF;
use crate::shell::{Failure, Program, processors};

/// The part that holds it.
pub(crate) const PART: &str = "origin";

/// That of numbers of which all, or some, were just measured: the latter stand
/// among those of before.
pub(crate) fn told(filter: Option<&str>) -> Result<Figures, Failure> {
    let Some(filter) = filter else {
        return Ok(of_now());
    };
    let mut origin = Figures::read(PART)?;
    if origin.notes.is_empty() {
        origin = of_now();
    }
    origin.note(format!(
        "Measured again at commit {}: `cargo xtask bench {filter}`.",
        commit()
    ));
    Ok(origin)
}

fn of_now() -> Figures {
    let mut origin = Figures::default();
    origin.note(format!("Machine: {}.", machine()));
    origin.note(format!(
        "System: {}.",
        first_line(Program::new("uname").words("-sr"))
    ));
    let compiler = first_line(Program::new("rustc").arg("--version"));
    origin.note(format!(
        "Compiler: {compiler}, profile `bench` (fat LTO, one codegen unit)."
    ));
    origin.note(format!("Commit: {}.", commit()));
    origin.note("Command: `cargo xtask bench`.");
    origin
}

/// Today in UTC, as year, month and day.
pub(crate) fn day() -> Result<String, Failure> {
    let day = Program::new("date").words("-u +%F").output()?;
    Ok(day.trim().to_owned())
}

/// The commit of what is checked out, and whether it was changed since: the pages
/// that runs write down apart.
pub(crate) fn commit() -> String {
    let commit = first_line(Program::new("git").words("describe --always --abbrev=12"));
    let changes = [PROOF, REPORT].iter().fold(
        Program::new("git").words("diff --quiet HEAD -- ."),
        |diff, page| diff.arg(format!(":!{page}")),
    );
    if changes.succeeds() {
        commit
    } else {
        commit + "-dirty"
    }
}

/// Processor, cores, caches and memory.
pub(crate) fn machine() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let cpu = field(&cpu, "model name").unwrap_or(std::env::consts::ARCH);
    let mut text = format!("{cpu}, {} processors", processors());
    let siblings = read("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list");
    if siblings.trim().contains([',', '-']) {
        text += ", two and two sharing a core";
    } else if !siblings.trim().is_empty() {
        text += ", each a core of its own";
    }
    for index in 0..4 {
        let cache = |what: &str| {
            let file = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{what}");
            read(&file).trim().to_owned()
        };
        if !cache("size").is_empty() && cache("type") != "Instruction" {
            text += &format!(", L{} {}", cache("level"), cache("size"));
        }
    }
    let memory = read("/proc/meminfo");
    let kib = field(&memory, "MemTotal").and_then(|text| text.split(' ').next()?.parse().ok());
    if let Some(kib) = kib {
        let kib: f64 = kib;
        text += &format!(", {:.0} GiB", kib / f64::from(1 << 20));
    }
    text
}

/// The value of a line `name : value`.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

fn first_line(program: Program) -> String {
    let text = program.output().unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_numbers_is_named() {
        let notes = of_now().notes.join("\n");
        for expected in [
            "Machine: ",
            "Compiler: rustc ",
            "Commit: ",
            "`cargo xtask bench`",
        ] {
            assert!(notes.contains(expected), "{notes}");
        }
    }

    #[test]
    fn fields_are_found() {
        let text = "vendor: x\nmodel name\t: Quick 3000\nother: y\n";
        assert_eq!(field(text, "model name"), Some("Quick 3000"));
        assert_eq!(field(text, "MemTotal"), None);
    }
}

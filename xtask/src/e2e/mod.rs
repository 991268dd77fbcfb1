//! tokenkit beside what else would do its job: HAProxy, and nginx with its Lua
//! module. `benches/e2e/README.md` says how it is set up.

mod keys;
mod large;
mod probe;
mod process;
mod subjects;
mod tools;
mod wrk;

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::args::Args;
use crate::figures::Figures;
use crate::shell::{Failure, Program, target};

use keys::Keys;
use subjects::{Job, LOAD, Stage, Subject};
use tools::Tools;

/// Keys that the load draws from.
const KEYS: usize = 10_000;
/// Rounds, and the seconds of each, where nothing else is said.
const ROUNDS: u64 = 7;
const SECONDS: u64 = 3;
/// Seconds of the round that is not counted.
const WARM_UP_S: u64 = 1;

/// Compares, prints a table, and keeps the figures.
pub(crate) fn run(mut args: Args) -> Result<(), Failure> {
    let quick = args.flag("--quick");
    let rounds = args.number("--rounds")?;
    let seconds = args.number("--seconds")?;
    let only = args.next_word();
    args.none()?;
    let (rounds, seconds) = match quick {
        true => (rounds.unwrap_or(1), seconds.unwrap_or(1)),
        false => (rounds.unwrap_or(ROUNDS), seconds.unwrap_or(SECONDS)),
    };
    let folder = target().join("bench/e2e");
    fs::create_dir_all(&folder)
        .map_err(|error| Failure::found(format!("cannot make {}: {error}", folder.display())))?;
    let tools = Tools::find(&folder)?;
    let mut figures = Figures::default();
    figures.note(format!(
        "{rounds} rounds of {seconds} s, interleaved; {} connections, {KEYS} keys; medians of the rounds. {}.",
        wrk::CONNECTIONS,
        tools.versions
    ));
    let of_all = only.is_none();
    load(
        &tools,
        &folder,
        rounds,
        seconds,
        only.as_deref(),
        &mut figures,
    )?;
    if of_all {
        large::measure(&tools, &folder, if quick { 1 } else { 5 }, &mut figures)?;
    }
    ratios(&mut figures);
    if of_all {
        figures.write("e2e")?;
    }
    for figure in &figures.figures {
        println!("{:<44}{:>16.2} {}", figure.name, figure.value, figure.unit);
    }
    for note in &figures.notes {
        println!("{note}");
    }
    Ok(())
}

/// Drives every subject in turn, or those whose names hold a text, in rounds.
fn load(
    tools: &Tools,
    folder: &Path,
    rounds: u64,
    seconds: u64,
    only: Option<&str>,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let folder = folder.join("small");
    let keys = Keys::draw(&folder, KEYS, Job::ALL.len())?;
    let store = import(tools, &folder, &keys)?;
    let mut stage = Stage::start(tools, &folder, &keys, &store)?;
    let wanted = |subject: &Subject| only.is_none_or(|only| subject.name.contains(only));
    stage.subjects.retain(wanted);
    for subject in &stage.subjects {
        let process = &mut stage.processes[subject.processes[0]];
        probe::first(
            process,
            subject.port,
            subject.path,
            subject.job.asks(),
            &keys.good,
        )?;
        examine(subject, &keys)?;
    }
    let script = subjects::configurations().join("load.lua");
    let drive = |subject: &Subject, seconds| -> Result<Round, Failure> {
        let cpu_time = || -> Result<Duration, Failure> {
            let of = |process: &usize| stage.processes[*process].cpu_time();
            subject.processes.iter().map(of).sum()
        };
        let url = format!("http://127.0.0.1:{}{}", subject.port, subject.path);
        let before = cpu_time()?;
        let asks = subject.job.asks();
        let load = wrk::drive(LOAD, &script, &url, &keys.plain, asks, seconds)?;
        let used = cpu_time()?.saturating_sub(before);
        Ok(Round {
            cpu_us: used.as_secs_f64() * 1e6 / load.requests as f64,
            p99_us: load.p99_us,
        })
    };
    let mut measured: Vec<Vec<Round>> = stage.subjects.iter().map(|_| Vec::new()).collect();
    for subject in &stage.subjects {
        drive(subject, WARM_UP_S)?;
    }
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        // There and back, so that nobody is always after the same other.
        let mut order: Vec<usize> = (0..stage.subjects.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            measured[at].push(drive(&stage.subjects[at], seconds)?);
        }
    }
    for (subject, rounds) in stage.subjects.iter().zip(&measured) {
        let of = |part: fn(&Round) -> f64| median(rounds.iter().map(part).collect());
        let (job, program) = subject.name.split_once('/').unwrap_or_default();
        figures.add(&subject.name, of(|round| round.cpu_us), "us");
        figures.add(
            format!("{job}_p99/{program}"),
            of(|round| round.p99_us),
            "us",
        );
    }
    Ok(())
}

/// What one subject used in one round.
struct Round {
    /// User and system time of the subject for each request.
    cpu_us: f64,
    p99_us: f64,
}

/// Fails unless a subject does the whole of its job: a fast wrong one is none.
fn examine(subject: &Subject, keys: &Keys) -> Result<(), Failure> {
    let asks = subject.job.asks();
    let ask = |key: Option<&str>| {
        probe::ask(subject.port, subject.path, asks, key)
            .map_err(|error| Failure::found(format!("{}: {error}", subject.name)))
    };
    let expect = |what: &str, key: Option<&str>, status: u16| {
        let found = ask(key)?.status;
        if found == status {
            return Ok(());
        }
        Err(Failure::found(format!(
            "{} answers {what} by {found} in place of {status}",
            subject.name
        )))
    };
    expect("a good key", Some(&keys.good), 200)?;
    if !subject.checks {
        return expect("no key", None, 200);
    }
    // The service behind says which key it was told of; an answer bears it.
    let told = ask(Some(&keys.good))?.text;
    let id = &keys.good[8..18];
    if !told.contains(id) {
        return Err(Failure::found(format!(
            "{} tells nobody which key it was: {told:?}",
            subject.name
        )));
    }
    expect("no key", None, 401)?;
    expect("an unknown key", Some(&keys.unknown), 401)?;
    expect("an expired key", Some(&keys.expired), 401)?;
    let single = &keys.single[usize::from(asks)];
    expect("the one unit of a key", Some(single), 200)?;
    expect("a unit too many", Some(single), 429)
}

/// Makes a store of the keys in place of an earlier one.
fn import(tools: &Tools, folder: &Path, keys: &Keys) -> Result<std::path::PathBuf, Failure> {
    let store = folder.join("store");
    let _ = fs::remove_dir_all(&store);
    Program::new(&tools.tokenkit.display().to_string())
        .words("--data-dir")
        .arg(store.display().to_string())
        .words("key import")
        .arg(keys.csv.display().to_string())
        .output()?;
    Ok(store)
}

/// What the goals are about.
fn ratios(figures: &mut Figures) {
    let of = |name: &str| figures.value(name).unwrap_or(f64::NAN);
    let added = |program: &str| {
        of(&format!("reverse_proxy/{program}")) - of(&format!("reverse_proxy/{program}_bare"))
    };
    let ratio = |row: &str| of(&format!("{row}/tokenkit")) / of(&format!("{row}/haproxy"));
    let (ours, theirs) = (added("tokenkit"), added("haproxy"));
    let plain = of("reverse_proxy/nginx_plain_bare");
    let by_module = of("reverse_proxy/nginx_module") - plain;
    let by_asking = of("reverse_proxy/nginx_auth_request") - plain;
    let found = [
        ("forward_auth/ratio", ratio("forward_auth"), "ratio"),
        ("reverse_proxy/ratio", ratio("reverse_proxy"), "ratio"),
        (
            "reverse_proxy_p99/ratio",
            ratio("reverse_proxy_p99"),
            "ratio",
        ),
        ("auth_adds/tokenkit", ours, "us"),
        ("auth_adds/haproxy", theirs, "us"),
        ("auth_adds/ratio", ours / theirs, "ratio"),
        ("memory/ratio", ratio("memory"), "ratio"),
        ("nginx_adds/module", by_module, "us"),
        ("nginx_adds/auth_request", by_asking, "us"),
        ("nginx_adds/ratio", by_module / by_asking, "ratio"),
    ];
    // What was not measured, as in a run of some subjects, is left out.
    for (name, value, unit) in found.into_iter().filter(|(_, value, _)| !value.is_nan()) {
        figures.add(name, value, unit);
    }
}

/// The middle of some numbers; not a number where there are none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.get(middle) {
        None => f64::NAN,
        Some(upper) if values.len() % 2 == 1 => *upper,
        Some(upper) => (values[middle - 1] + upper) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn goals_are_ratios_of_one_run() {
        let mut figures = Figures::default();
        for (name, value) in [
            ("forward_auth/tokenkit", 8.0),
            ("forward_auth/haproxy", 10.0),
            ("reverse_proxy/tokenkit", 18.0),
            ("reverse_proxy/tokenkit_bare", 17.0),
            ("reverse_proxy/haproxy", 20.0),
            ("reverse_proxy/haproxy_bare", 16.0),
        ] {
            figures.add(name, value, "us");
        }
        ratios(&mut figures);
        assert_eq!(figures.value("forward_auth/ratio"), Some(0.8));
        assert_eq!(figures.value("auth_adds/ratio"), Some(0.25));
    }
}

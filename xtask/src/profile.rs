//! Where the instructions of a decision go: each is laid to the part of the
//! engine whose source it was made from, inlined or not.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::callgrind::{self, Spot};
use crate::instructions::{MEASURED, counting_program};
use crate::shell::{Failure, Program, target};

/// A part of the way of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Hash,
    Form,
    Keyring,
    Hours,
    Failures,
    Clock,
    Rest,
    Loop,
}

impl Part {
    /// All of them, in the order of the report.
    pub(crate) const ALL: [Self; 8] = [
        Self::Hash,
        Self::Form,
        Self::Keyring,
        Self::Hours,
        Self::Failures,
        Self::Clock,
        Self::Rest,
        Self::Loop,
    ];

    /// Its name in figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Form => "form",
            Self::Keyring => "keyring",
            Self::Hours => "hours",
            Self::Failures => "failures",
            Self::Clock => "clock",
            Self::Rest => "rest",
            Self::Loop => "loop",
        }
    }

    /// What a reader should take it for.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Hash => "BLAKE3 of the key",
            Self::Form => "the key's form: prefix, id, CRC-32 in base62",
            Self::Keyring => "finding the record, and comparing digests",
            Self::Hours => "charging the hour",
            Self::Failures => "looking up, or counting, the address",
            Self::Clock => "reading the time, and dividing it into hours",
            Self::Rest => "the order of the checks, and writing the answer",
            Self::Loop => "the loop that asks and checks each answer",
        }
    }

    /// The part that a piece of source is of, from the file it was written in
    /// to the function that it became a part of: the first that is of a part.
    fn of<'s>(sources: impl IntoIterator<Item = &'s str>) -> Self {
        sources
            .into_iter()
            .find_map(|source| {
                let place = PLACES.iter().find(|(place, _)| source.contains(place));
                place.and_then(|(_, part)| *part)
            })
            .unwrap_or(Self::Rest)
    }
}

/// The parts of source files and functions, the first that fits; `None` for
/// what serves several, where whoever it was inlined into decides.
const PLACES: [(&str, Option<Part>); 18] = [
    ("blake3", Some(Part::Hash)),
    ("engine/src/key/digest", Some(Part::Hash)),
    ("engine/src/key/wide", Some(Part::Hash)),
    ("engine/src/key/block", Some(Part::Hash)),
    ("engine/src/key/", Some(Part::Form)),
    ("crc32fast", Some(Part::Form)),
    ("engine/src/keyring/", Some(Part::Keyring)),
    ("arc-swap", Some(Part::Keyring)),
    ("arc_swap", Some(Part::Keyring)),
    ("engine/src/hours", Some(Part::Hours)),
    ("engine/src/failures/", Some(Part::Failures)),
    ("engine/src/time.rs", Some(Part::Clock)),
    ("rustix", Some(Part::Clock)),
    ("clock_gettime", Some(Part::Clock)),
    ("engine/src/sync", None),
    ("engine/src/prefetch", None),
    ("engine/src/", Some(Part::Rest)),
    ("benches/src/", Some(Part::Loop)),
];

/// Decisions of a counted run.
const DECISIONS: u64 = 100_000;

/// Counts and prints the profiles of the rows whose names hold the filter.
pub(crate) fn run(filter: Option<&str>) -> Result<(), Failure> {
    let binary = counting_program()?;
    let rows = Program::new(&binary).output()?;
    let filter = filter.unwrap_or_default();
    let mut profiles = Vec::new();
    for row in rows.lines().filter(|row| row.contains(filter)) {
        profiles.push((row, of_row(&binary, row, DECISIONS)?));
    }
    if profiles.is_empty() {
        return Err(Failure::usage(format!("no row is named so: {filter:?}")));
    }
    print!("{}", table(&profiles));
    Ok(())
}

/// A column for each row, a line for each part.
fn table(profiles: &[(&str, Profile)]) -> String {
    let mut text = format!("{:<10}", "");
    let cell = |text: &mut String, number: f64| *text += &format!("{number:>11.1}");
    for (row, _) in profiles {
        text += &format!("{row:>11}");
    }
    for part in Part::ALL {
        text += &format!("\n{:<10}", part.name());
        for (_, profile) in profiles {
            cell(&mut text, profile.get(&part).copied().unwrap_or(0.0));
        }
        text += &format!("   {}", part.meaning());
    }
    text += &format!("\n{:<10}", "all");
    for (_, profile) in profiles {
        cell(&mut text, profile.values().sum());
    }
    text + "\n"
}

/// Instructions for each decision, by part.
pub(crate) type Profile = BTreeMap<Part, f64>;

/// The profile of one row of a counting program.
pub(crate) fn of_row(binary: &str, row: &str, decisions: u64) -> Result<Profile, Failure> {
    let folder = target().join("bench");
    let file = folder.join(format!("callgrind-{row}.out"));
    let file_text = file.display().to_string();
    let cannot = |error: std::io::Error| Failure::found(format!("{file_text}: {error}"));
    std::fs::create_dir_all(&folder).map_err(cannot)?;
    Program::new("valgrind")
        .words("--tool=callgrind --dump-instr=yes")
        .arg(format!("--callgrind-out-file={file_text}"))
        .arg(format!("--toggle-collect={MEASURED}"))
        .arg(binary)
        .arg(row)
        .arg(decisions.to_string())
        .output()?;
    let text = std::fs::read_to_string(&file).map_err(cannot)?;
    let spots = callgrind::spots(&text)
        .ok_or_else(|| Failure::found(format!("{file_text} is not as callgrind writes it")))?;
    let addresses: Vec<u64> = of_program(&spots, binary)
        .map(|spot| spot.address)
        .collect();
    let inlined = inlined(binary, &addresses)?;
    Ok(summed(&spots, &inlined, decisions))
}

/// What ran of the program itself, not of libraries.
fn of_program<'s>(spots: &'s [Spot], binary: &str) -> impl Iterator<Item = &'s Spot> {
    spots.iter().filter(move |spot| spot.object == binary)
}

/// Adds up the spots by their parts.
fn summed(spots: &[Spot], inlined: &HashMap<u64, Vec<String>>, decisions: u64) -> Profile {
    let mut profile: Profile = Part::ALL.into_iter().map(|part| (part, 0.0)).collect();
    for spot in spots {
        let files = inlined.get(&spot.address).into_iter().flatten();
        let part = Part::of(files.map(String::as_str).chain([spot.function.as_str()]));
        *profile.entry(part).or_default() += spot.count as f64 / decisions as f64;
    }
    profile
}

/// For each address the files of the functions inlined there, the innermost
/// first, by addr2line.
fn inlined(binary: &str, addresses: &[u64]) -> Result<HashMap<u64, Vec<String>>, Failure> {
    let line = format!("addr2line --addresses --inlines --exe={binary}");
    let cannot = |cause| Failure::NotStarted {
        line: line.clone(),
        cause,
    };
    let mut child = Command::new("addr2line")
        .args(line.split_ascii_whitespace().skip(1))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|_| Failure::missing("addr2line", "apt-get install binutils"))?;
    let asked: String = addresses.iter().map(|at| format!("{at:#x}\n")).collect();
    let mut stdin = child.stdin.take();
    let asking = std::thread::spawn(move || match &mut stdin {
        // Dropped at the end, so that the program ends too.
        Some(stdin) => stdin.write_all(asked.as_bytes()),
        None => Ok(()),
    });
    let output = child.wait_with_output().map_err(cannot)?;
    // Where asking failed, answers are missing: the function decides then.
    let _ = asking.join();
    Ok(frames(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads what addr2line told: an address, then its frames.
fn frames(text: &str) -> HashMap<u64, Vec<String>> {
    let mut frames = HashMap::new();
    let mut address = 0;
    for line in text.lines() {
        match line.strip_prefix("0x") {
            Some(digits) => address = u64::from_str_radix(digits, 16).unwrap_or(0),
            None => frames
                .entry(address)
                .or_insert_with(Vec::new)
                .push(line.to_owned()),
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATOMIC: &str = "/rustc/5980/library/core/src/sync/atomic.rs:3904";

    #[test]
    fn what_is_inlined_belongs_to_whoever_wanted_it() {
        let hours = [
            ATOMIC,
            "/p/crates/engine/src/hours.rs:90",
            "/p/benches/src/runner.rs:3",
        ];
        assert_eq!(Part::of(hours), Part::Hours);
        let shared = [
            ATOMIC,
            "/p/crates/engine/src/prefetch.rs:9",
            "/p/crates/engine/src/keyring/shard.rs:3",
        ];
        assert_eq!(Part::of(shared), Part::Keyring);
        let digest = ["/p/crates/engine/src/key/digest.rs:1"];
        assert_eq!(Part::of(digest), Part::Hash);
        assert_eq!(
            Part::of(["/p/crates/engine/src/key/base62.rs:1"]),
            Part::Form
        );
        assert_eq!(Part::of(["??:0", "clock_gettime@@GLIBC_2.17"]), Part::Clock);
        assert_eq!(
            Part::of(["??:0", "__memcpy_avx_unaligned_erms"]),
            Part::Rest
        );
    }

    #[test]
    fn the_table_has_a_column_for_each_row() {
        let profile = |hash| Profile::from([(Part::Hash, hash), (Part::Rest, 1.5)]);
        let text = table(&[("allowed", profile(600.0)), ("missing", profile(0.0))]);
        let words = |line: usize| -> Vec<&str> {
            text.lines().nth(line).unwrap().split_whitespace().collect()
        };
        assert_eq!(words(0), ["allowed", "missing"]);
        assert_eq!(words(1)[..3], ["hash", "600.0", "0.0"]);
        assert_eq!(words(1 + Part::ALL.len()), ["all", "601.5", "1.5"]);
    }

    #[test]
    fn spots_add_up_by_part() {
        let told =
            format!("0x0000000000000010\n{ATOMIC}\n/p/crates/engine/src/hours.rs:9\n0x20\n??:0\n");
        let spot = |address, count| Spot {
            object: "program".into(),
            function: "blake3::compress".into(),
            address,
            count,
        };
        let profile = summed(
            &[spot(0x10, 30), spot(0x20, 50), spot(0x10, 10)],
            &frames(&told),
            10,
        );
        assert_eq!(profile[&Part::Hours], 4.0);
        assert_eq!(profile[&Part::Hash], 5.0);
        assert_eq!(profile.values().sum::<f64>(), 9.0);
        assert_eq!(profile.len(), Part::ALL.len());
    }
}

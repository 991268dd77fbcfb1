//! Runs one row of the engine a given number of times, for a tool that counts
//! instructions: `cargo xtask instructions`.
//!
//! Without arguments, lists the rows.

#![forbid(unsafe_code)]

use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;

use engine::Clock;
use tokenkit_benches::abi::abi;
use tokenkit_benches::form::Key;
use tokenkit_benches::keys::Keys;
use tokenkit_benches::row::{Draw, Row, State};
use tokenkit_benches::runner::{Runner, Stage};
use tokenkit_benches::subject::{self, SECRET, Scene, Way};

/// The row that is only a key's hash: below it no decision can go.
const HASH: &str = "blake3";
/// The row of allowed requests, asked about 64 at once.
const BATCH: (&str, usize) = ("batch64", 64);

/// The row of allowed requests, through the C interface, and that of those
/// without a key.
const ABI: [(&str, Row); 2] = [("abi", Row::Allowed), ("abi_missing", Row::Missing)];

/// As many keys as the smallest size of the benchmarks.
const KEYS: usize = 10_000;

/// The time at which all is decided, for what is counted must not depend on
/// the time of day.
const NOW: u64 = 1_790_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [] => {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{HASH}\n{}", BATCH.0)?;
            for (name, _) in ABI {
                writeln!(out, "{name}")?;
            }
            for row in Row::ALL {
                writeln!(out, "{row}")?;
            }
            Ok(())
        }
        [row, decisions] => run(row, decisions.parse()?),
        _ => Err("two arguments are wanted: a row and a number of decisions".into()),
    }
}

fn run(name: &str, decisions: u64) -> Result<(), Box<dyn Error>> {
    let keys = Keys::draw(KEYS);
    if name == HASH {
        measured_leg(keys.all(), usize::try_from(decisions)?);
        return Ok(());
    }
    let through_c = ABI.into_iter().find(|(of, _)| *of == name);
    let (row, way) = match through_c.map(|(_, row)| row).or(Row::of(name)) {
        Some(row) => (row, Way::Lone),
        None if name == BATCH.0 => (Row::Allowed, Way::Batch(BATCH.1)),
        None => return Err(format!("there is no row {name:?}").into()),
    };
    let scene = Scene {
        // They cost time while it is set up, and change no count.
        others: 0,
        clock: Clock::manual(NOW),
        ..Scene::new(&keys, State::Open)
    };
    let requests = keys.requests(row, Draw::Uniform);
    let mut runner = Runner::new(row, way, &requests);
    if through_c.is_some() {
        runner.run(&mut Stage::new(scene, abi), decisions);
    } else {
        runner.run(&mut Stage::new(scene, subject::engine), decisions);
    }
    Ok(())
}

/// Hashes keys, as the runner decides: in a function whose instructions are
/// counted.
#[inline(never)]
fn measured_leg(keys: &[Key], count: usize) {
    for key in keys.iter().cycle().take(count) {
        black_box(blake3::keyed_hash(&SECRET, key));
    }
}

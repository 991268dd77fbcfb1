//! Runs one row of the engine a given number of times, for a tool that counts
//! instructions: `cargo xtask instructions`.
//!
//! Without arguments, lists the rows.

#![forbid(unsafe_code)]

use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;

use engine::Engine;
use tokenkit_benches::form::Key;
use tokenkit_benches::keys::{Keys, Row};
use tokenkit_benches::runner::{Runner, Stage};
use tokenkit_benches::subject::SECRET;

/// The row that is only a key's hash: below it no decision can go.
const HASH: &str = "blake3";

/// As many keys as the smaller size of the benchmarks.
const KEYS: usize = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [] => {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{HASH}")?;
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
    let row = Row::of(name).ok_or_else(|| format!("there is no row {name:?}"))?;
    Runner::new(&keys, row).run(&mut Stage::<Engine>::new(&keys), decisions);
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

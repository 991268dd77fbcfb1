//! All that takes time, as one program: it is built once. `BENCH_PART` names
//! the part that is wanted; a filter may stand as an argument, as criterion
//! takes it.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "what was measured is shown")]

mod abi;
mod decide;
mod latency;
mod scale;
mod threads;

use std::error::Error;

use tokenkit_benches::figures::Figures;

/// A part: its name, and what measures it.
type Part = (&'static str, fn(&mut Figures) -> Result<(), Box<dyn Error>>);

/// The resident memory first, while nothing was freed that the allocator
/// would keep.
const PARTS: [Part; 5] = [
    ("scale", scale::run),
    ("decide", decide::run),
    ("abi", abi::run),
    ("threads", threads::run),
    ("latency", latency::run),
];

fn main() -> Result<(), Box<dyn Error>> {
    let wanted = std::env::var("BENCH_PART").ok();
    for (name, run) in PARTS {
        if wanted.as_deref().is_none_or(|wanted| wanted == name) {
            let mut figures = Figures::default();
            run(&mut figures)?;
            figures.write(name)?;
        }
    }
    Ok(())
}

/// Shows what a contest told.
fn show(told: Option<String>) {
    if let Some(line) = told {
        println!("{line}");
    }
}

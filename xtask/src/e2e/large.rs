//! A million keys: the memory that they take, and the time to the first answer.

use std::path::Path;
use std::time::{Duration, Instant};

use super::keys::Keys;
use super::subjects::{self, AUTHORIZE, free_ports};
use super::tools::Tools;
use super::{import, median, probe};
use crate::figures::Figures;
use crate::shell::Failure;

const KEYS: usize = 1_000_000;
/// After the first answer, until memory is looked at.
const REST: Duration = Duration::from_secs(2);

/// Starts tokenkit and HAProxy in turn, `starts` times each.
pub(super) fn measure(
    tools: &Tools,
    folder: &Path,
    starts: usize,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let folder = folder.join("large");
    eprintln!("a store of {KEYS} keys");
    let keys = Keys::draw(&folder, KEYS, 0)?;
    let store = import(tools, &folder, &keys)?;
    let [behind, ports @ ..] = free_ports::<5>()?;
    let mut found: [Vec<(f64, f64)>; 2] = Default::default();
    for start in 0..starts {
        eprintln!("start {} of {starts}", start + 1);
        for (ours, found) in [true, false].into_iter().zip(&mut found) {
            let begun = Instant::now();
            let (mut process, path) = if ours {
                let process =
                    subjects::tokenkit(&tools.tokenkit, &folder, "tokenkit", &store, &ports, None);
                (process?, AUTHORIZE)
            } else {
                let process = subjects::haproxy(&folder, "haproxy", &keys.map, &ports, behind);
                (process?, "/")
            };
            let answer = probe::first(&mut process, ports[0], path, true, &keys.good)?;
            let took = begun.elapsed();
            if answer.status != 200 {
                let told = format!("a good key among {KEYS} is answered {}", answer.status);
                return Err(Failure::found(told));
            }
            rest();
            found.push((took.as_secs_f64(), process.resident()? as f64));
        }
    }
    for (program, found) in ["tokenkit", "haproxy"].into_iter().zip(&found) {
        let (took, resident): (Vec<f64>, Vec<f64>) = found.iter().copied().unzip();
        figures.add(format!("start/{program}"), median(took), "s");
        figures.add(format!("memory/{program}"), median(resident), "bytes");
    }
    Ok(())
}

/// Lets what a start leaves behind be tidied up.
#[expect(
    clippy::disallowed_methods,
    reason = "another program says nothing of it"
)]
fn rest() {
    std::thread::sleep(REST);
}

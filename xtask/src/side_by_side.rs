//! Programs that need one processor each, as many at once as there are.

use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::shell::{Failure, Program, processors};

/// Programs by steps: one step after the other, those of a step at once.
pub(crate) struct Steps(pub(crate) Vec<Vec<Program>>);

impl From<Program> for Steps {
    fn from(program: Program) -> Self {
        vec![program].into()
    }
}

/// One after the other.
impl From<Vec<Program>> for Steps {
    fn from(programs: Vec<Program>) -> Self {
        Self(programs.into_iter().map(|program| vec![program]).collect())
    }
}

/// Runs programs in their order, by `work`, and begins no further one once one
/// has failed.
pub(crate) fn run(
    programs: Vec<Program>,
    work: impl Fn(Program) -> Result<(), Failure> + Sync,
) -> Result<(), Failure> {
    let waiting = Mutex::new(programs.into_iter());
    let waiting = || waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let next = || waiting().next();
    let works = || {
        std::iter::from_fn(next)
            .try_for_each(&work)
            .inspect_err(|_| waiting().by_ref().for_each(drop))
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..processors()).map(|_| scope.spawn(works)).collect();
        threads.into_iter().try_for_each(|thread| {
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err(Failure::found("who waits for programs panicked")))
        })
    })
}

/// Runs a program, and shows when it has ended its command line and those lines
/// of what it printed that are `worth` it; returns them.
pub(crate) fn show(program: Program, worth: fn(&str) -> bool) -> Result<Vec<String>, Failure> {
    let command = program.line().to_owned();
    let mut said = Vec::new();
    program.each_line(&mut |line| {
        if worth(line) {
            said.push(line.to_owned());
        }
    })?;
    println!("{command}\n{}", said.join("\n"));
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_begins_after_one_has_failed() {
        let folder = std::env::temp_dir().join(format!("side-by-side-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let shell = |script: String| Program::new("sh").arg("-c").arg(script);
        let touch = |number| shell(format!("touch {}/{number}", folder.display()));
        let all = || (0..40).map(touch);
        run(all().collect(), Program::run).unwrap();
        let count = || std::fs::read_dir(&folder).unwrap().count();
        assert_eq!(count(), 40, "each is run");

        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::create_dir(&folder).unwrap();
        // As many as there are threads, so that each fails its first.
        let failing = (0..processors()).map(|_| shell("exit 3".into()));
        let failed = run(failing.chain(all()).collect(), Program::run);
        let was_3 = matches!(failed, Err(Failure::Program { code: Some(3), .. }));
        assert!(was_3, "{failed:?}");
        assert_eq!(count(), 0, "those behind them were left out");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

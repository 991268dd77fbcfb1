//! Programs that run beside the measuring, and what the system says they used.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::disk;
use crate::shell::Failure;

/// Ticks of a second in `/proc/PID/stat`, which Linux fixes for all programs.
const TICKS: u32 = 100;

/// A program under way, which ends with this.
pub(super) struct Process {
    child: Child,
    /// What it wrote, told where it fails.
    log: PathBuf,
}

impl Process {
    /// Starts a program on one processor. What it writes goes to `log`.
    pub(super) fn start(
        processor: usize,
        program: &Path,
        words: &[String],
        log: &Path,
    ) -> Result<Self, Failure> {
        let start = || {
            let out = File::create(log)?;
            pinned(processor, program)
                .args(words)
                .stdin(Stdio::null())
                .stdout(out.try_clone()?)
                .stderr(out)
                .spawn()
        };
        let child = start().map_err(|cause| Failure::NotStarted {
            line: format!("{} {}", program.display(), words.join(" ")),
            cause,
        })?;
        Ok(Self {
            child,
            log: log.to_path_buf(),
        })
    }

    /// Fails where the program has ended, with what it wrote.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            _ => Err(Failure::found(format!(
                "a program ended early; it wrote in {}:\n{}",
                self.log.display(),
                std::fs::read_to_string(&self.log).unwrap_or_default()
            ))),
        }
    }

    /// User and system time so far. Each subject is one process: none of them
    /// is set up to have more.
    pub(super) fn cpu_time(&self) -> Result<Duration, Failure> {
        let stat = self.told("stat")?;
        ticks(&stat)
            .map(|ticks| Duration::from_secs(ticks) / TICKS)
            .ok_or_else(|| Failure::found(format!("no times in {stat:?}")))
    }

    /// Memory that is resident now, in bytes.
    pub(super) fn resident(&self) -> Result<u64, Failure> {
        let status = self.told("status")?;
        resident_kib(&status)
            .map(|kib| kib * 1024)
            .ok_or_else(|| Failure::found("no VmRSS in /proc"))
    }

    fn told(&self, name: &str) -> Result<String, Failure> {
        disk::read(Path::new(&format!("/proc/{}/{name}", self.child.id())))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already or not, nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that runs on one processor alone. `taskset` becomes the program,
/// so that its id is the program's.
pub(super) fn pinned(processor: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &processor.to_string()]).arg(program);
    command
}

/// The sum of user and system time in `/proc/PID/stat`, whose second field is
/// a name that may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

fn resident_kib(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 31 11 5 5 20 0 4 0 99 1 2 3";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (a) S 1"), None);
    }

    #[test]
    fn resident_memory_is_read() {
        let status = "VmHWM:\t  900 kB\nVmRSS:\t  812 kB\nRssAnon:\t 1 kB\n";
        assert_eq!(resident_kib(status), Some(812));
        assert_eq!(resident_kib("VmHWM: 1 kB"), None);
    }

    #[test]
    fn a_program_that_ends_is_noticed_with_its_words() {
        let log = std::env::temp_dir().join(format!("xtask-e2e-{}", std::process::id()));
        let words = ["-c".into(), "echo why; exit 3".into()];
        let mut process = Process::start(0, Path::new("sh"), &words, &log).unwrap();
        process.child.wait().unwrap();
        let told = process.check().unwrap_err().to_string();
        assert!(told.contains("why"), "{told}");
        std::fs::remove_file(log).unwrap();
    }
}

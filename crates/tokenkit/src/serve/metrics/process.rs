//! What the system tells about this process, under the names that Prometheus'
//! own clients give it. Where the system does not tell, they are left out.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::page::Page;

/// Writes what is known.
pub(super) fn tell(page: &mut Page, started_s: u64) {
    page.single(
        "process_start_time_seconds",
        "gauge",
        "When the process began, in unix seconds.",
        started_s,
    );
    if let Some(stat) = Stat::read() {
        page.single(
            "process_cpu_seconds_total",
            "counter",
            "Processor time used, in seconds.",
            format_args!("{:.2}", stat.cpu_s),
        );
        page.single(
            "process_resident_memory_bytes",
            "gauge",
            "Memory held, in bytes.",
            stat.resident,
        );
        page.single(
            "process_virtual_memory_bytes",
            "gauge",
            "Address space set aside, in bytes.",
            stat.address_space,
        );
    }
    if let Some(open) = open_files() {
        page.single("process_open_fds", "gauge", "Files open.", open);
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        page.single(
            "process_max_fds",
            "gauge",
            "Files that may be open at a time.",
            most,
        );
    }
}

/// What `/proc/self/stat` says (proc_pid_stat(5)).
struct Stat {
    cpu_s: f64,
    address_space: u64,
    resident: u64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// The fields behind the name, which may hold anything, start with the third.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        // A processor works for longer than 2^53 ticks in no life.
        let ticks = (field(14)? + field(15)?) as f64;
        Some(Self {
            cpu_s: ticks / clock_ticks_per_second() as f64,
            address_space: field(23)?,
            resident: field(24)? * page_size() as u64,
        })
    }
}

fn open_files() -> Option<usize> {
    // Less the folder itself, which is open while it is counted.
    Some(
        fs::read_dir("/proc/self/fd")
            .ok()?
            .count()
            .saturating_sub(1),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_may_hold_anything() {
        let line =
            "7 (a) 1 (b) R 1 7 7 0 -1 4194304 102 0 0 0 150 50 0 0 20 0 1 0 124849 3133440 407 1 2";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(stat.cpu_s, 200.0 / clock_ticks_per_second() as f64);
        assert_eq!(stat.address_space, 3_133_440);
        assert_eq!(stat.resident, 407 * page_size() as u64);
        assert!(Stat::parse("7 (a) R 1").is_none());
    }
}

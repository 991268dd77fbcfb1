//! The load: `wrk` on a processor of its own, and what it says afterwards.

use std::path::Path;

use super::process::pinned;
use crate::shell::Failure;

/// Connections, each with one request under way.
pub(super) const CONNECTIONS: u32 = 64;

/// What one run came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    pub(super) requests: u64,
    pub(super) p99_us: f64,
}

/// Drives a subject for some seconds. Fails where any answer was other than a
/// success, or a connection broke.
pub(super) fn drive(
    processor: usize,
    script: &Path,
    url: &str,
    keys: &Path,
    asks: bool,
    seconds: u64,
) -> Result<Load, Failure> {
    let output = pinned(processor, Path::new("wrk"))
        .args(["--threads", "1", "--latency"])
        .args(["--connections", &CONNECTIONS.to_string()])
        .args(["--duration", &format!("{seconds}s")])
        .arg("--script")
        .arg(script)
        .args([url, "--"])
        .arg(keys)
        .arg(if asks { "ask" } else { "go" })
        .output()
        .map_err(|cause| Failure::NotStarted {
            line: format!("wrk {url}"),
            cause,
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    read(&text).ok_or_else(|| {
        let told = String::from_utf8_lossy(&output.stderr);
        Failure::found(format!("wrk {url} met with errors:\n{text}{told}"))
    })
}

/// Reads a report; `None` where it tells of errors.
fn read(report: &str) -> Option<Load> {
    if report.contains("Non-2xx or 3xx responses") || report.contains("Socket errors") {
        return None;
    }
    let mut lines = report.lines().map(str::trim_start);
    let p99 = lines.find_map(|line| line.strip_prefix("99%"))?;
    let requests = lines.find_map(|line| line.split_once(" requests in "))?.0;
    Some(Load {
        requests: requests.parse().ok()?,
        p99_us: micros(p99.trim())?,
    })
}

/// A time as wrk writes it, such as `1.42ms`.
fn micros(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => return None,
    };
    Some(digits.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
Running 2s test @ http://127.0.0.1:21001/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   629.51us  227.36us   7.52ms   97.99%
    Req/Sec   102.13k     3.70k  107.78k    85.00%
  Latency Distribution
     50%  597.00us
     75%  657.00us
     90%  799.00us
     99%    1.42ms
  202902 requests in 2.00s, 27.09MB read
Requests/sec: 101402.01
Transfer/sec:     13.54MB
";

    #[test]
    fn a_report_is_read() {
        let load = Load {
            requests: 202_902,
            p99_us: 1420.0,
        };
        assert_eq!(read(REPORT), Some(load));
        assert_eq!(micros("2.00s"), Some(2e6));
        assert_eq!(micros("597.00us"), Some(597.0));
        assert_eq!(micros("1.0m"), None);
    }

    #[test]
    fn a_report_of_errors_is_none() {
        let refused = REPORT.to_owned() + "  Non-2xx or 3xx responses: 3\n";
        assert_eq!(read(&refused), None);
        let broken = REPORT.to_owned() + "  Socket errors: connect 0, read 1, write 0, timeout 0\n";
        assert_eq!(read(&broken), None);
        assert_eq!(read(""), None);
    }
}

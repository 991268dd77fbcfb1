//! What is counted, and how it is told to Prometheus.
//!
//! Every thread counts on cache lines of its own; whoever scrapes adds them up.
//! No label is made of what a client sends, and none names a key.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::{EngineStats, Reason};

/// The counters of one thread. Only that thread writes, so that Relaxed loses
/// nothing throughout; a scrape sees each number at some moment of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Counters {
    /// By the number of the reason.
    decisions: [AtomicU64; Reason::ALL.len() + 1],
    preflights: AtomicU64,
    accepted: AtomicU64,
    closed: AtomicU64,
    upstream: [AtomicU64; UpstreamError::ALL.len()],
}

/// How an upstream can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UpstreamError {
    /// No connection was made.
    Connect,
    /// No answer came in time.
    Timeout,
    /// It broke off, or spoke no HTTP.
    Broken,
}

impl UpstreamError {
    const ALL: [Self; 3] = [Self::Connect, Self::Timeout, Self::Broken];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
        }
    }
}

impl Counters {
    pub(super) fn decided(&self, reason: Reason) {
        count(&self.decisions[reason as usize]);
    }

    pub(super) fn preflight(&self) {
        count(&self.preflights);
    }

    pub(super) fn accepted(&self) {
        count(&self.accepted);
    }

    pub(super) fn closed(&self) {
        count(&self.closed);
    }

    pub(super) fn upstream_failed(&self, how: UpstreamError) {
        count(&self.upstream[how as usize]);
    }
}

/// Adds one to a counter that only this thread writes.
fn count(counter: &AtomicU64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

/// What is told beside the counters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gauges {
    /// What the engine holds; nothing before it is there.
    pub(super) engine: Option<EngineStats>,
    /// Seconds since the store was last seen whole.
    pub(super) store_lag_s: Option<f64>,
    /// Reads of the store that failed.
    pub(super) store_errors: u64,
    /// Whether the ledger's file is no longer what it was.
    pub(super) ledger_fault: bool,
}

/// Writes everything in Prometheus' text format 0.0.4.
pub(super) fn exposition(threads: &[Arc<Counters>], gauges: Gauges) -> String {
    let sum = |counter: &dyn Fn(&Counters) -> &AtomicU64| -> u64 {
        threads
            .iter()
            .map(|thread| counter(thread).load(Ordering::Relaxed))
            .sum()
    };
    let mut page = Page(String::with_capacity(4096));
    page.family("tokenkit_build_info", "gauge", "The version that runs.");
    page.sample(
        "tokenkit_build_info",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1,
    );

    page.family(
        "tokenkit_decisions_total",
        "counter",
        "Decisions, by their reason.",
    );
    for reason in Reason::ALL {
        let outcome = if reason == Reason::Allowed {
            "allowed"
        } else {
            "refused"
        };
        let labels = [("outcome", outcome), ("reason", reason.as_str())];
        let decided = sum(&|thread| &thread.decisions[reason as usize]);
        page.sample("tokenkit_decisions_total", &labels, decided);
    }
    page.family(
        "tokenkit_preflights_total",
        "counter",
        "CORS preflights answered.",
    );
    page.sample(
        "tokenkit_preflights_total",
        &[],
        sum(&|thread| &thread.preflights),
    );

    // `closed` first: read in the other order a connection that came and went
    // in between would count as minus one.
    let closed = sum(&|thread| &thread.closed);
    let accepted = sum(&|thread| &thread.accepted);
    page.family(
        "tokenkit_http_connections_total",
        "counter",
        "Client connections accepted.",
    );
    page.sample("tokenkit_http_connections_total", &[], accepted);
    page.family(
        "tokenkit_http_connections",
        "gauge",
        "Client connections open.",
    );
    page.sample(
        "tokenkit_http_connections",
        &[],
        accepted.saturating_sub(closed),
    );

    page.family(
        "tokenkit_upstream_errors_total",
        "counter",
        "Requests that the upstream failed.",
    );
    for kind in UpstreamError::ALL {
        let failed = sum(&|thread| &thread.upstream[kind as usize]);
        page.sample(
            "tokenkit_upstream_errors_total",
            &[("kind", kind.as_str())],
            failed,
        );
    }

    if let Some(engine) = gauges.engine {
        page.family(
            "tokenkit_keys",
            "gauge",
            "Keys known, whatever their state.",
        );
        page.sample("tokenkit_keys", &[], engine.keys);
        page.family("tokenkit_sessions", "gauge", "Sessions held.");
        page.sample("tokenkit_sessions", &[], engine.sessions);
        page.family(
            "tokenkit_blocked_addresses",
            "gauge",
            "Client addresses blocked now.",
        );
        page.sample("tokenkit_blocked_addresses", &[], engine.blocked_addresses);
    }
    if let Some(lag) = gauges.store_lag_s {
        page.family(
            "tokenkit_store_lag_seconds",
            "gauge",
            "Seconds since the store was last read.",
        );
        page.sample("tokenkit_store_lag_seconds", &[], format_args!("{lag:.3}"));
    }
    page.family(
        "tokenkit_store_errors_total",
        "counter",
        "Reads of the store that failed.",
    );
    page.sample("tokenkit_store_errors_total", &[], gauges.store_errors);
    page.family(
        "tokenkit_ledger_fault",
        "gauge",
        "1 where the ledger file was cut short, deleted or replaced: the log says what to do.",
    );
    page.sample("tokenkit_ledger_fault", &[], u8::from(gauges.ledger_fault));
    page.0
}

/// The page under way. Writing to a string cannot fail.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (i, (label, text)) in labels.iter().enumerate() {
            let open = if i == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_added_up() {
        let threads = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        threads[0].decided(Reason::Allowed);
        threads[1].decided(Reason::Allowed);
        threads[1].decided(Reason::HourlyLimit);
        threads[0].accepted();
        threads[1].accepted();
        threads[0].closed();
        threads[1].upstream_failed(UpstreamError::Timeout);
        let mut stats = EngineStats::default();
        (stats.keys, stats.sessions, stats.blocked_addresses) = (3, 2, 1);
        let page = exposition(
            &threads,
            Gauges {
                engine: Some(stats),
                store_lag_s: Some(0.02),
                store_errors: 7,
                ledger_fault: true,
            },
        );
        for line in [
            "tokenkit_decisions_total{outcome=\"allowed\",reason=\"allowed\"} 2",
            "tokenkit_decisions_total{outcome=\"refused\",reason=\"hourly_limit\"} 1",
            "tokenkit_decisions_total{outcome=\"refused\",reason=\"missing_key\"} 0",
            "tokenkit_http_connections_total 2",
            "tokenkit_http_connections 1",
            "tokenkit_upstream_errors_total{kind=\"timeout\"} 1",
            "tokenkit_keys 3",
            "tokenkit_sessions 2",
            "tokenkit_blocked_addresses 1",
            "tokenkit_store_lag_seconds 0.020",
            "tokenkit_store_errors_total 7",
            "tokenkit_ledger_fault 1",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }

    #[test]
    fn the_format_is_that_of_prometheus() {
        let page = exposition(&[], Gauges::default());
        assert!(page.ends_with('\n'));
        for line in page.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                assert!(
                    comment.starts_with("HELP ") || comment.starts_with("TYPE "),
                    "{line}"
                );
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                assert!(series.starts_with("tokenkit_"), "{line}");
                value.parse::<f64>().unwrap();
            }
        }
    }
}

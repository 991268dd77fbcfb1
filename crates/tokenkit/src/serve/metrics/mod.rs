//! What is counted, and how it is told to Prometheus.
//!
//! No label is made of what a client sends, and none names a key.
//! `docs/operating.md` has a table of all of them.

mod counters;
mod histogram;
mod page;
mod process;
mod span_counts;
mod totals;

use std::sync::Arc;

use engine::{EngineStats, KeyState, Reason, ShadowPolicy};

use self::counters::All;
use self::page::Page;

pub(super) use self::counters::{Counters, UpstreamError};
pub(super) use self::totals::Totals;

/// What is told beside the counters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gauges {
    /// What the engine holds; nothing before it is there.
    pub(super) engine: Option<EngineStats>,
    /// Seconds since the store was last seen whole.
    pub(super) store_lag_s: Option<f64>,
    /// Reads of the store that failed.
    pub(super) store_errors: u64,
    /// Whether what is in shadow lets requests through that show no good key.
    pub(super) lets_anybody_in: bool,
    /// Whether the ledger's file is no longer what it was.
    pub(super) ledger_fault: bool,
    /// How the recording of usage goes; nothing before it does.
    pub(super) usage: Option<UsageGauges>,
}

/// How the recording of usage goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct UsageGauges {
    /// Seconds since all that was used was recorded.
    pub(super) lag_s: f64,
    /// Units that were read and could not be recorded yet.
    pub(super) unsaved: u64,
    /// Units that were written over before they were recorded.
    pub(super) overwritten: u64,
}

/// Writes everything in Prometheus' text format 0.0.4.
pub(super) fn exposition(threads: &[Arc<Counters>], totals: &Totals, gauges: Gauges) -> String {
    let threads = All(threads);
    let mut page = Page::new();
    build_info(&mut page);
    decisions(&mut page, threads);
    shadow(&mut page, threads, gauges);
    http(&mut page, threads);
    if let Some(engine) = gauges.engine {
        held(&mut page, engine);
    }
    store(&mut page, totals, gauges);
    if let Some(gauges) = gauges.usage {
        usage(&mut page, gauges);
    }
    spans(&mut page, totals);
    page.single(
        "tokenkit_log_lines_dropped_total",
        "counter",
        "Lines of the log that were dropped, for standard error did not take them.",
        totals.all_log_lines_dropped(),
    );
    process::tell(&mut page, totals.started_s());
    page.into_text()
}

/// Decisions of all threads, by their reason.
pub(super) fn decided(threads: &[Arc<Counters>]) -> Vec<(Reason, u64)> {
    let threads = All(threads);
    let decided = Reason::ALL.into_iter();
    decided
        .map(|reason| (reason, threads.decisions(reason)))
        .collect()
}

fn build_info(page: &mut Page) {
    page.family("tokenkit_build_info", "gauge", "The version that runs.");
    let labels = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("arch", std::env::consts::ARCH),
        ("os", std::env::consts::OS),
    ];
    page.sample("tokenkit_build_info", &labels, 1);
}

fn decisions(page: &mut Page, threads: All<'_>) {
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
        page.sample(
            "tokenkit_decisions_total",
            &labels,
            threads.decisions(reason),
        );
    }
    page.histogram(
        "tokenkit_decision_duration_seconds",
        "How long decisions took, from headers to verdict, of each 17th of a thread.",
        &threads.decided_in(),
    );
    page.single(
        "tokenkit_preflights_total",
        "counter",
        "CORS preflights answered.",
        threads.preflights(),
    );
}

fn shadow(page: &mut Page, threads: All<'_>, gauges: Gauges) {
    page.family(
        "tokenkit_shadowed_total",
        "counter",
        "Requests let through that a refusal in shadow would have refused, by its reason.",
    );
    let kinds = ShadowPolicy::OF_ANYBODY.and(ShadowPolicy::OF_KEYS);
    for reason in kinds.iter() {
        let labels = [("reason", reason.as_str())];
        page.sample("tokenkit_shadowed_total", &labels, threads.shadowed(reason));
    }
    page.single(
        "tokenkit_shadow_lets_anybody_in",
        "gauge",
        "1 where refusals are in shadow that stop requests without a good key.",
        u8::from(gauges.lets_anybody_in),
    );
}

fn http(page: &mut Page, threads: All<'_>) {
    let (accepted, open) = threads.connections();
    page.single(
        "tokenkit_http_connections_total",
        "counter",
        "Client connections accepted.",
        accepted,
    );
    page.single(
        "tokenkit_http_connections",
        "gauge",
        "Client connections open.",
        open,
    );
    page.single(
        "tokenkit_http_connections_turned_away_total",
        "counter",
        "Client connections ended at once, for their address had its share.",
        threads.turned_away(),
    );
    page.family(
        "tokenkit_http_responses_total",
        "counter",
        "Answers to clients, by the class of their status.",
    );
    for (hundreds, class) in [(1, "1xx"), (2, "2xx"), (3, "3xx"), (4, "4xx"), (5, "5xx")] {
        page.sample(
            "tokenkit_http_responses_total",
            &[("class", class)],
            threads.responses(hundreds),
        );
    }
    page.family(
        "tokenkit_upstream_errors_total",
        "counter",
        "Requests that the upstream failed.",
    );
    for kind in UpstreamError::ALL {
        page.sample(
            "tokenkit_upstream_errors_total",
            &[("kind", kind.as_str())],
            threads.upstream_errors(kind),
        );
    }
}

fn held(page: &mut Page, engine: EngineStats) {
    page.family(
        "tokenkit_keys",
        "gauge",
        "Keys known, by their state; one that has expired keeps its state.",
    );
    let others = engine.disabled_keys + engine.revoked_keys;
    for (state, keys) in [
        (KeyState::Active, engine.keys.saturating_sub(others)),
        (KeyState::Disabled, engine.disabled_keys),
        (KeyState::Revoked, engine.revoked_keys),
    ] {
        page.sample("tokenkit_keys", &[("state", state.as_str())], keys);
    }
    page.single(
        "tokenkit_sessions",
        "gauge",
        "Sessions held.",
        engine.sessions,
    );
    page.single(
        "tokenkit_blocked_addresses",
        "gauge",
        "Client addresses blocked now.",
        engine.blocked_addresses,
    );
}

fn store(page: &mut Page, totals: &Totals, gauges: Gauges) {
    if let Some(lag) = gauges.store_lag_s {
        page.single(
            "tokenkit_store_lag_seconds",
            "gauge",
            "Seconds since the store was last read.",
            format_args!("{lag:.3}"),
        );
    }
    page.single(
        "tokenkit_store_errors_total",
        "counter",
        "Reads of the store that failed.",
        gauges.store_errors,
    );
    page.histogram(
        "tokenkit_publish_duration_seconds",
        "How long changes took from being found in the store to being in force.",
        &totals.published_in(),
    );
    page.family(
        "tokenkit_reloads_total",
        "counter",
        "Times that the settings were read again.",
    );
    let (well, badly) = totals.reloads();
    for (outcome, reloads) in [("ok", well), ("failed", badly)] {
        page.sample("tokenkit_reloads_total", &[("outcome", outcome)], reloads);
    }
    page.single(
        "tokenkit_ledger_fault",
        "gauge",
        "1 where the ledger file was cut short, deleted or replaced: the log says what to do.",
        u8::from(gauges.ledger_fault),
    );
}

fn spans(page: &mut Page, totals: &Totals) {
    page.single(
        "tokenkit_spans_sent_total",
        "counter",
        "Spans that the collector took.",
        totals.spans().all_sent(),
    );
    page.family(
        "tokenkit_spans_dropped_total",
        "counter",
        "Spans that were dropped, by why.",
    );
    for (reason, dropped) in totals.spans().dropped() {
        page.sample(
            "tokenkit_spans_dropped_total",
            &[("reason", reason)],
            dropped,
        );
    }
}

fn usage(page: &mut Page, gauges: UsageGauges) {
    page.single(
        "tokenkit_usage_lag_seconds",
        "gauge",
        "Seconds since all that was used was recorded in the store.",
        format_args!("{:.3}", gauges.lag_s),
    );
    page.single(
        "tokenkit_usage_unsaved_units",
        "gauge",
        "Units that were read out and could not be recorded yet.",
        gauges.unsaved,
    );
    page.single(
        "tokenkit_usage_overwritten_units_total",
        "counter",
        "Units that were lost before they could be recorded.",
        gauges.overwritten,
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn threads_are_added_up() {
        let threads = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        for (thread, reason, shadowed) in [
            (0, Reason::Allowed, None),
            (1, Reason::Allowed, Some(Reason::OriginDenied)),
            (1, Reason::HourlyLimit, None),
        ] {
            threads[thread].deciding(|| threads[thread].decided(reason, shadowed));
        }
        threads[0].accepted();
        threads[1].accepted();
        threads[0].closed();
        threads[0].turned_away();
        threads[0].answered(http::StatusCode::NOT_FOUND);
        threads[1].answered(http::StatusCode::BAD_REQUEST);
        threads[1].upstream_failed(UpstreamError::Timeout);
        let mut stats = EngineStats::default();
        (stats.keys, stats.disabled_keys, stats.revoked_keys) = (6, 2, 1);
        (stats.sessions, stats.blocked_addresses) = (2, 1);
        let totals = Totals::default();
        totals.reloaded(true);
        totals.reloaded(false);
        totals.published(Duration::from_millis(2));
        totals.log_lines_dropped(3);
        let page = exposition(
            &threads,
            &totals,
            Gauges {
                engine: Some(stats),
                store_lag_s: Some(0.02),
                store_errors: 7,
                lets_anybody_in: true,
                ledger_fault: true,
                usage: Some(UsageGauges {
                    lag_s: 0.5,
                    unsaved: 8,
                    overwritten: 9,
                }),
            },
        );
        for line in [
            "tokenkit_decisions_total{outcome=\"allowed\",reason=\"allowed\"} 2",
            "tokenkit_decisions_total{outcome=\"refused\",reason=\"hourly_limit\"} 1",
            "tokenkit_decisions_total{outcome=\"refused\",reason=\"missing_key\"} 0",
            "tokenkit_shadowed_total{reason=\"origin_denied\"} 1",
            "tokenkit_shadowed_total{reason=\"hourly_limit\"} 0",
            "tokenkit_shadow_lets_anybody_in 1",
            "tokenkit_decision_duration_seconds_count 2",
            "tokenkit_decision_duration_seconds_count 2",
            "tokenkit_http_connections_total 2",
            "tokenkit_http_connections 1",
            "tokenkit_http_connections_turned_away_total 1",
            "tokenkit_http_responses_total{class=\"4xx\"} 2",
            "tokenkit_upstream_errors_total{kind=\"timeout\"} 1",
            "tokenkit_keys{state=\"active\"} 3",
            "tokenkit_keys{state=\"disabled\"} 2",
            "tokenkit_keys{state=\"revoked\"} 1",
            "tokenkit_sessions 2",
            "tokenkit_blocked_addresses 1",
            "tokenkit_store_lag_seconds 0.020",
            "tokenkit_store_errors_total 7",
            "tokenkit_publish_duration_seconds_bucket{le=\"0.001\"} 0",
            "tokenkit_publish_duration_seconds_bucket{le=\"0.0025\"} 1",
            "tokenkit_publish_duration_seconds_sum 0.002",
            "tokenkit_reloads_total{outcome=\"ok\"} 1",
            "tokenkit_reloads_total{outcome=\"failed\"} 1",
            "tokenkit_ledger_fault 1",
            "tokenkit_usage_lag_seconds 0.500",
            "tokenkit_usage_unsaved_units 8",
            "tokenkit_usage_overwritten_units_total 9",
            "tokenkit_log_lines_dropped_total 3",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }
}

//! The files of `deploy/` that ask about metrics: every name and label in them
//! is one that the server tells.

mod serve_support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serve_support::Server;
use serve_support::exposition::Exposition;

const DASHBOARD: &str = include_str!("../../../deploy/grafana/tokenkit.json");
const PAGE: &str = include_str!("../../../docs/operating.md");
const ALERTS: &str = include_str!("../../../deploy/prometheus/alerts.yml");

/// What Prometheus adds to every series.
const ADDED: [&str; 2] = ["instance", "job"];

/// The labels of each series that the server tells, and of those that a query
/// may ask for beside them.
fn known(server: &Server) -> BTreeMap<String, BTreeSet<String>> {
    let page = Exposition::parse(&server.admin("/metrics").text());
    let mut known = BTreeMap::new();
    for sample in page.families.values().flat_map(|family| &family.samples) {
        let labels: &mut BTreeSet<String> = known.entry(sample.name.clone()).or_default();
        labels.extend(sample.labels.keys().cloned());
    }
    known
}

/// The series that a query asks for, each with the labels that it picks by.
fn asked(query: &str) -> Vec<(String, Vec<String>)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for start in ["tokenkit_", "process_"] {
        for (at, _) in query.match_indices(start) {
            if query[..at].ends_with(is_part) {
                continue;
            }
            let rest = &query[at..];
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            let picked = rest[end..].strip_prefix('{').map_or("", |inner| {
                inner.split_once('}').expect("a selector ends").0
            });
            let labels = picked.split(',').filter(|pair| !pair.is_empty());
            let label = |pair: &str| pair.split(['=', '!']).next().unwrap().trim().to_owned();
            found.push((rest[..end].to_owned(), labels.map(label).collect()));
        }
    }
    found
}

/// The labels that a query groups by.
fn grouped(query: &str) -> Vec<&str> {
    let groups = query.split("by (").skip(1);
    let labels = groups.flat_map(|rest| rest.split(')').next().unwrap().split(','));
    labels.map(str::trim).collect()
}

fn check(query: &str, known: &BTreeMap<String, BTreeSet<String>>) {
    let series = asked(query);
    let mut all: BTreeSet<&str> = ADDED.into();
    for (name, labels) in &series {
        let has = known
            .get(name)
            .unwrap_or_else(|| panic!("no metric is called {name}: {query}"));
        all.extend(has.iter().map(String::as_str));
        for label in labels {
            let is_there = has.contains(label) || ADDED.contains(&label.as_str());
            assert!(is_there, "{name} has no label {label}: {query}");
        }
    }
    for label in grouped(query) {
        assert!(all.contains(label), "nothing has a label {label}: {query}");
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let known = known(&Server::start("", ""));
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut queries = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            assert!(!asked(query).is_empty(), "{query}");
            check(query, &known);
            queries += 1;
        }
    }
    assert!(queries > 20, "{queries}");
    // And shows every family but for what a release says of itself.
    let shown: BTreeSet<_> = asked(DASHBOARD).into_iter().map(|(name, _)| name).collect();
    for name in known.keys() {
        let family = name.trim_end_matches("_sum").trim_end_matches("_count");
        let is_shown = shown.contains(name) || shown.contains(&format!("{family}_bucket"));
        let is_asked = is_shown || name == "process_virtual_memory_bytes";
        assert!(is_asked, "no panel shows {name}");
    }
}

#[test]
fn the_page_for_operators_lists_every_metric_and_alert() {
    let server = Server::start("", "");
    let page = Exposition::parse(&server.admin("/metrics").text());
    for (name, family) in &page.families {
        assert!(PAGE.contains(&format!("`{name}`")), "{name}");
        for label in family
            .samples
            .iter()
            .flat_map(|sample| sample.labels.keys())
        {
            assert!(PAGE.contains(&format!("`{label}`")), "{label} of {name}");
        }
    }
    let listed = |name: &&str| PAGE.contains(&format!("\n| `{name}` |"));
    let mut alerts = ALERTS.split("alert: ").skip(1);
    let unlisted = alerts.find(|rest| !listed(&rest.lines().next().unwrap()));
    assert!(unlisted.is_none(), "{unlisted:?}");
}

#[test]
fn the_alerts_ask_for_what_there_is() {
    let known = known(&Server::start("", ""));
    let mut queries = 0;
    let mut lines = ALERTS.lines();
    while let Some(line) = lines.next() {
        let Some(query) = line.trim_start().strip_prefix("expr: ") else {
            continue;
        };
        let mut query = query.to_owned();
        if query == "|" {
            let block = lines
                .by_ref()
                .take_while(|line| line.starts_with("          "));
            query = block.collect::<Vec<_>>().join("\n");
        }
        check(&query, &known);
        queries += 1;
    }
    assert_eq!(queries, ALERTS.matches("alert: ").count());
}

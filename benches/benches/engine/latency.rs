//! How long single decisions take, the slow ones too, while nothing changes
//! and while another thread changes a thousand keys a second.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use engine::Reason;
use hdrhistogram::Histogram;
use tokenkit_benches::field::{Field, first_of_each_map};
use tokenkit_benches::figures::{Figures, is_quick};
use tokenkit_benches::keys::{Drawn, Keys};
use tokenkit_benches::row::{Draw, Row, State};
use tokenkit_benches::subject::{self, Scene, Subject};
use tokenkit_benches::{selection, threads};

const KEYS: usize = 1_000_000;

/// What is measured in turn, in rounds: whose decisions, and whether keys
/// change meanwhile.
const LANES: [(&str, &str, bool); 4] = [
    ("latency/quiet", "engine", false),
    ("latency/changing", "engine", true),
    ("latency/peer_quiet", "peer", false),
    ("latency/peer_changing", "peer", true),
];

pub(crate) fn run(figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let names: Vec<&str> = LANES.iter().map(|lane| lane.0).collect();
    let wanted = selection::wanted(&names);
    if wanted.is_empty() {
        return Ok(());
    }
    let (rounds, seconds) = if is_quick() { (2, 0.2) } else { (10, 1.0) };
    let keys = Keys::draw(KEYS);
    // Where the peer only stands aside, a few kinds are enough to choose from.
    let few = first_of_each_map(Field::all_kinds());
    let peer = Field::new(&keys, few).fastest(Row::Allowed, &mut Figures::default());
    let scene = Scene::new(&keys, State::Open);
    let mut sides: Vec<(&str, Box<dyn Subject>)> = Vec::new();
    sides.push(("engine", Box::new(subject::engine(&scene))));
    if wanted.iter().any(|name| name.contains("peer")) {
        sides.push(("peer", (peer.set_up)(&scene)));
    }
    let requests = keys.requests(Row::Allowed, Draw::Uniform);
    for (_, side) in &sides {
        decide(
            &**side,
            &requests,
            Duration::from_secs(1),
            &mut histogram()?,
        );
    }
    let mut timer = histogram()?;
    let mut found: Vec<Histogram<u64>> = LANES
        .iter()
        .map(|_| histogram())
        .collect::<Result<_, _>>()?;
    for _ in 0..rounds {
        time_nothing(&mut timer);
        for ((name, side, changing), histogram) in LANES.iter().zip(&mut found) {
            let subject = sides.iter().find(|(who, _)| who == side);
            let Some((_, subject)) = subject.filter(|_| wanted.contains(name)) else {
                continue;
            };
            let length = Duration::from_secs_f64(seconds);
            let mut run = || decide(&**subject, &requests, length, histogram);
            if *changing {
                let ((), changes) = threads::while_changing(&**subject, &keys, run);
                let due = seconds * f64::from(threads::CHANGES_PER_S);
                assert!(
                    changes as f64 > 0.9 * due,
                    "only {changes} changes of {due}"
                );
            } else {
                run();
            }
        }
    }
    let overhead = timer.value_at_quantile(0.5);
    tell("latency/timer", &timer, 0, figures);
    for ((name, ..), histogram) in LANES.iter().zip(&found) {
        if !histogram.is_empty() {
            tell(name, histogram, overhead, figures);
        }
    }
    figures.note(format!(
        "Latency: single decisions at {KEYS} keys, drawn uniformly, the peer being {}; {rounds} rounds of {seconds} s each in turn.",
        peer.name()
    ));
    Ok(())
}

fn histogram() -> Result<Histogram<u64>, hdrhistogram::CreationError> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3)
}

/// Decides one after the other for so long; each decision's time goes into the
/// histogram.
fn decide(
    subject: &dyn Subject,
    requests: &[Drawn],
    length: Duration,
    histogram: &mut Histogram<u64>,
) {
    let end = Instant::now() + length;
    for request in requests.iter().cycle() {
        let start = Instant::now();
        let reason = black_box(subject.decide(black_box(request)));
        let now = Instant::now();
        histogram.saturating_record((now - start).as_nanos() as u64);
        assert_eq!(reason, Reason::Allowed);
        if now >= end {
            break;
        }
    }
}

/// What two looks at the clock take by themselves.
fn time_nothing(histogram: &mut Histogram<u64>) {
    for _ in 0..100_000 {
        let start = Instant::now();
        let now = black_box(Instant::now());
        histogram.saturating_record((now - start).as_nanos() as u64);
    }
}

fn tell(name: &str, histogram: &Histogram<u64>, overhead: u64, figures: &mut Figures) {
    let mut line = format!("{name}:");
    for (point, ns) in [
        ("p50", histogram.value_at_quantile(0.5)),
        ("p99", histogram.value_at_quantile(0.99)),
        ("p99.9", histogram.value_at_quantile(0.999)),
        ("max", histogram.max()),
    ] {
        let ns = ns.saturating_sub(overhead);
        line += &format!(" {point} {ns} ns");
        figures.add(&format!("{name}/{point}"), ns as f64, "ns");
    }
    println!("{line} ({} decisions)", histogram.len());
}

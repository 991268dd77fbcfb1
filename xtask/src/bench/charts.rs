//! The charts of the report, from figures.

use super::plot::{Plot, Series};
use crate::figures::Figures;

/// Numbers of keys that are measured.
pub(crate) const SIZES: [u64; 4] = [10_000, 100_000, 1_000_000, 10_000_000];

/// A chart and the file it is kept in.
pub(crate) struct Chart {
    pub(crate) file: &'static str,
    pub(crate) plot: Plot,
}

/// Every chart; one without points has nothing to show.
pub(crate) fn all(figures: &Figures) -> Vec<Chart> {
    vec![
        Chart {
            file: "size.svg",
            plot: by_size(figures),
        },
        Chart {
            file: "batch.svg",
            plot: by_batch(figures),
        },
        Chart {
            file: "threads.svg",
            plot: by_threads(figures),
        },
    ]
}

/// Time of a decision against the size of the table.
fn by_size(figures: &Figures) -> Plot {
    let lane = |name: &str, lane: &str, aside| {
        let points = SIZES.iter().filter_map(|size| {
            let ns = figures.value(&lane.replace("SIZE", &size.to_string()))?;
            Some((*size as f64, ns))
        });
        series(name, points, aside)
    };
    Plot {
        title: "An allowed request, keys drawn uniformly, one thread".into(),
        x: "keys".into(),
        y: "ns for each decision".into(),
        series: vec![
            lane("decide", "decide/SIZE/uniform/allowed/engine", false),
            lane("decide_batch of 64", "batch/SIZE/64/engine", false),
            lane("fastest peer", "decide/SIZE/uniform/allowed/peer", false),
            lane("Mutex<HashMap>", "decide/SIZE/uniform/allowed/mutex", true),
            lane(
                "governor alone",
                "decide/SIZE/uniform/allowed/governor",
                true,
            ),
            lane("bare hash", "decide/SIZE/uniform/allowed/hash", true),
        ],
    }
}

/// Time of a decision against the requests of a batch.
fn by_batch(figures: &Figures) -> Plot {
    let size = |name: &str, size: u64| {
        let sizes = [8_u32, 16, 64, 256].into_iter();
        let points = sizes.filter_map(|batch| {
            let ns = figures.value(&format!("batch/{size}/{batch}/engine"))?;
            Some((f64::from(batch), ns))
        });
        series(name, points, false)
    };
    Plot {
        title: "Allowed requests in batches, one thread".into(),
        x: "requests in a batch".into(),
        y: "ns for each decision".into(),
        series: vec![
            size("10 k keys", 10_000),
            size("100 k keys", 100_000),
            size("1 M keys", 1_000_000),
            size("10 M keys", 10_000_000),
        ],
    }
}

/// Decisions a second against threads.
fn by_threads(figures: &Figures) -> Plot {
    let lane = |name: &str, lane: &str, aside| {
        let points = (1..=64_u32).filter_map(|threads| {
            let ns = figures.value(&lane.replace("THREADS", &threads.to_string()))?;
            Some((f64::from(threads), f64::from(threads) * 1e3 / ns))
        });
        series(name, points, aside)
    };
    Plot {
        title: "Threads, each with its own keys, and all on one hot key".into(),
        x: "threads".into(),
        y: "million decisions a second".into(),
        series: vec![
            lane("own keys", "threads/own/10000/THREADS/engine", false),
            lane("own keys, peer", "threads/own/10000/THREADS/peer", true),
            lane("1 M own keys", "threads/own/1000000/THREADS/engine", false),
            lane("1 M, peer", "threads/own/1000000/THREADS/peer", true),
            lane("hot key", "threads/hot/THREADS/engine", false),
            lane("hot key, peer", "threads/hot/THREADS/peer", true),
        ],
    }
}

fn series(name: &str, points: impl Iterator<Item = (f64, f64)>, aside: bool) -> Series {
    Series {
        name: name.into(),
        points: points.collect(),
        aside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_become_points() {
        let mut figures = Figures::default();
        figures.add("decide/10000/uniform/allowed/engine", 110.0, "ns");
        figures.add("decide/1000000/uniform/allowed/engine", 300.0, "ns");
        figures.add("threads/hot/2/engine", 100.0, "ns");
        let charts = all(&figures);
        let size = &charts[0].plot.series;
        assert_eq!(size[0].points, [(1e4, 110.0), (1e6, 300.0)]);
        assert!(size[1].points.is_empty());
        assert!(charts[1].plot.svg().is_none());
        // Two threads that take 100 ns each make 20 million a second.
        assert_eq!(charts[2].plot.series[4].points, [(2.0, 20.0)]);
    }
}

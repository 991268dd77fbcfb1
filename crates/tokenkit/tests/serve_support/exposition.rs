//! A reader of Prometheus' text format that takes nothing but what the format
//! and its naming conventions allow.

use std::collections::{BTreeMap, BTreeSet};

/// A page that was read.
pub(crate) struct Exposition {
    pub(crate) families: BTreeMap<String, Family>,
}

/// The series of one name.
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) samples: Vec<Sample>,
}

/// One series with its value.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Exposition {
    /// Reads a page, or panics with what is wrong with it.
    pub(crate) fn parse(page: &str) -> Self {
        assert!(page.ends_with('\n'), "the last line is not ended");
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut lines = page.lines().peekable();
        while let Some(line) = lines.next() {
            let help = line
                .strip_prefix("# HELP ")
                .unwrap_or_else(|| panic!("a family begins with its HELP: {line:?}"));
            let (name, help) = help.split_once(' ').expect("a HELP has a text");
            assert!(is_name(name), "{name:?} is no name");
            assert!(help.ends_with('.') || help.contains(':'), "{help:?}");
            assert!(!help.contains('\\'), "nothing to be escaped: {help:?}");
            let kind = lines
                .next()
                .and_then(|line| line.strip_prefix("# TYPE "))
                .and_then(|rest| rest.strip_prefix(name)?.strip_prefix(' '))
                .unwrap_or_else(|| panic!("behind the HELP of {name} comes its TYPE"));
            let mut samples = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                samples.push(Sample::parse(line));
            }
            let family = Family {
                kind: kind.to_owned(),
                samples,
            };
            family.check(name);
            let twice = families.insert(name.to_owned(), family).is_some();
            assert!(!twice, "the family {name} stands twice");
        }
        Self { families }
    }

    /// The names that a query may use.
    pub(crate) fn series(&self) -> BTreeSet<&str> {
        let samples = self.families.values().flat_map(|family| &family.samples);
        samples.map(|sample| sample.name.as_str()).collect()
    }
}

impl Family {
    fn check(&self, name: &str) {
        assert!(!self.samples.is_empty(), "{name} has no series");
        let mut seen = BTreeSet::new();
        for sample in &self.samples {
            let series = (sample.name.clone(), sample.labels.clone());
            assert!(seen.insert(series), "a series of {name} stands twice");
            assert!(sample.value.is_finite(), "{name}");
        }
        match self.kind.as_str() {
            "counter" => {
                assert!(name.ends_with("_total"), "{name} is a counter");
                self.each_is(name);
                assert!(self.samples.iter().all(|sample| sample.value >= 0.0));
            }
            "gauge" => {
                let reserved = ["_total", "_count", "_sum", "_bucket"];
                assert!(!reserved.iter().any(|end| name.ends_with(end)), "{name}");
                self.each_is(name);
            }
            "histogram" => self.check_histogram(name),
            other => panic!("{name} is a {other}"),
        }
    }

    /// Every series has the family's own name, and the same labels.
    fn each_is(&self, name: &str) {
        let labels = |sample: &Sample| sample.labels.keys().cloned().collect::<Vec<_>>();
        for sample in &self.samples {
            assert_eq!(sample.name, name);
            assert_eq!(labels(sample), labels(&self.samples[0]), "{name}");
            assert!(!sample.labels.contains_key("le"), "{name}");
        }
    }

    /// One histogram without other labels: buckets that rise, then its sum and
    /// count.
    fn check_histogram(&self, name: &str) {
        assert!(name.ends_with("_seconds") || name.ends_with("_bytes"));
        let (buckets, rest) = self.samples.split_at(self.samples.len() - 2);
        let names: Vec<_> = rest.iter().map(|sample| sample.name.as_str()).collect();
        assert_eq!(names, [format!("{name}_sum"), format!("{name}_count")]);
        assert!(rest.iter().all(|sample| sample.labels.is_empty()));
        let (mut bound, mut within) = (f64::NEG_INFINITY, 0.0);
        for bucket in buckets {
            assert_eq!(bucket.name, format!("{name}_bucket"));
            assert_eq!(bucket.labels.len(), 1, "{name}");
            let le = parse_number(&bucket.labels["le"]);
            assert!(le > bound, "the bounds of {name} rise");
            assert!(bucket.value >= within, "the counts of {name} rise");
            (bound, within) = (le, bucket.value);
        }
        assert_eq!(bound, f64::INFINITY, "the last bucket of {name} holds all");
        assert_eq!(within, rest[1].value, "{name}");
    }
}

impl Sample {
    fn parse(line: &str) -> Self {
        let end = line.find(['{', ' ']).expect("a series has a value");
        let (name, mut rest) = line.split_at(end);
        assert!(is_name(name), "{line:?}");
        let mut labels = BTreeMap::new();
        if let Some(inner) = rest.strip_prefix('{') {
            let (inner, after) = inner.split_once('}').expect("labels end");
            rest = after;
            for pair in inner.split(',') {
                let (label, quoted) = pair.split_once('=').expect("a label has a value");
                assert!(is_label(label), "{line:?}");
                let value = quoted
                    .strip_prefix('"')
                    .and_then(|quoted| quoted.strip_suffix('"'))
                    .expect("a value stands in quotes");
                assert!(!value.contains(['"', '\\', '\n']), "{line:?}");
                let twice = labels.insert(label.to_owned(), value.to_owned());
                assert!(twice.is_none(), "{line:?}");
            }
        }
        let value = rest.strip_prefix(' ').expect("one space, then the value");
        Self {
            name: name.to_owned(),
            labels,
            value: parse_number(value),
        }
    }
}

fn parse_number(text: &str) -> f64 {
    if text == "+Inf" {
        return f64::INFINITY;
    }
    assert!(
        text.bytes()
            .all(|b| b.is_ascii_digit() || b"+-.e".contains(&b)),
        "{text:?} is no number"
    );
    text.parse().unwrap()
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn is_label(label: &str) -> bool {
    is_name(label) && !label.starts_with("__")
}

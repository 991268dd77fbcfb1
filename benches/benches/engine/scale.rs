//! Ten million keys: how long they take to build, what memory each takes, and
//! how soon a revocation returns.

use std::error::Error;
use std::time::{Duration, Instant};

use engine::{Clock, Engine, KeyPolicy, KeyRecord, KeyState, Limit, Reason, Request, ServerSecret};
use fastrand::Rng;
use hdrhistogram::Histogram;
use tokenkit_benches::figures::{Figures, is_quick};
use tokenkit_benches::form::{self, Key};
use tokenkit_benches::selection;
use tokenkit_benches::subject::{SECRET, parsed};

/// Keys; and those of a quick run.
const KEYS: usize = 10_000_000;
const QUICK_KEYS: usize = 500_000;
/// Keys that are revoked, and their time taken.
const REVOKED: usize = 20_000;
/// Records that are handed over at once where memory is measured: their own
/// memory must not be a part of it.
const PORTION: usize = 1 << 18;

pub(crate) fn run(figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let wanted = selection::wanted(&["scale/memory", "scale/build", "scale/revoke"]);
    let count = if is_quick() { QUICK_KEYS } else { KEYS };
    // Memory first, while nothing was freed that the allocator would keep.
    if wanted.contains(&"scale/memory") {
        memory(count, figures)?;
    }
    if wanted.contains(&"scale/build") || wanted.contains(&"scale/revoke") {
        let engine = build(count, figures)?;
        if wanted.contains(&"scale/revoke") {
            revoke(&engine, count, figures)?;
        }
    }
    Ok(())
}

/// The same keys each time, one after the other: so none has to be kept.
fn keys() -> impl Iterator<Item = Key> {
    let mut rng = Rng::with_seed(0x0053_6361);
    std::iter::from_fn(move || Some(form::draw(&mut rng)))
}

fn engine(count: usize) -> Result<Engine, Box<dyn Error>> {
    let builder = Engine::builder(ServerSecret::from_bytes(SECRET));
    Ok(builder.max_keys(u32::try_from(count)?).build()?)
}

fn policy() -> Result<KeyPolicy, Box<dyn Error>> {
    let mut policy = KeyPolicy::new("bench".parse()?);
    policy.hourly_limit = Some(Limit::try_from(1_000_000)?);
    policy.expires_at = Some(Clock::System.now() + 86_400);
    Ok(policy)
}

fn record(engine: &Engine, key: &Key, policy: &KeyPolicy) -> KeyRecord {
    KeyRecord {
        id: parsed(key).id(),
        digest: engine.secret().digest_key(key),
        policy: policy.clone(),
    }
}

/// What the process holds in memory once each key was used, for each key. With
/// the program itself, its failures table and all that the allocator keeps.
fn memory(count: usize, figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let before = resident_bytes()?;
    let engine = engine(count)?;
    let policy = policy()?;
    let mut keys_left = keys().take(count);
    loop {
        let portion: Vec<KeyRecord> = keys_left
            .by_ref()
            .take(PORTION)
            .map(|key| record(&engine, &key, &policy))
            .collect();
        if portion.is_empty() {
            break;
        }
        engine.insert_keys(portion)?;
    }
    for key in keys().take(count) {
        let request = Request::new(std::net::Ipv4Addr::LOCALHOST).api_key(&key);
        assert_eq!(engine.decide(&request).reason(), Reason::Allowed);
    }
    engine.reclaim();
    let bytes = resident_bytes()? as f64 / count as f64;
    figures.add("scale/memory", bytes, "bytes");
    figures.note(format!(
        "Memory: {count} keys handed over in portions of {PORTION}, then each used once. The resident set of the \
         whole process, {} MiB of which it held before, divided by the keys.",
        before >> 20
    ));
    println!("scale/memory: {bytes:.1} bytes for each of {count} keys");
    Ok(())
}

/// The resident set of this process.
fn resident_bytes() -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.ok_or("smaps_rollup tells no resident set")? << 10)
}

/// Builds the keyring from records that lie ready.
fn build(count: usize, figures: &mut Figures) -> Result<Engine, Box<dyn Error>> {
    let engine = engine(count)?;
    let policy = policy()?;
    let records: Vec<KeyRecord> = keys()
        .take(count)
        .map(|key| record(&engine, &key, &policy))
        .collect();
    let start = Instant::now();
    engine.insert_keys(records)?;
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(engine.stats(Clock::System.now()).keys, count);
    figures.add("scale/build", seconds, "s");
    println!("scale/build: {seconds:.2} s for {count} keys");
    Ok(engine)
}

/// Revokes keys here and there, one after the other.
fn revoke(engine: &Engine, count: usize, figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
    let step = count / REVOKED;
    for key in keys().take(count).step_by(step) {
        let id = parsed(&key).id();
        let start = Instant::now();
        let state = engine.set_key_state(id, KeyState::Revoked)?;
        histogram.saturating_record(start.elapsed().as_nanos() as u64);
        assert_eq!(state, KeyState::Revoked);
        // In force at once: whoever asks next is refused.
        let request = Request::new(std::net::Ipv4Addr::LOCALHOST).api_key(&key);
        assert_eq!(engine.decide(&request).reason(), Reason::RevokedKey);
    }
    let us = |ns: u64| Duration::from_nanos(ns).as_secs_f64() * 1e6;
    let points = [
        ("p50", us(histogram.value_at_quantile(0.5))),
        ("p99", us(histogram.value_at_quantile(0.99))),
        ("max", us(histogram.max())),
    ];
    for (point, us) in points {
        figures.add(&format!("scale/revoke/{point}"), us, "us");
        println!("scale/revoke/{point}: {us:.1} us among {count} keys");
    }
    Ok(())
}

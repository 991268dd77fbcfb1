//! Puts made-up usage of the last 30 days into a store, for pictures of what
//! it looks like: `made_up_usage STORE SECRET`.

use std::error::Error;
use std::path::Path;

use tokenkit_store::{KeyFilter, Store, StoreError, UsageRow, read_secret_file};

/// Hours that are made up.
const HOURS: u32 = 30 * 24;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, store, secret] = &arguments[..] else {
        return Err("the paths of a store and its secret are wanted".into());
    };
    let secret = read_secret_file(Path::new(secret))?;
    let mut store = Store::open(Path::new(store), &secret)?;
    let now = engine::Clock::System.now();
    let hour = u32::try_from(now / 3600)?;
    let mut keys = Vec::new();
    store.each_key(&KeyFilter::default(), |key| {
        let limit = key
            .record
            .policy
            .hourly_limit
            .map_or(900, engine::Limit::units);
        keys.push((key.record.id, limit));
        Ok::<_, StoreError>(())
    })?;
    let source = *b"made-up usage \0\0";
    for (number, (key, limit)) in keys.into_iter().enumerate() {
        let rows = (hour - HOURS..=hour).map(|at| UsageRow {
            key,
            hour: at,
            // The present one has only begun.
            used: limit * share(at, number) / if at == hour { 20_000 } else { 1000 },
        });
        store.record_usage(&source, &rows.collect::<Vec<_>>(), now)?;
    }
    Ok(())
}

/// How much of a limit is used in an hour, in thousandths: more by day than at
/// night, less at the end of a week, and never quite the same.
fn share(hour: u32, key: usize) -> u64 {
    const DAY: [u64; 24] = [
        12, 8, 6, 5, 6, 11, 30, 62, 88, 96, 92, 85, 78, 84, 93, 97, 90, 80, 66, 54, 45, 36, 27, 18,
    ];
    let day = (hour / 24 + 3) % 7;
    let week = if day < 5 { 8 } else { 3 };
    let noise = u64::from(hour.wrapping_mul(2_654_435_761) >> 16) * (key as u64 + 3) % 23;
    DAY[(hour % 24) as usize] * week * (89 + noise) / 100
}

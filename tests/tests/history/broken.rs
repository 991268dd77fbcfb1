//! Counters that look right and are not: the check has to find them out.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::load::{Charges, LIMITS};

/// Hour and count in two words.
#[derive(Default)]
struct Words {
    hour: AtomicU64,
    used: AtomicU64,
}

/// Whoever finds an earlier hour clears the count and then sets the hour.
/// Between the two, others do it again: what was charged meanwhile is lost.
#[derive(Default)]
pub(crate) struct TwoWords([[Words; 8]; LIMITS.len()]);

/// Exact, but refuses where another thread is at it: to fail closed is no
/// excuse.
#[derive(Default)]
pub(crate) struct Impatient([[Mutex<(u64, u64)>; 8]; LIMITS.len()]);

/// Where a thread is most likely to be interrupted, it is.
fn interrupted() {
    std::thread::yield_now();
}

impl Charges for TwoWords {
    fn charge(&self, key: u64, unix_s: u64, cost: u32) -> (bool, u64) {
        let (hour, limit) = (unix_s / 3600, LIMITS[key as usize]);
        let words = &self.0[key as usize][(hour % 8) as usize];
        let held = words.hour.load(Ordering::SeqCst);
        if held > hour {
            return (false, 0);
        }
        if held < hour {
            words.used.store(0, Ordering::SeqCst);
            interrupted();
            words.hour.store(hour, Ordering::SeqCst);
        }
        let charged = words
            .used
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used| {
                let after = used + u64::from(cost);
                (after <= limit).then_some(after)
            });
        match charged {
            Ok(before) => (true, limit - before - u64::from(cost)),
            Err(used) => (false, limit.saturating_sub(used)),
        }
    }
}

impl Charges for Impatient {
    fn charge(&self, key: u64, unix_s: u64, cost: u32) -> (bool, u64) {
        let (hour, limit) = (unix_s / 3600, LIMITS[key as usize]);
        let Ok(mut word) = self.0[key as usize][(hour % 8) as usize].try_lock() else {
            return (false, 0);
        };
        interrupted();
        if word.0 > hour {
            return (false, 0);
        }
        let used = if word.0 == hour { word.1 } else { 0 };
        let after = used + u64::from(cost);
        if after > limit {
            return (false, limit - used);
        }
        *word = (hour, after);
        (true, limit - after)
    }
}

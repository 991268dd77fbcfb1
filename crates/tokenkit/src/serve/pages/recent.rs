//! The last minutes, second by second, and who used most this hour: what the
//! overview shows.
//!
//! Kept in memory and bounded. Requests pay nothing for it: once a second the
//! counters that are there anyway are read.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::{Hour, KeyId, Reason};
use store::{Store, StoreError, UsageQuery};
use tokio::time::{MissedTickBehavior, interval};

use crate::serve::control::{Control, Problem};

/// Seconds that are kept.
pub(super) const KEPT: usize = 300;
/// Keys that are named.
pub(super) const TOP: usize = 8;
/// How long, in seconds, an answer of the store about them is good enough: it
/// is linear in the keys that were used.
const STORE_S: u64 = 10;

/// What was decided, in kinds that a chart can tell apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) allowed: u64,
    /// Over the hourly limit.
    pub(super) limited: u64,
    /// From blocked addresses.
    pub(super) blocked: u64,
    /// Refused for anything else.
    pub(super) refused: u64,
}

impl Decided {
    /// Adds up counts by reason.
    pub(super) fn of(counts: &[(Reason, u64)]) -> Self {
        let mut decided = Self::default();
        for (reason, count) in counts {
            let place = match reason {
                Reason::Allowed => &mut decided.allowed,
                Reason::HourlyLimit => &mut decided.limited,
                Reason::IpBlocked => &mut decided.blocked,
                _ => &mut decided.refused,
            };
            *place = place.wrapping_add(*count);
        }
        decided
    }

    fn since(self, before: Self) -> Self {
        Self {
            allowed: self.allowed.wrapping_sub(before.allowed),
            limited: self.limited.wrapping_sub(before.limited),
            blocked: self.blocked.wrapping_sub(before.blocked),
            refused: self.refused.wrapping_sub(before.refused),
        }
    }

    pub(super) fn all(self) -> u64 {
        self.allowed + self.limited + self.blocked + self.refused
    }
}

/// A key that was used this hour.
#[derive(Clone, Debug)]
pub(super) struct Used {
    pub(super) id: KeyId,
    pub(super) name: String,
    pub(super) project: String,
    pub(super) limit: Option<u64>,
    pub(super) used: u64,
}

/// The last minutes.
#[derive(Default)]
pub(crate) struct Recent {
    seconds: Mutex<Seconds>,
    top: Mutex<(u64, Vec<Used>)>,
}

#[derive(Default)]
struct Seconds {
    before: Option<Decided>,
    each: VecDeque<Decided>,
}

impl Recent {
    fn note(&self, now: Decided) {
        let mut seconds = lock(&self.seconds);
        if let Some(before) = seconds.before.replace(now) {
            if seconds.each.len() == KEPT {
                seconds.each.pop_front();
            }
            seconds.each.push_back(now.since(before));
        }
    }

    /// What was decided in each of the last seconds, oldest first: as many as
    /// are kept, those before the start with nothing.
    pub(super) fn seconds(&self) -> Vec<Decided> {
        let seconds = lock(&self.seconds);
        let missing = KEPT - seconds.each.len();
        let before = std::iter::repeat_n(Decided::default(), missing);
        before.chain(seconds.each.iter().copied()).collect()
    }
}

/// Notes each second what was decided, as long as the runtime runs.
pub(crate) async fn keep(control: Control) {
    let mut turns = interval(Duration::from_secs(1));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        control.recent().note(Decided::of(&control.decisions()));
        // The tables begin anew with the hour, whether anybody looks or not.
        let _ = control.refused_keys();
    }
}

/// The keys that used most this hour, as far as their use is saved; with what
/// they have used by now.
///
/// # Errors
///
/// The store cannot be read.
pub(super) async fn top(control: &Control, now: u64) -> Result<Vec<Used>, Problem> {
    let known = {
        let top = lock(&control.recent().top);
        (top.0..top.0 + STORE_S)
            .contains(&now)
            .then(|| top.1.clone())
    };
    let mut top = match known {
        Some(top) => top,
        None => {
            let found = control
                .keeper()
                .read(move |store| Ok(look(store, now)?))
                .await?;
            *lock(&control.recent().top) = (now, found.clone());
            found
        }
    };
    for key in &mut top {
        let used = control.engine().used(key.id, Hour::of(now));
        key.used = used.map_or(key.used, |used| used.max(key.used));
    }
    top.sort_by_key(|key| std::cmp::Reverse(key.used));
    Ok(top)
}

/// What people call keys; nothing where they call them nothing.
///
/// # Errors
///
/// The store cannot be read.
pub(super) async fn names(control: &Control, ids: Vec<KeyId>) -> Result<Vec<String>, Problem> {
    let name = |store: &Store, id: KeyId| match store.key(id) {
        Ok(key) => Ok(key.label.to_string()),
        Err(StoreError::NoKey(_)) => Ok(String::new()),
        Err(error) => Err(Problem::from(error)),
    };
    let look = move |store: &Store| ids.into_iter().map(|id| name(store, id)).collect();
    control.keeper().read(look).await
}

fn look(store: &Store, now: u64) -> Result<Vec<Used>, StoreError> {
    let hour = Hour::of(now).number();
    let most = store.usage_by_key(&UsageQuery {
        from_hour: hour,
        to_hour: hour + 1,
        limit: TOP,
        ..UsageQuery::default()
    })?;
    most.into_iter()
        .map(|(id, used)| match store.key(id) {
            Ok(key) => Ok(Used {
                id,
                name: key.label.to_string(),
                project: key.record.policy.project.to_string(),
                limit: key.record.policy.hourly_limit.map(engine::Limit::units),
                used,
            }),
            // Used once, and not in this store any more.
            Err(StoreError::NoKey(_)) => Ok(Used {
                id,
                name: String::new(),
                project: String::new(),
                limit: None,
                used,
            }),
            Err(error) => Err(error),
        })
        .collect()
}

/// Nothing that is done under one of the locks leaves it half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_holds_what_came_in_it() {
        let recent = Recent::default();
        let counts = |allowed, limited| {
            Decided::of(&[
                (Reason::Allowed, allowed),
                (Reason::HourlyLimit, limited),
                (Reason::UnknownKey, 1),
                (Reason::MissingKey, 1),
            ])
        };
        recent.note(counts(10, 0));
        assert!(recent.seconds().iter().all(|second| second.all() == 0));
        recent.note(counts(13, 1));
        recent.note(counts(13, 2));
        let seconds = recent.seconds();
        assert_eq!(seconds.len(), KEPT);
        assert_eq!(
            (
                seconds[KEPT - 2].allowed,
                seconds[KEPT - 2].limited,
                seconds[KEPT - 2].refused
            ),
            (3, 1, 0)
        );
        assert_eq!(
            (seconds[KEPT - 1].allowed, seconds[KEPT - 1].limited),
            (0, 1)
        );
        for _ in 0..2 * KEPT {
            recent.note(counts(13, 2));
        }
        assert_eq!(recent.seconds().len(), KEPT);
    }
}

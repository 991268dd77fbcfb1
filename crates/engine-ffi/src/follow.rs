//! An engine kept in step with a store of tokenkit, by a thread of the library.

use std::ffi::c_char;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use engine::Engine;
use store::{FollowError, Follower, Following, Health, StoreError};

use crate::answer::{Page, tk_str};
use crate::bytes::tk_bytes;
use crate::guard;
use crate::handle::{self, tk_engine};
use crate::keys::result_of;
use crate::process::Origin;
use crate::ptr::Caller;
use crate::result::tk_result::{
    TK_ERR_DUPLICATE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_STORE, TK_ERR_SYSTEM,
};
use crate::result::{Refusal, chain, tk_result};
use crate::signals::without_signals;

/// The store that an engine follows, if it follows one.
#[derive(Default)]
pub(crate) struct Followed(Mutex<State>);

/// How far it is.
#[derive(Default)]
enum State {
    #[default]
    Not,
    /// A call loads the store. It takes seconds, and nobody waits for the lock.
    Begins,
    Follows(Thread),
}

/// A following under way, counted while it is.
struct Thread {
    following: Following,
    _count: Count,
}

/// Followings under way in the process that is [`OWNER`].
static UNDER_WAY: AtomicU64 = AtomicU64::new(0);
/// The number of the process that follows.
static OWNER: AtomicU64 = AtomicU64::new(0);

/// One of those under way.
struct Count;

impl Count {
    /// Refuses where a parent of this process follows a store: SQLite believes
    /// that what the parent has open and locked were open and locked here, and
    /// would read without a lock.
    fn begin() -> Result<Self, Refusal> {
        let here = Origin::here().number();
        // Relaxed, here and below: what matters is what a parent left when it
        // called `fork`, which the copy of its memory orders. Within one process
        // all threads write the same owner.
        if UNDER_WAY.load(Ordering::Relaxed) > 0 && OWNER.load(Ordering::Relaxed) != here {
            return Err(Refusal::of(
                TK_ERR_FORKED,
                "the process that forked this one follows a store, and SQLite cannot be used on \
                 both sides of a fork: follow in the children alone",
            ));
        }
        OWNER.store(here, Ordering::Relaxed);
        UNDER_WAY.fetch_add(1, Ordering::Relaxed);
        Ok(Self)
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Followed {
    /// Follows what `start` starts, which may take its time: nobody waits for
    /// it, and whoever else begins meanwhile is refused.
    fn begin(&self, start: impl FnOnce() -> Result<Thread, Refusal>) -> Result<(), Refusal> {
        self.turn(|state| match state {
            State::Not => {
                *state = State::Begins;
                Ok(())
            }
            State::Begins | State::Follows(_) => Err(FOLLOWS_ALREADY),
        })?;
        let begun = Begun(self);
        let thread = start()?;
        begun.0.turn(|state| *state = State::Follows(thread));
        Ok(())
    }

    /// How it goes; `None` where no store is followed.
    pub(crate) fn health(&self) -> Option<Arc<Health>> {
        self.turn(|state| match state {
            State::Follows(thread) => Some(Arc::clone(thread.following.health())),
            State::Not | State::Begins => None,
        })
    }

    /// Does something short with the state.
    fn turn<T>(&self, then: impl FnOnce(&mut State) -> T) -> T {
        then(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One that begins. Where it comes to nothing, by an error or a panic, another
/// may begin.
struct Begun<'a>(&'a Followed);

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.turn(|state| {
            if let State::Begins = state {
                *state = State::Not;
            }
        });
    }
}

/// Brings a store into an engine, and starts the thread that follows it.
fn start(path: &Path, engine: &Arc<Engine>) -> Result<Thread, Refusal> {
    let count = Count::begin()?;
    let mut follower = open(path, engine)?;
    follower.load(engine).map_err(|error| {
        let result = match &error {
            FollowError::Engine(error) => result_of(error),
            _ => TK_ERR_STORE,
        };
        Refusal::told(result, chain(&error))
    })?;
    // What happens is told when it is asked for: C has no place for it to be
    // told on another thread.
    let following = without_signals(|| Following::start(follower, Arc::clone(engine), |_| {}))
        .map_err(|error| {
            Refusal::told(
                TK_ERR_SYSTEM,
                format!("cannot start the thread that follows the store: {error}"),
            )
        })?;
    Ok(Thread {
        following,
        _count: count,
    })
}

const FOLLOWS_ALREADY: Refusal =
    Refusal::of(TK_ERR_DUPLICATE, "the engine follows a store already");

/// The file that C names.
fn path_of(caller: Caller<'_>, path: tk_bytes) -> Result<&Path, Refusal> {
    caller
        .text(path, "path")?
        .map(Path::new)
        .ok_or(Refusal::of(TK_ERR_NULL, "path is NULL"))
}

fn open(path: &Path, engine: &Engine) -> Result<Follower, Refusal> {
    Follower::open(path, engine.secret())
        .map_err(|error: StoreError| Refusal::told(TK_ERR_STORE, chain(&error)))
}

/// Follows a store of tokenkit, such as `tokenkit key` and `tokenkit serve`
/// keep: brings all its keys and sessions into the engine, then starts a thread
/// that brings every change within 100 ms of its commit. The store must have
/// been made under the engine's secret. `path` is the file, in UTF-8.
///
/// This returns when all is loaded: for a million keys, after some seconds. Who
/// asks for `tk_metrics` meanwhile is told that no store is followed. The thread
/// ends with the engine; it blocks all signals but those of faults (SIGBUS,
/// SIGSEGV, SIGFPE, SIGILL), and calls `tk_engine_tidy` of itself. While the
/// store cannot be read, or its file was deleted or replaced, what is known
/// stays in force and it is tried again: `tk_metrics` and `tk_engine_trouble`
/// tell.
///
/// A process that forks follows in its children alone: where a parent follows,
/// this is refused with TK_ERR_FORKED.
///
/// Ownership: `path` is not kept. Thread safety: any thread, also while others
/// decide.
/// Errors: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_LENGTH,
/// TK_ERR_UTF8; TK_ERR_STORE where there is no store, it cannot be read, or it
/// was made under another secret; TK_ERR_FULL where it holds more keys than
/// `max_keys`; TK_ERR_LEDGER where the ledger file has no place for one of them,
/// or was damaged; TK_ERR_DUPLICATE where the engine follows a store already, or
/// another call is about to make it; TK_ERR_SYSTEM where there is no memory or
/// no thread. After those that come while it is loaded the engine may hold a
/// part of it.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_engine_follow(engine: *mut tk_engine, path: tk_bytes) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        let path = path_of(caller, path)?;
        handle::with(engine, |instance| {
            instance.followed.begin(|| start(path, &instance.engine))
        })
    })
}

/// Checks that an engine could follow a store: that it is there, can be read,
/// and was made under the engine's secret. It brings nothing into the engine and
/// starts nothing: for who checks a configuration, and decides in children that
/// are forked later.
///
/// Ownership, thread safety: as `tk_engine_follow`.
/// Errors: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_LENGTH,
/// TK_ERR_UTF8; TK_ERR_STORE where `tk_engine_follow` would answer so.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_store_check(engine: *const tk_engine, path: tk_bytes) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        let path = path_of(caller, path)?;
        handle::with(engine, |instance| {
            let _count = Count::begin()?;
            open(path, &instance.engine)?;
            Ok(())
        })
    })
}

/// Writes to `trouble` what is wrong with what an engine stands on, for a log:
/// that its store cannot be followed at present, or that its ledger file was
/// damaged. Empty while all is well. The text lies in `space`; a longer one is
/// cut to it.
///
/// Ownership: `space` is the caller's, `TK_SPACE` bytes are plenty. Thread
/// safety: any thread, also while others decide.
/// Errors, with each of which `trouble` stays as it was: TK_ERR_ENGINE,
/// TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_MISALIGNED, TK_ERR_LENGTH; TK_ERR_SPACE
/// where there is none at all.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_engine_trouble(
    engine: *const tk_engine,
    space: *mut c_char,
    space_len: usize,
    trouble: *mut tk_str,
) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        let out = caller.out(trouble, "trouble")?;
        let space = caller.space(space.cast(), space_len, "space")?;
        let text = handle::with(engine, |instance| {
            let ledger = instance
                .engine
                .ledger_fault()
                .map(|fault| fault.to_string());
            let store = instance.followed.health().and_then(|health| {
                let ended = || {
                    (!health.follows()).then(|| {
                        "the thread that follows the store has failed: no change arrives any \
                         more; free the engine and make another"
                            .into()
                    })
                };
                health.trouble().or_else(ended)
            });
            Ok([ledger, store]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join("; "))
        })?;
        let room = space_len.saturating_sub(1);
        let cut = text.floor_char_boundary(room);
        let mut page = Page::new(0, space);
        let told = page.keep(text[..cut].replace('\0', "?").as_bytes());
        page.done()?;
        out.write(told);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    const FAILED: Refusal = Refusal::of(TK_ERR_STORE, "of this test");

    #[test]
    fn nobody_waits_for_who_begins() {
        let followed = Arc::new(Followed::default());
        let outcome = followed.begin(|| {
            let (tell, told) = mpsc::channel();
            let other = Arc::clone(&followed);
            thread::spawn(move || {
                assert!(other.health().is_none());
                tell.send(other.begin(|| Err(FAILED)).unwrap_err().result)
                    .unwrap();
            });
            let second = told.recv_timeout(Duration::from_secs(10)).unwrap();
            assert_eq!(second, TK_ERR_DUPLICATE);
            Err(FAILED)
        });
        assert_eq!(outcome.unwrap_err().result, TK_ERR_STORE);
    }

    #[test]
    fn who_failed_to_begin_may_begin_again() {
        let followed = Followed::default();
        let again = || followed.begin(|| Err(FAILED)).unwrap_err().result;
        assert_eq!(again(), TK_ERR_STORE);
        let panics = catch_unwind(AssertUnwindSafe(|| {
            followed.begin(|| panic!("of this test"))
        }));
        assert!(panics.is_err());
        assert_eq!(again(), TK_ERR_STORE);
    }
}

//! The store as the admin address uses it: one who writes at a time, a few who
//! read beside, all of them on threads that may wait.
//!
//! A change that nobody waits for any more is not begun: whoever was told that it
//! took too long, looks and finds nothing may make it again.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::ServerSecret;
use store::{Actor, FileIdentity, Store, StoreError, Writer};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::problem::Problem;

/// Readers at a time; kept open for the next.
const READERS: usize = 8;
/// The longest that a change waits for others, of this program or another, less
/// than an answer may take.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The store, shared.
pub(crate) struct Keeper {
    /// How long a change waits for others.
    wait: Duration,
    shared: Arc<Shared>,
    /// By which changes are made, one after the other. A panic under it leaves a
    /// whole store: its change was dropped with the transaction.
    writer: Arc<tokio::sync::Mutex<Store>>,
    /// Of those who look.
    places: Arc<Semaphore>,
}

struct Shared {
    path: PathBuf,
    secret: ServerSecret,
    /// The file that is written: no other is read.
    file: FileIdentity,
    readers: Mutex<Vec<Store>>,
}

impl Keeper {
    /// Takes a store that is open for changes.
    pub(crate) fn new(store: Store, secret: ServerSecret, wait: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                path: store.path().to_path_buf(),
                secret,
                file: store.file(),
                readers: Mutex::default(),
            }),
            wait: wait.min(MAX_WAIT),
            writer: Arc::new(tokio::sync::Mutex::new(store)),
            places: Arc::new(Semaphore::new(READERS)),
        }
    }

    /// Looks into the store.
    ///
    /// # Errors
    ///
    /// That of `look`; or the store cannot be opened.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Store) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(Problem::internal)?;
        let shared = Arc::clone(&self.shared);
        on_a_thread(move || {
            let _place = place;
            shared.read(look)
        })
        .await
    }

    /// Changes the store, all of it or nothing, as somebody and at a unix second;
    /// then does what follows from that, while others write already.
    ///
    /// # Errors
    ///
    /// That of `change`, after which nothing was changed; or the store cannot
    /// be written, others having changed it for too long; or that of `then`.
    pub(crate) async fn write<T: Send + 'static, U: Send + 'static>(
        &self,
        actor: Actor,
        now: u64,
        change: impl FnOnce(&mut Writer<'_>) -> Result<T, Problem> + Send + 'static,
        then: impl FnOnce(T) -> Result<U, Problem> + Send + 'static,
    ) -> Result<U, Problem> {
        let begun = Instant::now();
        let busy = || StoreError::Locked(self.shared.path.clone());
        let turn = Arc::clone(&self.writer).lock_owned();
        let mut store = timeout(self.wait, turn).await.map_err(|_| busy())?;
        let left = self.wait.saturating_sub(begun.elapsed());
        // Gone as soon as nobody waits for this future.
        let waits = Arc::new(());
        let who_waits = Arc::downgrade(&waits);
        let done = on_a_thread(move || {
            let mut writer = store.write_within(&actor, now, left, || {})?;
            if who_waits.strong_count() == 0 {
                tracing::debug!("a change was not begun: nobody waited for it any more");
                return Err(Problem::unavailable(
                    "timeout",
                    "It took too long, and nothing was changed.",
                ));
            }
            let changed = change(&mut writer)?;
            writer.commit()?;
            drop(store);
            then(changed)
        });
        let done = done.await;
        drop(waits);
        done
    }

    /// As [`read`](Self::read), on a thread that may wait already.
    pub(crate) fn read_here<T, E: From<StoreError>>(
        &self,
        look: impl FnOnce(&Store) -> Result<T, E>,
    ) -> Result<T, E> {
        self.shared.read(look)
    }

    /// [`Store::forget_requests`], in its turn among the changes.
    ///
    /// # Errors
    ///
    /// What kept it from that.
    pub(crate) async fn forget_requests(&self, now: u64) -> Result<usize, String> {
        let mut store = Arc::clone(&self.writer).lock_owned().await;
        match spawn_blocking(move || store.forget_requests(now)).await {
            Ok(done) => done.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Shared {
    /// A reader of the file that is written. Another in its place is not opened:
    /// SQLite would take our log for that one's, and delete it at the end.
    fn open(&self) -> Result<Store, StoreError> {
        let replaced = || StoreError::Replaced(self.path.clone());
        if !self.file.is_at(&self.path) {
            return Err(replaced());
        }
        let store = Store::open(&self.path, &self.secret)?;
        match store.file() == self.file {
            true => Ok(store),
            false => Err(replaced()),
        }
    }

    fn read<T, E: From<StoreError>>(
        &self,
        look: impl FnOnce(&Store) -> Result<T, E>,
    ) -> Result<T, E> {
        let idle = lock(&self.readers).pop();
        let store = match idle {
            Some(store) => store,
            None => self.open()?,
        };
        let seen = look(&store)?;
        // One that has met an error is not used again.
        let mut readers = lock(&self.readers);
        if readers.len() < READERS {
            readers.push(store);
        }
        Ok(seen)
    }
}

/// A panic under the lock leaves whole stores.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Problem::internal(error)),
    }
}

#[cfg(test)]
mod tests {
    use store::Label;

    use super::*;

    const NOW: u64 = 1_790_000_000;

    /// A store, its keeper, and another program that has it open as well.
    fn place(wait: Duration) -> (tempfile::TempDir, Keeper, Store) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenkit.db");
        let secret = ServerSecret::from_bytes([7; 32]);
        let store = Store::create(&path, &secret).unwrap();
        let other = Store::open(&path, &secret).unwrap();
        (folder, Keeper::new(store, secret, wait), other)
    }

    async fn add(keeper: &Keeper, project: &str) -> Result<(), Problem> {
        let project = project.parse().unwrap();
        let add = move |writer: &mut Writer<'_>| {
            writer.add_project(project, &Label::default())?;
            Ok(())
        };
        keeper.write(Actor::system(), NOW, add, Ok).await
    }

    fn projects(store: &Store) -> Vec<String> {
        let page = store.projects(None, 9).unwrap();
        page.projects
            .iter()
            .map(|project| project.name.to_string())
            .collect()
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_begun() {
        let (_folder, keeper, mut other) = place(MAX_WAIT);
        let writing = other.write(&Actor::system(), NOW).unwrap();
        // The first waits for the other program, the second for the first.
        for project in ["one", "two"] {
            let given_up = timeout(Duration::from_millis(50), add(&keeper, project)).await;
            assert!(given_up.is_err());
        }
        drop(writing);
        add(&keeper, "three").await.unwrap();
        assert_eq!(projects(&other), ["three"]);
    }

    #[tokio::test]
    async fn nobody_waits_for_others_longer_than_is_said() {
        let (_folder, keeper, mut other) = place(Duration::from_millis(50));
        let writing = other.write(&Actor::system(), NOW).unwrap();
        let both = tokio::join!(add(&keeper, "one"), add(&keeper, "two"));
        for given_up in [both.0, both.1] {
            assert_eq!(given_up.unwrap_err().reason(), "store_busy");
        }
        drop(writing);
        assert!(projects(&other).is_empty());
        add(&keeper, "three").await.unwrap();
    }
}

//! The store as the admin address uses it: one who writes at a time, a few who
//! read beside, all of them on threads that may wait.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::ServerSecret;
use store::{Actor, Store, StoreError, Writer};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::problem::Problem;

/// Readers at a time; kept open for the next.
const READERS: usize = 8;
/// The longest that a change waits for another program's, less than an answer
/// may take.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The store, shared.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
}

struct Shared {
    path: PathBuf,
    secret: ServerSecret,
    /// How long a change waits while another program writes.
    wait: Duration,
    writer: Mutex<Store>,
    readers: Mutex<Vec<Store>>,
}

impl Keeper {
    /// Takes a store that is open for changes.
    pub(crate) fn new(store: Store, secret: ServerSecret, wait: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                path: store.path().to_path_buf(),
                secret,
                wait: wait.min(MAX_WAIT),
                writer: Mutex::new(store),
                readers: Mutex::default(),
            }),
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
    /// be written; or that of `then`.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        actor: Actor,
        now: u64,
        change: impl FnOnce(&mut Writer<'_>) -> Result<T, Problem> + Send + 'static,
        then: impl FnOnce(T) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let shared = Arc::clone(&self.shared);
        on_a_thread(move || shared.write(&actor, now, change).and_then(then)).await
    }

    /// As [`read`](Self::read), on a thread that may wait already.
    pub(crate) fn read_here<T, E: From<StoreError>>(
        &self,
        look: impl FnOnce(&Store) -> Result<T, E>,
    ) -> Result<T, E> {
        self.shared.read(look)
    }

    /// [`Store::forget_requests`], on a thread that may wait already.
    pub(crate) fn forget_requests_here(&self, now: u64) -> Result<usize, StoreError> {
        lock(&self.shared.writer).forget_requests(now)
    }
}

impl Shared {
    fn read<T, E: From<StoreError>>(
        &self,
        look: impl FnOnce(&Store) -> Result<T, E>,
    ) -> Result<T, E> {
        let idle = lock(&self.readers).pop();
        let store = match idle {
            Some(store) => store,
            None => Store::open(&self.path, &self.secret)?,
        };
        let seen = look(&store)?;
        // One that has met an error is not used again.
        let mut readers = lock(&self.readers);
        if readers.len() < READERS {
            readers.push(store);
        }
        Ok(seen)
    }

    fn write<T>(
        &self,
        actor: &Actor,
        now: u64,
        change: impl FnOnce(&mut Writer<'_>) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let mut store = lock(&self.writer);
        let mut writer = store.write_within(actor, now, self.wait, || {})?;
        let changed = change(&mut writer)?;
        writer.commit()?;
        Ok(changed)
    }
}

/// A panic under one of the locks leaves whole stores: a change that was under
/// way was dropped with its transaction.
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

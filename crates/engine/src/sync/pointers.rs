//! What the engine uses of `crossbeam-epoch`'s pointers, over loom's words.
//!
//! Loom sees words and cells, not memory. So beside each value lies a cell that
//! is read where a pointer to it is followed, and written where it is freed: loom
//! reports whoever follows a pointer without having acquired what it points at,
//! and whoever frees what may still be read.
//!
//! That crate can stand on loom's words by itself, but they take no turns there,
//! and what is freed is gone: to read it is undefined, and not a fault that is
//! found.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

use loom::alloc::Track;
use loom::cell::UnsafeCell;
use loom::sync::atomic::Ordering;

use super::AtomicU64;

/// The bits of an address that are a tag's.
const TAG: u64 = 0b11;

/// How many values that were freed keep their memory: more than one run of a
/// model frees. So whoever follows a pointer too late is told so, and does not
/// find what came in its place.
const KEPT: usize = 256;

thread_local! {
    /// The memory of what was freed: all threads of a model are one.
    static FREED: RefCell<VecDeque<Box<dyn Any>>> = const { RefCell::new(VecDeque::new()) };
}

/// A value in memory of its own.
#[repr(C, align(8))]
struct Held<T> {
    /// First, so that its address is the whole's.
    value: ManuallyDrop<T>,
    reads: UnsafeCell<()>,
    /// Until it is freed. Loom reports what is forgotten.
    lives: RefCell<Option<Track<()>>>,
}

impl<T> Held<T> {
    fn read(&self) {
        assert!(self.lives.borrow().is_some(), "read after free");
        self.reads.with(|_| ());
    }
}

/// `crossbeam_epoch::Guard`.
pub(crate) struct Guard(());

/// `crossbeam_epoch::unprotected`.
///
/// # Safety
///
/// None is needed here: it is unsafe as that one is.
pub(crate) unsafe fn unprotected() -> &'static Guard {
    &Guard(())
}

/// `crossbeam_epoch::Atomic`.
pub(crate) struct Atomic<T> {
    word: AtomicU64,
    to: PhantomData<T>,
}

/// `crossbeam_epoch::Shared`.
pub(crate) struct Shared<'g, T> {
    word: u64,
    to: PhantomData<&'g T>,
}

/// `crossbeam_epoch::Owned`.
pub(crate) struct Owned<T: 'static> {
    word: u64,
    to: PhantomData<Box<T>>,
}

/// `crossbeam_epoch::Pointer`.
pub(crate) trait Pointer<T> {
    fn word(&self) -> u64;
}

impl<T: 'static> Atomic<T> {
    pub(crate) fn new(value: T) -> Self {
        let owned = ManuallyDrop::new(Owned::new(value));
        Self::of(owned.word)
    }

    pub(crate) fn null() -> Self {
        Self::of(0)
    }

    fn of(word: u64) -> Self {
        Self {
            word: AtomicU64::new(word),
            to: PhantomData,
        }
    }

    pub(crate) fn load<'g>(&self, ordering: Ordering, _: &'g Guard) -> Shared<'g, T> {
        Shared::of(self.word.load(ordering))
    }

    pub(crate) fn store(&self, new: impl Pointer<T>, ordering: Ordering) {
        self.word.store(new.word(), ordering);
        std::mem::forget(new);
    }

    pub(crate) fn fetch_or<'g>(
        &self,
        tag: usize,
        ordering: Ordering,
        _: &'g Guard,
    ) -> Shared<'g, T> {
        Shared::of(self.word.fetch_or(tag as u64 & TAG, ordering))
    }

    pub(crate) fn compare_exchange<'g, P: Pointer<T>>(
        &self,
        current: Shared<'_, T>,
        new: P,
        success: Ordering,
        failure: Ordering,
        _: &'g Guard,
    ) -> Result<Shared<'g, T>, P> {
        let word = new.word();
        match self
            .word
            .compare_exchange(current.word, word, success, failure)
        {
            Ok(_) => {
                std::mem::forget(new);
                Ok(Shared::of(word))
            }
            Err(_) => Err(new),
        }
    }

    /// # Safety
    ///
    /// It is not null, and nobody else reaches or frees what it points at.
    pub(crate) unsafe fn into_owned(self) -> Owned<T> {
        // SAFETY: as our own caller promises.
        unsafe { self.try_into_owned() }.expect("it points at something")
    }

    /// # Safety
    ///
    /// Nobody else reaches or frees what it points at.
    pub(crate) unsafe fn try_into_owned(self) -> Option<Owned<T>> {
        // SAFETY: it is ours, so nobody writes it; loom reports who did.
        let word = unsafe { self.word.unsync_load() } & !TAG;
        let to = PhantomData;
        (word != 0).then(|| Owned { word, to })
    }
}

impl<T: 'static> From<Shared<'_, T>> for Atomic<T> {
    fn from(shared: Shared<'_, T>) -> Self {
        Self::of(shared.word)
    }
}

impl<'g, T: 'static> Shared<'g, T> {
    pub(crate) fn null() -> Self {
        Self::of(0)
    }

    fn of(word: u64) -> Self {
        Self {
            word,
            to: PhantomData,
        }
    }

    pub(crate) fn tag(&self) -> usize {
        (self.word & TAG) as usize
    }

    pub(crate) fn with_tag(&self, tag: usize) -> Self {
        Self::of(self.word & !TAG | tag as u64 & TAG)
    }

    pub(crate) fn is_null(&self) -> bool {
        self.word & !TAG == 0
    }

    /// # Safety
    ///
    /// As `as_ref`, and it is not null.
    pub(crate) unsafe fn deref(&self) -> &'g T {
        // SAFETY: as our own caller promises.
        unsafe { self.as_ref() }.expect("it points at something")
    }

    /// # Safety
    ///
    /// It is null, or made of an `Owned` that is not freed before `'g` ends. If
    /// it was freed in the same run of the model, this panics.
    pub(crate) unsafe fn as_ref(&self) -> Option<&'g T> {
        let held = (self.word & !TAG) as *const Held<T>;
        // SAFETY: made by `Owned::new`, which alone makes words that are not
        // null; and kept for some time after it was freed.
        let held = unsafe { held.as_ref() }?;
        held.read();
        Some(&held.value)
    }
}

impl<T> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<'_, T> {}

impl<T> From<*const T> for Shared<'_, T> {
    /// Of what lies in an `Owned`: there the value comes first.
    fn from(value: *const T) -> Self {
        Self {
            word: value.expose_provenance() as u64,
            to: PhantomData,
        }
    }
}

impl<T: 'static> Pointer<T> for Shared<'_, T> {
    fn word(&self) -> u64 {
        self.word
    }
}

impl<T: 'static> Owned<T> {
    pub(crate) fn new(value: T) -> Self {
        let held = Box::into_raw(Box::new(Held {
            value: ManuallyDrop::new(value),
            reads: UnsafeCell::new(()),
            lives: RefCell::new(Some(Track::new(()))),
        }));
        Self {
            word: held.expose_provenance() as u64,
            to: PhantomData,
        }
    }

    fn held(&self) -> *mut Held<T> {
        self.word as *mut Held<T>
    }
}

impl<T: 'static> Pointer<T> for Owned<T> {
    fn word(&self) -> u64 {
        self.word
    }
}

impl<T: 'static> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: made by `new`, and freed when this is dropped.
        let held = unsafe { &*self.held() };
        held.read();
        &held.value
    }
}

impl<T: 'static> DerefMut for Owned<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: made by `new`, and nobody else's until this is dropped.
        let held = unsafe { &mut *self.held() };
        held.read();
        &mut held.value
    }
}

impl<T: 'static> Drop for Owned<T> {
    fn drop(&mut self) {
        // Where a model fails, each thread's end may find what another had
        // begun: one report is enough.
        if std::thread::panicking() {
            return;
        }
        // SAFETY: made by `new`; those who held a pointer to it are gone, as
        // whoever made this `Owned` promised. Were they not, its memory would
        // still be there, and loom reports them.
        let mut held = unsafe { Box::from_raw(self.held()) };
        let lives = held.lives.take();
        assert!(lives.is_some(), "freed twice");
        held.reads.with_mut(|_| ());
        // SAFETY: once alone, for it lived until now.
        unsafe { ManuallyDrop::drop(&mut held.value) };
        FREED.with_borrow_mut(|freed| {
            freed.push_back(held);
            if freed.len() > KEPT {
                freed.pop_front();
            }
        });
    }
}

//! Words whose every step is one that shuttle schedules.
//!
//! Shuttle's own atomics are larger than a word, and the ledger's lines are words
//! of a mapping. All of its threads run in turn on one of the system's; so what
//! it needs is to be asked, before each step, who comes next.

use std::ops::Deref;
use std::sync::atomic::{self, Ordering};

use shuttle::sync::atomic::AtomicBool;

thread_local! {
    /// One of shuttle's own words, which nobody writes. Each of the system's
    /// threads has one, for it runs tests of its own.
    static ASKED: AtomicBool = const { AtomicBool::new(false) };
}

/// Lets shuttle choose who takes the next step: to load the word asks it.
pub(crate) fn step() {
    // SeqCst: shuttle warns of all others that it takes them for this one.
    ASKED.with(|asked| asked.load(Ordering::SeqCst));
}

/// The standard library's atomic.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct AtomicU32(atomic::AtomicU32);

/// Likewise.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct AtomicU64(atomic::AtomicU64);

/// Likewise.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct AtomicPtr<T>(atomic::AtomicPtr<T>);

impl AtomicU32 {
    pub(crate) const fn new(value: u32) -> Self {
        Self(atomic::AtomicU32::new(value))
    }
}

impl AtomicU64 {
    pub(crate) const fn new(value: u64) -> Self {
        Self(atomic::AtomicU64::new(value))
    }
}

impl<T> AtomicPtr<T> {
    pub(crate) const fn new(value: *mut T) -> Self {
        Self(atomic::AtomicPtr::new(value))
    }
}

/// Asks first: once for each step, for each is a method of the word.
impl Deref for AtomicU32 {
    type Target = atomic::AtomicU32;

    fn deref(&self) -> &atomic::AtomicU32 {
        step();
        &self.0
    }
}

/// Likewise.
impl Deref for AtomicU64 {
    type Target = atomic::AtomicU64;

    fn deref(&self) -> &atomic::AtomicU64 {
        step();
        &self.0
    }
}

/// Likewise.
impl<T> Deref for AtomicPtr<T> {
    type Target = atomic::AtomicPtr<T>;

    fn deref(&self) -> &atomic::AtomicPtr<T> {
        step();
        &self.0
    }
}

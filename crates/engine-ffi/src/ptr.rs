//! Pointers from C, turned into references and back: the one file that does.
//!
//! What can be checked is: NULL, alignment, lengths, sizes of structs, UTF-8.
//! What cannot be, that memory is there and is left alone, each caller promises
//! once, by [`Caller::trusted`]; its lifetime keeps what is borrowed within the
//! call.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::{ptr, slice, str};

use crate::bytes::{TK_MAX_BYTES, tk_bytes};
use crate::result::Refusal;
use crate::result::tk_result::{
    TK_ERR_LENGTH, TK_ERR_MISALIGNED, TK_ERR_NULL, TK_ERR_STRUCT, TK_ERR_UTF8,
};

/// A struct that says its own size, so that programs and libraries of
/// different versions understand each other.
///
/// # Safety
///
/// It is `repr(C)`, begins with its size as a `u32`, and is valid for all bits:
/// its members are integers and raw pointers.
pub(crate) unsafe trait Described: Copy {
    /// Its size in the first version.
    const LEAST: usize;
}

/// The promise of a caller from C, for the length of one call.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a>(PhantomData<&'a ()>);

impl<'a> Caller<'a> {
    /// Takes the caller at its word.
    ///
    /// # Safety
    ///
    /// For the lifetime `'a`: each pointer that is handed to the methods, or
    /// lies in what they return, is NULL, misaligned, or points to memory of
    /// the length that goes with it, which may be read (or written, for an
    /// output) and which nothing else writes (or reads). Inputs are
    /// initialised.
    pub(crate) unsafe fn trusted() -> Self {
        Self(PhantomData)
    }

    /// The bytes that were lent; `None` where there is nothing at all.
    #[inline(always)]
    pub(crate) fn bytes(self, lent: tk_bytes, what: &str) -> Result<Option<&'a [u8]>, Refusal> {
        if lent.data.is_null() {
            return if lent.len == 0 {
                Ok(None)
            } else {
                Err(null(what))
            };
        }
        if lent.len > TK_MAX_BYTES {
            return Err(too_long(what));
        }
        // SAFETY: not NULL, bytes need no alignment, the length is below
        // `isize::MAX`; the caller promises the rest.
        Ok(Some(unsafe {
            slice::from_raw_parts(lent.data.cast(), lent.len)
        }))
    }

    /// The text that was lent; `None` where there is nothing at all.
    pub(crate) fn text(self, lent: tk_bytes, what: &str) -> Result<Option<&'a str>, Refusal> {
        let Some(bytes) = self.bytes(lent, what)? else {
            return Ok(None);
        };
        str::from_utf8(bytes)
            .map(Some)
            .map_err(|_| Refusal::told(TK_ERR_UTF8, format!("{what} is not UTF-8")))
    }

    /// A struct that says its size. That of this version is borrowed; one of
    /// another is brought into `place`, where members that it does not have are
    /// zero. A larger one is taken if what is behind is zero.
    #[inline(always)]
    pub(crate) fn described<'p, T: Described>(
        self,
        from: *const T,
        place: &'p mut MaybeUninit<T>,
        what: &str,
    ) -> Result<&'p T, Refusal>
    where
        'a: 'p,
    {
        let size = self.size_of(from, what)?;
        if size == size_of::<T>() {
            // SAFETY: not NULL, aligned, as large as `T`, which is valid for
            // all bits; the caller promises the rest.
            return Ok(unsafe { &*from });
        }
        self.described_otherwise(from, size, place, what)
    }

    /// A copy of a struct that says its size, as [`described`](Self::described).
    pub(crate) fn copied<T: Described>(self, from: *const T, what: &str) -> Result<T, Refusal> {
        let mut place = MaybeUninit::uninit();
        self.described(from, &mut place, what).copied()
    }

    /// The size that a struct says it has.
    #[inline(always)]
    fn size_of<T: Described>(self, from: *const T, what: &str) -> Result<usize, Refusal> {
        check(from, what)?;
        // SAFETY: not NULL and aligned; every `Described` begins with a `u32`.
        Ok(unsafe { from.cast::<u32>().read() } as usize)
    }

    #[cold]
    fn described_otherwise<'p, T: Described>(
        self,
        from: *const T,
        size: usize,
        place: &'p mut MaybeUninit<T>,
        what: &str,
    ) -> Result<&'p T, Refusal> {
        let (least, own) = (T::LEAST, size_of::<T>());
        if !(least..=MAX_STRUCT).contains(&size) {
            return Err(Refusal::told(
                TK_ERR_STRUCT,
                format!(
                    "{what} says a size of {size} bytes, but {least} to {MAX_STRUCT} are known: \
                     set its member size to its sizeof, as {what}_init does"
                ),
            ));
        }
        if size > own {
            let behind = from.cast::<u8>().wrapping_add(own);
            // SAFETY: the caller promises as many bytes as the struct says.
            let behind = unsafe { slice::from_raw_parts(behind, size - own) };
            if behind.iter().any(|&byte| byte != 0) {
                return Err(Refusal::told(
                    TK_ERR_STRUCT,
                    format!(
                        "{what} sets members that this version of the library does not have: \
                         use a newer libtokenkit, or leave them zero"
                    ),
                ));
            }
        }
        *place = MaybeUninit::zeroed();
        // SAFETY: both are as long as the shorter of the two; `place` is ours.
        unsafe {
            ptr::copy_nonoverlapping(
                from.cast::<u8>(),
                place.as_mut_ptr().cast::<u8>(),
                size.min(own),
            );
        }
        // SAFETY: every byte is a copied or a zero one, and all bits are valid.
        Ok(unsafe { place.assume_init_ref() })
    }

    /// Changes a struct that says its size, as far as the caller's version
    /// goes; where `change` fails, nothing is changed.
    pub(crate) fn change<T: Described>(
        self,
        own: *mut T,
        what: &str,
        change: impl FnOnce(&mut T) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut copy = self.copied(own, what)?;
        let size = self.size_of(own, what)?.min(size_of::<T>());
        change(&mut copy)?;
        // SAFETY: `own` is as long as it says, which was checked; `copy` is
        // ours, and at least as long.
        unsafe {
            ptr::copy_nonoverlapping(ptr::from_ref(&copy).cast::<u8>(), own.cast::<u8>(), size);
        }
        Ok(())
    }

    /// The structs of an array, each of the size that the first says.
    pub(crate) fn each<T: Described>(
        self,
        from: *const T,
        count: usize,
        what: &'static str,
    ) -> Result<Each<'a, T>, Refusal> {
        let stride = match count {
            0 => 0,
            _ => self.size_of(from, what)?,
        };
        // One whose end cannot be told is no array.
        if count.checked_mul(stride).is_none_or(|all| all > MAX_SPAN) {
            return Err(too_long(what));
        }
        if count > 0 && (stride < T::LEAST || !stride.is_multiple_of(align_of::<T>())) {
            // Says what is wrong with the size.
            self.copied(from, what)?;
        }
        Ok(Each {
            caller: self,
            from,
            stride,
            left: count,
            what,
        })
    }

    /// The place of an output, NULL refused, for who fills it bit by bit.
    #[inline(always)]
    pub(crate) fn place<T: Copy>(
        self,
        to: *mut T,
        what: &str,
    ) -> Result<&'a mut MaybeUninit<T>, Refusal> {
        check(to, what)?;
        // SAFETY: not NULL, aligned, and uninitialised is what `MaybeUninit` is
        // for; the caller promises the rest.
        Ok(unsafe { &mut *to.cast::<MaybeUninit<T>>() })
    }

    /// A place for an output, NULL refused.
    pub(crate) fn out<T: Copy>(self, to: *mut T, what: &str) -> Result<Out<'a, T>, Refusal> {
        check(to, what)?;
        Ok(Out(to, PhantomData))
    }

    /// A place for an output that is not wanted where it is NULL.
    pub(crate) fn optional<T: Copy>(
        self,
        to: *mut T,
        what: &str,
    ) -> Result<Option<Out<'a, T>>, Refusal> {
        match to.is_null() {
            true => Ok(None),
            false => self.out(to, what).map(Some),
        }
    }

    /// A struct to read, of a size that never changes.
    #[inline]
    pub(crate) fn fixed<T: Fixed>(self, from: *const T, what: &str) -> Result<&'a T, Refusal> {
        check(from, what)?;
        // SAFETY: not NULL, aligned, valid for all bits; the caller promises
        // the rest.
        Ok(unsafe { &*from })
    }

    /// Space to write bytes to.
    pub(crate) fn space(
        self,
        to: *mut u8,
        len: usize,
        what: &str,
    ) -> Result<&'a mut [MaybeUninit<u8>], Refusal> {
        if to.is_null() {
            return match len {
                0 => Ok(&mut []),
                _ => Err(null(what)),
            };
        }
        if len > MAX_SPAN {
            return Err(too_long(what));
        }
        // SAFETY: not NULL, bytes need no alignment, and uninitialised ones are
        // what `MaybeUninit` is for; the caller promises the rest.
        Ok(unsafe { slice::from_raw_parts_mut(to.cast(), len) })
    }

    /// Writes an output wherever it lies, aligned or not; nothing to NULL. For
    /// what must deny whatever else is wrong.
    #[inline]
    pub(crate) fn write<T: Copy>(self, to: *mut T, value: &T) {
        if !to.is_null() {
            // SAFETY: not NULL; the caller promises the rest, but for the
            // alignment, which this needs not.
            unsafe { to.write_unaligned(*value) };
        }
    }

    /// Writes the same to each place of an array, or nothing where it is NULL
    /// or has no end that can be told.
    pub(crate) fn write_all<T: Copy>(self, to: *mut T, count: usize, value: &T) {
        // The places behind a NULL are not.
        if to.is_null() {
            return;
        }
        let fits = count
            .checked_mul(size_of::<T>())
            .is_some_and(|all| all <= MAX_SPAN);
        if fits {
            for index in 0..count {
                self.write(to.wrapping_add(index), value);
            }
        }
    }

    /// An array of places to write to.
    pub(crate) fn places<T: Copy>(
        self,
        to: *mut T,
        count: usize,
        what: &str,
    ) -> Result<&'a mut [MaybeUninit<T>], Refusal> {
        if count == 0 {
            return Ok(&mut []);
        }
        check(to, what)?;
        if count
            .checked_mul(size_of::<T>())
            .is_none_or(|all| all > MAX_SPAN)
        {
            return Err(too_long(what));
        }
        // SAFETY: not NULL, aligned, of a length that an array can have, and
        // uninitialised is what `MaybeUninit` is for; the caller promises the
        // rest.
        Ok(unsafe { slice::from_raw_parts_mut(to.cast::<MaybeUninit<T>>(), count) })
    }
}

/// A struct that is read as it is.
///
/// # Safety
///
/// It is `repr(C)` and valid for all bits.
pub(crate) unsafe trait Fixed: Copy {}

/// A place for one output, which is there.
pub(crate) struct Out<'a, T>(*mut T, PhantomData<&'a mut T>);

impl<T: Copy> Out<'_, T> {
    /// Writes it.
    #[inline]
    pub(crate) fn write(self, value: T) {
        // SAFETY: `Caller::out` has checked NULL and alignment; the caller
        // promises the rest.
        unsafe { self.0.write(value) }
    }
}

/// Structs of an array, each of which may be wrong by itself.
#[derive(Clone)]
pub(crate) struct Each<'a, T> {
    caller: Caller<'a>,
    from: *const T,
    stride: usize,
    left: usize,
    what: &'static str,
}

impl<T: Described> Iterator for Each<'_, T> {
    type Item = Result<T, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let this = self.from;
        self.from = this.wrapping_byte_add(self.stride);
        Some(match self.caller.size_of(this, self.what) {
            Ok(size) if size != self.stride => Err(Refusal::told(
                TK_ERR_STRUCT,
                format!("the sizes that the {} of one array say differ", self.what),
            )),
            Ok(_) => self.caller.copied(this, self.what),
            Err(refusal) => Err(refusal),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: Described> ExactSizeIterator for Each<'_, T> {}

/// Neither NULL nor misaligned.
#[inline(always)]
fn check<T>(pointer: *const T, what: &str) -> Result<(), Refusal> {
    if pointer.is_null() {
        return Err(null(what));
    }
    if !pointer.is_aligned() {
        return Err(misaligned::<T>(what));
    }
    Ok(())
}

#[cold]
fn null(what: &str) -> Refusal {
    Refusal::told(TK_ERR_NULL, format!("{what} is NULL"))
}

#[cold]
fn misaligned<T>(what: &str) -> Refusal {
    Refusal::told(
        TK_ERR_MISALIGNED,
        format!("{what} is not aligned to {} bytes", align_of::<T>()),
    )
}

#[cold]
fn too_long(what: &str) -> Refusal {
    Refusal::told(TK_ERR_LENGTH, format!("{what} is too long"))
}

/// The most bytes in one object, by the rules of Rust and of most C compilers.
const MAX_SPAN: usize = isize::MAX as usize;
/// The largest struct that is looked at: a page.
const MAX_STRUCT: usize = 4096;

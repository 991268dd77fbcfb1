//! A ledger's file: made whole or not at all, opened only if it fits, mapped
//! into each process that shares it.
//!
//! Its space is reserved before anything is counted in it, so that a full disk
//! is an error where the file grows and never a fault where it is written. What
//! was written is in the system's cache: it outlives the process, whatever ends
//! that. If the machine itself stops, up to half a minute of counts is lost, as
//! the system is set to write back.
//!
//! Every process holds the file under a shared lock of the system, by which
//! nobody waits for anybody: it shows `reset` that the file is in use.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};

use super::guard::Guard;
use super::header::{CONTROL_AT, HEADER_BYTES, Header, LONGEST_PAGE};
use super::region::Line;
use super::{LedgerError, LedgerFault};
use crate::memory::Reserved;
use crate::sync::AtomicU64;

/// Lines in what is mapped apart.
const PAGE_LINES: u64 = LONGEST_PAGE as u64 / 64;
/// The least by which a file grows: 1 MiB.
const LEAST_STEP: u64 = 16 * PAGE_LINES;
/// How often a file that is replaced while we open it is tried again.
const TRIES: usize = 16;
/// Bytes that a line takes.
const LINE: u64 = 64;

/// The file, and where it lies.
pub(super) struct LedgerFile {
    // Before the memory that it guards: fields are dropped in this order.
    guard: Guard,
    reserved: Reserved,
    file: File,
    /// Where it was found: absolute, for the process may go elsewhere.
    path: PathBuf,
    /// Where the file was found to end when it was found cut short.
    ends_at: AtomicU64,
}

/// Whether others may have the file open beside us.
#[derive(Clone, Copy)]
enum Sharing {
    Shared,
    Alone,
}

impl LedgerFile {
    /// Opens a file that is there and maps it. Address space is set aside for
    /// `area_lines` lines of its area.
    pub(super) fn open(path: &Path, area_lines: u64) -> Result<(Self, Header), LedgerError> {
        Self::of_open(locked(path, Sharing::Shared)?, path, area_lines)
    }

    /// The same for a file that is open already.
    pub(super) fn of_open(
        file: File,
        path: &Path,
        area_lines: u64,
    ) -> Result<(Self, Header), LedgerError> {
        let io = |doing| move |cause: io::Error| LedgerError::io(path, doing, cause);
        let metadata = file.metadata().map_err(io("look at"))?;
        if !metadata.is_file() {
            return Err(LedgerError::Foreign(path.into()));
        }
        if metadata.mode() & 0o002 != 0 {
            return Err(LedgerError::OpenToAll(path.into()));
        }
        let header = header_of(&file, path)?;
        if let Some(owner) = stranger(path, &metadata) {
            let path = path.into();
            return Err(LedgerError::Owner { path, owner });
        }
        let least = (header.area_at() as u64)
            .saturating_add(room_in(&file, path)?)
            .saturating_mul(LINE);
        if metadata.len() < least {
            return Err(LedgerError::CutShort(path.into()));
        }
        // What it has, and that much again. Not what it says that it has, which
        // is older than its length if the machine stopped after it had grown:
        // keys that came last would lie beyond our reach.
        let bytes = area_lines.next_multiple_of(PAGE_LINES).saturating_mul(LINE);
        let bytes = usize::try_from(metadata.len().saturating_add(bytes));
        let bytes = bytes.map_err(|_| io("map")(io::ErrorKind::OutOfMemory.into()))?;
        let reserved = Reserved::new(bytes).map_err(io("set address space aside for"))?;
        let guard =
            Guard::new(reserved.start().addr().get(), bytes, file.as_fd()).map_err(io("guard"))?;
        let opened = Self {
            guard,
            reserved,
            file,
            path: std::path::absolute(path).map_err(io("name"))?,
            ends_at: AtomicU64::new(u64::MAX),
        };
        opened.map_all().map_err(io("map"))?;
        // So that nothing read from here on lies beyond its end, unless it is
        // cut short later: that is the guard's part.
        if (opened.reserved.mapped() as u64) < least {
            return Err(LedgerError::CutShort(path.into()));
        }
        Ok((opened, header))
    }

    /// Makes a file of a header and of so much room, unless one is there.
    pub(super) fn create(path: &Path, header: &Header, room: u64) -> Result<(), LedgerError> {
        let io = |cause| LedgerError::io(path, "make", cause);
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // Under another name first, so that nobody finds it half made, and if
        // we are killed nothing but that is left. Its owner's alone: 0600.
        let made = tempfile::Builder::new()
            .prefix(".ledger-")
            .tempfile_in(folder)
            .map_err(io)?;
        let lines = header.area_at() as u64 + room;
        reserve(made.as_file(), 0, lines * LINE).map_err(io)?;
        let mut control = [0; 16];
        control[..8].copy_from_slice(&room.to_ne_bytes());
        // The first line is nobody's.
        control[8..].copy_from_slice(&1_u64.to_ne_bytes());
        made.as_file()
            .write_all_at(&header.bytes(), 0)
            .and_then(|()| {
                made.as_file()
                    .write_all_at(&control, CONTROL_AT as u64 * LINE)
            })
            .and_then(|()| made.as_file().sync_all())
            .map_err(io)?;
        match made.persist_noclobber(path) {
            Ok(_) => Ok(()),
            // Another process was first, and its file is as good.
            Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(refused) => Err(io(refused.error)),
        }
    }

    /// The lines that are mapped.
    pub(super) fn lines(&self) -> &[Line] {
        let start = self.reserved.start().cast::<Line>();
        let lines = self.reserved.mapped() / size_of::<Line>();
        // SAFETY: so much is mapped, at a place that stays as long as `self`
        // and begins with a page, so is aligned to 64. Any bytes are valid as
        // `AtomicU64`s, and all access, by whatever process, is to these atomics
        // (but for the header, which never changes). A page that the file no
        // longer has is replaced by the guard.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), lines) }
    }

    /// Maps so many lines, if the file has them.
    pub(super) fn map(&self, lines: usize) -> Result<(), LedgerFault> {
        let mapped = || self.reserved.mapped() / size_of::<Line>();
        if mapped() >= lines {
            return Ok(());
        }
        self.map_all().map_err(|cause| no_room(&cause))?;
        if mapped() >= lines {
            Ok(())
        } else if lines > self.reserved.bytes() / size_of::<Line>() {
            Err(LedgerFault::TooLong)
        } else {
            Err(LedgerFault::CutShort)
        }
    }

    /// Maps all that the file has, as far as there is space.
    fn map_all(&self) -> io::Result<()> {
        let bytes = usize::try_from(self.file.metadata()?.len()).unwrap_or(usize::MAX);
        let whole = bytes / LONGEST_PAGE * LONGEST_PAGE;
        self.reserved.map(&self.file, whole)
    }

    /// Makes room for more lines than `lines` in an area that begins in line
    /// `area_at`, and says so in the word `room`. Several processes may do so at
    /// once: what is reserved twice is not changed by it.
    pub(super) fn grow(
        &self,
        area_at: usize,
        lines: u64,
        room: &AtomicU64,
    ) -> Result<(), LedgerFault> {
        // Acquire pairs with the Release below: the file is as long as another
        // says.
        let before = room.load(Ordering::Acquire);
        if before > lines {
            return Ok(());
        }
        // Nobody takes a line that there is no room for.
        if before < lines {
            return Err(LedgerFault::Damaged);
        }
        let after = before.saturating_add(LEAST_STEP.max(before / 2));
        // Beyond it there is no number for a line. Nodes are counted by twos.
        if after > u64::from(u32::MAX / 2) {
            return Err(LedgerFault::TooLong);
        }
        let after = after.next_multiple_of(PAGE_LINES);
        let area_at = area_at as u64;
        // Never what the file has already, not even by another's doing: all of
        // it may be in use.
        let has = self.file.metadata().map_err(|cause| no_room(&cause))?.len();
        if has < area_at.saturating_add(before).saturating_mul(LINE) {
            return Err(LedgerFault::CutShort);
        }
        let wanted = (area_at + after) * LINE;
        let reserved = match wanted.checked_sub(has) {
            Some(more) if more > 0 => reserve(&self.file, has, more),
            _ => Ok(()),
        };
        // The length is on the disk before the room that it makes is told, should
        // the machine stop between the two; also where it is another's doing, who
        // has not come as far yet.
        reserved
            .and_then(|()| self.file.sync_all())
            .map_err(|cause| no_room(&cause))?;
        // Release: who sees the room finds the file as long.
        room.fetch_max(after, Ordering::Release);
        Ok(())
    }

    /// What is wrong with the file by now. Two system calls.
    pub(super) fn fault(&self) -> Option<LedgerFault> {
        // First: a file grows before more of it is mapped.
        let mapped = self.reserved.mapped();
        let now = self.file.metadata().ok()?;
        let bytes = usize::try_from(now.len()).unwrap_or(usize::MAX);
        let is_short = bytes < mapped;
        // Relaxed: one of those who ask at once does what is to be done.
        if is_short && self.ends_at.swap(bytes as u64, Ordering::Relaxed) != bytes as u64 {
            // Of the page that the file now ends in the rest has become zeroes,
            // without a signal: full budgets. Those behind it signal when touched.
            self.guard
                .give_up(self.reserved.start().addr().get() + bytes);
        }
        if is_short || self.guard.has_lost() {
            return Some(LedgerFault::CutShort);
        }
        // Another in its place, or none: whoever starts now counts elsewhere.
        let named = std::fs::metadata(&self.path);
        let is_ours = named.is_ok_and(|named| (named.dev(), named.ino()) == (now.dev(), now.ino()));
        (!is_ours).then_some(LedgerFault::Replaced)
    }

    /// Writes all that was counted to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// The first line; it and those behind stay where they are.
    pub(super) fn start(&self) -> std::ptr::NonNull<Line> {
        self.reserved.start().cast()
    }

    /// How long the file is.
    pub(super) fn bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }
}

/// Reads the header of an open file.
pub(super) fn header_of(file: &File, path: &Path) -> Result<Header, LedgerError> {
    let mut bytes = [0; HEADER_BYTES];
    file.read_exact_at(&mut bytes, 0)
        .map_err(|cause| match cause.kind() {
            io::ErrorKind::UnexpectedEof => LedgerError::Foreign(path.into()),
            _ => LedgerError::io(path, "read", cause),
        })?;
    Header::parse(path, &bytes)
}

/// Opens a file that nobody else has open, nor will before it is closed.
pub(super) fn open_alone(path: &Path) -> Result<File, LedgerError> {
    locked(path, Sharing::Alone)
}

/// Opens the file that has the name, and shows that it is in use.
fn locked(path: &Path, sharing: Sharing) -> Result<File, LedgerError> {
    let io = |doing| move |cause: io::Error| LedgerError::io(path, doing, cause);
    let how = match sharing {
        Sharing::Shared => FlockOperation::NonBlockingLockShared,
        Sharing::Alone => FlockOperation::NonBlockingLockExclusive,
    };
    for _ in 0..TRIES {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            // A pipe would wait for somebody at its other end.
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
            .open(path)
            .map_err(|cause| match cause.kind() {
                io::ErrorKind::NotFound => LedgerError::Missing(path.into()),
                _ => LedgerError::io(path, "open", cause),
            })?;
        flock(&file, how).map_err(|cause| match cause {
            rustix::io::Errno::WOULDBLOCK => LedgerError::InUse(path.into()),
            _ => LedgerError::io(path, "lock", cause.into()),
        })?;
        // Between the two it may have been reset, and the name be another's.
        let ours = file.metadata().map_err(io("look at"))?;
        let named = std::fs::metadata(path);
        if named.is_ok_and(|named| named.dev() == ours.dev() && named.ino() == ours.ino()) {
            return Ok(file);
        }
    }
    Err(LedgerError::InUse(path.into()))
}

/// Lines that the file says it has room for in its area.
fn room_in(file: &File, path: &Path) -> Result<u64, LedgerError> {
    let mut word = [0; 8];
    file.read_exact_at(&mut word, CONTROL_AT as u64 * LINE)
        .map_err(|_| LedgerError::CutShort(path.into()))?;
    Ok(u64::from_ne_bytes(word))
}

/// Reserves bytes of a file, which grows by them; they are zeroes.
fn reserve(file: &File, from: u64, bytes: u64) -> io::Result<()> {
    // Not by way of the C library, which where the file system cannot reserve
    // writes zeroes, perhaps over what another process has counted meanwhile.
    rustix::io::retry_on_intr(|| fallocate(file, FallocateFlags::empty(), from, bytes))
        .map_err(io::Error::from)
}

/// The owner of a file in a folder that anybody may write to, or of which that
/// cannot be told, if it is somebody who could have made it there for us to find.
fn stranger(path: &Path, metadata: &std::fs::Metadata) -> Option<u32> {
    let owner = metadata.uid();
    // First: where the folder is takes longer to find out.
    if [0, rustix::process::geteuid().as_raw()].contains(&owner) {
        return None;
    }
    let found = std::fs::canonicalize(path).ok();
    let folder = found.and_then(|found| std::fs::metadata(found.parent()?).ok());
    let is_open = folder.is_none_or(|folder| folder.mode() & 0o002 != 0);
    is_open.then_some(owner)
}

fn no_room(cause: &io::Error) -> LedgerFault {
    LedgerFault::NoRoom(cause.raw_os_error().unwrap_or(0))
}

//! Which file a path leads to.

use std::io;
use std::path::Path;

/// A file's device and number, by which it is told from one that was put in
/// its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity(u64, u64);

impl FileIdentity {
    /// Whether a path leads to this file now.
    #[must_use]
    pub fn is_at(self, path: &Path) -> bool {
        Self::of(path).is_ok_and(|file| file == self)
    }

    /// The identity of the file that a path leads to now.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be reached.
    #[cfg(unix)]
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(path)?;
        Ok(Self(metadata.dev(), metadata.ino()))
    }

    /// Where the system lets no open file be replaced, there is nothing to tell.
    ///
    /// # Errors
    ///
    /// None.
    #[cfg(not(unix))]
    pub(crate) fn of(_path: &Path) -> io::Result<Self> {
        Ok(Self(0, 0))
    }
}

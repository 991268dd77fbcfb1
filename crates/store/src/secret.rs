//! The file of the server secret: 32 bytes as 64 hexadecimal digits and a line
//! break, readable by its owner alone.
//!
//! It lies outside the database, so that who copies one of the two has nothing.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use engine::ServerSecret;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// Digits of a secret.
const DIGITS: usize = 64;

/// Why the server secret could not be read or made. The text says what to do,
/// and shows nothing of the secret.
#[derive(Debug)]
#[non_exhaustive]
pub enum SecretFileError {
    /// There is no such file.
    Missing(PathBuf),
    /// There is one already; a secret is never overwritten.
    Exists(PathBuf),
    /// The file does not hold 64 hexadecimal digits.
    Form(PathBuf),
    /// Others than the owner may read or write the file.
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The system refused.
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The system gave no random bytes.
    Random(String),
}

/// Makes a secret and its file. Never overwrites one: of two processes that
/// start at once, one makes it, and the other finds it whole. On return the
/// file is on the disk.
///
/// # Errors
///
/// [`SecretFileError::Exists`], or what the system says.
pub fn create_secret_file(path: &Path) -> Result<ServerSecret, SecretFileError> {
    let io = |cause: io::Error| match cause.kind() {
        io::ErrorKind::AlreadyExists => SecretFileError::Exists(path.into()),
        _ => SecretFileError::Io {
            path: path.into(),
            cause,
        },
    };
    let secret =
        ServerSecret::generate().map_err(|cause| SecretFileError::Random(cause.to_string()))?;
    // Written under another name first. Such a file is its owner's alone.
    let mut file = NamedTempFile::with_prefix_in(".secret-", folder_of(path)).map_err(io)?;
    file.write_all(hex(secret.expose()).as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .map_err(io)?;
    file.persist_noclobber(path)
        .map_err(|refused| io(refused.error))?;
    sync_folder(path).map_err(io)?;
    Ok(secret)
}

/// Reads a secret.
///
/// # Errors
///
/// A missing file, one that others may read, or one that holds something else.
pub fn read_secret_file(path: &Path) -> Result<ServerSecret, SecretFileError> {
    let io = |cause: io::Error| match cause.kind() {
        io::ErrorKind::NotFound => SecretFileError::Missing(path.into()),
        _ => SecretFileError::Io {
            path: path.into(),
            cause,
        },
    };
    let file = File::open(path).map_err(io)?;
    check_owner_only(path, &file.metadata().map_err(io)?)?;
    // One byte more than the longest good file, CRLF included, shows a longer one.
    let mut text = Zeroizing::new(Vec::with_capacity(DIGITS + 3));
    file.take(DIGITS as u64 + 3)
        .read_to_end(&mut text)
        .map_err(io)?;
    unhex(text.trim_ascii_end())
        .map(|key| ServerSecret::from_bytes(*key))
        .ok_or_else(|| SecretFileError::Form(path.into()))
}

/// Makes a file that is opened for creation private to its owner.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// The folder that a file lies in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes a new name in a folder last: without it a crash could forget the file.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder_of(path))?.sync_all()
    } else {
        Ok(())
    }
}

#[cfg(unix)]
fn check_owner_only(path: &Path, metadata: &fs::Metadata) -> Result<(), SecretFileError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.is_dir() {
        return Err(SecretFileError::Form(path.into()));
    }
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(SecretFileError::TooOpen {
            path: path.into(),
            mode,
        })
    }
}

#[cfg(not(unix))]
fn check_owner_only(_path: &Path, _metadata: &fs::Metadata) -> Result<(), SecretFileError> {
    Ok(())
}

/// The file's content for a secret.
fn hex(key: &[u8; 32]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(DIGITS + 1));
    for byte in key {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text.push('\n');
    text
}

/// The secret that a file's content stands for.
fn unhex(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    if text.len() != DIGITS {
        return None;
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    let mut key = Zeroizing::new([0; 32]);
    for (place, pair) in key.iter_mut().zip(text.as_chunks::<2>().0) {
        *place = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(key)
}

impl fmt::Display for SecretFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(
                f,
                "the server secret {} is missing: name it with store.secret_file, or restore it from a backup",
                path.display()
            ),
            Self::Exists(path) => write!(
                f,
                "the server secret {} is there already and is never overwritten: move it away to make another",
                path.display()
            ),
            Self::Form(path) => write!(
                f,
                "{} holds no server secret: a file of 64 hexadecimal digits and a line break is wanted; \
                 restore it from a backup, or remove it if no key was made under it",
                path.display()
            ),
            Self::TooOpen { path, mode } => write!(
                f,
                "the server secret {0} may be read by others (mode {mode:04o}): run `chmod 600 {0}`",
                path.display()
            ),
            Self::Io { path, cause } => {
                write!(
                    f,
                    "the server secret {} cannot be used: {cause}",
                    path.display()
                )
            }
            Self::Random(cause) => write!(
                f,
                "the system gave no random bytes for a server secret: {cause}"
            ),
        }
    }
}

impl std::error::Error for SecretFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_it_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let made = create_secret_file(&path).unwrap();
        assert_eq!(read_secret_file(&path).unwrap().expose(), made.expose());
        assert!(matches!(
            create_secret_file(&path),
            Err(SecretFileError::Exists(_))
        ));
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!((text.len(), text.ends_with('\n')), (65, true));
        fs::write(&path, text.trim().to_uppercase() + "\r\n").unwrap();
        assert_eq!(read_secret_file(&path).unwrap().expose(), made.expose());
    }

    #[test]
    fn of_many_that_start_at_once_one_makes_it_and_all_find_it_whole() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("secret");
            let start = || match create_secret_file(&path) {
                Ok(made) => (true, made),
                Err(SecretFileError::Exists(_)) => (false, read_secret_file(&path).unwrap()),
                Err(error) => panic!("{error}"),
            };
            let found: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect()
            });
            assert_eq!(found.iter().filter(|(made, _)| *made).count(), 1);
            assert!(
                found
                    .iter()
                    .all(|(_, secret)| secret.expose() == found[0].1.expose())
            );
            let left = fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(left, 1, "nothing but the secret is left");
        }
    }

    #[test]
    fn what_is_no_secret_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        assert!(matches!(
            read_secret_file(&path),
            Err(SecretFileError::Missing(_))
        ));
        create_secret_file(&path).unwrap();
        for bad in [
            "",
            "\n",
            &"a".repeat(63),
            &"a".repeat(65),
            &"a".repeat(200),
            &"g".repeat(64),
            "c0ffee",
        ] {
            fs::write(&path, bad).unwrap();
            let error = read_secret_file(&path).unwrap_err();
            assert!(matches!(error, SecretFileError::Form(_)), "{bad}");
            assert!(bad.trim().is_empty() || !error.to_string().contains(bad));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        create_secret_file(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        for (mode, good) in [
            (0o400, true),
            (0o640, false),
            (0o604, false),
            (0o620, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = read_secret_file(&path);
            assert_eq!(read.is_ok(), good, "{mode:o}: {:?}", read.err());
        }
    }
}

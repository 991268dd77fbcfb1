//! Files and folders, whose failures name them.

use std::fs;
use std::path::Path;

use crate::shell::Failure;

/// Makes a folder that holds nothing, in place of one that may be there.
pub(crate) fn renewed(folder: &Path) -> Result<(), Failure> {
    let shown = folder.display();
    let failed = |error| Failure::found(format!("cannot make {shown} anew: {error}"));
    if folder.is_dir() {
        fs::remove_dir_all(folder).map_err(failed)?;
    }
    fs::create_dir_all(folder).map_err(failed)
}

/// Reads a file of text.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::found(format!("cannot read {}: {error}", path.display())))
}

/// Writes a file of text.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text)
        .map_err(|error| Failure::found(format!("cannot write {}: {error}", path.display())))
}

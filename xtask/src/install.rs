//! The program with its manual pages and completions, and `libtokenkit` where C
//! programs look for it: header, libraries, pkg-config.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::built;
use crate::header;
use crate::shell::{Failure, Program, root, target};

/// The number in the shared library's name: see the build script of
/// engine-ffi, which writes it into the library.
const SONAME: &str = "libtokenkit.so.0";

/// How all of it is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// As for use: optimised across all crates.
    Release,
    /// As the tests build it, with checks for overflow.
    Test,
}

impl Build {
    /// Builds; the folder in which all of it lies then.
    fn run(self) -> Result<PathBuf, Failure> {
        match self {
            // Without the library for Rust, which would rule out optimising
            // across crates.
            Self::Release => {
                Program::cargo("rustc --package engine-ffi --lib --release")
                    .words("--crate-type cdylib,staticlib")
                    .run()?;
                Program::cargo("build --package tokenkit --release").run()?;
                Ok(target().join("release"))
            }
            Self::Test => built::by_tests(),
        }
    }
}

/// Builds all and lays it out below a folder, which is made where it is missing:
/// `bin`, `share`, `include`, `lib` and `lib/pkgconfig`.
pub(crate) fn run(prefix: &Path, build: Build) -> Result<(), Failure> {
    header::run(true)?;
    let built = build.run()?;
    let native = native()?;
    let program = built.join("tokenkit");
    lay_out(prefix, &built, &native)
        .and_then(|()| lay_out_program(prefix, &program))
        .map_err(|error| {
            Failure::found(format!(
                "cannot install below {}: {error}",
                prefix.display()
            ))
        })?;
    let pages = prefix.join("share/man/man1");
    Program::new(&program.to_string_lossy())
        .words("man --out")
        .arg(pages.to_string_lossy())
        .run()?;
    for (shell, file) in COMPLETIONS {
        let script = Program::new(&program.to_string_lossy())
            .words("completions")
            .arg(shell)
            .output()?;
        write(&prefix.join(file), &script)
            .map_err(|error| Failure::found(format!("cannot write {file}: {error}")))?;
    }
    println!("installed below {}", prefix.display());
    Ok(())
}

/// The system's libraries that Rust's own wants; our crates and SQLite want none
/// beyond them, as the tests see that link statically.
pub(crate) fn native() -> Result<String, Failure> {
    let nothing = target().join("native-static-libs.a");
    let noted = Program::new("rustc")
        .words("--crate-type staticlib --crate-name nothing --print native-static-libs -o")
        .arg(nothing.to_string_lossy())
        .arg("-")
        .output()?;
    noted
        .lines()
        .find_map(|line| line.split_once("native-static-libs: "))
        .map(|(_, libraries)| libraries.trim().to_owned())
        .ok_or_else(|| Failure::found("rustc does not say which libraries the system has to add"))
}

/// `native` names the system's libraries that a program wants which is linked
/// with the static library.
fn lay_out(prefix: &Path, built: &Path, native: &str) -> io::Result<()> {
    let prefix = std::path::absolute(prefix)?;
    let (include, lib) = (prefix.join("include"), prefix.join("lib"));
    let pkgconfig = lib.join("pkgconfig");
    fs::create_dir_all(&include)?;
    fs::create_dir_all(&pkgconfig)?;
    let version = env!("CARGO_PKG_VERSION");
    fs::copy(
        root().join("crates/engine-ffi/include/tokenkit.h"),
        include.join("tokenkit.h"),
    )?;
    replace(&built.join("libengine_ffi.a"), &lib.join("libtokenkit.a"))?;
    let real = format!("libtokenkit.so.{version}");
    replace(&built.join("libengine_ffi.so"), &lib.join(&real))?;
    link(&real, &lib.join(SONAME))?;
    link(SONAME, &lib.join("libtokenkit.so"))?;
    fs::write(
        pkgconfig.join("tokenkit.pc"),
        description(&prefix, version, native),
    )
}

/// Where shells look for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/tokenkit"),
    ("zsh", "share/zsh/site-functions/_tokenkit"),
    ("fish", "share/fish/vendor_completions.d/tokenkit.fish"),
];

fn lay_out_program(prefix: &Path, program: &Path) -> io::Result<()> {
    let bin = prefix.join("bin");
    fs::create_dir_all(&bin)?;
    replace(program, &bin.join("tokenkit"))
}

/// Writes a file, and makes its folder where it is missing.
fn write(file: &Path, text: &str) -> io::Result<()> {
    file.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(file, text)
}

/// A new file in the place of one that a running program may have mapped.
fn replace(from: &Path, to: &PathBuf) -> io::Result<()> {
    remove(to)?;
    fs::copy(from, to).map(|_| ())
}

#[cfg(unix)]
fn link(to: &str, name: &Path) -> io::Result<()> {
    remove(name)?;
    std::os::unix::fs::symlink(to, name)
}

#[cfg(not(unix))]
fn link(_to: &str, _name: &Path) -> io::Result<()> {
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What `pkg-config` reads.
fn description(prefix: &Path, version: &str, native: &str) -> String {
    format!(
        "prefix={}\n\
         includedir=${{prefix}}/include\n\
         libdir=${{prefix}}/lib\n\
         \n\
         Name: tokenkit\n\
         Description: API-key decisions: allowed, 401, 403 or 429, and why\n\
         Version: {version}\n\
         Cflags: -I${{includedir}}\n\
         Libs: -L${{libdir}} -ltokenkit\n\
         Libs.private: {native}\n",
        prefix.display()
    )
}

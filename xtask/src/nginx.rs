//! The nginx module: built against the nginx of this machine, and tested under
//! it.

use std::path::{Path, PathBuf};

use crate::built;
use crate::shell::{Failure, Program, root, target};

/// Where the module's sources are.
const MODULE: &str = "crates/engine-ffi/examples/nginx";
const INSTALL: &str = "apt-get install nginx-light nginx-dev gcc make (or your system's like)";
const INSTALL_VALGRIND: &str = "apt-get install valgrind (or your system's like)";

/// Builds the module and what it is tested with, and runs the tests, all or
/// those whose names hold a filter.
pub(crate) fn run(filter: Option<&str>) -> Result<(), Failure> {
    if !Program::new("nginx").arg("-v").succeeds() {
        return Err(Failure::missing("nginx", INSTALL));
    }
    if !Program::new("valgrind").arg("--version").succeeds() {
        return Err(Failure::missing("valgrind", INSTALL_VALGRIND));
    }
    let built = built::by_tests()?;
    let module = build(&built.join("libengine_ffi.a"), &target().join("nginx"))?;
    let tests = Program::cargo("test --package tokenkit-nginx-tests")
        .env("TK_NGINX_MODULE", &module.to_string_lossy())
        .env("TK_PROGRAM", &built.join("tokenkit").to_string_lossy());
    // One at a time: they measure how soon something comes to pass.
    let tests = tests.words("-- --ignored --test-threads 1");
    match filter {
        Some(filter) => tests.arg(filter).run(),
        None => tests.run(),
    }
}

/// Builds the module with a library into a folder; the module's path.
pub(crate) fn build(library: &Path, folder: &Path) -> Result<PathBuf, Failure> {
    if !Path::new("/usr/share/nginx/src/configure").is_file()
        && std::env::var_os("NGINX_SRC").is_none()
    {
        return Err(Failure::missing("nginx's source for modules", INSTALL));
    }
    let script = root().join(MODULE).join("build.sh");
    let include = root().join("crates/engine-ffi/include");
    Program::new(&script.to_string_lossy())
        .arg(folder.to_string_lossy())
        .env("TOKENKIT_INCLUDE", &include.to_string_lossy())
        .env("TOKENKIT_LIB", &library.to_string_lossy())
        .run()?;
    Ok(folder.join("ngx_http_tokenkit_module.so"))
}

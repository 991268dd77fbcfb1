//! What the comparison runs on: programs of the distribution, and our own.

use std::fs;
use std::path::{Path, PathBuf};

use crate::shell::{Failure, Program, processors, target};

/// Where distributions put the modules of nginx.
const MODULES: [&str; 3] = [
    "/usr/lib/nginx/modules",
    "/usr/lib64/nginx/modules",
    "/usr/share/nginx/modules",
];
const INSTALL: &str =
    "apt-get install haproxy nginx nginx-dev libnginx-mod-http-lua wrk (or your system's like)";

/// Where everything is.
pub(super) struct Tools {
    pub(super) nginx_modules: PathBuf,
    /// Our own module of nginx.
    pub(super) module: PathBuf,
    pub(super) tokenkit: PathBuf,
    /// tokenkit as a proxy that decides nothing.
    pub(super) bare: PathBuf,
    /// The versions of the others.
    pub(super) versions: String,
}

impl Tools {
    /// Finds what has to be installed, then builds what is ours.
    pub(super) fn find(folder: &Path) -> Result<Self, Failure> {
        if processors() < 2 {
            return Err(Failure::found(
                "two processors are wanted: one for the subject, one for the load",
            ));
        }
        let version = |name: &str, flag: &str| {
            let told = Program::new(name).arg(flag).output();
            told.map_err(|_| Failure::missing(name, INSTALL))
        };
        version("taskset", "--version")?;
        let haproxy = version("haproxy", "-v")?;
        let nginx = version("nginx", "-v")?;
        // It says its version, and fails over the want of a URL.
        let no_wrk = Program::new("sh").words("-c").arg("command -v wrk");
        if !no_wrk.succeeds() {
            return Err(Failure::missing("wrk", INSTALL));
        }
        let nginx_modules = MODULES
            .into_iter()
            .map(PathBuf::from)
            .find(|folder| folder.join("ngx_http_lua_module.so").is_file())
            .ok_or_else(|| Failure::missing("nginx's Lua module", INSTALL))?;
        let (tokenkit, bare) = build(folder)?;
        let module = build_module(folder)?;
        let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
        Ok(Self {
            nginx_modules,
            module,
            tokenkit,
            bare,
            versions: format!("{}; {}", first(&haproxy), first(&nginx)),
        })
    }
}

/// Builds the module of nginx with a library of its own.
fn build_module(folder: &Path) -> Result<PathBuf, Failure> {
    Program::cargo("rustc --release --package engine-ffi --lib --crate-type staticlib").run()?;
    let library = target().join("release/libengine_ffi.a");
    crate::nginx::build(&library, &folder.join("module"))
}

/// Builds tokenkit, and tokenkit without its gate, and puts both where no
/// later build changes them. The latter has a folder of its own, so that
/// nobody takes it for the former.
fn build(folder: &Path) -> Result<(PathBuf, PathBuf), Failure> {
    const BUILD: &str = "build --release --package tokenkit --bin tokenkit";
    let keep = |built: PathBuf, name: &str| {
        let kept = folder.join(name);
        // Taken away first: one that still runs cannot be written over.
        let _ = fs::remove_file(&kept);
        fs::copy(&built, &kept)
            .map(|_| kept)
            .map_err(|error| Failure::found(format!("cannot copy {}: {error}", built.display())))
    };
    Program::cargo(BUILD).run()?;
    let tokenkit = keep(target().join("release/tokenkit"), "tokenkit")?;
    let apart = target().join("bare");
    Program::cargo(BUILD)
        .words("--target-dir")
        .arg(apart.display().to_string())
        .env("RUSTFLAGS", "--cfg bare")
        .run()?;
    let bare = keep(apart.join("release/tokenkit"), "tokenkit-bare")?;
    Ok((tokenkit, bare))
}

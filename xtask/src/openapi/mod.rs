//! `cargo xtask openapi`: the admin API is what its description says.
//!
//! The description is checked by openapi-spec-validator; then schemathesis asks
//! a running server for everything in it, with good and bad values, and compares
//! each answer with it. Both are installed from PyPI into `target/openapi`, in
//! the versions named below.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::built;
use crate::shell::{Failure, Program, target};

/// What is installed.
const TOOLS: [&str; 2] = ["schemathesis==4.32.5", "openapi-spec-validator==0.9.0"];
/// The description.
const DOCUMENT: &str = "docs/openapi.json";

/// Checks the description and the server against each other.
pub(crate) fn run() -> Result<(), Failure> {
    let tools = Tools::install()?;
    tools
        .program("openapi-spec-validator")
        .arg(DOCUMENT)
        .run()?;
    let server = Server::start(&built::program()?, &tools.folder.join("server"))?;
    tools
        .program("schemathesis")
        .arg("--config-file")
        .arg("xtask/src/openapi/schemathesis.toml")
        .words("run --checks all")
        .arg("--url")
        .arg(format!("http://{}", server.address))
        .arg("--header")
        .arg(format!("Authorization: Bearer {}", server.token))
        .arg(DOCUMENT)
        .run()
}

/// The tools, in a folder of their own.
struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// Installs what is not there yet.
    fn install() -> Result<Self, Failure> {
        let folder = target().join("openapi");
        let tools = Self { folder };
        let mark = tools.folder.join("installed");
        let wanted = TOOLS.join(" ");
        if fs::read_to_string(&mark).is_ok_and(|found| found == wanted) {
            return Ok(tools);
        }
        let missing = |_| {
            Failure::missing(
                "schemathesis",
                "python3 with venv and a way to PyPI are wanted",
            )
        };
        Program::new("python3")
            .words("-m venv")
            .arg(tools.folder.to_string_lossy())
            .run()
            .map_err(missing)?;
        tools
            .program("pip")
            .words("install --quiet")
            .words(&wanted)
            .run()
            .map_err(missing)?;
        fs::write(&mark, wanted)
            .map_err(|cause| Failure::found(format!("{}: {cause}", mark.display())))?;
        Ok(tools)
    }

    fn program(&self, name: &str) -> Program {
        Program::new(&self.folder.join("bin").join(name).to_string_lossy())
    }
}

/// A server of its own, on a port that the system gives. Ends with this.
struct Server {
    child: Child,
    /// Kept open, or what it writes would fail.
    out: BufReader<ChildStdout>,
    address: String,
    token: String,
}

impl Server {
    /// Starts one on a new store, and takes the admin token that it shows.
    fn start(tokenkit: &Path, folder: &Path) -> Result<Self, Failure> {
        let failed = |cause| Failure::found(format!("no server can be started: {cause}"));
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(failed)?;
        }
        fs::create_dir_all(folder).map_err(failed)?;
        let words = [
            "serve",
            "--listen=127.0.0.1:0",
            "--admin-listen=127.0.0.1:0",
            "--log-level=warn",
            // Schemathesis tries bad tokens too, and must not be shut out by that.
            "--set=failures.threshold=4095",
            "--set=failures.window_s=12",
        ];
        let mut child = Command::new(tokenkit)
            .args(words)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let Some(out) = child.stdout.take() else {
            return Err(Failure::found("the server has no output"));
        };
        let mut server = Self {
            child,
            out: BufReader::new(out),
            address: String::new(),
            token: String::new(),
        };
        // The token comes first, and behind it the address at which it is good.
        let mut line = String::new();
        while server.address.is_empty() {
            line.clear();
            if server.out.read_line(&mut line).map_err(failed)? == 0 {
                return Err(Failure::found("the server ended before it was ready"));
            }
            let text = line.trim();
            if text.starts_with("tk_admin_") {
                text.clone_into(&mut server.token);
            } else if !server.token.is_empty()
                && let Some(rest) = text.strip_prefix("http://")
            {
                rest.trim_end_matches('/').clone_into(&mut server.address);
            }
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! The built program as a server, a client that speaks raw HTTP/1.1 to it, and
//! a service to stand behind it.

// Each test file uses a part of this.
#![allow(dead_code)]

pub(crate) mod admin;
pub(crate) mod collector;
pub(crate) mod exposition;
pub(crate) mod frames;
pub(crate) mod http;
pub(crate) mod upstream;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use self::http::{Answer, Client};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_tokenkit");
/// Far more than anything here takes, on however busy a machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server under test. Killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// The first key, if this start made one.
    pub(crate) first_key: Option<String>,
    /// All of standard output until the server was ready.
    pub(crate) greeting: String,
    log: Arc<Mutex<String>>,
    log_reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server on free ports of the loopback, with a store of its own.
    /// `server` are lines for the section of that name, `rest` is what follows.
    pub(crate) fn start(server: &str, rest: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), server, rest)
    }

    /// The same, in a folder that may hold a store.
    pub(crate) fn start_in(folder: TempDir, server: &str, rest: &str) -> Self {
        Self::start_with(folder, server, rest, &[])
    }

    /// The same, with more on the command line.
    pub(crate) fn start_with(
        folder: TempDir,
        server: &str,
        rest: &str,
        arguments: &[&str],
    ) -> Self {
        let mut serve = command(folder.path());
        serve.arg("serve").args(arguments);
        Self::start_by(serve, folder, server, rest)
    }

    /// The same, by a command that serves in that folder.
    pub(crate) fn start_by(mut serve: Command, folder: TempDir, server: &str, rest: &str) -> Self {
        write_config(folder.path(), server, rest);
        let mut child = serve
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().unwrap();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let kept = Arc::clone(&log);
        let log_reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let line = line.unwrap_or_default();
                if let Ok(event) = serde_json::from_str::<Value>(&line)
                    && event["message"] == "serving"
                {
                    let address = |name: &str| event[name].as_str().unwrap().parse().unwrap();
                    let _ = ready.send((address("listen"), address("admin")));
                }
                let mut log = kept.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let Ok((listen, admin)) = is_ready.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            panic!("the server did not start: {}", log.lock().unwrap());
        };
        // The greeting came before that line; later there is nothing.
        let greeting = read_now(child.stdout.as_mut().unwrap());
        let first_key = greeting
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .find(|word| word.starts_with("tk_live_"))
            .map(str::to_owned);
        Self {
            child,
            folder,
            listen,
            admin,
            first_key,
            greeting,
            log,
            log_reader: Some(log_reader),
        }
    }

    /// The first key of a new store.
    pub(crate) fn key(&self) -> &str {
        self.first_key.as_deref().unwrap()
    }

    /// The public part of the first key.
    pub(crate) fn key_id(&self) -> &str {
        &self.key()["tk_live_".len()..][..10]
    }

    /// A path in the server's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new connection to the server.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.listen)
    }

    /// One request on a connection of its own. `head` is what follows the
    /// request line, each line ending in `\r\n`, but for `Host`.
    pub(crate) fn ask(&self, line: &str, head: &str) -> Answer {
        self.connect().ask(line, head)
    }

    /// A `GET` with the first key and other headers.
    pub(crate) fn get(&self, path: &str, head: &str) -> Answer {
        self.ask(
            &format!("GET {path}"),
            &format!("api-key: {}\r\n{head}", self.key()),
        )
    }

    /// A `GET` with some key.
    pub(crate) fn get_with(&self, key: &str) -> Answer {
        self.ask("GET /", &format!("api-key: {key}\r\n"))
    }

    /// A `GET` to the admin address.
    pub(crate) fn admin(&self, path: &str) -> Answer {
        let host = self.admin.to_string();
        Client::connect(self.admin).ask_as(&host, &format!("GET {path}"), "", "")
    }

    /// Runs another command of the program on the same store.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let output = command(self.folder.path())
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    /// The same with `--json`, and what it says.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(&[arguments, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Replaces the settings' file; a reload reads it.
    pub(crate) fn rewrite_config(&self, server: &str, rest: &str) {
        write_config(self.folder.path(), server, rest);
    }

    /// Sends this server, and nothing else, a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for the server's end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                if let Some(reader) = self.log_reader.take() {
                    reader.join().unwrap();
                }
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the server does not end");
            pause(Duration::from_millis(5));
        }
    }

    /// Ends the server in peace and hands back its folder.
    pub(crate) fn stop(mut self) -> TempDir {
        self.signal("TERM");
        assert!(self.wait().success());
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }

    /// Kills the server, as `kill -9` does, and hands back its folder.
    pub(crate) fn kill(mut self) -> TempDir {
        self.signal("KILL");
        assert!(!self.wait().success());
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }

    /// What was logged until now.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// What keeps the log: as long as it is locked, nobody reads what the server
    /// writes.
    pub(crate) fn kept_log(&self) -> Arc<Mutex<String>> {
        Arc::clone(&self.log)
    }

    /// Whether the server has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for something to be logged.
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_until(&format!("{text:?} is logged"), || self.log().contains(text));
    }

    /// The server's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that the server ever had, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// A number from the metrics.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let page = self.admin("/metrics").text();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {page}"))
            .parse()
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program in a folder, with its settings there and none from outside.
pub(crate) fn command(folder: &Path) -> Command {
    command_by(PROGRAM, folder)
}

/// The same by another program, which runs ours.
pub(crate) fn command_by(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .env_clear()
        .env("TOKENKIT_CONFIG", "tokenkit.toml");
    command
}

/// Writes the settings of a server under test.
pub(crate) fn write_config(folder: &Path, server: &str, rest: &str) {
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nthreads = 2\n{server}\n\
         [store]\ndata_dir = \"data\"\n\
         [log]\nformat = \"json\"\naccess = true\n{rest}\n"
    );
    std::fs::write(folder.join("tokenkit.toml"), config).unwrap();
}

/// Lets time pass: where that is what a test is about, or where another
/// process can only be asked again.
#[expect(clippy::disallowed_methods, reason = "see above")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Waits for something to become true.
pub(crate) fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        pause(Duration::from_millis(2));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "which hour it is by the server's clock"
)]
fn hour() -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    now.as_secs() / 3600
}

/// Does something that is over within an hour; again, where a new hour began
/// meanwhile and refilled what it is about.
pub(crate) fn within_an_hour(mut test: impl FnMut()) {
    loop {
        let before = hour();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut test));
        if hour() == before {
            return outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    }
}

/// Reads what lies in a pipe, without waiting for more.
fn read_now(pipe: &mut (impl Read + std::os::fd::AsRawFd)) -> String {
    // Non-blocking by way of another open of the same pipe, which needs no
    // unsafe code.
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let mut text = Vec::new();
    let mut open = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut open, O_NONBLOCK);
    let mut again = open.read(true).open(path).unwrap();
    // Ends with `WouldBlock` where the pipe is empty.
    let _ = again.read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}

/// As Linux has it.
const O_NONBLOCK: i32 = 0o4000;

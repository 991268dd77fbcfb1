//! nginx with the module, in a folder of its own.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use crate::client::Client;
use crate::place::{Place, module};
use crate::wait::wait_until;

/// An nginx under test: its master, with which its workers end.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    log: std::path::PathBuf,
    /// Where it listens: the port that [`Setup`] put in.
    pub port: u16,
}

/// How an nginx is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Processes that take requests.
    pub workers: u32,
    /// What stands outside of all blocks: whose the workers are, among others.
    pub main: String,
    /// What stands in the `http` block, before its servers.
    pub http: String,
    /// What stands in the server's block.
    pub server: String,
    /// The port of loopback that it listens on.
    pub port: u16,
}

impl Setup {
    /// One worker over the store of the place, with what stands in its server.
    #[must_use]
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            workers: 1,
            main: user().into(),
            http: "tokenkit_store store;".into(),
            server: server.into(),
            port: free_port(),
        }
    }

    /// The same with so many workers.
    #[must_use]
    pub fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    /// The same with more in the `http` block.
    #[must_use]
    pub fn http(mut self, more: &str) -> Self {
        self.http.push('\n');
        self.http.push_str(more);
        self
    }

    /// The whole configuration. Relative paths count from the place's folder.
    fn text(&self) -> String {
        let Self {
            workers,
            main,
            http,
            server,
            port,
        } = self;
        format!(
            "load_module {module};
             daemon off;
             worker_processes {workers};
             {main}
             worker_rlimit_nofile 4096;
             pid nginx.pid;
             error_log error.log info;
             events {{ worker_connections 2048; }}
             http {{
                 access_log off;
                 keepalive_requests 1000000000;
                 client_body_temp_path body;
                 proxy_temp_path proxy;
                 fastcgi_temp_path fastcgi;
                 uwsgi_temp_path uwsgi;
                 scgi_temp_path scgi;
                 {http}
                 server {{
                     listen 127.0.0.1:{port} reuseport;
                     add_header x-worker $pid always;
                     {server}
                 }}
             }}
             ",
            module = module().display(),
        )
    }

    /// Writes the configuration; what `nginx -t` says to it, all in one text,
    /// and whether it is content.
    pub fn check(&self, place: &Place) -> (bool, String) {
        write(&place.path("nginx.conf"), &self.text());
        let Output { status, stderr, .. } = command(place.folder())
            .arg("-t")
            .output()
            .expect("nginx starts");
        let text = String::from_utf8_lossy(&stderr).into_owned();
        (status.success(), text)
    }

    /// Starts it, and waits until it listens and its workers are there.
    #[must_use]
    pub fn start(&self, place: &Place) -> Nginx {
        self.start_by(place, &[])
    }

    /// The same with a program before nginx's own, such as valgrind.
    #[must_use]
    pub fn start_by(&self, place: &Place, before: &[&str]) -> Nginx {
        let command = wrapped(place.folder(), before);
        Nginx::start(place, command, &self.text(), self.port, self.processes())
    }

    /// How many there are beside the master; one that is its own has none.
    fn processes(&self) -> usize {
        match self.main.contains("master_process off") {
            true => 0,
            false => self.workers as usize,
        }
    }

    /// Writes the configuration for a running nginx to read at a reload.
    pub fn rewrite(&self, place: &Place) {
        write(&place.path("nginx.conf"), &self.text());
    }
}

impl Nginx {
    /// Starts one with the configuration of somebody else, and waits until it
    /// listens on a port. It writes `error.log` in the place's folder.
    #[must_use]
    pub fn start_with(place: &Place, text: &str, port: u16) -> Self {
        let mut command = command(place.folder());
        command.args(["-g", &format!("daemon off; pid nginx.pid; {}", user())]);
        command.args(["-e", "error.log"]);
        Self::start(place, command, text, port, 1)
    }

    /// Starts it, and waits until it listens and has so many workers at least.
    fn start(place: &Place, mut command: Command, text: &str, port: u16, workers: usize) -> Self {
        write(&place.path("nginx.conf"), text);
        let told = place.path("output.log");
        let output = fs::File::create(&told).expect("a log");
        let child = command
            .stdout(output.try_clone().expect("a log"))
            .stderr(output)
            .spawn()
            .expect("nginx starts");
        let mut nginx = Self {
            child,
            log: place.path("error.log"),
            port,
        };
        wait_until("nginx listens", || {
            let ended = nginx.child.try_wait().expect("a child");
            let text = || fs::read_to_string(&told).unwrap_or_default() + &nginx.log();
            assert!(ended.is_none(), "nginx ended: {}", text());
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
                && nginx.workers().len() >= workers
        });
        nginx
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The process ids of those that take requests; of those too that are
    /// about to end.
    #[must_use]
    pub fn workers(&self) -> Vec<u32> {
        let master = self.child.id();
        let path = format!("/proc/{master}/task/{master}/children");
        let children = fs::read_to_string(path).unwrap_or_default();
        let ids = children.split_whitespace();
        ids.filter_map(|id| id.parse().ok()).collect()
    }

    /// A connection to each of so many workers, by its process id. Each has
    /// answered a request for `/file`, and so has all that it decides by.
    #[must_use]
    pub fn each_worker(&self, head: &str, workers: usize) -> HashMap<String, Client> {
        let mut found = HashMap::new();
        for _ in 0..1000 {
            if found.len() == workers {
                return found;
            }
            let mut client = Client::connect(self.port).expect("nginx listens");
            let answer = client.ask("GET /file", head).expect("an answer");
            let worker = answer.header("x-worker").unwrap_or_default();
            found.insert(worker.to_owned(), client);
        }
        panic!("of {workers} workers only {} answer", found.len());
    }

    /// Has the configuration read anew, and waits until the workers are others.
    pub fn reload(&self) {
        let before = self.workers();
        signal("HUP", self.child.id());
        wait_until("the workers are others", || {
            let now = self.workers();
            !now.is_empty() && now.iter().all(|id| !before.contains(id))
        });
    }

    /// Has the configuration read anew, and waits for nothing.
    pub fn begin_reload(&self) {
        signal("HUP", self.child.id());
    }

    /// Ends it in peace.
    pub fn stop(mut self) -> ExitStatus {
        signal("QUIT", self.child.id());
        self.child.wait().expect("a child ends")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Its workers end with it, which they would not if it were killed.
            signal("TERM", self.child.id());
            let _ = self.child.wait();
        }
    }
}

/// Sends a process that a test started a signal. One that is gone has none.
pub fn signal(name: &str, id: u32) {
    let _ = Command::new("kill")
        .args(["-s", name, &id.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// The resident memory of a process, in bytes.
///
/// # Errors
///
/// The process is gone.
pub fn resident(id: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| io::Error::other("no VmRSS"))
}

/// A port of the loopback that nobody listens on.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound port").port()
}

fn command(folder: &Path) -> Command {
    wrapped(folder, &[])
}

/// nginx in a folder, behind a program that runs it.
fn wrapped(folder: &Path, before: &[&str]) -> Command {
    let words = [before, &["nginx"]].concat();
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .arg("-p")
        .arg(folder)
        .args(["-c", "nginx.conf"])
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

fn write(file: &Path, text: &str) {
    fs::write(file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

/// Workers of another user could not read what is in a test's folder.
fn user() -> &'static str {
    if is_root() { "user root;" } else { "" }
}

/// Whether the tests, and so nginx, may do all, such as start workers of another
/// user.
#[must_use]
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

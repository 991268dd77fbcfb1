//! What is compared: each a program that listens on loopback, set up by the
//! files in `benches/e2e`.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use super::keys::Keys;
use super::process::Process;
use super::tools::Tools;
use crate::disk;
use crate::shell::{Failure, root};

/// The processor of the subjects, and that of the load and the service behind.
pub(super) const SUBJECT: usize = 0;
pub(super) const LOAD: usize = 1;

/// What is wanted of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// The answer to another proxy's question.
    ForwardAuth,
    /// To pass on what is allowed.
    ReverseProxy,
}

impl Job {
    pub(super) const ALL: [Self; 2] = [Self::ForwardAuth, Self::ReverseProxy];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::ForwardAuth => "forward_auth",
            Self::ReverseProxy => "reverse_proxy",
        }
    }

    /// Whether requests say what a proxy says that asks.
    pub(super) fn asks(self) -> bool {
        self == Self::ForwardAuth
    }
}

/// One way of doing a job.
pub(super) struct Subject {
    /// `JOB/PROGRAM`, or `JOB/PROGRAM_bare`.
    pub(super) name: String,
    pub(super) job: Job,
    /// Whether keys are looked at.
    pub(super) checks: bool,
    pub(super) port: u16,
    pub(super) path: &'static str,
    /// Which of the processes it is made of; the first is the one that is asked.
    pub(super) processes: Vec<usize>,
}

/// All programs, at work.
pub(super) struct Stage {
    pub(super) subjects: Vec<Subject>,
    pub(super) processes: Vec<Process>,
    /// The service behind, for as long as it is needed.
    _service: Process,
}

/// The path of tokenkit's answer to Traefik and Caddy.
pub(super) const AUTHORIZE: &str = "/.tokenkit/authorize";

impl Stage {
    /// Starts everything, and waits until each answers.
    pub(super) fn start(
        tools: &Tools,
        folder: &Path,
        keys: &Keys,
        store: &Path,
    ) -> Result<Self, Failure> {
        let [behind, ports @ ..] = free_ports::<22>()?;
        let (haproxy_ports, rest) = ports.split_at(4);
        let (nginx_ports, rest) = rest.split_at(4);
        let (door_ports, tokenkit_ports) = rest.split_at(5);
        let service = Template::new(folder, "service.conf")?
            .put("SERVICE", behind)
            .write()?;
        let service = start("nginx", LOAD, &["-c", &service], folder, "service")?;
        let haproxy = haproxy(folder, "haproxy", &keys.map, haproxy_ports, behind)?;
        let nginx = nginx(tools, folder, keys, nginx_ports, behind)?;
        let mut stage = Self {
            subjects: Vec::new(),
            processes: vec![haproxy, nginx],
            _service: service,
        };
        for (process, (program, ports)) in [("haproxy", haproxy_ports), ("nginx", nginx_ports)]
            .into_iter()
            .enumerate()
        {
            for (at, job) in Job::ALL.into_iter().enumerate() {
                for (bare, suffix) in ["", "_bare"].into_iter().enumerate() {
                    stage.subjects.push(Subject {
                        name: format!("{}/{program}{suffix}", job.as_str()),
                        job,
                        checks: bare == 0,
                        port: ports[2 * at + bare],
                        path: "/",
                        processes: vec![process],
                    });
                }
            }
        }
        let upstream = format!("http://127.0.0.1:{behind}");
        let kinds = [
            (Job::ForwardAuth, &tools.tokenkit, "", AUTHORIZE),
            (Job::ReverseProxy, &tools.tokenkit, "", "/"),
            (Job::ReverseProxy, &tools.bare, "_bare", "/"),
        ];
        for ((job, program, suffix, path), ports) in kinds.into_iter().zip(tokenkit_ports.chunks(2))
        {
            let name = format!("{}/tokenkit{suffix}", job.as_str());
            let upstream = (job == Job::ReverseProxy).then_some(&*upstream);
            let log = name.replace('/', "-");
            let process = tokenkit(program, folder, &log, store, ports, upstream)?;
            stage.subjects.push(Subject {
                name,
                job,
                checks: suffix.is_empty(),
                port: ports[0],
                path,
                processes: vec![stage.processes.len()],
            });
            stage.processes.push(process);
        }
        stage.add_doors(tools, folder, store, door_ports, behind)?;
        Ok(stage)
    }

    /// Adds our own two doors of nginx: the module, and `auth_request` to
    /// `tokenkit serve`, which is two processes; and nginx without either.
    fn add_doors(
        &mut self,
        tools: &Tools,
        folder: &Path,
        store: &Path,
        ports: &[u16],
        behind: u16,
    ) -> Result<(), Failure> {
        let &[module, asking, bare, answers, health] = ports else {
            return Err(Failure::found("five ports are wanted"));
        };
        // What an earlier run charged is none of this one's.
        let _ = fs::remove_file(folder.join("module.ledger"));
        let file = Template::new(folder, "module.conf")?
            .put("MODULE", tools.module.display())
            .put("STORE", store.display())
            .put("PROXY", module)
            .put("SERVICE", behind)
            .write()?;
        let module_process = start("nginx", SUBJECT, &["-c", &file], folder, "module")?;
        let file = Template::new(folder, "ask.conf")?
            .put("PROXY_BARE", bare)
            .put("PROXY", asking)
            .put("ANSWER", answers)
            .put("SERVICE", behind)
            .write()?;
        let asking_process = start("nginx", SUBJECT, &["-c", &file], folder, "ask")?;
        // Counts of its own: the other servers share those beside the store.
        let more = ["--set", "store.ledger=none"];
        let log = folder.join("asked-tokenkit.log");
        let words = tokenkit_words(store, &[answers, health], None);
        let words = [words, more.map(String::from).to_vec()].concat();
        let answering = Process::start(SUBJECT, &tools.tokenkit, &words, &log)?;
        let first = self.processes.len();
        self.processes
            .extend([module_process, asking_process, answering]);
        for (name, port, processes) in [
            ("nginx_module", module, vec![first]),
            ("nginx_auth_request", asking, vec![first + 1, first + 2]),
            ("nginx_plain_bare", bare, vec![first + 1]),
        ] {
            self.subjects.push(Subject {
                name: format!("{}/{name}", Job::ReverseProxy.as_str()),
                job: Job::ReverseProxy,
                checks: !name.ends_with("_bare"),
                port,
                path: "/",
                processes,
            });
        }
        Ok(())
    }
}

/// Starts HAProxy with a map, on four ports: answering, answering bare, passing
/// on, passing on bare.
pub(super) fn haproxy(
    folder: &Path,
    name: &str,
    map: &Path,
    ports: &[u16],
    behind: u16,
) -> Result<Process, Failure> {
    let file = Template::new(folder, "haproxy.cfg")?
        .put("MAP", map.display())
        .put_ports(ports)
        .put("SERVICE", behind)
        .write()?;
    start("haproxy", SUBJECT, &["-db", "-f", &file], folder, name)
}

/// Starts nginx in the same way.
fn nginx(
    tools: &Tools,
    folder: &Path,
    keys: &Keys,
    ports: &[u16],
    behind: u16,
) -> Result<Process, Failure> {
    let file = Template::new(folder, "nginx.conf")?
        .put("MODULES", tools.nginx_modules.display())
        .put("CONFIGURATIONS", configurations().display())
        .put("KEYS", keys.lines.display())
        .put_ports(ports)
        .put("SERVICE", behind)
        .write()?;
    start("nginx", SUBJECT, &["-c", &file], folder, "nginx")
}

/// Starts tokenkit with one thread over a store, on two ports: for requests,
/// and for its health.
pub(super) fn tokenkit(
    program: &Path,
    folder: &Path,
    name: &str,
    store: &Path,
    ports: &[u16],
    upstream: Option<&str>,
) -> Result<Process, Failure> {
    let log = folder.join(format!("{name}.log"));
    Process::start(
        SUBJECT,
        program,
        &tokenkit_words(store, ports, upstream),
        &log,
    )
}

/// What tokenkit is started with.
fn tokenkit_words(store: &Path, ports: &[u16], upstream: Option<&str>) -> Vec<String> {
    let address = |port: &u16| format!("127.0.0.1:{port}");
    let mut words: Vec<String> = vec!["serve".into(), "--threads".into(), "1".into()];
    words.extend(["--data-dir".into(), store.display().to_string()]);
    words.extend(["--listen".into(), address(&ports[0])]);
    words.extend(["--admin-listen".into(), address(&ports[1])]);
    match upstream {
        Some(url) => words.extend(["--upstream".into(), url.into()]),
        // Whoever asks for others is a proxy, and is believed.
        None => words.extend(["--set".into(), "http.trusted_proxies=127.0.0.1/32".into()]),
    }
    words
}

fn start(
    program: &str,
    processor: usize,
    words: &[&str],
    folder: &Path,
    name: &str,
) -> Result<Process, Failure> {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    let log = folder.join(format!("{name}.log"));
    Process::start(processor, Path::new(program), &words, &log)
}

/// Where the committed configurations are.
pub(super) fn configurations() -> PathBuf {
    root().join("benches/e2e")
}

/// A committed configuration, under way to one with its words put in.
struct Template {
    text: String,
    file: PathBuf,
}

impl Template {
    fn new(folder: &Path, name: &str) -> Result<Self, Failure> {
        let from = configurations().join(name);
        let text = disk::read(&from)?;
        Ok(Self {
            text,
            file: folder.join(name),
        }
        .put("DIR", folder.display()))
    }

    fn put(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.text = self.text.replace(&format!("@{name}@"), &value.to_string());
        self
    }

    fn put_ports(self, ports: &[u16]) -> Self {
        let names = ["ANSWER", "ANSWER_BARE", "PROXY", "PROXY_BARE"];
        names
            .into_iter()
            .zip(ports)
            .fold(self, |template, (name, port)| template.put(name, port))
    }

    /// Writes it; returns its path.
    fn write(self) -> Result<String, Failure> {
        disk::write(&self.file, &self.text)?;
        Ok(self.file.display().to_string())
    }
}

/// Ports of loopback that nobody listens on.
pub(super) fn free_ports<const N: usize>() -> Result<[u16; N], Failure> {
    // All held at once, so that none comes twice.
    let find = || -> std::io::Result<Vec<u16>> {
        let held: Vec<TcpListener> = (0..N)
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .collect::<Result<_, _>>()?;
        held.iter()
            .map(|listener| Ok(listener.local_addr()?.port()))
            .collect()
    };
    let ports = find().map_err(|error| Failure::found(format!("no free ports: {error}")))?;
    ports
        .try_into()
        .map_err(|_| Failure::found("too few free ports"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_no_words_left() {
        let folder = std::env::temp_dir().join(format!("xtask-stage-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for name in [
            "haproxy.cfg",
            "nginx.conf",
            "service.conf",
            "module.conf",
            "ask.conf",
        ] {
            let mut template = Template::new(&folder, name)
                .unwrap()
                .put_ports(&[1, 2, 3, 4]);
            let words = [
                "MAP",
                "MODULES",
                "MODULE",
                "CONFIGURATIONS",
                "KEYS",
                "SERVICE",
                "STORE",
            ];
            for name in words {
                template = template.put(name, "put");
            }
            let path = template.write().unwrap();
            let text = fs::read_to_string(path).unwrap();
            let rules = text.lines().filter(|line| !line.starts_with('#'));
            // A place within nginx has a name with one.
            let left = |line: &&str| line.replace("@tokenkit_refused", "").contains('@');
            assert_eq!(rules.filter(left).count(), 0, "{name}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn free_ports_differ() {
        let [a, b] = free_ports::<2>().unwrap();
        assert_ne!(a, b);
    }
}

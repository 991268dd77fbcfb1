//! What a supervisor is told and hands over, without one: a socket for the
//! messages, listening sockets as open files.
#![cfg(target_os = "linux")]

mod serve_support;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serve_support::http::Client;
use serve_support::upstream::Upstream;
use serve_support::{PATIENCE, Server, command, pause, wait_until};

/// The next message.
fn told(socket: &UnixDatagram) -> String {
    let mut message = [0; 1024];
    let length = socket.recv(&mut message).unwrap();
    String::from_utf8(message[..length].to_vec()).unwrap()
}

fn follow_one_life(socket: &UnixDatagram, name: &str) {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut serve = command(folder.path());
    serve.arg("serve").env("NOTIFY_SOCKET", name);
    let server = Server::start_by(serve, folder, "", "");
    assert!(told(socket).starts_with("READY=1\n"));
    // What is said is so.
    assert_eq!(server.admin("/readyz").status, 200);
    server.signal("HUP");
    let reloading = told(socket);
    let clock = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
    let clock = clock.unwrap_or_else(|| panic!("{reloading}"));
    let us = clock.lines().next().unwrap();
    assert!(us.parse::<u64>().unwrap() > 0);
    assert!(told(socket).starts_with("READY=1\n"));
    server.stop();
    assert!(told(socket).starts_with("STOPPING=1\n"));
}

#[test]
fn a_supervisor_is_told_of_every_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    follow_one_life(&socket, path.to_str().unwrap());
}

#[test]
fn its_socket_may_have_an_abstract_name() {
    let name = format!("tokenkit-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    follow_one_life(&socket, &format!("@{name}"));
}

#[test]
fn a_supervisor_that_is_gone_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = command(folder.path());
    serve.arg("serve").env("NOTIFY_SOCKET", "/no/such/socket");
    let server = Server::start_by(serve, folder, "", "");
    assert_eq!(server.get("/", "").status, 200);
    server.wait_for_log("cannot be told");
    server.stop();
}

/// A command that serves with two sockets of ours as its files 3 and 4, as
/// systemd hands them over. A shell puts them there, which needs no unsafe code.
fn serve_on(folder: &std::path::Path, sockets: [TcpListener; 2], names: &str) -> Command {
    let mut shell = Command::new("sh");
    let [third, fourth] = sockets.map(OwnedFd::from);
    shell
        .current_dir(folder)
        .env_clear()
        .env("TOKENKIT_CONFIG", "tokenkit.toml")
        .env("LISTEN_FDS", "2")
        .env("LISTEN_FDNAMES", names)
        .arg("-c")
        .arg("LISTEN_PID=$$ exec \"$0\" serve 3<&0 4>&1 0</dev/null 1>/dev/null")
        .arg(env!("CARGO_BIN_EXE_tokenkit"))
        .stdin(Stdio::from(third))
        .stdout(Stdio::from(fourth));
    shell
}

fn two_sockets() -> [TcpListener; 2] {
    [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap())
}

#[test]
fn sockets_that_are_handed_over_are_served() {
    for (names, swapped) in [("data:admin", false), ("admin:data", true), ("", false)] {
        let folder = tempfile::tempdir().unwrap();
        let sockets = two_sockets();
        let mut addresses = [0, 1].map(|i: usize| sockets[i].local_addr().unwrap());
        if swapped {
            addresses.reverse();
        }
        let mut child = serve_on(folder.path(), sockets, names);
        // An address that cannot be bound, and need not be.
        let config = "[server]\nlisten = \"192.0.2.1:1\"\nadmin_listen = \"192.0.2.1:2\"\n";
        std::fs::write(folder.path().join("tokenkit.toml"), config).unwrap();
        let mut child = child.stderr(Stdio::null()).spawn().unwrap();
        // They listen already: what comes early waits.
        let [data, admin] = addresses;
        assert_eq!(
            Client::connect(data).ask("GET /", "").status,
            401,
            "{names}"
        );
        assert_eq!(Client::connect(admin).ask("GET /healthz", "").status, 200);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_socket_of_another_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenkit.toml"), "").unwrap();
    let output = serve_on(folder.path(), two_sockets(), "data:metrics")
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("call it data or admin"), "{said}");
}

#[test]
fn a_health_check_tells_ready_from_alive() {
    let upstream = Upstream::start(|_| {
        pause(Duration::from_secs(600));
        false
    });
    let server = Server::start(&upstream.setting(), "");
    let admin = format!("server.admin_listen={}", server.admin);
    let asked = |folder: &Path, which: &[&str]| {
        let mut command = command(folder);
        command.args(["healthcheck", "--set", &admin]).args(which);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said)
    };
    let codes = |folder: &Path| [&[][..], &["--live"]].map(|which| asked(folder, which).0);
    assert_eq!(codes(&server.path("")), [Some(0), Some(0)]);

    let mut busy = server.connect();
    busy.send(format!(
        "GET / HTTP/1.1\r\nhost: a\r\napi-key: {}\r\n\r\n",
        server.key()
    ));
    wait_until("the request is under way", || upstream.seen() == 1);
    server.signal("TERM");
    wait_until("it says that it stops", || {
        server.admin("/readyz").status == 503
    });
    assert_eq!(codes(&server.path("")), [Some(1), Some(0)]);

    let folder = server.stop();
    for which in [&[][..], &["--live"]] {
        let (code, said) = asked(folder.path(), which);
        assert_eq!(code, Some(2));
        assert!(
            said.contains("no server answers at server.admin_listen"),
            "{said}"
        );
    }
}

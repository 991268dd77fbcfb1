//! `tokenkit serve` over the same store, whose answers nginx's must equal.

use std::net::{Ipv4Addr, TcpStream};
use std::process::Child;

use crate::nginx::free_port;
use crate::place::Place;
use crate::wait::wait_until;

/// A server, which ends with this.
#[derive(Debug)]
pub struct Serve {
    child: Child,
    /// Where it takes requests.
    pub port: u16,
}

impl Serve {
    /// Starts one before a service; `settings` are `NAME=VALUE`.
    #[must_use]
    pub fn start(place: &Place, upstream: u16, settings: &[&str]) -> Self {
        let (port, admin) = (free_port(), free_port());
        let listen = format!("127.0.0.1:{port}");
        let admin = format!("127.0.0.1:{admin}");
        let upstream = format!("http://127.0.0.1:{upstream}");
        let mut words = vec!["serve", "--threads", "1", "--log-level", "error"];
        words.extend(["--listen", &listen, "--admin-listen", &admin]);
        words.extend(["--upstream", &upstream]);
        for setting in settings {
            words.extend(["--set", setting]);
        }
        let child = place.command(&words).spawn().expect("tokenkit starts");
        let mut serve = Self { child, port };
        wait_until("tokenkit listens", || {
            let ended = serve.child.try_wait().expect("a child");
            assert!(ended.is_none(), "tokenkit serve ended");
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        serve
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // Ended already or not, nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

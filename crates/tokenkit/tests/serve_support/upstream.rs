//! A service to stand behind the server: whatever a test needs one to do.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::PATIENCE;
use super::http::Client;

/// A service on a free port of the loopback. Its threads end with the test.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    /// Requests seen.
    pub(crate) seen: Arc<AtomicUsize>,
}

/// A request as the service got it: its head as it was sent.
pub(crate) struct Asked {
    pub(crate) head: String,
    /// To read the body from and write the answer to.
    pub(crate) client: Client,
}

impl Upstream {
    /// A service that calls `serve` for each request, one on each connection
    /// at a time; returning closes unless it says to go on.
    pub(crate) fn start(serve: impl Fn(&mut Asked) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                let (serve, count) = (Arc::clone(&serve), Arc::clone(&count));
                std::thread::spawn(move || {
                    let client = Client {
                        stream: std::io::BufReader::new(stream),
                    };
                    let mut asked = Asked {
                        head: String::new(),
                        client,
                    };
                    while asked.read_head() {
                        count.fetch_add(1, Ordering::SeqCst);
                        if !serve(&mut asked) {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, seen }
    }

    /// A service that answers with the head that it got.
    pub(crate) fn echo() -> Self {
        Self::start(|asked| {
            let body = asked.head.clone();
            asked.answer("200 OK", "content-type: text/plain\r\n", &body);
            true
        })
    }

    /// The setting that puts it behind a server.
    pub(crate) fn setting(&self) -> String {
        format!("upstream = \"http://{}\"", self.address)
    }

    pub(crate) fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

impl Asked {
    /// Reads the next head; false where there is none.
    fn read_head(&mut self) -> bool {
        use std::io::BufRead;
        self.head.clear();
        while !self.head.ends_with("\r\n\r\n") {
            match self.client.stream.read_line(&mut self.head) {
                Ok(0) | Err(_) => return false,
                Ok(_) => {}
            }
        }
        true
    }

    /// The values of a header.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        values(&self.head, name)
    }

    /// Answers with a text.
    pub(crate) fn answer(&mut self, status: &str, head: &str, body: &str) {
        let length = body.len();
        self.client.send(format!(
            "HTTP/1.1 {status}\r\n{head}content-length: {length}\r\n\r\n{body}"
        ));
    }
}

/// The values of a header in the text of a head.
pub(crate) fn values(head: &str, name: &str) -> Vec<String> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .collect()
}

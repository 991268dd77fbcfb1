//! A service to stand behind nginx: it answers with what it was sent, so that
//! a test sees what got through.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A service on a port of the loopback, for as long as the test's process
/// lives.
#[derive(Debug)]
pub struct Service {
    /// Where it listens.
    pub port: u16,
    asked: Arc<AtomicU64>,
}

impl Service {
    /// Starts one whose answers are plain.
    #[must_use]
    pub fn start() -> Self {
        Self::saying("")
    }

    /// Starts one whose answers have further headers, each line ending in
    /// `\r\n`.
    #[must_use]
    pub fn saying(headers: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let asked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let count = Arc::clone(&count);
                // A connection that breaks ends its own thread and no more.
                std::thread::spawn(move || drop(answer(stream, headers, &count)));
            }
        });
        Self { port, asked }
    }

    /// How many requests came so far.
    #[must_use]
    pub fn asked(&self) -> u64 {
        // Read after the answers that a test waited for, over a socket.
        self.asked.load(Ordering::Relaxed)
    }
}

/// Answers the requests of a connection with their own heads.
fn answer(stream: TcpStream, headers: &str, count: &AtomicU64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let mut stream = stream;
    loop {
        let mut head = String::new();
        loop {
            let Some(line) = lines.next() else {
                return Ok(());
            };
            let line = line?;
            if line.is_empty() {
                break;
            }
            head.push_str(&line);
            head.push('\n');
        }
        // A number, and nothing is handed over by it.
        count.fetch_add(1, Ordering::Relaxed);
        let length = head.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n{headers}\r\n"
        );
        let body = if head.starts_with("HEAD ") { "" } else { &head };
        stream.write_all((answer + body).as_bytes())?;
    }
}

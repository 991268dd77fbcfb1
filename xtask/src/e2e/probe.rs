//! One request at a time: whether a subject is there, and does its job.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::process::Process;
use crate::shell::Failure;

/// How long a subject may take to load its keys.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two looks whether it is there.
const PAUSE: Duration = Duration::from_millis(1);
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most of an answer that is read.
const MAX_ANSWER: u64 = 1 << 16;

/// The answer to a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Head and body.
    pub(super) text: String,
}

/// Asks once, as the load does: with all that a proxy would say where `asks`.
pub(super) fn ask(port: u16, path: &str, asks: bool, key: Option<&str>) -> io::Result<Answer> {
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&at, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n");
    if asks {
        request.push_str(
            "X-Forwarded-For: 10.255.255.255\r\nX-Forwarded-Method: GET\r\n\
             X-Forwarded-Uri: /v1/things/7\r\n",
        );
    }
    if let Some(key) = key {
        request.push_str(&format!("api-key: {key}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    let mut text = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no answer: {text:?}")))?;
    Ok(Answer { status, text })
}

/// Waits for the first answer of a process.
pub(super) fn first(
    process: &mut Process,
    port: u16,
    path: &str,
    asks: bool,
    key: &str,
) -> Result<Answer, Failure> {
    let begun = Instant::now();
    loop {
        match ask(port, path, asks, Some(key)) {
            Ok(answer) => return Ok(answer),
            Err(_) if begun.elapsed() < PATIENCE => process.check()?,
            Err(error) => {
                return Err(Failure::found(format!(
                    "nothing answers on port {port}: {error}"
                )));
            }
        }
        pause();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "another program cannot be waited for otherwise"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}

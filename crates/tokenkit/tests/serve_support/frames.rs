//! A client of HTTP/2 that sends whatever frames a test tells it to.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::PATIENCE;

/// A connection over which frames were and are sent. What comes back is read
/// all the while, so that the server is never held up by it.
pub(crate) struct Frames {
    stream: TcpStream,
    reader: JoinHandle<Told>,
    told_to_go: Arc<AtomicBool>,
}

/// What the server said until it closed.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The error code of the last GOAWAY.
    pub(crate) goaway: Option<u32>,
    /// The error codes of streams that were reset.
    pub(crate) resets: Vec<u32>,
    /// Streams whose answer's head came.
    pub(crate) heads: usize,
    /// Whether the server closed; if not, it stayed silent for too long.
    pub(crate) closed: bool,
}

/// How a connection begins: the preface, and settings that set nothing.
pub(crate) const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Types of frames (RFC 9113, section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags of frames.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

impl Frames {
    /// Connects and says hello.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// Says hello.
    pub(crate) fn over(mut stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(HELLO).unwrap();
        let other = stream.try_clone().unwrap();
        let told_to_go = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&told_to_go);
        let reader = std::thread::spawn(move || read(other, &told));
        Self {
            stream,
            reader,
            told_to_go,
        }
    }

    /// Sends frames that were made before.
    ///
    /// # Errors
    ///
    /// The server has closed: it will not have it any longer.
    pub(crate) fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        self.stream.write_all(frames)
    }

    /// Whether the server said that it will have no more of this.
    pub(crate) fn was_told_to_go(&self) -> bool {
        self.told_to_go.load(Ordering::SeqCst)
    }

    /// Sends no more; what the server said in the end.
    pub(crate) fn finish(self) -> Told {
        // Fails where the server has closed already.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        self.reader.join().unwrap()
    }

    /// Waits for the server to close.
    pub(crate) fn wait(self) -> Told {
        let told = self.reader.join().unwrap();
        drop(self.stream);
        told
    }
}

fn read(mut stream: TcpStream, told_to_go: &AtomicBool) -> Told {
    let mut told = Told::default();
    loop {
        let mut head = [0; 9];
        let mut payload = Vec::new();
        let frame = stream.read_exact(&mut head).and_then(|()| {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            payload.resize(length as usize, 0);
            stream.read_exact(&mut payload)
        });
        if let Err(error) = frame {
            told.closed = !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            );
            return told;
        }
        let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        match head[3] {
            GOAWAY => {
                told.goaway = Some(code(4));
                told_to_go.store(true, Ordering::SeqCst);
            }
            RST_STREAM => told.resets.push(code(0)),
            HEADERS => told.heads += 1,
            _ => {}
        }
    }
}

/// Makes a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The header block of a request, without a table: each name and value is
/// spelt out.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", method),
        (":scheme", "http"),
        (":authority", "api.test"),
        (":path", path),
    ]
    .iter()
    .chain(headers)
    {
        literal(&mut block, 0x00, name, value);
    }
    block
}

/// Adds a header that is spelt out. `kind` is 0x40 for one that both sides are
/// to remember, 0x00 for one that they are not (RFC 7541, section 6.2).
pub(crate) fn literal(block: &mut Vec<u8>, kind: u8, name: &str, value: &str) {
    block.push(kind);
    for text in [name, value] {
        integer(block, text.len());
        block.extend(text.as_bytes());
    }
}

/// A length in seven bits and as many bytes as it takes (RFC 7541, section
/// 5.1).
fn integer(block: &mut Vec<u8>, length: usize) {
    const MOST: usize = 127;
    if length < MOST {
        block.push(u8::try_from(length).unwrap());
        return;
    }
    block.push(127);
    let mut rest = length - MOST;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

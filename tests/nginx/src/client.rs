//! A client that says exactly what a test tells it to.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use crate::wait::PATIENCE;

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// An answer, read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in small letters, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body, without its chunks.
    pub body: String,
}

impl Client {
    /// Connects to a port of the loopback.
    ///
    /// # Errors
    ///
    /// Nobody listens there.
    pub fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends a request and reads the answer. `line` is `METHOD TARGET`, `head`
    /// what follows, each line ending in `\r\n`, but for `Host`.
    ///
    /// # Errors
    ///
    /// The connection ended, or what came is no answer.
    pub fn ask(&mut self, line: &str, head: &str) -> io::Result<Answer> {
        let request = format!("{line} HTTP/1.1\r\nhost: api.test\r\n{head}\r\n");
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.answer(line.starts_with("HEAD "))
    }

    /// Reads an answer, after those that only say that there will be one. One to
    /// a `HEAD` has no body.
    fn answer(&mut self, to_head: bool) -> io::Result<Answer> {
        let mut answer = self.head()?;
        while answer.status < 200 {
            answer = self.head()?;
        }
        let status = answer.status;
        if !to_head && status != 204 && status != 304 {
            answer.body = self.body(&answer)?;
        }
        Ok(answer)
    }

    fn head(&mut self) -> io::Result<Answer> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| broken(&line))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| broken(&line))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Answer {
            status,
            headers,
            body: String::new(),
        })
    }

    fn body(&mut self, head: &Answer) -> io::Result<String> {
        let mut body = Vec::new();
        if head.all("transfer-encoding") == ["chunked"] {
            loop {
                let line = self.line()?;
                let length = usize::from_str_radix(&line, 16).map_err(|_| broken(&line))?;
                let mut chunk = vec![0; length + 2];
                self.stream.read_exact(&mut chunk)?;
                body.extend(&chunk[..length]);
                if length == 0 {
                    break;
                }
            }
        } else if let [length] = head.all("content-length")[..] {
            body = vec![0; length.parse().map_err(|_| broken(length))?];
            self.stream.read_exact(&mut body)?;
        } else {
            self.stream.read_to_end(&mut body)?;
        }
        String::from_utf8(body).map_err(|_| broken("a body that is no text"))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

fn broken(text: &str) -> io::Error {
    io::Error::other(format!("this is no HTTP: {text:?}"))
}

impl Answer {
    /// The value of a header that stands at most once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} stands twice in {self:?}");
        values.first().copied()
    }

    /// The values of all lines of a header.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.headers.iter().filter(|(other, _)| other == name);
        of_name.map(|(_, value)| value.as_str()).collect()
    }

    /// The reason in a problem body; empty where there is none.
    #[must_use]
    pub fn reason(&self) -> String {
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        problem["reason"].as_str().unwrap_or_default().to_owned()
    }
}

/// One request on a connection of its own.
#[must_use]
pub fn ask(port: u16, line: &str, head: &str) -> Answer {
    Client::connect(port)
        .and_then(|mut client| client.ask(line, head))
        .unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// A `GET` of the root with a key.
#[must_use]
pub fn get(port: u16, path: &str, key: &str) -> Answer {
    ask(port, &format!("GET {path}"), &format!("api-key: {key}\r\n"))
}

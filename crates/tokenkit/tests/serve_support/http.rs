//! A client that says exactly what a test tells it to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::PATIENCE;

/// A connection.
pub(crate) struct Client {
    pub(crate) stream: BufReader<TcpStream>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in small letters, in the order in which they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A connection from an address of one's own.
pub(crate) fn stream_from(own: IpAddr, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(own, 0).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.into()
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// The same from an address of one's own.
    pub(crate) fn connect_from(own: IpAddr, address: SocketAddr) -> Self {
        Self::over(stream_from(own, address))
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a request without a body and reads the answer.
    pub(crate) fn ask(&mut self, line: &str, head: &str) -> Answer {
        self.ask_as("api.test", line, head, "")
    }

    /// The same with a body and to a host.
    pub(crate) fn ask_as(&mut self, host: &str, line: &str, head: &str, body: &str) -> Answer {
        let length = match body.len() {
            0 => String::new(),
            length => format!("content-length: {length}\r\n"),
        };
        self.send(format!(
            "{line} HTTP/1.1\r\nhost: {host}\r\n{head}{length}\r\n{body}"
        ));
        self.answer(line.starts_with("HEAD "))
    }

    /// Reads an answer. One to a `HEAD` has no body.
    pub(crate) fn answer(&mut self, to_head: bool) -> Answer {
        let (status, headers) = self.head();
        let header = |name: &str| {
            headers
                .iter()
                .find(|(found, _)| found == name)
                .map(|(_, value)| value.as_str())
        };
        let mut body = Vec::new();
        if to_head || status < 200 || status == 204 || status == 304 {
            // None.
        } else if header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                body.extend(chunk);
            }
        } else if let Some(length) = header("content-length") {
            body = vec![0; length.parse().unwrap()];
            self.stream.read_exact(&mut body).unwrap();
        } else {
            self.stream.read_to_end(&mut body).unwrap();
        }
        Answer {
            status,
            headers,
            body,
        }
    }

    /// Reads the head of an answer.
    pub(crate) fn head(&mut self) -> (u16, Vec<(String, String)>) {
        let line = self.line();
        let status = line
            .split(' ')
            .nth(1)
            .unwrap_or_else(|| panic!("no status in {line:?}"));
        let status = status.parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return (status, headers);
            }
            let (name, value) = line.split_once(':').unwrap();
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Reads one chunk; `None` is the last.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let length = usize::from_str_radix(&self.line(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        self.stream.read_exact(&mut chunk).unwrap();
        chunk.truncate(length);
        (length > 0).then_some(chunk)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Whether the server has closed, or closes before long.
    pub(crate) fn is_closed(&mut self) -> bool {
        // A reset is an end as well.
        matches!(self.stream.read(&mut [0]), Ok(0))
            || matches!(self.stream.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset)
    }
}

impl Answer {
    /// The value of a header that stands at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(other, _)| other == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} stands twice in {self:?}");
        value
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The reason in a problem body, which is checked to be one.
    pub(crate) fn reason(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        for member in ["type", "title", "detail"] {
            assert!(problem[member].is_string(), "{self:?}");
        }
        problem["reason"].as_str().unwrap().to_owned()
    }
}

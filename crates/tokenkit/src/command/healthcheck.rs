//! `tokenkit healthcheck`: whether the server of these settings is ready, or
//! answers at all, for where there is no curl to ask by, such as in a container of
//! its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use crate::error::OperatorError;
use crate::reach::reachable;
use crate::settings::Settings;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// As much of an answer as says how it went.
const STATUS_LINE: usize = "HTTP/1.1 200".len();

/// Asks the admin address; exit code 1 where the server is not ready, or not even
/// `live`.
///
/// # Errors
///
/// Nobody answers there.
pub(super) fn run(settings: &Settings, live: bool) -> Result<ExitCode, OperatorError> {
    let address = reachable(settings.server.admin_listen);
    let path = if live { "/healthz" } else { "/readyz" };
    let status = ask(address, path).map_err(|error| {
        OperatorError::new(format_args!(
            "no server answers at server.admin_listen, {address} ({error}): start it, or say \
             where it is with --set server.admin_listen=ADDRESS"
        ))
    })?;
    Ok(if status.ends_with(" 200") {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The beginning of the answer.
fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut status = [0; STATUS_LINE];
    stream.read_exact(&mut status)?;
    Ok(String::from_utf8_lossy(&status).into_owned())
}

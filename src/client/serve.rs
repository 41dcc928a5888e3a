//! Metrics where a scraper finds them: in a file, or at a socket that speaks HTTP.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a scraper may take for its request.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest request that is read; longer than any scraper's.
const LONGEST: usize = 8 << 10;

/// Writes a file in one step, so that no reader sees half of it.
pub fn write_file(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Answers every request at `address` with what `exposition` returns then, one after the other.
/// An address with a slash is the path of a unix socket, any other one `HOST:PORT`.
///
/// # Errors
/// When it cannot listen there; a scraper that fails is its own affair.
pub fn serve(address: &str, mut exposition: impl FnMut() -> String) -> io::Result<()> {
    if !address.contains('/') {
        for stream in TcpListener::bind(address)?.incoming() {
            let stream = stream?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            let _ = answer(stream, &mut exposition);
        }
        return Ok(());
    }
    // One that an earlier run left would be in the way; one in use is somebody's.
    if std::os::unix::net::UnixStream::connect(address).is_err() {
        let _ = fs::remove_file(address);
    }
    for stream in UnixListener::bind(address)?.incoming() {
        let stream = stream?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let _ = answer(stream, &mut exposition);
    }
    Ok(())
}

fn answer(mut stream: impl Read + Write, exposition: &mut dyn FnMut() -> String) -> io::Result<()> {
    let mut request = Vec::new();
    let mut bytes = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < LONGEST {
        match stream.read(&mut bytes)? {
            0 => break,
            length => request.extend_from_slice(&bytes[..length]),
        }
    }
    let (status, text) = match request.starts_with(b"GET ") {
        true => ("200 OK", exposition()),
        false => ("405 Method Not Allowed", String::new()),
    };
    write!(
        stream,
        "HTTP/1.0 {status}\r\n\
         Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n\
         Content-Length: {}\r\n\r\n{text}",
        text.len()
    )
}

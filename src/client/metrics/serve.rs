//! An HTTP server for scrapers, at a TCP port or at a unix socket.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use socket2::Socket;

use super::text::CONTENT_TYPE;
use crate::files::{self, PathError};
use crate::sys::clock;

/// Time limit of a request, and then of the response.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Longest request in bytes; longer than any scraper's.
const LONGEST: usize = 8 << 10;

/// Answers each request at `address` with the exposition of that time, one after the other. An
/// address with a slash is the path of a unix socket, any other is `HOST:PORT`.
///
/// # Errors
/// When the address cannot be listened at. A connection that fails ends no more than itself.
pub fn serve(address: &str, mut exposition: impl FnMut() -> String) -> Result<(), PathError> {
    let listener: Socket = if address.contains('/') {
        let path = Path::new(address);
        files::remove_stale_socket(path)?;
        let listener = UnixListener::bind(path).map_err(|error| PathError::making(path, error))?;
        listener.into()
    } else {
        TcpListener::bind(address)?.into()
    };
    loop {
        match listener.accept() {
            Ok((scraper, _)) => {
                let _ = answer(&scraper, &mut exposition);
            }
            // The scraper closed the connection before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn answer(scraper: &Socket, exposition: &mut dyn FnMut() -> String) -> io::Result<()> {
    let mut request = Vec::new();
    let mut bytes = [0; 1024];
    let mut reader = Timed::new(scraper);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < LONGEST {
        match reader.read(&mut bytes)? {
            0 => break,
            length => request.extend_from_slice(&bytes[..length]),
        }
    }
    let (status, text) = match request.starts_with(b"GET ") {
        true => ("200 OK", exposition()),
        false => ("405 Method Not Allowed", String::new()),
    };
    write!(
        Timed::new(scraper),
        "HTTP/1.0 {status}\r\n\
         Content-Type: {}\r\n\
         Content-Length: {}\r\n\r\n{text}",
        CONTENT_TYPE,
        text.len()
    )
}

/// A connection that fails after [`TIMEOUT`], also while single bytes still come.
struct Timed<'a> {
    socket: &'a Socket,
    /// On the monotonic clock.
    deadline: Duration,
}

impl<'a> Timed<'a> {
    fn new(socket: &'a Socket) -> Self {
        Timed {
            socket,
            deadline: clock::monotonic() + TIMEOUT,
        }
    }

    fn remaining(&self) -> io::Result<Option<Duration>> {
        match self.deadline.saturating_sub(clock::monotonic()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.remaining()?)?;
        self.socket.read(bytes)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.remaining()?)?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    /// Returns the response to a request.
    fn answered(request: &[u8]) -> String {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(request).unwrap();
        answer(&ours.into(), &mut || "metrics\n".to_owned()).unwrap();
        let mut text = String::new();
        theirs.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_get_returns_the_exposition() {
        let expected = "HTTP/1.0 200 OK\r\n\
                        Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
                        Content-Length: 8\r\n\r\nmetrics\n";
        let request = "GET /metrics HTTP/1.1\r\n\
                       Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.3\r\n\r\n";
        assert_eq!(answered(request.as_bytes()), expected);
        let longest = [b"GET /".as_slice(), &[b'x'; LONGEST - 5]].concat();
        assert_eq!(answered(&longest), expected);
    }

    #[test]
    fn other_requests_are_refused() {
        for request in ["POST /metrics HTTP/1.1\r\n\r\n", "\r\n\r\n"] {
            let text = answered(request.as_bytes());
            assert!(text.starts_with("HTTP/1.0 405 "), "{text}");
        }
    }

    #[test]
    fn a_request_that_trickles_times_out() {
        const PAUSE: Duration = Duration::from_millis(50);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let answerer = thread::spawn(move || answer(&ours.into(), &mut String::new));
        let mut bytes = 0;
        while theirs.write_all(b"G").is_ok() {
            bytes += 1;
            assert!(PAUSE * bytes < 5 * TIMEOUT, "still read");
            thread::sleep(PAUSE);
        }
        assert!(answerer.join().unwrap().is_err());
    }
}

//! Metrics for a scraper that asks by HTTP, at a port or at a unix socket.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::Socket;

use super as metrics;
use crate::files::{self, PathError};

/// How long a scraper may take for its request, and then for the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest request that is read; longer than any scraper's.
const LONGEST: usize = 8 << 10;

/// Answers every request at `address` with what `exposition` returns then, one after the other.
/// An address with a slash is the path of a unix socket, any other one `HOST:PORT`.
///
/// # Errors
/// When it cannot listen there; a scraper that fails is its own affair.
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
            // The scraper has gone already.
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
        metrics::CONTENT_TYPE,
        text.len()
    )
}

/// A connection that fails when [`PATIENCE`] is over, however slowly its bytes trickle.
struct Timed<'a> {
    socket: &'a Socket,
    deadline: Instant,
}

impl<'a> Timed<'a> {
    fn new(socket: &'a Socket) -> Self {
        Timed {
            socket,
            deadline: Instant::now() + PATIENCE,
        }
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.checked_duration_since(Instant::now());
        match left.filter(|left| !left.is_zero()) {
            Some(left) => Ok(Some(left)),
            None => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        self.socket.read(bytes)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
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

    /// What is answered to this request.
    fn answered(request: &[u8]) -> String {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(request).unwrap();
        answer(&ours.into(), &mut || "metrics\n".to_owned()).unwrap();
        let mut text = String::new();
        theirs.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_get_is_answered_with_the_exposition() {
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
    fn a_scraper_whose_request_trickles_is_given_up() {
        const PAUSE: Duration = Duration::from_millis(50);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let answerer = thread::spawn(move || answer(&ours.into(), &mut String::new));
        let mut bytes = 0;
        while theirs.write_all(b"G").is_ok() {
            bytes += 1;
            assert!(PAUSE * bytes < 5 * PATIENCE, "still read");
            thread::sleep(PAUSE);
        }
        assert!(answerer.join().unwrap().is_err());
    }
}

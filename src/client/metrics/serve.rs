//! An HTTP server for scrapers, at a TCP port or at a unix socket.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use socket2::Socket;

use super::text::CONTENT_TYPE;
use crate::files::{self, PathError};
use crate::sys::clock;

/// Time limit of a request, and then of the response.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Number of requests answered at a time: clients that send nothing keep no scraper waiting.
const AT_ONCE: usize = 16;
/// Longest request in bytes; longer than any scraper's.
const LONGEST: usize = 8 << 10;

/// Answers each request at `address` with the exposition of that time, [`AT_ONCE`] requests at a
/// time. An address with a slash is the path of a unix socket, any other is `HOST:PORT`.
///
/// # Errors
/// When the address cannot be listened at. A connection that fails ends no more than itself.
pub fn serve(address: &str, exposition: impl Fn() -> String + Sync) -> Result<(), PathError> {
    let listener: Socket = if address.contains('/') {
        let path = Path::new(address);
        files::remove_stale_socket(path)?;
        let listener = UnixListener::bind(path).map_err(|error| PathError::making(path, error))?;
        listener.into()
    } else {
        TcpListener::bind(address)?.into()
    };
    let answer_all = || loop {
        match listener.accept() {
            Ok((scraper, _)) => drop(answer(&scraper, &exposition)),
            // The scraper closed the connection before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return error,
        }
    };
    let error = thread::scope(|scope| {
        for _ in 1..AT_ONCE {
            scope.spawn(answer_all);
        }
        answer_all()
    });
    Err(error.into())
}

fn answer(scraper: &Socket, exposition: &dyn Fn() -> String) -> io::Result<()> {
    let mut request = Vec::new();
    let mut bytes = [0; 1024];
    let mut reader = Timed::new(scraper);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < LONGEST {
        match reader.read(&mut bytes)? {
            0 => break,
            length => request.extend_from_slice(&bytes[..length]),
        }
    }
    // RFC 9110 requires GET and HEAD of every server, and the field Allow in an answer 405.
    let is_head = request.starts_with(b"HEAD ");
    let (status, text) = match is_head || request.starts_with(b"GET ") {
        true => ("200 OK", exposition()),
        false => ("405 Method Not Allowed\r\nAllow: GET, HEAD", String::new()),
    };
    write!(
        Timed::new(scraper),
        "HTTP/1.0 {status}\r\n\
         Content-Type: {}\r\n\
         Content-Length: {}\r\n\r\n{}",
        CONTENT_TYPE,
        text.len(),
        if is_head { "" } else { &text }
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
        Timed { socket, deadline: clock::monotonic() + TIMEOUT }
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

    use super::*;

    /// Returns the response to a request.
    fn answered(request: &[u8]) -> String {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(request).unwrap();
        answer(&ours.into(), &|| "metrics\n".to_owned()).unwrap();
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
        let head = answered(b"HEAD /metrics HTTP/1.1\r\n\r\n");
        assert_eq!(head + "metrics\n", expected);
        let longest = [b"GET /".as_slice(), &[b'x'; LONGEST - 5]].concat();
        assert_eq!(answered(&longest), expected);
    }

    #[test]
    fn other_requests_are_refused() {
        for request in ["POST /metrics HTTP/1.1\r\n\r\n", "\r\n\r\n"] {
            let text = answered(request.as_bytes());
            assert!(text.starts_with("HTTP/1.0 405 "), "{text}");
            assert!(text.contains("\r\nAllow: GET, HEAD\r\n"), "{text}");
        }
    }

    #[test]
    fn a_request_that_trickles_times_out() {
        const PAUSE: Duration = Duration::from_millis(50);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let answerer = thread::spawn(move || answer(&ours.into(), &String::new));
        let mut bytes = 0;
        while theirs.write_all(b"G").is_ok() {
            bytes += 1;
            assert!(PAUSE * bytes < 5 * TIMEOUT, "still read");
            thread::sleep(PAUSE);
        }
        assert!(answerer.join().unwrap().is_err());
    }

    #[test]
    fn silent_clients_delay_no_scraper() {
        let path = std::env::temp_dir().join(format!("teamr-serve-{}/socket", std::process::id()));
        let folder = path.parent().unwrap();
        std::fs::create_dir_all(folder).unwrap();
        let address = path.to_str().unwrap().to_owned();
        thread::spawn(move || serve(&address, || "metrics\n".to_owned()));
        let connect = || {
            let deadline = clock::monotonic() + Duration::from_secs(10);
            loop {
                match UnixStream::connect(&path) {
                    Ok(client) => return client,
                    Err(error) => assert!(clock::monotonic() < deadline, "{error}"),
                }
                thread::yield_now();
            }
        };
        let silent: Vec<UnixStream> = (1..AT_ONCE).map(|_| connect()).collect();
        let start = clock::monotonic();
        let mut scraper = connect();
        scraper.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut text = String::new();
        scraper.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.0 200 "), "{text}");
        assert!(clock::monotonic() - start < TIMEOUT, "the scraper waited for the silent clients");
        drop(silent);
        std::fs::remove_dir_all(folder).unwrap();
    }
}

//! The log: its output, its levels and its format.
//!
//! Standard: teamd's. On stderr and stdout the bare message, one a line; to syslog RFC 3164 with
//! facility daemon, `<program>_<device>` and the pid. Messages of level info and up always appear,
//! debug messages from debug level 1, trace messages from 2. A process with several devices puts a
//! device's name before its messages. Writing to an output that [`set_output`] has set never waits: a
//! message that finds no room is lost.

mod stream;

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

use self::stream::Stream;
use crate::sys::local_time::{self, LocalTime};
use crate::text::printable;

/// The outputs that `-l` and `TEAM_LOG_OUTPUT` name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The system's log.
    Syslog,
}

impl LogOutput {
    /// Returns the output with this name; logs a warning that names `origin` for any other word.
    pub fn named(word: &str, origin: &str) -> Option<Self> {
        match word {
            "stdout" => Some(LogOutput::Stdout),
            "stderr" => Some(LogOutput::Stderr),
            "syslog" => Some(LogOutput::Syslog),
            _ => {
                log::warn!("{origin}: expected stdout, stderr or syslog, found \"{word}\"");
                None
            }
        }
    }

    /// Returns the option if it was given, else the variable, else syslog for a daemon in the
    /// background and stderr for one in the foreground.
    pub fn choose(option: Option<Self>, variable: Option<&str>, daemonized: bool) -> Self {
        option.or_else(|| variable.and_then(|word| LogOutput::named(word, VARIABLE))).unwrap_or(
            match daemonized {
                true => LogOutput::Syslog,
                false => LogOutput::Stderr,
            },
        )
    }
}

/// Environment variable with the output, as `-l` names it.
pub const VARIABLE: &str = "TEAM_LOG_OUTPUT";

/// Starts logging, to stderr; does nothing the second time.
pub fn init() {
    if log::set_logger(&LOGGER).is_ok() {
        set_debug_level(0);
    }
}

/// Replaces the output; `ident` names the sender in syslog.
pub fn set_output(output: LogOutput, ident: &str) {
    let sink = match output {
        LogOutput::Stdout => Stream::open(io::stdout().as_fd()).map(Sink::Stream),
        LogOutput::Stderr => Stream::open(io::stderr().as_fd()).map(Sink::Stream),
        LogOutput::Syslog => Ok(Sink::Syslog(Syslog::new(Path::new("/dev/log"), ident))),
    };
    match sink {
        Ok(sink) => *LOGGER.lock() = Some(sink),
        Err(error) => log::warn!("Failed to open the output of the log: {error}"),
    }
}

/// Keeps the error messages from now on, for [`take_errors`].
pub fn keep_errors() {
    *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(String::new());
}

/// Returns the error messages since [`keep_errors`], one a line, and keeps no further ones.
pub fn take_errors() -> String {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
}

/// Sets the debug level: debug messages appear from 1, trace messages from 2.
pub fn set_debug_level(level: u32) {
    DEBUG_LEVEL.store(level, Ordering::Relaxed);
    log::set_max_level(match level {
        0 => LevelFilter::Info,
        1 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    });
}

/// Returns the debug level.
pub fn debug_level() -> u32 {
    DEBUG_LEVEL.load(Ordering::Relaxed)
}

/// Puts the name of the present [`scope`] before each message from now on.
pub fn show_scopes() {
    SHOWS_SCOPES.store(true, Ordering::Relaxed);
}

/// Makes `name` the scope of this thread's messages until the value is dropped.
#[must_use]
pub fn scope(name: &str) -> LogScope {
    SCOPE.with_borrow_mut(|scope| name.clone_into(scope));
    LogScope(())
}

/// See [`scope`].
pub struct LogScope(());

impl Drop for LogScope {
    fn drop(&mut self) {
        SCOPE.with_borrow_mut(String::clear);
    }
}

/// Displays as the scope before a message.
struct Prefix;

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !SHOWS_SCOPES.load(Ordering::Relaxed) {
            return Ok(());
        }
        SCOPE.with_borrow(|scope| match scope.is_empty() {
            true => Ok(()),
            false => write!(f, "{scope}: "),
        })
    }
}

static SHOWS_SCOPES: AtomicBool = AtomicBool::new(false);

thread_local! {
    static SCOPE: RefCell<String> = const { RefCell::new(String::new()) };
}

static DEBUG_LEVEL: AtomicU32 = AtomicU32::new(0);

/// Error messages since [`keep_errors`].
static KEPT: Mutex<Option<String>> = Mutex::new(None);

static LOGGER: Logger = Logger(Mutex::new(None));

/// The output in use; before [`set_output`] stderr, which may make the process wait.
struct Logger(Mutex<Option<Sink>>);

enum Sink {
    Stream(Stream),
    Syslog(Syslog),
}

impl Logger {
    fn lock(&self) -> MutexGuard<'_, Option<Sink>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Logger {
    /// Leaves out mio's messages, one for each call.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !metadata.target().starts_with("mio")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if record.level() == Level::Error {
            if let Some(kept) = &mut *KEPT.lock().unwrap_or_else(PoisonError::into_inner) {
                kept.push_str(&line(record));
                kept.push('\n');
            }
        }
        match &mut *self.lock() {
            None => {
                let _ = writeln!(io::stderr(), "{Prefix}{}", record.args());
            }
            Some(Sink::Stream(stream)) => stream.log(record),
            Some(Sink::Syslog(syslog)) => syslog.log(record),
        }
    }

    fn flush(&self) {}
}

/// Returns the severity of a level in syslog and in the journal.
fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

struct Syslog {
    path: PathBuf,
    ident: String,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    fn new(path: &Path, ident: &str) -> Self {
        Syslog { path: path.to_owned(), ident: ident.to_owned(), socket: None }
    }

    /// Sends a message; if the connection fails, once more on a new one: the syslog daemon may have
    /// restarted.
    fn log(&mut self, record: &Record<'_>) {
        let packet = packet(record, &self.ident, std::process::id(), local_time::now());
        for _ in 0..2 {
            match self.send(packet.as_bytes()) {
                Ok(_) => return,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.socket = None,
            }
        }
    }

    fn send(&mut self, packet: &[u8]) -> io::Result<usize> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = UnixDatagram::unbound()?;
                socket.set_nonblocking(true)?;
                socket.connect(&self.path)?;
                socket
            }
        };
        self.socket.insert(socket).send(packet)
    }
}

/// Returns a packet of RFC 3164: priority, local time, sender, text.
fn packet(record: &Record<'_>, ident: &str, pid: u32, time: LocalTime) -> String {
    const DAEMON: u8 = 3 << 3;
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    format!(
        "<{}>{} {:>2} {:02}:{:02}:{:02} {ident}[{pid}]: {}",
        DAEMON | severity(record.level()),
        MONTHS[usize::from(time.month) % 12],
        time.day,
        time.hour,
        time.minute,
        time.second,
        line(record)
    )
}

/// Returns the text of a record, without control characters.
fn line(record: &Record<'_>) -> String {
    printable(&format!("{Prefix}{}", record.args())).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn message(level: Level, text: &str, then: impl FnOnce(&Record<'_>)) {
        then(&Record::builder().level(level).args(format_args!("{text}")).build());
    }

    fn info(text: &str, then: impl FnOnce(&Record<'_>)) {
        message(Level::Info, text, then);
    }

    #[test]
    fn a_syslog_packet_has_teamds_format() {
        let time = LocalTime { month: 10, day: 2, hour: 3, minute: 4, second: 5 };
        info("1.32 successfully started.", |record| {
            assert_eq!(
                packet(record, "teamd_t0", 853, time),
                "<30>Nov  2 03:04:05 teamd_t0[853]: 1.32 successfully started."
            );
        });
    }

    #[test]
    fn a_message_has_no_control_characters() {
        info("\x1b]0;x\x07: up", |record| assert_eq!(line(record), "\\x1b]0;x\\x07: up"));
    }

    #[test]
    fn a_restarted_syslog_daemon_gets_the_next_message() {
        let path = std::env::temp_dir().join(format!("teamr-log-{}", std::process::id()));
        let mut syslog = Syslog::new(&path, "teamr");
        info("no listener", |record| syslog.log(record));
        for turn in ["first", "second"] {
            let listener = UnixDatagram::bind(&path).unwrap();
            info(turn, |record| syslog.log(record));
            let mut buffer = [0; 100];
            listener.set_nonblocking(true).unwrap();
            let got = listener.recv(&mut buffer).unwrap();
            assert!(buffer[..got].ends_with(turn.as_bytes()));
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_full_syslog_socket_does_not_block() {
        let path = std::env::temp_dir().join(format!("teamr-full-{}", std::process::id()));
        let _listener = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::new(&path, "teamr");
        for _ in 0..10_000 {
            info("and another", |record| syslog.log(record));
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_option_precedes_the_variable_and_the_variable_the_default() {
        use LogOutput::{Stderr, Stdout, Syslog};
        assert_eq!(LogOutput::choose(Some(Stdout), Some("syslog"), true), Stdout);
        assert_eq!(LogOutput::choose(None, Some("syslog"), false), Syslog);
        assert_eq!(LogOutput::choose(None, Some("paper"), false), Stderr);
        assert_eq!(LogOutput::choose(None, None, true), Syslog);
    }
}

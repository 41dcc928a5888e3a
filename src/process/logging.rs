//! Where messages go, and how many of them.
//!
//! Standard: teamd's. On stderr and stdout the bare message, one a line; to syslog RFC 3164 with
//! facility daemon, `<program>_<device>` and the pid. Messages of level info and up always, debug
//! ones from debug level 1, trace ones from 2. Of several teams in one process each has its name
//! before its messages. Syslog is written without waiting: a message that
//! its socket has no room for is lost, the loop is not held up.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use env_logger::Target;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::sys::local_time::{self, LocalTime};

/// What `-l` and `TEAM_LOG_OUTPUT` may name.
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
    /// The output with this name; for any other word a warning that names `origin`.
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

    /// The option if it was given, else the variable, else syslog for a daemon in the background
    /// and stderr for one in the foreground.
    pub fn choose(option: Option<Self>, variable: Option<&str>, daemonized: bool) -> Self {
        option
            .or_else(|| variable.and_then(|word| LogOutput::named(word, VARIABLE)))
            .unwrap_or(match daemonized {
                true => LogOutput::Syslog,
                false => LogOutput::Stderr,
            })
    }
}

/// Says as `-l` does where messages go.
pub const VARIABLE: &str = "TEAM_LOG_OUTPUT";

/// Starts logging, to stderr; does nothing the second time.
pub fn init() {
    if log::set_logger(&LOGGER).is_ok() {
        set_debug_level(0);
    }
}

/// Sends messages elsewhere from now on; `ident` names the sender in the system's log.
pub fn set_output(output: LogOutput, ident: &str) {
    let sink = match output {
        LogOutput::Stdout => Sink::Stream(stream(Target::Stdout)),
        LogOutput::Stderr => Sink::Stream(stream(Target::Stderr)),
        LogOutput::Syslog => Sink::Syslog(Syslog::new(Path::new("/dev/log"), ident)),
    };
    LOGGER.replace(sink);
}

/// Says more from now on: debug messages from 1, trace messages from 2.
pub fn set_debug_level(level: u32) {
    DEBUG_LEVEL.store(level, Ordering::Relaxed);
    log::set_max_level(match level {
        0 => LevelFilter::Info,
        1 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    });
}

/// The level last set.
pub fn debug_level() -> u32 {
    DEBUG_LEVEL.load(Ordering::Relaxed)
}

/// Messages begin with the team that they are about from now on: there are several.
pub fn name_teams() {
    NAMES_TEAMS.store(true, Ordering::Relaxed);
}

/// The messages of this thread are about the team `device` until this is dropped.
#[must_use]
pub fn about(device: &str) -> About {
    TEAM.with_borrow_mut(|team| device.clone_into(team));
    About(())
}

/// See [`about`].
pub struct About(());

impl Drop for About {
    fn drop(&mut self) {
        TEAM.with_borrow_mut(String::clear);
    }
}

/// What stands before a message.
struct Prefix;

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !NAMES_TEAMS.load(Ordering::Relaxed) {
            return Ok(());
        }
        TEAM.with_borrow(|team| match team.is_empty() {
            true => Ok(()),
            false => write!(f, "{team}: "),
        })
    }
}

static NAMES_TEAMS: AtomicBool = AtomicBool::new(false);

thread_local! {
    static TEAM: RefCell<String> = const { RefCell::new(String::new()) };
}

static DEBUG_LEVEL: AtomicU32 = AtomicU32::new(0);

static LOGGER: Logger = Logger(Mutex::new(Sink::Unset));

struct Logger(Mutex<Sink>);

enum Sink {
    Unset,
    Stream(env_logger::Logger),
    Syslog(Syslog),
}

impl Logger {
    fn replace(&self, sink: Sink) {
        *self.lock() = sink;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sink> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Log for Logger {
    /// mio traces each of its calls, which is nobody's debug level.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !metadata.target().starts_with("mio")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut sink = self.lock();
        if let Sink::Unset = *sink {
            *sink = Sink::Stream(stream(Target::Stderr));
        }
        match &mut *sink {
            Sink::Unset => {}
            Sink::Stream(stream) => stream.log(record),
            Sink::Syslog(syslog) => syslog.log(record),
        }
    }

    fn flush(&self) {}
}

fn stream(target: Target) -> env_logger::Logger {
    env_logger::Builder::new()
        .filter_level(LevelFilter::Trace)
        .format(|out, record| writeln!(out, "{Prefix}{}", record.args()))
        .target(target)
        .build()
}

struct Syslog {
    path: PathBuf,
    ident: String,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    fn new(path: &Path, ident: &str) -> Self {
        Syslog {
            path: path.to_owned(),
            ident: ident.to_owned(),
            socket: None,
        }
    }

    /// The system's logger may have been started again since the last message, so a refused one
    /// is sent once more on a new connection.
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

/// RFC 3164: priority, local time, sender, text.
fn packet(record: &Record<'_>, ident: &str, pid: u32, time: LocalTime) -> String {
    const DAEMON: u8 = 3 << 3;
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let severity = match record.level() {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    format!(
        "<{}>{} {:>2} {:02}:{:02}:{:02} {ident}[{pid}]: {Prefix}{}",
        DAEMON | severity,
        MONTHS[usize::from(time.month) % 12],
        time.day,
        time.hour,
        time.minute,
        time.second,
        record.args()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(text: &str, then: impl FnOnce(&Record<'_>)) {
        then(
            &Record::builder()
                .level(Level::Info)
                .args(format_args!("{text}"))
                .build(),
        );
    }

    #[test]
    fn syslog_lines_look_like_teamds() {
        let time = LocalTime {
            month: 10,
            day: 2,
            hour: 3,
            minute: 4,
            second: 5,
        };
        info("1.32 successfully started.", |record| {
            assert_eq!(
                packet(record, "teamd_t0", 853, time),
                "<30>Nov  2 03:04:05 teamd_t0[853]: 1.32 successfully started."
            );
        });
    }

    #[test]
    fn a_restarted_system_logger_gets_the_next_message() {
        let path = std::env::temp_dir().join(format!("teamr-log-{}", std::process::id()));
        let mut syslog = Syslog::new(&path, "teamr");
        info("nobody listens", |record| syslog.log(record));
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
    fn a_full_system_logger_holds_nobody_up() {
        let path = std::env::temp_dir().join(format!("teamr-full-{}", std::process::id()));
        let _listener = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::new(&path, "teamr");
        for _ in 0..10_000 {
            info("and another", |record| syslog.log(record));
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn option_then_variable_then_habit() {
        use LogOutput::{Stderr, Stdout, Syslog};
        assert_eq!(
            LogOutput::choose(Some(Stdout), Some("syslog"), true),
            Stdout
        );
        assert_eq!(LogOutput::choose(None, Some("syslog"), false), Syslog);
        assert_eq!(LogOutput::choose(None, Some("paper"), false), Stderr);
        assert_eq!(LogOutput::choose(None, None, true), Syslog);
    }
}

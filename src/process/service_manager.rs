//! What the service manager hears of the daemon: that it is ready, how its teams are, that its
//! loop still turns, that it ends.
//!
//! Standard: sd_notify(3) and sd_watchdog_enabled(3); without their variables nothing is told to
//! anybody. Never waits: a message that the manager's queue has no room for is sent again later.
//! The sign of life comes from the loop itself and from nowhere else, so a loop that hangs is
//! noticed.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use runners::Instant;

use crate::control::dbus::BusAbsence;

/// When a message that did not go is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// What a daemon that ends tells of itself.
const ENDING: &str = "Giving everything back.";

/// The service manager, if one started us.
pub struct ServiceManager {
    socket: Option<UnixDatagram>,
    /// Half of the silence that it bears; none if it does not care.
    rhythm: Option<Duration>,
    next_sign: Instant,
    /// The status line that it has heard; none before it knows that we are ready.
    told: Option<String>,
    retry: Option<Instant>,
}

impl ServiceManager {
    /// From `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    pub fn from_environment() -> Self {
        let address = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty());
        let socket = address.and_then(|address| {
            connect(&address)
                .inspect_err(|error| {
                    log::warn!("Failed to reach the service manager at {address:?} ({error}).");
                })
                .ok()
        });
        let usec = env::var("WATCHDOG_USEC").ok();
        let pid = env::var("WATCHDOG_PID").ok();
        ServiceManager {
            rhythm: rhythm(usec.as_deref(), pid.as_deref()).filter(|_| socket.is_some()),
            socket,
            next_sign: Instant::ZERO,
            told: None,
            retry: None,
        }
    }

    /// What a missing system bus means for a start: a service manager starts the network, and so
    /// the team, before the bus.
    pub fn bus_absence(&self) -> BusAbsence {
        match self.socket {
            Some(_) => BusAbsence::Awaited,
            None => BusAbsence::Fatal,
        }
    }

    /// When [`turn`](Self::turn) is due although nothing else happens.
    pub fn deadline(&self) -> Option<Instant> {
        let sign = self.rhythm.map(|_| self.next_sign);
        sign.into_iter().chain(self.retry).min()
    }

    /// Tells what is new, after a turn of the loop that began at `now`. The first time it tells
    /// that the daemon is ready.
    pub fn turn(&mut self, now: Instant, status: impl FnOnce() -> String) {
        if self.socket.is_none() {
            return;
        }
        let status = status();
        let mut message = String::new();
        if self.told.is_none() {
            message += "READY=1\n";
        }
        if self.told.as_ref() != Some(&status) {
            message += &format!("STATUS={status}\n");
        }
        let sign = self.rhythm.filter(|_| self.next_sign <= now);
        if sign.is_some() {
            message += "WATCHDOG=1\n";
        }
        self.retry = None;
        if message.is_empty() {
            return;
        }
        if self.send(&message) {
            self.told = Some(status);
            if let Some(rhythm) = sign {
                self.next_sign = now + rhythm;
            }
        } else {
            self.retry = Some(now + AGAIN);
            self.next_sign = self.next_sign.max(now + AGAIN);
        }
    }

    /// Tells that the daemon ends.
    pub fn stopping(&mut self) {
        // The manager hears of the end anyway.
        self.send(&format!("STOPPING=1\nSTATUS={ENDING}\n"));
    }

    fn send(&self, message: &str) -> bool {
        let socket = self.socket.as_ref();
        socket.is_some_and(|socket| socket.send(message.as_bytes()).is_ok())
    }
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

/// Twice as often as asked for, as sd_watchdog_enabled(3) advises. A pid that is not ours means
/// somebody else: after a fork, the parent.
fn rhythm(usec: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    let usec: u64 = usec?.parse().ok().filter(|usec| *usec > 0)?;
    let ours = pid.is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    ours.then(|| Duration::from_micros(usec) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    /// A manager that bears 200 ms of silence, and its end of the socket.
    fn manager() -> (ServiceManager, UnixDatagram) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        for socket in [&ours, &theirs] {
            socket.set_nonblocking(true).unwrap();
        }
        let manager = ServiceManager {
            socket: Some(ours),
            rhythm: rhythm(Some("200000"), None),
            next_sign: Instant::ZERO,
            told: None,
            retry: None,
        };
        (manager, theirs)
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 200];
        let length = socket.recv(&mut buffer).unwrap_or(0);
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn only_what_is_new_is_told() {
        let (mut manager, theirs) = manager();
        manager.turn(at(10), || "well".into());
        assert_eq!(heard(&theirs), "READY=1\nSTATUS=well\nWATCHDOG=1\n");
        assert_eq!(manager.deadline(), Some(at(110)));
        manager.turn(at(20), || "well".into());
        assert_eq!(heard(&theirs), "");
        manager.turn(at(30), || "ill".into());
        assert_eq!(heard(&theirs), "STATUS=ill\n");
        manager.turn(at(110), || "ill".into());
        assert_eq!(heard(&theirs), "WATCHDOG=1\n");
        assert_eq!(manager.deadline(), Some(at(210)));
        manager.stopping();
        assert_eq!(heard(&theirs), format!("STOPPING=1\nSTATUS={ENDING}\n"));
    }

    #[test]
    fn what_finds_no_room_is_told_later() {
        let (mut manager, theirs) = manager();
        let socket = manager.socket.as_ref().unwrap();
        let mut waiting = 0;
        while socket.send(b"full").is_ok() {
            waiting += 1;
        }
        manager.turn(at(10), || "well".into());
        assert_eq!(manager.deadline(), Some(at(110)));
        for _ in 0..waiting {
            assert_eq!(heard(&theirs), "full");
        }
        assert_eq!(heard(&theirs), "");
        manager.turn(at(110), || "well".into());
        assert_eq!(heard(&theirs), "READY=1\nSTATUS=well\nWATCHDOG=1\n");
    }

    #[test]
    fn a_watchdog_that_is_not_ours_is_not_fed() {
        let half = Duration::from_millis(100);
        let pid = std::process::id().to_string();
        assert_eq!(rhythm(Some("200000"), None), Some(half));
        assert_eq!(rhythm(Some("200000"), Some(&pid)), Some(half));
        for (usec, pid) in [
            (None, None),
            (Some("0"), None),
            (Some("-1"), None),
            (Some("soon"), None),
            (Some("200000"), Some("1")),
            (Some("200000"), Some("")),
        ] {
            assert_eq!(rhythm(usec, pid), None, "{usec:?} {pid:?}");
        }
    }
}

//! Notifications to the service manager: readiness, status, watchdog, end; and the descriptors that
//! the service manager keeps from one daemon to the next.
//!
//! Standard: sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3); without their variables
//! nothing is sent.
//! Sending never waits: a message that finds no room in the manager's queue is sent again later.
//! Only the loop sends the watchdog's keep-alive, so the manager notices a loop that hangs.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use runners::Instant;

use crate::sys::process::take_passed;
use crate::sys::{clock, descriptor};

/// Time until a message that was not sent is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// Time in which the manager takes descriptors, or their removal, at the end and at the start of a
/// daemon: hundreds of teams have more descriptors than the manager's queue has places.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// The status of a daemon that ends.
const ENDING: &str = "Giving everything back.";

/// The service manager, if one started us.
pub struct ServiceManager {
    socket: Option<UnixDatagram>,
    /// Half of the watchdog's time; `None` without a watchdog.
    period: Option<Duration>,
    next_keep_alive: Instant,
    status: String,
    /// The readiness was sent.
    is_ready: bool,
    /// `status` was sent.
    is_sent: bool,
    retry: Option<Instant>,
}

impl ServiceManager {
    /// Returns the manager that `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` describe.
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
        ServiceManager::new(socket, period(usec.as_deref(), pid.as_deref()))
    }

    fn new(socket: Option<UnixDatagram>, period: Option<Duration>) -> Self {
        ServiceManager {
            period: period.filter(|_| socket.is_some()),
            socket,
            next_keep_alive: Instant::ZERO,
            status: String::new(),
            is_ready: false,
            is_sent: false,
            retry: None,
        }
    }

    /// Returns whether a service manager started the process.
    pub fn is_present(&self) -> bool {
        self.socket.is_some()
    }

    /// Returns when to call [`turn`](Self::turn) although nothing else happens.
    pub fn deadline(&self) -> Option<Instant> {
        let keep_alive = self.period.map(|_| self.next_keep_alive);
        keep_alive.into_iter().chain(self.retry).min()
    }

    /// Replaces the status line, which the next [`turn`](Self::turn) sends if it differs.
    pub fn set_status(&mut self, status: String) {
        if self.status != status {
            self.status = status;
            self.is_sent = false;
        }
    }

    /// Sends what is new, after a turn of the loop that ended at `now`; the first time, that the
    /// daemon is ready. Sends readiness, status and keep-alive as separate messages, so that the loss
    /// of one does not lose another.
    pub fn turn(&mut self, now: Instant) {
        if self.socket.is_none() {
            return;
        }
        self.is_ready = self.is_ready || self.send("READY=1\n");
        self.is_sent = self.is_sent || self.send(&format!("STATUS={}\n", self.status));
        let mut all_sent = self.is_ready && self.is_sent;
        if let Some(period) = self.period.filter(|_| self.next_keep_alive <= now) {
            let sent = self.send("WATCHDOG=1\n");
            self.next_keep_alive = now + if sent { period } else { RETRY };
            all_sent &= sent;
        }
        self.retry = (!all_sent).then_some(now + RETRY);
    }

    /// Sends that the daemon ends.
    pub fn stopping(&mut self) {
        // The manager sees the end even if it misses this message.
        self.send(&format!("STOPPING=1\nSTATUS={ENDING}\n"));
    }

    /// Gives a descriptor to the manager, which keeps it for the next daemon under a name of ASCII
    /// without `:`. While the manager's queue is full, waits until [`clock::monotonic`] is `end`.
    ///
    /// # Errors
    /// `EAGAIN` if the manager's queue stays full. A manager that keeps no descriptors closes this one.
    pub fn keep(&self, name: &str, descriptor: &impl AsFd, end: Duration) -> io::Result<()> {
        let message = format!("FDSTORE=1\nFDNAME={name}\n");
        match &self.socket {
            Some(socket) => {
                with_room(socket, end, || descriptor::send(socket, message.as_bytes(), descriptor))
            }
            None => Ok(()),
        }
    }

    /// Returns the descriptors that a former daemon gave to the manager, by name. The manager closes
    /// its own copies; the next call returns none.
    pub fn take_kept(&self) -> BTreeMap<String, OwnedFd> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let named = names.split(':').map(str::to_owned).zip(take_passed());
        let kept: BTreeMap<_, _> = named.filter_map(|(name, fd)| Some((name, fd?))).collect();
        let end = clock::monotonic() + PATIENCE;
        for (socket, name) in
            self.socket.iter().flat_map(|it| kept.keys().map(move |key| (it, key)))
        {
            let message = format!("FDSTOREREMOVE=1\nFDNAME={name}\n");
            let removed = with_room(socket, end, || socket.send(message.as_bytes()).map(drop));
            if let Err(error) = removed {
                log::debug!("The service manager still has {name} ({error}).");
            }
        }
        kept
    }

    fn send(&self, message: &str) -> bool {
        let socket = self.socket.as_ref();
        socket.is_some_and(|socket| socket.send(message.as_bytes()).is_ok())
    }
}

/// Repeats `send` while the manager's queue is full, at most until [`clock::monotonic`] is `end`. Blocks
/// meanwhile: a daemon calls this function before its loop begins and after its loop has ended.
fn with_room(
    socket: &UnixDatagram,
    end: Duration,
    mut send: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    loop {
        let sent = send();
        let left = end.saturating_sub(clock::monotonic());
        let is_full = sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        if !is_full || left.is_zero() {
            return sent;
        }
        let mut waiting = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
        // An interrupted wait is repeated.
        let _ = poll(&mut waiting, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
    }
}

/// Returns the number of descriptors that the service manager passes to this process.
pub fn passed_descriptors() -> u16 {
    let number = |name| env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    let is_ours = number("LISTEN_PID") == Some(std::process::id());
    let passed = number("LISTEN_FDS").filter(|_| is_ours).unwrap_or(0);
    passed.try_into().unwrap_or(0)
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

/// Returns half of the watchdog's time, as sd_watchdog_enabled(3) advises; `None` if the watchdog is
/// off or is for another process, such as the parent before a fork.
fn period(usec: Option<&str>, pid: Option<&str>) -> Option<Duration> {
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

    /// Returns a manager with a watchdog of 200 ms, and its end of the socket.
    fn manager() -> (ServiceManager, UnixDatagram) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        for socket in [&ours, &theirs] {
            socket.set_nonblocking(true).unwrap();
        }
        (ServiceManager::new(Some(ours), period(Some("200000"), None)), theirs)
    }

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 200];
        let length = socket.recv(&mut buffer).unwrap_or(0);
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn only_changes_are_sent() {
        let (mut manager, theirs) = manager();
        manager.set_status("well".into());
        manager.turn(at(10));
        assert_eq!(received(&theirs), "READY=1\n");
        assert_eq!(received(&theirs), "STATUS=well\n");
        assert_eq!(received(&theirs), "WATCHDOG=1\n");
        assert_eq!(manager.deadline(), Some(at(110)));
        manager.set_status("well".into());
        manager.turn(at(20));
        assert_eq!(received(&theirs), "");
        manager.set_status("ill".into());
        manager.turn(at(30));
        assert_eq!(received(&theirs), "STATUS=ill\n");
        manager.set_status("ill".into());
        manager.turn(at(110));
        assert_eq!(received(&theirs), "WATCHDOG=1\n");
        assert_eq!(manager.deadline(), Some(at(210)));
        manager.stopping();
        assert_eq!(received(&theirs), format!("STOPPING=1\nSTATUS={ENDING}\n"));
    }

    #[test]
    fn a_message_that_finds_no_room_is_sent_later() {
        let (mut manager, theirs) = manager();
        let socket = manager.socket.as_ref().unwrap();
        let mut waiting = 0;
        while socket.send(b"full").is_ok() {
            waiting += 1;
        }
        manager.set_status("well".into());
        manager.turn(at(10));
        assert_eq!(manager.deadline(), Some(at(110)));
        for _ in 0..waiting {
            assert_eq!(received(&theirs), "full");
        }
        assert_eq!(received(&theirs), "");
        manager.set_status("well".into());
        manager.turn(at(110));
        assert_eq!(received(&theirs), "READY=1\n");
        assert_eq!(received(&theirs), "STATUS=well\n");
        assert_eq!(received(&theirs), "WATCHDOG=1\n");
    }

    #[test]
    fn a_descriptor_waits_for_room() {
        let (manager, theirs) = manager();
        let socket = manager.socket.as_ref().unwrap();
        while socket.send(b"full").is_ok() {}
        let now = clock::monotonic();
        let full = manager.keep("queue", &theirs, now);
        assert_eq!(full.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let reader = theirs.try_clone().unwrap();
        let reading = std::thread::spawn(move || received(&reader));
        manager.keep("queue", &theirs, now + Duration::from_secs(30)).unwrap();
        assert_eq!(reading.join().unwrap(), "full");
    }

    #[test]
    fn the_watchdog_of_another_process_gets_no_keep_alive() {
        let half = Duration::from_millis(100);
        let pid = std::process::id().to_string();
        assert_eq!(period(Some("200000"), None), Some(half));
        assert_eq!(period(Some("200000"), Some(&pid)), Some(half));
        for (usec, pid) in [
            (None, None),
            (Some("0"), None),
            (Some("-1"), None),
            (Some("soon"), None),
            (Some("200000"), Some("1")),
            (Some("200000"), Some("")),
        ] {
            assert_eq!(period(usec, pid), None, "{usec:?} {pid:?}");
        }
    }
}

//! One daemon for a device: a lock that is acquired before anything of the device changes. Another
//! lock lets one daemon at a time make an interface its port.
//!
//! A lock is a socket with the abstract name `teamr/DEVICE`, or `teamr//INDEX` for a port. An
//! abstract name belongs to a network namespace, as the device does, so the lock excludes daemons
//! with other run directories, pid files and data paths, too. The kernel releases the name when the
//! process ends. Any local user can bind the name, so only the socket of a user who runs daemons is
//! a lock.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use nix::sys::socket::{UnixCredentials, getsockopt, sockopt};
use nix::unistd::{Uid, User};
use socket2::{Domain, SockAddr, Socket, Type};

use super::start_options::StartError;
use crate::errno::strerror;
use crate::netlink::sock_diag::user_of_abstract_stream;

/// The user of the units.
const SERVICE_USER: &str = "teamr";

/// Attempts of [`DeviceLock::acquire_for_daemon`] before the last one.
const TRIES: usize = 50;
/// Time between two attempts.
const PAUSE: Duration = Duration::from_millis(10);

/// The lock of a device, released on drop.
#[derive(Debug)]
pub struct DeviceLock {
    /// `None` if a user who runs no daemon has the name.
    _listener: Option<UnixListener>,
}

impl DeviceLock {
    /// Acquires the lock of `device` in the network namespace of this process.
    ///
    /// # Errors
    /// `EBUSY` if another daemon has the lock; errors of making a socket.
    pub fn acquire(device: &str) -> Result<DeviceLock, StartError> {
        let refuse = |why: String, cause| {
            Err(StartError::new(format!("Cannot have \"{device}\": {why}."), cause))
        };
        let name = format!("teamr/{device}");
        match bind(&name) {
            Ok(listener) => Ok(DeviceLock { _listener: listener }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                // A process of another pid namespace has pid 0 here.
                let daemon = match holder(&name).map(|holder| holder.pid()) {
                    Some(pid @ 1..) => format!("the daemon {pid}"),
                    _ => "another daemon".to_owned(),
                };
                let busy = io::Error::from_raw_os_error(libc::EBUSY);
                refuse(format!("it belongs to {daemon}"), busy)
            }
            Err(error) => refuse(format!("make a socket: {}", strerror(&error)), error),
        }
    }

    /// Acquires the lock of `device` for its daemon. Calls `pause` with the time to wait, 10 ms, up
    /// to half a second in all, while another starting daemon has the lock to restore the ports of
    /// a crashed daemon.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    pub fn acquire_for_daemon(
        device: &str,
        mut pause: impl FnMut(Duration),
    ) -> Result<DeviceLock, StartError> {
        for _ in 0..TRIES {
            match DeviceLock::acquire(device) {
                Err(_) => pause(PAUSE),
                acquired => return acquired,
            }
        }
        DeviceLock::acquire(device)
    }

    /// Returns whether a daemon has the lock of `device`. The lock stays free for others.
    pub fn is_held(device: &str) -> bool {
        user(&format!("teamr/{device}")).is_some_and(runs_daemons)
    }
}

/// The lock of an interface that becomes a port, released on drop.
#[derive(Debug)]
pub struct PortLock {
    /// As in [`DeviceLock`].
    _listener: Option<UnixListener>,
}

impl PortLock {
    /// Acquires the lock of the interface `ifindex` in the network namespace of this process.
    ///
    /// # Errors
    /// `EADDRINUSE` while another daemon makes the interface its port; errors of making a socket.
    pub fn acquire(ifindex: u32) -> io::Result<PortLock> {
        bind(&format!("teamr//{ifindex}")).map(|listener| PortLock { _listener: listener })
    }
}

/// Binds an abstract name; `None` if a user who runs no daemon has it.
///
/// # Errors
/// `EADDRINUSE` if a daemon has the name; errors of making a socket.
fn bind(name: &str) -> io::Result<Option<UnixListener>> {
    let address = SocketAddr::from_abstract_name(name)?;
    match UnixListener::bind_addr(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let user = user(name).filter(|user| !runs_daemons(*user)).ok_or(error)?;
            log::warn!("User {user} has the name @{name}; continuing without the lock.");
            Ok(None)
        }
        bound => bound.map(Some),
    }
}

/// Returns the user whose socket has an abstract name.
fn user(name: &str) -> Option<u32> {
    let user = user_of_abstract_stream(name).unwrap_or_else(|error| {
        log::debug!("Failed to ask for the user of @{name}: {}", strerror(&error));
        None
    });
    user.or_else(|| holder(name).as_ref().map(UnixCredentials::uid))
}

/// Returns whether the user is root, the user of this process or that of the units.
fn runs_daemons(user: u32) -> bool {
    let user = Uid::from_raw(user);
    let is_service =
        || User::from_name(SERVICE_USER).is_ok_and(|it| it.is_some_and(|it| it.uid == user));
    user.is_root() || user == Uid::effective() || is_service()
}

/// Returns the process that listens under an abstract name; `None` if it accepts no connection.
fn holder(name: &str) -> Option<UnixCredentials> {
    let asking = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None).ok()?;
    asking.connect(&SockAddr::unix(format!("\0{name}")).ok()?).ok()?;
    getsockopt(&asking, sockopt::PeerCredentials).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_locked_once_and_again_after_the_release() {
        let device = format!("locked{}", std::process::id());
        let device_lock = DeviceLock::acquire(&device).expect("a device without a lock");
        let refused = DeviceLock::acquire(&device).expect_err("locked").to_string();
        assert!(
            refused.contains(&format!("it belongs to the daemon {}.", std::process::id())),
            "{refused}"
        );
        assert!(refused.ends_with("Failed: Device or resource busy"), "{refused}");
        assert!(DeviceLock::is_held(&device));
        DeviceLock::acquire(&format!("{device}x")).expect("another device");
        drop(device_lock);
        assert!(!DeviceLock::is_held(&device));
        DeviceLock::acquire(&device).expect("released");
    }

    #[test]
    fn a_daemon_waits_for_a_lock_that_another_one_has_for_a_moment() {
        let device = format!("awaited{}", std::process::id());
        let held = DeviceLock::acquire(&device).expect("a device without a lock");
        let release = std::thread::spawn(move || drop(held));
        DeviceLock::acquire_for_daemon(&device, std::thread::sleep).expect("released");
        release.join().expect("the thread ends");
    }

    #[test]
    fn a_socket_that_accepts_no_connection_has_the_lock_too() {
        let device = format!("silent{}", std::process::id());
        let silent = Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None).expect("a socket");
        let name = SockAddr::unix(format!("\0teamr/{device}")).expect("a name");
        silent.bind(&name).expect("a free name");
        let refused = DeviceLock::acquire(&device).expect_err("locked").to_string();
        assert!(refused.contains("it belongs to another daemon."), "{refused}");
    }
}

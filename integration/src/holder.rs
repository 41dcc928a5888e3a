//! The process that keeps a host's namespaces alive.
//!
//! A process with threads cannot enter a new user namespace, and iproute2 names a namespace by a
//! process. The lab therefore starts one of our own programs as a holder: it makes the namespaces,
//! sends a route socket from inside, and waits. The holder ends when the lab's end of the socket
//! closes, also when the lab's process is killed; the namespaces and all their interfaces end with
//! the holder.

use std::fs;
use std::io::{self, IoSlice, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::unistd::{Gid, Uid};
use teamr::netlink::{RouteSocket, link};
use teamr::sys::command::enter;
use teamr::sys::descriptor;

use crate::rights::{self, Root, Step};
use crate::tools;

/// The command that starts a holder.
pub(crate) const COMMAND: &str = "hold";
/// Argument for network and mount namespaces inside a new user namespace.
const WITH_USER: &str = "user";
/// Argument for network and mount namespaces alone.
const WITHOUT_USER: &str = "root";
/// Largest start message of a holder, in bytes.
const ROOM: usize = 4096;

/// Becomes a holder: makes the namespaces and waits for the lab to end.
pub(crate) fn run(args: &[String]) -> io::Result<()> {
    let mut args = args.iter();
    let root = match args.next() {
        Some(kind) if kind == WITH_USER => Root::OfUserNamespace,
        _ => Root::Own,
    };
    hold(root, args.next().map(Path::new))
}

/// The lab's side of a holder. The holder is killed on drop.
pub(crate) struct Holder {
    // First field: the holder is dead before the socket closes.
    child: Killed,
    _socket: UnixStream,
    route: Mutex<RouteSocket>,
    namespaces: Arc<[OwnedFd]>,
}

impl Holder {
    /// Makes namespaces as root. The holder removes `folder` if the lab's process ends without
    /// dropping the holder.
    pub(crate) fn with_namespaces(folder: Option<&Path>) -> Result<Holder, String> {
        Holder::start(command(WITHOUT_USER, folder), &["net", "mnt"])
    }

    /// As [`with_namespaces`](Holder::with_namespaces), in a new user namespace in which the lab is
    /// root.
    pub(crate) fn with_user_namespace(folder: Option<&Path>) -> Result<Holder, String> {
        Holder::start(command(WITH_USER, folder), &["user", "net", "mnt"])
    }

    /// As [`with_namespaces`](Holder::with_namespaces), in the user namespace of `outer`.
    pub(crate) fn with_namespaces_inside(
        outer: &Holder,
        folder: Option<&Path>,
    ) -> Result<Holder, String> {
        let mut command = command(WITHOUT_USER, folder);
        enter(&mut command, open_namespaces(outer.pid(), &["user"])?);
        Holder::start(command, &["user", "net", "mnt"])
    }

    fn start(mut command: Command, kinds: &[&str]) -> Result<Holder, String> {
        let failed = |error: io::Error| format!("start the holder of a namespace: {error}");
        let (socket, theirs) = UnixStream::pair().map_err(failed)?;
        command
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            // Ctrl-C ends the lab, not the holder: the holder removes the lab's folder.
            .process_group(0);
        let child = Killed(command.spawn().map_err(failed)?);
        // Closes our copy of the holder's end; otherwise a dead holder would block the read below.
        drop(command);
        let (message, route) = descriptor::receive(&socket, ROOM).map_err(failed)?;
        let Some(route) = route else {
            return Err(match String::from_utf8_lossy(&message) {
                nothing if nothing.is_empty() => "the holder of a namespace died".to_owned(),
                reason => reason.into_owned(),
            });
        };
        let namespaces = open_namespaces(child.0.id(), kinds)?;
        Ok(Holder { child, _socket: socket, route: Mutex::new(route.into()), namespaces })
    }

    /// Returns the holder's pid, by which iproute2 names the namespaces.
    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Makes `command` start inside the namespaces, in `/`.
    pub(crate) fn enter(&self, command: &mut Command) {
        enter(command, Arc::clone(&self.namespaces));
    }

    /// Reads or changes links inside the network namespace.
    pub(crate) fn links<T>(
        &self,
        act: impl FnOnce(&mut RouteSocket) -> io::Result<T>,
    ) -> io::Result<T> {
        act(&mut self.route.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A child that is killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(kind: &str, folder: Option<&Path>) -> Command {
    let mut command = Command::new(tools::program());
    command.args([COMMAND, kind]).args(folder);
    command
}

/// Opens the namespaces of the process `pid`, in the order of `kinds`.
fn open_namespaces(pid: u32, kinds: &[&str]) -> Result<Arc<[OwnedFd]>, String> {
    let open = |kind: &&str| {
        let path = format!("/proc/{pid}/ns/{kind}");
        let file = fs::File::open(&path).map_err(|error| format!("open {path}: {error}"))?;
        Ok(file.into())
    };
    kinds.iter().map(open).collect()
}

/// The holder's side: makes the namespaces, reports them, waits for the lab to end.
fn hold(root: Root, folder: Option<&Path>) -> io::Result<()> {
    let stdin = io::stdin();
    let send = |text: &str, controls: &[ControlMessage<'_>]| {
        let parts = [IoSlice::new(text.as_bytes())];
        sendmsg::<()>(stdin.as_raw_fd(), &parts, controls, MsgFlags::MSG_NOSIGNAL, None)
    };
    match prepare(root) {
        Ok(route) => {
            let descriptors = [route.as_fd().as_raw_fd()];
            send("ready", &[ControlMessage::ScmRights(&descriptors)])?;
        }
        Err(reason) => {
            send(&reason, &[])?;
            return Err(io::Error::other(reason));
        }
    }
    let _ = stdin.lock().read_to_end(&mut Vec::new());
    if let Some(folder) = folder {
        let _ = fs::remove_dir_all(folder);
    }
    Ok(())
}

/// Moves this process into new namespaces and sets them up as a host. Returns a route socket of the
/// host.
fn prepare(root: Root) -> Result<RouteSocket, String> {
    let failed = |step| move |error: nix::Error| rights::missing(root, step, error.into());
    if root == Root::OfUserNamespace {
        let (uid, gid) = (Uid::effective(), Gid::effective());
        unshare(CloneFlags::CLONE_NEWUSER).map_err(failed(Step::UserNamespace))?;
        for (file, text) in [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("0 {uid} 1")),
            ("gid_map", format!("0 {gid} 1")),
        ] {
            fs::write(format!("/proc/self/{file}"), text)
                .map_err(|error| rights::missing(root, Step::IdMap, error))?;
        }
    }
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .map_err(failed(Step::Namespaces))?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    let none = None::<&str>;
    mount(none, "/", none, private, none).map_err(failed(Step::Mounts))?;
    let flags = MsFlags::empty();
    mount(Some("tmpfs"), "/run", Some("tmpfs"), flags, none).map_err(failed(Step::Mounts))?;
    // Some containers refuse the mount; /sys then shows the links of the outer namespace.
    let _ = mount(Some("sysfs"), "/sys", Some("sysfs"), flags, none);
    set_sysctls();
    let up = |route: &mut RouteSocket| {
        let loopback = link::find(route, "lo")?;
        link::set_admin_up(route, loopback.ifindex, true)
    };
    let mut route =
        RouteSocket::open().map_err(|error| rights::missing(root, Step::Netlink, error))?;
    up(&mut route).map_err(|error| rights::missing(root, Step::Netlink, error))?;
    Ok(route)
}

/// Writes the namespace's settings, as far as `/proc/sys` is writable.
fn set_sysctls() {
    // Addresses are usable at once: tests do not wait for duplicate address detection.
    for scope in ["all", "default"] {
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/accept_dad"), "0");
    }
    // The host's firewall does not filter frames that a bridge forwards.
    for family in ["arptables", "iptables", "ip6tables"] {
        let _ = fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{family}"), "0");
    }
}

//! A lab: its privileges, its lock against other labs, its folder for logs.
//!
//! Namespaces are anonymous, and one child process each keeps them alive, so no name can collide
//! and nothing outlives the lab. Without root, the first child makes a user namespace in which the
//! lab is root; the other namespaces are made inside that user namespace.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, thread};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;

use crate::cable::{Cable, CableKind};
use crate::holder::Holder;
use crate::links::{VethEnd, create_bridge, create_veth};
use crate::namespace::Namespace;
use crate::rights::{self, Root, Step};
use crate::switch::Switch;

/// Whether labs of other tests may run at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Other labs may run at the same time.
    Shared,
    /// No other lab runs at the same time: the test measures milliseconds.
    Alone,
}

/// Makes hosts, switches and cables.
pub struct Lab {
    folder: PathBuf,
    user: Option<Namespace>,
    hosts: RefCell<Vec<Namespace>>,
    indices: AtomicU32,
    _turn: Flock<File>,
}

impl Lab {
    /// Opens a lab. Returns `None` if the machine does not allow a lab, after printing the reason;
    /// panics instead when `CI=true`, because a test that CI skips proves nothing.
    pub fn open(sharing: Sharing) -> Option<Lab> {
        match tests_have_ip().and_then(|()| Lab::try_open(sharing)) {
            Ok(lab) => Some(lab),
            Err(reason) => {
                skip(&reason);
                None
            }
        }
    }

    /// Checks once per process whether this machine allows a lab. The error names the missing
    /// privilege and how to get it.
    pub fn check_rights() -> Result<(), String> {
        rights().clone().map(drop)
    }

    /// Opens a lab. The error names what is missing.
    pub fn try_open(sharing: Sharing) -> Result<Lab, String> {
        let root = rights().clone()?;
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("teamr-lab-{}-{number}", process::id()));
        let turn = take_turn(sharing)?;
        fs::create_dir(&folder)
            .map_err(|error| format!("make the folder {}: {error}", folder.display()))?;
        let user = match root {
            Root::Own => None,
            Root::OfUserNamespace => {
                let holder = Holder::with_user_namespace(Some(&folder))?;
                Some(Namespace::new("user", holder, &folder))
            }
        };
        Ok(Lab {
            folder,
            user,
            hosts: RefCell::default(),
            indices: AtomicU32::new(1000),
            _turn: turn,
        })
    }

    /// Creates a host whose only interface is loopback. The host lives until the lab is dropped.
    pub fn host(&self, name: &str) -> Namespace {
        let holder = match &self.user {
            None => Holder::with_namespaces(Some(&self.folder)),
            Some(user) => Holder::with_namespaces_inside(user.holder(), Some(&self.folder)),
        };
        let holder = holder.unwrap_or_else(|error| panic!("host {name}: {error}"));
        let host = Namespace::new(name, holder, &self.folder);
        self.hosts.borrow_mut().push(host.clone());
        host
    }

    /// Creates a learning switch without ports.
    pub fn switch(&self, name: &str) -> Switch {
        Switch::new(self.host(name))
    }

    /// Creates a cable between two new interfaces, both down.
    pub fn cable(
        &self,
        near: (&Namespace, &str),
        far: (&Namespace, &str),
        kind: CableKind,
    ) -> Cable {
        let index = match kind {
            CableKind::Virtual => None,
            CableKind::Nic => Some(self.indices.fetch_add(1, Ordering::Relaxed)),
        };
        Cable::new(near, far, index)
    }

    /// Returns the lab's folder, for configurations, logs and leases.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("logs kept in {}", self.folder.display());
        } else {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Prints that the running test is skipped and why; panics when `CI=true`.
pub fn skip(reason: &str) {
    let test = thread::current().name().unwrap_or("test").to_owned();
    assert!(
        env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{test} would be skipped, which CI must not: {reason}"
    );
    // Standard error directly, not captured by the test harness: `integration/run` counts these
    // lines.
    let _ = writeln!(io::stderr(), "SKIPPED {test}: {reason}");
}

/// Checks for `ip`, which nearly all tests use to read and change links.
fn tests_have_ip() -> Result<(), String> {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    let runs = || Command::new("ip").arg("-V").output().is_ok();
    match ANSWER.get_or_init(runs) {
        true => Ok(()),
        false => Err("no `ip` here (Debian package iproute2)".into()),
    }
}

/// Returns how this process becomes root in a lab, or what is missing. The first call makes a host
/// and ends it again.
fn rights() -> &'static Result<Root, String> {
    static ANSWER: OnceLock<Result<Root, String>> = OnceLock::new();
    ANSWER.get_or_init(|| {
        if !Path::new("/proc/self/ns").exists() {
            return Err("no /proc: mount it by `mount -t proc proc /proc` as root.".into());
        }
        rights::open_tun()?;
        let (holder, root) = trial()?;
        let missing = |kind| move |error| rights::missing(root, Step::Driver(kind), error);
        holder.links(|route| create_bridge(route, "bridge", 1500)).map_err(missing("bridge"))?;
        let [near, far] = ["near", "far"].map(|name| VethEnd { name, index: 0 });
        holder
            .links(|route| create_veth(route, near, far, holder.pid()))
            .map_err(missing("veth"))?;
        Ok(root)
    })
}

/// Makes the trial host.
fn trial() -> Result<(Holder, Root), String> {
    let in_user_namespace =
        || Holder::with_user_namespace(None).map(|holder| (holder, Root::OfUserNamespace));
    if !Uid::effective().is_root() {
        return in_user_namespace();
    }
    // Root in a container may lack the privileges that an unprivileged user namespace has.
    match Holder::with_namespaces(None) {
        Ok(holder) => Ok((holder, Root::Own)),
        Err(reason) => in_user_namespace().map_err(|_| reason),
    }
}

/// Waits until no lab of any process excludes this one. Labs wait in the order in which they are
/// opened: while a lab waits to be alone, no later lab starts.
fn take_turn(sharing: Sharing) -> Result<Flock<File>, String> {
    let (attempt, wait) = match sharing {
        Sharing::Shared => (FlockArg::LockSharedNonblock, FlockArg::LockShared),
        Sharing::Alone => (FlockArg::LockExclusiveNonblock, FlockArg::LockExclusive),
    };
    let take = || {
        let _place = lock("queue", FlockArg::LockExclusive)?;
        lock("lab", attempt).or_else(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                eprintln!("Waiting for tests of the same user, which use the network, too.");
                lock("lab", wait)
            }
            _ => Err(error),
        })
    };
    take().map_err(|error| format!("lock a file in {}: {error}", env::temp_dir().display()))
}

/// Takes the lock file of this name, which all processes of this user share.
pub(crate) fn lock(name: &str, arg: FlockArg) -> io::Result<Flock<File>> {
    let path = env::temp_dir().join(format!("teamr-{name}-{}.lock", Uid::effective()));
    Flock::lock(File::create(path)?, arg).map_err(|(_, error)| error.into())
}

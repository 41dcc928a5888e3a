//! The lab itself: rights, the turn among tests, a folder for logs.
//!
//! Namespaces are anonymous and held open by a child process each, so nothing is left behind
//! that a name would have to be made unique for. Without root the first one brings a user
//! namespace in which we are root, and the others are made inside it.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, thread};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;

use crate::cable::{Cable, CableKind};
use crate::namespace::{Holder, Namespace};
use crate::switch::Switch;

/// How a lab gets along with labs of other tests at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Others may run beside it.
    Shared,
    /// It counts packets by the millisecond and wants the processors for itself.
    Alone,
}

/// A place to make hosts and switches in.
pub struct Lab {
    folder: PathBuf,
    user: Option<Namespace>,
    hosts: RefCell<Vec<Namespace>>,
    indices: AtomicU32,
    _turn: Flock<File>,
}

impl Lab {
    /// Opens a lab; none if the machine does not allow it, which is printed with its reason
    /// and is a failure when `CI=true`: a test that CI skips proves nothing.
    pub fn open(sharing: Sharing) -> Option<Lab> {
        match Lab::try_open(sharing) {
            Ok(lab) => Some(lab),
            Err(reason) => {
                skip(&reason);
                None
            }
        }
    }

    /// Opens a lab, or says what is missing for it.
    pub fn try_open(sharing: Sharing) -> Result<Lab, String> {
        possible().clone()?;
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("teamr-lab-{}-{number}", process::id()));
        let turn = take_turn(sharing)?;
        fs::create_dir(&folder)
            .map_err(|error| format!("make the folder {}: {error}", folder.display()))?;
        let user = if own_namespaces_allowed() {
            None
        } else {
            Some(Namespace::new(
                "user",
                Holder::with_user_namespace()?,
                &folder,
            ))
        };
        Ok(Lab {
            folder,
            user,
            hosts: RefCell::default(),
            indices: AtomicU32::new(1000),
            _turn: turn,
        })
    }

    /// A host without interfaces but loopback. It stays until the lab is closed.
    pub fn host(&self, name: &str) -> Namespace {
        let holder = match &self.user {
            None => Holder::with_namespaces(),
            Some(user) => Holder::with_namespaces_inside(user.holder()),
        };
        let holder = holder.unwrap_or_else(|error| panic!("host {name}: {error}"));
        let host = Namespace::new(name, holder, &self.folder);
        self.hosts.borrow_mut().push(host.clone());
        host
    }

    /// A learning switch without ports.
    pub fn switch(&self, name: &str) -> Switch {
        Switch::new(self.host(name))
    }

    /// A cable between two interfaces made for it, both still down.
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

    /// A folder of this lab's own, for configurations, logs and leases.
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

/// Says that the running test is skipped and why; fails when `CI=true`.
pub fn skip(reason: &str) {
    let test = thread::current().name().unwrap_or("test").to_owned();
    assert!(
        env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{test} would be skipped, which CI must not: {reason}"
    );
    // Past the capture of the test harness, so that it is always seen; `integration/test`
    // counts these lines.
    let _ = writeln!(io::stderr(), "SKIPPED {test}: {reason}");
}

/// Whether this machine lets us have a lab; found out once.
fn possible() -> &'static Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER.get_or_init(|| {
        for (tool, package) in [
            ("ip", "iproute2"),
            ("unshare", "util-linux"),
            ("ping", "iputils-ping"),
        ] {
            if !runs(tool, ["-V"]) {
                return Err(format!("no `{tool}` here (Debian package {package})"));
            }
        }
        if !own_namespaces_allowed() && !runs("unshare", ["--user", "--map-root-user", "true"]) {
            return Err("neither root nor allowed to make user namespaces".into());
        }
        OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/net/tun")
            .map(drop)
            .map_err(|error| format!("open /dev/net/tun: {error}"))
    })
}

/// Whether we can make network namespaces without a user namespace around them.
fn own_namespaces_allowed() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER
        .get_or_init(|| Uid::effective().is_root() && runs("unshare", ["--net", "--mount", "true"]))
}

fn runs<const N: usize>(program: &str, args: [&str; N]) -> bool {
    Command::new(program)
        .args(args.map(OsStr::new))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Waits until no other lab, also of another process, keeps this one from running.
fn take_turn(sharing: Sharing) -> Result<Flock<File>, String> {
    let arg = match sharing {
        Sharing::Shared => FlockArg::LockShared,
        Sharing::Alone => FlockArg::LockExclusive,
    };
    lock("lab", arg).map_err(|error| format!("wait for other labs: {error}"))
}

/// Takes the lock of this name, which all processes of this user share.
pub(crate) fn lock(name: &str, arg: FlockArg) -> io::Result<Flock<File>> {
    let path = env::temp_dir().join(format!("teamr-{name}-{}.lock", Uid::effective()));
    Flock::lock(File::create(path)?, arg).map_err(|(_, error)| error.into())
}

//! The privileges that a lab needs: detects which one is missing and how to get it.

use std::fs::{self, OpenOptions};
use std::io;

use nix::unistd::Uid;

/// Advice for a container whose limits are the cause.
const CONTAINER: &str = "leave it, or start the container with `--privileged`, at least \
                         with `--cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt \
                         seccomp=unconfined --security-opt apparmor=unconfined \
                         --device /dev/net/tun`";

/// How this process is root in the namespaces of a lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// Through its own privileges.
    Own,
    /// Through a user namespace around the others.
    OfUserNamespace,
}

/// A step in making a host.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// unshare(2) of the user namespace.
    UserNamespace,
    /// The maps of user and group ids.
    IdMap,
    /// unshare(2) of the network and mount namespaces.
    Namespaces,
    /// The file systems in the new mount namespace.
    Mounts,
    /// The links in the new network namespace.
    Netlink,
    /// Creation of a bridge or a veth pair.
    Driver(&'static str),
}

/// Returns which privilege a failed step lacked and how to get it, in whole sentences.
pub(crate) fn missing(root: Root, step: Step, error: io::Error) -> String {
    let code = error.raw_os_error().unwrap_or(0);
    let refused = matches!(code, libc::EPERM | libc::EACCES | libc::ENOSYS);
    let what = match step {
        Step::UserNamespace => "make a user namespace".to_owned(),
        Step::IdMap => "become root in a user namespace".to_owned(),
        Step::Namespaces => "make a network and a mount namespace".to_owned(),
        Step::Mounts => "mount file systems in a mount namespace".to_owned(),
        Step::Netlink => "set up links in a network namespace".to_owned(),
        Step::Driver(kind) => format!("make an interface of the kind {kind}"),
    };
    let mend = match (step, code) {
        (Step::UserNamespace, libc::ENOSPC | libc::EUSERS) => too_many(&["user"]),
        (Step::Namespaces, libc::ENOSPC | libc::EUSERS) => too_many(&["net", "mnt"]),
        (Step::UserNamespace | Step::Namespaces, libc::EINVAL) => {
            "This kernel was built without such namespaces (CONFIG_USER_NS, CONFIG_NET_NS).".into()
        }
        (Step::Driver(kind), libc::EOPNOTSUPP) => {
            format!("Load the kernel's driver: `modprobe {kind}` as root.")
        }
        _ if refused => forbidden(root, step),
        _ => String::new(),
    };
    format!("no right to {what}: {error}. {mend}").trim_end().to_owned()
}

/// Returns advice about the limits of these kinds of namespaces.
fn too_many(kinds: &[&str]) -> String {
    let limits: String =
        kinds.iter().map(|kind| format!(" user.max_{kind}_namespaces=10000")).collect();
    format!("There may be no more: raise the limit by `sysctl{limits}` as root.")
}

/// Returns which setting or module forbids the step, with advice.
fn forbidden(root: Root, step: Step) -> String {
    let settings = [
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ];
    for (name, forbids, allows) in settings {
        if root == Root::OfUserNamespace && sysctl(name).as_deref() == Some(forbids) {
            return format!(
                "The setting {name}={forbids} forbids it to all but root: run the same as root, \
                 or allow it by `sysctl {name}={allows}` as root."
            );
        }
    }
    let cause = if status("Seccomp").as_deref() == Some("2") {
        "A seccomp filter, such as a container's, may forbid it"
    } else {
        match (root, step) {
            (Root::Own, _) => {
                "This root lacks CAP_SYS_ADMIN, as in a container, or a security \
                               module forbids it"
            }
            (_, Step::UserNamespace) => "A chroot, a container or a security module forbids it",
            _ => "A container or a security module forbids it",
        }
    };
    format!("{cause}: {CONTAINER}.")
}

/// Opens the TAP clone device. The error names what is missing.
pub(crate) fn open_tun() -> Result<(), String> {
    let path = "/dev/net/tun";
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map(drop).map_err(|error| {
        let mend = match error.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) if !Uid::effective().is_root() => {
                "Let all users open it by `chmod 0666 /dev/net/tun` as root, or run the same as \
                 root"
                    .to_owned()
            }
            Some(libc::EACCES | libc::EPERM) => format!("In a container: {CONTAINER}"),
            _ => "Load the driver by `modprobe tun` as root; give it to a container by \
                  `--device /dev/net/tun`"
                .to_owned(),
        };
        format!("no right to open {path}: {error}. {mend}.")
    })
}

fn sysctl(name: &str) -> Option<String> {
    let value = fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
    Some(value.trim().to_owned())
}

/// Returns a field of /proc/self/status.
fn status(name: &str) -> Option<String> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.strip_prefix(':')?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_privilege_comes_with_advice() {
        for (step, code, command) in [
            (Step::UserNamespace, libc::ENOSPC, "`sysctl user.max_user_namespaces=10000`"),
            (Step::UserNamespace, libc::EPERM, "--privileged"),
            (Step::Namespaces, libc::EPERM, "--privileged"),
            (Step::Mounts, libc::EACCES, "--privileged"),
            (Step::Driver("veth"), libc::EOPNOTSUPP, "`modprobe veth` as root"),
        ] {
            let error = io::Error::from_raw_os_error(code);
            let text = missing(Root::Own, step, error);
            assert!(text.starts_with("no right to "), "{text}");
            assert!(text.contains(command), "{text}");
        }
    }
}

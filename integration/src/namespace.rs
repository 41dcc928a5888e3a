//! A host: a network namespace with its own `/run` and `/sys`.

use std::ffi::OsStr;
use std::io;
use std::net::IpAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::Arc;

use serde_json::Value;
use teamr::netlink::{RouteSocket, link};
use teamr::sys::command::{defer, kill_with_parent, prefer};

use crate::holder::Holder;
use crate::links;
use crate::process::Process;

/// Priority of a real-time command.
const PRIORITY: u8 = 10;
/// What a shell ends with when there is no such command.
const NOT_FOUND: i32 = 127;

/// A host. Clones are the same host.
#[derive(Clone)]
pub struct Namespace {
    name: String,
    holder: Arc<Holder>,
    folder: PathBuf,
}

impl Namespace {
    pub(crate) fn new(name: &str, holder: Holder, folder: &Path) -> Namespace {
        Namespace {
            name: name.to_owned(),
            holder: Arc::new(holder),
            folder: folder.to_owned(),
        }
    }

    pub(crate) fn holder(&self) -> &Holder {
        &self.holder
    }

    /// The name given to it, for messages and log files.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The lab's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A process in the namespace, by which the tools of iproute2 name it.
    pub fn pid(&self) -> u32 {
        self.holder.pid()
    }

    /// A command on this host, to be completed. It is root's, starts in `/`, and is killed
    /// when the thread that started it ends.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_with(program, |_| ())
    }

    /// As [`command`](Namespace::command), as a real-time task where that is permitted, so
    /// that a silence on the wire is not the scheduler's.
    pub fn real_time_command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_with(program, |command| prefer(command, PRIORITY))
    }

    /// As [`command`](Namespace::command), behind all others that want a processor.
    pub fn patient_command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_with(program, defer)
    }

    fn command_with(
        &self,
        program: impl AsRef<OsStr>,
        schedule: impl FnOnce(&mut Command),
    ) -> Command {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        schedule(&mut command);
        self.holder.enter(&mut command);
        kill_with_parent(&mut command);
        command
    }

    /// Runs a command line, split at blanks; returns whatever comes of it, also, as a shell
    /// does, that there is no such program.
    pub fn try_run(&self, line: &str) -> Output {
        let mut words = line.split_whitespace();
        let program = words.next().expect("a command line has a command");
        match self.command(program).args(words).output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Output {
                status: ExitStatus::from_raw(NOT_FOUND << 8),
                stdout: Vec::new(),
                stderr: format!("{program}: {error}").into_bytes(),
            },
            result => {
                result.unwrap_or_else(|error| panic!("{}: start `{line}`: {error}", self.name))
            }
        }
    }

    /// Runs a command line that has to succeed; returns what it wrote to standard output.
    pub fn run(&self, line: &str) -> String {
        let output = self.try_run(line);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{}: `{line}` ended with {}\n{stdout}{}",
            self.name,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        stdout
    }

    /// Runs a command line that has to print JSON.
    pub fn run_json(&self, line: &str) -> Value {
        let text = self.run(line);
        serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("{}: `{line}` printed no JSON: {error}\n{text}", self.name)
        })
    }

    /// Starts a command line in the background, its output in a log.
    pub fn start(&self, line: &str) -> Process {
        let mut words = line.split_whitespace();
        let program = words.next().expect("a command line has a command");
        let mut command = self.command(program);
        command.args(words);
        Process::start(&format!("{}-{program}", self.name), &self.folder, command)
    }

    /// `ip ARGS`, which has to succeed.
    pub fn ip(&self, args: &str) -> String {
        self.run(&format!("ip {args}"))
    }

    /// Writes to a file as this host sees it, such as one of `/proc/sys/net`.
    pub fn write(&self, path: &str, text: &str) {
        let mut command = self.command("sh");
        let status = command
            .args(["-c", "echo \"$1\" >\"$2\"", "sh", text, path])
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "{}: write {path}",
            self.name
        );
    }

    /// Reads or changes the links, which has to succeed; `what` says how far it got.
    pub(crate) fn links<T>(
        &self,
        what: &str,
        act: impl FnOnce(&mut RouteSocket) -> io::Result<T>,
    ) -> T {
        self.holder
            .links(act)
            .unwrap_or_else(|error| panic!("{}: {what}: {error}", self.name))
    }

    /// Sets an interface up.
    pub fn up(&self, interface: &str) {
        self.set_admin_up(interface, true);
    }

    /// Sets an interface down.
    pub fn down(&self, interface: &str) {
        self.set_admin_up(interface, false);
    }

    fn set_admin_up(&self, interface: &str, up: bool) {
        let direction = if up { "up" } else { "down" };
        self.links(&format!("set {interface} {direction}"), |route| {
            let link = link::find(route, interface)?;
            link::set_admin_up(route, link.ifindex, up)
        });
    }

    /// Gives an interface an address (`10.0.0.1/24`, `fd00::1/64`).
    pub fn address(&self, interface: &str, address: &str) {
        let parsed = address.split_once('/').and_then(|(address, length)| {
            Some((address.parse::<IpAddr>().ok()?, length.parse().ok()?))
        });
        let (ip, prefix_len) =
            parsed.unwrap_or_else(|| panic!("{address} is no address with the length of a prefix"));
        self.links(&format!("add {address} to {interface}"), |route| {
            let link = link::find(route, interface)?;
            links::add_address(route, &link, ip, prefix_len)
        });
    }

    /// Whether there is such an interface.
    pub fn has_interface(&self, interface: &str) -> bool {
        self.links(&format!("look for {interface}"), |route| {
            match link::find(route, interface) {
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(false),
                result => result.map(|_| true),
            }
        })
    }

    /// What `ip -details -json link show` says of an interface.
    pub fn link(&self, interface: &str) -> Value {
        self.run_json(&format!("ip -details -json link show dev {interface}"))[0].clone()
    }

    /// What an interface has counted: `rx` and `tx`, with `bytes`, `packets` and so on.
    pub fn statistics(&self, interface: &str) -> Value {
        let link = self.run_json(&format!("ip -statistics -json link show dev {interface}"));
        link[0]["stats64"].clone()
    }

    /// The names of all interfaces, by their indices.
    pub fn interfaces(&self) -> Vec<String> {
        let links = self.links("list the links", link::all);
        links.into_iter().map(|link| link.name).collect()
    }

    /// An interface's hardware address, as `ip` writes it.
    pub fn hwaddr(&self, interface: &str) -> String {
        let link = self.links(&format!("look for {interface}"), |route| {
            link::find(route, interface)
        });
        link.hwaddr.to_string()
    }
}

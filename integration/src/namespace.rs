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

/// Real-time priority of [`Namespace::real_time_command`].
const PRIORITY: u8 = 10;
/// Exit status of a shell that finds no such command.
const NOT_FOUND: i32 = 127;

/// A host. Clones refer to the same host.
#[derive(Clone)]
pub struct Namespace {
    name: String,
    holder: Arc<Holder>,
    folder: PathBuf,
}

impl Namespace {
    pub(crate) fn new(name: &str, holder: Holder, folder: &Path) -> Namespace {
        Namespace { name: name.to_owned(), holder: Arc::new(holder), folder: folder.to_owned() }
    }

    pub(crate) fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Returns the host's name, for messages and log files.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the lab's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the pid of a process in the namespace, for the tools of iproute2.
    pub fn pid(&self) -> u32 {
        self.holder.pid()
    }

    /// Returns a command that runs on this host as root, in `/`, and is killed when the thread that
    /// started it ends.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_with(program, |_| ())
    }

    /// As [`command`](Namespace::command), with real-time priority where permitted, so that
    /// scheduling delays do not look like silence on the wire.
    pub fn real_time_command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_with(program, |command| prefer(command, PRIORITY))
    }

    /// As [`command`](Namespace::command), with the lowest scheduling priority.
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

    /// Runs a command line, split at blanks, and returns its output whatever the status. A missing
    /// program gives status 127, as in a shell.
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

    /// Runs a command line and returns its standard output. Panics if the command fails.
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

    /// Runs a command line and parses its output as JSON. Panics if the command fails.
    pub fn run_json(&self, line: &str) -> Value {
        let text = self.run(line);
        serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("{}: `{line}` printed no JSON: {error}\n{text}", self.name)
        })
    }

    /// Starts a command line in the background, with its output in a log.
    pub fn start(&self, line: &str) -> Process {
        let mut words = line.split_whitespace();
        let program = words.next().expect("a command line has a command");
        let mut command = self.command(program);
        command.args(words);
        Process::start(&format!("{}-{program}", self.name), &self.folder, command)
    }

    /// Runs `ip ARGS` and returns its output. Panics if it fails.
    pub fn ip(&self, args: &str) -> String {
        self.run(&format!("ip {args}"))
    }

    /// Writes to a file of this host, for example in `/proc/sys/net`.
    pub fn write(&self, path: &str, text: &str) {
        let mut command = self.command("sh");
        let status = command.args(["-c", "echo \"$1\" >\"$2\"", "sh", text, path]).status();
        assert!(status.is_ok_and(|status| status.success()), "{}: write {path}", self.name);
    }

    /// Reads or changes links over rtnetlink. Panics with `what` if that fails.
    pub(crate) fn links<T>(
        &self,
        what: &str,
        act: impl FnOnce(&mut RouteSocket) -> io::Result<T>,
    ) -> T {
        self.holder.links(act).unwrap_or_else(|error| panic!("{}: {what}: {error}", self.name))
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

    /// Adds an address (`10.0.0.1/24`, `fd00::1/64`) to an interface.
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

    /// Whether the host has this interface.
    pub fn has_interface(&self, interface: &str) -> bool {
        self.links(&format!("look for {interface}"), |route| match link::find(route, interface) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(false),
            result => result.map(|_| true),
        })
    }

    /// Sets the LACP priority of a port of a bond, which ip(8) of Debian 13 does not know.
    pub fn set_actor_port_prio(&self, port: &str, prio: u16) {
        self.links(&format!("set the priority of {port}"), |route| {
            let link = link::find(route, port)?;
            links::set_actor_port_prio(route, link.ifindex, prio)
        });
    }

    /// Returns the interface as `ip -details -json link show` prints it.
    pub fn link(&self, interface: &str) -> Value {
        self.run_json(&format!("ip -details -json link show dev {interface}"))[0].clone()
    }

    /// Returns the interface's counters: `rx` and `tx`, each with `bytes`, `packets` and others.
    pub fn statistics(&self, interface: &str) -> Value {
        let link = self.run_json(&format!("ip -statistics -json link show dev {interface}"));
        link[0]["stats64"].clone()
    }

    /// Returns the names of all interfaces in the order of their indices.
    pub fn interfaces(&self) -> Vec<String> {
        let links = self.links("list the links", link::all);
        links.into_iter().map(|link| link.name).collect()
    }

    /// Returns the hardware address of an interface in the format of `ip`.
    pub fn hwaddr(&self, interface: &str) -> String {
        let link =
            self.links(&format!("look for {interface}"), |route| link::find(route, interface));
        link.hwaddr.to_string()
    }
}

//! A host: a network namespace with its own `/run` and `/sys`.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::process::Process;

/// What the process that holds a namespace does before it waits. It ends with its standard
/// input, hence with us, however we end; the namespace and all interfaces in it go with it.
const HOLD: &str = "
mount -t tmpfs tmpfs /run &&
{ mount -t sysfs sysfs /sys 2>/dev/null || true; } &&
ip link set lo up &&
for scope in all default; do
    # Addresses are usable at once; no test wants to wait for duplicate address detection.
    echo 0 >/proc/sys/net/ipv6/conf/$scope/accept_dad || true
done
for hook in /proc/sys/net/bridge/bridge-nf-call-*; do
    [ ! -e $hook ] || echo 0 2>/dev/null >$hook || true
done
echo ready
exec cat
";

/// The process that keeps a namespace alive.
pub(crate) struct Holder {
    child: Child,
    user: bool,
}

impl Holder {
    /// New namespaces as root.
    pub(crate) fn with_namespaces() -> Result<Holder, String> {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount"]);
        Holder::start(command, false)
    }

    /// New namespaces in a new user namespace, where we are root.
    pub(crate) fn with_user_namespace() -> Result<Holder, String> {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "--mount"]);
        Holder::start(command, true)
    }

    /// New namespaces in the user namespace of `outer`.
    pub(crate) fn with_namespaces_inside(outer: &Holder) -> Result<Holder, String> {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--preserve-credentials", "--target"]);
        command.arg(outer.child.id().to_string());
        command.args(["unshare", "--net", "--mount"]);
        Holder::start(command, true)
    }

    fn start(mut command: Command, user: bool) -> Result<Holder, String> {
        command.args(["sh", "-c", HOLD]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| format!("start {command:?}: {error}"))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.as_mut() {
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let mut holder = Holder { child, user };
        if line == "ready\n" {
            return Ok(holder);
        }
        let mut said = String::new();
        if let Some(mut stderr) = holder.child.stderr.take() {
            let _ = stderr.read_to_string(&mut said);
        }
        Err(format!("make namespaces: {}", said.trim()))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
        self.holder.child.id()
    }

    /// A command on this host, to be completed. It is root's, starts in `/`, and is killed
    /// when the thread that started it ends.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_with(&[], program)
    }

    /// As [`command`](Namespace::command), as a real-time task where that is permitted, so
    /// that a silence on the wire is not the scheduler's.
    pub fn real_time_command(&self, program: impl AsRef<OsStr>) -> Command {
        // `chrt` failing must not lose the command, so ask first.
        let prefix: &[&str] = if real_time_permitted() {
            &["chrt", "--fifo", "10"]
        } else {
            &[]
        };
        self.command_with(prefix, program)
    }

    /// As [`command`](Namespace::command), behind all others that want a processor.
    pub fn patient_command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_with(&["nice"], program)
    }

    fn command_with(&self, prefix: &[&str], program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--net", "--mount", "--target"])
            .arg(self.pid().to_string());
        if self.holder.user {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").args(prefix);
        command
            .args(["setpriv", "--pdeathsig", "KILL", "--"])
            .arg(program);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command line, split at blanks; returns whatever comes of it.
    pub fn try_run(&self, line: &str) -> Output {
        let mut words = line.split_whitespace();
        let program = words.next().expect("a command line has a command");
        self.command(program)
            .args(words)
            .output()
            .unwrap_or_else(|error| panic!("{}: start `{line}`: {error}", self.name))
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

    /// Sets an interface up.
    pub fn up(&self, interface: &str) {
        self.ip(&format!("link set dev {interface} up"));
    }

    /// Gives an interface an address (`10.0.0.1/24`, `fd00::1/64`).
    pub fn address(&self, interface: &str, address: &str) {
        let nodad = if address.contains(':') { " nodad" } else { "" };
        self.ip(&format!("address add {address} dev {interface}{nodad}"));
    }

    /// Whether there is such an interface.
    pub fn has_interface(&self, interface: &str) -> bool {
        self.try_run(&format!("ip link show dev {interface}"))
            .status
            .success()
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

    /// The names of all interfaces, in the order in which they were made.
    pub fn interfaces(&self) -> Vec<String> {
        let links = self.run_json("ip -json link show");
        let names = links.as_array().expect("a list").iter();
        names
            .filter_map(|link| Some(link["ifname"].as_str()?.to_owned()))
            .collect()
    }

    /// An interface's hardware address, as `ip` writes it.
    pub fn hwaddr(&self, interface: &str) -> String {
        self.link(interface)["address"]
            .as_str()
            .expect("a hardware address")
            .to_owned()
    }
}

fn real_time_permitted() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        Command::new("chrt")
            .args(["--fifo", "10", "true"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

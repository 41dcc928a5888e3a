//! One boot: from a command to its output and exit status.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::kernel::{Clock, Kernel};

/// Seconds between SIGTERM and SIGKILL.
const GRACE: u32 = 10;
/// Exit statuses of `timeout` at the limit, after SIGTERM and after SIGKILL.
const TIMED_OUT: [i32; 2] = [124, 137];
/// Time before the limit at which the kernel writes into its log which program runs.
const LAST_QUESTION: Duration = Duration::from_secs(2);
const MEMORY: &str = "mem=1G";

/// Environment variable in a guest in virtual time: the path of `pause.c`, compiled.
pub(super) const PAUSE: &str = "TEAMR_GUEST_PAUSE";

/// The init script, without the part that differs between cases.
const INIT: &str = include_str!("init.sh");
/// Files in the folder of the case.
const SCRIPT: &str = "init";
const STATUS: &str = "status";
const KERNEL_LOG: &str = "kernel.log";
/// Folder of the management console's socket.
const CONSOLE: &str = "console";

/// Lines of the kernel log in a failure.
const LAST_LINES: usize = 30;

/// Serial line 0 uses the descriptors 3 and 4: its input is a pipe without data, its output is
/// ours. The kernel's console goes to a file.
const START: &str = r#"log=$1; shift; exec "$@" 3<&0 4>&1 </dev/null >"$log" 2>&1"#;

/// The end of a guest.
pub(super) enum End {
    /// The case ended with this status.
    Status(i32),
    /// The guest ended before the case.
    Died,
    /// The guest was stopped at the limit, and this program ran, if the kernel told.
    Stopped(Option<String>),
}

/// A guest for one boot.
pub(super) struct Guest<'a> {
    kernel: &'a Kernel,
    folder: &'a Path,
    /// Time on the host after which the guest is stopped.
    limit: Duration,
}

impl Guest<'_> {
    pub(super) fn new<'a>(kernel: &'a Kernel, folder: &'a Path, limit: Duration) -> Guest<'a> {
        Guest { kernel, folder, limit }
    }

    /// Boots, runs `case` and passes each line of its output to `print`.
    pub(super) fn run(&self, case: &Command, print: &mut dyn FnMut(&str)) -> io::Result<End> {
        let script = self.file(SCRIPT);
        fs::write(&script, self.script(case))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        File::create(self.file(KERNEL_LOG))?;
        let mut child = self.command(&script).spawn()?;
        // Held open: at the end of its input the serial line would hang up.
        let _input = child.stdin.take();
        thread::scope(|scope| {
            let (_running, ended) = channel::<()>();
            scope.spawn(move || self.ask_before_limit(&ended));
            let output = child.stdout.take().into_iter();
            for line in output.flat_map(|output| BufReader::new(output).split(b'\n')) {
                print(&String::from_utf8_lossy(&line?));
            }
            io::Result::Ok(())
        })?;
        let stopped = child.wait()?.code().is_some_and(|code| TIMED_OUT.contains(&code));
        let status = fs::read_to_string(self.file(STATUS)).unwrap_or_default();
        Ok(match status.trim().parse() {
            Ok(status) => End::Status(status),
            Err(_) if stopped => End::Stopped(self.running_program()),
            Err(_) => End::Died,
        })
    }

    /// Shortly before the limit, has the kernel write into its log which program runs. Returns
    /// earlier when the guest has ended, which closes `ended`.
    fn ask_before_limit(&self, ended: &Receiver<()>) {
        let question = "sysrq p";
        let wait = self.limit.saturating_sub(LAST_QUESTION);
        if ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            // A request of the management console: magic number, version, length, text.
            let mut request =
                [0xcafe_babe_u32, 2, question.len() as u32].map(u32::to_ne_bytes).concat();
            request.extend(question.bytes());
            request.resize(3 * 4 + 512, 0);
            let console = self.file(CONSOLE).join("mconsole");
            let _ = UnixDatagram::unbound().and_then(|socket| socket.send_to(&request, console));
        }
    }

    /// Returns the program that ran when the kernel was asked last.
    fn running_program(&self) -> Option<String> {
        let log = self.kernel_log();
        let line = log.lines().rev().find(|line| line.starts_with("Pid: "))?;
        Some(line.split_once("comm: ")?.1.split(' ').next()?.to_owned())
    }

    fn kernel_log(&self) -> String {
        let log = fs::read(self.file(KERNEL_LOG)).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Returns the end of the kernel's log.
    pub(super) fn kernel_log_tail(&self) -> String {
        let log = self.kernel_log();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(LAST_LINES);
        format!("---- kernel log\n{}\n----", lines[from..].join("\n"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn command(&self, init: &Path) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", START, "sh"])
            .arg(self.file(KERNEL_LOG))
            // A test that is killed ends its guest.
            .args(["setpriv", "--pdeathsig", "TERM"])
            .args(match self.kernel.clock {
                Clock::Real => &[][..],
                // A virtual clock stands still while the guest waits for a processor: tests in real
                // time get the processors first.
                Clock::Virtual => &["nice", "-n", "19"],
            })
            .arg("timeout")
            .arg(format!("--kill-after={GRACE}"))
            .arg(self.limit.as_secs().to_string())
            .arg("env")
            .arg(format!("LD_PRELOAD={}", self.kernel.preloaded()))
            .arg(&self.kernel.program)
            .args(["rootfstype=hostfs", "ro", MEMORY, "panic=-1"])
            .args(["con=null", "con0=null,fd:1", "ssl=null", "ssl0=fd:3,fd:4"])
            .args(self.kernel.clock_parameters())
            // The default is the home folder.
            .arg(format!("uml_dir={}/", self.folder.display()))
            .arg(format!("umid={CONSOLE}"))
            .arg(format!("init={}", init.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }

    /// Returns the init script for `case` with its arguments and environment.
    fn script(&self, case: &Command) -> String {
        let mut script = "#!/bin/sh\nexport PATH=/usr/sbin:/usr/bin:/sbin:/bin\n".to_owned();
        let mut set = |name: &str, value: &OsStr| {
            script += &format!("export {name}={}\n", quoted(value));
        };
        if let Some(pause) = &self.kernel.pause {
            set(PAUSE, pause.as_os_str());
        }
        set("FOLDER", self.folder.as_os_str());
        set("STATUS", STATUS.as_ref());
        for (name, value) in case.get_envs() {
            set(&name.to_string_lossy(), value.unwrap_or_default());
        }
        script += &format!("run_case() {{ {}", quoted(case.get_program()));
        for arg in case.get_args() {
            script += &format!(" {}", quoted(arg));
        }
        format!("{script}; }}\n{INIT}")
    }
}

/// Returns `text` quoted for the shell.
fn quoted(text: &OsStr) -> String {
    format!("'{}'", text.to_string_lossy().replace('\'', r"'\''"))
}

//! One boot: from a command to its output and exit status.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::package::Package;

/// Seconds before a guest is stopped: the limit ends a hang, and no case comes near.
const LIMIT: u32 = 1200;
/// Seconds between SIGTERM and SIGKILL.
const GRACE: u32 = 10;
const MEMORY: &str = "mem=1G";

/// The init script, without the part that differs between cases.
const INIT: &str = include_str!("init.sh");
/// Files in the folder of the case.
const SCRIPT: &str = "init";
const STATUS: &str = "status";
const KERNEL_LOG: &str = "kernel.log";

/// Lines of the kernel log in a failure.
const LAST_LINES: usize = 30;

/// Serial line 0 uses the descriptors 3 and 4: its input is a pipe without data, its output is
/// ours. The kernel's console goes to a file.
const START: &str = r#"log=$1; shift; exec "$@" 3<&0 4>&1 </dev/null >"$log" 2>&1"#;

/// A guest for one boot.
pub(super) struct Guest<'a> {
    package: &'a Package,
    folder: &'a Path,
}

impl Guest<'_> {
    pub(super) fn new<'a>(package: &'a Package, folder: &'a Path) -> Guest<'a> {
        Guest { package, folder }
    }

    /// Boots, runs `case` and passes each line of its output to `print`. Returns the exit status;
    /// `None` if the guest died before the case ended.
    pub(super) fn run(
        &self,
        case: &Command,
        print: &mut dyn FnMut(&str),
    ) -> io::Result<Option<i32>> {
        let script = self.file(SCRIPT);
        fs::write(&script, self.script(case))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        File::create(self.file(KERNEL_LOG))?;
        let mut child = self.command(&script).spawn()?;
        // Held open: at the end of its input the serial line would hang up.
        let _input = child.stdin.take();
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).split(b'\n') {
                print(&String::from_utf8_lossy(&line?));
            }
        }
        child.wait()?;
        let status = fs::read_to_string(self.file(STATUS)).unwrap_or_default();
        Ok(status.trim().parse().ok())
    }

    /// Returns the end of the kernel's log.
    pub(super) fn kernel_log_tail(&self) -> String {
        let log = fs::read(self.file(KERNEL_LOG)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
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
            .arg("timeout")
            .arg(format!("--kill-after={GRACE}"))
            .arg(LIMIT.to_string())
            .arg("env")
            .arg(format!("LD_PRELOAD={}", self.package.xstate().display()))
            .arg(self.package.kernel())
            .args(["rootfstype=hostfs", "ro", MEMORY, "panic=-1"])
            .args(["con=null", "con0=null,fd:1", "ssl=null", "ssl0=fd:3,fd:4"])
            // Folder of the management console's socket; the default is the home folder.
            .arg(format!("uml_dir={}/", self.folder.display()))
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
        set("MODULES", self.package.modules().as_os_str());
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

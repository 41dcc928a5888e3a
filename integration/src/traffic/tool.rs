//! The test's side of a tool that runs in a namespace.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::namespace::Namespace;
use crate::tools;

/// The line that a ready tool writes; the report follows when the tool ends.
const READY: &str = "ready";

/// Writes, inside the tool, that the tool is ready.
pub(crate) fn announce_ready() {
    println!("{READY}");
}

/// A running tool; killed when dropped.
pub(crate) struct Tool {
    what: String,
    log: PathBuf,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Tool {
    /// Starts `traffic ARGS` on a host and waits until it is ready.
    pub(crate) fn start(host: &Namespace, args: &[String]) -> Tool {
        Tool::start_as(host.command(tools::program()), host, args)
    }

    /// As [`start`](Tool::start), with real-time priority: for tools that mostly sleep and whose
    /// delays would count as the network's.
    pub(crate) fn start_real_time(host: &Namespace, args: &[String]) -> Tool {
        Tool::start_as(host.real_time_command(tools::program()), host, args)
    }

    /// As [`start`](Tool::start), with the lowest scheduling priority: for tools that stand for
    /// another machine, which must not take processor time from this machine.
    pub(crate) fn start_patient(host: &Namespace, args: &[String]) -> Tool {
        Tool::start_as(host.patient_command(tools::program()), host, args)
    }

    fn start_as(mut command: Command, host: &Namespace, args: &[String]) -> Tool {
        let what = format!("{}: traffic {}", host.name(), args.join(" "));
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let log = host.folder().join(format!("traffic-{number}.log"));
        let errors = File::create(&log).expect("make a log file");
        let mut child = command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().expect("a piped output"));
        let mut line = String::new();
        output.read_line(&mut line).expect("read from a tool");
        let remote = Tool { what, log, child, input, output };
        assert!(line.trim_end() == READY, "{}: not ready: {}", remote.what, remote.errors());
        remote
    }

    /// Stops the tool and returns its report.
    pub(crate) fn finish(mut self) -> Value {
        drop(self.input.take());
        let mut text = String::new();
        self.output.read_to_string(&mut text).expect("read a report");
        let status = self.child.wait().expect("wait for a tool");
        assert!(status.success(), "{} ended with {status}: {}", self.what, self.errors());
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: no report: {error}\n{text}", self.what))
    }

    fn errors(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

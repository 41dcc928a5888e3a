//! The tools that run inside a namespace, and the program that they are part of.

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::sync::OnceLock;

use crate::binaries::binary;
use crate::traffic::{
    run_capture, run_client, run_flood, run_receiver, run_sender, run_server, run_wire,
};
use crate::{holder, run_change_link, run_ping, run_tap_nic, run_vlan};

/// A tool: reads its arguments, and returns when it is done.
type Tool = fn(&[String]) -> io::Result<()>;

/// The tools, by the first argument of the program.
const TOOLS: [(&str, Tool); 12] = [
    (holder::COMMAND, holder::run),
    ("send", run_sender),
    ("receive", run_receiver),
    ("connect", run_client),
    ("serve", run_server),
    ("capture", run_capture),
    ("flood", run_flood),
    ("ping", run_ping),
    ("tap-nic", run_tap_nic),
    ("vlan", run_vlan),
    ("change-link", run_change_link),
    ("wire", run_wire),
];

/// The running program, if the tools are part of it.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Runs a tool and ends the process, if the command line names a tool. A program that calls this
/// function first in `main` can start itself as a tool; other programs start `traffic`.
pub fn run_tool_if_requested() {
    let args: Vec<String> = env::args().skip(1).collect();
    if let Some((name, args)) = args.split_first() {
        if let Some((_, tool)) = TOOLS.iter().find(|(known, _)| known == name) {
            let status = match tool(args) {
                Ok(()) => 0,
                Err(error) => {
                    eprintln!("{name} {}: {error}", args.join(" "));
                    1
                }
            };
            process::exit(status);
        }
    }
    PROGRAM.get_or_init(|| "/proc/self/exe".into());
}

/// Prints the names of the tools, for a command line that names no tool.
pub fn refuse_command_line() -> ExitCode {
    let names: Vec<&str> = TOOLS.iter().map(|(name, _)| *name).collect();
    eprintln!("There are these tools: {}.", names.join(", "));
    ExitCode::FAILURE
}

/// Returns the program that starts as a tool: the running program or `traffic`.
pub(crate) fn program() -> PathBuf {
    PROGRAM.get().cloned().unwrap_or_else(|| binary("traffic"))
}

//! The tools that run inside a namespace, as a program; see [`integration::traffic`].

use std::process::ExitCode;

use integration::{refuse_command_line, run_tool_if_requested};

fn main() -> ExitCode {
    run_tool_if_requested();
    refuse_command_line()
}

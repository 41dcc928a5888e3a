//! `teamrctl`, the control client.

use std::env;
use std::io;
use std::process::ExitCode;

use teamr::args::getopt::Operands;

fn main() -> ExitCode {
    let status = teamr::client::run(
        env::args_os(),
        Operands::from_env(),
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
    );
    ExitCode::from(status)
}

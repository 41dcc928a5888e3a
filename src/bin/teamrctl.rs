//! `teamrctl`, the control client.

use std::env;
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let posix = env::var_os("POSIXLY_CORRECT").is_some();
    let status = teamr::client::run(
        env::args_os(),
        posix,
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
    );
    ExitCode::from(status)
}

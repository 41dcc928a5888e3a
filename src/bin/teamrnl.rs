//! `teamrnl`, which shows and sets what the kernel's team driver holds.

use std::env;
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let posix = env::var_os("POSIXLY_CORRECT").is_some();
    let status = teamr::teamnl::run(
        env::args_os(),
        posix,
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
    );
    ExitCode::from(status)
}

//! `teamrnl`, which shows and sets the ports and options of the kernel's team driver.

use std::env;
use std::io;
use std::process::ExitCode;

use teamr::args::getopt::Operands;

fn main() -> ExitCode {
    let status = teamr::teamnl::run(
        env::args_os(),
        Operands::from_env(),
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
    );
    ExitCode::from(status)
}

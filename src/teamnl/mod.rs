//! `teamrnl`: shows and sets the ports and options of the kernel's team driver, without a daemon.
//!
//! Owns the commands, the texts and the exit status. Standard: libteam 1.32's teamnl, whose output
//! is the same byte for byte. Results go to stdout, everything else to stderr. A closed stdout ends
//! the program without an error.

mod answer;
mod device;
mod lists;
mod monitor;
pub mod options;
pub mod value;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};

use crate::args::getopt::{self, Getopt, Operands};
use crate::errno::strerror;
use crate::netlink::team::{OptionId, Value};
use crate::text::printable;
use device::Device;
use lists::{Interfaces, Options, Ports, Style};
use options::{CommandLine, UsageError, Verb};

/// A failed command: lines that describe the failure, then the cause.
#[derive(Debug)]
struct Failure {
    lines: Vec<String>,
    cause: io::Error,
}

impl Failure {
    fn errno(line: impl Into<String>, errno: i32) -> Self {
        Failure { lines: vec![line.into()], cause: io::Error::from_raw_os_error(errno) }
    }
}

impl From<io::Error> for Failure {
    fn from(cause: io::Error) -> Self {
        Failure { lines: Vec::new(), cause }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        write!(f, "Command failed: {}", strerror(&self.cause))
    }
}

/// Runs the program and returns the exit status. `args` begins with the program.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    operands: Operands,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let items = Getopt::new(&options::FLAGS, args, operands);
    let help = options::help(items.argv0());
    let program = crate::args::program_name(items.argv0()).to_owned();
    let line = match CommandLine::read(items) {
        Ok(line) => line,
        Err(UsageError { text, gap }) => {
            // A reader may close the pipe early.
            let _ = writeln!(err, "{}", printable(&text));
            let _ = match program.as_str() {
                options::TEAMNL => write!(out, "{gap}{help}"),
                program => writeln!(err, "{}", getopt::hint(program)),
            };
            return 1;
        }
    };
    let outcome = match &line.text {
        Some(text) => write!(out, "{text}").map_err(Failure::from),
        None => execute(&line, &program, out),
    };
    match outcome.and_then(|()| Ok(out.flush()?)) {
        Err(failure) if failure.cause.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(err, "{}", printable(&failure.to_string()));
            1
        }
        _ => 0,
    }
}

/// Executes the command of a command line.
fn execute(line: &CommandLine, program: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let mut device = Device::open(&line.device, program)?;
    let port = line.port.as_ref().map(|name| device.port(name)).transpose()?;
    let index = line.index.as_ref().map(|text| array_index(text)).transpose()?;
    let instance = |name: &str| OptionId { name: name.to_owned().into(), port, index };
    let argument = |place: usize, role: &str| {
        line.arguments.get(place).ok_or_else(|| {
            let command = &line.word;
            let missing = format!("{command}: Option {role} as a command line parameter expected.");
            Failure::errno(missing, libc::EINVAL)
        })
    };
    match line.verb {
        Verb::Ports => {
            let links = Interfaces::new(device.links()?);
            let ports = Ports(device.team.ports()?);
            match line.json {
                true => answer::write(out, ports.answer(Style::All, &links))?,
                false => write!(out, "{}", printable(&ports.show(&links)))?,
            }
        }
        Verb::Options => {
            let links = Interfaces::new(device.links()?);
            let options = Options(device.team.options()?);
            match line.json {
                true => answer::write(out, options.answer(Style::All, &links))?,
                false => write!(out, "{}", printable(&options.show(&links)))?,
            }
        }
        Verb::GetOption => {
            let name = argument(0, "name")?;
            let id = instance(name);
            let option = device.option(&id)?;
            if line.json {
                let links = Interfaces::new(device.links()?);
                let options = Options(vec![option]);
                return Ok(answer::write(out, options.answer(Style::All, &links))?);
            }
            writeln!(out, "{}", printable(&value::show(&option.value)))?;
        }
        Verb::SetOption => {
            let name = argument(0, "name")?;
            let text = argument(1, "value")?;
            let id = instance(name);
            let old: Value = device.option(&id)?.value;
            let new = value::parse(text, &old)?;
            // Without a listener the driver returns an error for a successful set.
            let _listener = device.team.events()?;
            device.team.set(&[(id, new)])?;
        }
        Verb::Monitor => {
            let style = style(line.arguments.first().map(String::as_str))?;
            monitor::run(&mut device, style, line.json, out)?;
        }
    }
    Ok(())
}

/// Returns the style of the monitor that a word abbreviates; without a word the default.
fn style(word: Option<&str>) -> Result<Style, Failure> {
    match word {
        Some(word) if "all".starts_with(word) => Ok(Style::All),
        Some(word) if !"changed".starts_with(word) => {
            let unknown = format!("Unknown monitor style \"{word}\"");
            Err(Failure::errno(unknown, libc::EINVAL))
        }
        _ => Ok(Style::Changed),
    }
}

fn array_index(text: &str) -> Result<u32, Failure> {
    let number = value::whole_number(text).filter(|number| *number >= 0);
    let invalid = || Failure::errno("Failed to parse array index.", libc::EINVAL);
    u32::try_from(number.ok_or_else(invalid)?)
        .map_err(|_| Failure::errno("Array index too big.", libc::ERANGE))
}

//! `teamrnl`, which shows and sets what the kernel's team driver holds; started as `teamnl` it
//! is that.
//!
//! Owns the words, the texts and the exit status; needs no daemon. Standard: libteam 1.32's
//! teamnl, whose output is kept byte for byte. Results go to stdout, everything else to stderr;
//! a reader that has gone away ends the monitor and is no error elsewhere.

mod device;
mod lists;
mod monitor;
pub mod options;
mod value;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};

use crate::args::getopt::Getopt;
use crate::args::version_line;
use crate::errno::strerror;
use crate::netlink::team::{OptionId, Value};
use device::Device;
use lists::{Interfaces, Options, Ports, Style};
use options::{CommandLine, Only, Verb};

/// Why a command failed: lines that say what, then the cause.
#[derive(Debug)]
struct Failure {
    told: Vec<String>,
    cause: io::Error,
}

impl Failure {
    fn new(told: impl Into<String>, cause: io::Error) -> Self {
        Failure {
            told: vec![told.into()],
            cause,
        }
    }

    fn errno(told: impl Into<String>, errno: i32) -> Self {
        Failure::new(told, io::Error::from_raw_os_error(errno))
    }
}

impl From<io::Error> for Failure {
    fn from(cause: io::Error) -> Self {
        let told = Vec::new();
        Failure { told, cause }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.told {
            writeln!(f, "{line}")?;
        }
        write!(f, "Command failed: {}", strerror(&self.cause))
    }
}

/// Runs with a command line that begins with the program; `posix` is whether
/// `POSIXLY_CORRECT` is set. Returns the exit status.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    posix: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let items = Getopt::new(&options::FLAGS, args, posix);
    let help = options::help(items.argv0());
    let program = crate::args::program_name(items.argv0()).to_owned();
    let line = match CommandLine::read(items) {
        Ok(line) => line,
        Err(usage) => {
            let gap = if usage.gap { "\n" } else { "" };
            // A closed pipe is the reader's affair.
            let _ = writeln!(err, "{usage}");
            let _ = write!(out, "{gap}{help}");
            return 1;
        }
    };
    let outcome = match line.only {
        Some(Only::Help) => write!(out, "{help}").map_err(Failure::from),
        Some(Only::Version) => writeln!(out, "{}", version_line(&program)).map_err(Failure::from),
        None => obey(&line, &program, out),
    };
    match outcome.and_then(|()| Ok(out.flush()?)) {
        Err(failure) if failure.cause.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(err, "{failure}");
            1
        }
        _ => 0,
    }
}

fn obey(line: &CommandLine, program: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let mut device = Device::open(&line.device, program)?;
    let port = match &line.port {
        Some(name) => Some(device.port(name)?),
        None => None,
    };
    let index = match &line.index {
        Some(text) => Some(array_index(text)?),
        None => None,
    };
    let instance = |name: &str| OptionId {
        name: name.to_owned().into(),
        port,
        index,
    };
    let argument = |place: usize, what: &str| {
        line.arguments.get(place).ok_or_else(|| {
            let typed = &line.word;
            let told = format!("{typed}: Option {what} as a command line parameter expected.");
            Failure::errno(told, libc::EINVAL)
        })
    };
    match line.verb {
        Verb::Ports => {
            let links = Interfaces::new(device.links()?);
            let ports = Ports::new(device.team.ports()?);
            write!(out, "{}", ports.show(&links))?;
        }
        Verb::Options => {
            let links = Interfaces::new(device.links()?);
            let options = Options::new(device.team.options()?);
            write!(out, "{}", options.show(&links))?;
        }
        Verb::GetOption => {
            let name = argument(0, "name")?;
            let value = device.option(&instance(name))?;
            writeln!(out, "{}", value::show(&value))?;
        }
        Verb::SetOption => {
            let name = argument(0, "name")?;
            let text = argument(1, "value")?;
            let id = instance(name);
            let old: Value = device.option(&id)?;
            let new = value::parse(text, &old)?;
            // The driver calls a set that nobody hears of a failure.
            let _listener = device.team.events()?;
            device.team.set(&[(id, new)])?;
        }
        Verb::Monitor => {
            let style = match line.arguments.first() {
                Some(word) if "all".starts_with(word.as_str()) => Style::All,
                Some(word) if !"changed".starts_with(word.as_str()) => {
                    let told = format!("Unknown monitor style \"{word}\"");
                    return Err(Failure::errno(told, libc::EINVAL));
                }
                _ => Style::Changed,
            };
            monitor::run(&mut device, style, out)?;
        }
    }
    Ok(())
}

fn array_index(text: &str) -> Result<u32, Failure> {
    match value::whole_number(text) {
        Some(number) if number < 0 => {
            Err(Failure::errno("Failed to parse array index.", libc::EINVAL))
        }
        Some(number) => {
            u32::try_from(number).map_err(|_| Failure::errno("Array index too big.", libc::ERANGE))
        }
        None => Err(Failure::errno("Failed to parse array index.", libc::EINVAL)),
    }
}

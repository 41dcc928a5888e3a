//! `bond2team`: the command line of libteam's script for [`import`](super::import).
//!
//! Owns the options, the default paths and the messages. Standard: bond2team 0.97. Both refuse a bond
//! that they cannot convert whole; this one converts more. Differences: the JSON is valid, flags are
//! booleans, and `--outputdir` applies to JSON too.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::cli::{framed, write};
use super::manager::{DeviceKind, Manager};
use super::model::{Bond, BondPort, Notes, OutFile, Severity};
use super::root::Root;
use super::to_team::to_team;
use super::tree::Tree;
use super::{ifcfg, is_interface_name};
use crate::args::VERSION;
use crate::args::getopt::{self, Flag, Getopt, Item, Operands};
use crate::text::{deliver, for_stdout};

/// The release whose command line is accepted.
const BOND2TEAM_VERSION: &str = "0.97";

/// The options.
#[rustfmt::skip]
pub static FLAGS: [Flag; 14] = [
    Flag::new(b"", "master", Some("IFACE"), &["the bond, or the path of its ifcfg file"]),
    Flag::new(b"", "rename", Some("IFACE"), &["name of the team (ifcfg only)"]),
    Flag::new(b"", "bonding_opts", Some("STRING"), &["options instead of BONDING_OPTS"]),
    Flag::new(b"", "port", Some("IFACE"), &["a port (JSON only); repeat it for more"]),
    Flag::new(b"", "ifcfg", None, &["write ifcfg files (default)"]),
    Flag::new(b"", "json", None, &["write one JSON file, teamd.conf"]),
    Flag::new(b"", "configdir", Some("DIR"), &["where ifcfg files are;", "/etc/sysconfig/network-scripts"]),
    Flag::new(b"", "outputdir", Some("DIR"), &["write files there; it must exist"]),
    Flag::new(b"", "stdout", None, &["print the files"]),
    Flag::new(b"", "debug", None, &["accepted, no effect"]),
    Flag::new(b"", "quiet", None, &["print errors only"]),
    Flag::new(b"", "examples", None, &["show examples"]),
    Flag::new(b"", "version", None, &["show the version"]),
    Flag { short: b"h", ..Flag::new(b"", "help", None, &["show this help"]) },
];

#[derive(Debug, Default)]
struct Request {
    master: Option<String>,
    rename: Option<String>,
    bonding_opts: Option<String>,
    ports: Vec<String>,
    json: bool,
    configdir: PathBuf,
    outputdir: Option<PathBuf>,
    stdout: bool,
    quiet: bool,
}

/// The meaning of a command line.
enum Parsed {
    /// A text to print.
    Text(String),
    /// A request to convert.
    Request(Box<Request>),
}

/// Runs the program and returns the exit status; `args` begins with the program.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let (status, output, diagnostics) = match read(args) {
        Err(complaint) => (1, usage(), format!("ERROR:  {complaint}\n")),
        Ok(Parsed::Text(text)) => (0, text, String::new()),
        Ok(Parsed::Request(request)) => {
            let mut info = String::new();
            match convert(&request, &mut info) {
                Ok(output) => (0, output, info),
                Err(complaint) => (1, String::new(), info + &format!("ERROR:  {complaint}\n")),
            }
        }
    };
    deliver(status, &for_stdout(&output), &diagnostics, out, err)
}

fn usage() -> String {
    format!(
        "Usage: bond2team [OPTION]...\nConvert the configuration of a bond to that of a team.\n\nOptions:\n{}\n\
         Exit status: 0 done, 1 anything else.\n",
        getopt::describe(&FLAGS)
    )
}

const EXAMPLES: &str = "\
bond2team --master bond0
    Convert ifcfg-bond0 and the files of its ports into a new folder.
bond2team --master bond0 --rename team0 --outputdir DIR
    The same into DIR, for a team called team0.
bond2team --bonding_opts 'mode=1 miimon=500' --port eth1 --port eth2 --json --stdout
    Print a configuration for teamr -f.
";

fn read(args: impl IntoIterator<Item = OsString>) -> Result<Parsed, String> {
    let configdir = Path::new("/").join(Manager::Ifcfg.folder());
    let mut request = Request { configdir, ..Request::default() };
    for item in Getopt::new(&FLAGS, args, Operands::Anywhere) {
        let (flag, value) = match item.map_err(|error| error.to_string())? {
            Item::Flag(flag, value) => (flag.long, value),
            Item::Operand(word) => {
                return Err(format!("unexpected argument \"{}\"", word.to_string_lossy()));
            }
        };
        let text = value.clone().into_string().map_err(|_| format!("--{flag} is not UTF-8"))?;
        match flag {
            "master" => request.master = Some(text),
            "rename" if request.rename.is_some() => {
                return Err("--rename is given twice".to_owned());
            }
            "rename" if is_interface_name(&text) => request.rename = Some(text),
            "port" if is_interface_name(&text) => request.ports.push(text),
            "rename" | "port" => {
                return Err(format!("\"{text}\" cannot be the name of an interface"));
            }
            "bonding_opts" => request.bonding_opts = Some(text),
            "ifcfg" => request.json = false,
            "json" => request.json = true,
            "configdir" => request.configdir = value.into(),
            "outputdir" => request.outputdir = Some(value.into()),
            "stdout" => request.stdout = true,
            "quiet" => request.quiet = true,
            "version" => {
                let line = format!("bond2team {BOND2TEAM_VERSION} (teamr {VERSION})\n");
                return Ok(Parsed::Text(line));
            }
            "help" => return Ok(Parsed::Text(usage())),
            "examples" => return Ok(Parsed::Text(EXAMPLES.to_owned())),
            _ => {}
        }
    }
    if request.master.is_none() && request.bonding_opts.is_none() {
        return Err("neither --master nor --bonding_opts is given".to_owned());
    }
    Ok(Parsed::Request(Box::new(request)))
}

/// Converts a bond. Returns the text for stdout and appends information for stderr to `info`.
fn convert(request: &Request, info: &mut String) -> Result<String, String> {
    let mut notes = Notes::default();
    let mut bond = find(request, &mut notes)?;
    if let Some(options) = &request.bonding_opts {
        bond.options = super::options::Options::default();
        ifcfg::read_options(options, &mut bond, &mut notes);
    }
    if request.json {
        let more = request.ports.iter().map(|name| BondPort::new(name));
        bond.ports.extend(more);
    } else if let Some(name) = &request.rename {
        bond.name.clone_from(name);
    }
    let team = to_team(&bond, &mut notes);
    let files = match request.json {
        true => vec![OutFile { name: "teamd.conf".to_owned(), text: team.text() }],
        false => ifcfg::write(&bond, Some(&team), &mut notes),
    };
    let mut refused = None;
    for note in notes.iter() {
        match note.severity {
            Severity::Lost => refused = refused.or(Some(note)),
            Severity::Approximated if !request.quiet => {
                *info += &format!("INFO:  {}: {}\n", note.subject, note.reason);
            }
            Severity::Approximated => {}
        }
    }
    if let Some(note) = refused {
        return Err(format!("cannot convert {}: {}", note.subject, note.reason));
    }
    if request.stdout {
        return Ok(framed(&files));
    }
    if let Some(folder) = &request.outputdir {
        if !folder.is_dir() {
            return Err(format!("there is no folder {}", folder.display()));
        }
        return write(folder, &files).map(|_| String::new());
    }
    let template = std::env::temp_dir().join("bond2team.XXXXXX");
    let folder = nix::unistd::mkdtemp(&template)
        .map_err(|errno| format!("Failed to make a folder: {}", errno.desc()))?;
    let paths = write(&folder, &files)?;
    let paths = paths.iter().map(|path| format!("  {}\n", path.display()));
    Ok(format!("\nResulted files:\n{}", paths.collect::<String>()))
}

/// Returns the bond of `--master`; without the option, an empty bond called team0.
fn find(request: &Request, notes: &mut Notes) -> Result<Bond, String> {
    let Some(master) = &request.master else {
        return Ok(Bond { name: "team0".to_owned(), ..Bond::default() });
    };
    let path = Path::new(master);
    let (folder, name) = if master.contains('/') {
        let file = path.file_name().and_then(|file| file.to_str());
        let name = file.and_then(|file| file.strip_prefix("ifcfg-"));
        let name = name.ok_or_else(|| format!("{master} is no ifcfg file"))?;
        (path.parent().unwrap_or(Path::new("/")), name)
    } else {
        (request.configdir.as_path(), master.as_str())
    };
    let mut tree = Tree::default();
    match Root::open(folder) {
        Ok(root) => tree.load(&root, ".").map_err(|error| error.to_string())?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.to_string()),
    }
    if tree.get(&format!("./ifcfg-{name}")).is_none() {
        if request.bonding_opts.is_some() && is_interface_name(name) {
            return Ok(Bond { name: name.to_owned(), ..Bond::default() });
        }
        let path = folder.join(format!("ifcfg-{name}"));
        return Err(format!("there is no file {}", path.display()));
    }
    ifcfg::read(&tree, Manager::Ifcfg, &["."], name, DeviceKind::Bond, notes)
        .ok_or_else(|| format!("ifcfg-{name} is not about a bond"))
}

//! `bond2team`: the command line of libteam's script in front of [`import`](super::import).
//!
//! Owns its options, its places for files and its messages. Standard: bond2team 0.97. It refuses
//! what it cannot convert, and so does this; it can convert less. Its faults are not kept: the
//! JSON is valid, flags are booleans, `--outputdir` holds for JSON too.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::cli::{framed, write};
use super::family::Device;
use super::model::{Bond, BondPort, Notes, OutFile, Weight};
use super::to_team::to_team;
use super::tree::Tree;
use super::{ifcfg, is_interface_name};
use crate::args::VERSION;
use crate::args::getopt::{self, Flag, Getopt, Item};

/// The release whose command line this is.
const BOND2TEAM_VERSION: &str = "0.97";

/// Its options.
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
    Flag::new(b"", "debug", None, &["tell more"]),
    Flag::new(b"", "quiet", None, &["tell errors only"]),
    Flag::new(b"", "examples", None, &["show examples"]),
    Flag::new(b"", "version", None, &["show the version"]),
    Flag { short: b"h", ..Flag::new(b"", "help", None, &["show this help"]) },
];

#[derive(Debug)]
struct Order {
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

enum Asked {
    Text(String),
    Usage(String),
    Order(Box<Order>),
}

/// Runs it with a command line that begins with the program; returns the exit status.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let (status, shown, told) = match read(args) {
        Asked::Text(text) => (0, text, String::new()),
        Asked::Usage(complaint) => (1, usage(), format!("ERROR:  {complaint}\n")),
        Asked::Order(order) => {
            let mut told = String::new();
            match convert(&order, &mut told) {
                Ok(shown) => (0, shown, told),
                Err(complaint) => (1, String::new(), told + &format!("ERROR:  {complaint}\n")),
            }
        }
    };
    // A closed pipe is the reader's affair.
    let _ = err.write_all(told.as_bytes());
    let _ = out.write_all(shown.as_bytes()).and_then(|()| out.flush());
    status
}

fn usage() -> String {
    format!(
        "Usage: bond2team [OPTION]...\nMake a team's configuration of a bond's.\n\nOptions:\n{}\n\
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

fn read(args: impl IntoIterator<Item = OsString>) -> Asked {
    let mut order = Order {
        master: None,
        rename: None,
        bonding_opts: None,
        ports: Vec::new(),
        json: false,
        configdir: Path::new("/").join(super::Family::Ifcfg.folder()),
        outputdir: None,
        stdout: false,
        quiet: false,
    };
    for item in Getopt::new(&FLAGS, args, false) {
        let (flag, value) = match item {
            Ok(Item::Flag(flag, value)) => (flag.long, value),
            Ok(Item::Operand(word)) => {
                let word = word.to_string_lossy();
                return Asked::Usage(format!("unexpected argument \"{word}\""));
            }
            Err(error) => return Asked::Usage(error.to_string()),
        };
        let Ok(text) = value.clone().into_string() else {
            return Asked::Usage(format!("--{flag} is not UTF-8"));
        };
        match flag {
            "master" => order.master = Some(text),
            "rename" if order.rename.is_some() => {
                return Asked::Usage("--rename is given twice".to_owned());
            }
            "rename" if is_interface_name(&text) => order.rename = Some(text),
            "port" if is_interface_name(&text) => order.ports.push(text),
            "rename" | "port" => {
                return Asked::Usage(format!("\"{text}\" cannot be the name of an interface"));
            }
            "bonding_opts" => order.bonding_opts = Some(text),
            "ifcfg" => order.json = false,
            "json" => order.json = true,
            "configdir" => order.configdir = value.into(),
            "outputdir" => order.outputdir = Some(value.into()),
            "stdout" => order.stdout = true,
            "quiet" => order.quiet = true,
            "version" => {
                let line = format!("bond2team {BOND2TEAM_VERSION} (teamr {VERSION})\n");
                return Asked::Text(line);
            }
            "help" => return Asked::Text(usage()),
            "examples" => return Asked::Text(EXAMPLES.to_owned()),
            _ => {}
        }
    }
    if order.master.is_none() && order.bonding_opts.is_none() {
        return Asked::Usage("neither --master nor --bonding_opts is given".to_owned());
    }
    Asked::Order(Box::new(order))
}

/// What goes to stdout; information goes to `told`.
fn convert(order: &Order, told: &mut String) -> Result<String, String> {
    let mut notes = Notes::default();
    let mut bond = find(order, &mut notes)?;
    if let Some(options) = &order.bonding_opts {
        bond.options = super::options::Options::default();
        ifcfg::read_options(options, &mut bond, &mut notes);
    }
    if order.json {
        let more = order.ports.iter().map(|name| BondPort::new(name));
        bond.ports.extend(more);
    } else if let Some(name) = &order.rename {
        bond.name.clone_from(name);
    }
    let team = to_team(&bond, &mut notes);
    let files = match order.json {
        true => vec![OutFile {
            name: "teamd.conf".to_owned(),
            text: team.text(),
        }],
        false => ifcfg::write(&bond, Some(&team), &mut notes),
    };
    let mut refused = None;
    for note in notes.iter() {
        match note.weight {
            Weight::Lost => refused = refused.or(Some(note)),
            Weight::Approximated if !order.quiet => {
                *told += &format!("INFO:  {}: {}\n", note.what, note.why);
            }
            Weight::Approximated => {}
        }
    }
    if let Some(note) = refused {
        return Err(format!("cannot convert {}: {}", note.what, note.why));
    }
    if order.stdout {
        return Ok(framed(&files));
    }
    if let Some(folder) = &order.outputdir {
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

/// The bond of `--master`; without one a bond called team0.
fn find(order: &Order, notes: &mut Notes) -> Result<Bond, String> {
    let Some(master) = &order.master else {
        return Ok(Bond {
            name: "team0".to_owned(),
            ..Bond::default()
        });
    };
    let path = Path::new(master);
    let (folder, name) = if master.contains('/') {
        let file = path.file_name().and_then(|file| file.to_str());
        let name = file.and_then(|file| file.strip_prefix("ifcfg-"));
        let name = name.ok_or_else(|| format!("{master} is no ifcfg file"))?;
        (path.parent().unwrap_or(Path::new("/")), name)
    } else {
        (order.configdir.as_path(), master.as_str())
    };
    let mut tree = Tree::default();
    tree.load(folder, ".").map_err(|error| error.to_string())?;
    if tree.get(&format!("./ifcfg-{name}")).is_none() {
        if order.bonding_opts.is_some() && is_interface_name(name) {
            return Ok(Bond {
                name: name.to_owned(),
                ..Bond::default()
            });
        }
        let path = folder.join(format!("ifcfg-{name}"));
        return Err(format!("there is no file {}", path.display()));
    }
    ifcfg::read(&tree, ".", name, Device::Bond, notes)
        .ok_or_else(|| format!("ifcfg-{name} is not about a bond"))
}

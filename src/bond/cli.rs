//! `teamrctl import` and `teamrctl export`: the command lines, and the disk.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use json_config::Config;
use serde_json::{Map, Value};

use super::convert::{Export, Import, Outcome, export, import};
use super::family::{Family, Target};
use super::live;
use super::model::OutFile;
use super::tree::Tree;
use crate::args::getopt::{self, Flag, Getopt, Item};
use crate::files::{self, Durability};

/// All that was there is there again, if not always in the same way.
pub const KEPT: u8 = 0;
/// Nothing was written.
pub const FAILED: u8 = 1;
/// Written, but something was lost.
pub const LOST: u8 = 2;

const ROOT: Flag = Flag::new(b"", "root", Some("DIR"), &["read below DIR instead of /"]);
const OUTPUT: Flag = Flag::new(
    b"",
    "output",
    Some("DIR"),
    &["write files into DIR, not to standard output"],
);
const RENAME: Flag = Flag::new(
    b"",
    "rename",
    Some("NAME"),
    &["give the device another name"],
);
const HELP: Flag = Flag::new(b"h", "help", None, &["show this help"]);

/// The options of `import`.
pub static IMPORT: [Flag; 7] = [
    Flag::new(
        b"",
        "from",
        Some("SOURCE"),
        &[
            "ifcfg, networkmanager, networkd or sysfs;",
            "the first that has the bond if left out",
        ],
    ),
    Flag::new(
        b"",
        "to",
        Some("KEEPER"),
        &[
            "who keeps the addresses: ifcfg, networkmanager, networkd",
            "or ip; the source if left out, ip for sysfs",
        ],
    ),
    ROOT,
    OUTPUT,
    RENAME,
    Flag::new(b"", "json", None, &["the team's configuration only"]),
    HELP,
];

/// The options of `export`.
pub static EXPORT: [Flag; 6] = [
    Flag::new(
        b"",
        "from",
        Some("SOURCE"),
        &[
            "who has the addresses: ifcfg, networkmanager, networkd",
            "or sysfs; the first that knows the team if left out",
        ],
    ),
    Flag::new(
        b"",
        "to",
        Some("TARGET"),
        &["nmcli (default), networkd or ifcfg"],
    ),
    ROOT,
    OUTPUT,
    RENAME,
    HELP,
];

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A bond becomes a team.
    Import,
    /// A team becomes a bond.
    Export,
}

impl Way {
    /// The one that a first word of the command line names.
    pub fn from_word(word: &str) -> Option<Way> {
        match word {
            "import" => Some(Way::Import),
            "export" => Some(Way::Export),
            _ => None,
        }
    }

    fn flags(self) -> &'static [Flag] {
        match self {
            Way::Import => &IMPORT,
            Way::Export => &EXPORT,
        }
    }
}

/// The help of one of them.
pub fn help(program: &str, way: Way) -> String {
    let (usage, what) = match way {
        Way::Import => (
            "import [OPTION]... BOND",
            "Make a team of a bond: its configuration NAME.json, and what keeps the addresses.",
        ),
        Way::Export => (
            "export [OPTION]... FILE|TEAMDEV",
            "Make a bond of a team, given by its configuration or running.",
        ),
    };
    format!(
        "Usage: {program} {usage}\n{what}\n\nOptions:\n{}\n\
         What does not come out as it went in is told on standard error, each with its reason.\n\n\
         Exit status: 0 nothing was lost, 1 failed, nothing written, 2 something was lost.\n",
        getopt::describe(way.flags())
    )
}

/// A command line as understood.
#[derive(Debug, Default)]
struct Order {
    from: Option<Family>,
    to: Option<String>,
    root: Option<PathBuf>,
    output: Option<PathBuf>,
    rename: Option<String>,
    json: bool,
    help: bool,
    subject: Option<String>,
}

impl Order {
    fn read(items: Getopt) -> Result<Order, String> {
        let mut order = Order::default();
        let text = |value: OsString| {
            let text = value.into_string();
            text.map_err(|value| format!("\"{}\" is not UTF-8.", value.to_string_lossy()))
        };
        for item in items {
            match item.map_err(|error| error.to_string())? {
                Item::Operand(word) if order.subject.is_none() => order.subject = Some(text(word)?),
                Item::Operand(word) => {
                    return Err(format!(
                        "One word too many: \"{}\".",
                        word.to_string_lossy()
                    ));
                }
                Item::Flag(flag, value) => match flag.long {
                    "from" => {
                        let name = text(value)?;
                        let family = Family::from_name(&name);
                        order.from = Some(family.ok_or_else(|| {
                            let known = Family::ALL.map(Family::name).join(", ");
                            format!("Unknown source \"{name}\": it is one of {known}.")
                        })?);
                    }
                    "to" => order.to = Some(text(value)?),
                    "root" => order.root = Some(value.into()),
                    "output" => order.output = Some(value.into()),
                    "rename" => {
                        let name = text(value)?;
                        if !super::is_interface_name(&name) {
                            return Err(format!("\"{name}\" cannot be the name of a device."));
                        }
                        order.rename = Some(name);
                    }
                    "json" => order.json = true,
                    _ => order.help = true,
                },
            }
        }
        Ok(order)
    }
}

/// Runs one of the two. `args` begins with the word that chose it; `ask` gives the configuration
/// of a running team. Returns the exit status.
pub fn run(
    program: &str,
    way: Way,
    args: impl IntoIterator<Item = OsString>,
    ask: &dyn Fn(&str) -> Result<Value, String>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let (status, shown, told) = match obey(program, way, Getopt::new(way.flags(), args, false), ask)
    {
        Ok((shown, outcome)) => {
            let notes = outcome.notes.iter();
            let told: String = notes.map(|note| format!("{note}\n")).collect();
            let status = match outcome.notes.any_lost() {
                true => LOST,
                false => KEPT,
            };
            (status, shown, told)
        }
        Err(complaint) => (FAILED, String::new(), format!("{complaint}\n")),
    };
    // A closed pipe is the reader's affair.
    let _ = err.write_all(told.as_bytes());
    let _ = out.write_all(shown.as_bytes()).and_then(|()| out.flush());
    status
}

fn obey(
    program: &str,
    way: Way,
    items: Getopt,
    ask: &dyn Fn(&str) -> Result<Value, String>,
) -> Result<(String, Outcome), String> {
    let order = Order::read(items)?;
    if order.help {
        return Ok((help(program, way), Outcome::default()));
    }
    let subject = order.subject.clone();
    let subject = subject.ok_or_else(|| help(program, way).trim_end().to_owned())?;
    let root = order.root.clone().unwrap_or_else(|| PathBuf::from("/"));
    let outcome = match way {
        Way::Import => {
            let tree = load(&root, &subject)?;
            let to = order.to.as_deref().map(|name| match name {
                "ip" => Ok(Family::Sysfs),
                name => Family::from_name(name)
                    .filter(|family| *family != Family::Sysfs)
                    .ok_or_else(|| {
                        format!(
                            "Unknown keeper \"{name}\": it is one of ifcfg, networkmanager, \
                             networkd, ip."
                        )
                    }),
            });
            let mut outcome = import(
                &tree,
                &Import {
                    bond: subject,
                    from: order.from,
                    to: to.transpose()?,
                    rename: order.rename.clone(),
                },
            )?;
            if order.json {
                outcome.files.truncate(1);
            }
            outcome
        }
        Way::Export => {
            let (device, team) = team(&subject, ask)?;
            let to = order.to.as_deref().unwrap_or(Target::Nmcli.name());
            let to = Target::from_name(to).ok_or_else(|| {
                let known = Target::ALL.map(Target::name).join(", ");
                format!("Unknown target \"{to}\": it is one of {known}.")
            })?;
            let tree = load(&root, &device)?;
            export(
                &tree,
                &Export {
                    team,
                    device,
                    from: order.from,
                    to,
                    rename: order.rename.clone(),
                },
            )?
        }
    };
    let shown = match &order.output {
        Some(folder) => {
            write(folder, &outcome.files)?;
            String::new()
        }
        None if order.json => outcome
            .files
            .iter()
            .map(|file| file.text.as_str())
            .collect(),
        None => framed(&outcome.files),
    };
    Ok((shown, outcome))
}

/// The team that a file or a running daemon tells of, with the name of its device.
fn team(
    subject: &str,
    ask: &dyn Fn(&str) -> Result<Value, String>,
) -> Result<(String, Map<String, Value>), String> {
    let path = Path::new(subject);
    let config = if subject.contains('/') || path.is_file() {
        let text = fs::read(path).map_err(|error| format!("{subject}: {error}."))?;
        let config = Config::parse(&text).map_err(|problem| format!("{subject}: {problem}"))?;
        config.into_object().into()
    } else {
        ask(subject)?
    };
    let Value::Object(team) = config else {
        return Err(format!("{subject}: expected an object."));
    };
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let device = team.get("device").and_then(Value::as_str).or(stem);
    match device.filter(|device| super::is_interface_name(device)) {
        Some(device) => Ok((device.to_owned(), team)),
        None => Err(format!(
            "{subject}: its \"device\" cannot be the name of one."
        )),
    }
}

/// All that can tell of the device `name`.
fn load(root: &Path, name: &str) -> Result<Tree, String> {
    if !super::is_interface_name(name) {
        return Err(format!("\"{name}\" cannot be the name of a device."));
    }
    let mut tree = Tree::default();
    let read = |tree: &mut Tree| -> io::Result<()> {
        for family in [Family::Ifcfg, Family::NetworkManager, Family::Networkd] {
            tree.load(root, family.folder())?;
        }
        live::load(tree, root, name)
    };
    read(&mut tree).map_err(|error| format!("Failed to read the configuration: {error}."))?;
    Ok(tree)
}

/// Files one after the other, each between lines that name it.
pub fn framed(files: &[OutFile]) -> String {
    let frame = |file: &OutFile| {
        let line = format!("---8<--- {} ---8<---\n", file.name);
        format!("{line}{}{line}\n", file.text)
    };
    files.iter().map(frame).collect()
}

/// Writes the files into `folder`; what is there under the same names is replaced. They may hold
/// keys of a network, so only their owner may read them; scripts may be run.
///
/// # Errors
/// The folder cannot be made or written to.
pub fn write(folder: &Path, files: &[OutFile]) -> Result<Vec<PathBuf>, String> {
    let failed =
        |path: &Path, error: io::Error| format!("Failed to write {}: {error}.", path.display());
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder);
    made.map_err(|error| failed(folder, error))?;
    let mut paths = Vec::new();
    for file in files {
        let path = folder.join(&file.name);
        // networkd runs as a user of its own.
        let mode = match Path::new(&file.name).extension().and_then(|e| e.to_str()) {
            Some("sh") => 0o700,
            Some("nmconnection") => 0o600,
            _ => 0o644,
        };
        let saved = files::save(&path, file.text.as_bytes(), mode, Durability::Machine);
        saved.map_err(|error| failed(&path, error))?;
        paths.push(path);
    }
    Ok(paths)
}

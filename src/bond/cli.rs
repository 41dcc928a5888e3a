//! `teamrctl import` and `teamrctl export`: parse the command line, read and write files.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use json_config::Config;
use serde_json::{Map, Value};

use super::convert::{Export, Import, Outcome, export, import};
use super::live;
use super::manager::{Manager, Target};
use super::model::OutFile;
use super::tree::Tree;
use crate::args::getopt::{self, Flag, Getopt, Item, Operands};
use crate::files::{self, Durability};

/// Exit status: every setting is kept or approximated.
pub const KEPT: u8 = 0;
/// Exit status: the conversion failed and nothing was written.
pub const FAILED: u8 = 1;
/// Exit status: the result was written, and a setting was lost.
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
            "default: the first that has the bond",
        ],
    ),
    Flag::new(
        b"",
        "to",
        Some("KEEPER"),
        &[
            "where the addresses go: ifcfg, networkmanager, networkd",
            "or ip; default: as the source, ip for sysfs",
        ],
    ),
    ROOT,
    OUTPUT,
    RENAME,
    Flag::new(
        b"",
        "json",
        None,
        &["print only the configuration of the team"],
    ),
    HELP,
];

/// The options of `export`.
pub static EXPORT: [Flag; 6] = [
    Flag::new(
        b"",
        "from",
        Some("SOURCE"),
        &[
            "source of the addresses: ifcfg, networkmanager, networkd",
            "or sysfs; default: the first that knows the team",
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

/// The two conversions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// From a bond to a team.
    Import,
    /// From a team to a bond.
    Export,
}

impl Conversion {
    /// Returns the conversion that the first word of the command line names.
    pub fn from_word(word: &str) -> Option<Conversion> {
        match word {
            "import" => Some(Conversion::Import),
            "export" => Some(Conversion::Export),
            _ => None,
        }
    }

    fn flags(self) -> &'static [Flag] {
        match self {
            Conversion::Import => &IMPORT,
            Conversion::Export => &EXPORT,
        }
    }
}

/// Returns the help text of a conversion.
pub fn help(program: &str, conversion: Conversion) -> String {
    let (usage, purpose) = match conversion {
        Conversion::Import => (
            "import [OPTION]... BOND",
            "Convert a bond to a team: its configuration NAME.json, and files or commands with\n\
             the addresses.",
        ),
        Conversion::Export => (
            "export [OPTION]... FILE|TEAMDEV",
            "Convert a team, given by its configuration or running, to a bond.",
        ),
    };
    format!(
        "Usage: {program} {usage}\n{purpose}\n\nOptions:\n{}\n\
         Each setting that is changed or lost is printed on standard error, with the reason.\n\n\
         Exit status: 0 nothing was lost, 1 failed, nothing written, 2 something was lost.\n",
        getopt::describe(conversion.flags())
    )
}

/// A parsed command line.
#[derive(Debug, Default)]
struct CommandLine {
    from: Option<Manager>,
    to: Option<String>,
    root: Option<PathBuf>,
    output: Option<PathBuf>,
    rename: Option<String>,
    json: bool,
    help: bool,
    subject: Option<String>,
}

impl CommandLine {
    fn parse(items: Getopt) -> Result<CommandLine, String> {
        let mut line = CommandLine::default();
        let text = |value: OsString| {
            let text = value.into_string();
            text.map_err(|value| format!("\"{}\" is not UTF-8.", value.to_string_lossy()))
        };
        for item in items {
            match item.map_err(|error| error.to_string())? {
                Item::Operand(word) if line.subject.is_none() => line.subject = Some(text(word)?),
                Item::Operand(word) => {
                    return Err(format!(
                        "One word too many: \"{}\".",
                        word.to_string_lossy()
                    ));
                }
                Item::Flag(flag, value) => match flag.long {
                    "from" => {
                        let name = text(value)?;
                        let manager = Manager::from_name(&name);
                        line.from = Some(manager.ok_or_else(|| {
                            let known = Manager::ALL.map(Manager::name).join(", ");
                            format!("Unknown source \"{name}\": it is one of {known}.")
                        })?);
                    }
                    "to" => line.to = Some(text(value)?),
                    "root" => line.root = Some(value.into()),
                    "output" => line.output = Some(value.into()),
                    "rename" => {
                        let name = text(value)?;
                        if !super::is_interface_name(&name) {
                            return Err(format!("\"{name}\" cannot be the name of a device."));
                        }
                        line.rename = Some(name);
                    }
                    "json" => line.json = true,
                    _ => line.help = true,
                },
            }
        }
        Ok(line)
    }

    fn root(&self) -> &Path {
        self.root.as_deref().unwrap_or(Path::new("/"))
    }
}

/// Runs a conversion and returns the exit status. `args` begins with `import` or `export`;
/// `running_config` returns the configuration of a running team.
pub fn run(
    program: &str,
    conversion: Conversion,
    args: impl IntoIterator<Item = OsString>,
    running_config: &dyn Fn(&str) -> Result<Value, String>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let (status, output, diagnostics) = match execute(
        program,
        conversion,
        Getopt::new(conversion.flags(), args, Operands::Anywhere),
        running_config,
    ) {
        Ok((output, outcome)) => {
            let notes = outcome.notes.iter();
            let diagnostics: String = notes.map(|note| format!("{note}\n")).collect();
            let status = match outcome.notes.any_lost() {
                true => LOST,
                false => KEPT,
            };
            (status, output, diagnostics)
        }
        Err(complaint) => (FAILED, String::new(), format!("{complaint}\n")),
    };
    // A reader may close the pipe early.
    let _ = err.write_all(diagnostics.as_bytes());
    let _ = out.write_all(output.as_bytes()).and_then(|()| out.flush());
    status
}

/// Executes a command line. Returns the text for standard output and the outcome, which has the
/// notes.
fn execute(
    program: &str,
    conversion: Conversion,
    items: Getopt,
    running_config: &dyn Fn(&str) -> Result<Value, String>,
) -> Result<(String, Outcome), String> {
    let line = CommandLine::parse(items)?;
    if line.help {
        return Ok((help(program, conversion), Outcome::default()));
    }
    let subject = line.subject.as_deref();
    let subject = subject.ok_or_else(|| help(program, conversion).trim_end().to_owned())?;
    let outcome = match conversion {
        Conversion::Import => import_bond(&line, subject)?,
        Conversion::Export => export_team(&line, subject, running_config)?,
    };
    let texts = outcome.files.iter().map(|file| file.text.as_str());
    let output = match &line.output {
        Some(folder) => {
            write(folder, &outcome.files)?;
            String::new()
        }
        None if line.json => texts.collect(),
        None => framed(&outcome.files),
    };
    Ok((output, outcome))
}

fn import_bond(line: &CommandLine, bond: &str) -> Result<Outcome, String> {
    let tree = load(line.root(), bond)?;
    let to = line.to.as_deref().map(|name| match name {
        "ip" => Ok(Manager::Sysfs),
        name => Manager::from_name(name)
            .filter(|manager| *manager != Manager::Sysfs)
            .ok_or_else(|| {
                format!(
                    "Unknown keeper \"{name}\": it is one of ifcfg, networkmanager, networkd, ip."
                )
            }),
    });
    let request = Import {
        bond: bond.to_owned(),
        from: line.from,
        to: to.transpose()?,
        rename: line.rename.clone(),
    };
    let mut outcome = import(&tree, &request)?;
    if line.json {
        outcome.files.truncate(1);
    }
    Ok(outcome)
}

fn export_team(
    line: &CommandLine,
    subject: &str,
    running_config: &dyn Fn(&str) -> Result<Value, String>,
) -> Result<Outcome, String> {
    let (device, team) = team(subject, running_config)?;
    let to = line.to.as_deref().unwrap_or(Target::Nmcli.name());
    let to = Target::from_name(to).ok_or_else(|| {
        let known = Target::ALL.map(Target::name).join(", ");
        format!("Unknown target \"{to}\": it is one of {known}.")
    })?;
    let tree = load(line.root(), &device)?;
    let request = Export {
        team,
        device,
        from: line.from,
        to,
        rename: line.rename.clone(),
    };
    export(&tree, &request)
}

/// Returns the configuration in a file or of a running team, and the name of the team device.
fn team(
    subject: &str,
    running_config: &dyn Fn(&str) -> Result<Value, String>,
) -> Result<(String, Map<String, Value>), String> {
    let path = Path::new(subject);
    let config = if subject.contains('/') || path.is_file() {
        let text = fs::read(path).map_err(|error| format!("{subject}: {error}."))?;
        let config = Config::parse(&text).map_err(|problem| format!("{subject}: {problem}"))?;
        config.into_object().into()
    } else {
        running_config(subject)?
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

/// Reads the files of all managers, and the kernel's view of the device `name`.
fn load(root: &Path, name: &str) -> Result<Tree, String> {
    if !super::is_interface_name(name) {
        return Err(format!("\"{name}\" cannot be the name of a device."));
    }
    let mut tree = Tree::default();
    let read = |tree: &mut Tree| -> io::Result<()> {
        for manager in [Manager::Ifcfg, Manager::NetworkManager, Manager::Networkd] {
            tree.load(root, manager.folder())?;
        }
        live::load(tree, root, name)
    };
    read(&mut tree).map_err(|error| format!("Failed to read the configuration: {error}."))?;
    Ok(tree)
}

/// Returns the texts of the files, each between two lines with its name.
pub fn framed(files: &[OutFile]) -> String {
    let frame = |file: &OutFile| {
        let line = format!("---8<--- {} ---8<---\n", file.name);
        format!("{line}{}{line}\n", file.text)
    };
    files.iter().map(frame).collect()
}

/// Writes the files into `folder`, replaces files of the same names, and returns the paths. Only the
/// owner may read a keyfile, which may contain secrets, and run a script.
///
/// # Errors
/// The folder cannot be created or written to.
pub fn write(folder: &Path, files: &[OutFile]) -> Result<Vec<PathBuf>, String> {
    let failed =
        |path: &Path, error: io::Error| format!("Failed to write {}: {error}.", path.display());
    let created = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder);
    created.map_err(|error| failed(folder, error))?;
    let mut paths = Vec::new();
    for file in files {
        let path = folder.join(&file.name);
        // networkd runs as its own user, which must be able to read its files.
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

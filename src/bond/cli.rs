//! `teamrctl import` and `teamrctl export`: parse the command line, read and write files.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use json_config::Config;
use serde_json::{Map, Value};

use super::convert::{Export, Import, Outcome, export, import};
use super::manager::{Manager, Target};
use super::model::OutFile;
use super::root::Root;
use super::tree::Tree;
use super::{cmdline, interfaces, live, modprobe, team_files, uci};
use crate::args::getopt::{self, Flag, Getopt, Item, Operands};
use crate::files::{self, Durability};
use crate::text::{deliver, for_stdout};

/// Exit status: every setting is kept or approximated.
pub const KEPT: u8 = 0;
/// Exit status: the conversion failed and nothing was written.
pub const FAILED: u8 = 1;
/// Exit status: the result was written, and a setting was lost.
pub const LOST: u8 = 2;

const ROOT: Flag = Flag::new(b"", "root", Some("DIR"), &["read below DIR instead of /"]);
const OUTPUT: Flag =
    Flag::new(b"", "output", Some("DIR"), &["write files into DIR, not to standard output"]);
const RENAME: Flag = Flag::new(b"", "rename", Some("NAME"), &["give the device another name"]);
const HELP: Flag = Flag::new(b"h", "help", None, &["show this help"]);

/// The options of `import`.
pub static IMPORT: [Flag; 14] = [
    Flag::new(
        b"",
        "from",
        Some("SOURCE"),
        &[
            "netplan, interfaces, ifcfg, wicked, networkmanager,",
            "networkd, uci, nmstate, cmdline or sysfs;",
            "default: the first that has the bond",
        ],
    ),
    Flag::new(
        b"",
        "to",
        Some("TARGET"),
        &[
            "where the addresses go: netplan, interfaces, ifcfg, wicked,",
            "networkmanager, networkd or ip; default: as the source,",
            "networkmanager for nmstate, ip for uci, cmdline and sysfs",
        ],
    ),
    ROOT,
    OUTPUT,
    RENAME,
    Flag::new(b"", "json", None, &["print only the configuration of the team"]),
    Flag::new(
        b"",
        "apply",
        None,
        &["put the team in place of the running bond, on trial:", "the bond returns unless kept"],
    ),
    Flag::new(b"", "dry-run", None, &["apply: print the plan alone"]),
    Flag::new(b"", "for", Some("SECONDS"), &["apply: time of the trial (120)"]),
    Flag::new(b"", "until", Some("COMMAND"), &["apply: keep once this shell command succeeds"]),
    Flag::new(b"", "accept-losses", None, &["apply: also where the team lacks settings"]),
    Flag::new(b"", "undo", None, &["return from --apply to the bond"]),
    Flag::new(b"", "unless-kept", None, &["undo: only a trial that nobody has kept"]),
    HELP,
];

/// The options of `export`.
pub static EXPORT: [Flag; 6] = [
    Flag::new(
        b"",
        "from",
        Some("SOURCE"),
        &["source of the addresses, one of import's;", "default: the first that knows the team"],
    ),
    Flag::new(
        b"",
        "to",
        Some("TARGET"),
        &[
            "nmcli (default), networkmanager, networkd, netplan,",
            "interfaces, ifcfg, wicked, nmstate, uci, cmdline",
            "or ip (commands)",
        ],
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

    fn word(self) -> &'static str {
        match self {
            Conversion::Import => "import",
            Conversion::Export => "export",
        }
    }

    /// Returns the complaint about a command line without an operand.
    fn missing(self) -> &'static str {
        match self {
            Conversion::Import => "The bond is missing: name its interface.",
            Conversion::Export => "The team is missing: name its file or its device.",
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

/// A request to put a team in place of a bond of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applying {
    /// Interface name of the bond.
    pub bond: String,
    /// Whether only the plan is printed.
    pub dry_run: bool,
    /// Seconds of the trial; `None` for the default.
    pub seconds: Option<u64>,
    /// Shell command whose success keeps the team.
    pub until: Option<String>,
    /// Whether the team may lack settings of the bond.
    pub accept_losses: bool,
}

/// Services of the client that the conversions need.
pub struct Callbacks<'a> {
    /// Returns the configuration of a running team.
    pub running_config: &'a dyn Fn(&str) -> Result<Value, String>,
    /// Puts a team in place of a bond; writes to the given stream.
    pub apply: &'a dyn Fn(&Applying, &mut dyn Write) -> Result<(), String>,
    /// Returns to the bond; the flag excludes a team that was kept.
    pub undo: &'a dyn Fn(&str, bool) -> Result<(), String>,
}

/// A parsed command line.
#[derive(Debug, Default)]
struct CommandLine {
    action: Action,
    applying: Applying,
    unless_kept: bool,
    from: Option<Manager>,
    to: Option<String>,
    root: Option<PathBuf>,
    output: Option<PathBuf>,
    rename: Option<String>,
    json: bool,
    help: bool,
    subject: Option<String>,
}

/// What a command line asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Action {
    #[default]
    Convert,
    Apply,
    Undo,
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
                    return Err(format!("One word too many: \"{}\".", word.to_string_lossy()));
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
                    "apply" => line.choose(Action::Apply)?,
                    "undo" => line.choose(Action::Undo)?,
                    "dry-run" => line.applying.dry_run = true,
                    "accept-losses" => line.applying.accept_losses = true,
                    "unless-kept" => line.unless_kept = true,
                    "until" => line.applying.until = Some(text(value)?),
                    "for" => {
                        let time = text(value)?;
                        let seconds = time.parse();
                        let expected = |_| format!("--for {time}: expected seconds.");
                        line.applying.seconds = Some(seconds.map_err(expected)?);
                    }
                    _ => line.help = true,
                },
            }
        }
        line.require_used_options()?;
        Ok(line)
    }

    fn choose(&mut self, action: Action) -> Result<(), String> {
        match self.action {
            Action::Convert => self.action = action,
            former if former == action => {}
            _ => return Err("--apply and --undo exclude each other.".to_owned()),
        }
        Ok(())
    }

    /// Refuses an option that the action does not have: an option without an effect would hide a
    /// mistake, such as `--dry-run` with a conversion, which writes.
    fn require_used_options(&self) -> Result<(), String> {
        let applying = &self.applying;
        let given = [
            (Action::Apply, "dry-run", applying.dry_run),
            (Action::Apply, "for", applying.seconds.is_some()),
            (Action::Apply, "until", applying.until.is_some()),
            (Action::Apply, "accept-losses", applying.accept_losses),
            (Action::Undo, "unless-kept", self.unless_kept),
        ];
        let unused = given.iter().find(|(action, _, given)| *given && *action != self.action);
        match unused {
            Some((Action::Undo, flag, _)) => Err(format!("--{flag} goes with --undo only.")),
            Some((_, flag, _)) => Err(format!("--{flag} goes with --apply only.")),
            None => Ok(()),
        }
    }

    fn root(&self) -> &Path {
        self.root.as_deref().unwrap_or(Path::new("/"))
    }
}

/// Runs a conversion and returns the exit status. `args` begins with `import` or `export`.
pub fn run(
    program: &str,
    conversion: Conversion,
    args: impl IntoIterator<Item = OsString>,
    callbacks: &Callbacks<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let (status, output, diagnostics) = match execute(
        program,
        conversion,
        Getopt::new(conversion.flags(), args, Operands::Anywhere),
        callbacks,
        out,
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
    deliver(status, &for_stdout(&output), &diagnostics, out, err)
}

/// Executes a command line. Returns the text for standard output and the outcome, which has the
/// notes.
fn execute(
    program: &str,
    conversion: Conversion,
    items: Getopt,
    callbacks: &Callbacks<'_>,
    out: &mut dyn Write,
) -> Result<(String, Outcome), String> {
    let with_hint = |complaint: String| {
        let command = format!("{program} {}", conversion.word());
        format!("{complaint}\n{}", getopt::hint(&command))
    };
    let line = CommandLine::parse(items).map_err(with_hint)?;
    if line.help {
        return Ok((help(program, conversion), Outcome::default()));
    }
    let subject = line.subject.as_deref();
    let subject = subject.ok_or_else(|| with_hint(conversion.missing().to_owned()))?;
    if line.action != Action::Convert {
        change_host(&line, subject, callbacks, out)?;
        return Ok((String::new(), Outcome::default()));
    }
    let outcome = match conversion {
        Conversion::Import => import_bond(&line, subject)?,
        Conversion::Export => export_team(&line, subject, callbacks.running_config)?,
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

/// Executes `--apply` or `--undo`.
fn change_host(
    line: &CommandLine,
    bond: &str,
    callbacks: &Callbacks<'_>,
    out: &mut dyn Write,
) -> Result<(), String> {
    if !super::is_interface_name(bond) {
        return Err(format!("\"{bond}\" cannot be the name of a device."));
    }
    let of_conversion = [
        ("from", line.from.is_some()),
        ("to", line.to.is_some()),
        ("root", line.root.is_some()),
        ("output", line.output.is_some()),
        ("rename", line.rename.is_some()),
        ("json", line.json),
    ];
    if let Some((flag, _)) = of_conversion.iter().find(|(_, given)| *given) {
        return Err(format!(
            "--{flag} does not go with --apply or --undo, which change this host."
        ));
    }
    match line.action {
        Action::Undo => (callbacks.undo)(bond, line.unless_kept),
        _ => (callbacks.apply)(&Applying { bond: bond.to_owned(), ..line.applying.clone() }, out),
    }
}

fn import_bond(line: &CommandLine, bond: &str) -> Result<Outcome, String> {
    let tree = load(line.root(), bond)?;
    let to = line.to.as_deref().map(|name| match name {
        "ip" => Ok(Manager::Sysfs),
        name => Manager::from_name(name)
            .filter(|manager| manager.target() == *manager && *manager != Manager::Sysfs)
            .ok_or_else(|| {
                format!(
                    "Unknown target \"{name}\": it is one of netplan, interfaces, ifcfg, wicked, \
                 networkmanager, networkd, ip."
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
    let (device, team) = match team(subject, running_config) {
        Ok(found) => found,
        // Without a daemon, NetworkManager or the initscripts may define the team.
        Err(complaint) if super::is_interface_name(subject) => {
            let files = team_files::read(&load(line.root(), subject)?, subject, line.from);
            (subject.to_owned(), files.ok_or(complaint)??.1)
        }
        Err(complaint) => return Err(complaint),
    };
    let to = line.to.as_deref().unwrap_or(Target::Nmcli.name());
    let to = Target::from_name(to).ok_or_else(|| {
        let known = Target::ALL.map(Target::name).join(", ");
        format!("Unknown target \"{to}\": it is one of {known}.")
    })?;
    let tree = load(line.root(), &device)?;
    let request = Export { team, device, from: line.from, to, rename: line.rename.clone() };
    export(&tree, &request)
}

/// Returns the configuration in a file or of a running team, and the name of the team device.
fn team(
    subject: &str,
    running_config: &dyn Fn(&str) -> Result<Value, String>,
) -> Result<(String, Map<String, Value>), String> {
    let path = Path::new(subject);
    let config = if subject.contains('/') || path.is_file() {
        let text = files::read_named(path, json_config::LARGEST)
            .map_err(|error| format!("{subject}: {error}."))?;
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
        None => Err(format!("{subject}: its \"device\" cannot be the name of one.")),
    }
}

/// Reads the files of all managers, and the kernel's view of the device `name`.
fn load(root: &Path, name: &str) -> Result<Tree, String> {
    if !super::is_interface_name(name) {
        return Err(format!("\"{name}\" cannot be the name of a device."));
    }
    let mut tree = Tree::default();
    let read = |tree: &mut Tree| -> io::Result<()> {
        live::load(tree, root, name)?;
        let root = Root::open(root)?;
        for manager in Manager::ALL.into_iter().filter(|manager| *manager != Manager::Sysfs) {
            for folder in manager.folders() {
                match manager {
                    Manager::Networkd => tree.load_with_drop_ins(&root, folder)?,
                    Manager::Interfaces => interfaces::load(tree, &root)?,
                    Manager::Cmdline => cmdline::load(tree, &root, folder)?,
                    // The other files of the folder are not about the network.
                    Manager::Uci => tree.load_one(&root, uci::PATH)?,
                    _ => tree.load(&root, folder)?,
                }
            }
        }
        for folder in modprobe::FOLDERS {
            tree.load(&root, folder)?;
        }
        tree.load_one(&root, modprobe::FILE)
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
    let created = fs::DirBuilder::new().recursive(true).mode(0o755).create(folder);
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

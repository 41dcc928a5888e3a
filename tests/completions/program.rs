//! The words to complete, from the tables of the programs.

use std::collections::BTreeMap;

use json_config::DataPathChoice;
use teamr::args::getopt::Flag;
use teamr::bond::bond2team;
use teamr::client::called_as::CalledAs;
use teamr::client::command;
use teamr::{args, client, teamnl};

/// A program.
pub struct Program {
    pub name: &'static str,
    /// teamd's name of the program, if different.
    pub old_name: Option<&'static str>,
    pub flags: &'static [Flag],
    pub device: Device,
    /// The next words, by the words before with blanks between them. A placeholder is in capitals.
    pub words: BTreeMap<String, Vec<String>>,
    /// The descriptions of the commands, by all their words.
    pub abouts: BTreeMap<&'static str, &'static str>,
}

/// Whether the first operand is a team device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The program has no operands.
    Never,
    /// The device is optional.
    MayBe,
    /// The first operand is the device.
    Always,
}

/// Kind of a value or an operand.
#[derive(Clone, Copy)]
pub enum Kind {
    File,
    Directory,
    Interface,
    OneOf(&'static [&'static str]),
    /// A finding of the doctor.
    Finding,
    /// A key of the running configuration.
    Key,
    /// A value of the key before.
    Value,
    /// Any text.
    Text,
}

/// Returns the kind of a placeholder of the help.
pub fn kind(placeholder: &str) -> Kind {
    match placeholder {
        "FILE" => Kind::File,
        "DIR" => Kind::Directory,
        "BOND" | "DEVICE" | "IFACE" | "PORT" | "PORTDEV" => Kind::Interface,
        "WHERE" => Kind::OneOf(&["stdout", "stderr", "syslog"]),
        "WHICH" => Kind::OneOf(&DataPathChoice::WORDS),
        "DEMO" => Kind::OneOf(&["activebackup", "slb", "lacp"]),
        "PROTOCOL" => Kind::OneOf(&["tcp", "udp", "sctp"]),
        "FINDING" => Kind::Finding,
        "KEY" => Kind::Key,
        "VALUE" => Kind::Value,
        _ => Kind::Text,
    }
}

/// Returns whether a word is a placeholder.
pub fn is_placeholder(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_uppercase())
}

impl Program {
    pub fn all() -> [Program; 4] {
        let commands = command::describe(CalledAs::Teamrctl);
        let commands = commands.lines().map(|line| line.split_whitespace().collect());
        let mut commands = tree(commands);
        // The first words alone: the help of `port` has all commands that begin so.
        commands.insert("help".to_owned(), commands[""].clone());
        let mut abouts = BTreeMap::new();
        for (words, _, about) in command::table() {
            abouts.entry(words).or_insert(about);
        }
        let verbs = teamnl::options::verbs().map(|verb| vec![verb]);
        [
            Program {
                name: "teamr",
                old_name: Some("teamd"),
                flags: &args::options::FLAGS,
                device: Device::Never,
                words: BTreeMap::new(),
                abouts: BTreeMap::new(),
            },
            Program {
                name: "teamrctl",
                old_name: Some("teamdctl"),
                flags: &client::options::FLAGS,
                device: Device::MayBe,
                words: commands,
                abouts,
            },
            Program {
                name: "teamrnl",
                old_name: Some("teamnl"),
                flags: &teamnl::options::FLAGS,
                device: Device::Always,
                words: tree(verbs),
                abouts: BTreeMap::new(),
            },
            Program {
                name: "bond2team",
                old_name: None,
                flags: &bond2team::FLAGS,
                device: Device::Never,
                words: BTreeMap::new(),
                abouts: BTreeMap::new(),
            },
        ]
    }

    /// Returns the name and the old name.
    pub fn names(&self) -> String {
        let names: Vec<&str> = [self.name].into_iter().chain(self.old_name).collect();
        names.join(" ")
    }

    /// Returns whether the program offers keys of a running team.
    pub fn has_keys(&self) -> bool {
        self.words.values().flatten().any(|word| matches!(kind(word), Kind::Key))
    }

    /// Returns the first words of the commands.
    pub fn first_words(&self) -> &[String] {
        self.words.get("").map_or(&[], Vec::as_slice)
    }

    /// Returns the options with a value, and the kind of the value.
    pub fn valued(&self) -> impl Iterator<Item = (&'static Flag, Kind)> {
        let valued = |flag: &'static Flag| Some((flag, kind(flag.value?)));
        self.flags.iter().filter_map(valued)
    }
}

/// Returns the spellings of a flag, such as `-t` and `--team-dev`.
pub fn spellings(flag: &Flag) -> Vec<String> {
    let short = flag.short.iter().map(|&letter| format!("-{}", char::from(letter)));
    short.chain([format!("--{}", flag.long)]).collect()
}

/// Returns the help of a flag on one line.
pub fn help(flag: &Flag) -> String {
    flag.help.join(" ")
}

fn tree<'a>(commands: impl Iterator<Item = Vec<&'a str>>) -> BTreeMap<String, Vec<String>> {
    let mut tree: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for command in commands {
        for (place, word) in command.iter().enumerate() {
            // A placeholder before this place stands for any one word.
            let before = command[..place].iter();
            let before = before.map(|word| if is_placeholder(word) { "*" } else { word });
            let before: Vec<&str> = before.collect();
            let next = tree.entry(before.join(" ")).or_default();
            if !next.iter().any(|known| known == word) {
                next.push((*word).to_owned());
            }
        }
    }
    tree
}

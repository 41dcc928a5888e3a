//! GNU `getopt_long`: one table of flags gives the parser, the help, the man page check and the
//! completions.
//!
//! Supports clusters (`-gg`, `-dtNAME`), unique prefixes of long names, `--name=value`, operands
//! between options unless `POSIXLY_CORRECT` is set, and `--`; errors have getopt's texts. teamd's
//! callers rely on all of these, and the argument parsers on crates.io lack the prefixes.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// One flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Letters, in the order of the help.
    pub short: &'static [u8],
    /// Long name.
    pub long: &'static str,
    /// Name of its value, if it takes one.
    pub value: Option<&'static str>,
    /// Description for the help, one element a line.
    pub help: &'static [&'static str],
    /// teamd does not have the flag. A prefix of the long name is accepted only if it matches no flag
    /// of teamd's, so that no abbreviation in use becomes ambiguous.
    pub added: bool,
}

impl Flag {
    /// Returns a flag that teamd has too.
    pub const fn new(
        short: &'static [u8],
        long: &'static str,
        value: Option<&'static str>,
        help: &'static [&'static str],
    ) -> Self {
        Flag { short, long, value, help, added: false }
    }
}

/// Where operands may stand on a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operands {
    /// Between options.
    Anywhere,
    /// After the options: the first operand ends the options.
    Last,
}

impl Operands {
    /// Returns [`Operands::Last`] if `POSIXLY_CORRECT` is set.
    pub fn from_env() -> Self {
        match std::env::var_os("POSIXLY_CORRECT") {
            Some(_) => Operands::Last,
            None => Operands::Anywhere,
        }
    }
}

/// An element of the command line.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// A flag with its value; the value is empty if the flag takes none.
    Flag(&'static Flag, OsString),
    /// A word that is no option.
    Operand(OsString),
}

/// An invalid command line. Displays getopt's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(pub String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Returns the line that names the help of a command, for a usage error.
pub fn hint(command: &str) -> String {
    format!("Try \"{command} --help\".")
}

/// An iterator over the items of a command line.
pub struct Getopt {
    flags: &'static [Flag],
    argv0: String,
    args: VecDeque<OsString>,
    /// Letters of a cluster not yet returned.
    cluster: VecDeque<u8>,
    operands: Operands,
    only_operands: bool,
}

impl Getopt {
    /// Returns the items of `args`, which begin with the program.
    pub fn new(
        flags: &'static [Flag],
        args: impl IntoIterator<Item = OsString>,
        operands: Operands,
    ) -> Self {
        let mut args: VecDeque<OsString> = args.into_iter().collect();
        let argv0 = args.pop_front().unwrap_or_default();
        Getopt {
            flags,
            argv0: argv0.to_string_lossy().into_owned(),
            args,
            cluster: VecDeque::new(),
            operands,
            only_operands: false,
        }
    }

    /// Returns the first argument, the name of the program.
    pub fn argv0(&self) -> &str {
        &self.argv0
    }

    fn error(&self, text: fmt::Arguments<'_>) -> UsageError {
        UsageError(format!("{}: {text}", self.argv0))
    }

    fn short(&mut self, letter: u8) -> Result<Item, UsageError> {
        let shown = char::from(letter);
        let Some(flag) = self.flags.iter().find(|flag| flag.short.contains(&letter)) else {
            return Err(self.error(format_args!("invalid option -- '{shown}'")));
        };
        if flag.value.is_none() {
            return Ok(Item::Flag(flag, OsString::new()));
        }
        let rest = Vec::from(std::mem::take(&mut self.cluster));
        match rest.is_empty() {
            false => Ok(Item::Flag(flag, OsString::from_vec(rest))),
            true => self.value(flag, format_args!("option requires an argument -- '{shown}'")),
        }
    }

    /// Parses a long option; `text` is the argument without the two dashes.
    fn long(&mut self, text: &OsStr) -> Result<Item, UsageError> {
        let bytes = text.as_bytes();
        let (name, given) = match bytes.iter().position(|&byte| byte == b'=') {
            Some(at) => (&bytes[..at], Some(OsStr::from_bytes(&bytes[at + 1..]))),
            None => (bytes, None),
        };
        let flag = self.resolve(name, text)?;
        let long = flag.long;
        match (flag.value, given) {
            (None, None) => Ok(Item::Flag(flag, OsString::new())),
            (None, Some(_)) => {
                Err(self.error(format_args!("option '--{long}' doesn't allow an argument")))
            }
            (Some(_), Some(value)) => Ok(Item::Flag(flag, value.to_owned())),
            (Some(_), None) => {
                self.value(flag, format_args!("option '--{long}' requires an argument"))
            }
        }
    }

    /// Returns the flag with the next argument as its value.
    fn value(
        &mut self,
        flag: &'static Flag,
        missing: fmt::Arguments<'_>,
    ) -> Result<Item, UsageError> {
        let value = self.args.pop_front().ok_or_else(|| self.error(missing))?;
        Ok(Item::Flag(flag, value))
    }

    fn resolve(&self, name: &[u8], text: &OsStr) -> Result<&'static Flag, UsageError> {
        let shown = text.to_string_lossy();
        if let Some(exact) = self.flags.iter().find(|flag| flag.long.as_bytes() == name) {
            return Ok(exact);
        }
        let begin = self.flags.iter().filter(|flag| flag.long.as_bytes().starts_with(name));
        let (added, teamds): (Vec<_>, Vec<_>) = begin.partition(|flag| flag.added);
        let candidates = if teamds.is_empty() { added } else { teamds };
        match candidates[..] {
            [] => Err(self.error(format_args!("unrecognized option '--{shown}'"))),
            [flag] => Ok(flag),
            _ => {
                let names: String =
                    candidates.iter().map(|flag| format!(" '--{}'", flag.long)).collect();
                let ambiguous = "is ambiguous; possibilities";
                Err(self.error(format_args!("option '--{shown}' {ambiguous}:{names}")))
            }
        }
    }
}

impl Iterator for Getopt {
    type Item = Result<Item, UsageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(letter) = self.cluster.pop_front() {
            return Some(self.short(letter));
        }
        let arg = self.args.pop_front()?;
        if self.only_operands {
            return Some(Ok(Item::Operand(arg)));
        }
        match arg.as_bytes() {
            b"--" => {
                self.only_operands = true;
                self.next()
            }
            [b'-', b'-', long @ ..] => Some(self.long(OsStr::from_bytes(long))),
            [b'-', letters @ ..] if !letters.is_empty() => {
                self.cluster = letters.iter().copied().collect();
                self.next()
            }
            _ => {
                self.only_operands = self.operands == Operands::Last;
                Some(Ok(Item::Operand(arg)))
            }
        }
    }
}

/// Returns the option list of a help text.
pub fn describe(flags: &[Flag]) -> String {
    let mut text = String::new();
    for flag in flags {
        let mut left = String::from("  ");
        for &letter in flag.short {
            let _ = write!(left, "-{}, ", char::from(letter));
        }
        if flag.short.is_empty() {
            left.push_str("    ");
        }
        let _ = write!(left, "--{}", flag.long);
        if let Some(value) = flag.value {
            let _ = write!(left, " {value}");
        }
        for line in flag.help {
            let _ = writeln!(text, "{left:<28}{line}");
            left.clear();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn flag(short: &'static [u8], long: &'static str, value: Option<&'static str>) -> Flag {
        Flag { short, long, value, help: &[], added: false }
    }

    static FLAGS: [Flag; 7] = [
        flag(b"g", "debug", None),
        flag(b"d", "daemonize", None),
        flag(b"f", "config-file", Some("FILE")),
        flag(b"c", "config", Some("TEXT")),
        flag(b"e", "check", None),
        flag(b"vV", "version", None),
        Flag { short: &[], long: "check-config", value: None, help: &[], added: true },
    ];

    /// Returns each item as text: `long=value` for a flag, `<word>` for an operand.
    fn read(args: &[&str], operands: Operands) -> Result<Vec<String>, String> {
        let argv = ["prog"].iter().chain(args).map(OsString::from);
        Getopt::new(&FLAGS, argv, operands)
            .map(|item| match item {
                Ok(Item::Flag(flag, value)) if flag.value.is_some() => {
                    Ok(format!("{}={}", flag.long, value.to_string_lossy()))
                }
                Ok(Item::Flag(flag, _)) => Ok(flag.long.to_owned()),
                Ok(Item::Operand(word)) => Ok(format!("<{}>", word.to_string_lossy())),
                Err(e) => Err(e.to_string()),
            })
            .collect()
    }

    fn assert_items(args: &[&str], expected: &[&str]) {
        let expected: Vec<String> = expected.iter().map(|&item| item.to_owned()).collect();
        assert_eq!(read(args, Operands::Anywhere), Ok(expected), "{args:?}");
    }

    #[test]
    fn clusters_values_and_prefixes_are_parsed() {
        assert_items(&["-gg", "-dg"], &["debug", "debug", "daemonize", "debug"]);
        assert_items(&["-fNAME", "-f", "NAME"], &["config-file=NAME"; 2]);
        assert_items(&["-dfNAME"], &["daemonize", "config-file=NAME"]);
        assert_items(&["-f-", "-f", "-d"], &["config-file=-", "config-file=-d"]);
        assert_items(&["--config=a=b", "--config", "x"], &["config=a=b", "config=x"]);
        assert_items(&["--config="], &["config="]);
        assert_items(
            &["--da", "--config-f=x", "--vers"],
            &["daemonize", "config-file=x", "version"],
        );
        assert_items(&["-V", "-v"], &["version", "version"]);
        assert_items(&["a", "-g", "-", "--", "-g"], &["<a>", "debug", "<->", "<-g>"]);
    }

    #[test]
    fn an_added_option_makes_no_abbreviation_ambiguous() {
        assert_items(&["--che", "--check", "--check-"], &["check", "check", "check-config"]);
    }

    #[test]
    fn posixly_correct_ends_options_at_the_first_operand() {
        let read = read(&["-g", "a", "-g"], Operands::Last);
        assert_eq!(read, Ok(vec!["debug".into(), "<a>".into(), "<-g>".into()]));
    }

    #[test]
    fn errors_have_the_texts_of_getopt() {
        for (arg, text) in [
            ("--nope=1", "prog: unrecognized option '--nope=1'"),
            ("-x", "prog: invalid option -- 'x'"),
            ("-gx", "prog: invalid option -- 'x'"),
            ("-f", "prog: option requires an argument -- 'f'"),
            ("--config", "prog: option '--config' requires an argument"),
            ("--debug=1", "prog: option '--debug' doesn't allow an argument"),
            ("--d", "prog: option '--d' is ambiguous; possibilities: '--debug' '--daemonize'"),
        ] {
            assert_eq!(read(&[arg], Operands::Anywhere), Err(text.to_owned()), "{arg}");
        }
    }
}

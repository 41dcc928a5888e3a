//! The help of one command, from the table of the commands.

use json_config::nearest;

use super::GrammarError;
use super::grammar::{COMMANDS, Row};
use crate::args::getopt::{self, Flag};
use crate::client::options;
use crate::client::style::{COLUMNS, wrap};

/// Returns the help of all commands that begin with `words`; each word may be shortened to its
/// beginning. Arguments after the words of a command have no effect.
///
/// # Errors
/// The words select no command.
pub fn help(program: &str, words: &[String]) -> Result<String, GrammarError> {
    let rows = select(words)?;
    let mut text = format!("Usage: {program} [OPTION]... [TEAMDEV] COMMAND\n");
    let mut flags: Vec<Flag> = Vec::new();
    for row in rows {
        text += &format!("\n  {}\n{}", row.usage(), wrap(row.about, 6, COLUMNS));
        let own = options::flags_of(row.words).filter(|flag| !flags.contains(flag));
        flags.extend(own.collect::<Vec<_>>());
    }
    if !flags.is_empty() {
        text += &format!("\nOptions:\n{}", getopt::describe(&flags));
    }
    Ok(text + &format!("\nteamrctl(8) says more; {program} --help has all options.\n"))
}

/// Returns the commands that begin with these words, in the order of the table.
fn select(words: &[String]) -> Result<Vec<&'static Row>, GrammarError> {
    let mut rows: Vec<&Row> = COMMANDS.iter().collect();
    for (level, typed) in words.iter().enumerate() {
        let known: Vec<&str> = rows.iter().filter_map(|row| row.word(level)).collect();
        if known.is_empty() {
            break;
        }
        let selected = known.iter().copied().find(|word| word.starts_with(typed.as_str()));
        let unknown = || GrammarError::Unknown(typed.clone(), nearest(typed, &known));
        let selected = selected.ok_or_else(unknown)?;
        rows.retain(|row| row.word(level) == Some(selected));
    }
    Ok(rows)
}

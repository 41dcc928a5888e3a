//! Shell syntax: quotes words, and reads assignments and commands.

use std::collections::BTreeMap;

/// Longest value after expansion, in bytes; the values that the import reads are shorter.
const MOST_BYTES: usize = 64 * 1024;

/// Returns `text` as one word of a shell, quoted if necessary.
pub fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// A statement of a shell's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Name and value of a variable; the value without quotes and escapes.
    Assignment(String, String),
    /// The text of anything else, such as a command.
    Other(String),
}

/// Returns the statements of a text in their order. One line may have several, and a quoted value may
/// span lines. Nothing is expanded.
pub fn statements(text: &str) -> Vec<Statement> {
    read(text, |word| Some(word.value()?.to_owned()))
}

/// Returns the statements of a text that a shell executes. A variable in a value is expanded if the text
/// has assigned the variable before. An assignment with any other expansion is a
/// [`Statement::Other`].
pub fn expanded(text: &str) -> Vec<Statement> {
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    read(text, |word| {
        let value = word.expanded_value(&variables)?;
        variables.insert(word.variable()?.to_owned(), value.clone());
        Some(value)
    })
}

/// Returns the statements of a text, with the values that `value` returns. A statement is a
/// [`Statement::Other`] if `value` returns `None` for one of its words.
fn read(text: &str, mut value: impl FnMut(&Word) -> Option<String>) -> Vec<Statement> {
    let mut found = Vec::new();
    for (own, words) in split(text) {
        let assigned = words.as_deref().and_then(|words| {
            let words = without_export(words);
            let is_assignment = words.iter().all(|word| word.variable().is_some());
            let mut assignment = |word: &Word| {
                Some(Statement::Assignment(word.variable()?.to_owned(), value(word)?))
            };
            is_assignment.then(|| words.iter().map(&mut assignment).collect::<Option<Vec<_>>>())?
        });
        match assigned {
            Some(assigned) => found.extend(assigned),
            None => found.push(Statement::Other(own.to_owned())),
        }
    }
    found
}

/// Returns each statement with its text and its words. A line with an open quote has no words; the
/// next statement begins on the next line.
fn split(text: &str) -> Vec<(&str, Option<Vec<Word>>)> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (length, words) = match words(rest) {
            Some((length, words)) => (length, Some(words)),
            None => (rest.split_inclusive('\n').next().unwrap_or(rest).len(), None),
        };
        let (own, after) = rest.split_at(length);
        rest = after;
        found.push((own.trim_end_matches([';', '\n']).trim(), words));
    }
    found
}

/// Returns each command of a text with its text and its words. A line with an open quote has no
/// words.
pub fn commands(text: &str) -> Vec<(String, Option<Vec<String>>)> {
    let texts = |words: Vec<Word>| words.into_iter().map(|word| word.text).collect();
    let found = split(text).into_iter();
    found.map(|(own, words)| (own.to_owned(), words.map(texts))).collect()
}

/// Returns the words of a statement without an `export` before assignments.
fn without_export(words: &[Word]) -> &[Word] {
    match words {
        [first, rest @ ..] if first.text == "export" && !rest.is_empty() => rest,
        all => all,
    }
}

/// A word without quotes and escapes.
#[derive(Default)]
struct Word {
    text: String,
    /// Place of the first `=`, if nothing before is quoted.
    name: Option<usize>,
    /// Offset in bytes of each `$` and backquote at which a shell expands something.
    expansions: Vec<usize>,
}

impl Word {
    /// Returns the name of the variable that the word assigns; `None` if the word is no assignment.
    fn variable(&self) -> Option<&str> {
        let name = &self.text[..self.name?];
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        (!name.is_empty() && name.bytes().all(is_name)).then_some(name)
    }

    /// Returns the assigned value, not expanded.
    fn value(&self) -> Option<&str> {
        self.text.get(self.name? + 1..)
    }

    /// Returns the assigned value with its variables expanded; `None` for another expansion, an unknown
    /// variable, or a result that is too long.
    fn expanded_value(&self, variables: &BTreeMap<String, String>) -> Option<String> {
        let mut done = self.name? + 1;
        let mut value = String::new();
        for place in
            self.expansions.iter().copied().filter(|place| *place >= done).collect::<Vec<_>>()
        {
            let (name, length) = variable_at(&self.text[place..])?;
            value += self.text.get(done..place)?;
            value += variables.get(name)?;
            done = place + length;
            if value.len() > MOST_BYTES {
                return None;
            }
        }
        Some(value + self.text.get(done..)?)
    }
}

/// Returns whether a shell expands something at a character, outside of single quotes.
fn expands(character: char, next: Option<char>) -> bool {
    let begins = |next: char| next.is_ascii_alphanumeric() || "_{('@*#?$!-".contains(next);
    character == '`' || (character == '$' && next.is_some_and(begins))
}

/// Returns the name of the variable `$NAME` or `${NAME}` at the start of `text`, and the length of the
/// expression.
fn variable_at(text: &str) -> Option<(&str, usize)> {
    let rest = text.strip_prefix('$')?;
    let (name, braces) = match rest.strip_prefix('{') {
        Some(rest) => (rest.split_once('}')?.0, 2),
        None => (rest, 0),
    };
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let end = name.find(|letter| !is_name(letter)).unwrap_or(name.len());
    let is_whole = braces == 0 || end == name.len();
    let name = &name[..end];
    let is_variable = is_whole && name.starts_with(|letter: char| !letter.is_ascii_digit());
    is_variable.then_some((name, 1 + name.len() + braces))
}

/// Returns the length of the first statement of `text`, with the `;` or newline that ends it, and its
/// words without comments; `None` if nothing closes a quote.
fn words(text: &str) -> Option<(usize, Vec<Word>)> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote = None;
    let mut is_quoted = false;
    let mut characters = text.char_indices();
    while let Some((place, character)) = characters.next() {
        if quote.is_none() && matches!(character, ' ' | '\t' | '\r' | '\n' | ';') {
            words.extend(word.take());
            is_quoted = false;
            if matches!(character, '\n' | ';') {
                return Some((place + 1, words));
            }
            continue;
        }
        if quote.is_none() && character == '#' && word.is_none() {
            let end = text[place..].find('\n').map_or(text.len(), |length| place + length + 1);
            return Some((end, words));
        }
        if character == '\\' && quote != Some('\'') {
            let next = characters.next().map(|(_, next)| next);
            // Before a newline, a backslash joins two lines.
            let Some(next) = next.filter(|next| *next != '\n') else { continue };
            let word = word.get_or_insert_default();
            if quote == Some('"') && !matches!(next, '"' | '\\' | '$' | '`') {
                word.text.push('\\');
            }
            word.text.push(next);
            is_quoted = true;
            continue;
        }
        let word = word.get_or_insert_default();
        match (quote, character) {
            (None, '\'' | '"') => (quote, is_quoted) = (Some(character), true),
            (Some(open), _) if open == character => quote = None,
            _ => {
                if character == '=' && !is_quoted && word.name.is_none() {
                    word.name = Some(word.text.len());
                }
                if quote != Some('\'') && expands(character, characters.as_str().chars().next()) {
                    word.expansions.push(word.text.len());
                }
                word.text.push(character);
            }
        }
    }
    words.extend(word);
    quote.is_none().then_some((text.len(), words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(statements: Vec<Statement>) -> Vec<String> {
        let show = |statement| match statement {
            Statement::Assignment(name, value) => format!("{name}:{value}"),
            Statement::Other(text) => format!("? {text}"),
        };
        statements.into_iter().map(show).collect()
    }

    fn assigned(text: &str) -> Vec<String> {
        shown(statements(text))
    }

    #[test]
    fn values_lose_their_quotes() {
        for (text, found) in [
            ("A=bond0", "A:bond0"),
            ("A=\"mode=1 miimon=100\"", "A:mode=1 miimon=100"),
            ("A='it'\\''s' # comment", "A:it's"),
            ("A=\"a\\\"b\"", "A:a\"b"),
            ("A='a\\b'", "A:a\\b"),
            ("A=", "A:"),
            ("A=\\", "A:"),
            ("export A=1", "A:1"),
            ("A=b#c", "A:b#c"),
        ] {
            assert_eq!(assigned(text), [found], "{text}");
        }
    }

    #[test]
    fn a_line_has_several_assignments_and_a_value_several_lines() {
        assert_eq!(
            assigned("A=1 ; B=2;C=3 D=4\r\n# E=5\nF=6"),
            ["A:1", "B:2", "C:3", "D:4", "F:6"]
        );
        assert_eq!(assigned("A=\"x\n  y\"\nB='1\n2'"), ["A:x\n  y", "B:1\n2"]);
        assert_eq!(assigned("A=1\\\n2\nB=3 \\\nC=4\n"), ["A:12", "B:3", "C:4"]);
    }

    #[test]
    fn a_statement_that_assigns_nothing_is_returned_whole() {
        assert_eq!(
            assigned("A=1 run it\nB = 2\n\"C\"=3"),
            ["? A=1 run it", "? B = 2", "? \"C\"=3"]
        );
        assert_eq!(assigned("A=\"open\nB=2\n"), ["? A=\"open", "B:2"]);
        assert_eq!(assigned("\n;; \n"), Vec::<String>::new());
    }

    #[test]
    fn reading_reverses_quoting() {
        for word in ["eth0", "", "a b", "it's", "{\"a\": 1}", "$HOME", "a\nb"] {
            assert_eq!(assigned(&format!("A={}", quoted(word))), [format!("A:{word}")]);
        }
    }

    #[test]
    fn a_variable_has_the_value_that_was_assigned_before() {
        for (text, found) in [
            ("B=\"-K ${A} x $A.5\"", "B:-K eth0 x eth0.5"),
            ("B=$A$A", "B:eth0eth0"),
            ("B='$A' C=\\$A", "B:$A C:$A"),
            ("B=\"5$ $\"", "B:5$ $"),
            ("B=$A C=$B", "B:eth0 C:eth0"),
            ("B=$Ab", "? B=$Ab"),
            ("B=${A:-x}", "? B=${A:-x}"),
            ("B=${A", "? B=${A"),
            ("B=$(id) C=1", "? B=$(id) C=1"),
            ("B=\"`id`\"", "? B=\"`id`\""),
        ] {
            let found_here = shown(expanded(&format!("A=eth0\n{text}\n")));
            assert_eq!(found_here[1..].join(" "), found, "{text}");
        }
        assert_eq!(assigned("A=1\nB=\"$A\""), ["A:1", "B:$A"], "statements() expands nothing");
    }

    #[test]
    fn a_value_above_the_limit_is_not_expanded() {
        let text = "A=aaaaaaaaaaaaaaaa\n".to_owned() + &"A=$A$A\n".repeat(60);
        let longest = expanded(&text).into_iter().map(|statement| match statement {
            Statement::Assignment(_, value) => value.len(),
            Statement::Other(_) => 0,
        });
        assert!(longest.max().is_some_and(|length| (1024..=MOST_BYTES * 2).contains(&length)));
    }
}

//! Words of a shell: assignments read, words quoted.

/// `text` as one word.
pub fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// The assignments of a file: key, value, and the line as it stands. Other lines are no matter.
pub fn assignments(text: &str) -> impl Iterator<Item = (&str, String, &str)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.trim_start().split_once('=')?;
        let key = key.strip_prefix("export ").unwrap_or(key);
        let named = !key.is_empty()
            && key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        named.then(|| (key, unquoted(value), line))
    })
}

/// The value of an assignment: quotes taken off, `\` before a character heeded, up to a comment
/// or blank outside quotes. Nothing is expanded.
fn unquoted(text: &str) -> String {
    let mut value = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None | Some('"'), '\\') => value.extend(characters.next()),
            (None, ' ' | '\t' | ';') => break,
            _ => value.push(character),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lose_their_quotes() {
        for (text, value) in [
            ("bond0", "bond0"),
            ("\"mode=1 miimon=100\"", "mode=1 miimon=100"),
            ("'it'\\''s' # comment", "it's"),
            ("\"a\\\"b\"", "a\"b"),
            ("\"open", "open"),
            ("", ""),
            ("\\", ""),
        ] {
            assert_eq!(unquoted(text), value, "{text}");
        }
    }

    #[test]
    fn words_come_back_as_they_were() {
        for word in ["eth0", "", "a b", "it's", "{\"a\": 1}", "$HOME"] {
            assert_eq!(unquoted(&quoted(word)), word);
        }
    }
}

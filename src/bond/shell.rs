//! Shell syntax: reads assignments, quotes words.

/// Returns `text` as one word of a shell, quoted if necessary.
pub fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Returns the key and value of each assignment in a file, and ignores the other lines.
pub fn assignments(text: &str) -> impl Iterator<Item = (&str, String)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.trim_start().split_once('=')?;
        let key = key.strip_prefix("export ").unwrap_or(key);
        let named = !key.is_empty()
            && key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        named.then(|| (key, unquoted(value)))
    })
}

/// Returns the value of an assignment up to the first blank or `;` outside quotes, without its
/// quotes and escapes. Nothing is expanded.
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
    fn unquoting_reverses_quoting() {
        for word in ["eth0", "", "a b", "it's", "{\"a\": 1}", "$HOME"] {
            assert_eq!(unquoted(&quoted(word)), word);
        }
    }
}

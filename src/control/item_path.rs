//! Paths of state items: `runner.active_port`, `ports."eth1.5".link.up`.
//!
//! Owns the syntax and the look-up in a state document; the daemon decides which items can be set.
//! Names match exactly. Two features of teamd are left out on purpose, since they hide mistakes
//! and no known program needs them: the beginning of a port name instead of the name, and a global
//! item below a port (`ports.p0.setup.pid`).

use std::fmt;

use serde_json::Value;

/// A path that follows the syntax. The item need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemPath(Vec<String>);

/// The text is no path: a quote is not closed, or a port has no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadItemPath;

impl ItemPath {
    /// Reads a path of names with dots between them. A name that has a dot or begins with a double quote is
    /// written as a JSON string, as in the paths of keys.
    pub fn parse(text: &str) -> Result<Self, BadItemPath> {
        let mut names = Vec::new();
        let mut rest = text;
        loop {
            let (name, after) = match rest.starts_with('"') {
                true => unquote(rest)?,
                false => {
                    let (name, after) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
                    (name.to_owned(), after)
                }
            };
            names.push(name);
            match after.strip_prefix('.') {
                Some(further) => rest = further,
                None if after.is_empty() => break,
                None => return Err(BadItemPath),
            }
        }
        // teamd has different errors for a port without an item and for a missing item.
        if names.len() == 2 && names[0] == "ports" {
            return Err(BadItemPath);
        }
        Ok(ItemPath(names))
    }

    /// Returns the names from the top down, without quotes; at least one. A caller matches them
    /// with `["ports", port, "runner", "aggregator", "selected"]`.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }

    /// Returns the item's value as text: integers in decimal, booleans as `true` or `false`,
    /// strings without quotes; `None` as for [`find`](Self::find).
    pub fn look_up(&self, state: &Value) -> Option<String> {
        let item = self.find(state)?;
        Some(item.as_str().map_or_else(|| item.to_string(), str::to_owned))
    }

    /// Returns the item: a string, a number or a boolean; `None` if the item is missing or is not a
    /// single value.
    pub fn find<'a>(&self, state: &'a Value) -> Option<&'a Value> {
        let item = self.0.iter().try_fold(state, |at, name| at.get(name))?;
        (item.is_string() || item.is_boolean() || item.is_number()).then_some(item)
    }
}

/// Reads a JSON string at the beginning of `text`. Returns the string and the text after the string.
fn unquote(text: &str) -> Result<(String, &str), BadItemPath> {
    let mut strings = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let name = strings.next().and_then(Result::ok).ok_or(BadItemPath)?;
    Ok((name, &text[strings.byte_offset()..]))
}

impl fmt::Display for ItemPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().enumerate() {
            let dot = if i == 0 { "" } else { "." };
            if name.contains('.') || name.starts_with('"') {
                write!(f, "{dot}{}", Value::from(name.as_str()))?;
            } else {
                write!(f, "{dot}{name}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn get(path: &str) -> Option<String> {
        let state = json!({
            "ports": {
                "eth1.5": {"link": {"up": true, "speed": 10000}},
                "lan[1]": {"link": {"up": false}},
                "p0": {"ifinfo": {"ifname": "p0"}},
                "\"a\".b\\": {"link": {"up": true}},
            },
            "runner": {"active_port": ""},
            "setup": {"debug_level": -1},
        });
        ItemPath::parse(path).ok()?.look_up(&state)
    }

    #[test]
    fn single_values_are_returned_as_text() {
        assert_eq!(get("setup.debug_level").as_deref(), Some("-1"));
        assert_eq!(get("runner.active_port").as_deref(), Some(""));
        assert_eq!(get("ports.p0.ifinfo.ifname").as_deref(), Some("p0"));
        assert_eq!(get("ports.\"p0\".ifinfo.ifname").as_deref(), Some("p0"));
        assert_eq!(get("ports.\"eth1.5\".link.up").as_deref(), Some("true"));
        assert_eq!(get("ports.\"eth1.5\".link.speed").as_deref(), Some("10000"));
        assert_eq!(get(r#"ports."\"a\".b\\".link.up"#).as_deref(), Some("true"));
        assert_eq!(get("ports.lan[1].link.up").as_deref(), Some("false"));
    }

    #[test]
    fn only_exact_names_of_single_values_exist() {
        for path in [
            "",
            ".",
            "setup",
            "setup.",
            ".setup.debug_level",
            "$.setup.debug_level",
            "setup.debug_level.",
            "ports.p.ifinfo.ifname",
            "ports..ifinfo.ifname",
            "ports.eth1.5.link.up",
            "ports.p0.setup.debug_level",
            "ports.p0.ifinfo",
        ] {
            assert_eq!(get(path), None, "{path:?}");
        }
    }

    #[test]
    fn bad_port_parts_differ_from_missing_items() {
        for path in ["ports.p0", "ports.\"p0.link.up", "ports.\"p0\"x.link.up"] {
            assert_eq!(ItemPath::parse(path), Err(BadItemPath), "{path:?}");
        }
    }

    #[test]
    fn a_path_displays_as_a_user_types_it() {
        for path in ["setup.pid", "ports.\"eth1.5\".link.up", r#"ports."\"a\"".link.up"#] {
            assert_eq!(ItemPath::parse(path).unwrap().to_string(), path);
        }
    }
}

//! The interfaces of a host, as sysfs and udev describe them, and the rules that select interfaces.

use super::manager::Manager;
use super::tree::Tree;

/// Files of an interface that rules read, in its folder of sysfs.
pub const FILES: [&str; 5] = ["address", "ifindex", "type", "uevent", "bonding_slave/perm_hwaddr"];
/// The symbolic link to the driver of an interface.
pub const DRIVER: &str = "device/driver";

/// Returns the file of udev's database about an interface.
pub fn udev_file(ifindex: &str) -> String {
    format!("run/udev/data/n{ifindex}")
}

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Name.
    pub name: String,
    /// Present and permanent hardware address, where known.
    pub hwaddrs: [Option<String>; 2],
    /// Driver.
    pub driver: Option<String>,
    /// Persistent path, as udev names it.
    pub path: Option<String>,
    /// networkd's word for the type: `ether`, `wlan`, `bond` and others.
    pub kind: Option<String>,
}

/// Returns the interfaces; none if the tree has no sysfs.
pub fn all(tree: &Tree) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    for (path, text) in tree.below(Manager::Sysfs.folder()) {
        let Some((name, file)) = path.split_once('/') else { continue };
        if links.last().is_none_or(|last| last.name != name) {
            links.push(Link { name: name.to_owned(), ..Link::default() });
        }
        let Some(link) = links.last_mut() else { continue };
        let text = text.trim();
        match file {
            "address" => link.hwaddrs[0] = Some(text.to_ascii_lowercase()),
            "bonding_slave/perm_hwaddr" => link.hwaddrs[1] = Some(text.to_ascii_lowercase()),
            DRIVER => link.driver = Some(text.to_owned()),
            "ifindex" => {
                let udev = tree.get(&udev_file(text)).unwrap_or_default();
                let path = udev.lines().find_map(|line| line.strip_prefix("E:ID_PATH="));
                link.path = path.map(str::to_owned);
            }
            "uevent" => {
                let kind = text.lines().find_map(|line| line.strip_prefix("DEVTYPE="));
                link.kind = kind.map(str::to_owned).or(link.kind.take());
            }
            "type" if link.kind.is_none() => {
                link.kind = match text {
                    "1" => Some("ether".to_owned()),
                    "772" => Some("loopback".to_owned()),
                    "32" => Some("infiniband".to_owned()),
                    _ => None,
                };
            }
            _ => {}
        }
    }
    links
}

/// A condition on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The name matches one of these patterns.
    Name(Vec<String>),
    /// The present hardware address is one of these.
    HwAddr(Vec<String>),
    /// The permanent hardware address is one of these; the present one counts if the permanent one is
    /// not known.
    PermanentHwAddr(Vec<String>),
    /// The driver matches one of these patterns.
    Driver(Vec<String>),
    /// The persistent path matches one of these patterns.
    Path(Vec<String>),
    /// The type matches one of these patterns.
    Kind(Vec<String>),
}

impl Condition {
    /// Returns whether the interface fulfils the condition.
    pub fn holds(&self, link: &Link) -> bool {
        let matches = |patterns: &[String], text: Option<&String>| {
            text.is_some_and(|text| matches_any(patterns, text))
        };
        let is_one = |addresses: &[String], found: Option<&String>| {
            found.is_some_and(|found| addresses.iter().any(|one| one.eq_ignore_ascii_case(found)))
        };
        let [present, permanent] = link.hwaddrs.each_ref().map(Option::as_ref);
        match self {
            Condition::Name(patterns) => matches_any(patterns, &link.name),
            Condition::HwAddr(addresses) => is_one(addresses, present),
            Condition::PermanentHwAddr(addresses) => is_one(addresses, permanent.or(present)),
            Condition::Driver(patterns) => matches(patterns, link.driver.as_ref()),
            Condition::Path(patterns) => matches(patterns, link.path.as_ref()),
            Condition::Kind(patterns) => matches(patterns, link.kind.as_ref()),
        }
    }
}

/// Returns whether `text` matches one of the patterns; a `!` before the first one negates all.
fn matches_any(patterns: &[String], text: &str) -> bool {
    let negated = patterns.first().and_then(|first| first.strip_prefix('!'));
    let first = negated.or(patterns.first().map(String::as_str));
    let mut all = first.into_iter().chain(patterns.iter().skip(1).map(String::as_str));
    all.any(|pattern| matches_pattern(pattern, text)) != negated.is_some()
}

/// Returns whether a text is a pattern, not a name.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '!'])
}

/// Returns the pattern of fnmatch(3) for a regular expression; `None` for one that repeats anything but
/// `.`, or has groups, alternatives or a backslash before a letter.
pub fn pattern_of_regex(regex: &str) -> Option<String> {
    let regex = regex.strip_prefix('^').unwrap_or(regex);
    let regex = regex.strip_suffix('$').unwrap_or(regex);
    let mut pattern = String::new();
    let mut letters = regex.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '.' => pattern.push_str(match letters.next_if(|next| "*+".contains(*next)) {
                Some('*') => "*",
                Some(_) => "?*",
                None => "?",
            }),
            '[' => {
                pattern.push('[');
                loop {
                    let inner = letters.next()?;
                    pattern.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            '\\' => pattern.push(letters.next().filter(|next| ".-_".contains(*next))?),
            letter if letter.is_alphanumeric() || "-_@:".contains(letter) => pattern.push(letter),
            _ => return None,
        }
    }
    Some(pattern)
}

/// Returns whether `text` matches a pattern of fnmatch(3) with `*`, `?` and `[...]`.
pub fn matches_pattern(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Place after the last `*`, and the place in the text to which the `*` extends.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some('[') => {
                if let Some((length, true)) = class(&pattern[p..], text[t]) {
                    (p, t) = (p + length, t + 1);
                    continue;
                }
            }
            Some(letter) if *letter == '?' || *letter == text[t] => {
                (p, t) = (p + 1, t + 1);
                continue;
            }
            _ => {}
        }
        let Some((after, end)) = star else { return false };
        (p, t) = (after, end + 1);
        star = Some((after, end + 1));
    }
    pattern[p..].iter().all(|letter| *letter == '*')
}

/// Returns the length of the class at the start of `pattern`, and whether `letter` is in the class.
fn class(pattern: &[char], letter: char) -> Option<(usize, bool)> {
    let end = pattern.iter().skip(2).position(|letter| *letter == ']')? + 2;
    let inner = &pattern[1..end];
    let negated = matches!(inner.first(), Some('!' | '^'));
    let inner = &inner[usize::from(negated)..];
    let mut found = false;
    let mut place = 0;
    while place < inner.len() {
        if place + 2 < inner.len() && inner[place + 1] == '-' {
            found |= (inner[place]..=inner[place + 2]).contains(&letter);
            place += 3;
        } else {
            found |= inner[place] == letter;
            place += 1;
        }
    }
    Some((end + 1, found != negated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_fnmatch() {
        for (pattern, text, expected) in [
            ("enp1s0f*", "enp1s0f1", true),
            ("enp1s0f*", "enp1s1f1", false),
            ("e*1", "eth1", true),
            ("e*1*", "eth1", true),
            ("eth?", "eth", false),
            ("eth[0-2]", "eth1", true),
            ("eth[!0-2]", "eth1", false),
            ("eth[!0-2]", "eth3", true),
            ("[", "[", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches_pattern(pattern, text), expected, "{pattern} {text}");
        }
        let negated = ["!eth0".to_owned(), "eth1".to_owned()];
        assert!(!matches_any(&negated, "eth1"));
        assert!(matches_any(&negated, "eth2"));
        assert!(!matches_pattern(&"*a".repeat(50), &"a".repeat(49)));
    }

    #[test]
    fn a_plain_regular_expression_is_a_pattern() {
        for (regex, pattern) in [
            ("eno.*", Some("eno*")),
            ("^eth[0-3]$", Some("eth[0-3]")),
            ("enp.s0f.+", Some("enp?s0f?*")),
            ("eth0\\.1", Some("eth0.1")),
            ("eth[0-3]+", None),
            ("(eth|eno)1", None),
            ("eth\\d", None),
            ("eth[0", None),
        ] {
            assert_eq!(pattern_of_regex(regex).as_deref(), pattern, "{regex}");
        }
    }

    #[test]
    fn interfaces_come_from_sysfs_and_udev() {
        let mut tree = Tree::default();
        for (path, text) in [
            ("sys/class/net/eth1/address", "02:00:00:00:00:01\n"),
            ("sys/class/net/eth1/device/driver", "igb"),
            ("sys/class/net/eth1/ifindex", "3\n"),
            ("sys/class/net/eth1/type", "1\n"),
            ("sys/class/net/wlan0/uevent", "DEVTYPE=wlan\nINTERFACE=wlan0\n"),
            ("run/udev/data/n3", "I:1\nE:ID_PATH=pci-0000:01:00.0\n"),
        ] {
            tree.insert(path, text);
        }
        let links = all(&tree);
        assert_eq!(links.len(), 2);
        let holds = |condition: Condition| condition.holds(&links[0]);
        assert!(holds(Condition::Path(vec!["pci-0000:01:*".into()])));
        assert!(holds(Condition::Driver(vec!["igb".into()])));
        assert!(holds(Condition::Kind(vec!["ether".into()])));
        assert!(holds(Condition::PermanentHwAddr(vec!["02:00:00:00:00:01".into()])));
        assert!(!holds(Condition::HwAddr(vec!["02:00:00:00:00:02".into()])));
        assert_eq!(links[1].kind.as_deref(), Some("wlan"));
    }
}

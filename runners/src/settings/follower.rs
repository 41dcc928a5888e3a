//! `follow`: interfaces and virtual functions whose link follows the carrier of the team device, or a
//! port.

use std::fmt;
use std::str::FromStr;

use crate::interface_name::is_interface_name;

const VF: &str = "vf:";

/// An interface or a virtual function; displays as in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Follower {
    /// The interface of this name.
    Interface(String),
    /// A virtual function, which may be in a guest.
    Vf {
        /// Interface name of the physical function.
        pf: String,
        /// Number of the virtual function, as `ip link` shows it.
        number: u16,
    },
}

impl Follower {
    /// Returns the name of the interface by which the kernel reaches the follower.
    pub fn interface(&self) -> &str {
        match self {
            Follower::Interface(name) | Follower::Vf { pf: name, .. } => name,
        }
    }
}

/// The text is neither an interface name nor `vf:PF/NUMBER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseFollowerError;

impl FromStr for Follower {
    type Err = ParseFollowerError;

    /// Reads an interface name or `vf:PF/NUMBER`. The two differ: no interface name has a `:`.
    fn from_str(text: &str) -> Result<Self, ParseFollowerError> {
        let Some(vf) = text.strip_prefix(VF) else {
            let name = Some(text).filter(|name| is_interface_name(name));
            return Ok(Follower::Interface(name.ok_or(ParseFollowerError)?.to_owned()));
        };
        let (pf, digits) = vf.split_once('/').ok_or(ParseFollowerError)?;
        let number: u16 = digits.parse().map_err(|_| ParseFollowerError)?;
        match is_interface_name(pf) && number.to_string() == digits {
            true => Ok(Follower::Vf { pf: pf.to_owned(), number }),
            false => Err(ParseFollowerError),
        }
    }
}

impl fmt::Display for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Follower::Interface(name) => f.write_str(name),
            Follower::Vf { pf, number } => write!(f, "{VF}{pf}/{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_has_one_text_and_hostile_texts_are_refused() {
        let vf = Follower::Vf { pf: "eth1".to_owned(), number: 3 };
        assert_eq!("vf:eth1/3".parse(), Ok(vf.clone()));
        assert_eq!(("vf:eth1/3".to_owned(), "eth1"), (vf.to_string(), vf.interface()));
        let interface = Follower::Interface("eth5".to_owned());
        assert_eq!(("eth5".parse(), "eth5"), (Ok(interface.clone()), interface.interface()));
        for hostile in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "eth1:3",
            "a\0",
            "an-interface-name",
            "vf:",
            "vf:eth1",
            "vf:eth1/",
            "vf:eth1/03",
            "vf:eth1/+3",
            "vf:eth1/-1",
            "vf:eth1/65536",
            "vf:eth1/3/4",
            "vf:../3",
            "vf:a b/3",
            "vf:/3",
            "vf:vf:eth1/3",
            "VF:eth1/3",
        ] {
            assert_eq!(hostile.parse::<Follower>(), Err(ParseFollowerError), "{hostile:?}");
        }
    }
}

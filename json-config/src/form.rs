//! Forms of strings, and the parser of hardware addresses.
//!
//! teamd reads a hardware address more tolerantly than [`HwAddr`]'s own parser.

use std::net::{IpAddr, Ipv4Addr};

use runners::{Follower, HwAddr, is_interface_name};

use crate::keys::Form;

/// The reason why a string does not have its form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// The expected form.
    pub(crate) expected: &'static str,
    /// teamd's log line; `None` if the key has one line for all cases.
    pub(crate) teamd: Option<String>,
}

impl Misfit {
    fn plain(expected: &'static str) -> Self {
        Misfit { expected, teamd: None }
    }
}

/// Checks the form of a string.
pub(crate) fn check_form(form: Form, text: &str) -> Result<(), Misfit> {
    match form {
        Form::Any => Ok(()),
        Form::InterfaceName if is_interface_name(text) => Ok(()),
        Form::InterfaceName => {
            Err(Misfit::plain("interface name (1 to 15 bytes without blank, \"/\" and \":\")"))
        }
        Form::HwAddr => parse_hwaddr(text).map(drop),
        Form::Host if !text.is_empty() => Ok(()),
        Form::Host => Err(Misfit::plain("address or host name")),
        Form::IpAddress if text.parse().is_ok_and(is_of_one_host) => Ok(()),
        Form::IpAddress => Err(Misfit::plain("IPv4 or IPv6 address of one host")),
        Form::Bearer if (1..32).contains(&text.len()) => Ok(()),
        Form::Bearer => Err(Misfit::plain("bearer name of 1 to 31 bytes")),
        Form::Follower if text.parse::<Follower>().is_ok() => Ok(()),
        Form::Follower => {
            Err(Misfit::plain("interface name, or \"vf:PF/NUMBER\" such as \"vf:eth1/3\""))
        }
    }
}

fn is_of_one_host(address: IpAddr) -> bool {
    !address.is_multicast()
        && !address.is_unspecified()
        && address != IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Parses six hexadecimal bytes with `:` between them. As with teamd, a byte may have one digit,
/// leading zeros, `0x` before it and blanks around it.
pub(crate) fn parse_hwaddr(text: &str) -> Result<HwAddr, Misfit> {
    let bytes = text
        .split(':')
        .map(parse_byte)
        .collect::<Option<Vec<u8>>>()
        .ok_or(Misfit::plain("hexadecimal bytes such as 02:10:20:30:40:50"))?;
    let Ok(address) = <[u8; 6]>::try_from(bytes.as_slice()) else {
        return Err(Misfit {
            expected: "6 bytes",
            teamd: Some(format!(
                "Passed hardware address has different length ({}) than team device has (6).",
                bytes.len()
            )),
        });
    };
    // The kernel refuses these (`is_valid_ether_addr`).
    if HwAddr(address).is_multicast() || address == [0; 6] {
        return Err(Misfit {
            expected: "unicast address",
            teamd: Some("Hardware address set failed.".to_owned()),
        });
    }
    Ok(HwAddr(address))
}

fn parse_byte(text: &str) -> Option<u8> {
    let text = text.trim_matches([' ', '\t']);
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let byte = u8::from_str_radix(digits, 16).ok()?;
    is_hexadecimal.then_some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_are_read_as_teamd_reads_them() {
        let good = HwAddr([2, 0x10, 0x20, 0x30, 0x40, 0x5f]);
        for text in ["02:10:20:30:40:5f", "2:10:20:30:40:5F", " 0x2 :10:020:30:40:0X5f "] {
            assert_eq!(parse_hwaddr(text), Ok(good), "{text}");
        }
        for (text, expected) in [
            ("", "hexadecimal bytes such as 02:10:20:30:40:50"),
            ("+2:10:20:30:40:5f", "hexadecimal bytes such as 02:10:20:30:40:50"),
            ("02:10:20:30:40:100", "hexadecimal bytes such as 02:10:20:30:40:50"),
            ("02:10:20:30:40", "6 bytes"),
            ("02:10:20:30:40:50:60", "6 bytes"),
            ("01:10:20:30:40:50", "unicast address"),
            ("0:0:0:0:0:0", "unicast address"),
        ] {
            assert_eq!(parse_hwaddr(text).unwrap_err().expected, expected, "{text}");
        }
    }
}

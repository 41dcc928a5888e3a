//! Options of bonds and of their ports over rtnetlink; sysfs lacks the newer ones.
//!
//! Source: `IFLA_BOND_*` and `IFLA_BOND_SLAVE_*` of linux/if_link.h, to Linux 7.1.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use runners::{HwAddr, interface_name};

use super::link::{BODY, ifinfomsg};
use super::message::{Attributes, Message, Request, attribute, read_u16, read_u32, until_nul};
use super::socket::RouteSocket;

const IFLA_PERM_ADDRESS: u16 = 54;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;

/// An interface with its options as a bond or as a port of a bond.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BondLink {
    /// Name.
    pub name: String,
    /// Hardware address that the interface was made with.
    pub permanent_hwaddr: Option<HwAddr>,
    /// Options of a bond: the driver's name and the value; a number stands for a word.
    pub options: Vec<(&'static str, String)>,
    /// Options of a port of a bond.
    pub port_options: Vec<(&'static str, String)>,
}

/// Forms of an option's value.
#[derive(Clone, Copy)]
enum Form {
    U8,
    U16,
    U32,
    I32,
    HwAddr,
    Ipv4List,
    Ipv6List,
}

/// The options that sysfs may lack.
const OPTIONS: [(u16, &str, Form); 28] = [
    (1, "mode", Form::U8),
    (3, "miimon", Form::U32),
    (4, "updelay", Form::U32),
    (5, "downdelay", Form::U32),
    (6, "use_carrier", Form::U8),
    (7, "arp_interval", Form::U32),
    (8, "arp_ip_target", Form::Ipv4List),
    (9, "arp_validate", Form::U32),
    (10, "arp_all_targets", Form::U32),
    (12, "primary_reselect", Form::U8),
    (13, "fail_over_mac", Form::U8),
    (14, "xmit_hash_policy", Form::U8),
    (15, "resend_igmp", Form::U32),
    (16, "num_grat_arp", Form::U8),
    (17, "all_slaves_active", Form::U8),
    (18, "min_links", Form::U32),
    (19, "lp_interval", Form::U32),
    (20, "packets_per_slave", Form::U32),
    (21, "lacp_rate", Form::U8),
    (22, "ad_select", Form::U8),
    (26, "ad_actor_system", Form::HwAddr),
    (28, "peer_notif_delay", Form::U32),
    (29, "lacp_active", Form::U8),
    (30, "arp_missed_max", Form::U8),
    (31, "ns_ip6_target", Form::Ipv6List),
    (32, "coupled_control", Form::U8),
    (33, "broadcast_neighbor", Form::U8),
    (34, "lacp_strict", Form::U8),
];

const PORT_OPTIONS: [(u16, &str, Form); 3] =
    [(5, "queue_id", Form::U16), (9, "prio", Form::I32), (10, "actor_port_prio", Form::U16)];

/// Reads all interfaces.
pub fn all(route: &mut RouteSocket) -> io::Result<Vec<BondLink>> {
    let mut found = Vec::new();
    let request = Request::new(libc::RTM_GETLINK, libc::NLM_F_DUMP as u16, &ifinfomsg(0, 0, 0));
    route.query(request, &mut |message| found.extend(BondLink::parse(&message)))?;
    Ok(found)
}

impl BondLink {
    fn parse(message: &Message<'_>) -> Option<BondLink> {
        if message.kind != libc::RTM_NEWLINK {
            return None;
        }
        let mut link = BondLink::default();
        for (kind, value) in Attributes(message.payload.get(BODY..)?) {
            match kind {
                libc::IFLA_IFNAME => link.name = interface_name(until_nul(value)),
                IFLA_PERM_ADDRESS => link.permanent_hwaddr = value.try_into().ok().map(HwAddr),
                libc::IFLA_LINKINFO => {
                    let is_bond = |kind| {
                        attribute(value, kind).is_some_and(|kind| until_nul(kind) == b"bond")
                    };
                    if is_bond(libc::IFLA_INFO_KIND) {
                        link.options = read(attribute(value, libc::IFLA_INFO_DATA), &OPTIONS);
                    }
                    if is_bond(IFLA_INFO_SLAVE_KIND) {
                        link.port_options =
                            read(attribute(value, IFLA_INFO_SLAVE_DATA), &PORT_OPTIONS);
                    }
                }
                _ => {}
            }
        }
        Some(link)
    }
}

fn read(data: Option<&[u8]>, options: &[(u16, &'static str, Form)]) -> Vec<(&'static str, String)> {
    let data = data.unwrap_or_default();
    let values = options
        .iter()
        .filter_map(|(kind, name, form)| Some((*name, form.read(attribute(data, *kind)?)?)));
    values.collect()
}

impl Form {
    fn read(self, value: &[u8]) -> Option<String> {
        let list = |texts: Vec<String>| (!texts.is_empty()).then(|| texts.join(","));
        match self {
            Form::U8 => value.first().map(u8::to_string),
            Form::U16 => read_u16(value, 0).map(|number| number.to_string()),
            Form::U32 => read_u32(value, 0).map(|number| number.to_string()),
            Form::I32 => read_u32(value, 0).map(|number| (number as i32).to_string()),
            Form::HwAddr => value.try_into().ok().map(|octets| HwAddr(octets).to_string()),
            Form::Ipv4List => list(
                Attributes(value)
                    .filter_map(|(_, octets)| <[u8; 4]>::try_from(octets).ok())
                    .map(|octets| Ipv4Addr::from(octets).to_string())
                    .collect(),
            ),
            Form::Ipv6List => list(
                Attributes(value)
                    .filter_map(|(_, octets)| <[u8; 16]>::try_from(octets).ok())
                    .map(|octets| Ipv6Addr::from(octets).to_string())
                    .collect(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Messages;
    use super::*;

    #[test]
    fn options_of_bonds_and_ports_are_read() {
        let target = Ipv6Addr::LOCALHOST.octets();
        let bytes = Request::new(libc::RTM_NEWLINK, 0, &ifinfomsg(1, 0, 0))
            .attribute_str(libc::IFLA_IFNAME, "bond0")
            .attribute(IFLA_PERM_ADDRESS, &[2, 0, 0, 0, 0, 1])
            .nest(libc::IFLA_LINKINFO, |info| {
                info.attribute_str(libc::IFLA_INFO_KIND, "bond")
                    .nest(libc::IFLA_INFO_DATA, |data| {
                        data.attribute(1, &[4])
                            .nest(8, |list| list.attribute(0, &[192, 0, 2, 1]))
                            .nest(31, |list| list.attribute(0, &target))
                            .attribute(32, &[0])
                            .attribute(34, &[])
                    })
                    .attribute_str(IFLA_INFO_SLAVE_KIND, "bond")
                    .nest(IFLA_INFO_SLAVE_DATA, |data| {
                        data.attribute_u32(9, -5i32 as u32).attribute(10, &7u16.to_ne_bytes())
                    })
            })
            .finish(0, false)
            .unwrap();
        let message = Messages(&bytes).next().unwrap();
        let link = BondLink::parse(&message).unwrap();
        assert_eq!(link.name, "bond0");
        assert_eq!(link.permanent_hwaddr, Some(HwAddr([2, 0, 0, 0, 0, 1])));
        let shown = |options: &[(&str, String)]| -> String {
            options.iter().map(|(name, value)| format!("{name}={value} ")).collect()
        };
        assert_eq!(
            shown(&link.options),
            "mode=4 arp_ip_target=192.0.2.1 ns_ip6_target=::1 coupled_control=0 "
        );
        assert_eq!(shown(&link.port_options), "prio=-5 actor_port_prio=7 ");
    }
}

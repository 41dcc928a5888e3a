//! The frames of `notify_peers` and `mcast_rejoin`, on data paths whose driver sends neither.
//!
//! After a change of port the switches must learn the new path to the team: gratuitous ARP and
//! unsolicited neighbour advertisements for every address on the team device and its upper devices
//! (VLANs, a bridge), and membership reports for their multicast groups. As with the team driver,
//! hosts behind a bridge are not announced: the bridge does not have their addresses.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use runners::HwAddr;
use runners::wire::announce;

use crate::netlink::link::LinkInfo;
use crate::netlink::{RouteSocket, address, link};

/// An interface whose frames leave through the team, with their source address and VLAN tag.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Upper {
    name: String,
    hwaddr: HwAddr,
    vlan: Option<u16>,
}

/// Returns the frames of one round of `notify_peers` for the team device `device`.
pub fn peer_notifications(route: &mut RouteSocket, device: u32) -> io::Result<Vec<Vec<u8>>> {
    let uppers = uppers(&link::all(route)?, device);
    let frames = address::all(route)?.into_iter().filter_map(|entry| {
        let upper = uppers.get(&entry.ifindex)?;
        Some(match entry.address {
            IpAddr::V4(ip) => announce::gratuitous_arp(upper.hwaddr, ip, upper.vlan),
            IpAddr::V6(ip) => {
                announce::unsolicited_na(upper.hwaddr, ip, is_router(&upper.name), upper.vlan)
            }
        })
    });
    Ok(frames.collect())
}

/// Returns whether the host routes IPv6 on an interface. An advertisement without the router flag
/// would make neighbours drop the host as their router (RFC 4861 section 7.2.5).
fn is_router(interface: &str) -> bool {
    let path = format!("/proc/sys/net/ipv6/conf/{interface}/forwarding");
    fs::read_to_string(path).is_ok_and(|forwarding| forwarding.trim() != "0")
}

/// Returns the frames of one round of `mcast_rejoin` for the team device `device`.
pub fn membership_reports(route: &mut RouteSocket, device: u32) -> io::Result<Vec<Vec<u8>>> {
    let uppers = uppers(&link::all(route)?, device);
    let addresses = address::all(route)?;
    let table4 = fs::read_to_string("/proc/net/igmp")?;
    let groups4 = joined_ipv4(&table4);
    // Absent where the kernel has no IPv6.
    let table6 = fs::read_to_string("/proc/net/igmp6").unwrap_or_default();
    let groups6 = joined_ipv6(&table6);
    let mut frames = Vec::new();
    for (ifindex, upper) in &uppers {
        let mut own = addresses.iter().filter(|entry| entry.ifindex == *ifindex);
        let source4 = own.clone().find_map(|entry| match entry.address {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        });
        // RFC 3810 section 5.2.13: reports come from a link-local address, or from ::.
        let source6 = own
            .find_map(|entry| match entry.address {
                IpAddr::V6(ip) if ip.is_unicast_link_local() => Some(ip),
                _ => None,
            })
            .unwrap_or(Ipv6Addr::UNSPECIFIED);
        for (_, group) in groups4.iter().filter(|(name, _)| *name == upper.name) {
            let source = source4.unwrap_or(Ipv4Addr::UNSPECIFIED);
            frames.push(announce::igmp_report(
                upper.hwaddr,
                source,
                *group,
                upper.vlan,
            ));
        }
        for (_, group) in groups6.iter().filter(|(name, _)| *name == upper.name) {
            frames.push(announce::mld_report(
                upper.hwaddr,
                source6,
                *group,
                upper.vlan,
            ));
        }
    }
    Ok(frames)
}

/// Returns the team device and its upper devices, by interface index.
fn uppers(links: &[LinkInfo], device: u32) -> BTreeMap<u32, Upper> {
    let upper = |link: &LinkInfo, vlan| Upper {
        name: link.name.clone(),
        hwaddr: link.hwaddr,
        vlan,
    };
    let mut uppers: BTreeMap<u32, Upper> = links
        .iter()
        .filter(|link| link.ifindex == device)
        .map(|link| (device, upper(link, None)))
        .collect();
    // Each round adds the upper devices of those found. A VLAN inside a VLAN is left out, since an
    // announcement carries one tag.
    loop {
        let known = uppers.len();
        for link in links {
            let masters: Vec<u32> = links
                .iter()
                .filter(|port| uppers.contains_key(&port.ifindex))
                .filter_map(|port| port.master)
                .collect();
            let below = link.lower.and_then(|lower| uppers.get(&lower)).cloned();
            match below {
                Some(below) if link.vlan.is_none() || below.vlan.is_none() => {
                    let vlan = link.vlan.or(below.vlan);
                    uppers
                        .entry(link.ifindex)
                        .or_insert_with(|| upper(link, vlan));
                }
                _ if masters.contains(&link.ifindex) => {
                    uppers
                        .entry(link.ifindex)
                        .or_insert_with(|| upper(link, None));
                }
                _ => (),
            }
        }
        if uppers.len() == known {
            return uppers;
        }
    }
}

/// Returns the (interface, group) pairs of `/proc/net/igmp` without the all-hosts group, which is
/// never reported (RFC 2236 section 6).
fn joined_ipv4(table: &str) -> Vec<(&str, Ipv4Addr)> {
    let mut joined = Vec::new();
    let mut interface = "";
    for line in table.lines().skip(1) {
        let mut words = line.split_whitespace();
        if line.starts_with(char::is_whitespace) {
            let group = words
                .next()
                .and_then(|hex| u32::from_str_radix(hex, 16).ok());
            // The kernel prints the network-order word as a number of its own byte order.
            let group = group.map(|word| Ipv4Addr::from(word.to_ne_bytes()));
            joined.extend(
                group
                    .filter(|group| *group != Ipv4Addr::new(224, 0, 0, 1))
                    .map(|group| (interface, group)),
            );
        } else {
            interface = words.nth(1).unwrap_or_default();
        }
    }
    joined
}

/// Returns the (interface, group) pairs of `/proc/net/igmp6` without the all-nodes groups, which are
/// never reported (RFC 3810 section 6).
fn joined_ipv6(table: &str) -> Vec<(&str, Ipv6Addr)> {
    let pair = |line| {
        let mut words = str::split_whitespace(line).skip(1);
        let interface = words.next()?;
        let group = u128::from_str_radix(words.next()?, 16).ok()?;
        Some((interface, Ipv6Addr::from(group)))
    };
    let all_nodes = [0xff01, 0xff02].map(|scope| Ipv6Addr::new(scope, 0, 0, 0, 0, 0, 0, 1));
    let joined = table.lines().filter_map(pair);
    joined
        .filter(|(_, group)| !all_nodes.contains(group))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(ifindex: u32, name: &str) -> LinkInfo {
        LinkInfo {
            ifindex,
            name: name.to_owned(),
            hardware_type: 1,
            admin_up: true,
            promiscuous: false,
            carrier: true,
            loopback: false,
            hwaddr: HwAddr([2, 0, 0, 0, 0, ifindex as u8]),
            mtu: 1500,
            master: None,
            lower: None,
            vlan: None,
            kind: String::new(),
        }
    }

    #[test]
    fn vlans_and_bridges_on_the_team_are_found() {
        let team = LinkInfo {
            master: Some(4),
            ..interface(3, "team0")
        };
        let vlan = LinkInfo {
            lower: Some(4),
            vlan: Some(30),
            ..interface(2, "br0.30")
        };
        let links = [vlan, team, interface(4, "br0"), interface(5, "eth9")];
        let found = uppers(&links, 3);
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(found[&2].vlan, Some(30));
        assert_eq!(found[&4].vlan, None);
    }

    #[test]
    fn multicast_tables_are_read() {
        let word = |group: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(group));
        let igmp = format!(
            "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
             1\tlo        :     1      V3\n\t\t\t\t{all_hosts}     1 0:00000000\t\t0\n\
             3\tteam0     :     2      V3\n\t\t\t\t{group}     1 0:00000000\t\t0\n\
             \t\t\t\t{all_hosts}     1 0:00000000\t\t0\n",
            all_hosts = word([224, 0, 0, 1]),
            group = word([239, 7, 7, 7]),
        );
        assert_eq!(joined_ipv4(&igmp), [("team0", Ipv4Addr::new(239, 7, 7, 7))]);
        let igmp6 = "3    team0           ff050000000000000000000000000007     1 00000004 0\n\
                     3    team0           ff020000000000000000000000000001     1 0000000C 0\n";
        assert_eq!(
            joined_ipv6(igmp6),
            [("team0", Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 7))]
        );
    }
}

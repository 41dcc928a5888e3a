//! The frames of `notify_peers` and `mcast_rejoin`, on data paths whose driver sends neither.
//!
//! After a change of port the switches must learn the new path to the team: gratuitous ARP and
//! unsolicited neighbour advertisements for every address on the team device and its upper devices
//! (VLANs, a bridge), and membership reports for their multicast groups. For an upper device in
//! another namespace (a container's macvlan) the frames announce only the hardware address, which
//! suffices for the switches. The daemon finds these addresses in the namespaces that have a number
//! here, and among the addresses that the upper devices of this namespace receive. As with the team
//! driver, hosts behind a bridge are not announced: the bridge does not have their addresses.
//!
//! The host's [`Network`] is read in steps, one a turn of the loop, and once for all teams that announce
//! themselves. The cost for a team depends on its own upper devices and their addresses only.

mod reading;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use runners::HwAddr;
use runners::wire::announce;

use super::kernel::ipv6_setting;
use crate::netlink::address::InterfaceAddress;
use crate::netlink::link::LinkInfo;

pub use reading::NetworkReading;

/// An interface whose frames leave through the team, with their source address and VLAN tag.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Upper {
    name: String,
    hwaddr: HwAddr,
    vlan: Option<u16>,
}

/// A frame that announces the team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// The whole frame.
    Frame(Vec<u8>),
    /// An unsolicited neighbour advertisement for an address of an interface.
    Advertisement {
        /// The interface.
        interface: String,
        /// The address.
        address: Ipv6Addr,
        /// The hardware address.
        hwaddr: HwAddr,
        /// The VLAN tag.
        vlan: Option<u16>,
    },
}

impl Announcement {
    /// Returns the frame. That of an advertisement says whether the host routes IPv6 now.
    pub fn into_frame(self) -> Vec<u8> {
        match self {
            Announcement::Frame(frame) => frame,
            Announcement::Advertisement { interface, address, hwaddr, vlan } => {
                announce::unsolicited_na(hwaddr, address, is_router(&interface), vlan)
            }
        }
    }
}

/// The joined multicast groups, by interface name.
#[derive(Debug, Default)]
struct Groups {
    ipv4: BTreeMap<String, Vec<Ipv4Addr>>,
    ipv6: BTreeMap<String, Vec<Ipv6Addr>>,
}

/// The host's interfaces, their stacking and their addresses.
#[derive(Debug, Default)]
pub struct Network {
    /// By interface index.
    links: BTreeMap<u32, LinkInfo>,
    /// Indices of the interfaces that are stacked on an interface, by its index.
    stacked: BTreeMap<u32, Vec<u32>>,
    /// Addresses by interface index, in the order of the kernel.
    addresses: BTreeMap<u32, Vec<IpAddr>>,
    /// Unicast addresses that an interface receives besides its own, by interface index.
    received: BTreeMap<u32, Vec<HwAddr>>,
    /// Interfaces of other namespaces, by the index of the lower interface here.
    elsewhere: BTreeMap<u32, Vec<LinkInfo>>,
    groups: OnceCell<Groups>,
}

impl Network {
    fn add_links(&mut self, links: impl Iterator<Item = LinkInfo>) {
        for link in links {
            for (below, above) in link
                .lower_interface()
                .map(|lower| (lower, link.ifindex))
                .into_iter()
                .chain(link.master.map(|master| (link.ifindex, master)))
            {
                self.stacked.entry(below).or_default().push(above);
            }
            self.links.insert(link.ifindex, link);
        }
    }

    fn add_addresses(&mut self, addresses: Vec<InterfaceAddress>) {
        for entry in addresses {
            self.addresses.entry(entry.ifindex).or_default().push(entry.address);
        }
    }

    /// Returns the team device and its upper devices, by interface index.
    fn uppers(&self, device: u32) -> BTreeMap<u32, Upper> {
        let upper =
            |link: &LinkInfo, vlan| Upper { name: link.name.clone(), hwaddr: link.hwaddr, vlan };
        let mut uppers: BTreeMap<u32, Upper> = BTreeMap::new();
        uppers.extend(self.links.get(&device).map(|link| (device, upper(link, None))));
        let mut pending: VecDeque<u32> = uppers.keys().copied().collect();
        while let Some(below) = pending.pop_front() {
            let Some(below_upper) = uppers.get(&below).cloned() else { continue };
            for ifindex in self.stacked.get(&below).into_iter().flatten() {
                let Some(link) = self.links.get(ifindex).filter(|_| !uppers.contains_key(ifindex))
                else {
                    continue;
                };
                let vlan = match link.lower == Some(below) {
                    true => vlan_over(&below_upper, link),
                    false => Some(None),
                };
                if let Some(vlan) = vlan {
                    uppers.insert(*ifindex, upper(link, vlan));
                    pending.push_back(*ifindex);
                }
            }
        }
        uppers
    }

    /// Returns one round of `notify_peers` for the team device `device`.
    pub fn peer_notifications(&self, device: u32) -> VecDeque<Announcement> {
        let uppers = self.uppers(device);
        let mut hwaddrs = self.hwaddrs_received(&uppers);
        for (lower, below) in &uppers {
            let stacked = self.elsewhere.get(lower).into_iter().flatten();
            let stacked = stacked.filter_map(|link| Some((link.hwaddr, vlan_over(below, link)?)));
            hwaddrs.extend(stacked);
        }
        let reverse = |(hwaddr, vlan)| Announcement::Frame(announce::reverse_arp(hwaddr, vlan));
        let mut announcements: VecDeque<Announcement> = hwaddrs.into_iter().map(reverse).collect();
        for (ifindex, upper) in &uppers {
            let addresses = self.addresses.get(ifindex).into_iter().flatten();
            announcements.extend(addresses.map(|address| match *address {
                IpAddr::V4(ip) => {
                    Announcement::Frame(announce::gratuitous_arp(upper.hwaddr, ip, upper.vlan))
                }
                IpAddr::V6(address) => Announcement::Advertisement {
                    interface: upper.name.clone(),
                    address,
                    hwaddr: upper.hwaddr,
                    vlan: upper.vlan,
                },
            }));
        }
        announcements
    }

    /// Returns the unicast addresses that one of `uppers` receives and none of them has, each with
    /// the tag of the first interface with the address: a VLAN hands its addresses on to the interface
    /// below.
    fn hwaddrs_received(&self, uppers: &BTreeMap<u32, Upper>) -> BTreeSet<(HwAddr, Option<u16>)> {
        let mut received = BTreeMap::new();
        let (tagged, untagged): (Vec<_>, Vec<_>) =
            uppers.iter().partition(|(_, it)| it.vlan.is_some());
        for (ifindex, upper) in tagged.into_iter().chain(untagged) {
            for hwaddr in self.received.get(ifindex).into_iter().flatten() {
                received.entry(*hwaddr).or_insert(upper.vlan);
            }
        }
        let own: BTreeSet<HwAddr> = uppers.values().map(|upper| upper.hwaddr).collect();
        received.into_iter().filter(|(hwaddr, _)| !own.contains(hwaddr)).collect()
    }

    /// Returns one round of `mcast_rejoin` for the team device `device`.
    ///
    /// # Errors
    /// Those of reading `/proc/net/igmp`.
    pub fn membership_reports(&self, device: u32) -> io::Result<VecDeque<Announcement>> {
        let groups = self.groups()?;
        let mut reports = VecDeque::new();
        for (ifindex, Upper { name, hwaddr, vlan }) in &self.uppers(device) {
            let (mut source4, mut source6) = (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED);
            // The first address of each family, which the kernel lists first, is the source.
            for address in self.addresses.get(ifindex).into_iter().flatten().rev() {
                match *address {
                    IpAddr::V4(ip) => source4 = ip,
                    // RFC 3810 section 5.2.13: reports come from a link-local address, or from ::.
                    IpAddr::V6(ip) if ip.is_unicast_link_local() => source6 = ip,
                    IpAddr::V6(_) => {}
                }
            }
            let joined = groups.ipv4.get(name).into_iter().flatten();
            let report = |group: &Ipv4Addr| announce::igmp_report(*hwaddr, source4, *group, *vlan);
            reports.extend(joined.map(report).map(Announcement::Frame));
            let joined = groups.ipv6.get(name).into_iter().flatten();
            let report = |group: &Ipv6Addr| announce::mld_report(*hwaddr, source6, *group, *vlan);
            reports.extend(joined.map(report).map(Announcement::Frame));
        }
        Ok(reports)
    }

    fn groups(&self) -> io::Result<&Groups> {
        if let Some(groups) = self.groups.get() {
            return Ok(groups);
        }
        let mut groups = Groups::default();
        for (name, group) in joined_ipv4(&fs::read_to_string("/proc/net/igmp")?) {
            groups.ipv4.entry(name.to_owned()).or_default().push(group);
        }
        // Absent where the kernel has no IPv6.
        let table = fs::read_to_string("/proc/net/igmp6").unwrap_or_default();
        for (name, group) in joined_ipv6(&table) {
            groups.ipv6.entry(name.to_owned()).or_default().push(group);
        }
        Ok(self.groups.get_or_init(|| groups))
    }
}

/// Returns the tag of frames that leave by `link` through the interface `below`; `None` for a VLAN
/// inside a VLAN, since an announcement carries one tag.
fn vlan_over(below: &Upper, link: &LinkInfo) -> Option<Option<u16>> {
    (link.vlan.is_none() || below.vlan.is_none()).then(|| link.vlan.or(below.vlan))
}

/// Returns whether the host routes IPv6 on an interface. An advertisement without the router flag
/// would make neighbours drop the host as their router (RFC 4861 section 7.2.5).
fn is_router(interface: &str) -> bool {
    let forwarding = fs::read_to_string(ipv6_setting(interface, "forwarding"));
    forwarding.is_ok_and(|forwarding| forwarding.trim() != "0")
}

/// Returns the (interface, group) pairs of `/proc/net/igmp` without the all-hosts group, which is
/// never reported (RFC 2236 section 6).
fn joined_ipv4(table: &str) -> Vec<(&str, Ipv4Addr)> {
    let mut joined = Vec::new();
    let mut interface = "";
    for line in table.lines().skip(1) {
        let mut words = line.split_whitespace();
        if line.starts_with(char::is_whitespace) {
            let group = words.next().and_then(|hex| u32::from_str_radix(hex, 16).ok());
            // The kernel prints the network-order word as a number of its own byte order.
            let group = group.map(|word| Ipv4Addr::from(word.to_ne_bytes()));
            let group = group.filter(|group| *group != Ipv4Addr::new(224, 0, 0, 1));
            joined.extend(group.map(|group| (interface, group)));
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
    joined.filter(|(_, group)| !all_nodes.contains(group)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(links: Vec<LinkInfo>, addresses: Vec<InterfaceAddress>) -> Network {
        let mut network = Network::default();
        network.add_links(links.into_iter());
        network.add_addresses(addresses);
        network
    }

    fn interface(ifindex: u32, name: &str) -> LinkInfo {
        LinkInfo { ifindex, name: name.to_owned(), ..LinkInfo::default() }
    }

    #[test]
    fn vlans_and_bridges_on_the_team_are_found() {
        let team = LinkInfo { master: Some(4), ..interface(3, "team0") };
        let vlan = LinkInfo { lower: Some(4), vlan: Some(30), ..interface(2, "br0.30") };
        let links = vec![vlan, team, interface(4, "br0"), interface(5, "eth9")];
        let found = network(links, Vec::new()).uppers(3);
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(found[&2].vlan, Some(30));
        assert_eq!(found[&4].vlan, None);
    }

    /// A team with 4,000 VLANs, each with an address.
    #[test]
    fn the_announcement_of_a_team_takes_no_longer_for_the_vlans_of_another() {
        let vlan = |number: u32| LinkInfo {
            lower: Some(3),
            vlan: Some(number as u16),
            hwaddr: HwAddr([2, 0, 0, 0, 0, 3]),
            ..interface(100 + number, &format!("vlan{number}"))
        };
        let address = |number: u32| InterfaceAddress {
            ifindex: 100 + number,
            address: IpAddr::from((0x0a00_0000 + number).to_be_bytes()),
            tentative: false,
            prefix_len: 24,
            is_lasting: true,
        };
        let mut links = vec![interface(3, "team0"), interface(4, "team1")];
        links.extend((1..4000).map(vlan));
        let mut addresses: Vec<_> = (1..4000).map(address).collect();
        addresses.push(InterfaceAddress { ifindex: 4, ..address(5000) });
        let mut network = network(links, addresses);
        network.received.insert(3, (0..100).map(|it| HwAddr([2, 1, 0, 0, 0, it])).collect());
        assert_eq!(network.peer_notifications(3).len(), 3999 + 100);
        assert_eq!(network.peer_notifications(4).len(), 1);
        let frame = network.peer_notifications(3).pop_back().map(Announcement::into_frame);
        let expected = announce::gratuitous_arp(
            HwAddr([2, 0, 0, 0, 0, 3]),
            Ipv4Addr::from(0x0a00_0000 + 3999),
            Some(3999),
        );
        assert_eq!(frame, Some(expected));
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
        assert_eq!(joined_ipv6(igmp6), [("team0", Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 7))]);
    }
}

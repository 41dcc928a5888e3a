//! Reads a bond of the running kernel from `/sys/class/net`.
//!
//! Standard: the kernel's `Documentation/networking/bonding.rst`. A value that is a word is followed
//! by its number. The options that the mode does not use are present too.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::links;
use super::live;
use super::manager::{DeviceKind, Manager};
use super::model::{Bond, BondPort, Network, Notes, network_of};
use super::options::{Kind, Opt, ROWS};
use super::tree::Tree;

/// `addr_assign_type` of an address set by user space.
const SET: &str = "3";
/// The default of a bond and of a port, in bytes.
const DEFAULT_MTU: u32 = 1500;
/// The driver's default of `actor_port_prio`.
const DEFAULT_PORT_PRIO: u16 = 255;

/// Returns the bond or team `name`; `None` if the kernel has no such device.
pub fn read(tree: &Tree, name: &str, device: DeviceKind, notes: &mut Notes) -> Option<Bond> {
    let folder = format!("{}/{name}", Manager::Sysfs.folder());
    let value = |file: &str| tree.value(&format!("{folder}/{file}"));
    match (device, value("bonding/mode")) {
        (DeviceKind::Bond, Some(_)) | (DeviceKind::Team, None) => value("mtu")?,
        _ => return None,
    };
    let mut bond = Bond { name: name.to_owned(), ..Bond::default() };
    read_options(&mut bond, value, notes);
    bond.ports = read_ports(tree, value("bonding/slaves").unwrap_or_default());
    bond.drop_unsafe_names(notes);
    let network = &mut bond.network;
    let mtu = value("mtu").and_then(|mtu| mtu.parse().ok());
    network.mtu = mtu.filter(|mtu| *mtu != DEFAULT_MTU);
    // The daemon sets the address of a team; a configured one is in the team's configuration.
    let set = device == DeviceKind::Bond && value("addr_assign_type") == Some(SET);
    let system = bond.options.is_changed(Opt::AdActorSystem);
    let hwaddr = value("address").filter(|hwaddr| set && !system && super::is_hwaddr(hwaddr));
    network.hwaddr = hwaddr.map(str::to_owned);
    network.ipv6.automatic = tree.value(&live::accept_ra(name)).is_some_and(|accept| accept != "0");
    network.bridge = value("master").map(str::to_owned);
    let links = links::all(tree);
    let master = links.iter().find(|link| Some(link.name.as_str()) == value("master"));
    // Open vSwitch's device has no type.
    if let Some(master) = master.filter(|master| master.kind.as_deref() != Some("bridge")) {
        network.bridge = None;
        notes.lost(
            format_args!("master {}", master.name),
            "the device is no bridge; make the team a port of its kind (a VRF, Open vSwitch)",
        );
    }
    read_addresses(network, value(live::ADDRESSES), notes);
    read_routes(network, tree, name, notes);
    Some(bond)
}

/// Sets the options of the bond; `value` returns the text of a file in the folder of the bond.
fn read_options<'a>(bond: &mut Bond, value: impl Fn(&str) -> Option<&'a str>, notes: &mut Notes) {
    for row in ROWS {
        let Some(text) = value(&format!("bonding/{}", row.name)) else {
            continue;
        };
        let text = match row.kind {
            Kind::Addresses(_) => text,
            _ => text.split(' ').next().unwrap_or_default(),
        };
        bond.set_option(row.name, text, notes);
    }
}

fn read_ports(tree: &Tree, slaves: &str) -> Vec<BondPort> {
    let read = |slave: &str| {
        let folder = Manager::Sysfs.folder();
        let value = |file: &str| tree.value(&format!("{folder}/{slave}/bonding_slave/{file}"));
        let priority = value(live::ACTOR_PORT_PRIO).and_then(|prio| prio.parse().ok());
        BondPort {
            prio: value(live::PRIO).and_then(|prio| prio.parse().ok()).unwrap_or(0),
            queue_id: value(live::QUEUE_ID).and_then(|queue| queue.parse().ok()).unwrap_or(0),
            actor_port_prio: priority.filter(|prio| *prio != DEFAULT_PORT_PRIO),
            ..BondPort::new(slave)
        }
    };
    slaves.split_ascii_whitespace().map(read).collect()
}

fn read_addresses(network: &mut Network, addresses: Option<&str>, notes: &mut Notes) {
    match addresses {
        Some(addresses) => {
            for address in addresses.split_ascii_whitespace() {
                network.by_version(address).addresses.push(address.to_owned());
            }
        }
        None if network.bridge.is_none() => notes.lost(
            "addresses",
            "none that would last are known to the kernel here; see ip address show",
        ),
        None => {}
    }
}

/// Takes the default routes through the device `name`; the other routes are lost.
fn read_routes(network: &mut Network, tree: &Tree, name: &str, notes: &mut Notes) {
    let [ipv4, ipv6] = live::ROUTES.map(|path| tree.get(path).unwrap_or_default());
    let routes = ipv4.lines().filter_map(|line| route4(line, name));
    for route in routes.chain(ipv6.lines().filter_map(|line| route6(line, name))) {
        let addressing = match route.destination {
            IpAddr::V4(_) => &mut network.ipv4,
            IpAddr::V6(_) => &mut network.ipv6,
        };
        match route.gateway {
            Some(gateway) if route.prefix_len == 0 && addressing.gateway.is_none() => {
                addressing.gateway = Some(gateway.to_string());
            }
            None if route.is_implied_by(&addressing.addresses) => {}
            _ => notes.lost(&route, "of routes only the default one is kept"),
        }
    }
}

/// A route through the device.
#[derive(Debug, PartialEq, Eq)]
struct Route {
    destination: IpAddr,
    prefix_len: u8,
    gateway: Option<IpAddr>,
}

impl Route {
    /// Returns whether the kernel adds the route for one of `addresses`, each with its prefix length.
    fn is_implied_by(&self, addresses: &[String]) -> bool {
        let of_link = match self.destination {
            IpAddr::V4(_) => false,
            IpAddr::V6(address) => address.is_unicast_link_local() || address.is_multicast(),
        };
        let is_of = |address: &String| {
            let (address, prefix_len) = address.split_once('/')?;
            let address: IpAddr = address.parse().ok()?;
            let is_same = prefix_len.parse() == Ok(self.prefix_len);
            Some(is_same && network_of(address, self.prefix_len) == self.destination)
        };
        of_link || addresses.iter().any(|address| is_of(address) == Some(true))
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route to {}/{}", self.destination, self.prefix_len)?;
        match self.gateway {
            Some(gateway) => write!(f, " by {gateway}"),
            None => Ok(()),
        }
    }
}

/// Parses a line of `/proc/net/route`: interface, destination, gateway, flags, ..., mask, with the
/// addresses in the byte order of the CPU. Returns `None` for a route through another device.
fn route4(line: &str, device: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [interface, destination, gateway, _, _, _, _, mask, ..] = fields[..] else {
        return None;
    };
    let number = |text| Some(u32::from_str_radix(text, 16).ok()?.to_ne_bytes());
    let gateway = Ipv4Addr::from(number(gateway)?);
    let prefix_len = u32::from_be_bytes(number(mask)?).count_ones();
    (interface == device).then_some(Route {
        destination: Ipv4Addr::from(number(destination)?).into(),
        prefix_len: u8::try_from(prefix_len).ok()?,
        gateway: (!gateway.is_unspecified()).then(|| gateway.into()),
    })
}

/// Parses a line of `/proc/net/ipv6_route`: destination, its length, source, its length, gateway,
/// ..., interface. Returns `None` also for routes of router advertisements and of the host's own
/// addresses, which the kernel adds again.
fn route6(line: &str, device: &str) -> Option<Route> {
    /// `RTF_ADDRCONF` and `RTF_PREFIX_RT`, `RTF_ANYCAST` and `RTF_LOCAL`.
    const AUTOMATIC: u32 = 0x0004_0000 | 0x0008_0000 | 0x0010_0000 | 0x8000_0000;
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [destination, prefix_len, _, _, gateway, _, _, _, flags, interface] = fields[..] else {
        return None;
    };
    let number = |text| Some(Ipv6Addr::from(u128::from_str_radix(text, 16).ok()?));
    let flags = u32::from_str_radix(flags, 16).ok()?;
    let gateway = number(gateway)?;
    (interface == device && flags & AUTOMATIC == 0).then_some(Route {
        destination: number(destination)?.into(),
        prefix_len: u8::from_str_radix(prefix_len, 16).ok()?,
        gateway: (!gateway.is_unspecified()).then(|| gateway.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_procfs_are_parsed() {
        let line = "bond0\t00000000\tFE0200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0";
        if cfg!(target_endian = "little") {
            let route = route4(line, "bond0").map(|route| route.to_string());
            assert_eq!(route.as_deref(), Some("route to 0.0.0.0/0 by 192.0.2.254"));
            let line = "bond0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0";
            let route = route4(line, "bond0").unwrap();
            assert_eq!(route.to_string(), "route to 192.0.2.0/24");
            assert!(route.is_implied_by(&["192.0.2.7/24".to_owned()]));
            assert!(!route.is_implied_by(&["192.0.2.7/25".to_owned()]));
            assert!(!route.is_implied_by(&["192.0.3.7/24".to_owned()]));
        }
        assert_eq!(route4(line, "bond1"), None);
        assert_eq!(route4("bond0\t00000000", "bond0"), None);
        let zero = "0".repeat(32);
        let line = format!(
            "{zero} 00 {zero} 00 20010db8000000000000000000000001 00000400 1 0 00000003 bond0"
        );
        let route = route6(&line, "bond0").map(|route| route.to_string());
        assert_eq!(route.as_deref(), Some("route to ::/0 by 2001:db8::1"));
        assert_eq!(route6(&line, "eth0"), None);
        for made in ["00040003", "80200001"] {
            assert_eq!(route6(&line.replace("00000003", made), "bond0"), None);
        }
    }
}

//! The running kernel's bonds, as `/sys/class/net` shows them.
//!
//! Standard: the kernel's `Documentation/networking/bonding.rst`. Words stand there with their
//! number behind them; options that a mode does not have stand there all the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::family::{Device, Family};
use super::live;
use super::model::{Bond, BondPort, Notes};
use super::options::{Kind, Opt, ROWS};
use super::tree::Tree;

/// `addr_assign_type` of an address that somebody set.
const SET: &str = "3";
/// What a bond and a port have if nobody says otherwise.
const USUAL_MTU: u32 = 1500;

/// The bond or team `name`; none if there is none.
pub fn read(tree: &Tree, name: &str, device: Device, notes: &mut Notes) -> Option<Bond> {
    let folder = format!("{}/{name}", Family::Sysfs.folder());
    let value = |file: &str| tree.value(&format!("{folder}/{file}"));
    match (device, value("bonding/mode")) {
        (Device::Bond, Some(_)) | (Device::Team, None) => value("mtu")?,
        _ => return None,
    };
    let mut bond = Bond {
        name: name.to_owned(),
        ..Bond::default()
    };
    for row in ROWS {
        let Some(text) = value(&format!("bonding/{}", row.name)) else {
            continue;
        };
        let text = match row.kind {
            Kind::Addresses => text,
            _ => text.split(' ').next().unwrap_or_default(),
        };
        if let Err(error) = bond.options.set(row.name, text) {
            notes.lost(format_args!("{}={text}", row.name), error);
        }
    }
    let slaves = value("bonding/slaves").unwrap_or_default();
    for slave in slaves.split_ascii_whitespace() {
        let queue = tree.value(&format!(
            "{}/{slave}/bonding_slave/queue_id",
            Family::Sysfs.folder()
        ));
        let mut port = BondPort::new(slave);
        port.queue_id = queue.and_then(|queue| queue.parse().ok()).unwrap_or(0);
        bond.ports.push(port);
    }
    let network = &mut bond.network;
    let mtu = value("mtu").and_then(|mtu| mtu.parse().ok());
    network.mtu = mtu.filter(|mtu| *mtu != USUAL_MTU);
    // The daemon sets a team's; whether the user did, the configuration says.
    let set = device == Device::Bond && value("addr_assign_type") == Some(SET);
    let system = bond.options.is_changed(Opt::AdActorSystem);
    let hwaddr = value("address").filter(|hwaddr| set && !system && super::is_hwaddr(hwaddr));
    network.hwaddr = hwaddr.map(str::to_owned);
    network.ipv6.automatic = tree
        .value(&live::accept_ra(name))
        .is_some_and(|accept| accept != "0");
    network.bridge = value("master").map(str::to_owned);
    match value(live::ADDRESSES) {
        Some(addresses) => {
            for address in addresses.split_ascii_whitespace() {
                let addressing = match address.contains(':') {
                    true => &mut network.ipv6,
                    false => &mut network.ipv4,
                };
                addressing.addresses.push(address.to_owned());
            }
        }
        None if network.bridge.is_none() => notes.lost(
            "addresses",
            "none that would last are known to the kernel here; see ip address show",
        ),
        None => {}
    }
    let [ipv4, ipv6] = live::ROUTES.map(|path| tree.get(path).unwrap_or_default());
    network.ipv4.gateway = ipv4.lines().find_map(|line| gateway4(line, name));
    network.ipv6.gateway = ipv6.lines().find_map(|line| gateway6(line, name));
    Some(bond)
}

/// The gateway of a line of `/proc/net/route`, if it is the default route through `device`:
/// interface, destination, gateway, flags, ..., mask; numbers as the CPU has them.
fn gateway4(line: &str, device: &str) -> Option<String> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [interface, "00000000", gateway, _, _, _, _, "00000000", ..] = fields[..] else {
        return None;
    };
    let gateway = u32::from_str_radix(gateway, 16).ok()?;
    let gateway = Ipv4Addr::from(gateway.to_ne_bytes());
    (interface == device && !gateway.is_unspecified()).then(|| gateway.to_string())
}

/// The same of `/proc/net/ipv6_route`: destination, its length, source, its length, gateway, ...,
/// interface. Routes from router advertisements need not be set.
fn gateway6(line: &str, device: &str) -> Option<String> {
    /// `RTF_ADDRCONF`
    const ADVERTISED: u32 = 0x0004_0000;
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [destination, "00", _, _, gateway, _, _, _, flags, interface] = fields[..] else {
        return None;
    };
    let flags = u32::from_str_radix(flags, 16).ok()?;
    let is_default = destination.bytes().all(|digit| digit == b'0');
    let gateway = Ipv6Addr::from(u128::from_str_radix(gateway, 16).ok()?);
    let ours = interface == device && is_default && flags & ADVERTISED == 0;
    (ours && !gateway.is_unspecified()).then(|| IpAddr::from(gateway).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_of_procfs() {
        let line = "bond0\t00000000\tFE0200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0";
        if cfg!(target_endian = "little") {
            assert_eq!(gateway4(line, "bond0").as_deref(), Some("192.0.2.254"));
        }
        assert_eq!(gateway4(line, "bond1"), None);
        assert_eq!(gateway4("bond0\t00000000", "bond0"), None);
        let zero = "0".repeat(32);
        let line = format!(
            "{zero} 00 {zero} 00 20010db8000000000000000000000001 00000400 1 0 00000003 bond0"
        );
        assert_eq!(gateway6(&line, "bond0").as_deref(), Some("2001:db8::1"));
        assert_eq!(gateway6(&line, "eth0"), None);
    }
}

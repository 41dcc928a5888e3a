//! The hardware address that the host would send to, from the kernel's tables of IPv4.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use runners::HwAddr;

/// Returns the hardware address of the next hop to `ip`; `None` if the tables lack it, as for IPv6.
pub fn hwaddr_of(ip: IpAddr) -> Option<HwAddr> {
    let IpAddr::V4(ip) = ip else {
        return None;
    };
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
    neighbour_of(gateway(&routes, ip).unwrap_or(ip).into())
}

/// Returns the hardware address of a neighbour; `None` if the kernel's table lacks the address.
pub fn neighbour_of(ip: IpAddr) -> Option<HwAddr> {
    let IpAddr::V4(ip) = ip else {
        return None;
    };
    neighbour(&fs::read_to_string("/proc/net/arp").unwrap_or_default(), ip)
}

/// Returns the gateway to `ip`; `None` if a host in the network of an interface has the address.
/// `routes` is the kernel's table of routes.
fn gateway(routes: &str, ip: Ipv4Addr) -> Option<Ipv4Addr> {
    // The kernel prints the bytes of an address in their order in memory.
    let address = |digits: &str| u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes);
    let matching = routes.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let network = Ipv4Addr::from(address(fields.next()?)?);
        let gateway = Ipv4Addr::from(address(fields.next()?)?);
        let mask = Ipv4Addr::from(address(fields.nth(4)?)?);
        let is_in = u32::from(ip) & u32::from(mask) == u32::from(network);
        is_in.then_some((u32::from(mask), gateway))
    });
    let (_, gateway) = matching.max_by_key(|(mask, _)| *mask)?;
    (!gateway.is_unspecified()).then_some(gateway)
}

/// Returns the hardware address of a neighbour. `neighbours` is the kernel's ARP table.
fn neighbour(neighbours: &str, ip: Ipv4Addr) -> Option<HwAddr> {
    let mut lines = neighbours.lines();
    lines.find_map(|line| {
        let mut fields = line.split_whitespace();
        let is_it = fields.next()?.parse() == Ok(ip);
        let hwaddr: HwAddr = fields.nth(2)?.parse().ok()?;
        (is_it && hwaddr != HwAddr([0; 6])).then_some(hwaddr)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_hop_is_the_gateway_of_the_longest_route() {
        let hex = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let line = |network, gateway, mask| {
            let (network, gateway, mask) = (hex(network), hex(gateway), hex(mask));
            format!("team0 {network} {gateway} 0001 0 0 0 {mask} 0 0 0\n")
        };
        let routes = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
            .to_owned()
            + &line([0, 0, 0, 0], [192, 0, 2, 1], [0, 0, 0, 0])
            + &line([192, 0, 2, 0], [0, 0, 0, 0], [255, 255, 255, 0]);
        let of = |ip: [u8; 4]| gateway(&routes, ip.into());
        assert_eq!(of([192, 0, 2, 7]), None);
        assert_eq!(of([198, 51, 100, 7]), Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(gateway("nonsense\n\n1 2\n", Ipv4Addr::LOCALHOST), None);
    }

    #[test]
    fn a_neighbour_has_an_address_once_it_answered() {
        let table = "IP address HW type Flags HW address Mask Device\n\
                     192.0.2.1 0x1 0x2 02:00:00:00:00:07 * team0\n\
                     192.0.2.2 0x1 0x0 00:00:00:00:00:00 * team0\n";
        let of = |last| neighbour(table, Ipv4Addr::new(192, 0, 2, last));
        assert_eq!(of(1), Some(HwAddr([2, 0, 0, 0, 0, 7])));
        assert_eq!((of(2), of(3)), (None, None));
    }
}

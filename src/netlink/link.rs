//! Interfaces: what the kernel says of them, and the changes that the daemon asks for.
//!
//! Source: rtnetlink(7), `RTM_NEWLINK` and its relatives.

use std::io;

use runners::HwAddr;

use super::message::{Attributes, Message, Request, read_str, read_u16, read_u32};
use super::socket::RouteSocket;

/// Bytes of `struct ifinfomsg`: family, pad, u16 type, i32 index, u32 flags, u32 change.
pub const BODY: usize = 16;

/// Up, with a physical carrier, and ready to send: a carrier that has just come back gets its
/// queue a little later, and what is sent before that is lost. Nor is a link that is dormant or
/// under test (RFC 2863) running.
const CARRIES: i32 = libc::IFF_UP | libc::IFF_LOWER_UP | libc::IFF_RUNNING;

/// First attribute in the data of a VLAN interface.
const IFLA_VLAN_ID: u16 = 1;

/// Kind of an interface of which there are two, each receiving what the other sends.
pub const VETH_KIND: &str = "veth";
/// The other end, in the data of such an interface.
pub const VETH_INFO_PEER: u16 = 1;

/// An interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// Interface index.
    pub ifindex: u32,
    /// Name.
    pub name: String,
    /// `ARPHRD_*`; 1 is Ethernet.
    pub hardware_type: u16,
    /// Administratively up.
    pub admin_up: bool,
    /// Somebody has it take in frames for any address.
    pub promiscuous: bool,
    /// Frames can be sent and received.
    pub carrier: bool,
    /// Loopback.
    pub loopback: bool,
    /// Hardware address; zero where the interface has none of 6 bytes.
    pub hwaddr: HwAddr,
    /// MTU in bytes.
    pub mtu: u32,
    /// The interface that this one is a port of.
    pub master: Option<u32>,
    /// The interface of this namespace that this one stands on (a VLAN's parent), or the other
    /// end of a pair.
    pub lower: Option<u32>,
    /// VLAN id of a VLAN interface.
    pub vlan: Option<u16>,
    /// Kind of a virtual interface, such as `tun`, `team`, `bridge`; empty otherwise.
    pub kind: String,
}

/// What an event says of the time when it was sent, which may be before our own last change:
/// enough to tell whom it concerns. What is acted on is read anew with [`fetch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkEvent {
    /// Interface index.
    pub ifindex: u32,
    /// Name.
    pub name: String,
    /// Hardware address; zero where the interface has none of 6 bytes.
    pub hwaddr: HwAddr,
    /// The interface that this one was a port of.
    pub master: Option<u32>,
    /// The interface was deleted, or left this namespace.
    pub gone: bool,
}

impl LinkEvent {
    /// The event in `message`; none for messages of other kinds and other families (a bridge
    /// tells of its ports with messages of its own family).
    pub fn parse(message: &Message<'_>) -> Option<LinkEvent> {
        if !is_link(message) || message.payload.first() != Some(&(libc::AF_UNSPEC as u8)) {
            return None;
        }
        let mut name = None;
        let mut hwaddr = HwAddr::default();
        let mut master = None;
        for (kind, value) in Attributes(message.payload.get(BODY..)?) {
            match kind {
                libc::IFLA_IFNAME => name = read_str(value),
                libc::IFLA_ADDRESS => hwaddr = HwAddr(value.try_into().unwrap_or_default()),
                libc::IFLA_MASTER => master = read_u32(value, 0).filter(|index| *index != 0),
                _ => (),
            }
        }
        Some(LinkEvent {
            ifindex: read_u32(message.payload, 4)?,
            name: name?.to_owned(),
            hwaddr,
            master,
            gone: message.kind == libc::RTM_DELLINK,
        })
    }
}

fn is_link(message: &Message<'_>) -> bool {
    message.kind == libc::RTM_NEWLINK || message.kind == libc::RTM_DELLINK
}

impl LinkInfo {
    /// The interface that `message` describes; none if it describes none.
    pub fn parse(message: &Message<'_>) -> Option<LinkInfo> {
        if !is_link(message) {
            return None;
        }
        let payload = message.payload;
        let flags = read_u32(payload, 8)? as i32;
        let mut info = LinkInfo {
            ifindex: read_u32(payload, 4)?,
            name: String::new(),
            hardware_type: read_u16(payload, 2)?,
            admin_up: flags & libc::IFF_UP != 0,
            promiscuous: flags & libc::IFF_PROMISC != 0,
            carrier: flags & CARRIES == CARRIES,
            loopback: flags & libc::IFF_LOOPBACK != 0,
            hwaddr: HwAddr::default(),
            mtu: 0,
            master: None,
            lower: None,
            vlan: None,
            kind: String::new(),
        };
        let mut lower_is_elsewhere = false;
        for (kind, value) in Attributes(payload.get(BODY..)?) {
            match kind {
                libc::IFLA_IFNAME => info.name = read_str(value)?.to_owned(),
                libc::IFLA_ADDRESS => {
                    info.hwaddr = HwAddr(value.try_into().unwrap_or_default());
                }
                libc::IFLA_MTU => info.mtu = read_u32(value, 0)?,
                libc::IFLA_MASTER => info.master = read_u32(value, 0).filter(|index| *index != 0),
                libc::IFLA_LINK => info.lower = read_u32(value, 0).filter(|index| *index != 0),
                libc::IFLA_LINK_NETNSID => lower_is_elsewhere = true,
                libc::IFLA_LINKINFO => info.read_kind(value),
                _ => (),
            }
        }
        if lower_is_elsewhere {
            info.lower = None;
        }
        Some(info)
    }

    fn read_kind(&mut self, nest: &[u8]) {
        for (kind, value) in Attributes(nest) {
            match kind {
                libc::IFLA_INFO_KIND => self.kind = read_str(value).unwrap_or_default().to_owned(),
                libc::IFLA_INFO_DATA if self.kind == "vlan" => {
                    self.vlan = Attributes(value)
                        .find(|(kind, _)| *kind == IFLA_VLAN_ID)
                        .and_then(|(_, id)| read_u16(id, 0));
                }
                _ => (),
            }
        }
    }
}

/// The structure that a link message begins with: the interface by its index, or 0; its flags,
/// `IFF_*`, and the mask of those to be changed.
pub fn ifinfomsg(ifindex: u32, flags: u32, change: u32) -> [u8; BODY] {
    let mut body = [0; BODY];
    body[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    body[8..12].copy_from_slice(&flags.to_ne_bytes());
    body[12..16].copy_from_slice(&change.to_ne_bytes());
    body
}

fn one(route: &mut RouteSocket, request: Request) -> io::Result<LinkInfo> {
    let mut found = None;
    route.query(request, &mut |message| found = LinkInfo::parse(&message))?;
    found.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
}

/// The interface with this index.
///
/// # Errors
/// `ENODEV` if there is none.
pub fn fetch(route: &mut RouteSocket, ifindex: u32) -> io::Result<LinkInfo> {
    one(
        route,
        Request::new(libc::RTM_GETLINK, 0, &ifinfomsg(ifindex, 0, 0)),
    )
}

/// The interface with this name.
///
/// # Errors
/// `ENODEV` if there is none, `ERANGE` or `EINVAL` for a name that cannot be one.
pub fn find(route: &mut RouteSocket, name: &str) -> io::Result<LinkInfo> {
    let request = Request::new(libc::RTM_GETLINK, 0, &ifinfomsg(0, 0, 0));
    one(route, request.attribute_str(libc::IFLA_IFNAME, name))
}

/// All interfaces.
pub fn all(route: &mut RouteSocket) -> io::Result<Vec<LinkInfo>> {
    let mut links = std::collections::BTreeMap::new();
    let request = Request::new(
        libc::RTM_GETLINK,
        libc::NLM_F_DUMP as u16,
        &ifinfomsg(0, 0, 0),
    );
    route.query(request, &mut |message| {
        if let Some(link) = LinkInfo::parse(&message) {
            links.insert(link.ifindex, link);
        }
    })?;
    Ok(links.into_values().collect())
}

fn change(ifindex: u32) -> Request {
    Request::new(libc::RTM_SETLINK, 0, &ifinfomsg(ifindex, 0, 0))
}

/// Sets an interface up or down.
pub fn set_admin_up(route: &mut RouteSocket, ifindex: u32, up: bool) -> io::Result<()> {
    let up_flag = libc::IFF_UP as u32;
    let flags = if up { up_flag } else { 0 };
    route.execute(Request::new(
        libc::RTM_SETLINK,
        0,
        &ifinfomsg(ifindex, flags, up_flag),
    ))
}

/// Has an interface take in frames for any address, or no longer.
pub fn set_promiscuous(route: &mut RouteSocket, ifindex: u32, on: bool) -> io::Result<()> {
    let flag = libc::IFF_PROMISC as u32;
    let flags = if on { flag } else { 0 };
    route.execute(Request::new(
        libc::RTM_SETLINK,
        0,
        &ifinfomsg(ifindex, flags, flag),
    ))
}

/// Sets the hardware address.
///
/// # Errors
/// `EADDRNOTAVAIL` for a multicast or zero address, the driver's where it refuses.
pub fn set_hwaddr(route: &mut RouteSocket, ifindex: u32, hwaddr: HwAddr) -> io::Result<()> {
    route.execute(change(ifindex).attribute(libc::IFLA_ADDRESS, &hwaddr.0))
}

/// Sets the MTU in bytes.
///
/// # Errors
/// `EINVAL` outside the driver's range.
pub fn set_mtu(route: &mut RouteSocket, ifindex: u32, mtu: u32) -> io::Result<()> {
    route.execute(change(ifindex).attribute_u32(libc::IFLA_MTU, mtu))
}

/// Sets the carrier of a virtual interface.
///
/// # Errors
/// `EOPNOTSUPP` where the driver has no settable carrier.
pub fn set_carrier(route: &mut RouteSocket, ifindex: u32, up: bool) -> io::Result<()> {
    route.execute(change(ifindex).attribute(libc::IFLA_CARRIER, &[u8::from(up)]))
}

/// Sets the carrier of a team device, which a pair of interfaces takes from its other end.
///
/// # Errors
/// Those of [`set_carrier`] and [`set_admin_up`].
pub fn set_device_carrier(route: &mut RouteSocket, device: &LinkInfo, up: bool) -> io::Result<()> {
    match device.lower {
        Some(peer) if device.kind == VETH_KIND => set_admin_up(route, peer, up),
        _ => set_carrier(route, device.ifindex, up),
    }
}

/// Makes an interface a port of another.
///
/// # Errors
/// Those of the master's driver; `EBUSY` where the interface must be down first or is in use.
pub fn set_master(route: &mut RouteSocket, ifindex: u32, master: u32) -> io::Result<()> {
    route.execute(change(ifindex).attribute_u32(libc::IFLA_MASTER, master))
}

/// Takes an interface out of whatever it is a port of.
pub fn clear_master(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    route.execute(change(ifindex).attribute_u32(libc::IFLA_MASTER, 0))
}

/// Creates a virtual interface of a kind that needs no settings; its driver is loaded.
///
/// # Errors
/// `EEXIST` if the name is taken, `EOPNOTSUPP` if the kernel knows no such kind.
pub fn create(route: &mut RouteSocket, name: &str, kind: &str) -> io::Result<()> {
    let flags = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
    let request = Request::new(libc::RTM_NEWLINK, flags, &ifinfomsg(0, 0, 0));
    route.execute(
        request
            .attribute_str(libc::IFLA_IFNAME, name)
            .nest(libc::IFLA_LINKINFO, |info| {
                info.attribute_str(libc::IFLA_INFO_KIND, kind)
            }),
    )
}

/// Creates a pair of interfaces, each end receiving what the other sends; the kernel names the
/// other end.
///
/// # Errors
/// `EEXIST` if the name is taken, `EOPNOTSUPP` if the kernel knows no such pairs.
pub fn create_veth(route: &mut RouteSocket, name: &str) -> io::Result<()> {
    let flags = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
    let request = Request::new(libc::RTM_NEWLINK, flags, &ifinfomsg(0, 0, 0));
    route.execute(request.attribute_str(libc::IFLA_IFNAME, name).nest(
        libc::IFLA_LINKINFO,
        |info| {
            info.attribute_str(libc::IFLA_INFO_KIND, VETH_KIND)
                .nest(libc::IFLA_INFO_DATA, |data| {
                    data.attribute(VETH_INFO_PEER, &ifinfomsg(0, 0, 0))
                })
        },
    ))
}

/// Deletes a virtual interface.
pub fn delete(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    route.execute(Request::new(
        libc::RTM_DELLINK,
        0,
        &ifinfomsg(ifindex, 0, 0),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_describes_itself() {
        let mut route = RouteSocket::open().unwrap();
        let by_name = find(&mut route, "lo").unwrap();
        assert!(by_name.loopback);
        assert_eq!(fetch(&mut route, by_name.ifindex).unwrap(), by_name);
        assert!(all(&mut route).unwrap().contains(&by_name));
    }

    #[test]
    fn an_absent_interface_is_enodev() {
        let mut route = RouteSocket::open().unwrap();
        let error = find(&mut route, "no-such-if").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
}

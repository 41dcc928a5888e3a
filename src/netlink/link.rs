//! Interfaces over rtnetlink: parsing, reading and changing them.
//!
//! Source: rtnetlink(7), `RTM_NEWLINK` and its relatives.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use runners::{HwAddr, interface_name, interface_name_bytes};

use super::message::{
    Attributes, Message, Request, attribute, read_str, read_u16, read_u32, until_nul,
};
use super::namespace::NamespaceId;
use super::socket::RouteSocket;

/// Bytes of `struct ifinfomsg`: family, pad, u16 type, i32 index, u32 flags, u32 change.
pub const BODY: usize = 16;

/// Flags of an interface that is up, has a physical carrier, and can send. A carrier that has just
/// come back gets its queue a little later, and frames sent before that are lost; a link that is
/// dormant or under test (RFC 2863) is not running either.
const CARRIES: i32 = libc::IFF_UP | libc::IFF_LOWER_UP | libc::IFF_RUNNING;

/// First attribute in the data of a VLAN interface.
const IFLA_VLAN_ID: u16 = 1;

/// The first group that [`delete_all`] may use.
const FIRST_GROUP: u32 = 0x7ea4_0000;

/// Kind of a veth: two interfaces, each receiving the frames that the other sends.
pub const VETH_KIND: &str = "veth";
/// Attribute of the peer, in the data of a veth.
pub const VETH_INFO_PEER: u16 = 1;
/// Kind of a netkit (Linux 6.7): a veth whose ends run programs in their transmit functions.
pub const NETKIT_KIND: &str = "netkit";
/// Attributes of the peer and of the mode, in the data of a netkit, and the mode for frames with an
/// Ethernet header.
const NETKIT_INFO_PEER: u16 = 1;
const NETKIT_INFO_MODE: u16 = 5;
const NETKIT_L2: u32 = 0;

/// An interface as the kernel describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkInfo {
    /// Interface index.
    pub ifindex: u32,
    /// Name, as [`interface_name`] writes it.
    pub name: String,
    /// `ARPHRD_*`; 1 is Ethernet.
    pub hardware_type: u16,
    /// Administratively up.
    pub admin_up: bool,
    /// The interface receives frames for any address.
    pub promiscuous: bool,
    /// Frames can be sent and received.
    pub carrier: bool,
    /// Loopback.
    pub loopback: bool,
    /// Hardware address; zero if the interface has none of 6 bytes.
    pub hwaddr: HwAddr,
    /// MTU in bytes.
    pub mtu: u32,
    /// The interface that this one is a port of.
    pub master: Option<u32>,
    /// The lower interface in this namespace (a VLAN's parent), or the [peer](Self::peer).
    pub lower: Option<u32>,
    /// Lower interface in another namespace: the namespace, and the index there.
    pub lower_elsewhere: Option<(NamespaceId, u32)>,
    /// VLAN id of a VLAN interface.
    pub vlan: Option<u16>,
    /// Kind of a virtual interface, such as `tun`, `team`, `bridge`; empty otherwise.
    pub kind: String,
    /// Alias; empty without one.
    pub alias: String,
    /// Alternative names.
    pub altnames: Vec<String>,
}

/// The state of an interface when an event was sent, which may be before our own last change:
/// enough to find the team that the event concerns, which reads the interface with [`fetch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkEvent {
    /// Interface index.
    pub ifindex: u32,
    /// Name.
    pub name: String,
    /// Alternative names.
    pub altnames: Vec<String>,
    /// Hardware address; zero if the interface has none of 6 bytes.
    pub hwaddr: HwAddr,
    /// The interface that this one was a port of.
    pub master: Option<u32>,
    /// The interface was deleted, or left this namespace.
    pub gone: bool,
    /// The interface left this namespace for another one.
    pub moved: bool,
}

impl LinkEvent {
    /// Parses an event; `None` for messages of other kinds and of other families (a bridge sends
    /// messages of its own family about its ports).
    pub fn parse(message: &Message<'_>) -> Option<LinkEvent> {
        if message.payload.first() != Some(&(libc::AF_UNSPEC as u8)) {
            return None;
        }
        let LinkInfo { ifindex, name, altnames, hwaddr, master, .. } = LinkInfo::parse(message)?;
        let gone = message.kind == libc::RTM_DELLINK;
        let new_netns =
            message.payload.get(BODY..).and_then(|it| attribute(it, libc::IFLA_NEW_NETNSID));
        let moved = gone && new_netns.is_some();
        Some(LinkEvent { ifindex, name, altnames, hwaddr, master, gone, moved })
    }
}

impl LinkInfo {
    /// Parses the interface that `message` describes; `None` if it describes none.
    pub fn parse(message: &Message<'_>) -> Option<LinkInfo> {
        if ![libc::RTM_NEWLINK, libc::RTM_DELLINK].contains(&message.kind) {
            return None;
        }
        let payload = message.payload;
        let flags = read_u32(payload, 8)? as i32;
        let mut info = LinkInfo {
            ifindex: read_u32(payload, 4)?,
            hardware_type: read_u16(payload, 2)?,
            admin_up: flags & libc::IFF_UP != 0,
            promiscuous: flags & libc::IFF_PROMISC != 0,
            carrier: flags & CARRIES == CARRIES,
            loopback: flags & libc::IFF_LOOPBACK != 0,
            ..LinkInfo::default()
        };
        let mut elsewhere = None;
        for (kind, value) in Attributes(payload.get(BODY..)?) {
            match kind {
                libc::IFLA_IFNAME => info.name = interface_name(until_nul(value)),
                libc::IFLA_IFALIAS => {
                    info.alias = read_str(value).unwrap_or_default().to_owned();
                }
                libc::IFLA_ADDRESS => {
                    info.hwaddr = HwAddr(value.try_into().unwrap_or_default());
                }
                libc::IFLA_MTU => info.mtu = read_u32(value, 0)?,
                libc::IFLA_MASTER => info.master = read_u32(value, 0).filter(|index| *index != 0),
                libc::IFLA_LINK => info.lower = read_u32(value, 0).filter(|index| *index != 0),
                libc::IFLA_LINK_NETNSID => elsewhere = Some(NamespaceId::read(value)),
                libc::IFLA_LINKINFO => info.read_kind(value),
                libc::IFLA_PROP_LIST => {
                    let names = Attributes(value).filter(|(it, _)| *it == libc::IFLA_ALT_IFNAME);
                    let names = names.filter_map(|(_, name)| read_str(name));
                    info.altnames.extend(names.map(str::to_owned));
                }
                _ => (),
            }
        }
        if let Some(namespace) = elsewhere {
            info.lower_elsewhere = namespace.zip(info.lower.take());
        }
        Some(info)
    }

    /// Returns whether the kernel may deliver link events of the interface up to a second late. The
    /// kernel never delays the events of an interface whose index differs from that of its lower
    /// interface or peer, which to the kernel is an interface stacked on another one.
    pub fn has_late_events(&self) -> bool {
        let elsewhere = self.lower_elsewhere.map(|(_, lower)| lower);
        self.lower.or(elsewhere).is_none_or(|lower| lower == self.ifindex)
    }

    /// Returns the index of the peer of a veth or netkit, in this namespace.
    pub fn peer(&self) -> Option<u32> {
        self.lower.filter(|_| self.has_peer())
    }

    /// Returns the interface through which this one sends, in this namespace; a peer is none.
    pub fn lower_interface(&self) -> Option<u32> {
        self.lower.filter(|_| !self.has_peer())
    }

    /// Returns whether interfaces of this kind exist in pairs.
    pub fn has_peer(&self) -> bool {
        [VETH_KIND, NETKIT_KIND].contains(&self.kind.as_str())
    }

    fn read_kind(&mut self, nest: &[u8]) {
        for (kind, value) in Attributes(nest) {
            match kind {
                libc::IFLA_INFO_KIND => self.kind = read_str(value).unwrap_or_default().to_owned(),
                libc::IFLA_INFO_DATA if self.kind == "vlan" => {
                    self.vlan = attribute(value, IFLA_VLAN_ID).and_then(|id| read_u16(id, 0));
                }
                _ => (),
            }
        }
    }
}

/// Returns the structure that a link message begins with: interface index, or 0; flags, `IFF_*`;
/// and the mask of the flags to be changed.
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

fn with_name(request: Request, name: &str) -> Request {
    request.attribute(libc::IFLA_IFNAME, &[&*interface_name_bytes(name), &[0]].concat())
}

/// Reads the interface with this index.
///
/// # Errors
/// `ENODEV` if there is none.
pub fn fetch(route: &mut RouteSocket, ifindex: u32) -> io::Result<LinkInfo> {
    one(route, Request::new(libc::RTM_GETLINK, 0, &ifinfomsg(ifindex, 0, 0)))
}

/// Reads the interface with this name or alternative name.
///
/// # Errors
/// `ENODEV` if there is none, `ERANGE` or `EINVAL` for a name that cannot be one.
pub fn find(route: &mut RouteSocket, name: &str) -> io::Result<LinkInfo> {
    let request = Request::new(libc::RTM_GETLINK, 0, &ifinfomsg(0, 0, 0));
    one(route, with_name(request, name))
}

/// Reads the carrier that the driver of an interface reports, also while the interface is down.
///
/// # Errors
/// `ENODEV` if there is no such interface.
pub fn driver_carrier(route: &mut RouteSocket, ifindex: u32) -> io::Result<bool> {
    let mut carrier = None;
    let request = Request::new(libc::RTM_GETLINK, 0, &ifinfomsg(ifindex, 0, 0));
    route.query(request, &mut |message| {
        let attributes = message.payload.get(BODY..).unwrap_or_default();
        carrier = attribute(attributes, libc::IFLA_CARRIER).map(|value| value != [0]);
    })?;
    carrier.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
}

/// Returns a request for all interfaces without their counters, which take the kernel as long as the
/// rest.
pub fn dump() -> Request {
    const SKIP_STATS: u32 = 1 << 3;
    Request::new(libc::RTM_GETLINK, libc::NLM_F_DUMP as u16, &ifinfomsg(0, 0, 0))
        .attribute_u32(libc::IFLA_EXT_MASK, SKIP_STATS)
}

/// Reads all interfaces.
pub fn all(route: &mut RouteSocket) -> io::Result<Vec<LinkInfo>> {
    let mut links = BTreeMap::new();
    route.query(dump(), &mut |message| {
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
    set_flag(route, ifindex, libc::IFF_UP as u32, up)
}

/// Sets an interface promiscuous, or no longer.
pub fn set_promiscuous(route: &mut RouteSocket, ifindex: u32, on: bool) -> io::Result<()> {
    set_flag(route, ifindex, libc::IFF_PROMISC as u32, on)
}

fn set_flag(route: &mut RouteSocket, ifindex: u32, flag: u32, on: bool) -> io::Result<()> {
    let flags = if on { flag } else { 0 };
    route.execute(Request::new(libc::RTM_SETLINK, 0, &ifinfomsg(ifindex, flags, flag)))
}

/// Sets the alias, a text that the kernel does not interpret.
///
/// # Errors
/// `EINVAL` for more than 255 bytes.
pub fn set_alias(route: &mut RouteSocket, ifindex: u32, alias: &str) -> io::Result<()> {
    route.execute(change(ifindex).attribute(libc::IFLA_IFALIAS, alias.as_bytes()))
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

/// Sets the carrier of a team device, as [`set_carrier`] does; that of a device with a peer is up
/// while the peer is.
pub fn set_device_carrier(route: &mut RouteSocket, device: &LinkInfo, up: bool) -> io::Result<()> {
    match device.peer() {
        Some(peer) => set_admin_up(route, peer, up),
        None => set_carrier(route, device.ifindex, up),
    }
}

/// Makes an interface a port of another.
///
/// # Errors
/// The error of the master's driver; `EBUSY` where the interface must be down first or is in use.
pub fn set_master(route: &mut RouteSocket, ifindex: u32, master: u32) -> io::Result<()> {
    route.execute(change(ifindex).attribute_u32(libc::IFLA_MASTER, master))
}

/// Releases an interface from its master.
pub fn clear_master(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    route.execute(change(ifindex).attribute_u32(libc::IFLA_MASTER, 0))
}

/// Creates a virtual interface of a kind that needs no settings; the kernel loads the driver. An
/// interface that is created with its hardware address has `NET_ADDR_SET`, so udev leaves the
/// address alone.
///
/// # Errors
/// `EEXIST` if the name is taken, `EOPNOTSUPP` if the kernel has no such kind, `EADDRNOTAVAIL` for
/// a multicast or zero address.
pub fn create(route: &mut RouteSocket, name: &str, kind: &str, hwaddr: HwAddr) -> io::Result<()> {
    create_with(route, name, kind, hwaddr, |info| info)
}

/// Creates a veth; the kernel names the peer if `peer` is `None`. Otherwise as [`create`].
///
/// # Errors
/// `EEXIST` if one of the names is taken, `EOPNOTSUPP` if the kernel has no veth driver.
pub fn create_veth(
    route: &mut RouteSocket,
    name: &str,
    hwaddr: HwAddr,
    peer: Option<&str>,
) -> io::Result<()> {
    create_with(route, name, VETH_KIND, hwaddr, |info| {
        info.nest(libc::IFLA_INFO_DATA, |data| with_peer(data, VETH_INFO_PEER, peer))
    })
}

/// Creates a netkit whose frames have Ethernet headers; an end without a program passes all frames
/// to the other end. Otherwise as [`create_veth`].
///
/// # Errors
/// `EEXIST` if one of the names is taken, `EOPNOTSUPP` if the kernel has no netkit, or none with a
/// hardware address.
pub fn create_netkit(
    route: &mut RouteSocket,
    name: &str,
    hwaddr: HwAddr,
    peer: Option<&str>,
) -> io::Result<()> {
    create_with(route, name, NETKIT_KIND, hwaddr, |info| {
        info.nest(libc::IFLA_INFO_DATA, |data| {
            let data = data.attribute_u32(NETKIT_INFO_MODE, NETKIT_L2);
            with_peer(data, NETKIT_INFO_PEER, peer)
        })
    })
}

fn with_peer(data: Request, attribute: u16, name: Option<&str>) -> Request {
    data.nest(attribute, |end| {
        let end = end.structure(&ifinfomsg(0, 0, 0));
        match name {
            Some(name) => end.attribute_str(libc::IFLA_IFNAME, name),
            None => end,
        }
    })
}

/// Sets alias, group and MTU of an interface, and turns address resolution off there.
///
/// # Errors
/// `EINVAL` for an alias of more than 255 bytes, or an MTU outside the driver's range.
pub fn set_label(
    route: &mut RouteSocket,
    ifindex: u32,
    (alias, group, mtu): (&str, u32, u32),
) -> io::Result<()> {
    let no_arp = libc::IFF_NOARP as u32;
    let request = Request::new(libc::RTM_SETLINK, 0, &ifinfomsg(ifindex, no_arp, no_arp));
    let request = request.attribute(libc::IFLA_IFALIAS, alias.as_bytes());
    let request = request.attribute_u32(libc::IFLA_GROUP, group);
    route.execute(request.attribute_u32(libc::IFLA_MTU, mtu))
}

fn create_with(
    route: &mut RouteSocket,
    name: &str,
    kind: &str,
    hwaddr: HwAddr,
    settings: impl FnOnce(Request) -> Request,
) -> io::Result<()> {
    let flags = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
    let request = Request::new(libc::RTM_NEWLINK, flags, &ifinfomsg(0, 0, 0));
    let request = request.attribute(libc::IFLA_ADDRESS, &hwaddr.0);
    route.execute(
        with_name(request, name).nest(libc::IFLA_LINKINFO, |info| {
            settings(info.attribute_str(libc::IFLA_INFO_KIND, kind))
        }),
    )
}

/// Deletes a virtual interface.
pub fn delete(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    route.execute(Request::new(libc::RTM_DELLINK, 0, &ifinfomsg(ifindex, 0, 0)))
}

/// Deletes virtual interfaces with one request: the kernel then waits once for frames that are under
/// way, and not once for each interface. For the request the interfaces get a group that no other
/// interface has. Success if some or all are gone.
///
/// # Errors
/// The kernel's; the interfaces then stay.
pub fn delete_all(route: &mut RouteSocket, ifindexes: &[u32]) -> io::Result<()> {
    let group = free_group(route)?;
    let grouping = |ifindex: &u32| change(*ifindex).attribute_u32(libc::IFLA_GROUP, group);
    let mut is_empty = true;
    for grouped in route.execute_all(ifindexes.iter().map(grouping))? {
        match grouped {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => (),
            grouped => {
                grouped?;
                is_empty = false;
            }
        }
    }
    if is_empty {
        return Ok(());
    }
    let request = Request::new(libc::RTM_DELLINK, 0, &ifinfomsg(0, 0, 0));
    route.execute(request.attribute_u32(libc::IFLA_GROUP, group))
}

/// Returns the number of a group that no interface is in.
fn free_group(route: &mut RouteSocket) -> io::Result<u32> {
    let mut used = BTreeSet::new();
    route.query(dump(), &mut |message| {
        let attributes = message.payload.get(BODY..).unwrap_or_default();
        let group = attribute(attributes, libc::IFLA_GROUP);
        used.extend(group.and_then(|value| read_u32(value, 0)));
    })?;
    let mut groups = FIRST_GROUP..=u32::MAX;
    groups
        .find(|group| !used.contains(group))
        .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSPC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_found_by_name_and_index_and_an_absent_interface_is_enodev() {
        let mut route = RouteSocket::open().unwrap();
        let by_name = find(&mut route, "lo").unwrap();
        assert!(by_name.loopback);
        assert_eq!(fetch(&mut route, by_name.ifindex).unwrap(), by_name);
        assert!(all(&mut route).unwrap().contains(&by_name));
        let error = find(&mut route, "no-such-if").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
}

//! The links of a host, made and read over rtnetlink.
//!
//! Link operations that the daemon needs too are in [`teamr::netlink::link`].

use std::io;
use std::net::IpAddr;

use teamr::netlink::RouteSocket;
use teamr::netlink::link::{self, LinkInfo, VETH_INFO_PEER, VETH_KIND, ifinfomsg};
use teamr::netlink::message::{Attributes, Request};

// linux/if_link.h
const IFLA_BR_STP_STATE: u16 = 5;
const IFLA_BRPORT_STATE: u16 = 1;
const IFLA_BOND_SLAVE_ACTOR_PORT_PRIO: u16 = 10;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
// linux/if_bridge.h
const BR_STATE_FORWARDING: u8 = 3;

/// IFLA_INFO_KIND of a bridge.
const BRIDGE_KIND: &str = "bridge";
/// IFLA_INFO_SLAVE_KIND of a port of a bond.
const BOND_KIND: &str = "bond";

const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;

/// One end of a veth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VethEnd<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Interface index; 0 for the next free one.
    pub(crate) index: u32,
}

/// Makes a veth with one end here and one in the network namespace of the process `pid`.
pub(crate) fn create_veth(
    route: &mut RouteSocket,
    near: VethEnd<'_>,
    far: VethEnd<'_>,
    pid: u32,
) -> io::Result<()> {
    let request = Request::new(libc::RTM_NEWLINK, CREATE, &ifinfomsg(near.index, 0, 0));
    route.execute(request.attribute_str(libc::IFLA_IFNAME, near.name).nest(
        libc::IFLA_LINKINFO,
        |info| {
            info.attribute_str(libc::IFLA_INFO_KIND, VETH_KIND).nest(libc::IFLA_INFO_DATA, |data| {
                data.nest(VETH_INFO_PEER, |peer| {
                    peer.structure(&ifinfomsg(far.index, 0, 0))
                        .attribute_str(libc::IFLA_IFNAME, far.name)
                        .attribute_u32(libc::IFLA_NET_NS_PID, pid)
                })
            })
        },
    ))
}

/// Creates a bridge without spanning tree and without an IPv6 address, so that it sends no frames
/// of its own.
pub(crate) fn create_bridge(route: &mut RouteSocket, name: &str, mtu: u32) -> io::Result<()> {
    let request = Request::new(libc::RTM_NEWLINK, CREATE, &ifinfomsg(0, 0, 0));
    route.execute(
        request.attribute_str(libc::IFLA_IFNAME, name).attribute_u32(libc::IFLA_MTU, mtu).nest(
            libc::IFLA_LINKINFO,
            |info| {
                info.attribute_str(libc::IFLA_INFO_KIND, BRIDGE_KIND)
                    .nest(libc::IFLA_INFO_DATA, |data| data.attribute_u32(IFLA_BR_STP_STATE, 0))
            },
        ),
    )?;
    let bridge = link::find(route, name)?;
    let request = Request::new(libc::RTM_SETLINK, 0, &ifinfomsg(bridge.ifindex, 0, 0));
    let silent = route.execute(request.nest(libc::IFLA_AF_SPEC, |families| {
        families.nest(libc::AF_INET6 as u16, |inet6| {
            inet6.attribute(IFLA_INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE])
        })
    }));
    match silent {
        // The kernel has no IPv6.
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => Ok(()),
        result => result,
    }
}

/// Adds an address to an interface, without duplicate address detection.
pub(crate) fn add_address(
    route: &mut RouteSocket,
    link: &LinkInfo,
    address: IpAddr,
    prefix_len: u8,
) -> io::Result<()> {
    let (family, flags, octets) = match address {
        IpAddr::V4(v4) => (libc::AF_INET, 0, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6, libc::IFA_F_NODAD, v6.octets().to_vec()),
    };
    // struct ifaddrmsg: family, prefix length, flags, scope, u32 index.
    let mut body = [family as u8, prefix_len, flags as u8, 0, 0, 0, 0, 0];
    body[4..].copy_from_slice(&link.ifindex.to_ne_bytes());
    route.execute(
        Request::new(libc::RTM_NEWADDR, CREATE, &body)
            .attribute(libc::IFA_LOCAL, &octets)
            .attribute(libc::IFA_ADDRESS, &octets),
    )
}

/// Whether the interface is a bridge port in the forwarding state.
pub(crate) fn forwards(route: &mut RouteSocket, name: &str) -> io::Result<bool> {
    let mut state = None;
    let request = Request::new(libc::RTM_GETLINK, 0, &ifinfomsg(0, 0, 0));
    route.query(request.attribute_str(libc::IFLA_IFNAME, name), &mut |message| {
        let attributes = message.payload.get(link::BODY..).unwrap_or_default();
        state = attribute(attributes, libc::IFLA_LINKINFO)
            .and_then(|info| attribute(info, libc::IFLA_INFO_SLAVE_DATA))
            .and_then(|port| attribute(port, IFLA_BRPORT_STATE)?.first().copied());
    })?;
    Ok(state == Some(BR_STATE_FORWARDING))
}

fn attribute(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    Attributes(attributes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// Gives an interface, which must be down on older kernels, another name.
pub(crate) fn rename(route: &mut RouteSocket, ifindex: u32, name: &str) -> io::Result<()> {
    let request = Request::new(libc::RTM_SETLINK, 0, &ifinfomsg(ifindex, 0, 0));
    route.execute(request.attribute_str(libc::IFLA_IFNAME, name))
}

/// Moves an interface into the network namespace of the process `pid`.
pub(crate) fn move_to(route: &mut RouteSocket, ifindex: u32, pid: u32) -> io::Result<()> {
    let request = Request::new(libc::RTM_SETLINK, 0, &ifinfomsg(ifindex, 0, 0));
    route.execute(request.attribute_u32(libc::IFLA_NET_NS_PID, pid))
}

/// Sets the LACP priority of a port of a bond.
pub(crate) fn set_actor_port_prio(
    route: &mut RouteSocket,
    ifindex: u32,
    prio: u16,
) -> io::Result<()> {
    let request = Request::new(libc::RTM_NEWLINK, 0, &ifinfomsg(ifindex, 0, 0));
    route.execute(request.nest(libc::IFLA_LINKINFO, |info| {
        info.attribute_str(libc::IFLA_INFO_SLAVE_KIND, BOND_KIND)
            .nest(libc::IFLA_INFO_SLAVE_DATA, |port| {
                port.attribute(IFLA_BOND_SLAVE_ACTOR_PORT_PRIO, &prio.to_ne_bytes())
            })
    }))
}

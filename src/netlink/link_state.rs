//! The means of holding a link down: `IFLA_PROTO_DOWN` of an interface, and the link state of a virtual
//! function (`IFLA_VF_LINK_STATE`; `linux/if_link.h`).

use std::io;

use super::link::{BODY, ifinfomsg};
use super::message::{Attributes, Message, Request, attribute, read_u32};
use super::socket::RouteSocket;

/// Attribute in `IFLA_VFINFO_LIST`, one for each virtual function.
const IFLA_VF_INFO: u16 = 1;
/// `struct ifla_vf_link_state`: u32 number of the function, u32 state.
const IFLA_VF_LINK_STATE: u16 = 5;
/// Flags of `IFLA_EXT_MASK`: with the virtual functions, without counters.
const VFS_WITHOUT_STATS: u32 = 1 << 0 | 1 << 3;

/// `IFLA_VF_LINK_STATE_DISABLE`: the virtual function has no link.
pub const VF_DISABLED: u32 = 2;

/// Reads whether a protocol holds an interface down; `None` before Linux 4.1, which ignores the
/// attribute.
///
/// # Errors
/// `ENODEV` if there is no such interface.
pub fn proto_down(route: &mut RouteSocket, ifindex: u32) -> io::Result<Option<bool>> {
    let mut found = None;
    let request = Request::new(libc::RTM_GETLINK, 0, &ifinfomsg(ifindex, 0, 0));
    route.query(request, &mut |message| {
        let attributes = message.payload.get(BODY..).unwrap_or_default();
        found = attribute(attributes, libc::IFLA_PROTO_DOWN).map(|value| value != [0]);
    })?;
    Ok(found)
}

/// Takes the carrier from an interface, or gives the carrier back. The interface stays
/// administratively up.
///
/// # Errors
/// `EOPNOTSUPP` if the driver cannot, as most drivers; `EBUSY` while another protocol holds the
/// interface down.
pub fn set_proto_down(route: &mut RouteSocket, ifindex: u32, down: bool) -> io::Result<()> {
    let request = Request::new(libc::RTM_SETLINK, 0, &ifinfomsg(ifindex, 0, 0));
    route.execute(request.attribute(libc::IFLA_PROTO_DOWN, &[u8::from(down)]))
}

/// Reads the link state of a virtual function.
///
/// # Errors
/// `ENODEV` if there is no such interface or no such function.
pub fn vf_state(route: &mut RouteSocket, ifindex: u32, vf: u16) -> io::Result<u32> {
    let mut found = None;
    let request = Request::new(libc::RTM_GETLINK, 0, &ifinfomsg(ifindex, 0, 0));
    let request = request.attribute_u32(libc::IFLA_EXT_MASK, VFS_WITHOUT_STATS);
    route.query(request, &mut |message| found = found.or(parse_vf_state(&message, vf.into())))?;
    found.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
}

fn parse_vf_state(message: &Message<'_>, vf: u32) -> Option<u32> {
    let list = attribute(message.payload.get(BODY..)?, libc::IFLA_VFINFO_LIST)?;
    let vfs = Attributes(list).filter(|(kind, _)| *kind == IFLA_VF_INFO);
    let mut states = vfs.filter_map(|(_, info)| attribute(info, IFLA_VF_LINK_STATE));
    states.find(|state| read_u32(state, 0) == Some(vf)).and_then(|state| read_u32(state, 4))
}

/// Sets the link state of a virtual function.
///
/// # Errors
/// `EOPNOTSUPP` if the driver cannot, `EINVAL` for a function that does not exist.
pub fn set_vf_state(route: &mut RouteSocket, ifindex: u32, vf: u16, state: u32) -> io::Result<()> {
    let value = [u32::from(vf), state].map(u32::to_ne_bytes).concat();
    let request = Request::new(libc::RTM_SETLINK, 0, &ifinfomsg(ifindex, 0, 0));
    route.execute(request.nest(libc::IFLA_VFINFO_LIST, |list| {
        list.nest(IFLA_VF_INFO, |info| info.attribute(IFLA_VF_LINK_STATE, &value))
    }))
}

#[cfg(test)]
mod tests {
    use super::super::message::Messages;
    use super::*;

    #[test]
    fn the_link_state_is_that_of_the_numbered_function() {
        let info = |list: Request, vf: u32, state: u32| {
            let value = [vf, state].map(u32::to_ne_bytes).concat();
            list.nest(IFLA_VF_INFO, |info| info.attribute(IFLA_VF_LINK_STATE, &value))
        };
        let message = Request::new(libc::RTM_NEWLINK, 0, &ifinfomsg(7, 0, 0));
        let message = message.nest(libc::IFLA_VFINFO_LIST, |list| {
            let list = info(info(list, 0, VF_DISABLED), 1, 1);
            list.nest(IFLA_VF_INFO, |cut| cut.attribute(IFLA_VF_LINK_STATE, &2_u32.to_ne_bytes()))
        });
        let bytes = message.finish(1, false).unwrap();
        let message = Messages(&bytes).next().unwrap();
        assert_eq!(
            [0, 1, 2, 3].map(|vf| parse_vf_state(&message, vf)),
            [Some(VF_DISABLED), Some(1), None, None]
        );
    }

    #[test]
    fn the_loopback_has_no_virtual_function_and_no_protocol_holds_it_down() {
        let mut route = RouteSocket::open().unwrap();
        let ifindex = super::super::link::find(&mut route, "lo").unwrap().ifindex;
        assert_eq!(proto_down(&mut route, ifindex).unwrap(), Some(false));
        let error = vf_state(&mut route, ifindex, 0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
}

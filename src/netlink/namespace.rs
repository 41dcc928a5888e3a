//! The numbers of other network namespaces in this one (`RTM_GETNSID`, `linux/net_namespace.h`), and
//! their interfaces.
//!
//! The kernel gives another namespace a number here when an interface moves there from here, or when
//! a program requests a number. Messages about an interface name its lower interface by this number
//! and an index.

use std::io;

use super::link;
use super::message::{Message, Request, attribute, read_u32};
use super::socket::RouteSocket;

const NETNSA_NSID: u16 = 1;
const NETNSA_PID: u16 = 2;
/// Bytes of `struct rtgenmsg`, padded.
const BODY: usize = 4;

/// Number of a network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamespaceId(pub u32);

impl NamespaceId {
    /// Reads a number; `None` for a negative number, by which the kernel says that there is none.
    pub fn read(value: &[u8]) -> Option<Self> {
        read_u32(value, 0).filter(|id| i32::try_from(*id).is_ok()).map(NamespaceId)
    }

    /// Parses an answer to [`dump`]; `None` for other messages.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let attributes = message.payload.get(BODY..).filter(|_| message.kind == libc::RTM_NEWNSID);
        Self::read(attribute(attributes?, NETNSA_NSID)?)
    }
}

/// Returns a request for the numbers of all namespaces, this one among them if it has a number.
pub fn dump() -> Request {
    Request::new(libc::RTM_GETNSID, libc::NLM_F_DUMP as u16, &[0; BODY])
}

/// Returns the number of the calling process's own namespace; `None` if it has none.
pub fn own(route: &mut RouteSocket) -> io::Result<Option<NamespaceId>> {
    let mut own = None;
    let request = Request::new(libc::RTM_GETNSID, 0, &[0; BODY]);
    let request = request.attribute_u32(NETNSA_PID, std::process::id());
    route.query(request, &mut |message| own = NamespaceId::parse(&message))?;
    Ok(own)
}

/// Returns a request for all interfaces of a namespace.
///
/// The kernel answers with `EACCES` without CAP_NET_ADMIN there, and with `EINVAL` if the namespace is
/// gone.
pub fn dump_links(namespace: NamespaceId) -> Request {
    link::dump().attribute_u32(libc::IFLA_TARGET_NETNSID, namespace.0)
}

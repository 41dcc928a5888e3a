//! The numbers of other network namespaces in this one (`RTM_GETNSID`, `linux/net_namespace.h`), and
//! their interfaces.
//!
//! The kernel gives another namespace a number here when an interface moves there from here, or when
//! a program requests a number. Messages about an interface name its lower interface by this number
//! and an index.

use std::io;

use super::link::{self, LinkInfo};
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

    fn parse(message: &Message<'_>) -> Option<Self> {
        let attributes = message.payload.get(BODY..).filter(|_| message.kind == libc::RTM_NEWNSID);
        Self::read(attribute(attributes?, NETNSA_NSID)?)
    }
}

/// Returns the numbers of at most `limit` namespaces, this one among them if it has a number.
pub fn numbered(route: &mut RouteSocket, limit: usize) -> io::Result<Vec<NamespaceId>> {
    let mut ids = Vec::new();
    let request = Request::new(libc::RTM_GETNSID, libc::NLM_F_DUMP as u16, &[0; BODY]);
    route.query(request, &mut |message| {
        ids.extend(NamespaceId::parse(&message).filter(|_| ids.len() < limit));
    })?;
    Ok(ids)
}

/// Returns the number of the calling process's own namespace; `None` if it has none.
pub fn own(route: &mut RouteSocket) -> io::Result<Option<NamespaceId>> {
    let mut own = None;
    let request = Request::new(libc::RTM_GETNSID, 0, &[0; BODY]);
    let request = request.attribute_u32(NETNSA_PID, std::process::id());
    route.query(request, &mut |message| own = NamespaceId::parse(&message))?;
    Ok(own)
}

/// Reads all interfaces of a namespace.
///
/// # Errors
/// `EACCES` without CAP_NET_ADMIN there, `EINVAL` if the namespace is gone.
pub fn links(route: &mut RouteSocket, namespace: NamespaceId) -> io::Result<Vec<LinkInfo>> {
    let mut links = Vec::new();
    let request = link::dump().attribute_u32(libc::IFLA_TARGET_NETNSID, namespace.0);
    route.query(request, &mut |message| links.extend(LinkInfo::parse(&message)))?;
    Ok(links)
}

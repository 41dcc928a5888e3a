//! Generic netlink: a family has a fixed name; its numbers are resolved at run time.
//!
//! Source: `linux/genetlink.h`, family `nlctrl`.

use std::io;

use super::message::{Attributes, Message, Request, read_str, read_u16, read_u32};
use super::socket::GenericSocket;

/// Bytes of `struct genlmsghdr`: command, version, two reserved.
pub const HEADER: usize = 4;

const NLCTRL: u16 = 0x10;
const GETFAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
const MCAST_GROUPS: u16 = 7;
const GROUP_NAME: u16 = 1;
const GROUP_ID: u16 = 2;

/// The numbers of a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Message type of its requests, answers and events.
    pub id: u16,
    /// Its multicast groups, by name.
    pub groups: Vec<(String, u32)>,
}

impl Family {
    /// Resolves the family called `name`; the kernel loads no module for that.
    ///
    /// # Errors
    /// `ENOENT` if there is none.
    pub fn resolve(socket: &mut GenericSocket, name: &str) -> io::Result<Family> {
        let header = header(GETFAMILY);
        let request = Request::new(NLCTRL, 0, &header).attribute_str(FAMILY_NAME, name);
        let mut family = None;
        socket.query(request, &mut |message| family = Family::parse(&message))?;
        family.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }

    fn parse(message: &Message<'_>) -> Option<Family> {
        let mut id = None;
        let mut groups = Vec::new();
        for (kind, value) in Attributes(message.payload.get(HEADER..)?) {
            match kind {
                FAMILY_ID => id = read_u16(value, 0),
                MCAST_GROUPS => groups.extend(Attributes(value).filter_map(|(_, it)| group(it))),
                _ => (),
            }
        }
        Some(Family { id: id?, groups })
    }

    /// Returns the number of a multicast group.
    ///
    /// # Errors
    /// `ENOENT` if the family has none of that name.
    pub fn group(&self, name: &str) -> io::Result<u32> {
        let found = self.groups.iter().find(|(known, _)| known == name);
        found
            .map(|(_, id)| *id)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }
}

fn group(nest: &[u8]) -> Option<(String, u32)> {
    let mut name = None;
    let mut id = None;
    for (kind, value) in Attributes(nest) {
        match kind {
            GROUP_NAME => name = read_str(value),
            GROUP_ID => id = read_u32(value, 0),
            _ => (),
        }
    }
    Some((name?.to_owned(), id?))
}

/// Returns the header of a request; every family here is at version 1.
pub fn header(command: u8) -> [u8; HEADER] {
    [command, 1, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_resolves_its_own_family() {
        let mut socket = GenericSocket::open().unwrap();
        let family = Family::resolve(&mut socket, "nlctrl").unwrap();
        assert_eq!(family.id, NLCTRL);
        assert!(family.group("notify").is_ok());
        assert!(family.group("no such group").is_err());
    }

    #[test]
    fn an_absent_family_is_enoent() {
        let mut socket = GenericSocket::open().unwrap();
        let error = Family::resolve(&mut socket, "no-such-family").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    }
}

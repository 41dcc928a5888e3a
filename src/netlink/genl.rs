//! Generic netlink: a family has a fixed name; its numbers are resolved at run time.
//!
//! Source: `linux/genetlink.h`, family `nlctrl`.

use std::io;

use super::message::{Attributes, Message, Request, attribute, read_str, read_u16, read_u32};
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
        let attributes = message.payload.get(HEADER..)?;
        let id = read_u16(attribute(attributes, FAMILY_ID)?, 0)?;
        let groups = Attributes(attribute(attributes, MCAST_GROUPS).unwrap_or_default());
        Some(Family { id, groups: groups.filter_map(|(_, nest)| group(nest)).collect() })
    }

    /// Returns the number of a multicast group.
    ///
    /// # Errors
    /// `ENOENT` if the family has none of that name.
    pub fn group(&self, name: &str) -> io::Result<u32> {
        let found = self.groups.iter().find(|(known, _)| known == name);
        found.map(|(_, id)| *id).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }
}

fn group(nest: &[u8]) -> Option<(String, u32)> {
    let name = read_str(attribute(nest, GROUP_NAME)?)?;
    Some((name.to_owned(), read_u32(attribute(nest, GROUP_ID)?, 0)?))
}

/// Returns the header of a request; every family here is at version 1.
pub fn header(command: u8) -> [u8; HEADER] {
    [command, 1, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_resolves_its_own_family_and_no_absent_one() {
        let mut socket = GenericSocket::open().unwrap();
        let family = Family::resolve(&mut socket, "nlctrl").unwrap();
        assert_eq!(family.id, NLCTRL);
        assert!(family.group("notify").is_ok());
        assert!(family.group("no such group").is_err());
        let error = Family::resolve(&mut socket, "no-such-family").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    }
}

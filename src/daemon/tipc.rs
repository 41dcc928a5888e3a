//! The TIPC bearers that have a link: a subscription at the kernel's topology server.
//!
//! Owns the subscription and the links that are up; the core decides what they mean for a port.
//! Standard: tipc(7) and `linux/tipc.h`. Numbers are sent in network order, and events then come
//! in the same order.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::sys::tipc::TopologySocket;

/// Service type of link states.
const TIPC_LINK_STATE: u32 = 2;
/// One event for each link.
const TIPC_SUB_PORTS: u32 = 1;
const FOR_EVER: u32 = u32::MAX;
/// Milliseconds until the timeout event, before which the existing links are published.
const FIRST_TIMEOUT: u32 = 100;
const TIPC_PUBLISHED: u32 = 1;
const TIPC_WITHDRAWN: u32 = 2;
const TIPC_SUBSCR_TIMEOUT: u32 = 3;

/// `struct tipc_event`.
const EVENT: usize = 48;

/// One subscription.
#[derive(Debug)]
pub struct TipcLinks {
    socket: TopologySocket,
    /// Interface parts of the bearers of links that are up, by the peer's address and the
    /// kernel's number of the bearer.
    up: BTreeMap<(u32, u32), String>,
    /// All links that existed at the beginning were published.
    is_complete: bool,
}

impl TipcLinks {
    /// Subscribes; events come under `token`, the first one soon even without links.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` if the kernel has no TIPC.
    pub fn subscribe(registry: &Registry, token: Token) -> io::Result<TipcLinks> {
        let socket = TopologySocket::connect()?;
        for timeout in [FOR_EVER, FIRST_TIMEOUT] {
            socket.send(&subscription(timeout))?;
        }
        registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)?;
        Ok(TipcLinks { socket, up: BTreeMap::new(), is_complete: false })
    }

    /// Returns the bearers that have a link; `None` until the existing links were published.
    pub fn bearers(&self) -> Option<BTreeSet<String>> {
        self.is_complete.then(|| self.up.values().cloned().collect())
    }

    /// Reads all pending events.
    ///
    /// # Errors
    /// Errors of the connection.
    pub fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; EVENT];
        while let Some(length) = self.socket.receive(&mut buffer)? {
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if length == EVENT {
                self.update(&buffer);
            }
        }
        Ok(())
    }

    fn update(&mut self, event: &[u8; EVENT]) {
        let word = |at: usize| event[4 * at..].first_chunk().map(|b| u32::from_be_bytes(*b));
        let (Some(what), Some(peer), Some(bearer)) = (word(0), word(1), word(3)) else {
            return;
        };
        match what {
            TIPC_PUBLISHED => match self.socket.link_name(peer, bearer) {
                Ok(name) => {
                    let interface = local_interface(&name).unwrap_or_default();
                    self.up.insert((peer, bearer), interface.to_owned());
                }
                // The link is down again.
                Err(error) => log::debug!("a TIPC link has no name: {error}"),
            },
            TIPC_WITHDRAWN => {
                self.up.remove(&(peer, bearer));
            }
            TIPC_SUBSCR_TIMEOUT => self.is_complete = true,
            _ => {}
        }
    }
}

/// Returns a `struct tipc_subscr` for all links.
fn subscription(timeout: u32) -> Vec<u8> {
    let words = [TIPC_LINK_STATE, 0, u32::MAX, timeout, TIPC_SUB_PORTS];
    let handle = [0; 8];
    let words = words.iter().flat_map(|word| word.to_be_bytes());
    words.chain(handle).collect()
}

/// Returns the local interface of the link `NODE:INTERFACE-NODE:INTERFACE`. A node is a number in
/// hexadecimal, three numbers with dots, or a name; names and interfaces may contain a hyphen.
fn local_interface(link: &str) -> Option<&str> {
    let (_, rest) = link.split_once(':')?;
    let (both, _) = rest.rsplit_once(':')?;
    let (interface, peer) = both.rsplit_once('-')?;
    let is_number = |byte: u8| byte.is_ascii_hexdigit() || byte == b'.';
    match peer.bytes().all(is_number) {
        true => Some(interface),
        false => both.split_once('-').map(|(interface, _)| interface),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_interface_of_a_link_is_found() {
        for (link, interface) in [
            ("1.1.1:eth1-1.1.2:eth0", Some("eth1")),
            ("a00020f:eth1-a000210:unknown", Some("eth1")),
            ("1001001:p-1.5-1001002:p-2", Some("p-1.5")),
            ("here:eth1-over-there:eth2", Some("eth1")),
            ("eth1", None),
            ("a:b:c", None),
            ("a:-:", Some("")),
            ("", None),
        ] {
            assert_eq!(local_interface(link), interface, "{link}");
        }
    }

    #[test]
    fn a_subscription_has_network_order() {
        let bytes = subscription(FIRST_TIMEOUT);
        assert_eq!(bytes.len(), 28);
        assert_eq!(bytes[..4], [0, 0, 0, 2]);
        assert_eq!(bytes[8..20], [255, 255, 255, 255, 0, 0, 0, 100, 0, 0, 0, 1]);
    }
}

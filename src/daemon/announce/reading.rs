//! Reads the host's interfaces and addresses in steps: with thousands of interfaces the whole reading
//! takes longer than control frames may wait.

use std::collections::BTreeMap;
use std::io;

use super::Network;
use crate::netlink::address::{self, InterfaceAddress};
use crate::netlink::link::{self, LinkInfo};
use crate::netlink::message::{Message, Request};
use crate::netlink::namespace::{self, NamespaceId};
use crate::netlink::{Dump, Progress, RouteSocket, fdb};

use runners::HwAddr;

/// Most namespaces that are searched for upper devices.
const MOST_NAMESPACES: usize = 256;
/// Most addresses of other namespaces that are announced for one interface.
const MOST_ADDRESSES: usize = 1024;

/// Datagrams that one step reads. A datagram has up to 30 interfaces and takes about 100 µs.
const DATAGRAMS: usize = 16;

/// What is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Links,
    Addresses,
    /// The unicast addresses that interfaces receive.
    Received,
    /// The numbers of other namespaces.
    Namespaces,
    /// The interfaces of another namespace.
    LinksOf(NamespaceId),
}

/// A reading that is under way.
#[derive(Debug)]
pub struct NetworkReading {
    route: RouteSocket,
    stage: Stage,
    dump: Dump,
    network: Network,
    /// Namespaces whose interfaces are to be read.
    namespaces: Vec<NamespaceId>,
    /// Interfaces of other namespaces, each with the namespace and the index of its lower interface.
    elsewhere: Vec<(NamespaceId, u32, LinkInfo)>,
}

impl NetworkReading {
    /// Returns a reading without a request.
    ///
    /// # Errors
    /// Errors of opening a socket.
    pub fn start() -> io::Result<Self> {
        Ok(NetworkReading {
            route: RouteSocket::open()?,
            stage: Stage::Links,
            dump: Dump::new(link::dump()),
            network: Network::default(),
            namespaces: Vec::new(),
            elsewhere: Vec::new(),
        })
    }

    /// Reads some more. Returns the network once everything was read; the reading is then over.
    ///
    /// # Errors
    /// The kernel's, when the links or the addresses cannot be read.
    pub fn step(&mut self) -> io::Result<Option<Network>> {
        for _ in 0..DATAGRAMS {
            if self.read_datagram()? {
                self.network.elsewhere = self.links_elsewhere();
                return Ok(Some(std::mem::take(&mut self.network)));
            }
        }
        Ok(None)
    }

    /// Reads one datagram; returns whether it was the last one.
    fn read_datagram(&mut self) -> io::Result<bool> {
        let answered = match self.dump.step(&mut self.route) {
            Ok(Progress::More) => return Ok(false),
            Ok(Progress::Complete) => Ok(()),
            Err(error) => Err(error),
        };
        match self.stage {
            Stage::Links | Stage::Addresses => answered?,
            // The namespace may be gone, or belong to a user who grants no access.
            Stage::LinksOf(_) if answered.is_err() => {}
            Stage::Received | Stage::Namespaces | Stage::LinksOf(_) => {
                if let Err(error) = answered {
                    log::debug!("Failed to read the interfaces of other namespaces: {error}");
                }
            }
        }
        let dump = std::mem::replace(&mut self.dump, Dump::new(link::dump()));
        match self.take(dump.messages()) {
            Some((stage, request)) => {
                self.stage = stage;
                self.dump = Dump::new(request);
                Ok(false)
            }
            None => Ok(true),
        }
    }

    /// Takes the answer of this stage; returns the next stage and its request.
    fn take<'a>(&mut self, answer: impl Iterator<Item = Message<'a>>) -> Option<(Stage, Request)> {
        match self.stage {
            Stage::Links => {
                let links = answer.filter_map(|message| LinkInfo::parse(&message));
                self.network.add_links(links);
                Some((Stage::Addresses, address::dump()))
            }
            Stage::Addresses => {
                let addresses = answer.filter_map(|message| InterfaceAddress::parse(&message));
                self.network.add_addresses(address::distinct(addresses));
                Some((Stage::Received, fdb::dump()))
            }
            Stage::Received => {
                self.network.received = fdb::unicast_addresses(answer, MOST_ADDRESSES);
                Some((Stage::Namespaces, namespace::dump()))
            }
            Stage::Namespaces => {
                let ids = answer.filter_map(|message| NamespaceId::parse(&message));
                self.namespaces = ids.take(MOST_NAMESPACES).collect();
                self.next_namespace()
            }
            Stage::LinksOf(_) => {
                let links = answer.filter_map(|message| LinkInfo::parse(&message));
                self.elsewhere.extend(links.filter_map(|link| {
                    let (namespace, lower) = link.lower_elsewhere?;
                    (link.hwaddr != HwAddr::default()).then_some((namespace, lower, link))
                }));
                self.next_namespace()
            }
        }
    }

    fn next_namespace(&mut self) -> Option<(Stage, Request)> {
        let id = self.namespaces.pop()?;
        Some((Stage::LinksOf(id), namespace::dump_links(id)))
    }

    /// Returns the interfaces of other namespaces that are stacked on interfaces of this one, by the
    /// index of the lower interface.
    fn links_elsewhere(&mut self) -> BTreeMap<u32, Vec<LinkInfo>> {
        let mut elsewhere: BTreeMap<u32, Vec<LinkInfo>> = BTreeMap::new();
        if self.elsewhere.is_empty() {
            return elsewhere;
        }
        // The answers have given this namespace a number.
        let own = namespace::own(&mut self.route).unwrap_or_else(|error| {
            log::debug!("Failed to read the number of the own namespace: {error}");
            None
        });
        let links = std::mem::take(&mut self.elsewhere).into_iter();
        for (_, lower, link) in links.filter(|(id, ..)| Some(*id) == own) {
            elsewhere.entry(lower).or_default().push(link);
        }
        elsewhere
    }
}

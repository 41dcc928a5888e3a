//! The data path of our own, for kernels without the team driver: a TAP is the team device,
//! and a packet socket on each port carries its frames.
//!
//! Owns the descriptors, the filters that keep the host's stack off the ports, and the note by
//! which a later start can give ports back. Segments of 64 KiB pass whole and checksums
//! unfinished in both directions. One frame is under way at a time, in one buffer.

mod buffer;
mod closing;
mod journal;
mod port;
mod relay;
mod tap;

use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use runners::{BUCKETS, Forwarding, HwAddr, Instant, PeerSeen, PortId, StationSeen, TxPolicy};

use super::{Counters, DataPath, Drained, MARK, PortCare, PortInterface};
use crate::netlink::{RouteSocket, tc};

pub use journal::Journal;
pub use tap::TapOptions;

use port::Port;
use relay::Relay;
use tap::Tap;

/// Frames that are looked at on each port before the forwarding changes; more do not wait there
/// unless we are flooded.
const WAITING_FRAMES: usize = 1024;

/// A team device and its ports, in user space.
///
/// The first of its tokens stands for the team device, the others for ports. Hand every event
/// of these tokens to [`drain_ready`](DataPath::drain_ready), errors and hang-ups too.
#[derive(Debug)]
pub struct Userspace {
    registry: Registry,
    tokens: Range<usize>,
    route: RouteSocket,
    journal: Journal,
    tap: Tap,
    /// The place of a port is that of its token.
    ports: Vec<Option<Port>>,
    relay: Relay,
}

impl Userspace {
    /// Creates the team device, down and without carrier, or takes it over. Ports will be
    /// noted in `journal`.
    ///
    /// # Errors
    /// `EBUSY` if the device exists and is not to be taken over, or another process has it;
    /// `EINVAL` if its name belongs to an interface of another kind; `ENOENT` without
    /// `/dev/net/tun`; `EPERM` without CAP_NET_ADMIN.
    pub fn create(
        registry: Registry,
        tokens: Range<usize>,
        options: &TapOptions,
        journal: Journal,
    ) -> io::Result<Self> {
        let mut route = RouteSocket::open()?;
        let tap = Tap::open(&mut route, options)?;
        registry.register(
            &mut SourceFd(&tap.as_raw_fd()),
            Token(tokens.start),
            Interest::READABLE,
        )?;
        Ok(Userspace {
            registry,
            tokens,
            route,
            journal,
            tap,
            ports: Vec::new(),
            relay: Relay::new(),
        })
    }

    /// Interface index of the team device.
    pub fn ifindex(&self) -> u32 {
        self.tap.ifindex
    }

    /// Name of the team device when it was created.
    pub fn name(&self) -> &str {
        &self.tap.name
    }

    /// Address of the team device when it was created.
    pub fn hwaddr(&self) -> HwAddr {
        self.tap.hwaddr
    }

    /// Opens a port's socket and listens to it.
    fn open_port(&mut self, id: PortId, ifindex: u32) -> io::Result<()> {
        let free = self.ports.iter().position(Option::is_none);
        let place = free.unwrap_or(self.ports.len());
        let token = self.tokens.start + 1 + place;
        if !self.tokens.contains(&token) {
            return Err(io::Error::other("no token is left for another port"));
        }
        let port = Port::open(id, ifindex)?;
        self.registry.register(
            &mut SourceFd(&port.socket.as_raw_fd()),
            Token(token),
            Interest::READABLE,
        )?;
        if free.is_none() {
            self.ports.push(None);
        }
        self.ports[place] = Some(port);
        Ok(())
    }
}

impl DataPath for Userspace {
    fn port_care(&self) -> PortCare {
        PortCare::Daemon
    }

    fn attach_port(&mut self, port: PortId, interface: &PortInterface) -> io::Result<()> {
        let ifindex = interface.ifindex;
        for other in self.ports.iter().flatten() {
            match (other.id == port, other.ifindex == ifindex) {
                (true, true) => return Ok(()),
                (false, false) => (),
                _ => return Err(io::Error::from_raw_os_error(libc::EBUSY)),
            }
        }
        self.journal.record(interface)?;
        // The host is silenced before the socket hears, or it would see frames twice.
        let attached = tc::block_host(&mut self.route, ifindex, MARK)
            .and_then(|()| self.open_port(port, ifindex));
        if attached.is_err() {
            let undone = tc::unblock_host(&mut self.route, ifindex)
                .and_then(|()| self.journal.forget(ifindex));
            if let Err(error) = undone {
                log::warn!("{}: cannot give back: {error}", interface.name);
            }
        }
        attached
    }

    /// Restore the address and the MTU first: the note of them goes with the port.
    fn detach_port(&mut self, port: PortId) -> io::Result<()> {
        for place in &mut self.ports {
            if let Some(it) = place.take_if(|it| it.id == port) {
                let ifindex = it.ifindex;
                let fd = it.socket.as_raw_fd();
                let deregistered = self.registry.deregister(&mut SourceFd(&fd));
                closing::close(it);
                tc::unblock_host(&mut self.route, ifindex)?;
                self.journal.forget(ifindex)?;
                deregistered?;
            }
        }
        Ok(())
    }

    /// What came in before the change is judged by the rule of its time: frames that wait on a
    /// port which now begins to receive were for nobody (the active port brought them already),
    /// and those on a port which ends receiving are still wanted.
    fn apply_forwarding(&mut self, forwarding: &Forwarding) -> io::Result<()> {
        for port in self.ports.iter().flatten() {
            self.relay.receive(port, &self.tap, WAITING_FRAMES);
        }
        self.relay.distributor.apply(forwarding);
        self.relay.balanced = matches!(
            forwarding.policy,
            TxPolicy::LoadBalance { balanced: true, .. }
                | TxPolicy::SourceBalance { balanced: true, .. }
        );
        Ok(())
    }

    fn set_time(&mut self, now: Instant) {
        self.relay.distributor.set_time(now);
    }

    fn drain_ready(&mut self, token: Token, budget: usize) -> io::Result<Drained> {
        let Some(place) = token.0.checked_sub(self.tokens.start) else {
            return Ok(Drained::Dry);
        };
        if place == 0 {
            return self.relay.transmit(&self.tap, &mut self.ports, budget);
        }
        // An event may outlive its port.
        match self.ports.get(place - 1) {
            Some(Some(port)) => Ok(self.relay.receive(port, &self.tap, budget)),
            _ => Ok(Drained::Dry),
        }
    }

    fn counters(&self) -> Counters {
        let ports = || self.ports.iter().flatten();
        Counters {
            tx_dropped: ports().map(|port| (port.id, port.tx_dropped)).collect(),
            tx_no_port: self.relay.tx_no_port,
            rx_inactive: self.relay.rx_inactive,
            rx_missed: ports().map(|port| (port.id, port.rx_missed())).collect(),
            rx_dropped: self.relay.rx_dropped,
            rx_echoes: self.relay.rx_echoes,
            resyncs: 0,
        }
    }

    fn stations(&self) -> Vec<StationSeen> {
        self.relay.distributor.stations()
    }

    fn peers(&self) -> Vec<PeerSeen> {
        self.relay.distributor.peers()
    }

    fn bucket_bytes(&self) -> Box<[u64; BUCKETS]> {
        self.relay.bucket_bytes.clone()
    }
}

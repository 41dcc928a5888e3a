//! Learning packets: each port periodically sends the team's address there, or the switch would
//! forget the address and flood frames to it.
//!
//! Owns times and frames. The frame is that of the bonding driver: an Ethernet loopback message from
//! an address to itself, untagged and in each VLAN that the team sends in.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::action::Action;
use crate::event::StationSeen;
use crate::ident::{HwAddr, PortId};
use crate::time::Instant;
use crate::wire::announce::learning;

#[derive(Clone, Debug)]
pub(crate) struct Learning {
    interval: Duration,
    due: Option<Instant>,
    /// Packets are due and wait for the VLANs of the team.
    wanted: bool,
}

impl Learning {
    pub(crate) fn new(interval: Duration) -> Self {
        Learning { interval, due: None, wanted: false }
    }

    /// Starts the first interval; later calls do nothing.
    pub(crate) fn start(&mut self, now: Instant) {
        self.due.get_or_insert(now + self.interval);
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Whether packets are due. The caller reads the stations and calls [`packets`](Self::packets).
    pub(crate) fn expire(&mut self, due: Instant, now: Instant) -> bool {
        let is_due = self.due.take_if(|own| *own <= due).is_some();
        if is_due {
            self.due = Some(now + self.interval);
            self.wanted = true;
        }
        is_due
    }

    /// Returns the packets that are due, for ports with the team's address on each.
    pub(crate) fn packets(
        &mut self,
        ports: &[(PortId, HwAddr)],
        stations: &[StationSeen],
    ) -> Vec<Action> {
        if !std::mem::take(&mut self.wanted) {
            return Vec::new();
        }
        let own = stations.iter().filter(|station| station.bucket.is_none());
        let vlans: BTreeSet<u16> = own.map(|station| station.vlan).chain([0]).collect();
        let packet = |(port, hwaddr): &(PortId, HwAddr), vlan: u16| Action::SendFrame {
            port: *port,
            frame: learning(*hwaddr, (vlan != 0).then_some(vlan)),
        };
        let ports = ports.iter();
        ports.flat_map(|port| vlans.iter().map(move |vlan| packet(port, *vlan))).collect()
    }
}

//! Learning packets: each port that the team has an address of its own on shows it to the switch
//! from time to time, which else would forget it and send to it on every port.
//!
//! Owns the times and the frames, which are those of the bonding driver: an Ethernet loopback
//! message from an address to itself, untagged and in each VLAN that the team speaks in.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::action::Action;
use crate::event::StationSeen;
use crate::ident::{HwAddr, PortId};
use crate::time::Instant;
use crate::wire::announce::learning;

#[derive(Debug)]
pub(crate) struct Learning {
    interval: Duration,
    due: Option<Instant>,
    wanted: bool,
}

impl Learning {
    pub(crate) fn new(interval: Duration) -> Self {
        Learning {
            interval,
            due: None,
            wanted: false,
        }
    }

    /// Counts from now, if it does not yet.
    pub(crate) fn start(&mut self, now: Instant) {
        self.due.get_or_insert(now + self.interval);
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Whether packets are due; they have to be made once it is known who speaks.
    pub(crate) fn expire(&mut self, due: Instant, now: Instant) -> bool {
        let came = self.due.take_if(|own| *own <= due).is_some();
        if came {
            self.due = Some(now + self.interval);
            self.wanted = true;
        }
        came
    }

    /// The packets that are due; `ports` are those that carry, with the team's address there.
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
        ports
            .flat_map(|port| vlans.iter().map(move |vlan| packet(port, *vlan)))
            .collect()
    }
}

//! Buckets on ports. Each bucket has a preferred port, so that a switch sees the same addresses on
//! the same link again after a failure and a return.

use std::time::Duration;

use crate::buckets::{BUCKETS, BucketTable};
use crate::ident::PortId;
use crate::time::Instant;

/// Time in which a switch may still send to the port that a bucket has left. An announcement
/// reaches the switch sooner.
pub(super) const PREVIOUS_PORT_TIME: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(super) struct Assignment {
    /// All ports, in the order in which they joined.
    ports: Vec<PortId>,
    usable: Vec<PortId>,
    /// Ports that no longer send, and still receive.
    draining: Vec<PortId>,
    buckets: Box<BucketTable>,
    /// The port that each bucket has left lately.
    previous: Box<BucketTable>,
    previous_until: Option<Instant>,
}

impl Assignment {
    pub(super) fn new() -> Self {
        Assignment {
            ports: Vec::new(),
            usable: Vec::new(),
            draining: Vec::new(),
            buckets: Box::new([None; BUCKETS]),
            previous: Box::new([None; BUCKETS]),
            previous_until: None,
        }
    }

    pub(super) fn usable(&self) -> &[PortId] {
        &self.usable
    }

    pub(super) fn buckets(&self) -> &BucketTable {
        &self.buckets
    }

    pub(super) fn previous(&self) -> &BucketTable {
        &self.previous
    }

    /// Replaces the ports. Returns the buckets that moved.
    pub(super) fn set_ports(
        &mut self,
        now: Instant,
        ports: Vec<PortId>,
        usable: Vec<PortId>,
        draining: Vec<PortId>,
    ) -> Vec<usize> {
        self.draining = draining;
        if ports == self.ports && usable == self.usable {
            return Vec::new();
        }
        let before = self.buckets.clone();
        self.assign(&ports, &usable);
        (self.ports, self.usable) = (ports, usable);
        self.record_moves(now, &before)
    }

    /// Lets `change` move buckets between the usable ports. Returns the buckets that moved.
    pub(super) fn change(
        &mut self,
        now: Instant,
        change: impl FnOnce(&mut BucketTable),
    ) -> Vec<usize> {
        let before = self.buckets.clone();
        change(&mut self.buckets);
        self.record_moves(now, &before)
    }

    /// Moves the buckets of failed ports to usable ones, and those of returned ports back.
    fn assign(&mut self, ports: &[PortId], usable: &[PortId]) {
        let returned = |port: &PortId| !self.usable.contains(port) || !self.ports.contains(port);
        for (place, bucket) in self.buckets.iter_mut().enumerate() {
            let preferred = ports.get(place % ports.len().max(1)).copied();
            let preferred = preferred.filter(|port| usable.contains(port));
            let stays = bucket.is_some_and(|port| usable.contains(&port));
            *bucket = match preferred {
                Some(port) if !stays || returned(&port) => Some(port),
                None if !stays => {
                    let turn = place / ports.len().max(1);
                    usable.get(turn % usable.len().max(1)).copied()
                }
                _ => *bucket,
            };
        }
    }

    fn record_moves(&mut self, now: Instant, before: &BucketTable) -> Vec<usize> {
        let moved = |place: &usize| before[*place] != self.buckets[*place];
        let moved: Vec<usize> = (0..BUCKETS).filter(moved).collect();
        for place in &moved {
            let receives =
                |port: &PortId| self.usable.contains(port) || self.draining.contains(port);
            self.previous[*place] = before[*place].filter(receives);
            self.previous_until = Some(now + PREVIOUS_PORT_TIME);
        }
        moved
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.previous_until
    }

    pub(super) fn expire(&mut self, due: Instant) {
        if self.previous_until.take_if(|until| *until <= due).is_some() {
            self.previous.fill(None);
        }
    }
}

//! Invariants after each step, and the check of the outcome.

use std::collections::BTreeSet;
use std::time::Duration;

use runners::{
    BUCKETS, BucketTable, Event, Forwarding, HwAddrPolicy, Instant, PortId, PortSettings,
    RunnerSettings, Team, TxPolicy,
};

use crate::world::{Fact, World};

impl World {
    pub fn table(&self) -> Option<Box<BucketTable>> {
        match &self.forwarding.as_ref()?.policy {
            TxPolicy::LoadBalance { buckets, .. } => Some(Box::new(**buckets)),
            TxPolicy::SourceBalance { ports, .. } => Some(ports.buckets.clone()),
            _ => None,
        }
    }

    /// Returns the active port by the rule of activebackup, from link watches and the port active
    /// before.
    pub fn expected_active(&mut self, before: Option<PortId>) -> Option<PortId> {
        let RunnerSettings::ActiveBackup { .. } = self.team.settings().runner else {
            return None;
        };
        let usable: Vec<&Fact> = self
            .facts
            .iter()
            .filter(|fact| self.team.port(fact.id).is_some_and(|port| port.watches_up()))
            .filter(|fact| fact.allowed)
            .collect();
        let find = |id: PortId| usable.iter().find(|fact| fact.id == id);
        self.pinned = self.pinned.filter(|pinned| find(*pinned).is_some());
        if self.pinned.is_some() {
            return self.pinned;
        }
        let best = usable.iter().map(|fact| fact.rank()).max()?;
        match before.and_then(find) {
            Some(active) if active.settings.sticky || active.rank() == best => before,
            _ => usable.iter().find(|fact| fact.rank() == best).map(|fact| fact.id),
        }
    }

    /// Checks the invariants.
    pub fn check(&self, active: Option<PortId>) {
        if let Some(due) = self.team.next_deadline() {
            assert!(due > self.now, "a deadline is overdue");
        }
        let forwarding = self.forwarding.as_ref().expect("the first event yields one");
        let listed: Vec<PortId> = forwarding.ports.iter().map(|port| port.port).collect();
        let present: Vec<PortId> = self.facts.iter().map(|fact| fact.id).collect();
        assert_eq!(listed, present);
        for (entry, fact) in forwarding.ports.iter().zip(&self.facts) {
            let port = self.team.port(fact.id).expect("present");
            assert_eq!(port.name(), fact.name);
            assert!(self.team.find_port(&fact.name).is_some());
            assert_eq!(port.link(), fact.link);
            assert_eq!(port.original_hwaddr(), fact.original);
            assert_eq!(entry.distributing, port.is_enabled());
            assert_eq!(entry.linked, fact.link.up);
            let enabled = match self.team.settings().runner {
                RunnerSettings::ActiveBackup { .. } => active == Some(fact.id),
                RunnerSettings::LoadBalance { .. } | RunnerSettings::Slb { .. } => {
                    fact.allowed && port.watches_up()
                }
                _ => fact.allowed,
            };
            let collects_without_link =
                matches!(self.team.settings().runner, RunnerSettings::LoadBalance { .. })
                    && fact.allowed
                    && !fact.link.up;
            assert_eq!(entry.collecting, enabled || collects_without_link, "{fact:?}");
            assert_eq!(entry.distributing, enabled, "{fact:?}");
        }
        let linked = self.facts.iter().filter(|fact| fact.allowed && fact.link.up);
        let carrier = linked.count() >= self.team.settings().min_ports as usize;
        assert_eq!(self.carrier, Some(carrier));
        assert_eq!(self.team.carrier(), carrier);
        match &forwarding.policy {
            TxPolicy::ActiveBackup { active: applied } => assert_eq!(*applied, active),
            TxPolicy::LoadBalance { buckets, balanced, .. } => {
                self.check_buckets(forwarding, buckets, *balanced);
            }
            TxPolicy::SourceBalance { ports, .. } => {
                // Buckets have preferred ports, so they need not be even while a port is missing.
                self.check_buckets(forwarding, &ports.buckets, true);
                let mut usable = forwarding.ports.iter().filter(|port| port.distributing);
                let designated = ports.designated;
                assert_eq!(designated.is_some(), usable.clone().next().is_some());
                assert!(designated.is_none_or(|id| usable.any(|port| port.port == id)));
                assert_eq!(ports.hwaddr, self.team.hwaddr());
            }
            TxPolicy::Broadcast | TxPolicy::RoundRobin { .. } | TxPolicy::Random { .. } => {}
        }
        if self.pending.is_empty() {
            self.check_addresses(active);
        }
    }

    pub fn check_buckets(&self, forwarding: &Forwarding, buckets: &BucketTable, balanced: bool) {
        let enabled = forwarding.ports.iter().filter(|port| port.distributing);
        let shares: Vec<usize> =
            enabled.map(|port| buckets.iter().filter(|b| **b == Some(port.port)).count()).collect();
        let total = if shares.is_empty() { 0 } else { BUCKETS };
        assert_eq!(shares.iter().sum::<usize>(), total, "on enabled ports only");
        assert_eq!(buckets.iter().flatten().count(), total);
        if !balanced {
            let (most, fewest) = (shares.iter().max(), shares.iter().min());
            assert!(most <= fewest.map(|fewest| fewest + 1).as_ref(), "{shares:?}");
        }
    }

    /// Checks that buckets of a port that stays enabled move to newly enabled ports only.
    pub fn check_moves(&self, before: Option<Box<BucketTable>>) {
        let (Some(before), Some(after)) = (before, self.table()) else {
            return;
        };
        let had: BTreeSet<PortId> = before.iter().flatten().copied().collect();
        for (from, to) in before.iter().zip(after.iter()) {
            if let (Some(from), Some(to)) = (from, to) {
                if from == to {
                    continue;
                }
                let stays = self.team.port(*from).is_some_and(|port| port.is_enabled());
                assert!(!stays || !had.contains(to), "needless move");
            }
        }
    }

    /// Checks the addresses; all address events must be delivered.
    pub fn check_addresses(&self, active: Option<PortId>) {
        assert_eq!(self.team.hwaddr(), self.hwaddr);
        for fact in &self.facts {
            let expected = match self.policy() {
                HwAddrPolicy::SameAll => self.hwaddr,
                HwAddrPolicy::OnlyActive if active == Some(fact.id) => self.hwaddr,
                // Only the user sets the address.
                HwAddrPolicy::ByActive => fact.hwaddr,
                HwAddrPolicy::OnlyActive => fact.own,
            };
            assert_eq!(fact.hwaddr, expected, "{fact:?}");
            let known = self.team.port(fact.id).map(|port| port.hwaddr());
            assert_eq!(known, Some(fact.hwaddr));
            if self.policy() == HwAddrPolicy::ByActive && active == Some(fact.id) && !self.foreign {
                assert_eq!(self.hwaddr, fact.hwaddr);
            }
        }
    }

    /// Checks the outcome after all deadlines against the final facts.
    pub fn check_end(&mut self) {
        self.deliver_all();
        self.pass(Duration::from_secs(10));
        self.deliver_all();
        let reads = matches!(
            self.team.settings().runner,
            RunnerSettings::LoadBalance { balancing_interval: Some(_), .. }
        );
        assert_eq!(self.team.next_deadline().is_some(), reads, "only the balancer has a deadline");
        for fact in &self.facts {
            let port = self.team.port(fact.id).expect("present");
            // All delays are over, so every watch follows the carrier.
            assert!(port.watches().iter().all(|watch| watch.is_up() == fact.link.up));
            assert_eq!(port.watches_up(), fact.link.up || !fact.watched);
        }
        let bursts = [self.team.settings().notify_peers, self.team.settings().mcast_rejoin];
        for (rounds, burst) in self.rounds.iter().zip(bursts) {
            assert!(burst.count > 0 || *rounds == 0);
        }
    }

    /// Checks that a new team with the final facts decides the same, where history does not matter.
    pub fn check_against_fresh(&self) {
        let mut fresh = Team::new(self.team.settings().clone(), self.hwaddr);
        fresh.handle(Instant::ZERO, Event::DeadlineReached);
        for fact in &self.facts {
            let settings = PortSettings {
                link_watches: if fact.watched {
                    let port = self.team.port(fact.id).expect("present");
                    port.watches().iter().map(|watch| watch.settings().clone()).collect()
                } else {
                    Vec::new()
                },
                ..fact.settings.clone()
            };
            fresh.handle(
                Instant::ZERO,
                Event::PortAdded {
                    port: fact.id,
                    name: fact.name.clone(),
                    hwaddr: fact.hwaddr,
                    link: fact.link,
                    settings,
                    adopted: false,
                },
            );
            let (port, allowed) = (fact.id, fact.allowed);
            fresh.handle(Instant::ZERO, Event::PortAllowed { port, allowed });
        }
        fresh.handle(Instant::ZERO + Duration::from_secs(1), Event::DeadlineReached);
        assert_eq!(fresh.carrier(), self.team.carrier());
        for (a, b) in fresh.ports().zip(self.team.ports()) {
            assert_eq!((a.id(), a.watches_up()), (b.id(), b.watches_up()));
            if !matches!(self.team.settings().runner, RunnerSettings::ActiveBackup { .. }) {
                assert_eq!(a.is_enabled(), b.is_enabled());
            }
        }
    }
}

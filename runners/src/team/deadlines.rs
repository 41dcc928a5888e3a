//! Deadlines: the next one of the team, and the timers that it ends.

use super::Team;
use crate::action::Action;
use crate::port::Port;
use crate::time::Instant;

/// Deadlines that one event may handle for each port, and for the team itself. Every timer that
/// ends sets its next deadline after `now`, so only a defect reaches the limit; the event then goes
/// on instead of hanging the daemon.
const MOST_DEADLINES: usize = 256;

impl Team {
    /// Returns the time at which [`handle`](Self::handle) must be called, with
    /// [`Event::DeadlineReached`](crate::Event::DeadlineReached) if no other event is due. The
    /// deadline is later than the last event.
    pub fn next_deadline(&self) -> Option<Instant> {
        let ports = self.ports.iter().filter_map(Port::next_deadline);
        ports
            .chain(self.notify_peers.next_deadline())
            .chain(self.mcast_rejoin.next_deadline())
            .chain(self.probe_times.next_deadline())
            .chain(self.carrier_hold_until)
            .chain(self.runner.next_deadline())
            .chain(self.lacp_sessions.next_deadline())
            .min()
    }

    /// Handles all deadlines up to `now`, in order.
    pub(super) fn expire_deadlines(&mut self, now: Instant) {
        for _ in 0..MOST_DEADLINES * (1 + self.ports.len()) {
            let Some(due) = self.next_deadline().filter(|due| *due <= now) else {
                return;
            };
            self.expire(due, now);
            self.update_outputs(now);
        }
        log::error!("a timer does not advance beyond {} ns", now.as_nanos());
    }

    /// Ends the timers of the deadline `due`; `now` may be later.
    fn expire(&mut self, due: Instant, now: Instant) {
        let mut context = self.context();
        self.each_port(|port| {
            let was_usable = usize::from(port.is_usable());
            let actions = port.expire(due, now, context);
            // If the neighbours of all ports fall silent at the same time, the last port stays usable.
            context.usable_ports += usize::from(port.is_usable());
            context.usable_ports -= was_usable;
            actions
        });
        if self.notify_peers.expire(due, now) {
            self.actions.push_back(Action::NotifyPeers);
        }
        if self.mcast_rejoin.expire(due, now) {
            self.actions.push_back(Action::RejoinMulticast);
        }
        let proven = self.prober.crossed().is_some();
        if self.probe_times.expire(due, now, proven) {
            self.probe();
        }
        self.carrier_hold_until = self.carrier_hold_until.filter(|until| *until > due);
        self.runner.expire(due, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::forwarding::TxPolicy;
    use crate::ident::HwAddr;
    use crate::runner::Runner;
    use crate::settings::{RunnerSettings, TeamSettings};

    /// A defective runner, whose deadline never advances.
    #[derive(Clone, Debug, Default)]
    struct Stuck {
        expired: usize,
    }

    impl Runner for Stuck {
        fn decide(&mut self, _now: Instant, _ports: &[Port]) -> TxPolicy {
            TxPolicy::Broadcast
        }

        fn settings_changed(&mut self, _now: Instant, _settings: &RunnerSettings) -> bool {
            true
        }

        fn next_deadline(&self) -> Option<Instant> {
            Some(Instant::ZERO)
        }

        fn expire(&mut self, _due: Instant, _now: Instant) {
            self.expired += 1;
            assert!(self.expired <= MOST_DEADLINES, "livelock");
        }
    }

    #[test]
    fn a_deadline_that_never_advances_does_not_hang_the_team() {
        let settings = TeamSettings::new(RunnerSettings::Broadcast);
        let mut team = Team::new(settings, HwAddr::default());
        team.runner = Box::new(Stuck::default());
        team.handle(Instant::from_nanos(1), Event::MinPortsChanged { min_ports: 7 });
        assert_eq!(team.settings().min_ports, 7, "the event is handled");
    }
}

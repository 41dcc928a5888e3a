//! The interface between a team and its runner.
//!
//! A runner chooses which ports take part, how a port is found for a frame, and which port carries
//! which hardware address. Ports, link watches, addresses, carrier and announcements belong to the
//! [`Team`](crate::Team).

mod activebackup;
mod broadcast;
pub(crate) mod factory;
mod failback_probe;
mod flow_table;
pub(crate) mod lacp;
mod loadbalance;
mod random;
mod roundrobin;
mod slb;

use std::fmt;
use std::time::Duration;

use crate::action::Action;
use crate::buckets::BUCKETS;
use crate::control_frames::ControlFrames;
use crate::event::{PeerSeen, StationSeen};
use crate::forwarding::TxPolicy;
use crate::ident::{HwAddr, PortId};
use crate::keep_alive::KeepAlive;
use crate::lacp_status::LacpStatus;
use crate::port::Port;
use crate::settings::RunnerSettings;
use crate::settings::lacp::LacpSettings;
use crate::time::Instant;

/// A runner. The team calls [`decide`](Runner::decide) after every event; the queries below it
/// answer for that decision.
pub(crate) trait Runner: fmt::Debug + CloneRunner {
    /// Sets the hardware address of the team device, and whether it is administratively up.
    fn team_changed(&mut self, _hwaddr: HwAddr, _up: bool) {}

    /// Decides from all ports of the team, in the order in which they joined.
    fn decide(&mut self, now: Instant, ports: &[Port]) -> TxPolicy;

    /// Whether frames may leave on the port.
    fn enables(&self, port: &Port) -> bool {
        port.may_carry()
    }

    /// Whether frames received on the port reach the team device. The partner of a static aggregate
    /// does not learn of a drain, so a drained port collects until its link goes down.
    fn collects(&self, port: &Port) -> bool {
        self.enables(port) || port.is_only_drained()
    }

    /// Whether the port counts for the team's carrier. The kernel driver counts ports with a link.
    fn carries(&self, port: &Port) -> bool {
        port.may_carry() && port.is_linked()
    }

    /// Returns the longest time from the begin to the completion of a drain.
    fn drain_time(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether the partner has stopped sending to a port that is being drained.
    fn partner_stopped_sending(&self, _port: PortId) -> bool {
        false
    }

    /// Whether the port carries the team's hardware address instead of its own.
    fn carries_team_hwaddr(&self, _port: PortId) -> bool {
        true
    }

    /// Whether another port must keep the team's hardware address, although frames may leave here.
    fn hwaddr_belongs_elsewhere(&self, _port: PortId) -> bool {
        false
    }

    /// Whether separate ports into one network are wrong for the runner, so that the team probes
    /// for them.
    fn needs_probes(&self) -> bool {
        false
    }

    /// Returns the port whose own hardware address the team device takes.
    fn hwaddr_source(&self) -> Option<PortId> {
        None
    }

    /// Returns the one port that carries traffic; `None` if several do.
    fn active_port(&self) -> Option<PortId> {
        None
    }

    /// Returns the one port that broadcast and multicast frames are received from.
    fn designated_port(&self) -> Option<PortId> {
        None
    }

    /// Returns the better port that waits for the failback probe.
    fn waiting_port(&self) -> Option<PortId> {
        None
    }

    /// Returns the port that the user chose, or one of the aggregator that the user chose, while the
    /// choice lasts.
    fn chosen_port(&self) -> Option<PortId> {
        None
    }

    /// Makes the port, or its aggregator, the active one at the request of the user.
    fn choose_active(&mut self, _port: &Port) {}

    /// Takes in the bytes sent in each bucket so far.
    fn count_buckets(&mut self, _now: Instant, _ports: &[Port], _bytes: &[u64; BUCKETS]) {}

    /// Takes in the present stations, and the peers that know an address of the team.
    fn stations(&mut self, _now: Instant, _stations: &[StationSeen], _peers: &[PeerSeen]) {}

    /// Returns the time at which [`expire`](Runner::expire) must be called.
    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// Handles the deadline `due`; `now` may be later.
    fn expire(&mut self, _due: Instant, _now: Instant) {}

    /// Returns the classes of control frames that the runner reads.
    fn control_frames(&self) -> ControlFrames {
        ControlFrames::default()
    }

    /// Handles a control frame that `port` received.
    fn frame_received(&mut self, _now: Instant, _port: &Port, _frame: &[u8]) {}

    /// Goes on with other settings of the same runner; `false`, without a change, for settings of
    /// another runner.
    fn settings_changed(&mut self, now: Instant, settings: &RunnerSettings) -> bool;

    /// Returns the settings of lacp in force; `None` with other runners.
    fn lacp_settings(&self) -> Option<&LacpSettings> {
        None
    }

    /// Sets the LACPDU statistics of a port, or of all ports, to zero.
    fn clear_statistics(&mut self, _now: Instant, _port: Option<PortId>) {}

    /// Prepares for the end of the daemon, which leaves the ports as they are.
    fn left_in_place(&mut self) {}

    /// Continues after a time in which the daemon did not run and handled no frame.
    fn resumed(&mut self, _now: Instant) {}

    /// Returns the LACPDU with which the kernel may answer the partner of a port while the daemon
    /// is away; `None` for a port without such a partner.
    fn keep_alive(&self, _port: &Port) -> Option<KeepAlive> {
        None
    }

    /// Returns the status of lacp at `now`; `None` with other runners.
    fn lacp_status(&self, _now: Instant) -> Option<LacpStatus> {
        None
    }

    /// Returns the next action of the last decision besides its forwarding.
    fn poll_action(&mut self) -> Option<Action> {
        None
    }
}

/// The copy of a runner behind a trait object.
pub(crate) trait CloneRunner {
    /// Returns a copy of the runner.
    fn clone_runner(&self) -> Box<dyn Runner>;
}

impl<T: Runner + Clone + 'static> CloneRunner for T {
    fn clone_runner(&self) -> Box<dyn Runner> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Runner> {
    fn clone(&self) -> Self {
        // Without the dereference, the box itself would be the runner.
        (**self).clone_runner()
    }
}

//! The interface between a team and its runner.
//!
//! A runner chooses which ports take part, how a port is found for a frame, and which port carries
//! which hardware address. Ports, link watches, addresses, carrier and announcements belong to the
//! [`Team`](crate::Team).

mod activebackup;
mod broadcast;
pub(crate) mod factory;
mod flow_table;
pub(crate) mod lacp;
mod loadbalance;
mod random;
mod roundrobin;
mod slb;

use std::fmt;

use crate::action::Action;
use crate::buckets::BUCKETS;
use crate::control_frames::ControlFrames;
use crate::event::{PeerSeen, StationSeen};
use crate::forwarding::TxPolicy;
use crate::ident::{HwAddr, PortId};
use crate::port::Port;
use crate::settings::lacp::LacpSettings;
use crate::time::Instant;
use lacp::Lacp;

/// A runner. The team calls [`decide`](Runner::decide) after every event; the queries below it
/// answer for that decision.
pub(crate) trait Runner: fmt::Debug {
    /// Sets the hardware address of the team device, and whether it is administratively up.
    fn team_changed(&mut self, _hwaddr: HwAddr, _up: bool) {}

    /// Decides from all ports of the team, in the order in which they joined.
    fn decide(&mut self, now: Instant, ports: &[Port]) -> TxPolicy;

    /// Whether frames may leave on the port.
    fn enables(&self, port: &Port) -> bool {
        port.is_allowed()
    }

    /// Whether frames received on the port reach the team device.
    fn collects(&self, port: &Port) -> bool {
        self.enables(port)
    }

    /// Whether the port counts for the team's carrier. The kernel driver counts ports with a link.
    fn carries(&self, port: &Port) -> bool {
        port.is_allowed() && port.is_linked()
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

    /// Replaces the settings of lacp.
    fn lacp_settings_changed(&mut self, _now: Instant, _settings: &LacpSettings) {}

    /// Prepares for the end of the daemon, which leaves the ports as they are.
    fn left_in_place(&mut self) {}

    /// Returns the runner itself if it is lacp, for its status.
    fn lacp(&self) -> Option<&Lacp> {
        None
    }

    /// Returns the next action of the last decision besides its forwarding.
    fn poll_action(&mut self) -> Option<Action> {
        None
    }
}

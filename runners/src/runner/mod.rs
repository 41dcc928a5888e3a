//! What a team asks of its runner.
//!
//! A runner chooses: which ports take part, how a port is found for a frame, whose address goes
//! where. Ports, watches, addresses, carrier and announcements belong to the
//! [`Team`](crate::Team).

mod activebackup;
mod broadcast;
pub(crate) mod lacp;
mod loadbalance;
mod random;
mod roundrobin;
mod slb;

use std::fmt;

use crate::action::Action;
use crate::control_frames::ControlFrames;
use crate::event::{PeerSeen, StationSeen};
use crate::forwarding::{BUCKETS, TxPolicy};
use crate::ident::{HwAddr, PortId};
use crate::port::Port;
use crate::settings::RunnerSettings;
use crate::settings::lacp::LacpSettings;
use crate::time::Instant;
use activebackup::ActiveBackup;
use broadcast::Broadcast;
use lacp::Lacp;
use loadbalance::LoadBalance;
use random::Random;
use roundrobin::RoundRobin;
use slb::Slb;

/// One runner. `decide` comes after every event; the answers after it describe that decision.
pub(crate) trait Runner: fmt::Debug {
    /// The team device has this address, and is administratively up or not.
    fn team_changed(&mut self, _hwaddr: HwAddr, _up: bool) {}

    /// Decides afresh; `ports` are all ports in the order in which they joined.
    fn decide(&mut self, now: Instant, ports: &[Port]) -> TxPolicy;

    /// Frames may leave on the port.
    fn enables(&self, port: &Port) -> bool {
        port.is_allowed()
    }

    /// Frames received on the port go up to the team device.
    fn collects(&self, port: &Port) -> bool {
        self.enables(port)
    }

    /// The port counts for the team's carrier. Kernel driver's rule: it has a link.
    fn carries(&self, port: &Port) -> bool {
        port.is_allowed() && port.is_linked()
    }

    /// The port carries the team's address; if not, its own.
    fn carries_team_hwaddr(&self, _port: PortId) -> bool {
        true
    }

    /// The team's address belongs on another port, although frames may leave on this one.
    fn hwaddr_belongs_elsewhere(&self, _port: PortId) -> bool {
        false
    }

    /// Ports that lead into one network one by one are wrong for it, so that the team looks for
    /// that itself.
    fn needs_probes(&self) -> bool {
        false
    }

    /// The port whose own address the team has to take.
    fn hwaddr_source(&self) -> Option<PortId> {
        None
    }

    /// The only port that carries traffic.
    fn active_port(&self) -> Option<PortId> {
        None
    }

    /// The port that broadcast and multicast frames are taken from, where only one is.
    fn designated_port(&self) -> Option<PortId> {
        None
    }

    /// The user wants this port to be the active one, or its aggregator.
    fn choose_active(&mut self, _port: &Port) {}

    /// Bytes sent in each bucket so far.
    fn count_buckets(&mut self, _now: Instant, _ports: &[Port], _bytes: &[u64; BUCKETS]) {}

    /// Whose frames were sent lately, and who was told by ARP where the team is.
    fn stations(&mut self, _now: Instant, _stations: &[StationSeen], _peers: &[PeerSeen]) {}

    /// When `expire` has to be called.
    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// The deadline `due` has come; `now` may be later.
    fn expire(&mut self, _due: Instant, _now: Instant) {}

    /// The control frames that it reads.
    fn control_frames(&self) -> ControlFrames {
        ControlFrames::default()
    }

    /// A control frame came in on `port`.
    fn frame_received(&mut self, _now: Instant, _port: &Port, _frame: &[u8]) {}

    /// lacp has other settings from now on.
    fn lacp_settings_changed(&mut self, _now: Instant, _settings: &LacpSettings) {}

    /// The daemon ends, the ports stay as they are.
    fn left_in_place(&mut self) {}

    /// lacp itself, to tell of its state.
    fn lacp(&self) -> Option<&Lacp> {
        None
    }

    /// The next thing to be done besides forwarding, after the last decision.
    fn poll_action(&mut self) -> Option<Action> {
        None
    }
}

/// Returns how a runner chooses ports, while there is none.
pub fn policy_without_ports(settings: &RunnerSettings) -> TxPolicy {
    new(settings).decide(Instant::ZERO, &[])
}

/// The runner that the settings name.
pub(crate) fn new(settings: &RunnerSettings) -> Box<dyn Runner> {
    match settings {
        RunnerSettings::Broadcast => Box::new(Broadcast),
        RunnerSettings::RoundRobin { packets_per_port } => {
            Box::new(RoundRobin::new(*packets_per_port))
        }
        RunnerSettings::Random { seed } => Box::new(Random::new(*seed)),
        RunnerSettings::ActiveBackup {
            hwaddr_policy,
            failback,
        } => Box::new(ActiveBackup::new(*hwaddr_policy, *failback)),
        RunnerSettings::LoadBalance {
            tx_hash,
            balancing_interval,
        } => Box::new(LoadBalance::new(*tx_hash, *balancing_interval)),
        RunnerSettings::Lacp(settings) => Box::new(Lacp::new(settings)),
        RunnerSettings::Slb {
            host,
            balancing_interval,
            learning_interval,
        } => Box::new(Slb::new(*host, *balancing_interval, *learning_interval)),
    }
}

//! slb, tlb and alb: source load balancing over several links into a switch without an aggregate on
//! them, for a host with guests behind a bridge.
//!
//! [`Assignment`] puts buckets on ports, [`Announcements`] announce moves to the switch and the
//! peers, and [`source_balance`](crate::forwarding::source_balance) handles the frames. With `tx_balancer`
//! the [`Balancer`] moves buckets by load; the balancer is off by default, as in Open vSwitch.
//!
//! tlb and alb also spread the traffic of the team itself, by peer. Each port has a hardware address
//! of the team then, the source of frames on the port. With alb the peers of a port's buckets learn
//! the port's address by ARP and neighbour discovery, so that they answer there. [`Learning`] keeps
//! the addresses in the tables of the switch.

mod announcements;
mod assignment;
mod learning;

use std::time::Duration;

use crate::action::Action;
use crate::buckets::BUCKETS;
use crate::control_frames::ControlFrames;
use crate::event::{PeerSeen, StationSeen};
use crate::forwarding::TxPolicy;
use crate::forwarding::balancer::Balancer;
use crate::forwarding::source_balance::policy::{HostBalance, SourceBalance};
use crate::ident::{HwAddr, PortId};
use crate::port::Port;
use crate::runner::Runner;
use crate::settings::{HostTraffic, RunnerSettings};
use crate::time::Instant;
use announcements::Announcements;
use assignment::{Assignment, PREVIOUS_PORT_TIME};
use learning::Learning;

#[derive(Clone, Debug)]
pub(crate) struct Slb {
    host: HostTraffic,
    /// Hardware address of the team device.
    hwaddr: HwAddr,
    /// Hardware address of the team on each port, with tlb and alb.
    addresses: Vec<(PortId, HwAddr)>,
    designated: Option<PortId>,
    assignment: Assignment,
    balancer: Balancer,
    learning: Option<Learning>,
    announcements: Announcements,
}

impl Slb {
    pub(crate) fn new(
        host: HostTraffic,
        balancing_interval: Option<Duration>,
        learning_interval: Option<Duration>,
    ) -> Self {
        Slb {
            host,
            hwaddr: HwAddr::default(),
            addresses: Vec::new(),
            designated: None,
            assignment: Assignment::new(),
            balancer: Balancer::new(balancing_interval),
            learning: learning(host, learning_interval),
            announcements: Announcements::new(),
        }
    }

    /// Returns the designated port: the present one while it is usable, since a move loses frames
    /// that are on their way to it, else the port with the highest prio.
    fn choose_designated(&self, ports: &[Port]) -> Option<PortId> {
        let usable = || ports.iter().filter(|port| port.is_usable());
        let is_usable = |id: &PortId| usable().any(|port| port.id() == *id);
        // `reduce` keeps the first of equals.
        let best = || {
            usable().reduce(|best, port| match port.settings().prio > best.settings().prio {
                true => port,
                false => best,
            })
        };
        self.designated.filter(is_usable).or_else(|| best().map(Port::id))
    }

    /// Assigns an address to each port. An address never moves to another port, since frames to it
    /// may still be on their way. The port whose own address the team has gets a derived one.
    fn assign_addresses(&mut self, ports: &[Port]) {
        /// The U/L bit, and a bit that makes the address differ from the one it is derived from.
        const LOCAL: u8 = 0x02;
        const DERIVED: u8 = 0x04;
        let address = |port: &Port| {
            let own = port.own_hwaddr();
            let [first, b, c, d, e, f] = own.0;
            match own == self.hwaddr {
                true => HwAddr([(first ^ DERIVED) | LOCAL, b, c, d, e, f]),
                false => own,
            }
        };
        self.addresses = ports.iter().map(|port| (port.id(), address(port))).collect();
    }

    /// Returns the usable ports with the team's address on each.
    fn usable_addresses(&self) -> Vec<(PortId, HwAddr)> {
        let address_on = |port: PortId| match self.designated == Some(port) {
            true => Some((port, self.hwaddr)),
            false => self.addresses.iter().find(|(of, _)| *of == port).copied(),
        };
        let usable = self.assignment.usable().iter();
        usable.filter_map(|port| address_on(*port)).collect()
    }
}

/// Returns the learning packets of tlb and alb.
fn learning(host: HostTraffic, interval: Option<Duration>) -> Option<Learning> {
    interval.filter(|_| host != HostTraffic::OnePort).map(Learning::new)
}

impl Runner for Slb {
    fn team_changed(&mut self, hwaddr: HwAddr, _up: bool) {
        self.hwaddr = hwaddr;
    }

    fn decide(&mut self, now: Instant, ports: &[Port]) -> TxPolicy {
        let all = ports.iter().map(Port::id).collect();
        let usable = ports.iter().filter(|port| port.is_usable());
        let usable = usable.map(Port::id).collect();
        let draining = ports.iter().filter(|port| port.is_draining());
        let draining = draining.map(Port::id).collect();
        let moved = self.assignment.set_ports(now, all, usable, draining);
        self.announcements.buckets_moved(now, &moved);
        let designated = self.choose_designated(ports);
        if designated != self.designated {
            self.designated = designated;
            self.announcements.team_moved(now);
        }
        let is_spread = self.host != HostTraffic::OnePort;
        if is_spread {
            self.assign_addresses(ports);
        }
        self.balancer.start(now);
        if let Some(learning) = &mut self.learning {
            learning.start(now);
        }
        TxPolicy::SourceBalance {
            ports: SourceBalance {
                buckets: Box::new(*self.assignment.buckets()),
                previous: Box::new(*self.assignment.previous()),
                designated: self.designated,
                hwaddr: self.hwaddr,
                host: is_spread.then(|| HostBalance {
                    addresses: self.addresses.clone(),
                    receive: self.host == HostTraffic::Both,
                }),
            },
            balanced: self.balancer.is_configured(),
        }
    }

    /// slb, tlb and alb are one runner here: sources stay on their ports.
    fn settings_changed(&mut self, _now: Instant, settings: &RunnerSettings) -> bool {
        let RunnerSettings::Slb { host, balancing_interval, learning_interval } = settings else {
            return false;
        };
        self.host = *host;
        self.balancer.set_interval(*balancing_interval);
        self.learning = learning(*host, *learning_interval);
        if *host == HostTraffic::OnePort {
            self.addresses.clear();
        }
        true
    }

    fn enables(&self, port: &Port) -> bool {
        port.is_usable()
    }

    /// A draining port collects: the switch still sends to the former port of a bucket, and the rules
    /// for received frames accept these frames.
    fn collects(&self, port: &Port) -> bool {
        port.is_usable() || port.is_draining()
    }

    fn drain_time(&self) -> Duration {
        PREVIOUS_PORT_TIME
    }

    fn hwaddr_belongs_elsewhere(&self, port: PortId) -> bool {
        self.designated != Some(port)
    }

    fn designated_port(&self) -> Option<PortId> {
        self.designated
    }

    fn count_buckets(&mut self, now: Instant, ports: &[Port], bytes: &[u64; BUCKETS]) {
        let usable = ports.iter().filter(|port| port.is_usable());
        let speeds: Vec<_> = usable.map(Port::id_and_speed).collect();
        let balancer = &mut self.balancer;
        let moved = self.assignment.change(now, |table| {
            balancer.rebalance(table, &speeds, bytes);
        });
        self.announcements.buckets_moved(now, &moved);
    }

    fn control_frames(&self) -> ControlFrames {
        ControlFrames {
            arp: self.host == HostTraffic::Both,
            neighbour_discovery: self.host == HostTraffic::Both,
            ..ControlFrames::default()
        }
    }

    fn frame_received(&mut self, now: Instant, _port: &Port, frame: &[u8]) {
        if frame.starts_with(&self.hwaddr.0) && self.host == HostTraffic::Both {
            self.announcements.schedule_all_peers(now);
        }
    }

    fn stations(&mut self, now: Instant, stations: &[StationSeen], peers: &[PeerSeen]) {
        let ports = self.usable_addresses();
        let learning = self.learning.as_mut();
        let learning = learning.map_or_else(Vec::new, |own| own.packets(&ports, stations));
        let buckets = self.assignment.buckets();
        let port_of = |bucket| {
            let mut ports = ports.iter();
            let port = buckets[usize::from(bucket)];
            ports.find(|(id, _)| Some(*id) == port).copied()
        };
        self.announcements.stations_read(now, stations, peers, port_of, learning);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let learning = self.learning.as_ref().and_then(Learning::next_deadline);
        [
            self.assignment.next_deadline(),
            self.announcements.next_deadline(),
            self.balancer.next_deadline(),
            learning,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn expire(&mut self, due: Instant, now: Instant) {
        self.balancer.expire(due, now);
        self.assignment.expire(due);
        if self.learning.as_mut().is_some_and(|own| own.expire(due, now)) {
            self.announcements.read_stations();
        }
        self.announcements.expire(due, now);
    }

    fn poll_action(&mut self) -> Option<Action> {
        if self.balancer.take_counters_due() {
            return Some(Action::ReadBucketCounters);
        }
        self.announcements.poll_action()
    }
}

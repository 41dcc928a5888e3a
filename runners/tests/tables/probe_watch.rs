//! The watch probe: ports ask each other through a network that floods every frame.

use std::collections::BTreeSet;
use std::time::Duration;

use runners::wire::Ethernet;
use runners::wire::path_probe::PathProbe;
use runners::{
    Action, Event, HwAddr, HwAddrPolicy, LinkWatchSettings, PortId, PortSettings, ProbeSettings,
    ProbeStatus, Probing, Team, TeamSettings,
};

use crate::play::*;

const INTERVAL: u64 = 100;
/// Time in which four requests go unanswered.
const SILENT: u64 = 5 * INTERVAL;

fn watch(group: u16, vlanid: Option<u16>) -> LinkWatchSettings {
    let probing = Probing {
        interval: Duration::from_millis(INTERVAL),
        init_wait: Duration::ZERO,
        missed_max: 3,
        retry_interval: None,
    };
    LinkWatchSettings::Probe(ProbeSettings { probing, group, vlanid })
}

/// Teams whose ports lead into one network. Port `n` of team `t` has the number `10 t + n`.
struct Network {
    teams: Vec<Team>,
    now: u64,
    /// Ports from which the network takes no frame, and ports to which it gives none.
    deaf: BTreeSet<u32>,
    mute: BTreeSet<u32>,
    /// Every frame comes back to its sender, too.
    reflects: bool,
    latency: u64,
    /// Time of arrival, sender and frame.
    under_way: Vec<(u64, u32, Vec<u8>)>,
    frames: usize,
}

impl Network {
    /// Builds teams of activebackup with so many ports each.
    fn new(teams: &[(usize, LinkWatchSettings)]) -> Network {
        let mut network = Network {
            teams: Vec::new(),
            now: 0,
            deaf: BTreeSet::new(),
            mute: BTreeSet::new(),
            reflects: false,
            latency: 1,
            under_way: Vec::new(),
            frames: 0,
        };
        for (number, (ports, watch)) in (0..).zip(teams) {
            let settings = TeamSettings::new(backed_up(HwAddrPolicy::SameAll));
            network.teams.push(Team::new(settings, HwAddr([2, 0, 0, 0, 9, number])));
            for port in 1..=*ports as u32 {
                let link_watches = vec![watch.clone()];
                let settings = PortSettings { link_watches, ..PortSettings::default() };
                let Event::PortAdded { name, link, adopted, .. } =
                    added(port, UP, settings.clone())
                else {
                    unreachable!()
                };
                let id = u32::from(number) * 10 + port;
                let hwaddr = HwAddr([2, 0, 0, 0, number, port as u8]);
                let port = PortId(id);
                let event = Event::PortAdded { port, name, hwaddr, link, settings, adopted };
                network.handle(usize::from(number), event);
            }
        }
        network
    }

    fn handle(&mut self, team: usize, event: Event) {
        self.teams[team].handle(at(self.now), event);
        while let Some(action) = self.teams[team].poll_action() {
            if let Action::SendFrame { port, frame } = action {
                self.frames += 1;
                if !self.mute.contains(&port.0) {
                    self.under_way.push((self.now + self.latency, port.0, frame));
                }
            }
        }
    }

    /// Sends a frame from outside to a port.
    fn inject(&mut self, port: u32, frame: Vec<u8>) {
        self.handle(port as usize / 10, Event::FrameReceived { port: PortId(port), frame });
    }

    fn ports(&self) -> Vec<u32> {
        self.teams.iter().flat_map(Team::ports).map(|port| port.id().0).collect()
    }

    fn pass(&mut self, millis: u64) {
        for _ in 0..millis {
            self.now += 1;
            let arrived = self.under_way.extract_if_due(self.now);
            for (from, frame) in arrived {
                for to in self.ports() {
                    if (to != from || self.reflects) && !self.deaf.contains(&to) {
                        self.inject(to, frame.clone());
                    }
                }
            }
            for team in 0..self.teams.len() {
                if self.teams[team].next_deadline().is_some_and(|due| due <= at(self.now)) {
                    self.handle(team, Event::DeadlineReached);
                }
            }
        }
    }

    /// Returns the ports whose watch is up.
    fn up(&self) -> Vec<u32> {
        let ports = self.teams.iter().flat_map(Team::ports);
        ports.filter(|port| port.watches_up()).map(|port| port.id().0).collect()
    }

    fn status(&self, port: u32) -> ProbeStatus {
        let port = self.teams[port as usize / 10].port(PortId(port)).expect("a port");
        port.watches()[0].probe_status().expect("a watch probe")
    }

    fn cut(&mut self, port: u32) {
        self.deaf.insert(port);
        self.mute.insert(port);
    }

    fn mend(&mut self, port: u32) {
        self.deaf.remove(&port);
        self.mute.remove(&port);
    }
}

trait Due {
    fn extract_if_due(&mut self, now: u64) -> Vec<(u32, Vec<u8>)>;
}

impl Due for Vec<(u64, u32, Vec<u8>)> {
    fn extract_if_due(&mut self, now: u64) -> Vec<(u32, Vec<u8>)> {
        let (due, later): (Vec<_>, Vec<_>) = self.drain(..).partition(|(time, ..)| *time <= now);
        *self = later;
        due.into_iter().map(|(_, from, frame)| (from, frame)).collect()
    }
}

#[test]
fn of_three_ports_the_one_without_a_path_goes_down_and_comes_back() {
    for one_way in [None, Some(true), Some(false)] {
        let mut network = Network::new(&[(3, watch(0, None))]);
        network.pass(INTERVAL);
        assert_eq!(network.up(), [1, 2, 3], "answered at once");
        match one_way {
            None => network.cut(1),
            Some(true) => drop(network.deaf.insert(1)),
            Some(false) => drop(network.mute.insert(1)),
        }
        network.pass(3 * INTERVAL);
        assert_eq!(network.up(), [1, 2, 3], "three requests may be lost");
        network.pass(SILENT - 3 * INTERVAL);
        assert_eq!(network.up(), [2, 3], "{one_way:?}");
        assert_eq!(network.teams[0].active_port(), Some(PortId(2)));
        network.pass(20 * INTERVAL);
        assert_eq!(network.up(), [2, 3]);
        network.mend(1);
        network.pass(INTERVAL + 2);
        assert_eq!(network.up(), [1, 2, 3]);
    }
}

#[test]
fn two_ports_of_one_team_cannot_tell_whose_path_is_lost() {
    let mut network = Network::new(&[(2, watch(0, None))]);
    network.pass(INTERVAL);
    network.cut(1);
    network.pass(100 * INTERVAL);
    assert_eq!(network.up(), [1, 2]);
    let watch = &network.teams[0].port(PortId(1)).expect("a port").watches()[0];
    assert!(watch.problem().expect("an obstacle").to_string().contains("cannot judge"));
    assert!(network.status(1).loss_ratio > Some(900_000), "{:?}", network.status(1));
}

#[test]
fn another_team_of_the_group_tells_whose_path_is_lost() {
    let mut network = Network::new(&[(2, watch(7, None)), (1, watch(7, None))]);
    network.pass(INTERVAL);
    assert_eq!(network.up(), [1, 2, 11]);
    assert_eq!(network.status(1).replier, Some(HwAddr([2, 0, 0, 0, 1, 1])));
    network.cut(1);
    network.pass(SILENT);
    assert_eq!(network.up(), [2, 11]);
    // The other team is gone: that is no evidence against the last port, nor for the first.
    network.cut(11);
    network.pass(100 * INTERVAL);
    assert_eq!(network.up(), [2, 11]);
    // The only path returns on the other port.
    network.mend(11);
    network.mend(1);
    network.cut(2);
    network.pass(SILENT);
    assert_eq!(network.up(), [1, 11]);
}

#[test]
fn teams_without_a_common_group_or_vlan_do_not_answer_each_other() {
    for (own, other) in [
        (watch(0, None), watch(0, None)),
        (watch(1, None), watch(2, None)),
        (watch(1, None), watch(0, None)),
        (watch(1, Some(5)), watch(1, None)),
        (watch(1, Some(5)), watch(1, Some(6))),
    ] {
        let mut network = Network::new(&[(1, own), (1, other)]);
        network.pass(SILENT);
        assert_eq!(network.status(1).answered + network.status(11).answered, 0);
        assert_eq!(network.up(), [1, 11], "without any answer the carrier decides");
    }
    let mut tagged = Network::new(&[(1, watch(1, Some(5))), (1, watch(1, Some(5)))]);
    tagged.pass(INTERVAL);
    assert_eq!(tagged.status(1).answered, 1);
}

#[test]
fn a_new_port_waits_for_an_answer_while_another_port_has_one() {
    let mut network = Network::new(&[(2, watch(7, None)), (1, watch(7, None))]);
    network.cut(1);
    network.pass(100 * INTERVAL);
    assert_eq!(network.up(), [2, 11], "a switch port that does not forward yet");
    network.mend(1);
    network.pass(INTERVAL);
    assert_eq!(network.up(), [1, 2, 11]);
    // A lost carrier, and a new one with a path that does not forward.
    network.handle(0, link_is(1, DOWN));
    assert_eq!(network.up(), [2, 11]);
    network.cut(1);
    network.handle(0, link_is(1, UP));
    network.pass(100 * INTERVAL);
    assert_eq!(network.up(), [2, 11]);
    network.handle(0, link_is(1, DOWN));
    network.mend(1);
    network.handle(0, link_is(1, UP));
    network.pass(3);
    assert_eq!(network.up(), [1, 2, 11], "asks at once");
}

#[test]
fn a_frame_that_comes_back_is_no_answer() {
    let mut network = Network::new(&[(3, watch(0, None))]);
    network.reflects = true;
    network.pass(INTERVAL);
    network.cut(2);
    network.cut(3);
    network.mute.remove(&1);
    let before = network.status(1).answered;
    network.pass(SILENT);
    assert_eq!(network.status(1).answered, before);
}

#[test]
fn a_slow_path_is_no_lost_path_and_its_latency_is_measured() {
    let mut network = Network::new(&[(3, watch(0, None))]);
    network.latency = 3 * INTERVAL / 2;
    network.pass(100 * INTERVAL);
    assert_eq!(network.up(), [1, 2, 3]);
    let status = network.status(1);
    let latency = Some(Duration::from_millis(3 * INTERVAL));
    assert_eq!((status.latency, status.max_latency), (latency, latency));
    assert!(status.loss_ratio < Some(30_000), "late replies count: {status:?}");
    assert!(status.answered <= status.sent);
}

#[test]
fn an_hour_of_random_loss_takes_no_port_down_while_some_pass() {
    let mut network = Network::new(&[(3, watch(0, None))]);
    let mut random = runners::SplitMix64::new(1);
    network.pass(INTERVAL);
    // A request and its reply pass two times in three; two ports can answer.
    for _ in 0..3600 * 1000 / INTERVAL {
        network.deaf.clear();
        if random.below(6) == 0 {
            network.deaf.extend([1, 2, 3]);
        }
        network.pass(INTERVAL);
    }
    assert!(network.status(1).loss_ratio > Some(50_000), "{:?}", network.status(1));
    let watches = network.teams[0].ports().map(|port| port.watches()[0].down_count());
    assert_eq!(watches.sum::<u32>(), 0);
}

#[test]
fn hostile_frames_get_few_replies_and_no_verdict() {
    let mut network = Network::new(&[(3, watch(0, None))]);
    network.pass(INTERVAL);
    network.cut(1);
    let own = network.teams[0].hwaddr();
    let port = |port| runners::wire::path_probe::TeamPort { team: own, port: PortId(port) };
    let forged = |asker: u32, number: u32, replier: Option<u32>| PathProbe {
        asker: port(asker),
        number,
        group: 0,
        replier: replier.map(port),
    };
    let station = HwAddr([2, 9, 9, 9, 9, 9]);
    // Replies to numbers that nobody asked, of the port itself, and to another port.
    for number in 0..5000 {
        for probe in [forged(1, number, Some(1)), forged(2, number, Some(3))] {
            network.inject(1, probe.frame(station, station, None));
        }
    }
    for number in [u32::MAX, 1 << 31] {
        network.inject(1, forged(1, number, Some(2)).frame(station, station, None));
    }
    network.pass(SILENT);
    assert_eq!(network.up(), [2, 3]);
    // A flood of requests, some from a group address.
    let before = network.frames;
    for number in 0..100_000 {
        network.inject(2, forged(1, number, None).frame(HwAddr::BROADCAST, station, None));
        let frame = forged(1, number, None).frame(station, HwAddr::BROADCAST, None);
        network.inject(3, frame);
    }
    assert!(network.frames - before <= 256, "{}", network.frames - before);
}

#[test]
fn requests_attract_no_traffic_and_come_from_inactive_ports_too() {
    let mut network = Network::new(&[(3, watch(0, None))]);
    let mut sources = BTreeSet::new();
    network.latency = 5;
    for _ in 0..INTERVAL {
        network.pass(1);
        for (_, from, frame) in &network.under_way {
            let ethernet = Ethernet::parse(frame).expect("a frame");
            let [.., a, b, c, d, e, f] = *ethernet.addresses;
            let source = HwAddr([a, b, c, d, e, f]);
            assert_ne!(source, network.teams[0].hwaddr());
            sources.insert((*from, source));
        }
    }
    assert_eq!(sources.len(), 3, "one address a port: {sources:?}");
}

#[test]
fn an_adopted_port_carries_on_until_the_others_are_answered_without_it() {
    let mut network = Network::new(&[(2, watch(7, None)), (1, watch(7, None))]);
    network.pass(INTERVAL);
    let mut team =
        Team::new(TeamSettings::new(backed_up(HwAddrPolicy::SameAll)), HwAddr([2, 0, 0, 0, 9, 0]));
    for port in 1..=2 {
        let settings = network.teams[0].port(PortId(port)).expect("a port").settings().clone();
        team.handle(at(network.now), adopted(port, UP, settings));
    }
    network.teams[0] = team;
    network.cut(1);
    assert_eq!(network.up(), [1, 2, 11]);
    network.pass(3 * INTERVAL);
    assert_eq!(network.up(), [1, 2, 11]);
    network.pass(3 * INTERVAL);
    assert_eq!(network.up(), [2, 11]);
}

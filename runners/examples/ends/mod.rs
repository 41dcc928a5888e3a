//! Two LACP ends, A and B, under virtual time: the caller of [`Team`] in miniature.
//!
//! A caller hands in events with their time, executes the actions, and calls again at the next
//! deadline. Here the only actions with an effect are frames, which arrive at the other end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use runners::wire::lacpdu::{Lacpdu, StateBits};
use runners::{
    Action, Duplex, Event, HwAddr, Instant, LacpSettings, Link, PortId, PortSettings,
    RunnerSettings, Team, TeamSettings,
};

const LATENCY: Duration = Duration::from_millis(1);

pub struct Ends {
    now: Instant,
    teams: [Team; 2],
    /// Arrival, receiving end, port and content of each frame; all have the same latency.
    in_flight: VecDeque<(Instant, usize, PortId, Vec<u8>)>,
    /// Links that lose all frames although both ends see a carrier.
    pub cut: BTreeSet<u32>,
    /// Actor state in the last LACPDU of each port.
    announced: BTreeMap<(usize, PortId), StateBits>,
    /// One line for each action and for each new Actor state.
    pub events: Vec<String>,
}

impl Ends {
    pub fn new() -> Ends {
        let team = |end| {
            let lacp = LacpSettings { fast_rate: true, ..LacpSettings::default() };
            let settings = TeamSettings::new(RunnerSettings::Lacp(lacp));
            Team::new(settings, HwAddr([2, 0, 0, 0, end, 0]))
        };
        Ends {
            now: Instant::ZERO,
            teams: [team(0xa), team(0xb)],
            in_flight: VecDeque::new(),
            cut: BTreeSet::new(),
            announced: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// Adds a port to both ends, linked to each other.
    pub fn add_link(&mut self, port: u32) {
        for end in 0..2 {
            let mut settings = PortSettings::default();
            settings.lacp.number = port as u16;
            let added = Event::PortAdded {
                port: PortId(port),
                name: format!("eth{port}"),
                hwaddr: HwAddr([2, 0, 0, 0, 0xa + end as u8, port as u8]),
                link: Link { up: true, speed: 10_000, duplex: Duplex::Full },
                settings,
                adopted: false,
            };
            self.handle(end, added);
        }
    }

    /// Advances by `time`, from arrival to deadline to arrival.
    pub fn run(&mut self, time: Duration) {
        let limit = self.now + time;
        loop {
            let deadline = |end: usize| Some((self.teams[end].next_deadline()?, end));
            let deadline = (0..2).filter_map(deadline).min();
            let arrival = self.in_flight.front().map(|frame| frame.0);
            let arrives_first =
                |at: &Instant| *at < limit && deadline.is_none_or(|(due, _)| *at <= due);
            if let Some(at) = arrival.filter(arrives_first) {
                self.now = at;
                let (_, end, port, frame) = self.in_flight.pop_front().expect("a frame");
                if !self.cut.contains(&port.0) {
                    self.handle(end, Event::FrameReceived { port, frame });
                }
            } else if let Some((due, end)) = deadline.filter(|(due, _)| *due < limit) {
                self.now = due;
                self.handle(end, Event::DeadlineReached);
            } else {
                self.now = limit;
                return;
            }
        }
    }

    fn handle(&mut self, end: usize, event: Event) {
        self.teams[end].handle(self.now, event);
        while let Some(action) = self.teams[end].poll_action() {
            match action {
                Action::SendFrame { port, frame } => self.send(end, port, frame),
                Action::RememberPdu { .. } => {}
                other => self.record(end, &other.to_string()),
            }
        }
    }

    fn send(&mut self, end: usize, port: PortId, frame: Vec<u8>) {
        let pdu = Lacpdu::parse(&frame[14..]).expect("an LACPDU");
        let state = pdu.actor.state;
        if self.announced.insert((end, port), state) != Some(state) {
            let named = StateBits::NAMED.iter().filter(|(bit, _)| state.has(*bit));
            let names: Vec<&str> = named.map(|(_, name)| *name).collect();
            self.record(end, &format!("port {port} announces {}", names.join(", ")));
        }
        let arrival = self.now + LATENCY;
        self.in_flight.push_back((arrival, 1 - end, port, frame));
    }

    fn record(&mut self, end: usize, event: &str) {
        let millis = self.now.as_nanos() / 1_000_000;
        let name = ["A", "B"][end];
        self.events.push(format!("{millis:>6} ms  {name}: {event}"));
    }
}

//! A team whose ports lead through switches to one neighbour, in virtual time.
//!
//! A broadcast also reaches the team's other ports on the same switch. The neighbour answers the
//! sender of a request on every port that reaches it, at once, late or not at all.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use runners::wire::announce::unsolicited_na;
use runners::wire::{Arp, Ethernet, NeighbourAdvertisement, ethertype};
use runners::{Action, Event, HwAddr, Instant, PortId, Team, TeamSettings};

use crate::play::{DEVICE, at, hw};

pub const TARGET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub const TARGET6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x11);
pub const NEIGHBOUR: HwAddr = HwAddr([2, 0, 0, 0, 0, 0x99]);
/// Delay of a frame.
pub const DELAY: Duration = Duration::from_millis(1);

pub struct Site {
    pub team: Team,
    pub now: Instant,
    /// Ports that reach the neighbour.
    pub reached: Vec<u32>,
    /// Returns the delay of the neighbour's next answer; `None` loses the answer.
    pub answer_delay: Box<dyn FnMut() -> Option<Duration>>,
    /// Ports on one switch.
    pub switched: Vec<u32>,
    /// Time, port and bytes of every sent frame.
    pub sent: Vec<(Instant, u32, Vec<u8>)>,
    /// All other actions, as lines.
    pub actions: Vec<String>,
    /// Future events by time and number.
    coming: BTreeMap<(Instant, usize), Event>,
    count: usize,
}

impl Site {
    pub fn new(settings: TeamSettings, reached: &[u32], switched: &[u32]) -> Site {
        Site {
            team: Team::new(settings, hw(DEVICE)),
            now: Instant::ZERO,
            reached: reached.to_vec(),
            answer_delay: Box::new(|| Some(DELAY)),
            switched: switched.to_vec(),
            sent: Vec::new(),
            actions: Vec::new(),
            coming: BTreeMap::new(),
            count: 0,
        }
    }

    pub fn handle(&mut self, event: Event) {
        self.team.handle(self.now, event);
        while let Some(action) = self.team.poll_action() {
            match action {
                Action::SendFrame { port, frame } => {
                    self.transmit(port.0, &frame);
                    self.sent.push((self.now, port.0, frame));
                }
                // The kernel executes both at once.
                Action::SetPortHwAddr { port, hwaddr } => {
                    self.later(Duration::ZERO, Event::PortHwAddrChanged { port, hwaddr });
                }
                Action::SetTeamHwAddr(hwaddr) => {
                    self.later(Duration::ZERO, Event::TeamHwAddrChanged { hwaddr });
                }
                other => self.actions.push(other.to_string()),
            }
        }
    }

    fn transmit(&mut self, port: u32, frame: &[u8]) {
        for other in self.switched.clone() {
            if other != port && self.switched.contains(&port) {
                self.deliver(DELAY, other, frame.to_vec());
            }
        }
        if self.reached.contains(&port) {
            let answer = answer(frame).expect("a request");
            if let Some(delay) = (self.answer_delay)() {
                self.deliver(delay, port, answer);
            }
        }
    }

    fn deliver(&mut self, delay: Duration, port: u32, frame: Vec<u8>) {
        let port = PortId(port);
        self.later(delay, Event::FrameReceived { port, frame });
    }

    fn later(&mut self, pause: Duration, event: Event) {
        self.count += 1;
        self.coming.insert((self.now + pause, self.count), event);
    }

    /// Advances time to `until` ms and handles all events and deadlines.
    pub fn pass(&mut self, until: u64) {
        let until = at(until);
        loop {
            let coming = self.coming.first_key_value().map(|((at, _), _)| *at);
            let due = self.team.next_deadline();
            let Some(next) = coming.into_iter().chain(due).min() else {
                break;
            };
            if next > until {
                break;
            }
            self.now = next;
            match coming {
                Some(first) if first == next => {
                    let (_, event) = self.coming.pop_first().expect("there is one");
                    self.handle(event);
                }
                _ => self.handle(Event::DeadlineReached),
            }
        }
        self.now = until;
    }

    pub fn receive(&mut self, port: u32, frame: &[u8]) {
        let port = PortId(port);
        let frame = frame.to_vec();
        self.handle(Event::FrameReceived { port, frame });
    }

    pub fn active(&self) -> Option<u32> {
        self.team.active_port().map(|port| port.0)
    }

    pub fn is_up(&self, port: u32) -> bool {
        self.team.port(PortId(port)).is_some_and(|port| port.watches_up())
    }

    pub fn missed(&self, port: u32) -> u32 {
        let port = self.team.port(PortId(port)).expect("a port");
        port.watches()[0].ping_status().expect("a watch with requests").missed
    }

    /// Returns the frames sent on a port since `from` ms.
    pub fn sent_on(&self, port: u32, from: u64) -> Vec<&[u8]> {
        let sent = self.sent.iter();
        sent.filter(|(when, on, _)| *on == port && *when >= at(from))
            .map(|(_, _, frame)| frame.as_slice())
            .collect()
    }
}

/// Returns the neighbour's answer.
fn answer(frame: &[u8]) -> Option<Vec<u8>> {
    let request = Ethernet::parse(frame)?;
    let [.., a, b, c, d, e, f] = *request.addresses;
    let sender = HwAddr([a, b, c, d, e, f]);
    Some(match request.ethertype {
        ethertype::ARP => {
            let arp = Arp::parse(request.payload)?;
            let reply = arp_frame(sender, Arp::REPLY, NEIGHBOUR, TARGET, arp.sender());
            let tags = frame.len() - 42;
            [&reply[..12], &frame[12..12 + tags], &reply[12..]].concat()
        }
        ethertype::IPV6 => advertisement(TARGET6),
        _ => return None,
    })
}

pub fn advertisement(target: Ipv6Addr) -> Vec<u8> {
    let frame = unsolicited_na(NEIGHBOUR, target, false, None);
    assert!(NeighbourAdvertisement::parse(&frame[14..]).is_some());
    frame
}

/// Builds any ARP message.
pub fn arp_frame(
    destination: HwAddr,
    operation: u16,
    sender: HwAddr,
    sender_ip: Ipv4Addr,
    target_ip: Ipv4Addr,
) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(destination.0);
    frame.extend(sender.0);
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4]);
    frame.extend(operation.to_be_bytes());
    frame.extend(sender.0);
    frame.extend(sender_ip.octets());
    frame.extend(destination.0);
    frame.extend(target_ip.octets());
    frame
}

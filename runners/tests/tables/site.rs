//! A team whose ports lead through switches to one neighbour, all in virtual time.
//!
//! A message to everybody reaches the team's other ports too, those on the same switch. The
//! neighbour answers who asked, wherever it can be reached.

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
/// From a frame sent to one received.
pub const WAY: Duration = Duration::from_millis(1);

pub struct Site {
    pub team: Team,
    pub now: Instant,
    /// Ports through which the neighbour is reached.
    pub reached: Vec<u32>,
    /// Ports on one switch.
    pub switched: Vec<u32>,
    /// All frames sent: when, on which port.
    pub sent: Vec<(Instant, u32, Vec<u8>)>,
    /// What else was wanted, as it shows itself.
    pub wanted: Vec<String>,
    coming: BTreeMap<(Instant, usize), Event>,
    count: usize,
}

impl Site {
    pub fn new(settings: TeamSettings, reached: &[u32], switched: &[u32]) -> Site {
        Site {
            team: Team::new(settings, hw(DEVICE)),
            now: Instant::ZERO,
            reached: reached.to_vec(),
            switched: switched.to_vec(),
            sent: Vec::new(),
            wanted: Vec::new(),
            coming: BTreeMap::new(),
            count: 0,
        }
    }

    pub fn tell(&mut self, event: Event) {
        self.team.handle(self.now, event);
        while let Some(action) = self.team.poll_action() {
            match action {
                Action::SendFrame { port, frame } => {
                    self.carry(port.0, &frame);
                    self.sent.push((self.now, port.0, frame));
                }
                // Carried out at once.
                Action::SetPortHwAddr { port, hwaddr } => {
                    self.later(Duration::ZERO, Event::PortHwAddrChanged { port, hwaddr });
                }
                Action::SetTeamHwAddr(hwaddr) => {
                    self.later(Duration::ZERO, Event::TeamHwAddrChanged { hwaddr });
                }
                other => self.wanted.push(other.to_string()),
            }
        }
    }

    fn carry(&mut self, port: u32, frame: &[u8]) {
        for other in self.switched.clone() {
            if other != port && self.switched.contains(&port) {
                self.hears_later(other, frame.to_vec());
            }
        }
        if self.reached.contains(&port) {
            let answer = answer(frame).expect("a question");
            self.hears_later(port, answer);
        }
    }

    fn hears_later(&mut self, port: u32, frame: Vec<u8>) {
        let port = PortId(port);
        self.later(WAY, Event::FrameReceived { port, frame });
    }

    fn later(&mut self, pause: Duration, event: Event) {
        self.count += 1;
        self.coming.insert((self.now + pause, self.count), event);
    }

    /// Lets time go by until `until` (in ms).
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
                    self.tell(event);
                }
                _ => self.tell(Event::DeadlineReached),
            }
        }
        self.now = until;
    }

    pub fn hears(&mut self, port: u32, frame: &[u8]) {
        let port = PortId(port);
        let frame = frame.to_vec();
        self.tell(Event::FrameReceived { port, frame });
    }

    pub fn active(&self) -> Option<u32> {
        self.team.active_port().map(|port| port.0)
    }

    pub fn is_up(&self, port: u32) -> bool {
        self.team
            .port(PortId(port))
            .is_some_and(|port| port.watches_up())
    }

    pub fn missed(&self, port: u32) -> u32 {
        let port = self.team.port(PortId(port)).expect("a port");
        port.watches()[0].ping_status().expect("it asks").missed
    }

    /// Frames sent on a port since `from` (in ms).
    pub fn sent_on(&self, port: u32, from: u64) -> Vec<&[u8]> {
        let sent = self.sent.iter();
        sent.filter(|(when, on, _)| *on == port && *when >= at(from))
            .map(|(_, _, frame)| frame.as_slice())
            .collect()
    }
}

/// What the neighbour answers.
fn answer(frame: &[u8]) -> Option<Vec<u8>> {
    let question = Ethernet::parse(frame)?;
    let [.., a, b, c, d, e, f] = *question.addresses;
    let asker = HwAddr([a, b, c, d, e, f]);
    Some(match question.ethertype {
        ethertype::ARP => {
            let arp = Arp::parse(question.payload)?;
            let reply = arp_frame(asker, Arp::REPLY, NEIGHBOUR, TARGET, arp.sender());
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

/// Any ARP message.
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

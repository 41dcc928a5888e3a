//! BFD over one port: a session with the frames that carry its packets.
//!
//! A micro session (RFC 7130) sends to a group address until the peer's hardware address is known, so
//! it needs no address resolution. A single-hop session (RFC 5881) asks for the peer's address by ARP,
//! and answers the peer's own request: on a port that carries no traffic the host does not receive the
//! request.
//!
//! Frames and deadlines go in, frames and a verdict come out. The session runs beside the team, which
//! learns of the verdict alone ([`Event::PathChanged`](crate::Event::PathChanged)): hundreds of packets
//! a second cost no decision and fill no recording.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod session;

use std::net::IpAddr;
use std::time::Duration;

use crate::ident::HwAddr;
use crate::random::SplitMix64;
use crate::settings::BfdSettings;
use crate::time::Instant;
use crate::wire::announce::arp_reply;
use crate::wire::bfd::{
    self, BfdAddresses, BfdControl, BfdState, MICRO_GROUP, MICRO_PORT, SINGLE_HOP_PORT,
};
use crate::wire::probe::arp_request;
use crate::wire::{Arp, Ethernet, ethertype};
use session::Session;

/// Time for which a session that has never been up says nothing about its path: five packets of a
/// session that is not up. A restarted daemon's port carries on meanwhile.
const BEGINNING: Duration = Duration::from_secs(5);

/// First of the source ports that RFC 5881, section 4, allows, and their number.
const SOURCE_PORTS: (u16, u32) = (49152, 16384);

/// What a session says about the path of its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the session has just begun, or the peer's administrator holds it down, which says
    /// nothing about the path (RFC 5882 section 3.2).
    Unknown,
    /// Frames pass in both directions.
    Up,
    /// Frames do not pass.
    Down,
}

/// The state of a session, for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdStatus {
    /// State of this session.
    pub state: BfdState,
    /// State of the peer's session; Down without one.
    pub remote_state: BfdState,
    /// Why the session changed last (RFC 5880 section 4.1).
    pub diagnostic: u8,
    /// Interval between two packets that are sent; `None` if the peer wants none.
    pub transmit_interval: Option<Duration>,
    /// Time without a packet after which the peer is lost; `None` without a peer.
    pub detection_time: Option<Duration>,
    /// Greatest delay of a packet behind its time.
    pub max_delay: Duration,
    /// Packets sent.
    pub sent: u64,
    /// Packets received.
    pub received: u64,
}

/// A session over one port.
#[derive(Debug)]
pub struct BfdSession {
    settings: BfdSettings,
    session: Session,
    /// When a session that has never been up counts as down.
    beginning_end: Option<Instant>,
    verdict: Verdict,
    linked: bool,
    peer_hwaddr: Option<HwAddr>,
    /// Hardware address that frames are sent from.
    hwaddr: HwAddr,
    max_delay: Duration,
    sent: u64,
    received: u64,
}

impl BfdSession {
    /// Creates a session. The discriminator is derived from the port's own hardware address and the
    /// number of the session on this port, which together no other session of the host has.
    pub fn new(settings: BfdSettings, (hwaddr, number): (HwAddr, usize), now: Instant) -> Self {
        let [a, b, c, d, e, f] = hwaddr.0;
        let [.., high, low] = number.to_be_bytes();
        let mut random = SplitMix64::new(u64::from_be_bytes([high, low, a, b, c, d, e, f]));
        let discriminator = (random.next_u64() as u32).max(1);
        BfdSession {
            session: Session::new(settings.interval, settings.multiplier, discriminator, now),
            settings,
            beginning_end: Some(now + BEGINNING),
            verdict: Verdict::Unknown,
            linked: true,
            peer_hwaddr: None,
            hwaddr,
            max_delay: Duration::ZERO,
            sent: 0,
            received: 0,
        }
    }

    /// Returns the settings.
    pub fn settings(&self) -> &BfdSettings {
        &self.settings
    }

    /// Returns what the session says about the path.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Returns the state of the session.
    pub fn status(&self) -> BfdStatus {
        BfdStatus {
            state: self.session.state(),
            remote_state: self.session.remote_state(),
            diagnostic: self.session.diagnostic(),
            transmit_interval: self.session.transmit_interval(),
            detection_time: self.session.detection_time(),
            max_delay: self.max_delay,
            sent: self.sent,
            received: self.received,
        }
    }

    /// Returns when to call [`expire`](Self::expire).
    pub fn next_deadline(&self) -> Option<Instant> {
        self.session.next_deadline().into_iter().chain(self.beginning_end).min()
    }

    /// Sets the carrier of the port, and the hardware address that its frames are sent from.
    pub fn port_changed(&mut self, now: Instant, linked: bool, hwaddr: HwAddr) {
        self.hwaddr = hwaddr;
        if linked == self.linked {
            return;
        }
        self.linked = linked;
        match linked {
            true => {
                self.beginning_end = Some(now + BEGINNING);
                self.session.link_came_up(now);
            }
            false => {
                self.session.link_lost();
                self.verdict = Verdict::Down;
                (self.peer_hwaddr, self.beginning_end) = (None, None);
            }
        }
    }

    /// Handles a frame that the port received. Returns a frame to send.
    pub fn receive(&mut self, now: Instant, frame: &[u8]) -> Option<Vec<u8>> {
        if !self.linked {
            return None;
        }
        let Some((addresses, packet)) = bfd::parse(frame) else {
            return self.receive_arp(frame);
        };
        let is_ours = addresses.ips == (self.settings.peer, self.settings.local)
            && addresses.ports.1 == self.port();
        if !is_ours {
            return None;
        }
        self.received += 1;
        let before = self.session.state();
        let answer = self.session.receive(now, &packet);
        self.peer_hwaddr = Some(addresses.hwaddrs.0).filter(|hwaddr| !hwaddr.is_multicast());
        self.judge(before);
        answer.and_then(|packet| self.frame(packet))
    }

    /// Ends the timers of the deadline `due`. Returns a frame to send.
    pub fn expire(&mut self, due: Instant, now: Instant) -> Option<Vec<u8>> {
        let before = self.session.state();
        let packet = self.session.expire(due, now);
        self.judge(before);
        if self.beginning_end.is_some_and(|end| end <= due) {
            self.beginning_end = None;
            self.verdict = Verdict::Down;
        }
        let frame = packet.and_then(|packet| self.frame(packet))?;
        self.max_delay = self.max_delay.max(now.saturating_since(due));
        Some(frame)
    }

    /// Ends the session by its administrator. Returns the frame that tells the peer, whose path does
    /// not count as lost.
    pub fn hold_down(&mut self, now: Instant) -> Option<Vec<u8>> {
        let packet = self.session.hold_down(now);
        self.beginning_end = None;
        self.frame(packet)
    }

    /// Derives the verdict from the state, which was `before`.
    fn judge(&mut self, before: BfdState) {
        let (state, remote) = (self.session.state(), self.session.remote_state());
        self.verdict = match state {
            BfdState::Up => Verdict::Up,
            _ if remote == BfdState::AdminDown => Verdict::Unknown,
            _ if before == BfdState::Up => Verdict::Down,
            _ => return,
        };
        self.beginning_end = None;
    }

    /// Returns the UDP port of the session's kind.
    fn port(&self) -> u16 {
        if self.settings.single_hop { SINGLE_HOP_PORT } else { MICRO_PORT }
    }

    /// Returns the frame for a packet; an ARP request while the address of the peer of a single-hop
    /// session is unknown.
    fn frame(&mut self, packet: BfdControl) -> Option<Vec<u8>> {
        let group = (!self.settings.single_hop).then_some(MICRO_GROUP);
        let (IpAddr::V4(local), IpAddr::V4(peer), None) =
            (self.settings.local, self.settings.peer, self.peer_hwaddr.or(group))
        else {
            self.sent += 1;
            let (first, count) = SOURCE_PORTS;
            let source_port = first + (self.session.discriminator() % count) as u16;
            let addresses = BfdAddresses {
                hwaddrs: (self.hwaddr, self.peer_hwaddr.or(group)?),
                ips: (self.settings.local, self.settings.peer),
                ports: (source_port, self.port()),
            };
            return bfd::frame(&addresses, packet);
        };
        Some(arp_request(self.hwaddr, local, peer, None))
    }

    /// Learns the peer's hardware address from its ARP messages, and answers its request.
    fn receive_arp(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let ethernet = Ethernet::parse(frame).filter(|ethernet| ethernet.vlan_ids == 0)?;
        let is_arp = ethernet.ethertype == ethertype::ARP && self.settings.single_hop;
        let arp = Arp::parse(ethernet.payload).filter(|_| is_arp)?;
        let (IpAddr::V4(local), IpAddr::V4(peer)) = (self.settings.local, self.settings.peer)
        else {
            return None;
        };
        if (arp.sender(), arp.target()) != (peer, local) || arp.sender_hwaddr.is_multicast() {
            return None;
        }
        self.peer_hwaddr = Some(arp.sender_hwaddr);
        (arp.operation == Arp::REQUEST)
            .then(|| arp_reply(self.hwaddr, local, arp.sender_hwaddr, peer, None))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const INTERVAL: Duration = Duration::from_millis(10);
    const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const MILLISECOND: Duration = Duration::from_millis(1);

    /// Two sessions and the wire between them.
    struct Wire {
        ends: [BfdSession; 2],
        now: Instant,
        passes: bool,
    }

    impl Wire {
        fn new(single_hop: bool) -> Wire {
            let end = |last: u8, local: Ipv4Addr, peer: Ipv4Addr| {
                let settings = BfdSettings {
                    single_hop,
                    local: local.into(),
                    peer: peer.into(),
                    interval: INTERVAL,
                    multiplier: 3,
                };
                BfdSession::new(settings, (HwAddr([2, 0, 0, 0, 0, last]), 0), Instant::ZERO)
            };
            let ends = [end(1, LOCAL, PEER), end(2, PEER, LOCAL)];
            Wire { ends, now: Instant::ZERO, passes: true }
        }

        fn pass(&mut self, time: Duration) {
            let end = self.now + time;
            while self.now < end {
                self.now = self.now + MILLISECOND;
                for from in [0, 1] {
                    while let Some(due) =
                        self.ends[from].next_deadline().filter(|due| *due <= self.now)
                    {
                        let frame = self.ends[from].expire(due, self.now);
                        self.deliver(from, frame);
                    }
                }
            }
        }

        fn deliver(&mut self, from: usize, frame: Option<Vec<u8>>) {
            let mut frame = frame.filter(|_| self.passes);
            let mut to = 1 - from;
            while let Some(bytes) = frame {
                frame = self.ends[to].receive(self.now, &bytes);
                to = 1 - to;
            }
        }

        fn verdicts(&self) -> [Verdict; 2] {
            [self.ends[0].verdict(), self.ends[1].verdict()]
        }
    }

    #[test]
    fn a_silent_path_is_down_within_35_ms_and_up_again_when_it_returns() {
        for single_hop in [false, true] {
            let mut wire = Wire::new(single_hop);
            assert_eq!(wire.verdicts(), [Verdict::Unknown; 2]);
            wire.pass(Duration::from_secs(3));
            assert_eq!(wire.verdicts(), [Verdict::Up; 2], "single hop: {single_hop}");
            wire.passes = false;
            wire.pass(Duration::from_millis(20));
            assert_eq!(wire.verdicts(), [Verdict::Up; 2]);
            wire.pass(Duration::from_millis(15));
            assert_eq!(wire.verdicts(), [Verdict::Down; 2]);
            wire.passes = true;
            wire.pass(Duration::from_secs(2));
            assert_eq!(wire.verdicts(), [Verdict::Up; 2]);
        }
    }

    #[test]
    fn an_hour_without_loss_raises_no_alarm() {
        let mut wire = Wire::new(false);
        wire.pass(Duration::from_secs(3));
        for _ in 0..3600 {
            wire.pass(Duration::from_secs(1));
            assert_eq!(wire.verdicts(), [Verdict::Up; 2]);
        }
        let status = wire.ends[0].status();
        assert_eq!(status.detection_time, Some(3 * INTERVAL));
        // A packet each 7.5 to 10 ms.
        assert!((360_000..500_000).contains(&status.received), "{status:?}");
    }

    #[test]
    fn a_peer_held_down_by_its_administrator_does_not_count_as_lost() {
        let mut wire = Wire::new(false);
        wire.pass(Duration::from_secs(3));
        let last = wire.ends[0].hold_down(wire.now);
        wire.deliver(0, last);
        wire.pass(Duration::from_millis(20));
        assert_eq!(wire.verdicts()[1], Verdict::Unknown);
        assert_eq!(wire.ends[0].next_deadline(), None, "sends nothing more");
    }

    #[test]
    fn a_path_without_a_peer_is_down_after_the_beginning() {
        let mut wire = Wire::new(false);
        wire.passes = false;
        wire.pass(Duration::from_millis(4999));
        assert_eq!(wire.verdicts(), [Verdict::Unknown; 2]);
        wire.pass(Duration::from_millis(2));
        assert_eq!(wire.verdicts(), [Verdict::Down; 2]);
    }

    #[test]
    fn a_lost_carrier_ends_the_session_at_once() {
        let mut wire = Wire::new(true);
        wire.pass(Duration::from_secs(3));
        let hwaddr = HwAddr([2, 0, 0, 0, 0, 1]);
        wire.ends[0].port_changed(wire.now, false, hwaddr);
        assert_eq!((wire.verdicts()[0], wire.ends[0].next_deadline()), (Verdict::Down, None));
        wire.ends[0].port_changed(wire.now, true, hwaddr);
        wire.pass(Duration::from_secs(3));
        assert_eq!(wire.verdicts(), [Verdict::Up; 2]);
    }

    #[test]
    fn packets_of_another_host_or_session_kind_do_not_count() {
        let mut wire = Wire::new(false);
        wire.pass(Duration::from_secs(3));
        let addresses = BfdAddresses {
            hwaddrs: (HwAddr([2, 0, 0, 0, 0, 9]), HwAddr([2, 0, 0, 0, 0, 1])),
            ips: (PEER.into(), LOCAL.into()),
            ports: (49152, MICRO_PORT),
        };
        let down = BfdControl {
            diagnostic: 0,
            state: BfdState::Down,
            poll: false,
            is_final: false,
            demand: false,
            detect_multiplier: 3,
            my_discriminator: 77,
            your_discriminator: 0,
            desired_min_tx: INTERVAL,
            required_min_rx: INTERVAL,
        };
        let foreign = Ipv4Addr::new(10, 0, 0, 3);
        for other in [
            BfdAddresses { ips: (foreign.into(), LOCAL.into()), ..addresses },
            BfdAddresses { ips: (PEER.into(), foreign.into()), ..addresses },
            BfdAddresses { ports: (49152, SINGLE_HOP_PORT), ..addresses },
        ] {
            let frame = bfd::frame(&other, down).expect("a frame");
            assert_eq!(wire.ends[0].receive(wire.now, &frame), None);
            assert_eq!(wire.verdicts()[0], Verdict::Up, "{other:?}");
        }
        let frame = bfd::frame(&addresses, down).expect("a frame");
        assert!(wire.ends[0].receive(wire.now, &frame).is_some());
        assert_eq!(wire.verdicts()[0], Verdict::Down, "the peer itself has begun anew");
    }
}

//! A partner on one wire, played by the test: sends the LACPDUs of a case, and records the LACPDUs of
//! the system under test.

use std::time::{Duration, Instant};

use integration::traffic::Wire;
use runners::HwAddr;
use runners::wire::lacpdu::{Lacpdu, PortInfo, StateBits};
use runners::wire::marker::Marker;

/// Time between two LACPDUs of the partner: less than Fast_Periodic_Time (6.4.4).
const PERIOD: Duration = Duration::from_millis(800);
/// Bytes of the Ethernet header.
const HEADER: usize = 14;
const SOURCE: HwAddr = HwAddr([2, 0, 0, 0, 9, 1]);

/// Activity, Short Timeout, Aggregation, Synchronization, Collecting and Distributing.
pub const CARRIES: StateBits = StateBits(0x3f);
/// Synchronization, Collecting and Distributing.
pub const ALL_MUX: StateBits = StateBits(0x38);

/// A received LACPDU.
pub struct Heard {
    /// Time of arrival in nanoseconds of the monotonic clock.
    pub at: u64,
    /// The whole frame.
    pub frame: Vec<u8>,
    /// The frame, decoded.
    pub pdu: Lacpdu,
}

/// The partner.
pub struct Partner {
    wire: Wire,
    /// The information about the partner itself in its next LACPDUs.
    pub actor: PortInfo,
    last: Option<PortInfo>,
    due: Instant,
    markers: Vec<Marker>,
}

impl Partner {
    /// Plays a partner on a wire.
    pub fn new(wire: Wire) -> Partner {
        let actor = PortInfo {
            system_priority: 0x8000,
            system: SOURCE,
            key: 9,
            port_priority: 0xff,
            port: 7,
            state: CARRIES,
        };
        Partner { wire, actor, last: None, due: Instant::now(), markers: Vec::new() }
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &[u8]) {
        self.wire.send(frame);
    }

    /// Returns the LACPDU that is right now.
    pub fn pdu(&self) -> Lacpdu {
        Lacpdu::new(self.actor, self.last.unwrap_or_default(), None)
    }

    /// Sends the LACPDU that is right now.
    pub fn send_pdu(&mut self) {
        let frame = self.pdu().frame(SOURCE);
        self.send(&frame);
        self.due = Instant::now() + PERIOD;
    }

    /// Sends a marker and returns the response, if one comes within a second.
    pub fn ask_marker(&mut self, transaction: u32) -> Option<Marker> {
        let marker = Marker::information(self.actor.port, self.actor.system, transaction);
        self.send(&marker.frame(SOURCE));
        self.markers.clear();
        self.talk(Duration::from_secs(1), |_| false);
        self.markers.first().copied()
    }

    /// Returns the next LACPDU that arrives before `end`.
    fn hear(&mut self, end: Instant) -> Option<Heard> {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let (at, frame) = self.wire.receive(left)?;
            let payload = frame.get(HEADER..).unwrap_or_default();
            self.markers.extend(Marker::parse(payload).filter(|marker| marker.response));
            if let Some(pdu) = Lacpdu::parse(payload) {
                return Some(Heard { at, frame, pdu });
            }
        }
    }

    /// Sends nothing, and returns the LACPDUs that arrive within `time`, up to the first one that
    /// satisfies `enough`.
    pub fn listen(&mut self, time: Duration, enough: impl Fn(&Lacpdu) -> bool) -> Vec<Heard> {
        let end = Instant::now() + time;
        let mut all = Vec::new();
        while let Some(heard) = self.hear(end) {
            self.last = Some(heard.pdu.actor);
            let is_enough = enough(&heard.pdu);
            all.push(heard);
            if is_enough {
                break;
            }
        }
        all
    }

    /// As [`listen`](Partner::listen), but sends LACPDUs, periodically and when the system under test
    /// has changed.
    pub fn talk(&mut self, time: Duration, enough: impl Fn(&Lacpdu) -> bool) -> Vec<Heard> {
        let end = Instant::now() + time;
        let mut all = Vec::new();
        while Instant::now() < end {
            if Instant::now() >= self.due {
                self.send_pdu();
            }
            let until = self.due.min(end);
            if let Some(heard) = self.listen_once(until) {
                let is_enough = enough(&heard.pdu);
                all.push(heard);
                if is_enough {
                    return all;
                }
            }
        }
        all
    }

    fn listen_once(&mut self, until: Instant) -> Option<Heard> {
        let heard = self.hear(until)?;
        if self.last != Some(heard.pdu.actor) {
            self.last = Some(heard.pdu.actor);
            self.send_pdu();
        }
        Some(heard)
    }

    /// Talks until the system under test distributes. Returns whether it does within ten seconds.
    pub fn establish(&mut self) -> bool {
        self.actor.state = CARRIES;
        let distributes = |pdu: &Lacpdu| pdu.actor.state.has(ALL_MUX);
        let heard = self.talk(Duration::from_secs(10), distributes);
        heard.last().is_some_and(|heard| distributes(&heard.pdu))
    }
}

//! The state machine and timers of one session in asynchronous mode (RFC 5880 section 6.8).
//!
//! ```text
//!                              +--+
//!                              |  | UP, ADMIN DOWN, TIMER
//!                              |  V
//!                      DOWN  +------+  INIT
//!               +------------|      |------------+
//!               |            | DOWN |            |
//!               |  +-------->|      |<--------+  |
//!               |  |         +------+         |  |
//!               |  |                          |  |
//!               |  |               ADMIN DOWN,|  |
//!               |  |ADMIN DOWN,          DOWN,|  |
//!               |  |TIMER                TIMER|  |
//!               V  |                          |  V
//!             +------+                      +------+
//!        +----|      |                      |      |----+
//!    DOWN|    | INIT |--------------------->|  UP  |    |INIT, UP
//!        +--->|      | INIT, UP             |      |<---+
//!             +------+                      +------+
//! ```
//!
//! The session takes the active role, wants no echo packets and never enters demand mode itself.
//! Authentication is not supported.

use std::time::Duration;

use crate::random::SplitMix64;
use crate::time::Instant;
use crate::wire::bfd::{BfdControl, BfdState};

/// Least interval of packets while the session is not up (section 6.8.3).
const SLOW: Duration = Duration::from_secs(1);

/// Diagnostics of this session (section 4.1).
const NO_DIAGNOSTIC: u8 = 0;
const DETECTION_TIME_EXPIRED: u8 = 1;
const NEIGHBOR_SIGNALED_DOWN: u8 = 3;
const PATH_DOWN: u8 = 5;
const ADMINISTRATIVELY_DOWN: u8 = 7;

/// The peer as its last packet describes it.
#[derive(Clone, Copy, Debug)]
struct Remote {
    state: BfdState,
    discriminator: u32,
    demand: bool,
    detect_multiplier: u8,
    desired_min_tx: Duration,
    required_min_rx: Duration,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    /// Interval of packets that both directions want.
    interval: Duration,
    detect_multiplier: u8,
    discriminator: u32,
    jitter: SplitMix64,
    state: BfdState,
    diagnostic: u8,
    /// `None` before the first packet, and a detection time after the last one.
    remote: Option<Remote>,
    /// A poll sequence is in progress (section 6.5).
    polls: bool,
    last_sent: Option<Instant>,
    next_packet: Option<Instant>,
    detection_end: Option<Instant>,
}

impl Session {
    pub(super) fn new(
        interval: Duration,
        detect_multiplier: u8,
        discriminator: u32,
        now: Instant,
    ) -> Self {
        Session {
            interval,
            detect_multiplier,
            discriminator,
            jitter: SplitMix64::new(discriminator.into()),
            state: BfdState::Down,
            diagnostic: NO_DIAGNOSTIC,
            remote: None,
            polls: false,
            last_sent: None,
            next_packet: Some(now + Duration::from_nanos(1)),
            detection_end: None,
        }
    }

    pub(super) fn state(&self) -> BfdState {
        self.state
    }

    pub(super) fn diagnostic(&self) -> u8 {
        self.diagnostic
    }

    pub(super) fn discriminator(&self) -> u32 {
        self.discriminator
    }

    /// Returns the state of the peer's session; Down without one.
    pub(super) fn remote_state(&self) -> BfdState {
        self.remote.map_or(BfdState::Down, |remote| remote.state)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next_packet.into_iter().chain(self.detection_end).min()
    }

    /// Returns the interval between two packets, before jitter; `None` if the peer wants none.
    pub(super) fn transmit_interval(&self) -> Option<Duration> {
        let Some(remote) = self.remote else {
            return Some(self.desired_min_tx());
        };
        let both_up = self.state == BfdState::Up && remote.state == BfdState::Up;
        let is_unwanted = remote.required_min_rx.is_zero() || (remote.demand && both_up);
        match is_unwanted && !self.polls {
            true => None,
            false => Some(self.desired_min_tx().max(remote.required_min_rx)),
        }
    }

    /// Returns the time without a packet after which the peer is lost (section 6.8.4).
    pub(super) fn detection_time(&self) -> Option<Duration> {
        let remote = self.remote?;
        let interval = self.interval.max(remote.desired_min_tx);
        Some(interval * u32::from(remote.detect_multiplier))
    }

    /// Returns the interval that packets announce (section 6.8.3).
    fn desired_min_tx(&self) -> Duration {
        match self.state {
            BfdState::Up => self.interval,
            BfdState::AdminDown | BfdState::Down | BfdState::Init => self.interval.max(SLOW),
        }
    }

    /// Handles a packet of the peer (section 6.8.6). Returns the packet to send at once: the answer to a
    /// poll, or the first one of a new state.
    pub(super) fn receive(&mut self, now: Instant, packet: &BfdControl) -> Option<BfdControl> {
        let is_ours = [0, self.discriminator].contains(&packet.your_discriminator);
        if !is_ours || self.state == BfdState::AdminDown {
            return None;
        }
        self.remote = Some(Remote {
            state: packet.state,
            discriminator: packet.my_discriminator,
            demand: packet.demand,
            detect_multiplier: packet.detect_multiplier,
            desired_min_tx: packet.desired_min_tx,
            required_min_rx: packet.required_min_rx,
        });
        self.polls &= !packet.is_final;
        let before = self.state;
        self.change_state(packet.state);
        self.detection_end = self.detection_time().map(|time| now + time);
        if packet.poll {
            return Some(self.send(now, true));
        }
        if self.state != before {
            return Some(self.send(now, false));
        }
        self.reschedule(now);
        None
    }

    /// The transitions of the diagram for a packet with the state `remote`.
    fn change_state(&mut self, remote: BfdState) {
        let next = match (self.state, remote) {
            (BfdState::AdminDown, _) => BfdState::AdminDown,
            (BfdState::Down, BfdState::Down) => BfdState::Init,
            (BfdState::Down, BfdState::Init) => BfdState::Up,
            (BfdState::Down, BfdState::AdminDown | BfdState::Up) => BfdState::Down,
            (BfdState::Init, BfdState::Init | BfdState::Up) => BfdState::Up,
            (BfdState::Init, BfdState::Down) => BfdState::Init,
            (BfdState::Up, BfdState::Init | BfdState::Up) => BfdState::Up,
            (BfdState::Init | BfdState::Up, BfdState::AdminDown)
            | (BfdState::Up, BfdState::Down) => {
                self.diagnostic = NEIGHBOR_SIGNALED_DOWN;
                BfdState::Down
            }
        };
        self.enter(next);
    }

    /// A session that comes up announces a shorter interval, by a poll sequence (section 6.8.3).
    fn enter(&mut self, state: BfdState) {
        if state == BfdState::Up && self.state != BfdState::Up {
            self.diagnostic = NO_DIAGNOSTIC;
            self.polls = self.interval < SLOW;
        }
        if state != BfdState::Up {
            self.polls = false;
        }
        self.state = state;
    }

    /// Ends the timers of the deadline `due`. Returns a packet to send.
    pub(super) fn expire(&mut self, due: Instant, now: Instant) -> Option<BfdControl> {
        let before = self.state;
        if self.detection_end.is_some_and(|end| end <= due) {
            self.detection_end = None;
            self.remote = None;
            if matches!(self.state, BfdState::Init | BfdState::Up) {
                self.diagnostic = DETECTION_TIME_EXPIRED;
                self.enter(BfdState::Down);
            }
            self.reschedule(now);
        }
        let is_due = self.next_packet.is_some_and(|next| next <= due);
        (is_due || self.state != before).then(|| self.send(now, false))
    }

    /// Ends the session because its link is lost.
    pub(super) fn link_lost(&mut self) {
        self.diagnostic = PATH_DOWN;
        self.enter(BfdState::Down);
        (self.remote, self.detection_end, self.next_packet) = (None, None, None);
    }

    /// Begins to send on a link that came up.
    pub(super) fn link_came_up(&mut self, now: Instant) {
        self.next_packet = Some(now + Duration::from_nanos(1));
    }

    /// Holds the session down from now on. Returns the packet that tells the peer.
    pub(super) fn hold_down(&mut self, now: Instant) -> BfdControl {
        self.diagnostic = ADMINISTRATIVELY_DOWN;
        self.enter(BfdState::AdminDown);
        let packet = self.send(now, false);
        (self.detection_end, self.next_packet) = (None, None);
        packet
    }

    fn send(&mut self, now: Instant, is_final: bool) -> BfdControl {
        self.last_sent = Some(now);
        self.next_packet = self.transmit_interval().map(|interval| now + self.jittered(interval));
        BfdControl {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: self.polls && !is_final,
            is_final,
            demand: false,
            detect_multiplier: self.detect_multiplier,
            my_discriminator: self.discriminator,
            your_discriminator: self.remote.map_or(0, |remote| remote.discriminator),
            desired_min_tx: self.desired_min_tx(),
            required_min_rx: self.interval,
        }
    }

    /// Applies an interval that the peer has changed (section 6.8.7).
    fn reschedule(&mut self, now: Instant) {
        let Some(interval) = self.transmit_interval() else {
            self.next_packet = None;
            return;
        };
        let latest = self.last_sent.unwrap_or(now) + interval;
        if self.next_packet.is_none_or(|next| next > latest) {
            self.next_packet = Some(latest.max(now + Duration::from_nanos(1)));
        }
    }

    /// Returns the interval less 0 to 25 %, or, with one packet as the detection time, 10 to 25 %
    /// (section 6.8.7).
    fn jittered(&mut self, interval: Duration) -> Duration {
        let least = if self.detect_multiplier == 1 { 100 } else { 0 };
        let less = (least + self.jitter.below(251 - least)) as u32;
        interval - interval / 1000 * less
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(10);
    const OURS: u32 = 7;
    const PEERS: u32 = 9;

    fn at(micros: u64) -> Instant {
        Instant::ZERO + Duration::from_micros(micros)
    }

    fn session() -> Session {
        Session::new(INTERVAL, 3, OURS, at(0))
    }

    fn packet(state: BfdState) -> BfdControl {
        BfdControl {
            diagnostic: 0,
            state,
            poll: false,
            is_final: false,
            demand: false,
            detect_multiplier: 3,
            my_discriminator: PEERS,
            your_discriminator: OURS,
            desired_min_tx: INTERVAL,
            required_min_rx: INTERVAL,
        }
    }

    fn session_in(state: BfdState) -> Session {
        let mut session = session();
        let before = match state {
            BfdState::Down => None,
            BfdState::Init => Some(BfdState::Down),
            BfdState::Up => Some(BfdState::Init),
            BfdState::AdminDown => {
                session.hold_down(at(0));
                None
            }
        };
        before.map(|before| session.receive(at(0), &packet(before)));
        assert_eq!(session.state(), state);
        session
    }

    #[test]
    fn every_packet_leads_to_the_state_of_the_diagram() {
        use BfdState::{AdminDown, Down, Init, Up};
        for (state, next) in [
            // The next state for a packet with AdminDown, Down, Init, Up.
            (AdminDown, [AdminDown, AdminDown, AdminDown, AdminDown]),
            (Down, [Down, Init, Up, Down]),
            (Init, [Down, Init, Up, Up]),
            (Up, [Down, Down, Up, Up]),
        ] {
            for (received, next) in [AdminDown, Down, Init, Up].into_iter().zip(next) {
                let mut session = session_in(state);
                let answer = session.receive(at(1), &packet(received));
                assert_eq!(session.state(), next, "{state:?} receives {received:?}");
                assert_eq!(answer.is_some(), next != state, "a new state is told at once");
                let fell = next == Down && state != Down;
                assert_eq!(session.diagnostic() == NEIGHBOR_SIGNALED_DOWN, fell);
            }
        }
    }

    #[test]
    fn a_silent_peer_is_lost_after_its_multiplier_of_the_longer_interval() {
        for (desired, multiplier, micros) in [(10, 3, 30_000), (50, 2, 100_000), (1, 5, 50_000)] {
            let mut session = session_in(BfdState::Up);
            let packet = BfdControl {
                desired_min_tx: Duration::from_millis(desired),
                detect_multiplier: multiplier,
                ..packet(BfdState::Up)
            };
            session.receive(at(1000), &packet);
            let mut now = at(1000);
            while session.state() == BfdState::Up {
                now = session.next_deadline().expect("a timer");
                session.expire(now, now);
            }
            assert_eq!(now, at(1000 + micros));
            assert_eq!(session.diagnostic(), DETECTION_TIME_EXPIRED);
            let told = session.expire(now + SLOW, now + SLOW).expect("goes on to send");
            assert_eq!((told.state, told.your_discriminator), (BfdState::Down, 0));
        }
    }

    #[test]
    fn packets_leave_at_the_slower_interval_with_jitter() {
        for (required, multiplier, most, least) in
            [(10, 3, 10_000, 7500), (40, 3, 40_000, 30_000), (10, 1, 9000, 7500)]
        {
            let mut session = Session { detect_multiplier: multiplier, ..session_in(BfdState::Up) };
            let required_min_rx = Duration::from_millis(required);
            let packet = BfdControl {
                required_min_rx,
                desired_min_tx: required_min_rx,
                ..packet(BfdState::Up)
            };
            session.receive(at(0), &BfdControl { is_final: true, ..packet });
            let mut pauses = Vec::new();
            let mut last = None;
            while pauses.len() < 500 {
                let now = session.next_deadline().expect("a timer");
                assert!(session.expire(now, now).is_some(), "only the packet is due");
                pauses.extend(last.map(|last| now.saturating_since(last).as_micros()));
                last = Some(now);
                session.receive(now, &packet);
            }
            let (shortest, longest) = (pauses.iter().min(), pauses.iter().max());
            let (shortest, longest) = (*shortest.expect("some"), *longest.expect("some"));
            assert!(least <= shortest && longest <= most, "{shortest} to {longest}");
            assert!(longest - shortest > (most - least) * 9 / 10, "{shortest} to {longest}");
        }
        // The peer wants no packets, or demand mode.
        for packet in [
            BfdControl { required_min_rx: Duration::ZERO, ..packet(BfdState::Up) },
            BfdControl { demand: true, ..packet(BfdState::Up) },
        ] {
            let mut session = session_in(BfdState::Up);
            session.receive(at(1), &BfdControl { is_final: true, ..packet });
            assert_eq!(session.transmit_interval(), None);
            assert!(session.next_packet.is_none());
        }
    }

    #[test]
    fn a_session_that_is_not_up_sends_a_packet_a_second() {
        let mut session = session();
        let mut sent = Vec::new();
        while sent.len() < 10 {
            let now = session.next_deadline().expect("a timer");
            let packet = session.expire(now, now).expect("a packet");
            assert_eq!((packet.desired_min_tx, packet.required_min_rx), (SLOW, INTERVAL));
            sent.push(now);
        }
        for pair in sent.windows(2) {
            let pause = pair[1].saturating_since(pair[0]).as_millis();
            assert!((750..=1000).contains(&pause), "{pause} ms");
        }
    }

    #[test]
    fn a_poll_sequence_announces_the_shorter_interval_until_it_is_answered() {
        let mut session = session_in(BfdState::Up);
        let now = session.next_deadline().expect("a timer");
        let first = session.expire(now, now).expect("a packet");
        assert!(first.poll && first.desired_min_tx == INTERVAL);
        let answer = session.receive(now, &BfdControl { poll: true, ..packet(BfdState::Up) });
        let answer = answer.expect("a poll is answered at once");
        assert!(answer.is_final && !answer.poll, "never both");
        session.receive(now, &BfdControl { is_final: true, ..packet(BfdState::Up) });
        let now = session.next_deadline().expect("a timer");
        assert!(!session.expire(now, now).expect("a packet").poll);
    }

    #[test]
    fn a_packet_for_another_session_changes_nothing() {
        for state in [BfdState::Down, BfdState::Init, BfdState::Up] {
            let mut session = session_in(state);
            let before = format!("{session:?}");
            let other = BfdControl { your_discriminator: OURS + 1, ..packet(BfdState::Down) };
            assert_eq!(session.receive(at(5), &other), None);
            assert_eq!(format!("{session:?}"), before);
        }
    }

    #[test]
    fn no_peer_makes_a_session_busy_or_silent_for_ever() {
        let mut random = SplitMix64::new(3);
        let mut session = session();
        let mut now = at(0);
        for _ in 0..20_000 {
            let mut pick = |values: &[u64]| values[random.below(values.len())];
            now = now + Duration::from_micros(pick(&[1, 900, 20_000, 3_000_000]));
            for turn in 0.. {
                let Some(due) = session.next_deadline().filter(|due| *due <= now) else { break };
                session.expire(due, now);
                assert!(turn < 3, "a deadline stays in the past");
            }
            let time =
                |index: u64| Duration::from_micros([0, 1, 10_000, u32::MAX.into()][index as usize]);
            let received = BfdControl {
                state: [BfdState::AdminDown, BfdState::Down, BfdState::Init, BfdState::Up]
                    [pick(&[0, 1, 2, 3]) as usize],
                poll: pick(&[0, 1]) == 1,
                is_final: pick(&[0, 1]) == 1,
                demand: pick(&[0, 0, 1]) == 1,
                detect_multiplier: pick(&[1, 3, 255]) as u8,
                my_discriminator: pick(&[1, 2]) as u32,
                your_discriminator: pick(&[0, OURS.into(), 8]) as u32,
                desired_min_tx: time(pick(&[0, 1, 2, 3])),
                required_min_rx: time(pick(&[0, 1, 2, 3])),
                diagnostic: 0,
            };
            session.receive(now, &received);
            assert!(session.next_deadline().is_none_or(|due| due > now), "{session:?}");
            assert!(session.next_deadline().is_some(), "{session:?}");
        }
    }
}

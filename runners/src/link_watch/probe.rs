//! probe: asks the other ports of the team, or the ports of other teams, by probe frames; replies show
//! that the switches forward between the two in both directions.
//!
//! Each port broadcasts a request in every interval, whether the port carries traffic or not, from a
//! hardware address that attracts no traffic of the team. Every other port of the same group with the
//! watch replies to this address. Without a group the ports of one team answer each other; within a
//! group only the ports of other teams count.
//!
//! Missing replies alone say nothing: the port that should answer may be at fault, or its daemon be
//! gone. Therefore missing replies take the watch down only while another port of the team is answered.
//! A watch that has neither been answered nor judged since the carrier came up goes up after
//! `missed_max + 1` silent intervals without such a witness.

use std::collections::VecDeque;
use std::time::Duration;

use super::context::WatchContext;
use super::ping_timer::{PingTimer, Situation};
use crate::ident::HwAddr;
use crate::settings::ProbeSettings;
use crate::time::Instant;
use crate::wire::Ethernet;
use crate::wire::path_probe::{PathProbe, TeamPort};

/// Requests in the window of loss and latency.
const WINDOW: usize = 128;

/// Most replies to others between two own requests: a bound for a flood of forged requests.
const MOST_REPLIES: u32 = 256;

/// The state of the watch probe, for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeStatus {
    /// Requests sent.
    pub sent: u64,
    /// Requests that were answered.
    pub answered: u64,
    /// Share of the last 128 requests without a reply, in millionths; `None` before the first
    /// request had time for a reply.
    pub loss_ratio: Option<u32>,
    /// Time from the last answered request to its reply.
    pub latency: Option<Duration>,
    /// The longest such time of the requests of the window.
    pub max_latency: Option<Duration>,
    /// Hardware address of the team that replied last.
    pub replier: Option<HwAddr>,
}

/// What a received frame leads to.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Whether the frame answers a request of this port.
    pub(crate) is_answer: bool,
    /// The reply to the request of another port.
    pub(crate) reply: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Probe {
    settings: ProbeSettings,
    pub(super) timer: PingTimer,
    /// Until the first answer or verdict since the carrier came up: the missed intervals before.
    unproven_since: Option<u32>,
    /// Time of each request of the window, and of its reply.
    window: VecDeque<(Instant, Option<Duration>)>,
    /// Number of the next request.
    next_number: u32,
    /// Replies to others since the last request.
    replies: u32,
    sent: u64,
    answered: u64,
    latency: Option<Duration>,
    replier: Option<HwAddr>,
}

impl Probe {
    pub(crate) fn new(settings: ProbeSettings, now: Instant) -> Self {
        Probe {
            settings,
            timer: PingTimer::new(settings.probing, now),
            unproven_since: Some(0),
            window: VecDeque::new(),
            // Another number than those of a former daemon, whose replies may still be under way.
            next_number: (now.as_nanos() >> 10) as u32,
            replies: 0,
            sent: 0,
            answered: 0,
            latency: None,
            replier: None,
        }
    }

    pub(super) fn status(&self) -> ProbeStatus {
        let waits = self.window.back().is_some_and(|(_, latency)| latency.is_none());
        let complete = self.window.len() - usize::from(waits);
        let latencies = || self.window.iter().filter_map(|(_, latency)| *latency);
        let lost = complete - latencies().count();
        ProbeStatus {
            sent: self.sent,
            answered: self.answered,
            loss_ratio: (lost * 1_000_000).checked_div(complete).map(|ratio| ratio as u32),
            latency: self.latency,
            max_latency: latencies().max(),
            replier: self.replier,
        }
    }

    /// Whether the port is answered now, so that the silence of another port is that port's own.
    pub(super) fn is_answered(&self) -> bool {
        self.timer.last_answer().is_some() && self.timer.missed() == 0
    }

    /// Whether no port answers a watch that is up all the same.
    pub(super) fn lacks_peers(&self) -> bool {
        self.timer.missed() > self.settings.probing.missed_max
    }

    /// Begins anew after the carrier was lost.
    pub(super) fn carrier_lost(&mut self) {
        self.unproven_since = Some(self.timer.missed());
    }

    /// Ends the timers of the deadline `due`. Returns whether the watch is up now, and whether a request
    /// is due.
    pub(super) fn expire(
        &mut self,
        due: Instant,
        now: Instant,
        up: bool,
        context: &WatchContext,
    ) -> (bool, bool) {
        let expiry = self.timer.expire(due, now, Situation { up, has_other_port: false });
        let before = self.unproven_since.unwrap_or(0);
        let is_silent =
            self.timer.missed().saturating_sub(before) > self.settings.probing.missed_max;
        if !is_silent || !context.linked {
            return (up, expiry.request_due);
        }
        let is_up = match context.has_witness {
            true => false,
            false => up || self.unproven_since.is_some(),
        };
        self.unproven_since = None;
        (is_up, expiry.request_due)
    }

    /// Returns the request to send now, if any.
    pub(crate) fn request(&mut self, now: Instant, context: &WatchContext) -> Option<Vec<u8>> {
        if !context.linked {
            return None;
        }
        self.timer.request_sent(now);
        let request = PathProbe {
            asker: context.own(),
            number: self.next_number,
            group: self.settings.group,
            replier: None,
        };
        self.next_number = self.next_number.wrapping_add(1);
        self.window.push_back((now, None));
        if self.window.len() > WINDOW {
            self.window.pop_front();
        }
        self.replies = 0;
        self.sent += 1;
        Some(request.frame(HwAddr::BROADCAST, context.port_only_hwaddr, self.settings.vlanid))
    }

    /// Handles a frame that the port received.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        frame: &[u8],
        context: &WatchContext,
    ) -> Received {
        let mut received = Received::default();
        let vlan = u64::from(self.settings.vlanid.unwrap_or(0)) << 48;
        let ethernet = Ethernet::parse(frame).filter(|ethernet| ethernet.vlan_ids == vlan);
        let Some((ethernet, probe)) = ethernet.and_then(|it| Some((it, PathProbe::parse(&it)?)))
        else {
            return received;
        };
        if probe.group != self.settings.group {
            return received;
        }
        match probe.replier {
            Some(replier) if probe.asker == context.own() && self.is_other(replier, context) => {
                received.is_answer = self.answer(now, probe.number);
                if received.is_answer {
                    self.replier = Some(replier.team);
                }
            }
            None if self.is_other(probe.asker, context) => {
                received.reply = self.reply(&ethernet, probe, context);
            }
            _ => {}
        }
        received
    }

    /// Whether a port may ask and answer this one.
    fn is_other(&self, other: TeamPort, context: &WatchContext) -> bool {
        let own = context.own();
        match self.settings.group {
            0 => other.team == own.team && other.port != own.port,
            _ => other.team != own.team,
        }
    }

    /// Records the reply to a request. Returns whether the request waited for one.
    fn answer(&mut self, now: Instant, number: u32) -> bool {
        let age = self.next_number.wrapping_sub(number) as usize;
        let place = self.window.len().checked_sub(age);
        let Some((sent, latency @ None)) = place.and_then(|place| self.window.get_mut(place))
        else {
            return false;
        };
        let delay = now.saturating_since(*sent);
        *latency = Some(delay);
        self.latency = Some(delay);
        self.answered += 1;
        self.unproven_since = None;
        self.timer.replied(now);
        true
    }

    /// Returns the reply to the request of another port.
    fn reply(
        &mut self,
        ethernet: &Ethernet<'_>,
        request: PathProbe,
        context: &WatchContext,
    ) -> Option<Vec<u8>> {
        let [.., a, b, c, d, e, f] = *ethernet.addresses;
        let to = HwAddr([a, b, c, d, e, f]);
        if to.is_multicast() || self.replies >= MOST_REPLIES {
            return None;
        }
        self.replies += 1;
        let reply = PathProbe { replier: Some(context.own()), ..request };
        Some(reply.frame(to, context.port_only_hwaddr, self.settings.vlanid))
    }
}

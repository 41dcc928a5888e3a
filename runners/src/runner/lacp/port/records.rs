//! The actions of the Receive machine on the information about Actor and Partner: figure 6-18 and
//! the functions of 6.4.9 (IEEE 802.1AX-2014).

use std::time::Duration;

use crate::lacp_machines::periodic::SLOW_PERIODIC_TIME;
use crate::lacp_machines::receive::{ReceiveEvent, ReceiveState, Timeouts};
use crate::lacp_status::Selected;
use crate::runner::lacp::mux::MuxState;
use crate::settings::lacp::LacpSettings;
use crate::time::Instant;
use crate::wire::lacpdu::{Lacpdu, PortInfo, RetryCounts, STANDARD_RETRIES, StateBits};

use super::LacpPort;

/// How long a Partner's retry count stays valid after the last LACPDU with retry counts.
const RETRY_COUNT_VALIDITY: Duration = Duration::from_secs(60);

/// Effect of an LACPDU on the information about the Partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runner::lacp) enum Recorded {
    /// The information differs from before.
    Changed,
    /// The information is as before, or the LACPDU was ignored.
    Unchanged,
}

impl LacpPort {
    /// Runs the Receive machine with an event and performs the actions of the entered state.
    pub(super) fn run_receive(
        &mut self,
        now: Instant,
        event: ReceiveEvent,
        settings: &LacpSettings,
    ) {
        let before = self.receive.state();
        let was_enabled = self.receive.is_lacp_enabled();
        let timeouts = self.timeouts(settings);
        let Some(entered) = self.receive.handle(now, event, timeouts) else {
            return;
        };
        if entered != before {
            log::debug!("{}: Receive machine enters {}", self.name, entered.name());
        }
        self.defaulted_at = None;
        match entered {
            ReceiveState::PortDisabled | ReceiveState::LacpDisabled => {
                self.update_default_selected();
                self.record_default(StateBits::default());
                (self.last_received, self.receive_interval) = (None, None);
            }
            ReceiveState::Expired => {
                if !was_enabled {
                    self.mux.link_up(now);
                }
                self.partner.state = self
                    .partner
                    .state
                    .with(StateBits::SYNCHRONIZATION, false)
                    .with(StateBits::TIMEOUT, true);
                self.transmit.set_ntt();
            }
            ReceiveState::Defaulted => {
                self.update_default_selected();
                // With Short Timeout of the Partner, the port sends at the fast rate.
                self.record_default(StateBits::TIMEOUT);
                self.defaulted_at = Some(now);
                self.transmit.set_ntt();
            }
            ReceiveState::Current => {
                // A port that stayed attached is in sync again.
                if before == ReceiveState::Expired && self.mux.state() >= MuxState::Attached {
                    self.transmit.set_ntt();
                }
            }
        }
    }

    fn timeouts(&self, settings: &LacpSettings) -> Timeouts {
        let period = match settings.fast_rate {
            true => settings.fast_period,
            false => SLOW_PERIODIC_TIME,
        };
        Timeouts {
            expired: settings.fast_period * u32::from(STANDARD_RETRIES),
            current: period * u32::from(self.partner_retry_count),
        }
    }

    /// Gives the Partner the time that other settings allow it between two LACPDUs.
    pub(in crate::runner::lacp) fn settings_changed(&mut self, settings: &LacpSettings) {
        if let Some(last_received) = self.last_received {
            let timeout = self.timeouts(settings).current;
            self.receive.timeout_lengthened(last_received, timeout);
        }
    }

    /// Handles a valid LACPDU: the actions of CURRENT, in the order of figure 6-18. Returns whether
    /// the information about the Partner has changed.
    pub(in crate::runner::lacp) fn pdu_received(
        &mut self,
        now: Instant,
        pdu: &Lacpdu,
        settings: &LacpSettings,
    ) -> Recorded {
        let is_permitted =
            self.receive.is_lacp_enabled() && self.receive_limit.permits(now, settings.fast_period);
        if !is_permitted {
            self.counters.ignored += 1;
            return Recorded::Unchanged;
        }
        self.counters.received += 1;
        let previous = self.last_received.replace(now);
        self.receive_interval = previous.map(|previous| now.saturating_since(previous));
        self.update_selected(&pdu.actor);
        self.update_ntt(now, &pdu.partner);
        let recorded = self.record_pdu(pdu);
        self.record_retry_counts(now, pdu.retry_counts, settings);
        self.run_receive(now, ReceiveEvent::PduReceived, settings);
        recorded
    }

    /// update_Selected: unselects the port if the LACPDU is from another Partner, or if the Partner
    /// has changed Aggregation.
    fn update_selected(&mut self, received: &PortInfo) {
        if !is_same_member(&self.partner, received) {
            self.unselect();
        }
    }

    /// update_Default_Selected: unselects the port, because the administrative Partner differs from
    /// every Partner.
    fn update_default_selected(&mut self) {
        self.unselect();
    }

    pub(super) fn unselect(&mut self) {
        self.selected = Selected::Unselected;
        self.lag = None;
    }

    /// recordDefault: replaces the Partner by the administrative one, which has no identity. teamd
    /// has no settings for the administrative Partner.
    fn record_default(&mut self, partner_state: StateBits) {
        self.partner = PortInfo { state: partner_state, ..PortInfo::default() };
        self.partner_sync_received = false;
        self.partner_view = None;
        self.partner_retry_count = STANDARD_RETRIES;
        self.retry_counts_received = None;
    }

    /// update_NTT: compares the Partner's view of the Actor with the Actor.
    fn update_ntt(&mut self, now: Instant, view: &PortInfo) {
        let compared = StateBits::ACTIVITY
            | StateBits::TIMEOUT
            | StateBits::SYNCHRONIZATION
            | StateBits::AGGREGATION;
        let actor = self.actor();
        let is_right =
            view.is_same_port(&actor) && view.state.only(compared) == actor.state.only(compared);
        match is_right {
            true => self.transmit.view_is_right(),
            false => self.transmit.view_is_wrong(now),
        }
    }

    /// recordPDU: records the Partner. Synchronization is only recorded as true if
    /// [`choose_matched`](Self::choose_matched) holds and the link is actively maintained.
    fn record_pdu(&mut self, pdu: &Lacpdu) -> Recorded {
        let is_active = |info: &PortInfo| info.state.has(StateBits::ACTIVITY);
        let is_maintained =
            is_active(&pdu.actor) || (is_active(&self.identity) && is_active(&pdu.partner));
        let sync_received = pdu.actor.state.has(StateBits::SYNCHRONIZATION);
        let in_sync = sync_received && is_maintained && self.choose_matched(pdu);
        let partner = PortInfo {
            state: pdu.actor.state.with(StateBits::SYNCHRONIZATION, in_sync),
            ..pdu.actor
        };
        let before = (self.partner, self.partner_view);
        self.partner = partner;
        self.partner_sync_received = sync_received;
        self.partner_view = Some(pdu.partner);
        match before == (self.partner, self.partner_view) {
            true => Recorded::Unchanged,
            false => Recorded::Changed,
        }
    }

    /// The test within recordPDU: returns whether the Partner's view of the Actor is right, or the
    /// Partner is individual. The bonding driver gave the test its name.
    fn choose_matched(&self, pdu: &Lacpdu) -> bool {
        let is_individual = !pdu.actor.state.has(StateBits::AGGREGATION);
        is_individual || is_same_member(&pdu.partner, &self.actor())
    }

    /// Records the retry counts of an LACPDU. Without retry counts, the old ones stay valid for
    /// `RETRY_COUNT_VALIDITY`.
    fn record_retry_counts(
        &mut self,
        now: Instant,
        counts: Option<RetryCounts>,
        settings: &LacpSettings,
    ) {
        let is_valid = |received: Instant| received + RETRY_COUNT_VALIDITY > now;
        match counts.filter(|_| settings.enable_retry_count) {
            Some(counts) => {
                self.partner_retry_count = counts.actor.max(STANDARD_RETRIES);
                self.retry_counts_received = Some(now);
            }
            None if self.retry_counts_received.is_some_and(is_valid) => {}
            None => {
                self.partner_retry_count = STANDARD_RETRIES;
                self.retry_counts_received = None;
            }
        }
    }
}

/// Returns whether two ends are the same port of the same system with the same Aggregation.
fn is_same_member(one: &PortInfo, other: &PortInfo) -> bool {
    let aggregation = |info: &PortInfo| info.state.has(StateBits::AGGREGATION);
    one.is_same_port(other) && aggregation(one) == aggregation(other)
}

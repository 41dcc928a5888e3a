//! What a port makes of an LACPDU that comes, or of none: the actions of the Receive machine
//! (802.1AX-2014, figure 6-18) by the functions of 6.4.9.

use std::time::Duration;

use crate::runner::lacp::mux::{Mux, Selected};
use crate::runner::lacp::periodic::SLOW_PERIODIC_TIME;
use crate::runner::lacp::receive::{Input, Receive};
use crate::settings::lacp::LacpSettings;
use crate::time::Instant;
use crate::wire::lacpdu::{Lacpdu, PortInfo, RetryCounts, STANDARD_RETRIES, StateBits};

use super::LacpPort;

/// How long a partner's own retry count outlives PDUs that have none.
const RETRY_COUNT_MEMORY: Duration = Duration::from_secs(60);

impl LacpPort {
    /// Drives the Receive machine; the actions of figure 6-18.
    pub(super) fn receive(&mut self, now: Instant, input: Input, settings: &LacpSettings) {
        let short = settings.fast_period * u32::from(STANDARD_RETRIES);
        let period = match settings.fast_rate {
            true => settings.fast_period,
            false => SLOW_PERIODIC_TIME,
        };
        let own = period * u32::from(self.partner_retry_count);
        let before = self.receive.state();
        let Some(entered) = self.receive.handle(now, input, short, own) else {
            return;
        };
        if entered != before {
            log::debug!("{}: Receive machine enters {}", self.name, entered.name());
        }
        self.defaulted_at = None;
        match entered {
            Receive::PortDisabled | Receive::LacpDisabled => {
                self.forget_partner(StateBits::default());
                self.last_heard = None;
            }
            Receive::Expired => {
                if matches!(before, Receive::PortDisabled | Receive::LacpDisabled) {
                    self.mux.link_up(now);
                }
                self.partner.state = self
                    .partner
                    .state
                    .with(StateBits::SYNCHRONIZATION, false)
                    .with(StateBits::TIMEOUT, true);
                self.transmit.need(true);
            }
            Receive::Defaulted => {
                // recordDefault: the administrative partner is nobody, asked fast.
                self.forget_partner(StateBits::TIMEOUT);
                self.defaulted_at = Some(now);
                self.transmit.need(true);
            }
            // What the PDU says was recorded by whoever brought it. A port that is still
            // attached is in sync again.
            Receive::Current => self
                .transmit
                .need(before == Receive::Expired && self.mux.state() >= Mux::Attached),
        }
    }

    /// recordDefault and update_Default_Selected (6.4.9).
    fn forget_partner(&mut self, state: StateBits) {
        self.partner = PortInfo {
            state,
            ..PortInfo::default()
        };
        self.partner_claims_sync = false;
        self.partner_view = None;
        self.partner_retry_count = STANDARD_RETRIES;
        self.retry_count_heard = None;
        self.last_news = None;
        self.unselect();
    }

    pub(super) fn unselect(&mut self) {
        self.selected = Selected::Unselected;
        self.lag = None;
    }

    /// A valid LACPDU came: the actions of CURRENT, in the order of figure 6-18. Whether it
    /// told something new.
    pub(in crate::runner::lacp) fn pdu_received(
        &mut self,
        now: Instant,
        pdu: &Lacpdu,
        frame: &[u8],
        settings: &LacpSettings,
    ) -> bool {
        if !self.speaks() || !self.intake.takes(now, settings.fast_period) {
            self.counters.ignored += 1;
            return false;
        }
        self.counters.received += 1;
        self.last_heard = Some(now);
        if !self.is_known_partner(&pdu.actor) {
            // update_Selected
            self.unselect();
        }
        self.update_ntt(now, &pdu.partner);
        let news = self.record_pdu(pdu) || self.last_news.is_none();
        self.record_retry_counts(now, pdu.retry_counts, settings);
        if news {
            self.last_news = Some(frame.to_vec());
        }
        self.receive(now, Input::Pdu, settings);
        news
    }

    /// The same port of the same system, of the same mind about aggregation.
    fn is_known_partner(&self, actor: &PortInfo) -> bool {
        let aggregation = |info: &PortInfo| info.state.has(StateBits::AGGREGATION);
        self.partner.is_same_port(actor) && aggregation(&self.partner) == aggregation(actor)
    }

    /// 6.4.9 update_NTT: the partner's view of us is wrong where it matters.
    fn update_ntt(&mut self, now: Instant, view: &PortInfo) {
        let relevant = StateBits::ACTIVITY
            | StateBits::TIMEOUT
            | StateBits::SYNCHRONIZATION
            | StateBits::AGGREGATION;
        let actor = self.actor();
        let differs =
            !view.is_same_port(&actor) || view.state.only(relevant) != actor.state.only(relevant);
        self.transmit.viewed(now, !differs);
    }

    /// 6.4.9 recordPDU. Whether the partner's record has changed.
    fn record_pdu(&mut self, pdu: &Lacpdu) -> bool {
        let actor = self.actor();
        let active = |info: &PortInfo| info.state.has(StateBits::ACTIVITY);
        let aggregates = |info: &PortInfo| info.state.has(StateBits::AGGREGATION);
        let means_us =
            pdu.partner.is_same_port(&actor) && aggregates(&pdu.partner) == aggregates(&actor);
        let is_kept_up = active(&pdu.actor) || (active(&actor) && active(&pdu.partner));
        let claims = pdu.actor.state.has(StateBits::SYNCHRONIZATION);
        let in_sync = claims && is_kept_up && (means_us || !aggregates(&pdu.actor));
        let partner = PortInfo {
            state: pdu.actor.state.with(StateBits::SYNCHRONIZATION, in_sync),
            ..pdu.actor
        };
        let before = (self.partner, self.partner_view);
        self.partner = partner;
        self.partner_claims_sync = claims;
        self.partner_view = Some(pdu.partner);
        before != (self.partner, self.partner_view)
    }

    fn record_retry_counts(
        &mut self,
        now: Instant,
        counts: Option<RetryCounts>,
        settings: &LacpSettings,
    ) {
        match counts.filter(|_| settings.enable_retry_count) {
            Some(counts) => {
                self.partner_retry_count = counts.actor.max(STANDARD_RETRIES);
                self.retry_count_heard = Some(now);
            }
            None => {
                let remembers = |heard: Instant| heard + RETRY_COUNT_MEMORY > now;
                if !self.retry_count_heard.is_some_and(remembers) {
                    self.partner_retry_count = STANDARD_RETRIES;
                    self.retry_count_heard = None;
                }
            }
        }
    }
}

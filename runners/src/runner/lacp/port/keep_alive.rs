//! The LACPDU with which the kernel may answer the Partner while the daemon is away.

use crate::ident::HwAddr;
use crate::keep_alive::KeepAlive;
use crate::lacp_machines::periodic::{PeriodicState, SLOW_PERIODIC_TIME};
use crate::lacp_machines::receive::ReceiveState;
use crate::runner::lacp::mux::MuxState;
use crate::settings::lacp::LacpSettings;
use crate::time::Instant;
use crate::wire::lacpdu::Lacpdu;

use super::LacpPort;

impl LacpPort {
    /// Records the source address and the version of the Partner's LACPDU that was handled at
    /// `now`, unless the receive limit has dropped that LACPDU.
    pub(in crate::runner::lacp) fn record_sender(
        &mut self,
        now: Instant,
        pdu: &Lacpdu,
        frame: &[u8],
    ) {
        let source = frame.get(6..).and_then(<[u8]>::first_chunk);
        if let Some(source) = source.filter(|_| self.last_received == Some(now)) {
            self.partner_sender = (HwAddr(*source), pdu.version);
        }
    }

    /// Returns the keep-alive of the port; `None` unless the port distributes to a Partner that is
    /// current.
    pub(in crate::runner::lacp) fn keep_alive(&self, settings: &LacpSettings) -> Option<KeepAlive> {
        let has_partner = self.receive.state() == ReceiveState::Current
            && self.mux.state() == MuxState::Distributing
            && self.partner_in_sync();
        if !has_partner {
            return None;
        }
        let (partner_source, partner_version) = self.partner_sender;
        Some(KeepAlive {
            own: self.lacpdu(settings, settings.retry_count),
            source: self.source,
            partner_version,
            partner_source,
            heard: self.partner_view == Some(self.actor()),
            sent: self.last_sent?,
            period: match self.periodic.state() {
                PeriodicState::No => return None,
                PeriodicState::Fast => settings.fast_period,
                PeriodicState::Slow => SLOW_PERIODIC_TIME,
            },
            pause: settings.fast_period / 2,
        })
    }
}

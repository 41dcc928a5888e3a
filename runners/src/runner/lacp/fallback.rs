//! Fallback: ports that carry traffic without a Partner, as in SONiC. The standard has no fallback.
//!
//! A port may fall back after `fallback_delay` in DEFAULTED, while no port of the team has or may
//! have a Partner. `fallback_method` chooses one port or all of them.

use crate::ident::PortId;
use crate::settings::lacp::{FallbackMethod, LacpSettings};
use crate::time::Instant;

use super::port::LacpPort;
use super::port_map::PortMap;
use crate::lacp_machines::receive::ReceiveState;

/// Sets `fallback` of each port.
pub(super) fn update(now: Instant, ports: &mut PortMap, settings: &LacpSettings) {
    let is_permitted = settings.fallback && !ports.values().any(may_have_partner);
    let has_waited = |port: &LacpPort| {
        let defaulted_at = port.defaulted_at;
        defaulted_at.is_some_and(|at| at + settings.fallback_delay <= now)
    };
    let is_candidate = |port: &&LacpPort| is_permitted && port.may_aggregate() && has_waited(port);
    let candidates = ports.values().filter(is_candidate);
    let chosen: Vec<PortId> = match settings.fallback_method {
        FallbackMethod::Single => {
            let best = candidates.min_by_key(|port| rank(port));
            best.map(|port| port.id).into_iter().collect()
        }
        FallbackMethod::All => candidates.map(|port| port.id).collect(),
    };
    for port in ports.values_mut() {
        port.fallback = chosen.contains(&port.id);
    }
}

/// Returns when a port may fall back, or `None` if it does already or must not.
pub(super) fn deadline(port: &LacpPort, settings: &LacpSettings) -> Option<Instant> {
    let waits = settings.fallback && !port.fallback;
    let defaulted_at = port.defaulted_at.filter(|_| waits)?;
    Some(defaulted_at + settings.fallback_delay)
}

fn may_have_partner(port: &LacpPort) -> bool {
    match port.receive.state() {
        ReceiveState::Current | ReceiveState::Expired => true,
        ReceiveState::PortDisabled | ReceiveState::LacpDisabled | ReceiveState::Defaulted => false,
    }
}

/// Returns the rank of a port by LACP priority; the lowest rank is the best.
fn rank(port: &LacpPort) -> (u16, u16, PortId) {
    let actor = port.actor();
    (actor.port_priority, actor.port, port.id)
}

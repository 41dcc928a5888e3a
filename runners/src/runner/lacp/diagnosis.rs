//! Diagnosis of a port that does not carry traffic: one sentence with the cause, then the remedy.
//!
//! Reads the state of the machines and of the other ports; the order of the checks is that of the
//! machines, from the link to the Partner's Frame Collector.

use crate::exclusion::Exclusion;
use crate::lacp_status::Selected;
use crate::time::Instant;
use crate::wire::lacpdu::StateBits;

use super::Lacp;
use super::mux::MuxState;
use super::port::LacpPort;
use crate::lacp_machines::receive::ReceiveState;

/// Returns why `port` does not carry traffic, and the remedy.
pub(super) fn diagnose(lacp: &Lacp, now: Instant, port: &LacpPort) -> String {
    if let Some(why) = port.exclusion {
        return excluded(why);
    }
    match port.receive.state() {
        ReceiveState::PortDisabled if !lacp.team_is_up => {
            "the team device is down: set it up".to_owned()
        }
        ReceiveState::PortDisabled => {
            "no link: check the cable, and that both ends are set up".to_owned()
        }
        ReceiveState::LacpDisabled => format!(
            "the link runs at {} Mbit/s half duplex, which LACP excludes: let both ends negotiate \
             full duplex",
            port.speed
        ),
        ReceiveState::Expired | ReceiveState::Defaulted => no_partner(lacp, now, port),
        ReceiveState::Current if port.is_looped_back() => format!(
            "its own system's LACPDUs come back, from port number {}: the cable leads back to \
             this host, or a switch forwards LACPDUs; connect it to the partner",
            port.partner.port
        ),
        ReceiveState::Current => not_distributing(lacp, port),
    }
}

/// Returns an exclusion with its remedy.
fn excluded(why: Exclusion) -> String {
    let remedy = match why {
        Exclusion::RefusesHwAddr => "let its driver or hypervisor permit another address",
        Exclusion::Forbidden => {
            return "an administrator forbids it to carry: set its state item teamr.allowed to true"
                .to_owned();
        }
        Exclusion::GateClosed => "set its state item gate to true",
        Exclusion::MacsecGateClosed => "set its state item runner.macsec_gate to true",
        Exclusion::Damped => "check its cable and transceiver, and wait until the penalty decays",
        Exclusion::Corrupting => "clean or change its cable and transceiver",
        Exclusion::Draining | Exclusion::Drained => "end the drain with teamrctl port undrain",
    };
    format!("{why}: {remedy}")
}

/// The Receive machine is in EXPIRED or DEFAULTED.
fn no_partner(lacp: &Lacp, now: Instant, port: &LacpPort) -> String {
    let counters = port.counters;
    if let Some(received) = port.last_received {
        let seconds = now.saturating_since(received).as_secs();
        return format!(
            "no LACPDU heard for {seconds} s: the partner has stopped sending, or its LACPDUs are \
             lost on the way; check the partner's port and what is in between"
        );
    }
    if counters.malformed > 0 {
        return format!(
            "no valid LACPDU heard, but {} malformed: check what is at the other end",
            counters.malformed
        );
    }
    if !lacp.settings.active {
        return "no LACPDU heard, and none sent because \"active\" is false: if the partner is \
                passive, too, set \"active\" to true at one end"
            .to_owned();
    }
    "no LACPDU heard: enable LACP on the partner's port, or check what drops LACPDUs on the way"
        .to_owned()
}

/// The Receive machine is in CURRENT, the Mux machine not in DISTRIBUTING.
fn not_distributing(lacp: &Lacp, port: &LacpPort) -> String {
    match (port.selected, port.mux.state()) {
        (Selected::Standby | Selected::Unselected, _) => not_selected(lacp, port),
        (Selected::Selected, MuxState::Detached | MuxState::Waiting) => {
            "about to be attached: waiting up to 2 s for other links to come up".to_owned()
        }
        (Selected::Selected, MuxState::Attached) => out_of_sync(port),
        (Selected::Selected, MuxState::Collecting | MuxState::Distributing) => {
            "the partner does not collect on this link: check why its port is not forwarding"
                .to_owned()
        }
    }
}

/// Another Aggregator is selected: compares the port with a port of that Aggregator.
fn not_selected(lacp: &Lacp, port: &LacpPort) -> String {
    let is_selected = |other: &&LacpPort| lacp.selection.is_selected(other);
    let Some(other) = lacp.ports.values().find(is_selected) else {
        return "about to be selected".to_owned();
    };
    let name = &other.name;
    let (partner, others) = (port.partner, other.partner);
    let aggregates = |state: StateBits| state.has(StateBits::AGGREGATION);
    if (partner.system_priority, partner.system) != (others.system_priority, others.system) {
        return format!(
            "its partner is {}, that of {name} is {}: a team can carry with one partner alone; \
             connect both to one switch, or to switches that act as one",
            partner.system, others.system
        );
    }
    if port.actor().key != other.actor().key {
        return format!(
            "its key is {}, that of {name} is {}: give both the same \"lacp_key\"",
            port.actor().key,
            other.actor().key
        );
    }
    if partner.key != others.key {
        let speed = |port: &LacpPort| match port.speed {
            0 => "unknown".to_owned(),
            known => known.to_string(),
        };
        let speeds = match port.speed == other.speed && port.duplex == other.duplex {
            true => String::new(),
            false => format!(" (speeds differ, too: {} and {} Mbit/s)", speed(port), speed(other)),
        };
        return format!(
            "the partner gives it key {}, and {name} key {}{speeds}: put both of the partner's \
             ports into one aggregate",
            partner.key, others.key
        );
    }
    if !aggregates(partner.state) || !aggregates(others.state) {
        let which = if aggregates(partner.state) { name } else { &port.name };
        return format!(
            "the partner says that its end of {which} is individual: put that port into an \
             aggregate on the partner"
        );
    }
    format!("another aggregator carries, with {name}")
}

/// The port is attached, the Partner is not in sync.
fn out_of_sync(port: &LacpPort) -> String {
    let actor = port.actor();
    match port.partner_view {
        Some(view) if view.system != actor.system && view.system.0 == [0; 6] => {
            "the partner does not hear our LACPDUs: check what drops them on the way to it"
                .to_owned()
        }
        Some(view) if !view.is_same_port(&actor) => format!(
            "the partner reports port {} of {} as its partner, not this port: our last LACPDU has \
             not arrived, or the partner receives those of another device",
            view.port, view.system
        ),
        Some(_) if port.partner_sync_received => {
            "both ends are passive: set \"active\" to true at one end".to_owned()
        }
        Some(_) | None => "the partner is not in sync: it waits for its other links, or keeps \
                           this one on standby; look at its aggregate"
            .to_owned(),
    }
}

//! Runner lacp: aggregator, LACPDUs, machines, timers and counters of a port.

use runners::wire::lacpdu::StateBits;
use serde_json::Value;

use super::definition::{Age, Field, Form, Object, OrEmpty, Part, Unit, object, state_objects};

state_objects! {
    /// The aggregator of a port.
    pub struct Aggregator {
        /// Interface index of the port that leads the aggregator; 0 without an aggregator.
        id: i64,
        /// Whether the aggregator carries traffic.
        selected: bool [settable("true selects the aggregator until it is gone or another is chosen")],
    }

    /// One end of the link as LACPDUs describe it.
    pub struct LacpduInfo {
        /// Key.
        key: i64,
        /// Port number.
        port: i64,
        /// Port priority.
        port_priority: i64,
        /// State bits of IEEE 802.1AX.
        state: i64,
        /// System ID.
        system: String,
        /// System priority.
        system_priority: i64,
    }

    /// A port under runner lacp.
    pub struct PortLacp {
        /// State bits of the Actor.
        actor: StateBits,
        /// Times that an end was out of sync for a minute.
        churns: Churns,
        /// State of each machine, by the name in IEEE 802.1AX.
        machines: Machines,
        /// State bits of the Partner.
        partner: StateBits,
        /// PDUs and their age.
        pdus: Pdus,
        /// Time until each running timer expires.
        timers: Timers,
        /// Why the port does not carry traffic, and what to do; empty if the port carries.
        why: String,
    }

    /// State of each machine, by the name in IEEE 802.1AX.
    pub struct Machines {
        /// State of the Actor Churn machine.
        actor_churn: String,
        /// State of the Mux machine.
        mux: String,
        /// State of the Partner Churn machine.
        partner_churn: String,
        /// State of the Periodic Transmission machine.
        periodic: String,
        /// State of the Receive machine.
        receive: String,
    }

    /// Time until each running timer expires.
    pub struct Timers {
        /// Time until the timer of the Receive machine expires.
        current_while: u64 [unit(Unit::Milliseconds)],
        /// Time until the timer of the Periodic Transmission machine expires.
        periodic: u64 [unit(Unit::Milliseconds)],
        /// Time until the timer of the Mux machine expires.
        wait_while: u64 [unit(Unit::Milliseconds)],
        /// Time until the timer of the Actor Churn machine expires.
        actor_churn: u64 [unit(Unit::Milliseconds)],
        /// Time until the timer of the Partner Churn machine expires.
        partner_churn: u64 [unit(Unit::Milliseconds)],
        /// Time until an unanswered Marker PDU counts as lost.
        marker: u64 [unit(Unit::Milliseconds)],
    }

    /// LACP: PDUs by kind.
    pub struct Pdus by "kind" {
        /// Time since the last LACPDU was received; null before the first.
        heard_ago: Age [unit(Unit::Milliseconds)],
        /// LACPDUs received while the port or the team was down, or as one of more than ten in a
        /// period.
        ignored: u64 [counter("teamr_port_lacp_pdus_total")],
        /// Frames of the slow protocols that make no sense.
        malformed: u64 [counter("teamr_port_lacp_pdus_total")],
        /// Marker PDUs of the Partner that were answered.
        marker_responses: u64 [counter("teamr_port_lacp_pdus_total")],
        /// Marker PDUs received from the Partner.
        markers: u64 [counter("teamr_port_lacp_pdus_total")],
        /// Marker PDUs of this port that the Partner answered in time.
        own_marker_responses: u64,
        /// Marker PDUs that this port sent.
        own_markers: u64,
        /// Marker PDUs that the Partner did not answer since the port began to distribute.
        own_markers_unanswered: u64,
        /// LACPDUs received.
        received: u64 [counter("teamr_port_lacp_pdus_total")],
        /// LACPDUs sent.
        sent: u64 [counter("teamr_port_lacp_pdus_total")],
        /// Time since the last LACPDU was sent; null before the first.
        sent_ago: Age [unit(Unit::Milliseconds)],
    }

    /// LACP: times that an end was out of sync for a minute.
    pub struct Churns by "side" {
        /// Churns of the Actor.
        actor: u64 [counter("teamr_port_lacp_churns_total")],
        /// Churns of the Partner.
        partner: u64 [counter("teamr_port_lacp_churns_total")],
    }
}

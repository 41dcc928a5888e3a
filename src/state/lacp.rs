//! Runner lacp, and the watch lacp: aggregator, LACPDUs, machines, timers and counters of a port.

use runners::wire::lacpdu::StateBits;
use serde_json::Value;

use super::definition::{Age, Field, Form, Object, OrEmpty, Part, Unit, object, state_objects};

state_objects! {
    pub struct Aggregator: "The aggregator of a port." {
        id: i64, "Interface index of the port that leads the aggregator; 0 without an aggregator.";
        selected: bool
            [settable("true selects the aggregator until it is gone or another is chosen")],
            "Whether the aggregator carries traffic.";
    }

    pub struct LacpduInfo: "One end of the link as LACPDUs describe it." {
        key: i64, "Key.";
        port: i64, "Port number.";
        port_priority: i64, "Port priority.";
        state: i64, "State bits of IEEE 802.1AX.";
        system: String, "System ID.";
        system_priority: i64, "System priority.";
    }

    pub struct Statistics:
        "LACPDUs of a port since the port joined or the statistics were cleared."
    {
        lacpdu_illegal_pkts: u64 [added()], "Frames of the slow protocols that make no sense.";
        lacpdu_rx_stats: u64 [added()], "LACPDUs received.";
        lacpdu_tx_stats: u64 [added()], "LACPDUs sent.";
        last_lacpdu_rx_time: String [added()],
            "Time of the last LACPDU received, in UTC; N/A before the first.";
        last_lacpdu_tx_time: String [added()],
            "Time of the last LACPDU sent, in UTC; N/A before the first.";
    }

    pub struct PortLacp: "A port under runner lacp, or with the watch lacp." {
        actor: StateBits, "State bits of the Actor.";
        keepalive: KeepAlive, "LACPDUs that the kernel sent in place of the daemon.";
        churns: Churns, "Times that an end was out of sync for a minute.";
        machines: Machines, "State of each machine, by the name in IEEE 802.1AX.";
        partner: StateBits, "State bits of the Partner.";
        pdus: Pdus, "PDUs and their age.";
        timers: Timers, "Time until each running timer expires.";
        why: String,
            "Why the port does not carry traffic, and what to do; empty if the port carries.";
    }

    pub struct Machines: "State of each machine, by the name in IEEE 802.1AX." {
        actor_churn: String, "State of the Actor Churn machine.";
        mux: String, "State of the Mux machine.";
        partner_churn: String, "State of the Partner Churn machine.";
        periodic: String, "State of the Periodic Transmission machine.";
        receive: String, "State of the Receive machine.";
    }

    pub struct Timers: "Time until each running timer expires." {
        current_while: u64 [unit(Unit::Milliseconds)],
            "Time until the timer of the Receive machine expires.";
        periodic: u64 [unit(Unit::Milliseconds)],
            "Time until the timer of the Periodic Transmission machine expires.";
        wait_while: u64 [unit(Unit::Milliseconds)],
            "Time until the timer of the Mux machine expires.";
        actor_churn: u64 [unit(Unit::Milliseconds)],
            "Time until the timer of the Actor Churn machine expires.";
        partner_churn: u64 [unit(Unit::Milliseconds)],
            "Time until the timer of the Partner Churn machine expires.";
        marker: u64 [unit(Unit::Milliseconds)],
            "Time until an unanswered Marker PDU counts as lost.";
    }

    pub struct Pdus by "kind": "LACP: PDUs by kind." {
        heard_ago: Age [unit(Unit::Milliseconds)],
            "Time since the last LACPDU was received; null before the first.";
        heard_interval: Age [unit(Unit::Milliseconds)],
            "Time between the last two LACPDUs received; null before the second.";
        ignored: u64 [counter("teamr_port_lacp_pdus_total")],
            "LACPDUs received while the port or the team was down, or as one of more than ten in \
             a period.";
        malformed: u64 [counter("teamr_port_lacp_pdus_total")],
            "Frames of the slow protocols that make no sense.";
        marker_responses: u64 [counter("teamr_port_lacp_pdus_total")],
            "Marker PDUs of the Partner that were answered.";
        markers: u64 [counter("teamr_port_lacp_pdus_total")],
            "Marker PDUs received from the Partner.";
        own_marker_responses: u64, "Marker PDUs of this port that the Partner answered in time.";
        own_markers: u64, "Marker PDUs that this port sent.";
        own_markers_unanswered: u64,
            "Marker PDUs that the Partner did not answer since the port began to distribute.";
        received: u64 [counter("teamr_port_lacp_pdus_total")], "LACPDUs received.";
        sent: u64 [counter("teamr_port_lacp_pdus_total")], "LACPDUs sent.";
        sent_ago: Age [unit(Unit::Milliseconds)],
            "Time since the last LACPDU was sent; null before the first.";
    }

    pub struct KeepAlive: "LACPDUs that the kernel sent in place of the daemon." {
        answered: u64 [counter("teamr_port_lacp_keepalive_total")],
            "LACPDUs of the Partner that the kernel answered while the daemon was late or away, also \
             for former daemons.";
        answered_ago: Age [unit(Unit::Milliseconds)],
            "Time since the last answer; null before the first.";
        armed: bool [gauge("teamr_port_lacp_keepalive")],
            "Whether the kernel answers the Partner's present LACPDU if the daemon does not.";
    }

    pub struct Churns by "side": "LACP: times that an end was out of sync for a minute." {
        actor: u64 [counter("teamr_port_lacp_churns_total")], "Churns of the Actor.";
        partner: u64 [counter("teamr_port_lacp_churns_total")], "Churns of the Partner.";
    }
}

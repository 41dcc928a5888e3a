//! The status of the runner lacp, as types without behaviour.

use std::time::Duration;

use crate::ident::{HwAddr, PortId};
use crate::settings::lacp::LacpSettings;
use crate::wire::lacpdu::PortInfo;

/// State of the runner lacp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LacpStatus {
    /// Settings in effect.
    pub settings: LacpSettings,
    /// Address of the team device: the Actor's system.
    pub system: HwAddr,
    /// State of each port, in the order in which the ports joined.
    pub ports: Vec<LacpPortStatus>,
}

/// State of one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LacpPortStatus {
    /// The port.
    pub port: PortId,
    /// teamd's name of the state: disabled, expired, defaulted, current or fallback.
    pub state: &'static str,
    /// The variable Selected.
    pub selected: Selected,
    /// Lead port of the port's Aggregator.
    pub aggregator: Option<PortId>,
    /// Whether the port's Aggregator is the one that carries traffic.
    pub aggregator_selected: bool,
    /// Actor_Oper.
    pub actor: PortInfo,
    /// Partner_Oper.
    pub partner: PortInfo,
    /// Number of LACPDUs in a row that the Partner lets this port miss.
    pub partner_retry_count: u8,
    /// State of each machine.
    pub machines: MachineStates,
    /// Names of the running timers, with the time left.
    pub timers: Vec<(&'static str, Duration)>,
    /// PDU counters.
    pub counters: PduCounters,
    /// Markers sent without a response since the port began to distribute.
    pub unanswered_markers: u64,
    /// Number of churns of the Actor.
    pub actor_churns: u64,
    /// Number of churns of the Partner.
    pub partner_churns: u64,
    /// Time since the last LACPDU received.
    pub since_received: Option<Duration>,
    /// Time between the last two LACPDUs received.
    pub receive_interval: Option<Duration>,
    /// Time since the last LACPDU sent.
    pub since_sent: Option<Duration>,
    /// Time since the user set the statistics to zero.
    pub since_cleared: Option<Duration>,
    /// Cause that keeps the port from carrying traffic, and the remedy; `None` if the port carries.
    pub cause: Option<String>,
}

/// States of the machines of a port, by the standard's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineStates {
    /// Receive machine.
    pub receive: &'static str,
    /// Periodic Transmission machine.
    pub periodic: &'static str,
    /// Mux machine.
    pub mux: &'static str,
    /// Actor Churn Detection machine.
    pub actor_churn: &'static str,
    /// Partner Churn Detection machine.
    pub partner_churn: &'static str,
}

/// PDU counters of one port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PduCounters {
    /// Valid LACPDUs received and processed.
    pub received: u64,
    /// LACPDUs sent.
    pub sent: u64,
    /// Malformed LACPDUs and marker PDUs received.
    pub malformed: u64,
    /// LACPDUs and marker PDUs received while the port or the team device was down, and LACPDUs
    /// beyond ten in a Fast_Periodic_Time.
    pub ignored: u64,
    /// Markers received.
    pub markers: u64,
    /// Responses to received markers.
    pub marker_responses: u64,
    /// Markers sent.
    pub own_markers: u64,
    /// Responses received in time to sent markers.
    pub own_marker_responses: u64,
}

/// The variable Selected of a port, set by Selection Logic (6.4.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selected {
    /// The port has no Aggregator.
    Unselected,
    /// The port has an Aggregator that must not carry traffic for now.
    Standby,
    /// The port belongs to the Aggregator that carries traffic.
    Selected,
}

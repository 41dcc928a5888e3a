//! Fills the items of runner lacp.

use std::time::Duration;

use runners::wire::lacpdu::PortInfo;
use runners::{LacpPortStatus, LacpStatus, PortId, Selected};
use serde_json::{Map, Value};

use crate::state::lacp::{Aggregator, Churns, LacpduInfo, Machines, Pdus, PortLacp, Timers};
use crate::state::{Age, Part, PortRunner, Runner};

/// Returns `runner`.
pub fn runner(status: &LacpStatus, min_ports: u32) -> Runner {
    let settings = &status.settings;
    Runner {
        active: Some(settings.active),
        fast_rate: Some(settings.fast_rate),
        sys_prio: Some(settings.sys_prio.into()),
        select_policy: Some(settings.agg_select_policy.name().to_owned()),
        fallback: Some(settings.fallback),
        enable_retry_count_feature: Some(settings.enable_retry_count),
        retry_count: Some(settings.retry_count.into()),
        min_ports: Some(min_ports.into()),
        ..Runner::default()
    }
}

/// Returns `ports.P.runner`; `ifindex` finds the interface index of a port.
pub fn port_runner(port: &LacpPortStatus, ifindex: impl Fn(PortId) -> Option<u32>) -> PortRunner {
    let lead = port.aggregator.and_then(ifindex).unwrap_or_default();
    PortRunner {
        actor_lacpdu_info: Some(lacpdu_info(&port.actor)),
        aggregator: Some(Aggregator {
            id: Some(lead.into()),
            selected: Some(port.aggregator_selected),
        }),
        key: Some(port.actor.key.into()),
        partner_lacpdu_info: Some(lacpdu_info(&port.partner)),
        prio: Some(port.actor.port_priority.into()),
        selected: Some(port.selected != Selected::Unselected),
        state: Some(port.state.to_owned()),
        partner_retry_count: Some(port.partner_retry_count.into()),
    }
}

fn lacpdu_info(info: &PortInfo) -> LacpduInfo {
    LacpduInfo {
        key: Some(info.key.into()),
        port: Some(info.port.into()),
        port_priority: Some(info.port_priority.into()),
        state: Some(info.state.0.into()),
        system: Some(info.system.to_string()),
        system_priority: Some(info.system_priority.into()),
    }
}

/// Returns `ports.P.teamr.lacp`.
pub fn port_lacp(port: &LacpPortStatus) -> PortLacp {
    let machines = port.machines;
    let state = |name: &str| Some(name.to_owned());
    PortLacp {
        actor: Some(port.actor.state),
        churns: Some(Churns {
            actor: Some(port.actor_churns),
            partner: Some(port.partner_churns),
        }),
        machines: Some(Machines {
            actor_churn: state(machines.actor_churn),
            mux: state(machines.mux),
            partner_churn: state(machines.partner_churn),
            periodic: state(machines.periodic),
            receive: state(machines.receive),
        }),
        partner: Some(port.partner.state),
        pdus: Some(pdus(port)),
        timers: timers(port),
        why: Some(port.why.clone().unwrap_or_default()),
    }
}

fn pdus(port: &LacpPortStatus) -> Pdus {
    let counters = port.counters;
    Pdus {
        heard_ago: Some(Age(port.since_received.map(millis))),
        ignored: Some(counters.ignored),
        malformed: Some(counters.malformed),
        marker_responses: Some(counters.marker_responses),
        markers: Some(counters.markers),
        own_marker_responses: Some(counters.own_marker_responses),
        own_markers: Some(counters.own_markers),
        own_markers_unanswered: Some(port.unanswered_markers),
        received: Some(counters.received),
        sent: Some(counters.sent),
        sent_ago: Some(Age(port.since_sent.map(millis))),
    }
}

/// Returns the running timers, whose names in the core are the keys of the document.
fn timers(port: &LacpPortStatus) -> Option<Timers> {
    let running = port.timers.iter();
    let running = running.map(|(name, left)| ((*name).to_owned(), millis(*left).into()));
    Timers::read(&Value::Object(running.collect::<Map<String, Value>>()))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

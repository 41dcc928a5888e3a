//! lacp's part of the state document: teamd's keys with teamd's types, and what it lacks.
//!
//! In `runner` stand teamd's keys and those that SONiC added; all else stands under `teamr`.

use std::time::Duration;

use runners::wire::lacpdu::{PortInfo, StateBits};
use runners::{LacpPortStatus, LacpStatus, PortId, Selected};
use serde_json::{Map, Value, json};

/// `runner`.
pub fn runner(status: &LacpStatus, min_ports: u32) -> Value {
    let settings = &status.settings;
    json!({
        "active": settings.active,
        "fast_rate": settings.fast_rate,
        "sys_prio": settings.sys_prio,
        "select_policy": settings.agg_select_policy.name(),
        "fallback": settings.fallback,
        "enable_retry_count_feature": settings.enable_retry_count,
        "retry_count": settings.retry_count,
        "min_ports": min_ports,
    })
}

/// `ports.P.runner`; `ifindex` finds the interface index of a port.
pub fn port_runner(port: &LacpPortStatus, ifindex: impl Fn(PortId) -> Option<u32>) -> Value {
    json!({
        "actor_lacpdu_info": info(&port.actor),
        "aggregator": {
            "id": port.aggregator.and_then(ifindex).unwrap_or_default(),
            "selected": port.aggregator_selected,
        },
        "key": port.actor.key,
        "partner_lacpdu_info": info(&port.partner),
        "prio": port.actor.port_priority,
        "selected": port.selected != Selected::Unselected,
        "state": port.state,
        "partner_retry_count": port.partner_retry_count,
    })
}

fn info(info: &PortInfo) -> Value {
    json!({
        "key": info.key,
        "port": info.port,
        "port_priority": info.port_priority,
        "state": info.state.0,
        "system": info.system.to_string(),
        "system_priority": info.system_priority,
    })
}

/// `ports.P.teamr.lacp`. Times are in milliseconds.
pub fn port_details(port: &LacpPortStatus) -> Value {
    let machines = port.machines;
    let counters = port.counters;
    let timers: Map<String, Value> = port
        .timers
        .iter()
        .map(|(name, left)| ((*name).to_owned(), millis(*left)))
        .collect();
    let ago = |ago: Option<Duration>| ago.map_or(Value::Null, millis);
    json!({
        "actor": bits(port.actor.state),
        "machines": {
            "actor_churn": machines.actor_churn,
            "mux": machines.mux,
            "partner_churn": machines.partner_churn,
            "periodic": machines.periodic,
            "receive": machines.receive,
        },
        "partner": bits(port.partner.state),
        "pdus": {
            "heard_ago": ago(port.since_received),
            "ignored": counters.ignored,
            "malformed": counters.malformed,
            "marker_responses": counters.marker_responses,
            "markers": counters.markers,
            "own_marker_responses": counters.own_marker_responses,
            "own_markers": counters.own_markers,
            "own_markers_unanswered": port.unanswered_markers,
            "received": counters.received,
            "sent": counters.sent,
            "sent_ago": ago(port.since_sent),
        },
        "churns": { "actor": port.actor_churns, "partner": port.partner_churns },
        "timers": timers,
        "why": port.why.as_deref().unwrap_or_default(),
    })
}

fn millis(time: Duration) -> Value {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).into()
}

fn bits(state: StateBits) -> Value {
    let named = StateBits::NAMED.iter();
    let named = named.map(|(bit, name)| ((*name).to_owned(), state.has(*bit).into()));
    Value::Object(named.collect())
}

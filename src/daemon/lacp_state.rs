//! Fills the items of runner lacp.

use std::time::Duration;

use runners::wire::lacpdu::PortInfo;
use runners::{LacpPortStatus, LacpStatus, PortId, Selected};
use serde_json::{Map, Value};

use crate::datapath::KeptAlive;
use crate::state::lacp::{
    Aggregator, Churns, KeepAlive, LacpduInfo, Machines, Pdus, PortLacp, Statistics, Timers,
};
use crate::state::{Age, Part, PortRunner, Runner};
use crate::sys::clock;

/// Returns `runner`.
pub fn runner(status: &LacpStatus, min_ports: u32) -> Runner {
    let settings = &status.settings;
    Runner {
        active: Some(settings.active),
        fast_rate: Some(settings.fast_rate),
        sys_prio: Some(settings.sys_prio.into()),
        select_policy: Some(settings.agg_select_policy.name().to_owned()),
        fallback: Some(settings.fallback),
        fallback_method: Some(settings.fallback_method.name().to_owned()),
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
        statistics: Some(statistics(port)),
        ..PortRunner::default()
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

fn statistics(port: &LacpPortStatus) -> Statistics {
    let is_new = |age: &Duration| port.since_cleared.is_none_or(|cleared| *age < cleared);
    let time = |age: Option<Duration>| match age.filter(is_new) {
        Some(age) => utc(clock::unix_time().saturating_sub(age)),
        None => "N/A".to_owned(),
    };
    Statistics {
        lacpdu_illegal_pkts: Some(port.counters.malformed),
        lacpdu_rx_stats: Some(port.counters.received),
        lacpdu_tx_stats: Some(port.counters.sent),
        last_lacpdu_rx_time: Some(time(port.since_received)),
        last_lacpdu_tx_time: Some(time(port.since_sent)),
    }
}

/// Returns a Unix time as RFC 3339 has it, with nanoseconds.
fn utc(time: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let (days, seconds) = (time.as_secs() / DAY, time.as_secs() % DAY);
    // Years begin on 1 March, so that a leap day is the last one.
    let since_march = days + 719_468;
    let (era, day) = (since_march / 146_097, since_march % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let nanos = time.subsec_nanos();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

/// Returns `ports.P.teamr.lacp`; `kept` describes the answers of the kernel to the Partner.
pub fn port_lacp(port: &LacpPortStatus, kept: KeptAlive) -> PortLacp {
    let (counters, machines) = (port.counters, port.machines);
    let state = |name: &str| Some(name.to_owned());
    PortLacp {
        actor: Some(port.actor.state),
        keepalive: Some(KeepAlive {
            answered: Some(kept.answered),
            answered_ago: Some(Age(kept.age.map(millis))),
            armed: Some(kept.armed),
        }),
        churns: Some(Churns { actor: Some(port.actor_churns), partner: Some(port.partner_churns) }),
        machines: Some(Machines {
            actor_churn: state(machines.actor_churn),
            mux: state(machines.mux),
            partner_churn: state(machines.partner_churn),
            periodic: state(machines.periodic),
            receive: state(machines.receive),
        }),
        partner: Some(port.partner.state),
        pdus: Some(Pdus {
            heard_ago: Some(Age(port.since_received.map(millis))),
            heard_interval: Some(Age(port.receive_interval.map(millis))),
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
        }),
        timers: timers(port),
        why: Some(port.cause.clone().unwrap_or_default()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000005Z"),
            (951_782_399, "2000-02-28T23:59:59.000000005Z"),
            (951_868_799, "2000-02-29T23:59:59.000000005Z"),
            (951_868_800, "2000-03-01T00:00:00.000000005Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000000005Z"),
            (1_750_746_605, "2025-06-24T06:30:05.000000005Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000005Z"),
        ] {
            assert_eq!(utc(Duration::new(seconds, 5)), text);
        }
    }
}

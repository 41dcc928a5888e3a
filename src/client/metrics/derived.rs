//! The families that follow from several items of the state, or from the kernel's counters.

use std::collections::BTreeMap;

use runners::wire::lacpdu::StateBits;

use super::text::{Labels, add_sample, head};
use crate::netlink::RouteSocket;
use crate::netlink::link_stats::{self, Traffic};
use crate::state::{OrEmpty, Port, State};

/// Reads one counter.
type Count = fn(&Traffic) -> u64;

/// Counters of an interface: the family, the counter, the help.
const INTERFACE: [(&str, Count, &str); 4] = [
    ("teamr_port_receive_bytes_total", |it| it.rx_bytes, "Bytes received on the port."),
    ("teamr_port_receive_frames_total", |it| it.rx_frames, "Frames received on the port."),
    ("teamr_port_transmit_bytes_total", |it| it.tx_bytes, "Bytes sent on the port."),
    ("teamr_port_transmit_frames_total", |it| it.tx_frames, "Frames sent on the port."),
];

/// The beginning of every exposition, by which a file of an earlier one is known.
pub(super) const FIRST_LINE: &str = "# HELP teamr_info ";

/// Returns all families with their samples.
pub(super) fn write(states: &BTreeMap<String, State>) -> String {
    let mut text = info(states) + &active(states) + &probe_crossed(states) + &lacp_state(states);
    // Without the counters of the kernel the other families are still worth a scrape.
    let traffic = RouteSocket::open().and_then(|mut route| link_stats::traffic(&mut route));
    let traffic = traffic.unwrap_or_default();
    for (name, count, help) in INTERFACE {
        text += &head(name, "counter", help);
        for (team, port, state) in ports(states) {
            let ifindex =
                state.ifinfo.or_empty().ifindex.and_then(|index| u32::try_from(index).ok());
            if let Some(traffic) = ifindex.and_then(|ifindex| traffic.get(&ifindex)) {
                add_sample(&mut text, (name, ""), &Labels::port(team, port), count(traffic));
            }
        }
    }
    text
}

/// The runner and the data path.
fn info(states: &BTreeMap<String, State>) -> String {
    let mut text = head("teamr_info", "gauge", "Runner and data path of the team.");
    for (team, state) in states {
        let runner = state.setup.or_empty().runner_name.as_deref();
        let data_path = state.teamr.or_empty().data_path.as_deref();
        let labels = Labels::team(team)
            .with("runner", runner.unwrap_or_default())
            .with("data_path", data_path.unwrap_or_default());
        add_sample(&mut text, ("teamr_info", ""), &labels, 1);
    }
    text
}

/// The active port of activebackup, and the designated port of slb, tlb and alb.
fn active(states: &BTreeMap<String, State>) -> String {
    const NAME: &str = "teamr_port_active";
    let help = "The port is the active one, or the one that receives broadcasts.";
    let mut text = head(NAME, "gauge", help);
    for (team, port, _) in ports(states) {
        let runner = states[team].runner.or_empty();
        let chosen = runner.active_port.as_ref();
        if let Some(chosen) = chosen.or(runner.designated_port.as_ref()) {
            add_sample(&mut text, (NAME, ""), &Labels::port(team, port), u8::from(chosen == port));
        }
    }
    text
}

fn probe_crossed(states: &BTreeMap<String, State>) -> String {
    const NAME: &str = "teamr_port_probe_crossed";
    let help = "Another port received the last probe of the port: the switch does not aggregate.";
    let mut text = head(NAME, "gauge", help);
    for (team, port, state) in ports(states) {
        if state.teamr.or_empty().probe_heard_at.is_some() {
            let crossed = state.probe_heard_at().any(|at| at != port);
            add_sample(&mut text, (NAME, ""), &Labels::port(team, port), u8::from(crossed));
        }
    }
    text
}

fn lacp_state(states: &BTreeMap<String, State>) -> String {
    const NAME: &str = "teamr_port_lacp_state";
    let help = "LACP: a state bit of the Actor or the Partner.";
    let mut text = head(NAME, "gauge", help);
    for (team, port, state) in ports(states) {
        let runner = state.runner.or_empty();
        let ends = [("actor", &runner.actor_lacpdu_info), ("partner", &runner.partner_lacpdu_info)];
        for (side, info) in ends {
            let state = info.as_ref().and_then(|info| info.state);
            let Some(state) = state.and_then(|state| u8::try_from(state).ok()) else {
                continue;
            };
            let labels = Labels::port(team, port).with("side", side);
            for (bit, name) in StateBits::NAMED {
                let set = u8::from(StateBits(state).has(bit));
                add_sample(&mut text, (NAME, ""), &labels.with("bit", name), set);
            }
        }
    }
    text
}

fn ports(states: &BTreeMap<String, State>) -> impl Iterator<Item = (&str, &str, &Port)> {
    states.iter().flat_map(|(team, state)| {
        let ports = state.ports();
        ports.map(move |(port, state)| (team.as_str(), port, state))
    })
}

//! The state of teams as OpenMetrics 1.0, for Prometheus and its like.
//!
//! Pure but for the counters of the interfaces, which only the kernel has.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use serde_json::Value;

/// What is counted or measured of a team or a port.
struct Family {
    name: &'static str,
    counter: bool,
    help: &'static str,
    /// Where it stands in the state of the team or the port.
    path: &'static str,
}

const fn gauge(name: &'static str, path: &'static str, help: &'static str) -> Family {
    Family {
        name,
        counter: false,
        help,
        path,
    }
}

const fn counter(name: &'static str, path: &'static str, help: &'static str) -> Family {
    Family {
        counter: true,
        ..gauge(name, path, help)
    }
}

/// Of the whole team.
const TEAM: [Family; 6] = [
    counter(
        "teamr_resyncs",
        "/teamr/resyncs",
        "Times that lost news made the daemon read everything anew.",
    ),
    counter(
        "teamr_receive_dropped",
        "/teamr/rx_dropped",
        "Frames that the team device would not take.",
    ),
    counter(
        "teamr_receive_echoes",
        "/teamr/rx_echoes",
        "Frames of our own that came back.",
    ),
    counter(
        "teamr_receive_inactive",
        "/teamr/rx_inactive",
        "Frames on a port that does not receive them.",
    ),
    counter(
        "teamr_transmit_no_port",
        "/teamr/tx_no_port",
        "Frames for which there was no port.",
    ),
    gauge(
        "teamr_setup_debug_level",
        "/setup/debug_level",
        "Debug level of the daemon.",
    ),
];

/// Of each port, from the state.
const PORT: [Family; 8] = [
    gauge("teamr_port_link", "/link/up", "The port has a carrier."),
    gauge(
        "teamr_port_up",
        "/link_watches/up",
        "The link watches of the port say up.",
    ),
    gauge(
        "teamr_port_enabled",
        "/teamr/enabled",
        "The port takes part in forwarding.",
    ),
    gauge(
        "teamr_port_allowed",
        "/teamr/allowed",
        "The user lets the port carry traffic.",
    ),
    gauge(
        "teamr_port_speed_megabits",
        "/link/speed",
        "Speed of the link, 0 if unknown.",
    ),
    counter(
        "teamr_port_transmit_dropped",
        "/teamr/tx_dropped",
        "Frames that could not be sent on the port.",
    ),
    counter(
        "teamr_port_receive_missed",
        "/teamr/rx_missed",
        "Frames that came faster than the daemon could take them.",
    ),
    gauge(
        "teamr_port_lacp_selected",
        "/runner/selected",
        "LACP: the port is in the aggregate that carries traffic.",
    ),
];

/// Of each port, from the kernel.
const INTERFACE: [Family; 4] = [
    counter(
        "teamr_port_receive_bytes",
        "rx_bytes",
        "Bytes received on the port.",
    ),
    counter(
        "teamr_port_receive_frames",
        "rx_packets",
        "Frames received on the port.",
    ),
    counter(
        "teamr_port_transmit_bytes",
        "tx_bytes",
        "Bytes sent on the port.",
    ),
    counter(
        "teamr_port_transmit_frames",
        "tx_packets",
        "Frames sent on the port.",
    ),
];

/// Bits of a LACP state (IEEE 802.1AX-2014, 6.4.2.3), the lowest first.
const LACP_BITS: [&str; 8] = [
    "activity",
    "timeout",
    "aggregation",
    "synchronization",
    "collecting",
    "distributing",
    "defaulted",
    "expired",
];

/// A whole exposition of these states, by team.
pub fn write(states: &BTreeMap<String, Value>) -> String {
    let mut text = String::new();
    head(&mut text, "teamr", "info", "What runs the team.");
    for (team, state) in states {
        let of = |path: &str| {
            state
                .pointer(path)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let _ = writeln!(
            text,
            "teamr_info{{team={},runner={},data_path={}}} 1",
            quoted(team),
            quoted(of("/setup/runner_name")),
            quoted(of("/teamr/data_path")),
        );
    }
    for family in &TEAM {
        family.head(&mut text);
        for (team, state) in states {
            family.sample(&mut text, &labels(team, None), state.pointer(family.path));
        }
    }
    for family in &PORT {
        family.head(&mut text);
        for (team, port, state) in ports(states) {
            family.sample(
                &mut text,
                &labels(team, Some(port)),
                state.pointer(family.path),
            );
        }
    }
    active(&mut text, states);
    link_downs(&mut text, states);
    for family in &INTERFACE {
        family.head(&mut text);
        for (team, port, _) in ports(states) {
            let file = format!("/sys/class/net/{port}/statistics/{}", family.path);
            let count = fs::read_to_string(file).ok();
            let count: Option<Value> = count.and_then(|text| text.trim().parse().ok());
            family.sample(&mut text, &labels(team, Some(port)), count.as_ref());
        }
    }
    lacp(&mut text, states);
    text.push_str("# EOF\n");
    text
}

impl Family {
    fn head(&self, text: &mut String) {
        let kind = if self.counter { "counter" } else { "gauge" };
        head(text, self.name, kind, self.help);
    }

    /// Nothing if the state does not have it.
    fn sample(&self, text: &mut String, labels: &str, value: Option<&Value>) {
        let number = value.and_then(|value| match value {
            Value::Bool(flag) => Some(u64::from(*flag)),
            other => other.as_u64(),
        });
        if let Some(number) = number {
            let total = if self.counter { "_total" } else { "" };
            let _ = writeln!(text, "{}{total}{labels} {number}", self.name);
        }
    }
}

/// The active port of activebackup, and the designated one of slb.
fn active(text: &mut String, states: &BTreeMap<String, Value>) {
    let help = "The port is the active one, or the one that receives broadcasts.";
    head(text, "teamr_port_active", "gauge", help);
    for (team, port, _) in ports(states) {
        let runner = &states[team]["runner"];
        let chosen = ["active_port", "designated_port"].map(|key| runner[key].as_str());
        if let Some(chosen) = chosen.into_iter().flatten().next() {
            let number = u8::from(chosen == port);
            let _ = writeln!(
                text,
                "teamr_port_active{} {number}",
                labels(team, Some(port))
            );
        }
    }
}

/// How often each link watch took its link for lost.
fn link_downs(text: &mut String, states: &BTreeMap<String, Value>) {
    head(
        text,
        "teamr_port_down",
        "counter",
        "Times that a link watch of the port went down.",
    );
    for (team, port, state) in ports(states) {
        let watches = state
            .pointer("/link_watches/list")
            .and_then(Value::as_object);
        for (id, watch) in watches.into_iter().flatten() {
            let Some(count) = watch["down_count"].as_u64() else {
                continue;
            };
            let name = watch["name"].as_str().unwrap_or_default();
            let _ = writeln!(
                text,
                "teamr_port_down_total{{team={},port={},watch={},id={}}} {count}",
                quoted(team),
                quoted(port),
                quoted(name),
                quoted(id),
            );
        }
    }
}

fn lacp(text: &mut String, states: &BTreeMap<String, Value>) {
    let help = "LACP: a bit of the state of the actor or the partner.";
    head(text, "teamr_port_lacp_state", "gauge", help);
    for (team, port, state) in ports(states) {
        for side in ["actor", "partner"] {
            let bits = state.pointer(&format!("/runner/{side}_lacpdu_info/state"));
            let Some(bits) = bits.and_then(Value::as_u64) else {
                continue;
            };
            for (place, bit) in LACP_BITS.iter().enumerate() {
                let _ = writeln!(
                    text,
                    "teamr_port_lacp_state{{team={},port={},side={},bit={}}} {}",
                    quoted(team),
                    quoted(port),
                    quoted(side),
                    quoted(bit),
                    bits >> place & 1,
                );
            }
        }
    }
}

fn ports(states: &BTreeMap<String, Value>) -> impl Iterator<Item = (&str, &str, &Value)> {
    states.iter().flat_map(|(team, state)| {
        let ports = state["ports"].as_object().into_iter().flatten();
        ports.map(move |(port, state)| (team.as_str(), port.as_str(), state))
    })
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# TYPE {name} {kind}\n# HELP {name} {help}");
}

fn labels(team: &str, port: Option<&str>) -> String {
    let port = port.map(|port| format!(",port={}", quoted(port)));
    format!("{{team={}{}}}", quoted(team), port.unwrap_or_default())
}

/// A label's value.
fn quoted(value: &str) -> String {
    let escaped = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}

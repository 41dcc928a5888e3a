//! The state of teams in Prometheus' text format 0.0.4.
//!
//! Of the formats this is the one that all readers have: Prometheus and its like take it from a
//! scrape, and the text file collector of node_exporter reads no other. OpenMetrics would differ
//! in the type `info`, in counters whose family lacks `_total`, and in the line `# EOF`.
//!
//! Pure but for the counters of the interfaces, which only the kernel has.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use serde_json::Value;

pub mod serve;

/// What an HTTP answer says of an exposition.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is counted or measured of a team or a port. The name of a counter ends in `_total`.
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
        "teamr_resyncs_total",
        "/teamr/resyncs",
        "Times that lost news made the daemon read everything anew.",
    ),
    counter(
        "teamr_receive_dropped_total",
        "/teamr/rx_dropped",
        "Frames that the team device would not take.",
    ),
    counter(
        "teamr_receive_echoes_total",
        "/teamr/rx_echoes",
        "Frames of our own that came back.",
    ),
    counter(
        "teamr_receive_inactive_total",
        "/teamr/rx_inactive",
        "Frames on a port that does not receive them.",
    ),
    counter(
        "teamr_transmit_no_port_total",
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
    counter(
        "teamr_port_transmit_dropped_total",
        "/teamr/tx_dropped",
        "Frames that could not be sent on the port.",
    ),
    counter(
        "teamr_port_receive_missed_total",
        "/teamr/rx_missed",
        "Frames that came faster than the daemon could take them.",
    ),
    gauge(
        "teamr_port_probed",
        "/teamr/probed",
        "A probe left on the port in the last round.",
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
        "teamr_port_receive_bytes_total",
        "rx_bytes",
        "Bytes received on the port.",
    ),
    counter(
        "teamr_port_receive_frames_total",
        "rx_packets",
        "Frames received on the port.",
    ),
    counter(
        "teamr_port_transmit_bytes_total",
        "tx_bytes",
        "Bytes sent on the port.",
    ),
    counter(
        "teamr_port_transmit_frames_total",
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
    head(&mut text, "teamr_info", "gauge", "What runs the team.");
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
    speed(&mut text, states);
    active(&mut text, states);
    link_downs(&mut text, states);
    probes(&mut text, states);
    failovers(&mut text, states);
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
    pdus(&mut text, states);
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
            let _ = writeln!(text, "{}{labels} {number}", self.name);
        }
    }
}

/// The speed of each link, in Prometheus' base unit.
fn speed(text: &mut String, states: &BTreeMap<String, Value>) {
    const BYTES_IN_MEGABIT: u64 = 125_000;
    let help = "Speed of the link in bytes a second, 0 if unknown.";
    head(text, "teamr_port_speed_bytes", "gauge", help);
    for (team, port, state) in ports(states) {
        if let Some(megabits) = state.pointer("/link/speed").and_then(Value::as_u64) {
            let labels = labels(team, Some(port));
            let bytes = megabits.saturating_mul(BYTES_IN_MEGABIT);
            let _ = writeln!(text, "teamr_port_speed_bytes{labels} {bytes}");
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
        "teamr_port_down_total",
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

/// What the probes proved.
fn probes(text: &mut String, states: &BTreeMap<String, Value>) {
    let help = "The last probe of the port came in at another one: the switch does not aggregate.";
    head(text, "teamr_port_probe_crossed", "gauge", help);
    for (team, port, state) in ports(states) {
        let Some(heard) = state["teamr"]["probe_heard_at"].as_str() else {
            continue;
        };
        let crossed = heard.split_whitespace().any(|at| at != port);
        let labels = labels(team, Some(port));
        let number = u8::from(crossed);
        let _ = writeln!(text, "teamr_port_probe_crossed{labels} {number}");
    }
}

/// How long it took to go on without a port.
fn failovers(text: &mut String, states: &BTreeMap<String, Value>) {
    let seconds = |state: &Value, key: &str| {
        let micros = state["teamr"]["failovers"][key].as_f64();
        micros.map(|micros| micros / 1e6)
    };
    let help = "From the news of a lost link to the forwarding without it.";
    head(text, "teamr_failover_seconds", "summary", help);
    for (team, state) in states {
        let labels = labels(team, None);
        let count = state["teamr"]["failovers"]["count"].as_u64();
        if let Some((count, sum)) = count.zip(seconds(state, "total_us")) {
            let _ = writeln!(text, "teamr_failover_seconds_count{labels} {count}");
            let _ = writeln!(text, "teamr_failover_seconds_sum{labels} {sum}");
        }
    }
    let help = "The same of the last failover, 0 if there was none.";
    head(text, "teamr_failover_last_seconds", "gauge", help);
    for (team, state) in states {
        if let Some(last) = seconds(state, "last_us") {
            let labels = labels(team, None);
            let _ = writeln!(text, "teamr_failover_last_seconds{labels} {last}");
        }
    }
}

/// Slow protocol frames, by what became of them.
fn pdus(text: &mut String, states: &BTreeMap<String, Value>) {
    const KINDS: [&str; 6] = [
        "sent",
        "received",
        "malformed",
        "ignored",
        "markers",
        "marker_responses",
    ];
    let help = "LACP: PDUs by kind.";
    head(text, "teamr_port_lacp_pdus_total", "counter", help);
    for (team, port, state) in ports(states) {
        for kind in KINDS {
            if let Some(count) = state["teamr"]["lacp"]["pdus"][kind].as_u64() {
                let (team, port, kind) = (quoted(team), quoted(port), quoted(kind));
                let _ = writeln!(
                    text,
                    "teamr_port_lacp_pdus_total{{team={team},port={port},kind={kind}}} {count}"
                );
            }
        }
    }
    let help = "LACP: times that an end was found not to settle.";
    head(text, "teamr_port_lacp_churns_total", "counter", help);
    for (team, port, state) in ports(states) {
        for side in ["actor", "partner"] {
            if let Some(count) = state["teamr"]["lacp"]["churns"][side].as_u64() {
                let (team, port, side) = (quoted(team), quoted(port), quoted(side));
                let _ = writeln!(
                    text,
                    "teamr_port_lacp_churns_total{{team={team},port={port},side={side}}} {count}"
                );
            }
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
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_counted_by_kind_has_its_labels() {
        let state = json!({
            "teamr": {"failovers": {"count": 2, "last_us": 1500, "total_us": 21_500}},
            "ports": {"eth1": {"link": {"speed": 10_000}, "teamr": {
                "probed": true,
                "probe_heard_at": "eth2",
                "lacp": {
                    "pdus": {"sent": 7, "malformed": 1},
                    "churns": {"actor": 3, "partner": 0},
                },
            }}},
        });
        let text = write(&BTreeMap::from([("team0".to_owned(), state)]));
        for line in [
            "# TYPE teamr_failover_seconds summary",
            "teamr_failover_seconds_count{team=\"team0\"} 2",
            "teamr_failover_seconds_sum{team=\"team0\"} 0.0215",
            "teamr_failover_last_seconds{team=\"team0\"} 0.0015",
            "teamr_port_speed_bytes{team=\"team0\",port=\"eth1\"} 1250000000",
            "teamr_port_probed{team=\"team0\",port=\"eth1\"} 1",
            "teamr_port_probe_crossed{team=\"team0\",port=\"eth1\"} 1",
            "# TYPE teamr_port_lacp_pdus_total counter",
            "teamr_port_lacp_pdus_total{team=\"team0\",port=\"eth1\",kind=\"sent\"} 7",
            "teamr_port_lacp_pdus_total{team=\"team0\",port=\"eth1\",kind=\"malformed\"} 1",
            "teamr_port_lacp_churns_total{team=\"team0\",port=\"eth1\",side=\"actor\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("kind=\"markers\""), "{text}");
    }

    /// What the text format asks of a line, and what OpenMetrics alone has.
    #[test]
    fn the_format_is_prometheus_own() {
        let state = json!({
            "setup": {"runner_name": "a\"b\\c\nd"},
            "teamr": {"resyncs": 1},
            "ports": {"eth1": {"link": {"up": true}}},
        });
        let text = write(&BTreeMap::from([("team0".to_owned(), state)]));
        let mut family = "";
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                family = help.split(' ').next().unwrap_or_default();
            } else if let Some(words) = line.strip_prefix("# TYPE ") {
                let (name, kind) = words.split_once(' ').expect("a name and a type");
                assert_eq!(name, family, "{line}");
                assert!(["counter", "gauge", "summary"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            } else {
                assert!(line.starts_with(family) && !line.starts_with('#'), "{line}");
            }
        }
        let runner = r#"teamr_info{team="team0",runner="a\"b\\c\nd",data_path=""} 1"#;
        assert!(text.lines().any(|line| line == runner), "{text}");
    }

    #[test]
    fn the_alerts_are_about_what_is_exposed() {
        let text = write(&BTreeMap::new());
        let exposed = |name: &str| {
            let family = name
                .strip_suffix("_count")
                .or(name.strip_suffix("_sum"))
                .unwrap_or(name);
            text.contains(&format!("# TYPE {family} "))
        };
        let rules = include_str!("../../../dist/teamr.rules.yml");
        let words = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: Vec<&str> = words.filter(|word| word.starts_with("teamr_")).collect();
        assert!(names.len() > 10);
        for name in names {
            assert!(exposed(name), "no metric is called {name}");
        }
    }
}

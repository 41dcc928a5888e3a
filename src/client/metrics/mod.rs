//! `metrics`: the state of teams in Prometheus' text format.
//!
//! [`items`] has the metrics that the definitions of the state name, [`derived`] all others.

mod derived;
mod items;
mod serve;
mod text;

use std::collections::BTreeMap;

use super::command::Command;
use super::error::Error;
use super::options::Options;
use super::teams;
use crate::files;
use crate::state::State;

/// Returns the metrics of these teams.
///
/// # Errors
/// When a team does not answer.
pub fn expose(devices: &[String], options: &Options) -> Result<String, Error> {
    let states: Result<_, Error> = teams::states(devices, &Command::Metrics, options)
        .map(|(device, state)| Ok((device.to_owned(), state?)))
        .collect();
    Ok(write(&states?))
}

/// Writes the metrics of these teams to a file in one step. Replaces no file with other contents
/// than metrics.
pub fn expose_in_file(devices: &[String], file: &str, options: &Options) -> Result<(), Error> {
    let text = expose(devices, options)?;
    let beginning = derived::FIRST_LINE.as_bytes();
    files::replace(file.as_ref(), text.as_bytes(), beginning)
        .map_err(|e| Error::Write(file.to_owned(), e))
}

/// Serves the metrics over HTTP at `address` until the process ends. `devices` returns the teams
/// of a request; a team that does not answer is left out, since the team may just have ended.
pub fn serve(
    address: &str,
    devices: impl Fn() -> Vec<String> + Sync,
    options: &Options,
) -> Result<(), Error> {
    let exposition = || {
        let devices = devices();
        let states = teams::states(&devices, &Command::Metrics, options);
        let states = states.filter_map(|(device, state)| Some((device.to_owned(), state.ok()?)));
        write(&states.collect())
    };
    serve::serve(address, exposition).map_err(|e| Error::Listen(address.to_owned(), e))
}

/// Returns the exposition of these states, by team.
fn write(states: &BTreeMap<String, State>) -> String {
    derived::write(states) + &items::write(states)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::state::Part;

    fn exposition(state: &Value) -> String {
        let state = State::read(state).expect("a state");
        write(&BTreeMap::from([("team0".to_owned(), state)]))
    }

    #[test]
    fn samples_have_their_labels_and_base_units() {
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
        let text = exposition(&state);
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

    #[test]
    fn the_first_line_is_the_same_for_all_teams() {
        assert!(write(&BTreeMap::new()).starts_with(derived::FIRST_LINE));
        assert!(exposition(&json!({})).starts_with(derived::FIRST_LINE));
    }

    /// Rules of the text format 0.0.4, some of which OpenMetrics breaks.
    #[test]
    fn the_exposition_follows_the_text_format() {
        let state = json!({
            "setup": {"runner_name": "a\"b\\c\nd"},
            "teamr": {"resyncs": 1},
            "ports": {"eth1": {"link": {"up": true}}},
        });
        let text = exposition(&state);
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
    fn alerts_dashboard_and_guide_name_exposed_metrics() {
        let text = write(&BTreeMap::new());
        let exposed = |name: &str| {
            let family = name.strip_suffix("_count").or(name.strip_suffix("_sum")).unwrap_or(name);
            text.contains(&format!("# TYPE {family} "))
        };
        for (text, least) in [
            (include_str!("../../../dist/teamr.rules.yml"), 10),
            (include_str!("../../../dist/teamr-dashboard.json"), 20),
            (include_str!("../../../docs/guides/monitoring.md"), 8),
        ] {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let names: Vec<&str> = words.filter(|word| word.starts_with("teamr_")).collect();
            assert!(names.len() >= least, "{names:?}");
            for name in names {
                assert!(exposed(name), "no metric is called {name}");
            }
        }
    }

    /// Grafana refuses a dashboard with two panels of one id, and draws panels over one another.
    #[test]
    fn the_panels_of_the_dashboard_have_places_of_their_own() {
        let dashboard: Value =
            serde_json::from_str(include_str!("../../../dist/teamr-dashboard.json")).expect("JSON");
        let panels = dashboard["panels"].as_array().expect("panels");
        let mut ids = BTreeMap::new();
        let mut cells = BTreeMap::new();
        for panel in panels {
            let title = panel["title"].as_str().expect("a title");
            assert_eq!(ids.insert(panel["id"].as_u64().expect("an id"), title), None, "{title}");
            let place = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
            for x in place("x")..place("x") + place("w") {
                assert!(x < 24, "{title}");
                for y in place("y")..place("y") + place("h") {
                    assert_eq!(cells.insert((x, y), title), None, "{title}");
                }
            }
            let targets = panel["targets"].as_array().expect("targets");
            assert!(targets.iter().all(|target| target["expr"].is_string()), "{title}");
        }
    }
}

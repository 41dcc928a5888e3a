//! `state` of several teams: one line for each, those with a fault first.

use std::fmt::Write;

use super::command::Command;
use super::options::Options;
use super::output::Output;
use super::status::ports::why_out;
use super::style::{Style, Tone};
use super::teams;
use crate::state::{OrEmpty, State};
use crate::text::printable;

/// Most faults in the line of a team; further faults are counted.
const FAULTS: usize = 3;
/// Width of the column STATE, in characters.
const CONDITION: usize = 8;

/// How well a team works, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Condition {
    /// All ports are out of forwarding, or activebackup has no active port.
    Down,
    /// A port is out of forwarding.
    Degraded,
    /// Every port carries traffic or is a backup.
    Well,
}

/// The line of a team.
#[derive(Debug)]
struct Line {
    condition: Condition,
    device: String,
    runner: String,
    /// Number of ports that carry traffic or are backups, and of all ports.
    ports: (usize, usize),
    /// For each port out of forwarding: its name, and the reason.
    faults: Vec<String>,
}

/// Adds to `output` a line for each team that answers, and the error of each other team. Returns the
/// exit status.
pub fn execute(
    devices: &[String],
    command: &Command,
    options: &Options,
    output: &mut Output,
) -> u8 {
    let mut exit = 0;
    let mut lines = Vec::new();
    for (device, state) in teams::states(devices, command, options) {
        match state {
            Ok(state) => lines.push(Line::of(device, &state)),
            Err(e) => exit = output.add_error(&e, options),
        }
    }
    output.results += &text(lines, Style::of_stdout());
    exit
}

impl Line {
    fn of(device: &str, state: &State) -> Self {
        let total = state.ports().count();
        let faults: Vec<String> = state
            .ports()
            .filter_map(|(name, port)| Some(format!("{name}: {}", why_out(port)?)))
            .collect();
        let usable = total - faults.len();
        // `Some("")` is a team of activebackup without an active port.
        let active = state.runner.or_empty().active_port.as_deref();
        let condition = match (usable, &faults[..]) {
            _ if active == Some("") => Condition::Down,
            (0, _) => Condition::Down,
            (_, []) => Condition::Well,
            _ => Condition::Degraded,
        };
        let runner = state.setup.or_empty().runner_name.clone().unwrap_or_default();
        Line { condition, device: device.to_owned(), runner, ports: (usable, total), faults }
    }

    /// Returns the last column: the faults, or why a team without a faulty port is down.
    fn reason(&self) -> String {
        let mut parts = self.faults.iter().take(FAULTS).cloned().collect::<Vec<_>>();
        match self.faults.len() {
            0 if self.ports.1 == 0 => parts.push("no ports".to_owned()),
            0 if self.condition == Condition::Down => parts.push("no active port".to_owned()),
            count if count > FAULTS => parts.push(format!("{} more", count - FAULTS)),
            _ => (),
        }
        parts.join("; ")
    }
}

impl Condition {
    fn word(self) -> &'static str {
        match self {
            Condition::Down => "down",
            Condition::Degraded => "degraded",
            Condition::Well => "ok",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Condition::Down => Tone::Bad,
            Condition::Degraded => Tone::Notice,
            Condition::Well => Tone::Good,
        }
    }
}

/// Returns the lines below a heading, the worst condition first, otherwise in the order of `lines`;
/// nothing without lines.
fn text(mut lines: Vec<Line>, style: Style) -> String {
    lines.sort_by_key(|line| line.condition);
    let mut text = String::new();
    if lines.is_empty() {
        return text;
    }
    let width = |head: &str, of: &dyn Fn(&Line) -> &str| {
        let texts = lines.iter().map(of).chain([head]);
        texts.map(|text| printable(text).chars().count()).max().unwrap_or_default()
    };
    let device = width("TEAM", &|line| &line.device);
    let runner = width("RUNNER", &|line| &line.runner);
    let head = format!("{:device$}  {:CONDITION$}  {:runner$}  PORTS", "TEAM", "STATE", "RUNNER");
    text += &style.paint(Tone::Head, &head);
    text.push('\n');
    for line in &lines {
        let name = printable(&line.device);
        let condition = format!("{:CONDITION$}", line.condition.word());
        let condition = style.paint(line.condition.tone(), &condition);
        let kind = printable(&line.runner);
        let ports = format!("{} of {}", line.ports.0, line.ports.1);
        let reason = line.reason();
        let row =
            format!("{name:device$}  {condition}  {kind:runner$}  {ports}  {}", printable(&reason));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::state::Part;

    fn line(device: &str, runner: &str, active: Option<&str>, links: &[bool]) -> Line {
        let ports = links.iter().enumerate().map(|(number, up)| {
            (format!("eth{number}"), json!({"link": {"up": up}, "link_watches": {"up": up}}))
        });
        let ports = Value::Object(ports.collect());
        let runner_state = active.map_or(json!({}), |active| json!({"active_port": active}));
        let state = json!({
            "setup": {"runner_name": runner}, "ports": ports, "runner": runner_state,
        });
        Line::of(device, &State::read(&state).expect("a state"))
    }

    #[test]
    fn teams_with_a_fault_come_first() {
        let lines = vec![
            line("team0", "lacp", None, &[true, true]),
            line("team1", "lacp", None, &[true, false]),
            line("a-long-name", "activebackup", Some("eth1"), &[true, true]),
            line("team3", "loadbalance", None, &[false; 5]),
            line("team4", "broadcast", None, &[]),
            line("team5", "activebackup", Some(""), &[true]),
        ];
        let expected = "\
TEAM         STATE     RUNNER        PORTS
team3        down      loadbalance   0 of 5  eth0: no link; eth1: no link; eth2: no link; 2 more
team4        down      broadcast     0 of 0  no ports
team5        down      activebackup  1 of 1  no active port
team1        degraded  lacp          1 of 2  eth1: no link
team0        ok        lacp          2 of 2
a-long-name  ok        activebackup  2 of 2
";
        assert_eq!(text(lines, Style::Plain), expected);
        assert_eq!(text(Vec::new(), Style::Plain), "");
    }
}

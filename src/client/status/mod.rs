//! `status`, `ports`: how teams are, on one screen.
//!
//! [`of_team`] makes the [`Status`] of a team, [`text`] shows one.

pub mod counters;
pub mod ports;
pub mod text;

use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::command::Command;
use super::error::Error;
use super::facts::{self, ForwardingTable};
use super::options::Options;
use super::output::Output;
use super::style::Style;
use super::teams::{self, Team};
use super::watch;
use crate::doctor::{self, Facts, Finding};
use crate::recording::Recording;
use crate::state::status::{FindingStatus, Status};
use crate::state::{List, Members, OrEmpty, Part, State};
use crate::sys::clock;
use counters::Reading;

/// Time between two readings of the counters: long enough for a rate, short enough to wait for.
pub const INTERVAL: Duration = Duration::from_millis(500);

/// A team with what was read of it some time before its status.
pub struct Observed {
    team: Team,
    before: ForwardingTable,
    reading: Reading,
}

impl Observed {
    /// Reads the counters of a team.
    pub fn begin(team: Team, command: &Command) -> Result<Self, Error> {
        let reading = reading(&team, &team.state(command)?);
        Ok(Observed { before: facts::forwarding_table(&team.device), reading, team })
    }

    /// Returns the status, with the rates since the last one or since the beginning.
    pub fn status(&mut self, command: &Command) -> Result<Status, Error> {
        let facts = facts::since(&self.before, &self.team, command)?;
        let state = facts.state.clone().unwrap_or_default();
        let reading = reading(&self.team, &state);
        let recording = self.recording(command);
        let status = of_team(&self.team.device, &facts, &state, recording.as_ref(), |name| {
            (reading.get(name), reading.rates_since(&self.reading, name))
        });
        self.before = facts::forwarding_table(&self.team.device);
        self.reading = reading;
        Ok(status)
    }

    /// Returns the recording; `None` from a daemon, such as teamd, that has none.
    pub fn recording(&self, command: &Command) -> Option<Recording> {
        let text = self.team.call(command, "RecordingDump", &[]).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Calls a method and reads the reply.
    pub fn call_json(
        &self,
        command: &Command,
        method: &str,
        args: &[&str],
    ) -> Result<Value, Error> {
        self.team.call_json(command, method, args)
    }

    /// Returns the name of the team device.
    pub fn device(&self) -> &str {
        &self.team.device
    }
}

/// Reads the counters of the team device and of the ports.
fn reading(team: &Team, state: &State) -> Reading {
    let ports = state.ports().map(|(name, _)| name);
    Reading::of([&*team.device].into_iter().chain(ports))
}

/// Shows the status of teams, or under `ports` their ports alone. Returns the exit status.
pub fn execute(
    devices: &[String],
    command: &Command,
    options: &Options,
    output: &mut Output,
) -> u8 {
    let begin = |team| Observed::begin(team, command);
    let (mut observed, mut exit) = teams::read_each(devices, options, output, begin);
    if !observed.is_empty() {
        thread::sleep(INTERVAL);
    }
    let mut answers = Vec::new();
    for team in &mut observed {
        match team.status(command) {
            Ok(status) => answers.push((team.device().to_owned(), status)),
            Err(e) => exit = output.add_error(&e, options),
        }
    }
    show(&answers, command, devices.len() > 1, options, output);
    exit
}

/// Adds the answers to the results; an answer in JSON is by team if the command was for several.
fn show(
    answers: &[(String, Status)],
    command: &Command,
    several: bool,
    options: &Options,
    output: &mut Output,
) {
    let ports_alone = *command == Command::Ports;
    if options.json {
        let json = |status: &Status| match ports_alone {
            true => status
                .ports
                .as_ref()
                .map_or_else(|| Value::Object(Default::default()), Part::to_json),
            false => status.to_json(),
        };
        match answers {
            [(_, status)] if !several => output.add_json(&json(status), options),
            [] => {}
            _ => {
                let by_team = answers.iter().map(|(name, status)| (name.clone(), json(status)));
                output.add_json(&Value::Object(by_team.collect()), options);
            }
        }
        return;
    }
    let style = Style::of_stdout();
    let texts = answers.iter().map(|(name, status)| match ports_alone {
        true => text::ports(name, status, style),
        false => text::status(name, status, style),
    });
    output.results += &texts.collect::<Vec<String>>().join("\n");
}

/// Returns the status of a team. `count` returns the counters and the rates of an interface.
fn of_team(
    device: &str,
    facts: &Facts,
    state: &State,
    recording: Option<&Recording>,
    count: impl Fn(&str) -> (Option<counters::Counters>, Option<counters::Rates>),
) -> Status {
    let (_, rates) = count(device);
    let known = facts.device.as_ref();
    let items = state.teamr.or_empty();
    let runner = state.runner.or_empty();
    let history = recording.map(watch::history).unwrap_or_default();
    let now = u64::try_from(clock::unix_time().as_nanos()).unwrap_or(u64::MAX);
    let ports = state.ports().map(|(name, port)| {
        let (counters, rates) = count(name);
        let mut status = ports::of_port(name, port, runner, counters, rates);
        if let Some(change) = history.iter().rev().find(|news| news.is_about(name)) {
            status.changed_ago = Some(now.saturating_sub(change.at) / 1_000_000);
            status.last_change = Some(change.text.clone());
        }
        (name.to_owned(), status)
    });
    Status {
        runner: state.setup.or_empty().runner_name.clone(),
        up: known.map(|device| device.up),
        carrier: facts::carrier(device),
        active_port: runner.active_port.clone(),
        designated_port: runner.designated_port.clone(),
        master: known.and_then(|device| device.master.clone()),
        hwaddr: state.team_device.or_empty().ifinfo.or_empty().dev_addr.clone(),
        mtu: known.and_then(|device| device.mtu),
        data_path: items.data_path.clone(),
        data_path_refused: items.data_path_refused.clone(),
        failovers: items.failovers.clone(),
        trial_ends_in: items.trial_ends_in,
        rx_rate: rates.map(|rates| rates.rx),
        tx_rate: rates.map(|rates| rates.tx),
        ports: Some(Members(ports.collect())),
        findings: Some(findings(facts)),
    }
}

fn findings(facts: &Facts) -> List<FindingStatus> {
    List(doctor::diagnose(facts).iter().map(Finding::to_status).collect())
}

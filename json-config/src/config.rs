//! The live configuration of one team.
//!
//! Owns the JSON that clients see in dumps: the text of the file, with the defaults that teamd writes
//! into it and the updates of clients. Unknown keys and the order of keys are kept.

use std::time::Duration;

use runners::{LinkWatchSettings, PortSettings, RunnerSettings, TeamSettings};
use serde_json::{Map, Value, json};

use crate::data_path::DataPathChoice;
use crate::finding::{Finding, Weight};
use crate::inspect::Walk;
use crate::lenient::runner_name;
use crate::parse::{ParseError, parse_object};
use crate::problem::Problem;
use crate::read::{
    default_tx_hash, read_data_path, read_debug_level, read_port, read_probe, read_team,
};
use crate::text::object_to_text;

/// The live configuration of one team.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    team: Map<String, Value>,
}

impl Config {
    /// Parses a text, which must be a JSON object. Keys and values are not checked.
    ///
    /// # Errors
    /// For a text that teamd's parser refuses too; see [`ParseError`].
    pub fn parse(text: &[u8]) -> Result<Config, ParseError> {
        Ok(Config { team: parse_object(text)? })
    }

    /// Returns the JSON object.
    pub fn into_object(self) -> Map<String, Value> {
        self.team
    }

    /// Returns the JSON object.
    pub(crate) fn object(&self) -> &Map<String, Value> {
        &self.team
    }

    /// Returns the JSON object, to change it.
    pub(crate) fn object_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.team
    }

    /// Returns the configuration `{}`.
    pub fn empty() -> Config {
        Config::default()
    }

    /// Returns `device`; `None` if absent.
    ///
    /// # Errors
    /// With teamd's log line for a value that is not a string: teamd stops then, even if its command
    /// line names the device.
    pub fn device(&self) -> Result<Option<&str>, Problem> {
        let refused = Walk::new(&self.team, &[Weight::Refused]).key(&self.team, "device");
        match refused.list.first() {
            Some(finding) => Err(finding.for_run()),
            None => Ok(self.team.get("device").and_then(Value::as_str)),
        }
    }

    /// Sets `device`, which dumps show too.
    pub fn set_device(&mut self, name: &str) {
        self.team.insert("device".to_owned(), name.into());
    }

    /// Returns `debug_level`; 0 if absent or invalid. A negative level is invalid; with teamd it is the
    /// highest.
    pub fn debug_level(&self) -> u32 {
        read_debug_level(&self.team)
    }

    /// Returns `data_path`; [`DataPathChoice::Auto`] if absent or invalid.
    pub fn data_path(&self) -> DataPathChoice {
        read_data_path(&self.team)
    }

    /// Returns `probe`; `None` if absent or invalid.
    pub fn probe(&self) -> Option<bool> {
        read_probe(&self.team)
    }

    /// Returns `runner.name`, known or not; `roundrobin` if absent, empty if not a string.
    pub fn runner_name(&self) -> &str {
        runner_name(&self.team)
    }

    /// Returns the values that a run replaces, for the log.
    ///
    /// Unknown keys do not count, nor do values that [`Config::team_settings`] and
    /// [`Config::port_settings`] refuse. After 100 warnings a last one without a path gives the
    /// number of the others.
    pub fn warnings(&self) -> Vec<Problem> {
        let findings = Walk::new(&self.team, &[Weight::Fallback]).whole(&self.team);
        let more = (findings.more > 0).then(|| Problem {
            path: String::new(),
            message: format!("and {} more warnings", findings.more),
            position: None,
        });
        let warnings = findings.list.iter().map(|finding| finding.for_run());
        warnings.chain(more).collect()
    }

    /// Returns the settings of the team as a whole; `seed` is for the runner `random`.
    ///
    /// # Errors
    /// For a value that teamd refuses to start with: a number out of range, an unknown runner or
    /// policy, an unreadable hardware address, a name that is not a string, another value in the
    /// place of an object.
    pub fn team(&self, seed: u64) -> Result<TeamSettings, Problem> {
        let refused = Walk::new(&self.team, &[Weight::Refused]).team(&self.team);
        match refused.list.first() {
            Some(finding) => Err(finding.for_run()),
            None => Ok(read_team(&self.team, seed)),
        }
    }

    /// Returns the settings of the team like [`Config::team`], and writes the same defaults into the
    /// configuration as teamd: `runner.name`, `notify_peers.count` and `mcast_rejoin.count` for
    /// activebackup, `runner.tx_hash` for runners that read it.
    ///
    /// # Errors
    /// As [`Config::team`].
    pub fn team_settings(&mut self, seed: u64) -> Result<TeamSettings, Problem> {
        let settings = self.team(seed)?;
        self.write_team_defaults(&settings.runner);
        Ok(settings)
    }

    fn write_team_defaults(&mut self, runner: &RunnerSettings) {
        write_default(&mut self.team, "runner", "name", || "roundrobin".into());
        match runner {
            RunnerSettings::ActiveBackup { .. } => {
                write_default(&mut self.team, "notify_peers", "count", || 1.into());
                write_default(&mut self.team, "mcast_rejoin", "count", || 1.into());
            }
            RunnerSettings::LoadBalance { .. } | RunnerSettings::Lacp(_) => {
                write_default(&mut self.team, "runner", "tx_hash", || default_tx_hash().into());
            }
            RunnerSettings::Broadcast
            | RunnerSettings::RoundRobin { .. }
            | RunnerSettings::Random { .. }
            | RunnerSettings::Slb { .. } => {}
        }
    }

    /// Returns the names of the configured ports, in the order of the file.
    pub fn port_names(&self) -> impl Iterator<Item = &str> {
        self.ports().into_iter().flat_map(|ports| ports.keys().map(String::as_str))
    }

    /// Returns the settings of the port `name`, or the defaults for a port that is not configured.
    ///
    /// # Errors
    /// For a value that teamd refuses to add the port with: a number out of range, a link watch that
    /// is unknown or lacks a key, an entry that is not an object.
    pub fn port(&self, name: &str) -> Result<PortSettings, Problem> {
        let refused = Walk::new(&self.team, &[Weight::Refused]).port(&self.team, name);
        if let Some(finding) = refused.list.first() {
            return Err(finding.for_run());
        }
        let mut port = read_port(&self.team, self.entry(name));
        let is_link = |watch: &LinkWatchSettings| !matches!(watch, LinkWatchSettings::Errors(_));
        if !port.link_watches.iter().any(is_link) {
            port.link_watches.push(LinkWatchSettings::Ethtool {
                delay_up: Duration::ZERO,
                delay_down: Duration::ZERO,
            });
        }
        Ok(port)
    }

    /// Returns the settings of the port `name` like [`Config::port`], and writes the watch `ethtool`
    /// into the port's entry if neither the port nor the team has a link watch, as teamd does.
    ///
    /// # Errors
    /// As [`Config::port`].
    pub fn port_settings(&mut self, name: &str) -> Result<PortSettings, Problem> {
        let port = self.port(name)?;
        self.write_implicit_watch(name);
        Ok(port)
    }

    fn write_implicit_watch(&mut self, name: &str) {
        let none = read_port(&self.team, self.entry(name)).link_watches.is_empty();
        if none {
            let entry = object_in(self.ports_mut(), name);
            entry.insert("link_watch".to_owned(), json!({"name": "ethtool"}));
        }
    }

    /// Replaces the entry of the port `name` by the object in `text`.
    ///
    /// # Errors
    /// For a text that is not a JSON object; the configuration stays as it was. (teamd empties the
    /// entry, and fails without `prio` too.)
    pub fn update_port(&mut self, name: &str, text: &[u8]) -> Result<(), ParseError> {
        let entry = parse_object(text)?;
        self.ports_mut().insert(name.to_owned(), Value::Object(entry));
        Ok(())
    }

    /// Gives the entry of the port `name` another name, at its place.
    pub fn rename_port(&mut self, name: &str, new: &str) {
        let ports = std::mem::take(self.ports_mut());
        let renamed = |(key, entry)| (if key == name { new.to_owned() } else { key }, entry);
        *self.ports_mut() = ports.into_iter().map(renamed).collect();
    }

    /// Returns the faults in the entry of the port `name` that do not make [`Config::port`] fail:
    /// values that a run replaces, then unknown keys and the keys of other runners. At most 100 of
    /// each.
    pub fn port_warnings(&self, name: &str) -> Vec<Problem> {
        let find = |weight| Walk::new(&self.team, &[weight]).entry(&self.team, name).list;
        let (replaced, ignored) = (find(Weight::Fallback), find(Weight::Strict));
        let replaced = replaced.iter().map(Finding::for_run);
        replaced.chain(ignored.iter().map(Finding::for_check)).collect()
    }

    /// Returns the whole configuration, for `config dump`.
    pub fn dump(&self) -> String {
        object_to_text(&self.team)
    }

    /// Returns the configuration with exactly the ports in `present`, for `config dump actual`.
    pub fn dump_actual(&self, present: &[&str]) -> String {
        let mut actual = self.clone();
        if !present.is_empty() || actual.team.contains_key("ports") {
            let ports = actual.ports_mut();
            ports.retain(|name, _| present.contains(&name.as_str()));
            for name in present {
                object_in(ports, name);
            }
        }
        actual.dump()
    }

    /// Returns the entry of the port `name`, for `port config dump`; `{}` without one.
    pub fn dump_port(&self, name: &str) -> String {
        self.entry(name).map_or_else(|| "{}".to_owned(), object_to_text)
    }

    fn ports(&self) -> Option<&Map<String, Value>> {
        self.team.get("ports").and_then(Value::as_object)
    }

    /// Returns `ports`; creates it if absent or not an object.
    fn ports_mut(&mut self) -> &mut Map<String, Value> {
        object_in(&mut self.team, "ports")
    }

    fn entry(&self, name: &str) -> Option<&Map<String, Value>> {
        self.ports()?.get(name)?.as_object()
    }
}

/// Returns the object under `key`; replaces any other value by an empty object.
pub(crate) fn object_in<'a>(
    parent: &'a mut Map<String, Value>,
    key: &str,
) -> &'a mut Map<String, Value> {
    let value = parent.entry(key).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(object) => object,
        _ => unreachable!("made an object above"),
    }
}

fn write_default(
    team: &mut Map<String, Value>,
    object: &str,
    key: &str,
    default: impl FnOnce() -> Value,
) {
    object_in(team, object).entry(key).or_insert_with(default);
}

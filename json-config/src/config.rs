//! The live configuration of one team.
//!
//! Owns the JSON that clients see in dumps: as it was read, with teamd's injected defaults and
//! the updates of clients. Unknown keys are kept, keys stand in the order of the file. What the
//! team does with its settings is the core's business.

use std::str::FromStr;
use std::time::Duration;

use runners::{
    ArpPingSettings, Host, LacpPortSettings, LinkWatchSettings, NsnaPingSettings, PortSettings,
    RunnerSettings, TeamSettings,
};
use serde_json::{Map, Value, json};

use crate::finding::Weight;
use crate::inspect::{Walk, runner_name};
use crate::model::{Port, Runner, Team, Watch};
use crate::parse::{ParseError, parse_object};
use crate::problem::Problem;
use crate::read::{default_tx_hash, read_port, read_team};
use crate::text::object_to_text;

/// The live configuration of one team.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    team: Map<String, Value>,
}

impl Config {
    /// Reads a text, which must be a JSON object; what its keys hold is not looked at yet.
    ///
    /// # Errors
    /// A text that teamd's parser would refuse too; see [`ParseError`].
    pub fn parse(text: &[u8]) -> Result<Config, ParseError> {
        Ok(Config {
            team: parse_object(text)?,
        })
    }

    /// Returns the JSON object.
    pub fn into_object(self) -> Map<String, Value> {
        self.team
    }

    /// The configuration `{}`.
    pub fn empty() -> Config {
        Config::default()
    }

    /// `device`; none if it is absent.
    ///
    /// # Errors
    /// With teamd's words, when it is not a string: teamd stops then, also where its command line
    /// names the device.
    pub fn device(&self) -> Result<Option<&str>, Problem> {
        let refused = Walk::new(&self.team, &[Weight::Refused]).key(&self.team, "device");
        match refused.list.first() {
            Some(finding) => Err(finding.as_run()),
            None => Ok(self.team.get("device").and_then(Value::as_str)),
        }
    }

    /// Sets `device`, which dumps show from now on.
    pub fn set_device(&mut self, name: &str) {
        self.team.insert("device".to_owned(), name.into());
    }

    /// Returns the settings of the team as a whole, with the default in place of each value that
    /// is absent or makes no sense.
    ///
    /// teamd takes a negative `debug_level` for the highest; here it makes no sense.
    pub fn team_or_defaults(&self) -> Team {
        read_team(&self.team)
    }

    /// `runner.name`, known or not; `roundrobin` if it is absent, empty if it is not a string.
    pub fn runner_name(&self) -> &str {
        runner_name(&self.team)
    }

    /// Everything in place of which a run takes something else, for the log.
    ///
    /// Unknown keys are none of it, and neither is what [`Config::team_settings`] and
    /// [`Config::port_settings`] refuse. Of more than 100 the rest is only counted, in a last
    /// one without a path.
    pub fn warnings(&self) -> Vec<Problem> {
        let findings = Walk::new(&self.team, &[Weight::Fallback]).whole(&self.team);
        let more = (findings.more > 0).then(|| Problem {
            path: String::new(),
            message: format!("and {} more warnings", findings.more),
            position: None,
        });
        let warnings = findings.list.iter().map(|finding| finding.as_run());
        warnings.chain(more).collect()
    }

    /// All settings of the team as a whole.
    ///
    /// # Errors
    /// What teamd refuses to start with: a value out of range, an unknown runner or policy, a
    /// hardware address that cannot be read, a name that is no string, an object that is none.
    pub fn team(&self) -> Result<Team, Problem> {
        let refused = Walk::new(&self.team, &[Weight::Refused]).team(&self.team);
        match refused.list.first() {
            Some(finding) => Err(finding.as_run()),
            None => Ok(read_team(&self.team)),
        }
    }

    /// The team's settings for the core; `seed` is for the runner `random`.
    ///
    /// Writes the defaults into the configuration that teamd writes there: `runner.name`, for
    /// activebackup `notify_peers.count` and `mcast_rejoin.count`, `runner.tx_hash` where it is
    /// read.
    ///
    /// # Errors
    /// As [`Config::team`], with teamd's words.
    pub fn team_settings(&mut self, seed: u64) -> Result<TeamSettings, Problem> {
        let team = self.team()?;
        let runner = match &team.runner {
            Runner::Broadcast => RunnerSettings::Broadcast,
            Runner::RoundRobin { packets_per_port } => RunnerSettings::RoundRobin {
                packets_per_port: *packets_per_port,
            },
            Runner::Random => RunnerSettings::Random { seed },
            Runner::ActiveBackup {
                hwaddr_policy,
                failback,
            } => RunnerSettings::ActiveBackup {
                hwaddr_policy: *hwaddr_policy,
                failback: *failback,
            },
            Runner::LoadBalance(hashing) => RunnerSettings::LoadBalance {
                tx_hash: hashing.tx_hash,
                balancing_interval: hashing.balancing_interval,
            },
            Runner::Slb {
                host,
                balancing_interval,
                learning_interval,
            } => RunnerSettings::Slb {
                host: *host,
                balancing_interval: *balancing_interval,
                learning_interval: *learning_interval,
            },
            Runner::Lacp(settings) => RunnerSettings::Lacp(settings.clone()),
        };
        self.write_team_defaults(&team.runner);
        Ok(TeamSettings {
            runner,
            hwaddr: team.hwaddr,
            link_watch_policy: team.link_watch_policy,
            notify_peers: team.notify_peers,
            mcast_rejoin: team.mcast_rejoin,
            min_ports: team.min_ports,
            probe: team.probe.unwrap_or(true),
        })
    }

    fn write_team_defaults(&mut self, runner: &Runner) {
        write_default(&mut self.team, "runner", "name", || "roundrobin".into());
        match runner {
            Runner::ActiveBackup { .. } => {
                write_default(&mut self.team, "notify_peers", "count", || 1.into());
                write_default(&mut self.team, "mcast_rejoin", "count", || 1.into());
            }
            Runner::LoadBalance(_) | Runner::Lacp(_) => {
                write_default(&mut self.team, "runner", "tx_hash", || {
                    default_tx_hash().into()
                });
            }
            Runner::Broadcast | Runner::RoundRobin { .. } | Runner::Random | Runner::Slb { .. } => {
            }
        }
    }

    /// The configured ports, in the order of the file.
    pub fn port_names(&self) -> impl Iterator<Item = &str> {
        self.ports()
            .into_iter()
            .flat_map(|ports| ports.keys().map(String::as_str))
    }

    /// All settings of the port `name`, which need not have any in the configuration.
    ///
    /// # Errors
    /// What teamd refuses to take the port with: a value out of range, a link watch that is
    /// unknown or lacks a key, an entry that is no object.
    pub fn port(&self, name: &str) -> Result<Port, Problem> {
        let refused = Walk::new(&self.team, &[Weight::Refused]).port(&self.team, name);
        if let Some(finding) = refused.list.first() {
            return Err(finding.as_run());
        }
        let mut port = read_port(self.entry(name), self.team.get("link_watch"));
        if port.link_watches.is_empty() {
            port.link_watches.push(Watch::Ethtool {
                delay_up: Duration::ZERO,
                delay_down: Duration::ZERO,
            });
        }
        Ok(port)
    }

    /// The settings of the port `name` for the core.
    ///
    /// If neither the port nor the team has a link watch, `ethtool` is written into the port's
    /// entry, as teamd does.
    ///
    /// # Errors
    /// As [`Config::port`], with teamd's words.
    pub fn port_settings(&mut self, name: &str) -> Result<PortSettings, Problem> {
        let port = self.port(name)?;
        let link_watches = port
            .link_watches
            .iter()
            .map(|watch| match watch {
                Watch::Ethtool {
                    delay_up,
                    delay_down,
                } => LinkWatchSettings::Ethtool {
                    delay_up: *delay_up,
                    delay_down: *delay_down,
                },
                Watch::ArpPing(ping) => LinkWatchSettings::ArpPing(ArpPingSettings {
                    probing: ping.probing,
                    target_host: host(&ping.target_host),
                    source_host: ping.source_host.as_deref().map(host),
                    vlanid: ping.vlanid,
                    validate_active: ping.validate_active,
                    validate_inactive: ping.validate_inactive,
                    send_always: ping.send_always,
                }),
                Watch::NsnaPing(ping) => LinkWatchSettings::NsnaPing(NsnaPingSettings {
                    probing: ping.probing,
                    target_host: host(&ping.target_host),
                }),
                Watch::Tipc { bearer } => LinkWatchSettings::Tipc {
                    bearer: bearer.clone(),
                },
            })
            .collect();
        self.write_implicit_watch(name);
        Ok(PortSettings {
            prio: port.prio,
            sticky: port.sticky,
            queue_id: port.queue_id,
            lacp: LacpPortSettings {
                prio: port.lacp_prio,
                key: port.lacp_key,
                ..LacpPortSettings::default()
            },
            link_watches,
        })
    }

    fn write_implicit_watch(&mut self, name: &str) {
        let none = read_port(self.entry(name), self.team.get("link_watch"))
            .link_watches
            .is_empty();
        if none {
            let entry = object_in(self.ports_mut(), name);
            entry.insert("link_watch".to_owned(), json!({"name": "ethtool"}));
        }
    }

    /// Replaces the entry of the port `name` by the object in `text`.
    ///
    /// # Errors
    /// A text that is not a JSON object; the configuration is then as it was. (teamd empties the
    /// entry, and fails too if `prio` is missing.)
    pub fn update_port(&mut self, name: &str, text: &[u8]) -> Result<(), ParseError> {
        let entry = parse_object(text)?;
        self.ports_mut()
            .insert(name.to_owned(), Value::Object(entry));
        Ok(())
    }

    /// The whole configuration, as `config dump` shows it.
    pub fn dump(&self) -> String {
        object_to_text(&self.team)
    }

    /// The configuration with exactly the ports in `present`, as `config dump actual` shows it.
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

    /// The entry of the port `name`, as `port config dump` shows it; `{}` if it has none.
    pub fn dump_port(&self, name: &str) -> String {
        self.entry(name)
            .map_or_else(|| "{}".to_owned(), object_to_text)
    }

    fn ports(&self) -> Option<&Map<String, Value>> {
        self.team.get("ports").and_then(Value::as_object)
    }

    /// `ports`; written if it is absent or, which means the same, not an object.
    fn ports_mut(&mut self) -> &mut Map<String, Value> {
        object_in(&mut self.team, "ports")
    }

    fn entry(&self, name: &str) -> Option<&Map<String, Value>> {
        self.ports()?.get(name)?.as_object()
    }
}

/// The object under `key`, which takes the place of anything else that is there.
fn object_in<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = parent.entry(key).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(object) => object,
        _ => unreachable!("made an object above"),
    }
}

/// A host by its address, or by a name. What stands behind `%` in an address names an interface,
/// and a watch has only one to ask on.
fn host<A: FromStr>(text: &str) -> Host<A> {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    Host {
        name: text.to_owned(),
        address: address.parse().ok(),
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

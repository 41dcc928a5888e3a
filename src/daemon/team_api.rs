//! The control methods of a team.

use std::str::FromStr;
use std::time::Duration;

use json_config::KeyPath;
use nix::net::if_::if_nametoindex;
use runners::wire::lacpdu::STANDARD_RETRIES;
use runners::{
    AggSelectPolicy, Event, FallbackMethod, Instant, LacpSettings, PortId, RunnerSettings,
    interface_name_bytes,
};
use serde_json::Value;

use super::frame_choice;
use super::kernel::Kernel;
use super::state;
use super::team::{AdminUpPort, ManagedTeam};
use crate::control::config_answer::{ChangeOutcome, ConfigAnswer};
use crate::control::{Failure, ItemPath, TeamControl};
use crate::datapath::{Change, DataPathKind};
use crate::errno::strerror;
use crate::process::logging;
use crate::state::Part;

/// A team for the time of one call.
pub struct TeamApi<'a> {
    /// The team.
    pub team: &'a mut ManagedTeam,
    /// For changes of interfaces.
    pub kernel: &'a mut Kernel,
    /// The time of the call.
    pub now: Instant,
}

fn check_interface(name: &str) -> Result<(), Failure> {
    if_nametoindex(&*interface_name_bytes(name)).map_err(|_| Failure::NoSuchDev)?;
    Ok(())
}

impl TeamControl for TeamApi<'_> {
    fn config_dump(&self) -> String {
        self.team.config.dump()
    }

    fn config_dump_actual(&self) -> String {
        let present: Vec<&str> = self.team.core.ports().map(|port| port.name()).collect();
        self.team.config.dump_actual(&present)
    }

    fn port_config_dump(&self, port: &str) -> Result<String, Failure> {
        check_interface(port)?;
        match self.team.core.find_port(port) {
            Some(_) => Ok(self.team.config.dump_port(port)),
            None => Err(Failure::ConfigDumpFail),
        }
    }

    fn port_config_update(&mut self, port: &str, config: &str) -> Result<(), Failure> {
        check_interface(port)?;
        self.team.update_config(self.kernel, self.now, port, config).map_err(|complaint| {
            log::error!("{complaint}");
            Failure::ConfigUpdateFail
        })
    }

    fn port_add(&mut self, port: &str) -> Result<(), Failure> {
        let taken = self.team.take_port(self.kernel, self.now, port, AdminUpPort::Refuse);
        taken.map_err(|error| match error.raw_os_error() {
            Some(libc::ENODEV) => Failure::NoSuchDev,
            _ => Failure::PortAddFail,
        })?;
        self.team.expect_port(port);
        Ok(())
    }

    fn port_remove(&mut self, port: &str) -> Result<(), Failure> {
        let port = self.team.core.find_port(port).ok_or(Failure::NoSuchDev)?;
        self.team.remove_port(self.kernel, self.now, port);
        Ok(())
    }

    fn port_drain(&mut self, port: &str, force: bool) -> Result<(), Failure> {
        let id = self.team.core.find_port(port).ok_or(Failure::NoSuchDev)?;
        if !force && !self.team.core.keeps_carrier_without(id) {
            let min_ports = self.team.core.settings().min_ports;
            let reason = match min_ports {
                1 => format!("no other port can carry, and without {port} the team has no carrier"),
                _ => format!(
                    "fewer than {min_ports} other ports, \"min_ports\", can carry, and without \
                     {port} the team has no carrier"
                ),
            };
            log::warn!("{port}: Failed to drain port: {reason}.");
            return Err(Failure::PortDrainRefused(reason));
        }
        self.team.set_drained(self.kernel, self.now, id, true);
        Ok(())
    }

    fn port_undrain(&mut self, port: &str) -> Result<(), Failure> {
        let id = self.team.core.find_port(port).ok_or(Failure::NoSuchDev)?;
        self.team.set_drained(self.kernel, self.now, id, false);
        Ok(())
    }

    fn state(&self) -> Value {
        state::document(self.team, self.now).to_json()
    }

    fn state_text(&self) -> String {
        json_config::to_text(&state::document(self.team, self.now))
    }

    fn recording(&self) -> Value {
        // A recording has no map with keys other than text, the only cause of a failure.
        serde_json::to_value(self.team.core.recording()).unwrap_or_default()
    }

    fn frame_ports(&self, frames: &[Vec<u8>]) -> Value {
        frame_choice::of_frames(self.team, self.now, frames)
    }

    fn config_diff(&mut self, config: &str) -> ConfigAnswer {
        match self.team.plan(self.kernel, config.as_bytes()) {
            Ok(plan) => match plan.refusal() {
                None => ConfigAnswer::new(ChangeOutcome::Planned, plan.key_changes()),
                Some(why) => ConfigAnswer::refused(plan.key_changes(), why),
            },
            Err(problems) => ConfigAnswer::refused(Vec::new(), problems),
        }
    }

    fn config_replace(&mut self, config: &str, trial: Option<Duration>) -> ConfigAnswer {
        let plan = match self.team.plan(self.kernel, config.as_bytes()) {
            Ok(plan) => plan,
            Err(problems) => return ConfigAnswer::refused(Vec::new(), problems),
        };
        let changes = plan.key_changes();
        if let Some(why) = plan.refusal() {
            return ConfigAnswer::refused(changes, why);
        }
        let Some(time) = trial else {
            let reloaded = self.team.reload(self.kernel, self.now, plan);
            return ConfigAnswer::after(changes, reloaded.map(|()| self.team.forget_trial()));
        };
        let tried = self.team.try_plan(self.kernel, self.now, plan, config, time);
        let (attempt, trial) = match tried {
            Ok(id) => (Ok(()), Some(id)),
            Err(error) => (Err(error), None),
        };
        ConfigAnswer { trial, ..ConfigAnswer::after(changes, attempt) }
    }

    fn config_item_set(&mut self, key: &str, value: &str) -> ConfigAnswer {
        let plan = match self.team.plan_key(key, value) {
            Ok(plan) => plan,
            Err(problems) => return ConfigAnswer::refused(Vec::new(), problems),
        };
        let changes = plan.key_changes();
        let pause = || {
            let why = plan.interruption()?;
            Some(format!("{why}; \"reload\" with a changed file does it all the same"))
        };
        if let Some(why) = plan.refusal().or_else(pause) {
            return ConfigAnswer::refused(changes, why);
        }
        let answer = ConfigAnswer::after(changes, self.team.reload(self.kernel, self.now, plan));
        answer.with_trial_for(self.team.trial_ends_in(self.now))
    }

    fn config_keep(&mut self, trial: Option<&str>) -> Result<(), Failure> {
        self.team.keep(trial).then_some(()).ok_or(Failure::NoTrial)
    }

    fn reread_directory(&mut self) -> Result<(), Failure> {
        self.team.reread_requested = self.team.setup.options.in_directory;
        self.team.reread_requested.then_some(()).ok_or(Failure::OpNotSupp)
    }

    fn reread_outcome(&self) -> String {
        self.team.reread_outcome.to_string()
    }

    fn clear_statistics(&mut self, port: Option<&str>) -> Result<(), Failure> {
        let named = port.map(|name| self.team.core.find_port(name).ok_or(Failure::NoSuchDev));
        let port = named.transpose()?;
        if self.lacp().is_none() {
            return Err(Failure::OpNotSupp);
        }
        self.team.handle(self.kernel, self.now, Event::StatisticsCleared { port });
        Ok(())
    }

    fn set_state_item(&mut self, path: &ItemPath, value: &str) -> Result<(), Failure> {
        self.set_item(&path.names(), value).map_err(|refusal| {
            let (reason, failure) = match refusal {
                Refusal::AsTeamd(reason) => (reason, Failure::ItemValueSetFail),
                Refusal::Because(reason) => (reason.clone(), Failure::ItemValueRefused(reason)),
                Refusal::Plain(failure) => return failure,
            };
            log::warn!("{path}: {reason}.");
            failure
        })
    }
}

/// Why an item was not set.
enum Refusal {
    /// The value is refused for this reason. teamd refuses the value too, so the reply has teamd's
    /// text.
    AsTeamd(String),
    /// The value is refused for this reason.
    Because(String),
    /// The item is missing or cannot be set.
    Plain(Failure),
}

/// Returns the reason that `value` is none of those expected.
fn unlike(expected: &str, value: &str) -> String {
    format!("expected {expected}, found {}", shown(value))
}

/// Returns the beginning of `value` in quotes, with escapes for control characters.
fn shown(value: &str) -> String {
    const MOST: usize = 40;
    format!("{:?}", value.chars().take(MOST).collect::<String>())
}

/// Reads a value; `expected` names the values that can be read.
fn read<T: FromStr>(value: &str, expected: &str) -> Result<T, Refusal> {
    value.parse().map_err(|_| Refusal::Because(unlike(expected, value)))
}

const BOOLEAN: &str = "true or false";

impl TeamApi<'_> {
    fn set_item(&mut self, path: &[&str], value: &str) -> Result<(), Refusal> {
        let find_port = |name| self.team.core.find_port(name);
        let missing = || Refusal::Plain(Failure::PathDoesNotExist);
        let as_teamd = |expected| Refusal::AsTeamd(unlike(expected, value));
        match *path {
            ["setup", "debug_level"] => {
                let level = value.trim_start().parse::<u32>().ok();
                let level = level.filter(|level| i32::try_from(*level).is_ok());
                logging::set_debug_level(level.ok_or_else(|| as_teamd("0 or more"))?);
                Ok(())
            }
            ["runner", "active_port"] if self.is_activebackup() => {
                let port = find_port(value).ok_or_else(|| as_teamd("a port of the team"))?;
                self.choose_active_port(port)
            }
            ["runner", item] if self.lacp().is_some() => self.set_lacp_item(item, value),
            ["ports", port, "runner", "aggregator", "selected"] if self.lacp().is_some() => {
                let port = find_port(port).ok_or_else(missing)?;
                match value.parse() {
                    Ok(true) => self.choose_aggregator(port),
                    Ok(false) => Err(Refusal::Plain(Failure::OpNotSupp)),
                    Err(_) => Err(as_teamd("true")),
                }
            }
            ["teamr", "probe_rounds"] => self.handle(Event::ProbesWanted),
            ["ports", port, "teamr", "allowed"] => {
                let allowed = read(value, BOOLEAN)?;
                let port = find_port(port).ok_or_else(missing)?;
                self.handle(Event::PortAllowed { port, allowed })
            }
            ["ports", port, "gate"] => {
                let open = read(value, BOOLEAN)?;
                let port = find_port(port).ok_or_else(missing)?;
                let set = self.team.set_gate(self.kernel, self.now, port, open);
                set.map_err(Refusal::Because)
            }
            ["ports", port, "runner", "macsec_gate"] if self.lacp().is_some() => {
                let open = read(value, BOOLEAN)?;
                let port = find_port(port).ok_or_else(missing)?;
                self.team.set_macsec_gate(self.kernel, self.now, port, open);
                Ok(())
            }
            ["teamr", "data_path"] => {
                let kind = DataPathKind::from_name(value);
                let kind =
                    kind.ok_or_else(|| Refusal::Because(unlike("programs or relay", value)))?;
                let switched = self.team.data_path.apply(self.now, Change::SwitchTo(kind));
                switched.map_err(|error| {
                    let why = strerror(&error);
                    Refusal::Because(format!("cannot change to {} ({why})", kind.name()))
                })?;
                self.configure("data_path", kind.name().into());
                Ok(())
            }
            _ => Err(Refusal::Plain(Failure::OpNotSupp)),
        }
    }

    fn is_activebackup(&self) -> bool {
        let runner = &self.team.core.settings().runner;
        matches!(runner, RunnerSettings::ActiveBackup { .. })
    }

    fn lacp(&self) -> Option<&LacpSettings> {
        match &self.team.core.settings().runner {
            RunnerSettings::Lacp(settings) => Some(settings),
            _ => None,
        }
    }

    /// Sets an item of `runner` that lacp can change while it runs.
    fn set_lacp_item(&mut self, item: &str, value: &str) -> Result<(), Refusal> {
        let read_only = Refusal::Plain(Failure::OpNotSupp);
        let Some(mut settings) = self.lacp().cloned() else {
            return Err(read_only);
        };
        match item {
            "min_ports" => {
                const EXPECTED: &str = "1 to 1024";
                let min_ports: u32 = read(value, EXPECTED)?;
                if !(1..=1024).contains(&min_ports) {
                    return Err(Refusal::Because(unlike(EXPECTED, value)));
                }
                self.configure("runner.min_ports", min_ports.into());
                return self.handle(Event::MinPortsChanged { min_ports });
            }
            "fast_rate" => settings.fast_rate = read(value, BOOLEAN)?,
            "fallback" => settings.fallback = read(value, BOOLEAN)?,
            "fallback_method" => {
                let method = FallbackMethod::from_name(value);
                let unknown = || Refusal::Because(unlike("single or all", value));
                settings.fallback_method = method.ok_or_else(unknown)?;
            }
            "sys_prio" => settings.sys_prio = read(value, "0 to 65535")?,
            "select_policy" => {
                let policy = AggSelectPolicy::from_name(value);
                let unknown = || Refusal::Because(unlike("a policy of teamr.conf(5)", value));
                settings.agg_select_policy = policy.ok_or_else(unknown)?;
            }
            "enable_retry_count_feature" => settings.enable_retry_count = read(value, BOOLEAN)?,
            "retry_count" => {
                const EXPECTED: &str = "3 to 255";
                settings.retry_count = read(value, EXPECTED)?;
                if settings.retry_count < STANDARD_RETRIES {
                    return Err(Refusal::Because(unlike(EXPECTED, value)));
                }
                if !settings.enable_retry_count {
                    let reason = "runner.enable_retry_count_feature is false";
                    return Err(Refusal::Because(reason.to_owned()));
                }
            }
            _ => return Err(read_only),
        }
        self.handle(Event::LacpSettingsChanged { settings })?;
        self.configure_lacp();
        Ok(())
    }

    /// Writes the settings of lacp that a client can set into the configuration, so that later
    /// changes and `save` keep them. The retry count is meant for one restart.
    fn configure_lacp(&mut self) {
        let Some(settings) = self.lacp().cloned() else {
            return;
        };
        let policy = settings.agg_select_policy;
        let method = settings.fallback_method;
        self.configure("runner.fast_rate", settings.fast_rate.into());
        self.configure("runner.fallback", settings.fallback.into());
        self.configure("runner.fallback_method", method.name().into());
        self.configure("runner.sys_prio", settings.sys_prio.into());
        self.configure("runner.agg_select_policy", policy.name().into());
        self.configure("runner.enable_retry_count", settings.enable_retry_count.into());
    }

    /// Writes a value that the team already has to the configuration; adds no key for a default.
    fn configure(&mut self, key: &str, value: Value) {
        let Ok(path) = KeyPath::parse(key) else {
            return;
        };
        let config = &mut self.team.config;
        if config.effective_value(&path) != value {
            if let Ok(changed) = config.with_value(&path, value) {
                *config = changed;
            }
        }
    }

    /// Makes a port the active one. teamd accepts a port that is down or not allowed, and the team
    /// then carries nothing.
    fn choose_active_port(&mut self, port: PortId) -> Result<(), Refusal> {
        self.handle(Event::ActivePortChosen { port })?;
        if self.team.core.active_port() == Some(port) {
            return Ok(());
        }
        let Some(port) = self.team.core.port(port) else {
            return Err(Refusal::Plain(Failure::PathDoesNotExist));
        };
        let why = port.exclusion().map(|exclusion| exclusion.to_string());
        let why = why.unwrap_or_else(|| "its link summary is down".to_owned());
        let name = port.name();
        Err(Refusal::Because(format!("{name} cannot become the active port: {why}")))
    }

    fn choose_aggregator(&mut self, port: PortId) -> Result<(), Refusal> {
        let status = self.team.core.lacp_status(self.now);
        let mut ports = status.iter().flat_map(|status| &status.ports);
        if !ports.any(|known| known.port == port && known.aggregator.is_some()) {
            return Err(Refusal::AsTeamd("the port has no aggregator".to_owned()));
        }
        self.handle(Event::ActivePortChosen { port })
    }

    fn handle(&mut self, event: Event) -> Result<(), Refusal> {
        self.team.handle(self.kernel, self.now, event);
        Ok(())
    }
}

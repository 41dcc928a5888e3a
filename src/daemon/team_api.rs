//! The control methods of a team.

use std::str::FromStr;

use nix::net::if_::if_nametoindex;
use runners::wire::lacpdu::STANDARD_RETRIES;
use runners::{AggSelectPolicy, Event, Instant, LacpSettings, PortId, RunnerSettings};
use serde_json::Value;

use super::kernel::Kernel;
use super::state;
use super::team::{AdminUpPort, ManagedTeam};
use crate::control::{Failure, ItemPath, TeamControl};
use crate::datapath::{Change, DataPathKind};
use crate::errno::strerror;
use crate::process::logging;

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
    if_nametoindex(name).map_err(|_| Failure::NoSuchDev)?;
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
        let updated = self.team.update_config(self.kernel, self.now, port, config);
        updated.map_err(|complaint| {
            log::error!("{complaint}");
            Failure::ConfigUpdateFail
        })
    }

    fn port_add(&mut self, port: &str) -> Result<(), Failure> {
        let taken = self
            .team
            .take_port(self.kernel, self.now, port, AdminUpPort::Refuse);
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

    fn state(&self) -> Value {
        state::document(self.team, self.now)
    }

    fn recording(&self) -> Value {
        // A recording has no map with keys other than text, the only cause of a failure.
        serde_json::to_value(self.team.core.recording()).unwrap_or_default()
    }

    fn set_state_item(&mut self, path: &ItemPath, value: &str) -> Result<(), Failure> {
        let names = path.names();
        match names[..] {
            ["setup", "debug_level"] => {
                let level = value.trim_start().parse::<u32>().ok();
                let level = level.filter(|level| i32::try_from(*level).is_ok());
                logging::set_debug_level(level.ok_or(Failure::ItemValueSetFail)?);
                Ok(())
            }
            ["runner", "active_port"] if self.is_activebackup() => {
                let port = self.team.core.find_port(value);
                let port = port.ok_or(Failure::ItemValueSetFail)?;
                self.choose_active_port(port)
            }
            ["runner", item] if self.lacp().is_some() => self.set_lacp_item(item, value),
            ["ports", port, "runner", "aggregator", "selected"] if self.lacp().is_some() => {
                let port = self.team.core.find_port(port);
                let port = port.ok_or(Failure::PathDoesNotExist)?;
                match value.parse() {
                    Ok(true) => self.choose_aggregator(port),
                    Ok(false) => Err(Failure::OpNotSupp),
                    Err(_) => Err(Failure::ItemValueSetFail),
                }
            }
            ["teamr", "probe_rounds"] => self.handle(Event::ProbesWanted),
            ["ports", port, "teamr", "allowed"] => {
                let allowed = value.parse().map_err(|_| Failure::ItemValueSetFail)?;
                let port = self.team.core.find_port(port);
                let port = port.ok_or(Failure::PathDoesNotExist)?;
                self.handle(Event::PortAllowed { port, allowed })
            }
            ["teamr", "data_path"] => {
                let kind = DataPathKind::from_name(value).ok_or(Failure::ItemValueSetFail)?;
                let change = Change::SwitchTo(kind);
                self.team
                    .data_path
                    .apply(self.now, change)
                    .map_err(|error| {
                        log::error!(
                            "Failed to change the data path to {value} ({}).",
                            strerror(&error)
                        );
                        Failure::ItemValueSetFail
                    })
            }
            _ => Err(Failure::OpNotSupp),
        }
    }
}

impl TeamApi<'_> {
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
    fn set_lacp_item(&mut self, item: &str, value: &str) -> Result<(), Failure> {
        fn read<T: FromStr>(value: &str) -> Result<T, Failure> {
            value.parse().map_err(|_| Failure::ItemValueSetFail)
        }
        let mut settings = self.lacp().ok_or(Failure::OpNotSupp)?.clone();
        match item {
            "min_ports" => {
                let min_ports = read(value)?;
                if !(1..=1024).contains(&min_ports) {
                    return Err(Failure::ItemValueSetFail);
                }
                return self.handle(Event::MinPortsChanged { min_ports });
            }
            "fast_rate" => settings.fast_rate = read(value)?,
            "fallback" => settings.fallback = read(value)?,
            "sys_prio" => settings.sys_prio = read(value)?,
            "select_policy" => {
                let policy = AggSelectPolicy::from_name(value);
                settings.agg_select_policy = policy.ok_or(Failure::ItemValueSetFail)?;
            }
            "enable_retry_count_feature" => settings.enable_retry_count = read(value)?,
            "retry_count" => {
                settings.retry_count = read(value)?;
                if settings.retry_count < STANDARD_RETRIES || !settings.enable_retry_count {
                    return Err(Failure::ItemValueSetFail);
                }
            }
            _ => return Err(Failure::OpNotSupp),
        }
        self.handle(Event::LacpSettingsChanged { settings })
    }

    /// Makes a port the active one. teamd accepts any port, so a port that is down or not allowed
    /// is no failure; the log says that the choice has no effect.
    fn choose_active_port(&mut self, port: PortId) -> Result<(), Failure> {
        self.handle(Event::ActivePortChosen { port })?;
        if self.team.core.active_port() != Some(port) {
            if let Some(port) = self.team.core.port(port) {
                let why = match port.is_allowed() {
                    true => "its link summary is down",
                    false => "it is not allowed to carry traffic",
                };
                log::warn!("{}: Cannot become the active port: {why}.", port.name());
            }
        }
        Ok(())
    }

    fn choose_aggregator(&mut self, port: PortId) -> Result<(), Failure> {
        let status = self.team.core.lacp_status(self.now);
        let ports = status.iter().flat_map(|status| &status.ports);
        let known = ports.into_iter().find(|known| known.port == port);
        if known.is_none_or(|known| known.aggregator.is_none()) {
            return Err(Failure::ItemValueSetFail);
        }
        self.handle(Event::ActivePortChosen { port })
    }

    fn handle(&mut self, event: Event) -> Result<(), Failure> {
        self.team.handle(self.kernel, self.now, event);
        Ok(())
    }
}

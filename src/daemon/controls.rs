//! A team as the control methods see it.

use nix::net::if_::if_nametoindex;
use runners::{Event, Instant, RunnerSettings};
use serde_json::Value;

use super::kernel::Kernel;
use super::state;
use super::team::{IfUp, ManagedTeam};
use crate::cli::logging;
use crate::control::{Controlled, Failure, ItemPath};
use crate::datapath::Mover;
use crate::errno::strerror;

/// One team for the length of one call.
pub struct Controls<'a> {
    /// The team.
    pub team: &'a mut ManagedTeam,
    /// What its changes are made with.
    pub kernel: &'a mut Kernel,
    /// When the call came.
    pub now: Instant,
}

fn check_interface(name: &str) -> Result<(), Failure> {
    if_nametoindex(name).map_err(|_| Failure::NoSuchDev)?;
    Ok(())
}

impl Controlled for Controls<'_> {
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
        // All of it is tried on a copy: a bad update leaves everything as it was.
        let mut updated = self.team.config.clone();
        updated
            .update_port(port, config.as_bytes())
            .map_err(|error| {
                log::error!("{port}: Failed to parse config: {error}");
                Failure::ConfigUpdateFail
            })?;
        let settings = updated.clone().port_settings(port).map_err(|problem| {
            log::error!("{problem}");
            Failure::ConfigUpdateFail
        })?;
        self.team.config = updated;
        if let Some(port) = self.team.core.find_port(port) {
            self.team
                .change_settings(self.kernel, self.now, port, settings);
        }
        Ok(())
    }

    fn port_add(&mut self, port: &str) -> Result<(), Failure> {
        let taken = self
            .team
            .take_port(self.kernel, self.now, port, IfUp::Refuse);
        taken.map_err(|error| match error.raw_os_error() {
            Some(libc::ENODEV) => Failure::NoSuchDev,
            _ => Failure::PortAddFail,
        })?;
        self.team.want_port(port);
        Ok(())
    }

    fn port_remove(&mut self, port: &str) -> Result<(), Failure> {
        let port = self.team.core.find_port(port).ok_or(Failure::NoSuchDev)?;
        self.team.give_back_port(self.kernel, self.now, port);
        Ok(())
    }

    fn state(&self) -> Value {
        state::document(self.team, self.now)
    }

    fn recording(&self) -> Value {
        // Only maps with keys that are no text, and failing writers, cannot be made a value.
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
                self.tell(Event::ActivePortChosen { port })
            }
            ["teamr", "probe_rounds"] => self.tell(Event::ProbesWanted),
            ["ports", port, "teamr", "allowed"] => {
                let allowed = value.parse().map_err(|_| Failure::ItemValueSetFail)?;
                let port = self.team.core.find_port(port);
                let port = port.ok_or(Failure::PathDoesNotExist)?;
                self.tell(Event::PortAllowed { port, allowed })
            }
            ["teamr", "data_path"] => {
                let mover = Mover::from_name(value).ok_or(Failure::ItemValueSetFail)?;
                self.team.data_path.hand_to(mover).map_err(|error| {
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

impl Controls<'_> {
    fn is_activebackup(&self) -> bool {
        let runner = &self.team.core.settings().runner;
        matches!(runner, RunnerSettings::ActiveBackup { .. })
    }

    fn tell(&mut self, event: Event) -> Result<(), Failure> {
        self.team.tell(self.kernel, self.now, event);
        Ok(())
    }
}

//! Exclusions of a port at the request of a client: a drain, a closed gate, and a closed MACsec gate.
//! Each lasts until a client ends it or removes the port, also if another daemon takes the team over
//! or a trial ends. The gate is a key of the configuration, too: a reload with another value ends
//! the request.

use json_config::{Config, KeyPath};
use runners::{Event, Instant, Port, PortId};
use serde_json::Value;

use super::ManagedTeam;
use super::partner_state::PersistedExclusions;
use crate::daemon::kernel::Kernel;
use crate::errno::strerror;

impl ManagedTeam {
    /// Begins or ends the drain of a port.
    pub fn set_drained(&mut self, kernel: &mut Kernel, now: Instant, port: PortId, drained: bool) {
        self.persist_exclusions(port, |exclusions| exclusions.drained = drained);
        self.handle(kernel, now, Event::PortDrained { port, drained });
    }

    /// Opens or closes the gate of a port.
    ///
    /// # Errors
    /// The configuration cannot have the value.
    pub fn set_gate(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        port: PortId,
        open: bool,
    ) -> Result<(), String> {
        let Some(known) = self.core.port(port) else { return Ok(()) };
        let (name, before) = (known.name().to_owned(), known.settings().gate);
        self.config = with_gate(&self.config, &name, open)?;
        let settings = self.config.port(&name).map_err(|problem| problem.to_string())?;
        self.persist_exclusions(port, |exclusions| {
            exclusions.gate = match exclusions.gate {
                // The gate is again as in the configuration file.
                Some(requested) if requested != open => None,
                None if before == open => None,
                _ => Some(open),
            };
        });
        self.change_settings(kernel, now, port, settings);
        Ok(())
    }

    /// Writes the gates that clients set into `config`, for the ports that it names and for the
    /// interface `other`.
    pub(super) fn keep_gates(&self, mut config: Config, other: Option<&str>) -> Config {
        let mut names: Vec<String> = config.port_names().map(str::to_owned).collect();
        names.extend(other.map(str::to_owned));
        for name in names {
            let gate = self.partner_state.exclusions(&name).gate;
            if let Some(Ok(changed)) = gate.map(|open| with_gate(&config, &name, open)) {
                config = changed;
            }
        }
        config
    }

    /// Ends the requests of clients that `config` contradicts. Returns the former requests by port.
    pub(super) fn forget_gates_unlike(&mut self, config: &Config) -> Vec<(PortId, bool)> {
        let unlike = |port: &Port| {
            let gate = self.partner_state.exclusions(port.name()).gate?;
            let settings = config.port(port.name()).ok()?;
            (settings.gate != gate).then_some((port.id(), gate))
        };
        let forgotten: Vec<(PortId, bool)> = self.core.ports().filter_map(unlike).collect();
        for (port, _) in &forgotten {
            self.persist_exclusions(*port, |exclusions| exclusions.gate = None);
        }
        forgotten
    }

    /// Begins the requests again that [`forget_gates_unlike`](Self::forget_gates_unlike) ended.
    pub(super) fn recall_gates(&mut self, gates: Vec<(PortId, bool)>) {
        for (port, open) in gates {
            self.persist_exclusions(port, |exclusions| exclusions.gate = Some(open));
        }
    }

    /// Opens or closes the MACsec gate of a port.
    pub fn set_macsec_gate(&mut self, kernel: &mut Kernel, now: Instant, port: PortId, open: bool) {
        self.persist_exclusions(port, |exclusions| exclusions.macsec_gate_closed = !open);
        self.handle(kernel, now, Event::PortMacsecGate { port, open });
    }

    /// Changes the persisted exclusions of a port; logs a failure.
    fn persist_exclusions(&mut self, port: PortId, change: impl FnOnce(&mut PersistedExclusions)) {
        let Some(name) = self.core.port(port).map(|port| port.name().to_owned()) else {
            return;
        };
        if let Err(error) = self.partner_state.keep_exclusions(&name, change) {
            log::warn!("{name}: Failed to persist what keeps it out ({}).", strerror(&error));
        }
    }

    /// Removes the persisted exclusions of a port that a client removes from the team.
    pub(super) fn forget_exclusions(&mut self, port: PortId) {
        self.persist_exclusions(port, |exclusions| *exclusions = PersistedExclusions::default());
    }

    /// Returns the events that apply the persisted exclusions of the interface `name` to a new port.
    pub(super) fn persisted_exclusion_events(
        &self,
        port: PortId,
        name: &str,
    ) -> impl Iterator<Item = Event> + use<> {
        let PersistedExclusions { drained, macsec_gate_closed, gate: _ } =
            self.partner_state.exclusions(name);
        let drained = drained.then_some(Event::PortDrained { port, drained: true });
        let closed = macsec_gate_closed.then_some(Event::PortMacsecGate { port, open: false });
        drained.into_iter().chain(closed)
    }
}

/// Returns the configuration with the gate of the interface `name`.
fn with_gate(config: &Config, name: &str, open: bool) -> Result<Config, String> {
    let path = KeyPath::parse(&format!("ports.{}.gate", Value::from(name)));
    let changed = path.and_then(|path| match config.value(&path) {
        None if open => Ok(config.clone()),
        _ => config.with_value(&path, open.into()),
    });
    changed.map_err(|problem| problem.to_string())
}

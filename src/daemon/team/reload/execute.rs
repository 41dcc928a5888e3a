//! The execution of a plan, and its undoing after a failure.

use json_config::{Config, DataPathChoice};
use runners::{Burst, Event, Instant, Port, PortId, TeamSettings};

use super::plan::{ReloadPlan, lacks_rights};
use crate::daemon::kernel::Kernel;
use crate::daemon::requirements::{self, supports};
use crate::daemon::team::{AdminUpPort, ManagedTeam, handover};
use crate::datapath::{Capabilities, Change, DataPathKind, Owner, Requirements, team_driver};
use crate::errno::strerror;
use crate::process::logging;

/// What becomes of a reload that cannot take a port or a data path.
#[derive(Clone, Copy, Debug)]
pub enum OnFailure<'a> {
    /// The reload fails, and its steps are undone.
    Undo,
    /// The reload goes on; the caller takes ports later. These ports, which the team had before,
    /// never leave.
    GoOn(&'a [String]),
}

/// The team before a reload.
struct Former {
    config: Config,
    settings: TeamSettings,
    /// The data path that moved the frames.
    kind: DataPathKind,
    /// The ports, and the names of the awaited ones.
    ports: Vec<String>,
    expected: Vec<String>,
}

impl OnFailure<'_> {
    fn undoes(self) -> bool {
        matches!(self, OnFailure::Undo)
    }

    /// Returns whether the port `name` never leaves.
    fn keeps(self, name: &str) -> bool {
        matches!(self, OnFailure::GoOn(ports) if ports.iter().any(|port| port == name))
    }
}

impl ManagedTeam {
    /// Executes a plan without a refusal.
    ///
    /// # Errors
    /// The step that failed; the steps before it are undone.
    pub fn reload(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        plan: ReloadPlan,
    ) -> Result<(), String> {
        self.reload_or(kernel, now, plan, OnFailure::Undo)
    }

    /// As [`reload`](Self::reload), with another treatment of ports and data paths that fail.
    pub fn reload_or(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        mut plan: ReloadPlan,
        on_failure: OnFailure<'_>,
    ) -> Result<(), String> {
        let former = self.former();
        // A port that the team awaits already joins when it can.
        plan.ports
            .retain(|name| self.core.find_port(name).is_some() || !self.ports.is_expected(name));
        let gates = self.forget_gates_unlike(&plan.config);
        let changed = match plan.rebuilds {
            true => self.rebuild(kernel, now, &plan, on_failure),
            false => self.change(kernel, now, &plan, on_failure),
        };
        if let Err(error) = changed {
            self.recall_gates(gates);
            self.return_to(kernel, now, former, &plan);
            return Err(error);
        }
        let former = former.config;
        // A port that a client added, and that neither configuration names, stays.
        let leaving: Vec<PortId> = {
            let names: Vec<&str> = self.config.port_names().collect();
            let former: Vec<&str> = former.port_names().collect();
            let is_leaving = |port: &&Port| {
                former.contains(&port.name())
                    && !names.contains(&port.name())
                    && !on_failure.keeps(port.name())
            };
            self.core.ports().filter(is_leaving).map(Port::id).collect()
        };
        for port in leaving {
            self.remove_port(kernel, now, port);
        }
        self.expect_configured_only(&former, on_failure);
        logging::set_debug_level(self.config.debug_level());
        for (difference, _) in &plan.changes {
            log::info!("Changed {difference}.");
        }
        Ok(())
    }

    /// No longer awaits missing ports of the former configuration that the present one lacks.
    fn expect_configured_only(&mut self, former: &Config, on_failure: OnFailure<'_>) {
        for name in former.port_names() {
            let is_configured = self.config.port_names().any(|known| known == name);
            if !is_configured && !on_failure.keeps(name) {
                self.ports.expect_no_more(name);
            }
        }
    }

    /// Executes a plan while the present ports stay.
    fn change(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        plan: &ReloadPlan,
        on_failure: OnFailure<'_>,
    ) -> Result<(), String> {
        let present = self.data_path.capabilities().kind;
        let former = requirements::requirements(self.core.settings());
        if !supports(plan.kind, &former) || lacks_rights(plan.kind, &former, true) {
            return self.change_then_switch(kernel, now, plan, on_failure);
        }
        if let Err(error) = self.switch_to(now, plan.kind) {
            if on_failure.undoes() || !supports(present, &plan.requirements) {
                return Err(error);
            }
            log::error!("{error}");
        }
        self.replace_ports_and_settings(kernel, now, plan, on_failure)
    }

    /// As [`change`](Self::change), to a data path that cannot do what the former runner does.
    fn change_then_switch(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        plan: &ReloadPlan,
        on_failure: OnFailure<'_>,
    ) -> Result<(), String> {
        self.replace_ports_and_settings(kernel, now, plan, on_failure)?;
        let Err(error) = self.switch_to(now, plan.kind) else {
            return Ok(());
        };
        // The present data path serves every runner; a better one is no condition.
        let choice = self.setup.options.data_path_for(&plan.config);
        if choice == DataPathChoice::Auto || !on_failure.undoes() {
            log::warn!("{error}");
            return Ok(());
        }
        Err(error)
    }

    /// Takes the new ports of a plan, and replaces the settings.
    fn replace_ports_and_settings(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        plan: &ReloadPlan,
        on_failure: OnFailure<'_>,
    ) -> Result<(), String> {
        self.config = plan.config.clone();
        self.take_new_ports(kernel, now, &plan.ports, on_failure)?;
        self.replace_settings(kernel, now, &plan.requirements, &plan.settings);
        Ok(())
    }

    /// Switches to the data path of a plan.
    ///
    /// # Errors
    /// The error of the new data path; the present data path stays.
    pub fn switch_to(&mut self, now: Instant, kind: DataPathKind) -> Result<(), String> {
        let switched = self.data_path.apply(now, Change::SwitchTo(kind));
        switched.map_err(|error| format!("data_path: {}", strerror(&error)))
    }

    /// Executes a plan that needs a team without ports: all ports leave first.
    fn rebuild(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        plan: &ReloadPlan,
        on_failure: OnFailure<'_>,
    ) -> Result<(), String> {
        let configured: Vec<String> = self.config.port_names().map(str::to_owned).collect();
        let present = self.core.ports().map(Port::name);
        let added = present.filter(|name| configured.iter().all(|known| known != name));
        let added: Vec<String> = added.map(str::to_owned).collect();
        self.release_all(kernel, now);
        let required = self.data_path.apply(now, Change::Requirements(&plan.requirements));
        required.map_err(|error| format!("runner: {}", strerror(&error)))?;
        self.config = plan.config.clone();
        self.replace_settings(kernel, now, &plan.requirements, &plan.settings);
        self.take_new_ports(kernel, now, &plan.ports, on_failure)?;
        self.take_back(kernel, now, &added);
        Ok(())
    }

    fn former(&self) -> Former {
        let mut config = self.config.clone();
        let running = self.core.settings();
        Former {
            // The core has no announcements that the data path makes.
            settings: self.settings_of(&mut config, running).unwrap_or_else(|_| running.clone()),
            config: self.config.clone(),
            kind: self.data_path.capabilities().kind,
            ports: self.core.ports().map(|port| port.name().to_owned()).collect(),
            expected: self.ports.expected().map(str::to_owned).collect(),
        }
    }

    /// Undoes the steps of a plan that has failed; the log has the errors.
    fn return_to(&mut self, kernel: &mut Kernel, now: Instant, former: Former, plan: &ReloadPlan) {
        let leaves =
            |port: &&Port| plan.rebuilds || former.ports.iter().all(|known| known != port.name());
        let leaving: Vec<PortId> = self.core.ports().filter(leaves).map(Port::id).collect();
        leaving.into_iter().for_each(|port| self.release(kernel, now, port));
        for name in plan.ports.iter().filter(|name| !former.expected.contains(name)) {
            self.ports.expect_no_more(name);
        }
        if let Err(error) = self.switch_to(now, former.kind) {
            log::error!("Failed to return to the former data path ({error}).");
        }
        if self.config != former.config {
            self.config = former.config;
            let requirements = requirements::requirements(&former.settings);
            self.replace_settings(kernel, now, &requirements, &former.settings);
        }
        self.take_back(kernel, now, &former.ports);
    }

    /// Takes these ports again; the log has the errors.
    pub fn take_back(&mut self, kernel: &mut Kernel, now: Instant, names: &[String]) {
        for name in names {
            let _ = self.take_port(kernel, now, name, AdminUpPort::Refuse);
        }
    }

    /// Takes those of the configured ports `names` that the team lacks. An interface that does not
    /// exist becomes a port when it appears.
    ///
    /// # Errors
    /// The first interface that exists and cannot become a port.
    fn take_new_ports(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        names: &[String],
        on_failure: OnFailure<'_>,
    ) -> Result<(), String> {
        if !on_failure.undoes() {
            return Ok(());
        }
        let is_new = |name: &&String| self.core.find_port(name).is_none();
        let new: Vec<String> = names.iter().filter(is_new).cloned().collect();
        for name in &new {
            match self.take_port(kernel, now, name, AdminUpPort::Refuse) {
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
                    log::warn!("{name}: Skipped adding a missing port.");
                }
                taken => taken.map_err(|error| {
                    format!("ports.{name}: {}; the log says more", strerror(&error))
                })?,
            }
        }
        names.iter().for_each(|name| self.ports.expect(name));
        Ok(())
    }

    /// Replaces the settings of the team and of its ports, in the data path and in the core.
    fn replace_settings(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        requirements: &Requirements,
        team: &TeamSettings,
    ) {
        let ports: Vec<(PortId, String)> =
            self.core.ports().map(|port| (port.id(), port.name().to_owned())).collect();
        let mut settings = Vec::new();
        for (port, name) in ports {
            // A port that leaves after this step keeps its settings.
            let configured = self.config.port_names().any(|known| known == name);
            if let Some(new) = configured.then(|| self.config.port(&name).ok()).flatten() {
                settings.push((port, self.numbered(port, new)));
            }
        }
        for (port, settings) in &settings {
            self.configure(now, *port, settings);
        }
        if let Err(error) = self.data_path.apply(now, Change::Requirements(requirements)) {
            log::error!("Failed to change the data path ({}).", strerror(&error));
        }
        self.announces = handover::is_announced(&mut self.config);
        self.setup.kernel_mode = team_driver::mode(&requirements.policy);
        let team = Box::new(core_settings(team.clone(), &self.data_path.capabilities()));
        self.handle(kernel, now, Event::SettingsReplaced { settings: team, ports: settings });
        self.refresh_tipc(kernel, now);
    }
}

/// Returns the settings for the core: without announcements where the data path announces.
pub fn core_settings(settings: TeamSettings, capabilities: &Capabilities) -> TeamSettings {
    match capabilities.announcements {
        Owner::DataPath if !requirements::announces(&settings) => TeamSettings {
            notify_peers: Burst::default(),
            mcast_rejoin: Burst::default(),
            ..settings
        },
        Owner::DataPath | Owner::Daemon => settings,
    }
}

//! The plan of a reload: the changes, the data path and the ports of another configuration. Making a
//! plan changes nothing.

use std::hash::{DefaultHasher, Hash, Hasher};

use json_config::{
    Config, DataPathChoice, Difference, KeyPath, Problem, differences, new_problems,
};
use runners::{Port, RunnerSettings, TeamSettings, TxPolicy};
use serde_json::Value;

use super::effect::{Effect, NO_PORT, effect};
use crate::control::config_answer::{ChangeEffect, KeyChange};
use crate::daemon::kernel::Kernel;
use crate::daemon::requirements::{self, supports};
use crate::daemon::team::ManagedTeam;
use crate::datapath::{Capabilities, DataPathKind, Requirements, ebpf};
use crate::process::sandbox;

/// The ports that a changed configuration moves.
#[derive(Debug)]
pub struct PortMoves {
    /// Ports that leave, each with the changes of its keys.
    pub leaving: Vec<(String, Vec<KeyChange>)>,
    /// Configured ports that cannot join, such as ports of another team.
    pub blocked: Vec<String>,
}

/// The state of the team that a plan starts from.
struct Before<'a> {
    config: Config,
    settings: &'a TeamSettings,
    capabilities: Capabilities,
}

/// The changes that a configuration makes to a running team.
#[derive(Debug)]
pub struct ReloadPlan {
    pub(super) config: Config,
    /// The [`digest`] of the configuration.
    pub(super) digest: u64,
    pub(super) settings: TeamSettings,
    pub(super) requirements: Requirements,
    pub(super) changes: Vec<(Difference, Effect)>,
    /// Configured ports that join if the team lacks them.
    pub(super) ports: Vec<String>,
    /// The data path that moves the frames afterwards.
    pub(super) kind: DataPathKind,
    /// Whether all ports leave and join again.
    pub(super) rebuilds: bool,
}

impl ReloadPlan {
    /// Returns the data path that moves the frames afterwards.
    pub fn kind(&self) -> DataPathKind {
        self.kind
    }

    /// Returns the changes for clients.
    pub fn key_changes(&self) -> Vec<KeyChange> {
        self.changes.iter().map(key_change).collect()
    }

    /// Returns the changes of the keys of a port for clients.
    fn changes_of_port(&self, port: &str) -> Vec<KeyChange> {
        let is_of_port = |(difference, _): &&(Difference, Effect)| matches!(&difference.path()[..], ["ports", name, ..] if *name == port);
        self.changes.iter().filter(is_of_port).map(key_change).collect()
    }

    /// Returns the first refused key with its reason; `None` if the plan can be executed.
    pub fn refusal(&self) -> Option<String> {
        self.changes.iter().find_map(|(difference, effect)| match effect {
            Effect::Refused(why) => Some(format!("{}: {why}", difference.key())),
            _ => None,
        })
    }

    /// Returns why the plan would interrupt traffic, if it would.
    pub fn interruption(&self) -> Option<String> {
        self.changes.iter().find_map(|(difference, effect)| match effect {
            Effect::Interrupts(why) => Some(format!("{}: {why}", difference.key())),
            _ => None,
        })
    }
}

impl ManagedTeam {
    /// Returns the changes that the configuration `text` makes.
    ///
    /// # Errors
    /// All problems of the text, one a line, as the strict check finds them.
    pub fn plan(&self, kernel: &mut Kernel, text: &[u8]) -> Result<ReloadPlan, String> {
        refuse(&json_config::check(text))?;
        let config = Config::parse(text).map_err(|error| error.to_string())?;
        let before = self.before(self.config_without_removed_ports());
        let mut plan = self.plan_from(&before, config).map_err(|problem| problem.to_string())?;
        self.examine_traffic(&mut plan);
        for (difference, effect) in &mut plan.changes {
            if let (["ports", name], Some(_)) = (&difference.path()[..], &difference.after) {
                if let Some(obstacle) = self.obstacle_to_port(kernel, name) {
                    *effect = Effect::Refused(obstacle);
                }
            }
        }
        Ok(plan)
    }

    /// Returns the running configuration without the ports that a client removed.
    fn config_without_removed_ports(&self) -> Config {
        let mut config = self.config.clone();
        for name in self.config.port_names() {
            if self.core.find_port(name).is_none() && !self.ports.is_expected(name) {
                let path = KeyPath::parse(&format!("ports.\"{name}\""));
                let without = path.and_then(|path| config.with_value(&path, Value::Null));
                config = without.unwrap_or(config);
            }
        }
        config
    }

    /// Returns the changes that another value of one key makes: JSON, a bare word, or `null` for
    /// the default. The ports that a client removed stay away.
    ///
    /// # Errors
    /// An unknown key, or the problems of the value, one a line.
    pub fn plan_key(&self, key: &str, value: &str) -> Result<ReloadPlan, String> {
        let path = KeyPath::parse(key).map_err(|problem| problem.to_string())?;
        if path.is_for_editors() {
            return Err(format!("{key}: only editors read the key; write it into the file"));
        }
        if let Some(name) = path.port().filter(|name| !self.knows_port(name)) {
            let entry = path.port_entry();
            return Err(format!(
                "{entry}: the team has no port \"{name}\"; to add it: set {entry} {{}}"
            ));
        }
        let config = self.config.with_value(&path, path.read_value(value));
        let config = config.map_err(|problem| problem.to_string())?;
        refuse(&new_problems(&self.config, &config))?;
        let mut plan = self.plan_config(config).map_err(|problem| problem.to_string())?;
        plan.ports.retain(|name| self.config.port_names().all(|known| known != name));
        self.examine_traffic(&mut plan);
        Ok(plan)
    }

    /// Returns whether the interface `name` is a port, an awaited port or in the configuration.
    fn knows_port(&self, name: &str) -> bool {
        self.core.find_port(name).is_some()
            || self.ports.is_expected(name)
            || self.config.port_names().any(|known| known == name)
    }

    pub fn plan_config(&self, config: Config) -> Result<ReloadPlan, Problem> {
        self.plan_from(&self.before(self.config.clone()), config)
    }

    fn before(&self, config: Config) -> Before<'_> {
        let capabilities = self.data_path.capabilities();
        Before { config, settings: self.core.settings(), capabilities }
    }

    /// Returns the changes that `config` makes after the execution of `plan`.
    ///
    /// # Errors
    /// A problem of `config`.
    pub fn plan_after(&self, plan: &ReloadPlan, config: Config) -> Result<ReloadPlan, String> {
        let before = Before {
            config: plan.config.clone(),
            settings: &plan.settings,
            capabilities: Capabilities { kind: plan.kind, ..self.data_path.capabilities() },
        };
        self.plan_from(&before, config).map_err(|problem| problem.to_string())
    }

    /// Gives a configuration the name of the device, as at the start: the command line's, else the
    /// file's.
    pub(super) fn name_device(&self, config: &mut Config) -> Result<(), Problem> {
        if self.setup.options.names_device || config.device()?.is_none() {
            config.set_device(&self.device.name);
        }
        Ok(())
    }

    fn plan_from(&self, before: &Before<'_>, mut config: Config) -> Result<ReloadPlan, Problem> {
        self.name_device(&mut config)?;
        let digest = digest(&config);
        self.move_known_configs(&mut config);
        let settings = self.settings_of(&mut config, before.settings)?;
        let names: Vec<String> = config.port_names().map(str::to_owned).collect();
        for name in &names {
            config.port_settings(name)?;
        }
        let requirements = requirements::requirements(&settings);
        let capabilities = &before.capabilities;
        let former = requirements::requirements(before.settings);
        let refused = &self.setup.refused;
        let works = |kind: &DataPathKind| refused.iter().all(|(refused, _)| refused != kind);
        let best = capabilities.switches_to.iter().copied().find(works);
        // A better data path replaces the present one only if the former runner could not use it.
        let preferred = best.filter(|best| !supports(*best, &former));
        let choice = self.setup.options.data_path_for(&config);
        let kind = data_path_for(choice, preferred, &requirements, capabilities);
        let changed = differences(&before.config, &config);
        let rebuilds =
            !capabilities.changes_policy && !is_same_kind(&former.policy, &requirements.policy);
        let effect = |difference: &Difference| match (&kind, &difference.path()[..]) {
            (Err(why), ["data_path" | "runner", ..]) => Effect::Refused(why.clone()),
            (_, ["ports", ..]) if names.is_empty() => Effect::Interrupts(NO_PORT),
            // Nothing is on its way to a port that carries nothing, such as a drained one.
            (_, ["ports", port, "gate"]) if !self.carries(port) => Effect::Live,
            (_, ["ports", port]) if !self.carries(port) => Effect::Live,
            _ => effect(difference, &settings.runner, rebuilds),
        };
        let changes = changed.into_iter().map(|difference| {
            let effect = effect(&difference);
            (difference, effect)
        });
        Ok(ReloadPlan {
            changes: changes.collect(),
            ports: names,
            kind: kind.unwrap_or(capabilities.kind),
            config,
            digest,
            settings,
            requirements,
            rebuilds,
        })
    }

    /// Returns the settings of a configuration for a team with the settings `running`.
    pub(super) fn settings_of(
        &self,
        config: &mut Config,
        running: &TeamSettings,
    ) -> Result<TeamSettings, Problem> {
        // The seed of the running sequence stays.
        let seed = match running.runner {
            RunnerSettings::Random { seed } => seed,
            _ => 0,
        };
        let settings = config.team_settings(seed)?;
        let probe = config.probe().unwrap_or(self.setup.options.probes_by_default);
        Ok(settings.with_probe(probe))
    }

    /// Whether frames of the team leave on the port of this name.
    fn carries(&self, name: &str) -> bool {
        let port = self.core.find_port(name).and_then(|port| self.core.port(port));
        port.is_some_and(Port::is_enabled)
    }

    /// Returns the ports that leave and join if the configuration in the file becomes `config`; `None`
    /// if the team stays as it is.
    pub fn port_moves(&self, kernel: &mut Kernel, config: &Config) -> Option<PortMoves> {
        let mut config = config.clone();
        self.name_device(&mut config).ok()?;
        if digest(&config) == self.config_digest || self.is_unkept(&config) {
            return None;
        }
        let plan = self.plan_config(config).ok().filter(|plan| plan.refusal().is_none())?;
        let stays = |name: &&str| plan.ports.iter().any(|port| port == name);
        let leaving = self.config.port_names().filter(|name| !stays(name));
        let leaving = leaving.filter(|name| self.core.find_port(name).is_some());
        let mut blocked = plan.ports.clone();
        blocked.retain(|name| self.obstacle_to_port(kernel, name).is_some());
        let leaving = leaving.map(|name| (name.to_owned(), plan.changes_of_port(name)));
        Some(PortMoves { leaving: leaving.collect(), blocked })
    }
}

fn key_change((difference, effect): &(Difference, Effect)) -> KeyChange {
    let (effect, why) = match effect {
        Effect::Live => (ChangeEffect::Live, None),
        Effect::Interrupts(why) => (ChangeEffect::Interrupts, Some((*why).to_owned())),
        Effect::Refused(why) => (ChangeEffect::Refused, Some(why.clone())),
    };
    KeyChange {
        key: difference.key(),
        before: difference.before.clone(),
        after: difference.after.clone(),
        effect,
        why,
    }
}

/// Fails with these problems, one a line, if there are any.
fn refuse(problems: &[Problem]) -> Result<(), String> {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.is_empty().then_some(()).ok_or_else(|| lines.join("\n"))
}

/// Returns a digest by which an unchanged configuration file is recognized. `config` must be as in
/// the file, without the defaults that a run adds.
pub fn digest(config: &Config) -> u64 {
    let mut hasher = DefaultHasher::new();
    config.dump().hash(&mut hasher);
    hasher.finish()
}

/// Returns the data path for a configuration: the named one; else the first of `preferred`, the
/// present one and the others that serves the runner.
///
/// # Errors
/// Why the running team cannot have the configuration.
fn data_path_for(
    choice: DataPathChoice,
    preferred: Option<DataPathKind>,
    requirements: &Requirements,
    capabilities: &Capabilities,
) -> Result<DataPathKind, String> {
    let named = match choice {
        DataPathChoice::Auto => None,
        DataPathChoice::Kernel => Some(DataPathKind::Kernel),
        DataPathChoice::Programs => Some(DataPathKind::Programs),
        DataPathChoice::Relay => Some(DataPathKind::Relay),
    };
    let lacks_rights = |kind| lacks_rights(kind, requirements, capabilities.loads_programs);
    let can = |kind: &DataPathKind| supports(*kind, requirements) && !lacks_rights(*kind);
    let present = preferred.filter(can).or(Some(capabilities.kind).filter(can));
    let other = || capabilities.switches_to.iter().copied().find(can);
    let kind = named.or(present).or_else(other).unwrap_or(capabilities.kind);
    if !capabilities.switches_to.contains(&kind) {
        return Err(format!(
            "the data path {} has another team device; stop the daemon and start it again",
            kind.name()
        ));
    }
    if supports(kind, requirements) && lacks_rights(kind) {
        let what = match kind {
            DataPathKind::Kernel => "with the kernel's driver slb needs programs",
            _ => "the word \"encap\" of \"tx_hash\" needs other programs",
        };
        return Err(format!(
            "{what}, and the daemon has given up the right to load some; stop the daemon and \
             start it again"
        ));
    }
    match can(&kind) {
        true => Ok(kind),
        false => Err(format!(
            "the data path {} cannot do what the runner does; stop the daemon and start it again \
             with another \"data_path\"",
            kind.name()
        )),
    }
}

/// Returns whether the data path needs programs that the daemon can no longer load: rights to load
/// programs go with the start of the first team that needs some.
pub(super) fn lacks_rights(
    kind: DataPathKind,
    requirements: &Requirements,
    loads_programs: bool,
) -> bool {
    match kind {
        DataPathKind::Kernel => {
            !loads_programs
                && !sandbox::has_bpf()
                && matches!(requirements.policy, TxPolicy::SourceBalance { .. })
        }
        DataPathKind::Programs => {
            ebpf::needs_perfmon(&requirements.policy) && !sandbox::has_perfmon()
        }
        DataPathKind::Relay => false,
    }
}

/// Returns whether the driver has the same mode and the same programs for both policies.
fn is_same_kind(before: &TxPolicy, after: &TxPolicy) -> bool {
    std::mem::discriminant(before) == std::mem::discriminant(after)
}

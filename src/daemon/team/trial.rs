//! A configuration on trial: the former one returns at a deadline, unless the operator keeps the
//! new one.
//!
//! A file in the run directory, the record, contains the configurations that were on trial and that
//! nobody kept. Only `keep` or a later reload removes the record while the team runs. A daemon whose
//! configuration file has one of these configurations starts with the former one, however and however
//! often previous daemons ended. With any other configuration in the file, the daemon starts with the
//! file, and removes the record. A restart of the machine empties the run directory; the daemon then
//! starts with its file.
//!
//! If the daemon cannot take a port when the former configuration returns, the daemon tries again at
//! intervals; the rest of the configuration does not wait.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use json_config::Config;
use runners::{HwAddr, HwAddrPolicy, Instant, Port, RunnerSettings};
use serde::{Deserialize, Serialize};

use super::ManagedTeam;
use super::reload::{OnFailure, ReloadPlan};
use crate::daemon::kernel::Kernel;
use crate::errno::strerror;
use crate::files::{self, Durability};
use crate::netlink::link;

/// Most bytes of a record.
const LARGEST_RECORD: u64 = 4 << 20;

/// Pause before another attempt to return to the former configuration, or to take a port of it.
const RETRY: Duration = Duration::from_secs(5);

/// A trial, or the return from a trial.
#[derive(Debug)]
pub struct Trial {
    /// Identifies the trial for the client that began it.
    id: String,
    record: Record,
    /// Time of the return; `None` once the former configuration is back.
    until: Option<Instant>,
    /// Time of the next attempt, after a failure at the return.
    retry: Option<Instant>,
}

/// The record of a trial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// The configurations that nobody kept, as JSON text.
    tried: Vec<String>,
    /// The configuration that returns, as JSON text.
    former: String,
    /// The ports before the trial, also missing ones.
    ports: Vec<String>,
    /// The address of the team device before the trial.
    hwaddr: String,
}

impl Record {
    fn read(path: &Path) -> Option<Record> {
        serde_json::from_slice(&files::read(path, LARGEST_RECORD).ok()?).ok()
    }

    fn save(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        if text.len() as u64 > LARGEST_RECORD {
            return Err(files::too_large(LARGEST_RECORD));
        }
        files::save(path, &text, 0o600, Durability::Process)
    }

    /// Returns the former configuration; `None` if the record is damaged.
    fn former(&self, device: &str) -> Option<Config> {
        parse(&self.former, device)
    }

    /// Returns whether `config` was on trial and nobody kept it.
    fn has_tried(&self, config: &Config, device: &str) -> bool {
        self.tried.iter().any(|text| parse(text, device).as_ref() == Some(config))
    }
}

/// Parses a configuration of a record, and sets the name of the device, which the text may lack.
/// Returns `None` for a damaged text.
fn parse(text: &str, device: &str) -> Option<Config> {
    let mut config = Config::parse(text.as_bytes()).ok()?;
    config.set_device(device);
    Some(config)
}

fn path(run_dir: &Path, device: &str) -> PathBuf {
    run_dir.join(format!("{device}.trial"))
}

/// Returns the configuration to start with: the former one, with its trial, if a record says that
/// `config` was on trial and not kept; else `config`, without the record.
pub fn after_trial(run_dir: &Path, device: &str, config: Config) -> (Config, Option<Trial>) {
    let path = path(run_dir, device);
    let record = Record::read(&path).filter(|record| record.has_tried(&config, device));
    let Some(record) = record else {
        remove_record(&path);
        return (config, None);
    };
    let Some(former) = record.former(device) else {
        return (config, None);
    };
    log::warn!(
        "Nobody kept the configuration on trial; the former one is back. \"teamrctl {device} \
         reload\" takes the one in the file."
    );
    let trial = Trial { id: String::new(), record, until: None, retry: None };
    (former, Some(trial))
}

fn remove_record(path: &Path) {
    if let Err(error) = files::remove(path) {
        log::warn!("Failed to remove the record of a trial ({}).", strerror(&error));
    }
}

impl ManagedTeam {
    /// Executes a plan for the configuration `text`, and has the former configuration return after
    /// `time` unless [`keep`](Self::keep) is called before. The end of a second trial restores the
    /// configuration from before the first one. Returns the id of the trial.
    ///
    /// # Errors
    /// As [`reload`](Self::reload); if the trial cannot be recorded, or if the former configuration
    /// could not return. An earlier trial then continues.
    pub fn try_plan(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        plan: ReloadPlan,
        text: &str,
        time: Duration,
    ) -> Result<String, String> {
        let record = self.record_with(text);
        let former =
            record.former(&self.device.name).ok_or("the former configuration is no JSON")?;
        if let Some(why) = self.plan_after(&plan, former)?.refusal() {
            return Err(format!("the former configuration could not return: {why}"));
        }
        let saved = record.save(&self.trial_path());
        saved.map_err(|error| format!("the trial cannot be recorded: {}", strerror(&error)))?;
        if let Err(error) = self.reload(kernel, now, plan) {
            self.restore_record();
            return Err(error);
        }
        log::warn!("The former configuration returns in {} s, unless kept.", time.as_secs());
        let id = format!("{:016x}", RandomState::new().build_hasher().finish());
        let until = Some(now + time);
        self.trial = Some(Trial { id: id.clone(), record, until, retry: None });
        Ok(id)
    }

    /// Returns the record of the running trial, or of a new trial, with `text` among the tried
    /// configurations.
    fn record_with(&self, text: &str) -> Record {
        let running = self.trial.as_ref();
        let mut record = match running {
            Some(trial) if trial.until.is_some() => trial.record.clone(),
            _ => Record {
                tried: running.map(|trial| trial.record.tried.clone()).unwrap_or_default(),
                former: self.config.dump(),
                ports: self.present_and_expected(),
                hwaddr: self.device.hwaddr.to_string(),
            },
        };
        if !record.tried.iter().any(|tried| tried == text) {
            record.tried.push(text.to_owned());
        }
        record
    }

    fn present_and_expected(&self) -> Vec<String> {
        let mut names: Vec<String> = self.ports.expected().map(str::to_owned).collect();
        for port in self.core.ports().map(Port::name) {
            if !names.iter().any(|name| name == port) {
                names.push(port.to_owned());
            }
        }
        names
    }

    /// Writes the record of the running trial again; removes the record if no trial runs.
    fn restore_record(&self) {
        let Some(trial) = &self.trial else {
            return self.remove_record();
        };
        if let Err(error) = trial.record.save(&self.trial_path()) {
            log::warn!("Failed to restore the record of a trial ({}).", strerror(&error));
        }
    }

    /// Ends the running trial, or only the one with this id, and keeps its configuration; returns
    /// whether there was such a trial.
    pub fn keep(&mut self, id: Option<&str>) -> bool {
        let runs = |trial: &Trial| trial.until.is_some() && id.is_none_or(|id| trial.id == id);
        let was_running = self.trial.as_ref().is_some_and(runs);
        if was_running {
            self.forget_trial();
            log::info!("The configuration on trial is kept.");
        }
        was_running
    }

    /// Returns whether nobody has kept `config`, which was on trial.
    pub(super) fn is_unkept(&self, config: &Config) -> bool {
        let trial = self.trial.as_ref();
        trial.is_some_and(|trial| trial.record.has_tried(config, &self.device.name))
    }

    /// Returns the time until a trial ends; zero without a trial.
    pub fn trial_ends_in(&self, now: Instant) -> Duration {
        let until = self.trial.as_ref().and_then(|trial| trial.until);
        until.map_or(Duration::ZERO, |until| until.saturating_since(now))
    }

    /// Returns when to call [`end_trial`](Self::end_trial).
    pub(super) fn trial_deadline(&self) -> Option<Instant> {
        let trial = self.trial.as_ref()?;
        trial.retry.or(trial.until)
    }

    /// Returns to the former configuration at the deadline of a trial. After the return, tries again
    /// to take ports and the data path that could not be taken.
    pub(super) fn end_trial(&mut self, kernel: &mut Kernel, now: Instant) {
        if self.trial_deadline().is_none_or(|due| due > now) {
            return;
        }
        let Some(mut trial) = self.trial.take() else {
            return;
        };
        if trial.until.is_some() {
            if trial.retry.is_none() {
                log::warn!("Nobody kept the configuration on trial; the former one returns.");
            }
            let returned = self.return_to_former(kernel, now, &trial.record);
            match &returned {
                Ok(()) => trial.until = None,
                Err(error) if trial.retry.is_none() => log::error!(
                    "The former configuration cannot return: {error}. The next attempt is in {} s.",
                    RETRY.as_secs()
                ),
                Err(_) => {}
            }
            trial.retry = returned.is_err().then(|| now + RETRY);
        }
        if trial.until.is_none() {
            let all = self.take_former_ports(kernel, now, &trial.record)
                & self.take_former_data_path(now, &trial.record);
            trial.retry = (!all).then(|| now + RETRY);
        }
        self.trial = Some(trial);
    }

    fn return_to_former(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        record: &Record,
    ) -> Result<(), String> {
        let former = record.former(&self.device.name).ok_or("its record is damaged")?;
        let former = self.keep_gates(former, None);
        let plan = self.plan_config(former).map_err(|problem| problem.to_string())?;
        self.reload_or(kernel, now, plan, OnFailure::GoOn(&record.ports))
    }

    /// Completes the return for a daemon that ended during a trial: takes the former ports, and
    /// removes the ports that only a tried configuration has.
    pub fn resume_return(&mut self, kernel: &mut Kernel, now: Instant, mut trial: Trial) {
        let record = &trial.record;
        let all = self.take_former_ports(kernel, now, record);
        let tried: Vec<Config> =
            record.tried.iter().filter_map(|text| parse(text, &self.device.name)).collect();
        let is_of_trial = |port: &&Port| {
            let name = port.name();
            tried.iter().any(|config| config.port_names().any(|known| known == name))
                && record.ports.iter().all(|known| known != name)
        };
        let leaving: Vec<_> = self.core.ports().filter(is_of_trial).map(Port::id).collect();
        for port in leaving {
            self.remove_port(kernel, now, port);
        }
        trial.retry = (!all).then(|| now + RETRY);
        self.trial = Some(trial);
    }

    /// Gives the device its address from before the trial, unless the configuration or the active
    /// port has the address.
    pub fn return_hwaddr(&mut self, kernel: &mut Kernel, now: Instant, trial: &Trial) {
        let Ok(hwaddr) = trial.record.hwaddr.parse::<HwAddr>() else {
            return;
        };
        let settings = self.core.settings();
        let by_active = matches!(
            settings.runner,
            RunnerSettings::ActiveBackup { hwaddr_policy: HwAddrPolicy::ByActive, .. }
        );
        if settings.hwaddr.is_some() || by_active || self.device.hwaddr == hwaddr {
            return;
        }
        match link::set_hwaddr(&mut kernel.route, self.device.ifindex, hwaddr) {
            Ok(()) => {
                self.refresh_device(kernel, now);
            }
            Err(error) => {
                log::warn!("Failed to set the team's address {hwaddr} ({}).", strerror(&error));
            }
        }
    }

    /// Takes the ports of the former configuration that were in the team; the trial may have
    /// released them, so an interface that is up is set down. Returns `false` if a port must be tried
    /// again.
    fn take_former_ports(&mut self, kernel: &mut Kernel, now: Instant, record: &Record) -> bool {
        let configured: Vec<String> = self.config.port_names().map(str::to_owned).collect();
        for name in configured.iter().filter(|name| record.ports.contains(name)) {
            self.ports.expect(name);
            self.ports.try_again(name);
            self.take_appeared_port(kernel, now, name);
        }
        configured.iter().all(|name| !self.ports.has_failed(name))
    }

    /// Switches to the data path of the former configuration; returns `false` if the switch failed.
    fn take_former_data_path(&mut self, now: Instant, record: &Record) -> bool {
        let former = record.former(&self.device.name);
        let plan = former.and_then(|former| self.plan_config(former).ok());
        plan.is_none_or(|plan| self.switch_to(now, plan.kind()).is_ok())
    }

    /// Returns whether a trial runs or has ended with the return of the former configuration.
    pub fn has_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Ends a trial, and forgets the configurations that nobody kept.
    pub fn forget_trial(&mut self) {
        self.trial = None;
        self.remove_record();
    }

    fn remove_record(&self) {
        remove_record(&self.trial_path());
    }

    fn trial_path(&self) -> PathBuf {
        path(&self.setup.options.run_dir, &self.setup.options.device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_with_a_configuration_on_trial_uses_the_former_configuration() {
        let template = std::env::temp_dir().join("teamr-trial.XXXXXX");
        let folder = nix::unistd::mkdtemp(&template).expect("a folder");
        let config = |text: &str| parse(text, "team0").expect("an object");
        let record = Record {
            tried: vec![r#"{"probe": true}"#.to_owned(), r#"{"min_ports": 2}"#.to_owned()],
            former: r#"{"probe": false}"#.to_owned(),
            ..Record::default()
        };
        record.save(&path(&folder, "team0")).expect("a file");
        let start = |text: &str| after_trial(&folder, "team0", config(text)).0;
        for tried in [r#"{"probe": true}"#, r#"{"min_ports": 2}"#, r#"{"probe": true}"#] {
            assert_eq!(start(tried), config(r#"{"probe": false}"#), "{tried}");
        }
        assert_eq!(start("{}"), config("{}"), "another file than those on trial");
        assert!(!path(&folder, "team0").exists(), "a record that no start needs");
        let largest = usize::try_from(LARGEST_RECORD).expect("a size");
        let too_large = Record { former: "x".repeat(largest), ..Record::default() };
        assert!(too_large.save(&path(&folder, "team0")).is_err());
        files::save(&path(&folder, "team0"), b"{", 0o600, Durability::Process).expect("a file");
        assert_eq!(start("{}"), config("{}"), "a damaged record");
        std::fs::remove_dir_all(folder).expect("the folder");
    }
}

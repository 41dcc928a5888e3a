//! Another configuration for a running team: the plan of the changes, and their execution.
//!
//! Making a [`ReloadPlan`] changes nothing. The execution of a plan begins with the steps that can fail,
//! and undoes them after a failure: the data path switches, new ports join. Then the settings change
//! in one decision, and ports leave. The kernel's driver changes its mode only while it has no
//! ports, so all ports leave before such a change and join again after it.
//!
//! The return from a trial undoes nothing: a port or a data path that fails does not keep the rest of
//! the former configuration away, and is tried again.
//!
//! `plan` finds the changes, `effect` tells what each does to the traffic, `traffic` examines the whole
//! plan with a copy of the team, `execute` makes the changes.

mod effect;
mod execute;
mod plan;
mod traffic;

use std::io;
use std::path::Path;

use json_config::Config;
use runners::Instant;

use super::ManagedTeam;
use crate::control::config_answer::KeyChange;
use crate::daemon::kernel::Kernel;
use crate::errno::strerror;
use crate::files;

pub(super) use execute::OnFailure;
pub use execute::core_settings;
pub use plan::{PortMoves, ReloadPlan, digest};

impl ManagedTeam {
    /// Reads the configuration file anew and executes its changes; the log has an error, too.
    /// Returns the changes; `None`, without an effect, if the file is as it was when it was read
    /// last.
    ///
    /// # Errors
    /// Why the team stays as it is.
    pub fn reload_file(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
    ) -> Result<Option<Vec<KeyChange>>, String> {
        let Some(file) = self.setup.options.config_file.clone() else {
            log::warn!("There is no configuration file to read anew.");
            return Ok(None);
        };
        let outcome = self.reload_text_of(kernel, now, &file);
        outcome.inspect_err(|error| {
            log::error!("{}: The team stays as it is: {error}", file.display());
        })
    }

    fn reload_text_of(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        file: &Path,
    ) -> Result<Option<Vec<KeyChange>>, String> {
        let text = files::read_named(file, json_config::LARGEST);
        let text = text.map_err(|error| self.reading_error(&error))?;
        if self.is_as_last_read(&text) {
            return Ok(None);
        }
        let plan = self.plan(kernel, &text)?;
        if self.is_unkept(&plan.config) {
            log::warn!(
                "{}: Nobody has kept this configuration, which was on trial: the team stays as it \
                 is.",
                file.display()
            );
            return Ok(None);
        }
        let digest = plan.digest;
        if let Some(refusal) = plan.refusal() {
            return Err(refusal);
        }
        let changes = plan.key_changes();
        self.reload(kernel, now, plan)?;
        self.forget_trial();
        self.config_digest = digest;
        Ok(Some(changes))
    }

    /// Describes why the configuration file could not be read. The sandbox permits the directories to
    /// which the path led at the start.
    fn reading_error(&self, error: &io::Error) -> String {
        let why = strerror(error);
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                let device = &self.device.name;
                format!("{why}; \"teamrctl {device} reload\" reads the file for the daemon")
            }
            _ => why,
        }
    }

    fn is_as_last_read(&self, text: &[u8]) -> bool {
        Config::parse(text).is_ok_and(|mut config| {
            self.name_device(&mut config).is_ok() && digest(&config) == self.config_digest
        })
    }
}

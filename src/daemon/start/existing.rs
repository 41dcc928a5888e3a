//! A device with the team's name that exists at the start: taken over, deleted, or left alone.

use std::io;

use super::{CREATE, StartError, StartOptions, TAP_KIND};
use crate::daemon::Daemon;
use crate::datapath::{device, team_driver};
use crate::netlink::link::{self, LinkInfo};

/// A device that the team takes over.
pub(super) struct Existing {
    pub(super) device: LinkInfo,
    /// A former daemon of this team created the device, so this one deletes it in the end. A
    /// device that only `-o` takes over stays.
    pub(super) ours: bool,
}

impl Daemon {
    /// Returns the existing device that the team takes over. Deletes it instead with `-r`.
    ///
    /// # Errors
    /// `EEXIST` without an option that says what to do; `EINVAL` for a device that is no team's.
    pub(super) fn prepare_device(
        &mut self,
        options: &StartOptions,
    ) -> Result<Option<Existing>, StartError> {
        let refuse = |errno, attempt: String| {
            let cause = io::Error::from_raw_os_error(errno);
            Err(StartError::new(attempt, cause).then(CREATE))
        };
        let name = &options.device;
        let existing = match link::find(&mut self.kernel.route, name) {
            Ok(existing) => existing,
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(None),
            Err(error) => return Err(StartError::new(CREATE, error)),
        };
        let is_team_device = [TAP_KIND, team_driver::LINK_KIND].contains(&existing.kind.as_str());
        let is_ours = device::is_ours(&mut self.kernel.route, &existing)
            .map_err(|error| StartError::new(CREATE, error))?;
        if is_ours && !options.recreate {
            log::info!("Taking over the device of an earlier daemon.");
            return Ok(Some(Existing {
                device: existing,
                ours: true,
            }));
        }
        let take_over = options.take_over || options.warm_start;
        if !take_over && !options.recreate {
            let advice = format!("\"{name}\" exists: -o takes it over, -r makes it anew.");
            return refuse(libc::EEXIST, advice);
        }
        if !is_team_device && !is_ours {
            let advice = format!("\"{name}\" exists and is no team device; it is left alone.");
            return refuse(libc::EINVAL, advice);
        }
        if take_over {
            return Ok(Some(Existing {
                device: existing,
                ours: options.warm_start,
            }));
        }
        link::delete(&mut self.kernel.route, existing.ifindex)
            .map_err(|error| StartError::new("Failed to delete the old team device.", error))?;
        Ok(None)
    }
}

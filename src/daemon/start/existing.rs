//! A device with the team's name that exists at the start: taken over, deleted, or left alone.

use std::io;

use super::{CREATE, StartError, StartOptions};
use crate::daemon::Daemon;
use crate::datapath::device::{self, TAP_KIND};
use crate::datapath::team_driver;
use crate::netlink::link::{self, LinkInfo};

/// A device that the team takes over.
#[derive(Clone)]
pub(super) struct Existing {
    pub(super) device: LinkInfo,
    /// Whether this daemon deletes the device at its end: an earlier daemon of this team created the
    /// device, or `-w` takes a team device over. A device of another program stays.
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
        let name = &options.device;
        let refuse = |errno, why| {
            let attempt = format!("\"{name}\" exists{why}.");
            Err(StartError::new(attempt, io::Error::from_raw_os_error(errno)).then(CREATE))
        };
        let existing = match link::find(&mut self.kernel.route, name) {
            Ok(existing) => existing,
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(None),
            Err(error) => return Err(StartError::new(CREATE, error)),
        };
        let is_drivers = existing.kind == team_driver::LINK_KIND;
        let is_ours = device::is_ours(&mut self.kernel.route, &existing)
            .map_err(|error| StartError::new(CREATE, error))?;
        if is_ours && (options.take_over || !options.recreate) {
            log::info!("Taking over the device of an earlier daemon.");
            return Ok(Some(Existing { device: existing, ours: true }));
        }
        let take_over = options.take_over || options.warm_start;
        if !take_over && !options.recreate {
            return refuse(libc::EEXIST, ": -o takes it over, -r makes it anew");
        }
        // A TAP of another program can serve a team, but no option deletes it.
        let serves_team = take_over && existing.kind == TAP_KIND && !is_ours;
        if !is_drivers && !is_ours && !serves_team {
            return refuse(libc::EINVAL, " and is no team device; it is left alone");
        }
        if take_over {
            let ours = options.warm_start && !serves_team;
            return Ok(Some(Existing { device: existing, ours }));
        }
        link::delete(&mut self.kernel.route, existing.ifindex)
            .map_err(|error| StartError::new("Failed to delete the old team device.", error))?;
        Ok(None)
    }
}

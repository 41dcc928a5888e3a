//! The device of a configuration without a name: that of the team which an earlier daemon left.

use std::path::Path;

use json_config::Config;

use crate::daemon::StartOptions;
use crate::daemon::device_lock::DeviceLock;
use crate::datapath::{device, port_state, team_driver};
use crate::netlink::RouteSocket;
use crate::netlink::link::{self, LinkInfo};

/// Returns the name of a team device that has a port of the configuration and no daemon. A device of
/// the kernel's driver counts only if the port is up, or with `-o` or `-w`: otherwise the start takes the
/// port from the device, as teamd does.
pub fn left_team(config: &Config, options: &StartOptions) -> Option<String> {
    let mut route = RouteSocket::open().ok()?;
    config.port_names().find_map(|port| {
        let port = link::find(&mut route, port).ok()?;
        let team = match port.master {
            Some(master) => link::fetch(&mut route, master).ok(),
            None => recording_team(&mut route, &options.run_dir, &port),
        };
        let team = team.filter(|team| !DeviceLock::is_held(&team.name))?;
        let keeps_port = port.admin_up || options.take_over || options.warm_start;
        let is_left = match team.kind == team_driver::LINK_KIND {
            true => keeps_port,
            false => device::is_ours(&mut route, &team).unwrap_or(false),
        };
        is_left.then_some(team.name)
    })
}

/// Returns the team device whose port-state file has the interface.
fn recording_team(route: &mut RouteSocket, run_dir: &Path, port: &LinkInfo) -> Option<LinkInfo> {
    let mut teams = port_state::teams_with_port(run_dir, port.ifindex);
    teams.find_map(|team| link::find(route, &team).ok())
}

//! The whole conversions: from the texts of one format to those of another, with notes.

use serde_json::{Map, Value};

use super::from_team::from_team;
use super::manager::{DeviceKind, Manager, Target};
use super::model::{Bond, Notes, OutFile};
use super::to_team::to_team;
use super::tree::Tree;
use super::{ifcfg, ip, keyfile, networkd, nmcli, sysfs};

/// A request to convert a bond to a team.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// Interface name of the bond.
    pub bond: String,
    /// Manager whose files have the bond; `None` for the first that knows the bond.
    pub from: Option<Manager>,
    /// Manager of the team's addresses, where sysfs stands for `ip` commands; `None` for that of the
    /// bond.
    pub to: Option<Manager>,
    /// New name for the team.
    pub rename: Option<String>,
}

/// A request to convert a team to a bond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The team's configuration.
    pub team: Map<String, Value>,
    /// Interface name of the team.
    pub device: String,
    /// Manager of the team's addresses; `None` for the first that knows the device.
    pub from: Option<Manager>,
    /// Format of the bond.
    pub to: Target,
    /// New name for the bond.
    pub rename: Option<String>,
}

/// The result of a conversion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Files and scripts; the first of an import is the team's configuration.
    pub files: Vec<OutFile>,
    /// Settings that the conversion changed or lost.
    pub notes: Notes,
}

/// Converts a bond to a team.
///
/// # Errors
/// No manager knows the bond.
pub fn import(tree: &Tree, request: &Import) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    let notes = &mut outcome.notes;
    let (from, mut bond) = find(tree, &request.bond, DeviceKind::Bond, request.from, notes)
        .ok_or_else(|| missing("bond", &request.bond, request.from))?;
    rename(&mut bond, request.rename.as_deref(), notes);
    let team = to_team(&bond, notes);
    outcome.files.push(OutFile {
        name: format!("{}.json", bond.name),
        text: team.text(),
    });
    outcome.files.extend(match request.to.unwrap_or(from) {
        Manager::Ifcfg => ifcfg::write(&bond, Some(&team), notes),
        Manager::NetworkManager => keyfile::write_team(&bond, &team, notes),
        Manager::Networkd => networkd::write(&bond, DeviceKind::Team, notes),
        Manager::Sysfs => ip::write(&bond, notes),
    });
    Ok(outcome)
}

/// Converts a team to a bond.
///
/// # Errors
/// The manager that the request names does not know the team.
pub fn export(tree: &Tree, request: &Export) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    let notes = &mut outcome.notes;
    let mut bond = from_team(&request.device, &request.team, notes);
    let found = find(tree, &request.device, DeviceKind::Team, request.from, notes);
    match (found, request.from) {
        (Some((_, team)), _) => take_network(&mut bond, team),
        (None, Some(_)) => return Err(missing("team", &request.device, request.from)),
        (None, None) => notes.lost("addresses", "no file is about the team device"),
    }
    rename(&mut bond, request.rename.as_deref(), notes);
    outcome.files = match request.to {
        Target::Nmcli => nmcli::write(&bond, notes),
        Target::Networkd => networkd::write(&bond, DeviceKind::Bond, notes),
        Target::Ifcfg => ifcfg::write(&bond, None, notes),
    };
    Ok(outcome)
}

/// Copies the network settings of the team device and the other settings of its ports to the bond.
fn take_network(bond: &mut Bond, team: Bond) {
    let hwaddr = bond.network.hwaddr.take();
    bond.network = team.network;
    bond.network.hwaddr = hwaddr.or(bond.network.hwaddr.take());
    for port in &mut bond.ports {
        let known = team.ports.iter().find(|known| known.name == port.name);
        port.other_settings = known
            .map(|known| known.other_settings.clone())
            .unwrap_or_default();
    }
}

fn find(
    tree: &Tree,
    name: &str,
    device: DeviceKind,
    from: Option<Manager>,
    notes: &mut Notes,
) -> Option<(Manager, Bond)> {
    Manager::ALL
        .into_iter()
        .filter(|manager| from.is_none_or(|from| from == *manager))
        .find_map(|manager| {
            let bond = match manager {
                Manager::Ifcfg => ifcfg::read(tree, manager.folder(), name, device, notes),
                Manager::NetworkManager => keyfile::read(tree, name, device, notes),
                Manager::Networkd => networkd::read(tree, name, device, notes),
                Manager::Sysfs => sysfs::read(tree, name, device, notes),
            };
            Some((manager, bond?))
        })
}

fn missing(device: &str, name: &str, from: Option<Manager>) -> String {
    let places: Vec<String> = Manager::ALL
        .iter()
        .filter(|manager| from.is_none_or(|from| from == **manager))
        .map(|manager| format!("{} ({})", manager.name(), manager.folder()))
        .collect();
    format!(
        "Failed to find the {device} \"{name}\" in {}.",
        places.join(", ")
    )
}

fn rename(bond: &mut Bond, name: Option<&str>, notes: &mut Notes) {
    let Some(name) = name.filter(|name| *name != bond.name) else {
        return;
    };
    notes.approximated(
        format_args!("name {}", bond.name),
        format_args!("now {name}: what refers to the old name (VLANs, firewall rules) must follow"),
    );
    bond.name = name.to_owned();
}

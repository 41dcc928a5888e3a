//! The whole conversions: from the texts of one format to those of another, with notes.

use serde_json::{Map, Value};

use super::from_team::from_team;
use super::manager::{DeviceKind, Manager, Target};
use super::model::{Bond, Notes, OutFile, Upper};
use super::team_files;
use super::to_team::{TeamConfig, to_team};
use super::tree::Tree;
use super::{
    cmdline, ifcfg, interfaces, ip, keyfile, netplan, networkd, nmcli, nmstate, sysfs, uci,
};

/// Functions that recognize a bond of Open vSwitch or an unreadable file, and return the error.
type Refusal = fn(&Tree, &str) -> Option<String>;
const REFUSALS: [(Manager, Refusal); 3] = [
    (Manager::Netplan, netplan::refusal),
    (Manager::Interfaces, interfaces::refusal),
    (Manager::Nmstate, nmstate::refusal),
];

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

/// Converts a bond to a team. Also converts a team that NetworkManager or the initscripts define.
///
/// # Errors
/// No manager knows the bond, its file cannot be read, or the new name is that of a port.
pub fn import(tree: &Tree, request: &Import) -> Result<Outcome, String> {
    let mut notes = Notes::default();
    let name = &request.bond;
    for (manager, refusal) in REFUSALS {
        let is_asked = request.from.is_none_or(|from| from == manager);
        if let Some(reason) = refusal(tree, name).filter(|_| is_asked) {
            return Err(reason);
        }
    }
    let (from, mut bond, team) = match find(tree, name, DeviceKind::Bond, request.from, &mut notes)
    {
        Some((from, bond)) => {
            note_other_sources(tree, request, from, &bond, &mut notes);
            (from, bond, None)
        }
        None => {
            let team = team_files::read(tree, name, request.from);
            let removal = nmstate::removal(tree, name);
            let reason = || removal.unwrap_or_else(|| missing("bond", name, request.from));
            let (from, team) = team.ok_or_else(reason)??;
            let found = find(tree, name, DeviceKind::Team, Some(from), &mut notes);
            let bond = found.map_or_else(Bond::default, |(_, bond)| bond);
            (from, Bond { name: name.clone(), ..bond }, Some(team))
        }
    };
    let to = request.to.unwrap_or(from.target());
    let renamed = rename(&mut bond, request.rename.as_deref(), &mut notes)?;
    note_uppers(&bond.uppers, from, to, renamed, &mut notes);
    // The files of a team stay as they are, unless another manager gets the addresses.
    let stays = team.is_some() && to == from && !renamed;
    let team = match team {
        Some(mut team) => {
            team.insert("device".to_owned(), bond.name.as_str().into());
            TeamConfig::of(team)
        }
        None => {
            if bond.ports.is_empty() {
                notes.lost("ports", "none is known; add the interfaces to \"ports\"");
            }
            to_team(&bond, &mut notes)
        }
    };
    let mut files = vec![OutFile { name: format!("{}.json", bond.name), text: team.text() }];
    if !stays {
        files.extend(match to {
            Manager::Ifcfg => ifcfg::write(&bond, Some(&team), &mut notes),
            Manager::Wicked => ifcfg::write_wicked(&bond, DeviceKind::Team, &mut notes),
            Manager::NetworkManager => keyfile::write(&bond, Some(&team), &mut notes),
            Manager::Networkd => networkd::write(&bond, DeviceKind::Team, &mut notes),
            Manager::Interfaces => interfaces::write_team(&bond, &mut notes),
            Manager::Netplan => netplan::write_team(&bond, &mut notes),
            Manager::Nmstate | Manager::Uci | Manager::Cmdline | Manager::Sysfs => {
                ip::write_team(&bond, &mut notes)
            }
        });
    }
    Ok(Outcome { files, notes })
}

/// Adds a note for each other manager whose files define the bond. Files below `run` come from
/// generators, which read the files of the first manager.
fn note_other_sources(
    tree: &Tree,
    request: &Import,
    from: Manager,
    bond: &Bond,
    notes: &mut Notes,
) {
    let others = Manager::ALL.into_iter().filter(|other| *other != from && request.from.is_none());
    for other in others.filter(|other| *other != Manager::Sysfs) {
        let mut unseen = Notes::default();
        let found = read(tree, other, &request.bond, DeviceKind::Bond, &mut unseen);
        if let Some(found) = found.filter(|found| !found.file.starts_with("run/")) {
            notes.lost(
                format_args!("{}: {}", found.file, found.name),
                format_args!("a second file for the device; {} is read, see --from", bond.file),
            );
        }
    }
}

/// Adds a note for each file above the bond that does not serve the team as it is.
fn note_uppers(uppers: &[Upper], from: Manager, to: Manager, renamed: bool, notes: &mut Notes) {
    for Upper { file, name, .. } in uppers {
        if renamed {
            notes.lost(format_args!("{file}: {name}"), "the file has the old name of the device");
        } else if from != to {
            notes.lost(
                format_args!("{file}: {name}"),
                format_args!("not converted; the file stays with {from}"),
            );
        }
    }
}

/// Converts a team to a bond.
///
/// # Errors
/// The manager that the request names does not know the team, or the new name is that of a port.
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
    rename(&mut bond, request.rename.as_deref(), notes)?;
    outcome.files = match request.to {
        Target::Nmcli => nmcli::write(&bond, notes),
        Target::Files(Manager::NetworkManager) => keyfile::write(&bond, None, notes),
        Target::Files(Manager::Networkd) => networkd::write(&bond, DeviceKind::Bond, notes),
        Target::Files(Manager::Netplan) => netplan::write_bond(&bond, notes),
        Target::Files(Manager::Interfaces) => interfaces::write_bond(&bond, notes),
        Target::Files(Manager::Ifcfg) => ifcfg::write(&bond, None, notes),
        Target::Files(Manager::Wicked) => ifcfg::write_wicked(&bond, DeviceKind::Bond, notes),
        Target::Files(Manager::Nmstate) => nmstate::write(&bond, notes),
        Target::Files(Manager::Uci) => uci::write(&bond, notes),
        Target::Files(Manager::Cmdline) => cmdline::write(&bond, notes),
        Target::Files(Manager::Sysfs) => ip::write_bond(&bond, notes),
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
        port.other_settings = known.map(|known| known.other_settings.clone()).unwrap_or_default();
    }
}

/// Returns the first manager that knows the device, and the device.
fn find(
    tree: &Tree,
    name: &str,
    device: DeviceKind,
    from: Option<Manager>,
    notes: &mut Notes,
) -> Option<(Manager, Bond)> {
    let managers =
        Manager::ALL.into_iter().filter(|manager| from.is_none_or(|from| from == *manager));
    managers.into_iter().find_map(|manager| {
        let mut own = Notes::default();
        let bond = read(tree, manager, name, device, &mut own)?;
        notes.extend(own);
        Some((manager, bond))
    })
}

fn read(
    tree: &Tree,
    manager: Manager,
    name: &str,
    device: DeviceKind,
    notes: &mut Notes,
) -> Option<Bond> {
    let mut bond = match manager {
        Manager::Netplan => netplan::read(tree, name, device, notes),
        Manager::Interfaces => interfaces::read(tree, name, device, notes),
        Manager::Ifcfg | Manager::Wicked => {
            ifcfg::read(tree, manager, manager.folders(), name, device, notes)
        }
        Manager::NetworkManager => keyfile::read(tree, name, device, notes),
        Manager::Networkd => networkd::read(tree, name, device, notes),
        Manager::Uci => uci::read(tree, name, device, notes),
        Manager::Nmstate => nmstate::read(tree, name, device, notes),
        Manager::Cmdline => cmdline::read(tree, name, device, notes),
        Manager::Sysfs => return sysfs::read(tree, name, device, notes),
    };
    if let Some(bond) = &mut bond {
        bond.drop_invalid(notes);
    }
    bond
}

fn missing(device: &str, name: &str, from: Option<Manager>) -> String {
    let places: Vec<String> = Manager::ALL
        .iter()
        .filter(|manager| from.is_none_or(|from| from == **manager))
        .map(|manager| format!("{} ({})", manager.name(), manager.folder()))
        .collect();
    format!("Failed to find the {device} \"{name}\" in {}.", places.join(", "))
}

/// Gives the bond another name; returns whether the name changed.
///
/// # Errors
/// A port has the name.
fn rename(bond: &mut Bond, name: Option<&str>, notes: &mut Notes) -> Result<bool, String> {
    let Some(name) = name.filter(|name| *name != bond.name) else {
        return Ok(false);
    };
    if bond.ports.iter().any(|port| port.name == name) {
        return Err(format!("--rename {name}: the name is that of a port of \"{}\".", bond.name));
    }
    notes.approximated(
        format_args!("name {}", bond.name),
        format_args!("now {name}: what refers to the old name (VLANs, firewall rules) must follow"),
    );
    bond.name = name.to_owned();
    Ok(true)
}

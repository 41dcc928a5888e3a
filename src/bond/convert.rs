//! The two ways, whole: files in, files out, with what was lost on the way.

use serde_json::{Map, Value};

use super::family::{Device, Family, Target};
use super::from_team::from_team;
use super::model::{Bond, Notes, OutFile};
use super::to_team::to_team;
use super::tree::Tree;
use super::{ifcfg, ip, keyfile, networkd, nmcli, sysfs};

/// What to import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// Interface name of the bond.
    pub bond: String,
    /// Where it is read from; the first that has it if not told.
    pub from: Option<Family>,
    /// Who keeps the addresses of the team, sysfs standing for `ip` commands; the same as
    /// `from` if not told.
    pub to: Option<Family>,
    /// Another name for the team.
    pub rename: Option<String>,
}

/// What to export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The team's configuration.
    pub team: Map<String, Value>,
    /// Interface name of the team.
    pub device: String,
    /// Where its addresses are read from; the first that knows it if not told.
    pub from: Option<Family>,
    /// What to make.
    pub to: Target,
    /// Another name for the bond.
    pub rename: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// To be written or run; of an import, the team's configuration is the first.
    pub files: Vec<OutFile>,
    /// What did not come out as it went in.
    pub notes: Notes,
}

/// A team for a bond.
///
/// # Errors
/// There is no such bond.
pub fn import(tree: &Tree, order: &Import) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    let notes = &mut outcome.notes;
    let (from, mut bond) = find(tree, &order.bond, Device::Bond, order.from, notes)
        .ok_or_else(|| missing("bond", &order.bond, order.from))?;
    rename(&mut bond, order.rename.as_deref(), notes);
    let team = to_team(&bond, notes);
    outcome.files.push(OutFile {
        name: format!("{}.json", bond.name),
        text: team.text(),
    });
    outcome.files.extend(match order.to.unwrap_or(from) {
        Family::Ifcfg => ifcfg::write(&bond, Some(&team), notes),
        Family::NetworkManager => keyfile::write_team(&bond, &team, notes),
        Family::Networkd => networkd::write(&bond, Device::Team, notes),
        Family::Sysfs => ip::write(&bond, notes),
    });
    Ok(outcome)
}

/// A bond for a team.
///
/// # Errors
/// Addresses were to be read from a place that does not know the team.
pub fn export(tree: &Tree, order: &Export) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    let notes = &mut outcome.notes;
    let mut bond = from_team(&order.device, &order.team, notes);
    let found = find(tree, &order.device, Device::Team, order.from, notes);
    match (found, order.from) {
        (Some((_, team)), _) => keep(&mut bond, team),
        (None, Some(_)) => return Err(missing("team", &order.device, order.from)),
        (None, None) => notes.lost("addresses", "no file is about the team device"),
    }
    rename(&mut bond, order.rename.as_deref(), notes);
    outcome.files = match order.to {
        Target::Nmcli => nmcli::write(&bond, notes),
        Target::Networkd => networkd::write(&bond, Device::Bond, notes),
        Target::Ifcfg => ifcfg::write(&bond, None, notes),
    };
    Ok(outcome)
}

/// The network of the team and what its ports' files say besides.
fn keep(bond: &mut Bond, team: Bond) {
    let hwaddr = bond.network.hwaddr.take();
    bond.network = team.network;
    bond.network.hwaddr = hwaddr.or(bond.network.hwaddr.take());
    for port in &mut bond.ports {
        let known = team.ports.iter().find(|known| known.name == port.name);
        port.rest = known.map(|known| known.rest.clone()).unwrap_or_default();
    }
}

fn find(
    tree: &Tree,
    name: &str,
    device: Device,
    from: Option<Family>,
    notes: &mut Notes,
) -> Option<(Family, Bond)> {
    Family::ALL
        .into_iter()
        .filter(|family| from.is_none_or(|from| from == *family))
        .find_map(|family| {
            let bond = match family {
                Family::Ifcfg => ifcfg::read(tree, family.folder(), name, device, notes),
                Family::NetworkManager => keyfile::read(tree, name, device, notes),
                Family::Networkd => networkd::read(tree, name, device, notes),
                Family::Sysfs => sysfs::read(tree, name, device, notes),
            };
            Some((family, bond?))
        })
}

fn missing(what: &str, name: &str, from: Option<Family>) -> String {
    let places: Vec<String> = Family::ALL
        .iter()
        .filter(|family| from.is_none_or(|from| from == **family))
        .map(|family| format!("{} ({})", family.name(), family.folder()))
        .collect();
    format!(
        "Failed to find the {what} \"{name}\" in {}.",
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

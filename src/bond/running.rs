//! A bond of the running kernel as a team, whose addresses stay with the files of the host.

use std::path::Path;

use serde_json::{Map, Value};

use super::manager::{DeviceKind, Manager};
use super::model::{Notes, Severity};
use super::tree::Tree;
use super::{is_interface_name, live, sysfs, to_team};

/// The team that would replace a bond of the kernel.
#[derive(Debug, Default)]
pub struct RunningTeam {
    /// Configuration of the team; with a hardware address where that of the first port would be another.
    pub config: Map<String, Value>,
    /// Hardware address of the bond; `None` where the runner changes the address.
    pub hwaddr: Option<String>,
    /// Notes about the options of the bond.
    pub notes: Notes,
}

/// Returns the team that would replace the bond `name`. The team has the hardware address that the bond
/// has now.
///
/// # Errors
/// The kernel has no such bond.
pub fn running_team(name: &str) -> Result<RunningTeam, String> {
    let mut tree = Tree::default();
    if is_interface_name(name) {
        let loaded = live::load(&mut tree, Path::new("/"), name);
        loaded.map_err(|error| format!("Failed to read the bond: {error}."))?;
    }
    let mut found = Notes::default();
    let bond = sysfs::read(&tree, name, DeviceKind::Bond, &mut found);
    let bond = bond.ok_or_else(|| format!("The kernel has no bond \"{name}\"."))?;
    let mut notes = of_options(&found);
    let mut team: Map<String, Value> =
        serde_json::from_str(&to_team(&bond, &mut notes).text()).unwrap_or_default();
    let folder = format!("{}/{name}", Manager::Sysfs.folder());
    let by_policy = team.get("runner").is_some_and(|it| it["hwaddr_policy"].is_string());
    let hwaddr = tree.value(&format!("{folder}/address")).filter(|_| !by_policy);
    let first = team.get("ports").and_then(Value::as_object).and_then(|ports| ports.keys().next());
    if let Some(first) = first {
        let own = format!("{}/{first}/bonding_slave/perm_hwaddr", Manager::Sysfs.folder());
        let other = hwaddr.filter(|hwaddr| tree.value(&own) != Some(*hwaddr));
        if let Some(hwaddr) = other.filter(|_| !team.contains_key("hwaddr")) {
            team.insert("hwaddr".to_owned(), hwaddr.into());
        }
    }
    Ok(RunningTeam { config: team, hwaddr: hwaddr.map(str::to_owned), notes })
}

/// Returns the notes that are not about addresses and routes.
fn of_options(notes: &Notes) -> Notes {
    let mut rest = Notes::default();
    let of_network = |subject: &str| subject == "addresses" || subject.starts_with("route to ");
    for note in notes.iter().filter(|note| !of_network(&note.subject)) {
        match note.severity {
            Severity::Lost => rest.lost(&note.subject, &note.reason),
            Severity::Approximated => rest.approximated(&note.subject, &note.reason),
        }
    }
    rest
}

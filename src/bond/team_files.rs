//! The configuration of a team in the files of the programs that start teamd: `TEAM_CONFIG` of the
//! initscripts, the keys of wicked, and `config` of NetworkManager.

use json_config::Config;
use serde_json::{Map, Value};

use super::manager::Manager;
use super::tree::Tree;
use super::{ifcfg, keyfile};

/// The manager of the files, and the configuration.
type Team = (Manager, Map<String, Value>);

/// Returns the manager and the configuration of the team `name`, with its ports; `None` if no file
/// defines the team.
///
/// # Errors
/// The configuration is one that teamd refuses to start with, or the text of a port is no object.
pub fn read(tree: &Tree, name: &str, from: Option<Manager>) -> Option<Result<Team, String>> {
    let managers = [Manager::Ifcfg, Manager::Wicked, Manager::NetworkManager].into_iter();
    let mut managers = managers.filter(|manager| from.is_none_or(|from| from == *manager));
    managers.find_map(|manager| {
        let (config, ports) = match manager {
            Manager::Ifcfg | Manager::Wicked => ifcfg::team_texts(tree, manager, name)?,
            _ => keyfile::team_texts(tree, name)?,
        };
        let parse = |text: &str, what: &str| {
            let config = Config::parse(text.as_bytes());
            let config = config.map_err(|problem| format!("{what} of {manager}: {problem}"))?;
            Ok(config.into_object())
        };
        let team = parse(&config, name).and_then(|mut team| {
            let entry = team.entry("ports").or_insert_with(|| Map::new().into());
            if let Some(known) = entry.as_object_mut() {
                for (port, text) in &ports {
                    let own = parse(text, port)?;
                    if !own.is_empty() || !known.contains_key(port) {
                        known.insert(port.clone(), own.into());
                    }
                }
            }
            let text = Value::Object(team.clone()).to_string();
            let checked = Config::parse(text.as_bytes()).map_err(|problem| problem.to_string());
            let checked =
                checked.and_then(|config| config.team(0).map_err(|problem| problem.to_string()));
            checked.map_err(|problem| format!("{name} of {manager}: {problem}"))?;
            Ok(team)
        });
        Some(team.map(|team| (manager, team)))
    })
}

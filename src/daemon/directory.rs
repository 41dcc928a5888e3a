//! Reads a directory of configuration files anew: a new file starts a team, a changed file changes its
//! team, and the team of a removed file ends. All other teams continue without an event.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use json_config::Config;
use mio::Events;
use serde_json::{Map, Value, json};

use super::directory_watch::DirectoryWatch;
use super::source::{Source, TeamId};
use super::team::PortMoves;
use super::team_slot::{self, TeamSlot};
use super::{Daemon, EVENTS, StartOptions};
use crate::control::config_answer::KeyChange;
use crate::errno::strerror;
use crate::process::logging;
use crate::process::pidfile::PidFile;
use crate::process::signals::Stop;

/// The configurations of a directory.
pub struct Listing {
    /// The teams, each with its configuration file in the options.
    pub teams: Vec<(Config, StartOptions)>,
    /// Files that start no team, each with the lines of its errors.
    pub faults: Vec<(PathBuf, String)>,
}

/// Reads a directory; fails with the lines for the log.
pub type ReadDirectory = Box<dyn Fn() -> Result<Listing, String>>;

/// The ports that a team has released for another team.
#[derive(Default)]
struct ReleasedPorts {
    names: Vec<String>,
    /// The changes of their keys, which a later plan for the team lacks.
    changes: Vec<KeyChange>,
}

/// A running team with its file as read anew.
struct ChangedTeam<'a> {
    device: &'a String,
    team: TeamId,
    /// The configuration in the file.
    config: &'a Config,
}

impl Daemon {
    /// Sets the function that reads the directory of the teams anew.
    pub fn set_directory(&mut self, directory: ReadDirectory) {
        self.directory = Some(directory);
    }

    /// Watches the directory at `path`. The daemon reads the directory anew when a file with this
    /// extension is added, changed or removed.
    ///
    /// # Errors
    /// `EMFILE` or `ENOSPC` at the user's limit of inotify instances or watches, `EACCES` if this
    /// process may not read the directory, `ENOENT` or `ENOTDIR` if `path` is no directory.
    pub fn watch_directory(&mut self, path: &Path, extension: &'static str) -> io::Result<()> {
        let watch = DirectoryWatch::open(path, extension)?;
        watch.register(&self.registry, Source::Directory.token())?;
        self.directory_watch = Some(watch);
        Ok(())
    }

    /// Reads the events of the watch if `is_ready`, and reads the directory anew once a change of
    /// its files is complete.
    pub(super) fn reload_if_directory_changed(&mut self, is_ready: bool) {
        let now = self.now();
        let Some(watch) = &mut self.directory_watch else { return };
        if is_ready {
            watch.read(now);
        }
        if watch.take_due(now) {
            log::info!("Configuration files changed.");
            self.reload_configs();
        }
    }

    /// Reads the configuration file of every team anew, or the directory if the daemon has one.
    pub(super) fn reload_configs(&mut self) {
        let Some(read) = &self.directory else {
            let teams: Vec<TeamId> = self.teams.keys().copied().collect();
            for team in teams {
                // `reload_team` logs the outcome.
                let _ = self.reload_team(team);
            }
            return;
        };
        let outcome = match read() {
            Ok(listing) => self.reload_listing(listing),
            Err(lines) => {
                log::error!("{lines}");
                let outcome = json!({"outcome": "failed", "error": lines});
                Map::from_iter([("directory".to_owned(), outcome)])
            }
        };
        let outcome: Rc<str> = Rc::from(json_config::to_text(&Value::Object(outcome)));
        for slot in self.teams.values_mut() {
            slot.team.reread_outcome = Rc::clone(&outcome);
        }
    }

    /// Ends, changes and starts teams according to a directory; returns the outcome of each team and
    /// each faulty file.
    fn reload_listing(&mut self, listing: Listing) -> Map<String, Value> {
        let mut outcomes = Map::new();
        let mut not_started = Vec::new();
        for (file, lines) in &listing.faults {
            log::error!("{lines}");
            let outcome = json!({"outcome": "refused", "error": lines});
            outcomes.insert(file.display().to_string(), outcome);
            not_started.push(file.display().to_string());
        }
        let moved = self.follow_moved_files(&listing);
        let running: BTreeMap<PathBuf, TeamId> =
            self.teams.iter().filter_map(|(team, slot)| Some((file_of(slot)?, *team))).collect();
        let listed = listing.teams.iter().filter_map(|(_, options)| options.config_file.as_ref());
        let listed: BTreeSet<&PathBuf> =
            listed.chain(listing.faults.iter().map(|(file, _)| file)).collect();
        for (_, team) in running.iter().filter(|(file, _)| !listed.contains(file)) {
            if let Some(device) = self.end_removed_team(*team) {
                outcomes.insert(device, json!({"outcome": "ended"}));
            }
        }
        let (changed, new): (Vec<_>, Vec<_>) =
            listing.teams.into_iter().partition(|(_, options)| {
                options.config_file.as_ref().is_some_and(|file| running.contains_key(file))
            });
        let wanted: Vec<&str> =
            changed.iter().chain(&new).flat_map(|(config, _)| config.port_names()).collect();
        let changed = changed.iter().filter_map(|(config, options)| {
            let team = *running.get(options.config_file.as_ref()?)?;
            Some(ChangedTeam { device: &options.device, team, config })
        });
        let changed: Vec<ChangedTeam<'_>> = changed.collect();
        let moving = self.release_moving_ports(&changed, &wanted);
        outcomes.extend(self.reload_teams(changed, moving));
        for (device, file) in moved {
            let outcome = outcomes.entry(device).or_insert_with(|| json!({"outcome": "done"}));
            outcome["file"] = file.display().to_string().into();
        }
        for (config, options) in new {
            let outcome = match self.start_new_team(config, &options) {
                Ok(()) => json!({"outcome": "started"}),
                Err(error) => {
                    not_started.extend(options.config_file.map(|file| file.display().to_string()));
                    json!({"outcome": "failed", "error": error})
                }
            };
            outcomes.insert(options.device, outcome);
            self.serve_partners(Duration::ZERO);
        }
        self.set_not_started(not_started);
        self.status_changed = true;
        outcomes
    }

    /// Gives each team whose file has another name now the new file; returns the devices of these
    /// teams with their files.
    fn follow_moved_files(&mut self, listing: &Listing) -> Vec<(String, PathBuf)> {
        let files: BTreeMap<&String, &PathBuf> = listing
            .teams
            .iter()
            .filter_map(|(_, options)| Some((&options.device, options.config_file.as_ref()?)))
            .collect();
        let faulty = listing.faults.iter().map(|(file, _)| file);
        let listed: BTreeSet<&PathBuf> = files.values().copied().chain(faulty).collect();
        let mut moved = Vec::new();
        for slot in self.teams.values_mut() {
            let Some(former) = file_of(slot).filter(|file| !listed.contains(file)) else {
                continue;
            };
            let device = &slot.team.device.name;
            if let Some(file) = files.get(device) {
                let _log_scope = logging::scope(device);
                let (former, now) = (former.display(), file.display());
                log::info!("The configuration file {former} is now {now}.");
                moved.push((device.clone(), (*file).clone()));
                slot.team.setup.options.config_file = Some((*file).clone());
            }
        }
        moved
    }

    /// Releases the ports that leave one team for another, so that the order of the teams does not
    /// matter. A team releases no port if one of its new ports cannot join. Returns the released ports
    /// of each of the teams.
    fn release_moving_ports(
        &mut self,
        changed: &[ChangedTeam<'_>],
        wanted: &[&str],
    ) -> Vec<ReleasedPorts> {
        let now = self.now();
        let mut moves: Vec<Option<PortMoves>> = Vec::new();
        for ChangedTeam { team, config, .. } in changed {
            let of_team =
                self.with_team(*team, |slot, kernel| slot.team.port_moves(kernel, config));
            moves.push(of_team.flatten());
        }
        loop {
            let leaving = moves.iter().flatten().flat_map(|it| &it.leaving);
            let freed: Vec<&String> = leaving.map(|(name, _)| name).collect();
            let stays = |moves: &Option<PortMoves>| {
                let mut blocked = moves.iter().flat_map(|it| &it.blocked);
                blocked.any(|name| !freed.contains(&name))
            };
            match moves.iter().position(stays) {
                Some(at) => moves[at] = None,
                None => break,
            }
        }
        let mut released = Vec::new();
        for (ChangedTeam { team, .. }, moves) in changed.iter().zip(moves) {
            let mut leaving = moves.map(|moves| moves.leaving).unwrap_or_default();
            leaving.retain(|(name, _)| wanted.contains(&name.as_str()));
            let (names, changes): (Vec<_>, Vec<_>) = leaving.into_iter().unzip();
            let ports = ReleasedPorts { names, changes: changes.concat() };
            self.with_team(*team, |slot, kernel| {
                for name in &ports.names {
                    if let Some(port) = slot.team.core.find_port(name) {
                        slot.team.remove_port(kernel, now, port);
                    }
                }
            });
            released.push(ports);
        }
        released
    }

    /// Reads the files of the teams anew. Tries a failed change a second time, since another team may
    /// have released the port meanwhile. A team whose change fails twice takes back its released
    /// ports: `moving` has the ports of each of the teams.
    fn reload_teams(
        &mut self,
        teams: Vec<ChangedTeam<'_>>,
        moving: Vec<ReleasedPorts>,
    ) -> Map<String, Value> {
        let mut outcomes = Map::new();
        let mut failed = Vec::new();
        for (changed, moving) in teams.into_iter().zip(moving) {
            match self.reload_team(changed.team) {
                Ok(Some(changes)) => {
                    let outcome = done(changes, moving);
                    outcomes.insert(changed.device.clone(), outcome);
                    self.serve_partners(Duration::ZERO);
                }
                Ok(None) => {}
                Err(_) => failed.push((changed, moving)),
            }
        }
        for (changed, moving) in failed {
            let outcome = match self.reload_team(changed.team) {
                Ok(changes) => done(changes.unwrap_or_default(), moving),
                Err(error) => {
                    let now = self.now();
                    self.with_team(changed.team, |slot, kernel| {
                        let names = &moving.names;
                        names.iter().for_each(|name| slot.team.expect_port(name));
                        slot.team.take_back(kernel, now, names);
                    });
                    json!({"outcome": "failed", "error": error})
                }
            };
            outcomes.insert(changed.device.clone(), outcome);
        }
        outcomes
    }

    fn reload_team(&mut self, team: TeamId) -> Result<Option<Vec<KeyChange>>, String> {
        let now = self.now();
        let reloaded = self.with_team(team, |slot, kernel| slot.team.reload_file(kernel, now));
        reloaded.unwrap_or(Ok(None))
    }

    fn start_new_team(&mut self, config: Config, options: &StartOptions) -> Result<(), String> {
        let pid_file = PidFile::create(&options.pid_file, |pause| self.serve_partners(pause));
        let started = pid_file.map_err(|error| error.to_string()).and_then(|pid_file| {
            self.start(config, options, pid_file).map_err(|error| error.to_string())
        });
        let _log_scope = logging::scope(&options.device);
        match &started {
            Ok(()) => log::info!("Started for a new configuration file."),
            Err(error) => log::error!("{error}"),
        }
        started
    }

    /// Ends the team of a removed file; returns its device.
    fn end_removed_team(&mut self, team: TeamId) -> Option<String> {
        let now = self.now();
        let mut slot = self.take_team(team)?;
        let _log_scope = slot.log_scope();
        log::warn!("The configuration file is gone: the team ends.");
        slot.team.forget_trial();
        slot.prepare_end(&mut self.kernel, now, Stop::TearDown);
        let device = slot.team.device.name.clone();
        team_slot::end(&mut self.kernel, now, [slot]);
        Some(device)
    }

    /// Handles deadlines, control frames and traffic of the running teams for the time `pause`, or
    /// once for no time. Called between the long steps of a start or a reload; signals, link events
    /// and clients wait for the next turn of the loop.
    pub fn serve_partners(&mut self, pause: Duration) {
        let end = self.now() + pause;
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let next = self.deadlines.next().into_iter().chain([end]).min().unwrap_or(end);
            let wait = next.saturating_since(self.now());
            if let Err(error) = self.poll.poll(&mut events, Some(wait)) {
                log::debug!("Failed to poll between two teams ({}).", strerror(&error));
            }
            self.kernel.begin_turn();
            self.ready.extend(events.iter().filter_map(|event| Source::decode(event.token())));
            self.handle_deadlines();
            self.poll_delayed_carriers();
            let of_frames = self.ready.iter().filter(|source| source.brings_frames());
            for source in of_frames.copied().collect::<Vec<Source>>() {
                self.handle_source(source);
            }
            self.update_touched_teams();
            if self.now() >= end {
                return;
            }
        }
    }
}

/// Returns the outcome of a changed team.
fn done(changes: Vec<KeyChange>, released: ReleasedPorts) -> Value {
    let changes = [changes, released.changes].concat();
    json!({"outcome": "done", "changes": changes})
}

fn file_of(slot: &TeamSlot) -> Option<PathBuf> {
    slot.team.setup.options.config_file.clone()
}

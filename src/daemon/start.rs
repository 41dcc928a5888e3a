//! Bringing one team up, in teamd's order: control socket, device, runner, ports, bus name.
//!
//! A step that fails undoes the ones before it.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use json_config::{Config, DataPathChoice};
use mio::Token;
use runners::{Burst, Team, TeamSettings};

use super::kernel::Kernel;
use super::recorder::RecordedTeam;
use super::resolver::Resolver;
use super::setup::Setup;
use super::team::{ControlSockets, ManagedTeam, restore, return_ipv6};
use super::transports::Transports;
use super::{CONTROL_FRAME_TOKENS, DATA_PATH_TOKENS, Daemon, Served, TEAM_TOKENS};
use crate::control::zmq::Endpoint;
use crate::datapath::kernel_team::{self, KernelTeam};
use crate::datapath::userspace::{Journal, TapOptions, Userspace};
use crate::datapath::{DataPath, PortCare};
use crate::errno::strerror;
use crate::netlink::link::{self, LinkInfo};
use crate::netlink::tc;

/// How a team is to be started; the configuration says what it is.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// Team device.
    pub device: String,
    /// Where the control socket and the record of the ports are.
    pub run_dir: PathBuf,
    /// Shown in the state.
    pub pid_file: PathBuf,
    /// Shown in the state.
    pub daemonized: bool,
    /// What shall move the frames.
    pub data_path: DataPathChoice,
    /// `-o`: use the device if it exists.
    pub take_over: bool,
    /// `-w`: use the device that a daemon of this team left; it is ours again.
    pub warm_start: bool,
    /// `-r`: delete the device first if it exists.
    pub recreate: bool,
    /// `-N`: leave device and ports in place at the end.
    pub keep_device: bool,
    /// `-L`: where to note how the team was left.
    pub warm_dir: Option<PathBuf>,
    /// `-n`: leave the configured ports alone.
    pub no_ports: bool,
    /// `-U`, `-u`: whether there is a control socket.
    pub usock: bool,
    /// `-D`: whether to be on the system bus.
    pub dbus: bool,
    /// `-Z`: where to serve ZeroMQ.
    pub zmq: Option<Endpoint>,
}

/// Why a team could not be started: what was attempted, innermost first, and the cause.
#[derive(Debug)]
pub struct StartError {
    attempts: Vec<String>,
    cause: io::Error,
}

impl StartError {
    pub(super) fn new(attempt: impl Into<String>, cause: io::Error) -> Self {
        StartError {
            attempts: vec![attempt.into()],
            cause,
        }
    }

    /// The same, seen from farther out.
    pub(super) fn then(mut self, attempt: &str) -> Self {
        self.attempts.push(attempt.to_owned());
        self
    }

    /// The cause.
    pub fn cause(&self) -> &io::Error {
        &self.cause
    }
}

impl fmt::Display for StartError {
    /// One line for each attempt, then the cause; the lines that teamd prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for attempt in &self.attempts {
            writeln!(f, "{attempt}")?;
        }
        write!(f, "teamd_init() failed.\nFailed: {}", strerror(&self.cause))
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl Daemon {
    /// Starts a team; when this returns its ports are in place.
    pub fn start(&mut self, mut config: Config, options: &StartOptions) -> Result<(), StartError> {
        let block = self.teams.keys().next_back().map_or(1, |last| last + 1);
        let tokens = block * TEAM_TOKENS;
        let mut settings = config.team_settings(seed()).map_err(|problem| {
            let invalid = io::Error::from_raw_os_error(libc::EINVAL);
            StartError {
                attempts: vec![problem.message.clone(), "Failed to init runner.".to_owned()],
                cause: invalid,
            }
        })?;
        let transports = Transports::open(options, self.poll.registry(), Token(tokens))?;
        let existing = self.prepare_device(options)?;
        let taken_over = existing.is_some() && !options.warm_start;
        let opened = self.open_data_path(options, &settings, existing, tokens)?;
        if opened.data_path.port_care() == PortCare::DataPath {
            // Whoever takes care of the ports announces them, too.
            settings.notify_peers = Burst::default();
            settings.mcast_rejoin = Burst::default();
        }
        let core = Team::new(settings, opened.device.hwaddr);
        let core = RecordedTeam::new(core, options.device.clone(), self.started_unix);
        let setup = Setup {
            pid_file: options.pid_file.clone(),
            daemonized: options.daemonized,
            data_path: opened.name,
            dbus: transports.has_dbus(),
            zmq: options.zmq.is_some(),
        };
        let registry = self
            .poll
            .registry()
            .try_clone()
            .map_err(|error| StartError::new("Failed to init event loop.", error))?;
        let control_tokens = tokens + CONTROL_FRAME_TOKENS..tokens + DATA_PATH_TOKENS;
        let team = ManagedTeam::new(
            core,
            config,
            opened.data_path,
            opened.device,
            setup,
            ControlSockets::new(registry, control_tokens),
            Resolver::new(Arc::clone(&self.resolved)),
        );
        let mut served = Served {
            team,
            transports,
            keep_device: options.keep_device,
            warm_dir: options.warm_dir.clone(),
            taken_over,
        };
        let now = self.now();
        let kernel = &mut self.kernel;
        let mut taken = served.team.begin(kernel, now, &opened.standing);
        if !options.no_ports {
            taken = taken.and_then(|()| served.team.take_configured_ports(kernel, now));
        }
        let announced = taken
            .map_err(|error| StartError::new("Failed to add ports.", error))
            .and_then(|()| served.transports.announce());
        match announced {
            Ok(token) => self.ready.extend(token),
            Err(error) => {
                served.release_ports(kernel, now);
                served.end(kernel);
                return Err(error);
            }
        }
        self.teams.insert(block, served);
        Ok(())
    }

    /// Makes way for the team device, or finds it there to be taken over.
    fn prepare_device(&mut self, options: &StartOptions) -> Result<Option<LinkInfo>, StartError> {
        let refuse = |errno, attempt: String| {
            let cause = io::Error::from_raw_os_error(errno);
            let attempts = vec![attempt, CREATE.to_owned()];
            Err(StartError { attempts, cause })
        };
        let name = &options.device;
        let existing = match link::find(&mut self.kernel.route, name) {
            Ok(existing) => existing,
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(None),
            Err(error) => return Err(StartError::new(CREATE, error)),
        };
        let take_over = options.take_over || options.warm_start;
        if !take_over && !options.recreate {
            let advice = format!("\"{name}\" exists: -o takes it over, -r makes it anew.");
            return refuse(libc::EEXIST, advice);
        }
        if ![TAP_KIND, kernel_team::LINK_KIND].contains(&existing.kind.as_str()) {
            let advice = format!("\"{name}\" exists and is no team device; it is left alone.");
            return refuse(libc::EINVAL, advice);
        }
        if take_over {
            return Ok(Some(existing));
        }
        link::delete(&mut self.kernel.route, existing.ifindex)
            .map_err(|error| StartError::new("Failed to delete the old team device.", error))?;
        Ok(None)
    }

    /// Opens what moves the frames: what the existing device needs, else what was asked for,
    /// else the kernel's driver if there is one.
    fn open_data_path(
        &mut self,
        options: &StartOptions,
        settings: &TeamSettings,
        existing: Option<LinkInfo>,
        tokens: usize,
    ) -> Result<Opened, StartError> {
        let name = &options.device;
        let other_kind = |kind: &str| {
            let invalid = io::Error::from_raw_os_error(libc::EINVAL);
            let advice = format!("\"{name}\" belongs to the {kind} data path; -r makes it anew.");
            Err(StartError::new(advice, invalid))
        };
        let is_driver = |link: &LinkInfo| link.kind == kernel_team::LINK_KIND;
        let choice = match (options.data_path, kernel_team::mode(&settings.runner)) {
            (DataPathChoice::Kernel, None) => {
                let invalid = io::Error::from_raw_os_error(libc::EOPNOTSUPP);
                let advice = "The kernel's team driver cannot do what the runner does; \
                              leave \"data_path\" out or set it to \"userspace\".";
                return Err(StartError::new(advice, invalid));
            }
            (_, None) => DataPathChoice::Userspace,
            (choice, Some(_)) => choice,
        };
        match (existing, choice) {
            (Some(device), DataPathChoice::Userspace) if is_driver(&device) => other_kind("kernel"),
            (Some(device), _) if is_driver(&device) => self
                .open_kernel_team(device, settings, tokens)
                .map_err(|error| StartError {
                    attempts: vec![mode_advice(settings, &error), "Failed to init runner.".into()],
                    cause: error,
                }),
            (Some(_), DataPathChoice::Kernel) => other_kind("userspace"),
            (Some(_), _) => self.open_userspace(options, true, tokens),
            (None, DataPathChoice::Userspace) => self.open_userspace(options, false, tokens),
            (None, choice) => match self.create_kernel_team(name, settings, tokens) {
                Ok(opened) => Ok(opened),
                Err(error) if choice == DataPathChoice::Kernel => Err(StartError {
                    attempts: vec![
                        "The kernel's team driver cannot be used; data path \"userspace\" needs none."
                            .to_owned(),
                        CREATE.to_owned(),
                    ],
                    cause: error,
                }),
                Err(error) => {
                    let why = strerror(&error);
                    log::debug!("The kernel's team driver cannot be used ({why}): frames are moved in user space.");
                    self.open_userspace(options, false, tokens)
                }
            },
        }
    }

    /// Makes a team device of the kernel's driver; leaves none behind if that fails.
    fn create_kernel_team(
        &mut self,
        name: &str,
        settings: &TeamSettings,
        tokens: usize,
    ) -> io::Result<Opened> {
        link::create(&mut self.kernel.route, name, kernel_team::LINK_KIND)?;
        let device = link::find(&mut self.kernel.route, name)?;
        let ifindex = device.ifindex;
        let opened = self.open_kernel_team(device, settings, tokens);
        if opened.is_err() {
            link::delete(&mut self.kernel.route, ifindex)?;
        }
        opened
    }

    fn open_kernel_team(
        &mut self,
        device: LinkInfo,
        settings: &TeamSettings,
        tokens: usize,
    ) -> io::Result<Opened> {
        let token = Token(tokens + DATA_PATH_TOKENS);
        let team = KernelTeam::open(self.poll.registry(), token, device.ifindex, settings)?;
        let mut standing = link::all(&mut self.kernel.route)?;
        standing.retain(|link| link.master == Some(device.ifindex));
        // The first to be known keeps a tie, so the port that carries comes first.
        let active = team.active_ifindex();
        standing.sort_by_key(|link| Some(link.ifindex) != active);
        Ok(Opened {
            data_path: Box::new(team),
            name: "kernel",
            device,
            standing,
        })
    }

    fn open_userspace(
        &mut self,
        options: &StartOptions,
        take_over: bool,
        tokens: usize,
    ) -> Result<Opened, StartError> {
        let path = options.run_dir.join(format!("{}.ports", options.device));
        let mut journal = Journal::open(path);
        give_back_leftovers(&mut self.kernel, &mut journal)
            .map_err(|error| StartError::new("Failed to forget old ports.", error))?;
        let tap = TapOptions {
            name: options.device.clone(),
            persist: options.keep_device,
            take_over,
        };
        let first = tokens + DATA_PATH_TOKENS;
        let data_path = self
            .poll
            .registry()
            .try_clone()
            .and_then(|registry| {
                Userspace::create(registry, first..tokens + TEAM_TOKENS, &tap, journal)
            })
            .map_err(|error| StartError::new(CREATE, error))?;
        let device = link::find(&mut self.kernel.route, &options.device)
            .map_err(|error| StartError::new("Failed to read the team device.", error))?;
        Ok(Opened {
            data_path: Box::new(data_path),
            name: "userspace",
            device,
            standing: Vec::new(),
        })
    }
}

/// teamd's words for a device that could not be had.
const CREATE: &str = "Failed to create team device.";
/// Kind of the team device of the userspace data path.
const TAP_KIND: &str = "tun";

/// A data path with its device.
struct Opened {
    data_path: Box<dyn DataPath>,
    /// For the state.
    name: &'static str,
    device: LinkInfo,
    /// Ports that are in the team already.
    standing: Vec<LinkInfo>,
}

fn mode_advice(settings: &TeamSettings, error: &io::Error) -> String {
    let mode = kernel_team::mode(&settings.runner).unwrap_or_default();
    match error.raw_os_error() {
        Some(libc::EBUSY) => format!(
            "The device has ports and another mode than \"{mode}\"; \
             take them out or use -r."
        ),
        _ => format!("Failed to drive the device in mode \"{mode}\"."),
    }
}

/// Gives back what a daemon that ended without notice had taken.
fn give_back_leftovers(kernel: &mut Kernel, journal: &mut Journal) -> io::Result<()> {
    for found in journal.ports().to_vec() {
        // The index may stand for another interface by now.
        let same = link::fetch(&mut kernel.route, found.ifindex)
            .is_ok_and(|interface| interface.name == found.name);
        if same {
            log::warn!(
                "{}: giving back the port of a daemon that is gone.",
                found.name
            );
            restore(kernel, &found);
            return_ipv6(kernel, &found.name, found.ipv6);
            if let Err(error) = tc::unblock_host(&mut kernel.route, found.ifindex) {
                log::warn!(
                    "{}: Failed to remove filters ({}).",
                    found.name,
                    strerror(&error)
                );
            }
        }
        journal.forget(found.ifindex)?;
    }
    Ok(())
}

/// A start for the random runner: nobody must guess it, nothing depends on it.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

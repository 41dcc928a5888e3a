//! Bringing one team up, in teamd's order: control socket, device, runner, ports, bus name.
//!
//! A step that fails undoes the ones before it.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use json_config::{Config, DataPathChoice};
use mio::{Registry, Token};
use runners::{Burst, Team, TeamSettings};

use super::claim::Claim;
use super::kernel::Kernel;
use super::recorder::RecordedTeam;
use super::resolver::Resolver;
use super::setup::Setup;
use super::team::{
    ControlSockets, ManagedTeam, Senses, Standing, Tipc, as_found, restore, return_ipv6,
};
use super::transports::Transports;
use super::{CONTROL_FRAME_TOKENS, DATA_PATH_TOKENS, Daemon, Served, TEAM_TOKENS};
use crate::control::zmq::Endpoint;
use crate::datapath::kernel_team::{self, KernelTeam};
use crate::datapath::programs;
use crate::datapath::userspace::{self, DeviceOptions, Journal, Userspace};
use crate::datapath::{DataPath, Mover, PortCare, PortInterface};
use crate::errno::strerror;
use crate::netlink::link::{self, LinkInfo, PAIR_KIND};
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
    /// The team probes by itself where that is of use.
    pub probe: bool,
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
        let claim = Claim::stake(&options.device).map_err(|error| {
            let attempt = format!("Cannot have \"{}\": {error}.", options.device);
            StartError::new(attempt, error.cause())
        })?;
        settings.probe = options.probe;
        let transports = Transports::open(options, self.poll.registry(), Token(tokens))?;
        let existing = self.prepare_device(options)?;
        let taken_over = existing.as_ref().is_some_and(|existing| !existing.ours);
        let device = existing.map(|existing| existing.device);
        let opened = self.open_data_path(options, &settings, device, tokens)?;
        if opened.data_path.port_care() == PortCare::DataPath {
            // Whoever takes care of the ports announces them, too.
            settings.notify_peers = Burst::default();
            settings.mcast_rejoin = Burst::default();
        }
        let core = Team::new(settings, opened.device.hwaddr);
        let core = RecordedTeam::new(core, options.device.clone(), self.started_unix);
        let setup = Setup {
            run_dir: options.run_dir.clone(),
            pid_file: options.pid_file.clone(),
            daemonized: options.daemonized,
            refused: opened.refused,
            dbus: transports.has_dbus(),
            zmq: options.zmq.is_some(),
        };
        let registry = || {
            let registry = self.poll.registry().try_clone();
            registry.map_err(|error| StartError::new("Failed to init event loop.", error))
        };
        let tipc_token = tokens + DATA_PATH_TOKENS - 1;
        let control_tokens = tokens + CONTROL_FRAME_TOKENS..tipc_token;
        let senses = Senses {
            control: ControlSockets::new(registry()?, control_tokens),
            tipc: Tipc::new(registry()?, Token(tipc_token)),
            resolver: Resolver::new(Arc::clone(&self.resolved)),
        };
        let team = ManagedTeam::new(core, config, opened.data_path, opened.device, setup, senses);
        let mut served = Served {
            team,
            transports,
            keep_device: options.keep_device,
            warm_dir: options.warm_dir.clone(),
            taken_over,
            _claim: claim,
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
        self.teams.insert(block, Box::new(served));
        Ok(())
    }

    /// Makes way for the team device, or finds it there to be taken over.
    fn prepare_device(&mut self, options: &StartOptions) -> Result<Option<Existing>, StartError> {
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
        let is_team_device = [TAP_KIND, kernel_team::LINK_KIND].contains(&existing.kind.as_str());
        let left = userspace::is_ours(&mut self.kernel.route, &existing)
            .map_err(|error| StartError::new(CREATE, error))?;
        if left && !options.recreate {
            log::info!("Going on with the device that an earlier daemon left.");
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
        if !is_team_device && !left {
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

    /// Opens what moves the frames: what the existing device needs, else the first of what was
    /// asked for that works.
    fn open_data_path(
        &mut self,
        options: &StartOptions,
        settings: &TeamSettings,
        existing: Option<LinkInfo>,
        tokens: usize,
    ) -> Result<Opened, StartError> {
        let Some(device) = existing else {
            let candidates: &[Mover] = match options.data_path {
                DataPathChoice::Auto => &[Mover::Kernel, Mover::Programs, Mover::Relay],
                DataPathChoice::Kernel => &[Mover::Kernel],
                DataPathChoice::Programs => &[Mover::Programs],
                DataPathChoice::Relay => &[Mover::Relay],
            };
            return self.open_first(candidates, options, settings, false, tokens);
        };
        let name = &options.device;
        let choice = options.data_path;
        let other_kind = |movers: &str| {
            let invalid = io::Error::from_raw_os_error(libc::EINVAL);
            let advice = format!("\"{name}\" belongs to the data path {movers}; -r makes it anew.");
            Err(StartError::new(advice, invalid))
        };
        if device.kind == kernel_team::LINK_KIND {
            if matches!(choice, DataPathChoice::Programs | DataPathChoice::Relay)
                || !kernel_team::can_do(&settings.runner)
            {
                return other_kind("kernel");
            }
            return self
                .open_kernel_team(device, settings, tokens)
                .map_err(|error| StartError {
                    attempts: vec![
                        mode_advice(settings, &error),
                        "Failed to init runner.".into(),
                    ],
                    cause: error,
                });
        }
        if choice == DataPathChoice::Kernel {
            return other_kind("programs or relay");
        }
        let candidates: &[Mover] = match (device.kind.as_str(), choice) {
            (TAP_KIND, _) | (_, DataPathChoice::Relay) => &[Mover::Relay],
            (_, DataPathChoice::Programs) => &[Mover::Programs],
            _ => &[Mover::Programs, Mover::Relay],
        };
        self.open_first(candidates, options, settings, true, tokens)
    }

    /// Creates a team device, or takes one over, for the first of `candidates` that works.
    fn open_first(
        &mut self,
        candidates: &[Mover],
        options: &StartOptions,
        settings: &TeamSettings,
        take_over: bool,
        tokens: usize,
    ) -> Result<Opened, StartError> {
        let mut refused = Vec::new();
        let mut last = None;
        for mover in candidates {
            let opened = match mover {
                _ if !can_do(*mover, settings) => Err(StartError::new(
                    format!(
                        "Data path {} cannot do what the runner does; \
                         leave \"data_path\" out, or make it \"relay\".",
                        mover.name()
                    ),
                    io::Error::from_raw_os_error(libc::EOPNOTSUPP),
                )),
                Mover::Kernel => self.create_kernel_team(&options.device, settings, tokens),
                Mover::Programs => self.open_programs(options, take_over, tokens),
                Mover::Relay => self.open_relay(options, take_over, tokens),
            };
            match opened {
                Ok(opened) => return Ok(Opened { refused, ..opened }),
                Err(error) => {
                    let why = strerror(error.cause());
                    log::debug!("Data path {} cannot be used here ({why}).", mover.name());
                    refused.push((*mover, why));
                    last = Some(error);
                }
            }
        }
        // There is always a candidate.
        let unknown = || StartError::new(CREATE, io::ErrorKind::Unsupported.into());
        Err(last.unwrap_or_else(unknown))
    }

    /// Makes a team device of the kernel's driver; leaves none behind if that fails.
    fn create_kernel_team(
        &mut self,
        name: &str,
        settings: &TeamSettings,
        tokens: usize,
    ) -> Result<Opened, StartError> {
        let mut create = || {
            link::create(&mut self.kernel.route, name, kernel_team::LINK_KIND)?;
            let device = link::find(&mut self.kernel.route, name)?;
            let ifindex = device.ifindex;
            let opened = self.open_kernel_team(device, settings, tokens);
            if opened.is_err() {
                link::delete(&mut self.kernel.route, ifindex)?;
            }
            opened
        };
        create().map_err(|cause| StartError {
            attempts: vec![
                "The kernel's team driver cannot be used; data path \"auto\" needs none."
                    .to_owned(),
                CREATE.to_owned(),
            ],
            cause,
        })
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
        let standing = standing.into_iter().map(|interface| Standing {
            found: as_found(&self.kernel, &interface),
            interface,
        });
        Ok(Opened {
            data_path: Box::new(team),
            refused: Vec::new(),
            device,
            standing: standing.collect(),
        })
    }

    /// A device with the relay behind it. With one that was there, its ports stand.
    fn open_relay(
        &mut self,
        options: &StartOptions,
        take_over: bool,
        tokens: usize,
    ) -> Result<Opened, StartError> {
        let (journal, standing) = self.settle_leftovers(options, take_over)?;
        let device = DeviceOptions {
            name: options.device.clone(),
            persist: options.keep_device,
            take_over,
        };
        self.open_userspace(options, tokens, standing, |registry, tokens| {
            Userspace::create(registry, tokens, &device, journal)
        })
    }

    /// A pair of interfaces with programs behind it. With one that was there, its ports stand.
    fn open_programs(
        &mut self,
        options: &StartOptions,
        take_over: bool,
        tokens: usize,
    ) -> Result<Opened, StartError> {
        let (journal, standing) = self.settle_leftovers(options, take_over)?;
        let name = &options.device;
        let active = journal.traces().active;
        let mut opened = self.open_userspace(options, tokens, standing, |registry, tokens| {
            Userspace::create_with_programs(registry, tokens, name, take_over, journal)
        })?;
        // The first to be known keeps a tie, so the port that carries comes first.
        let of_active = |port: &Standing| Some(port.interface.ifindex) != active;
        opened.standing.sort_by_key(of_active);
        Ok(opened)
    }

    /// Keeps the host from speaking IPv6 at the other end of a pair.
    fn silence_other_end(&mut self, device: &LinkInfo) {
        let other_end = device.lower.filter(|_| device.kind == PAIR_KIND);
        let Some(other_end) = other_end else {
            return;
        };
        let silenced = link::fetch(&mut self.kernel.route, other_end).and_then(|other_end| {
            match self.kernel.ipv6(&other_end.name) {
                true => self.kernel.set_ipv6(&other_end.name, false),
                false => Ok(()),
            }
        });
        if let Err(error) = silenced {
            let why = strerror(&error);
            log::warn!("Failed to disable IPv6 behind the team device ({why}).");
        }
    }

    /// The note on the ports, and those in it that go on with a device that is taken over; the
    /// others are given back.
    fn settle_leftovers(
        &mut self,
        options: &StartOptions,
        take_over: bool,
    ) -> Result<(Journal, Vec<Standing>), StartError> {
        let file = format!("{}.ports", options.device);
        let mut journal = Journal::open(options.run_dir.join(file));
        let mut standing = Vec::new();
        let mut left = journal.ports().to_vec();
        if take_over {
            left.retain(|found| match standing_port(&mut self.kernel, found) {
                Some(port) => {
                    standing.push(port);
                    false
                }
                None => true,
            });
        }
        give_back_leftovers(&mut self.kernel, &mut journal, &left)
            .map_err(|error| StartError::new("Failed to forget old ports.", error))?;
        Ok((journal, standing))
    }

    fn open_userspace(
        &mut self,
        options: &StartOptions,
        tokens: usize,
        standing: Vec<Standing>,
        open: impl FnOnce(Registry, Range<usize>) -> io::Result<Userspace>,
    ) -> Result<Opened, StartError> {
        let tokens = tokens + DATA_PATH_TOKENS..tokens + TEAM_TOKENS;
        let registry = self.poll.registry().try_clone();
        let data_path = registry
            .and_then(|registry| open(registry, tokens))
            .map_err(|error| StartError::new(CREATE, error))?;
        let device = link::find(&mut self.kernel.route, &options.device)
            .map_err(|error| StartError::new("Failed to read the team device.", error))?;
        self.silence_other_end(&device);
        Ok(Opened {
            data_path: Box::new(data_path),
            refused: Vec::new(),
            device,
            standing,
        })
    }
}

/// A port that a daemon which is gone left in the team, as it is now.
fn standing_port(kernel: &mut Kernel, found: &PortInterface) -> Option<Standing> {
    let interface = link::fetch(&mut kernel.route, found.ifindex).ok()?;
    let stands = interface.name == found.name
        && interface.admin_up
        && interface.master.is_none()
        && tc::is_host_blocked(&mut kernel.route, found.ifindex).ok()?;
    stands.then(|| Standing {
        interface,
        found: found.clone(),
    })
}

/// teamd's words for a device that could not be had.
const CREATE: &str = "Failed to create team device.";
/// Kind of the team device of the relay.
const TAP_KIND: &str = "tun";

/// A device that was there before.
struct Existing {
    device: LinkInfo,
    /// A daemon of this team that is gone has left it; what `-o` takes over otherwise is not ours
    /// to delete.
    ours: bool,
}

/// A data path with its device.
struct Opened {
    data_path: Box<dyn DataPath>,
    /// For the state.
    refused: Vec<(Mover, String)>,
    device: LinkInfo,
    /// Ports that are in the team already.
    standing: Vec<Standing>,
}

/// Whether what a runner wants can be had from a data path at all.
fn can_do(mover: Mover, settings: &TeamSettings) -> bool {
    match mover {
        Mover::Kernel => kernel_team::can_do(&settings.runner),
        Mover::Programs => programs::can_do(&settings.runner),
        Mover::Relay => true,
    }
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

/// Gives back those of the ports `left` that a daemon that ended without notice had taken.
fn give_back_leftovers(
    kernel: &mut Kernel,
    journal: &mut Journal,
    left: &[PortInterface],
) -> io::Result<()> {
    for found in left {
        // The index may stand for another interface by now.
        let same = link::fetch(&mut kernel.route, found.ifindex)
            .is_ok_and(|interface| interface.name == found.name);
        if same {
            log::warn!(
                "{}: giving back the port of a daemon that is gone.",
                found.name
            );
            restore(kernel, found);
            return_ipv6(kernel, &found.name, found.ipv6);
            let program = journal.traces().programs.get(&found.ifindex).copied();
            let released = programs::clear(&mut kernel.route, found, program)
                .and_then(|()| tc::unblock_host(&mut kernel.route, found.ifindex));
            if let Err(error) = released {
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

//! Which data path a team gets, and its device: made anew, or found and taken over.

use std::io;
use std::ops::Range;

use json_config::DataPathChoice;
use mio::{Registry, Token};
use runners::TeamSettings;

use super::leftovers::settle_leftovers;
use super::{CREATE, StartError, StartOptions, TAP_KIND};
use crate::daemon::Daemon;
use crate::daemon::source::DATA_PATH_TOKENS;
use crate::daemon::team::{AdoptedPort, as_found};
use crate::datapath::ebpf;
use crate::datapath::team_driver::{self, KernelTeam};
use crate::datapath::{DataPath, DataPathKind};
use crate::datapath::{device::DeviceOptions, relay::Userspace};
use crate::errno::strerror;
use crate::netlink::link::{self, LinkInfo, VETH_KIND};

/// A data path with its device.
pub(super) struct Opened {
    pub(super) data_path: Box<dyn DataPath>,
    /// For the state.
    pub(super) refused: Vec<(DataPathKind, String)>,
    pub(super) device: LinkInfo,
    /// Ports that are in the team already.
    pub(super) adopted: Vec<AdoptedPort>,
}

impl Daemon {
    /// Opens what moves the frames: what the existing device needs, else the first of what was
    /// asked for that works.
    pub(super) fn open_data_path(
        &mut self,
        options: &StartOptions,
        settings: &TeamSettings,
        existing: Option<LinkInfo>,
        tokens: usize,
    ) -> Result<Opened, StartError> {
        let Some(device) = existing else {
            let candidates: &[DataPathKind] = match options.data_path {
                DataPathChoice::Auto => &[
                    DataPathKind::Kernel,
                    DataPathKind::Programs,
                    DataPathKind::Relay,
                ],
                DataPathChoice::Kernel => &[DataPathKind::Kernel],
                DataPathChoice::Programs => &[DataPathKind::Programs],
                DataPathChoice::Relay => &[DataPathKind::Relay],
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
        if device.kind == team_driver::LINK_KIND {
            if matches!(choice, DataPathChoice::Programs | DataPathChoice::Relay)
                || !team_driver::can_do(&settings.runner)
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
        let candidates: &[DataPathKind] = match (device.kind.as_str(), choice) {
            (TAP_KIND, _) | (_, DataPathChoice::Relay) => &[DataPathKind::Relay],
            (_, DataPathChoice::Programs) => &[DataPathKind::Programs],
            _ => &[DataPathKind::Programs, DataPathKind::Relay],
        };
        self.open_first(candidates, options, settings, true, tokens)
    }

    /// Creates a team device, or takes one over, for the first of `candidates` that works.
    fn open_first(
        &mut self,
        candidates: &[DataPathKind],
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
                DataPathKind::Kernel => self.create_kernel_team(&options.device, settings, tokens),
                DataPathKind::Programs => self.open_programs(options, take_over, tokens),
                DataPathKind::Relay => self.open_relay(options, take_over, tokens),
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
            link::create(&mut self.kernel.route, name, team_driver::LINK_KIND)?;
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
        let token = Token(tokens);
        let team = KernelTeam::open(self.poll.registry(), token, device.ifindex, settings)?;
        let mut adopted = link::all(&mut self.kernel.route)?;
        adopted.retain(|link| link.master == Some(device.ifindex));
        // The first to be known keeps a tie, so the port that carries comes first.
        let active = team.active_ifindex();
        adopted.sort_by_key(|link| Some(link.ifindex) != active);
        let adopted = adopted.into_iter().map(|interface| AdoptedPort {
            found: as_found(&self.kernel, &interface),
            interface,
        });
        Ok(Opened {
            data_path: Box::new(team),
            refused: Vec::new(),
            device,
            adopted: adopted.collect(),
        })
    }

    /// A device with the relay behind it. With one that was there, its ports stand.
    fn open_relay(
        &mut self,
        options: &StartOptions,
        take_over: bool,
        tokens: usize,
    ) -> Result<Opened, StartError> {
        let (port_state, adopted) = settle_leftovers(&mut self.kernel, options, take_over)?;
        let device = DeviceOptions {
            name: options.device.clone(),
            persist: options.keep_device,
            take_over,
        };
        self.open_userspace(options, tokens, adopted, |registry, tokens| {
            Userspace::create(registry, tokens, &device, port_state)
        })
    }

    /// A pair of interfaces with programs behind it. With one that was there, its ports stand.
    fn open_programs(
        &mut self,
        options: &StartOptions,
        take_over: bool,
        tokens: usize,
    ) -> Result<Opened, StartError> {
        let (port_state, adopted) = settle_leftovers(&mut self.kernel, options, take_over)?;
        let name = &options.device;
        let active = port_state.persisted_state().active;
        let mut opened = self.open_userspace(options, tokens, adopted, |registry, tokens| {
            Userspace::create_with_programs(registry, tokens, name, take_over, port_state)
        })?;
        // The first to be known keeps a tie, so the port that carries comes first.
        let of_active = |port: &AdoptedPort| Some(port.interface.ifindex) != active;
        opened.adopted.sort_by_key(of_active);
        Ok(opened)
    }

    fn open_userspace(
        &mut self,
        options: &StartOptions,
        tokens: usize,
        adopted: Vec<AdoptedPort>,
        open: impl FnOnce(Registry, Range<usize>) -> io::Result<Userspace>,
    ) -> Result<Opened, StartError> {
        let tokens = tokens..tokens + DATA_PATH_TOKENS;
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
            adopted,
        })
    }

    /// Keeps the host from speaking IPv6 at the other end of a pair.
    fn silence_other_end(&mut self, device: &LinkInfo) {
        let peer = device.lower.filter(|_| device.kind == VETH_KIND);
        let Some(peer) = peer else {
            return;
        };
        let silenced = link::fetch(&mut self.kernel.route, peer).and_then(|peer| {
            match self.kernel.ipv6(&peer.name) {
                true => self.kernel.set_ipv6(&peer.name, false),
                false => Ok(()),
            }
        });
        if let Err(error) = silenced {
            let why = strerror(&error);
            log::warn!("Failed to disable IPv6 behind the team device ({why}).");
        }
    }
}

/// Whether what a runner wants can be had from a data path at all.
fn can_do(mover: DataPathKind, settings: &TeamSettings) -> bool {
    match mover {
        DataPathKind::Kernel => team_driver::can_do(&settings.runner),
        DataPathKind::Programs => ebpf::can_do(&settings.runner),
        DataPathKind::Relay => true,
    }
}

fn mode_advice(settings: &TeamSettings, error: &io::Error) -> String {
    let mode = team_driver::mode(&settings.runner).unwrap_or_default();
    match error.raw_os_error() {
        Some(libc::EBUSY) => format!(
            "The device has ports and another mode than \"{mode}\"; \
             take them out or use -r."
        ),
        _ => format!("Failed to drive the device in mode \"{mode}\"."),
    }
}

//! The choice of a team's data path, and its device: created, or found and taken over.

use std::io;
use std::rc::Rc;

use json_config::DataPathChoice;
use mio::Token;
use runners::{HwAddr, TxPolicy};

use super::leftovers::settle_leftovers;
use super::{CREATE, StartError, StartOptions};
use crate::daemon::Daemon;
use crate::daemon::requirements::supports;
use crate::daemon::source::DATA_PATH_TOKENS;
use crate::daemon::team::{AdoptedPort, as_found};
use crate::datapath::device::{DeviceOptions, TAP_KIND};
use crate::datapath::driverless::DriverlessTeam;
use crate::datapath::team_driver::{self, KernelTeam};
use crate::datapath::{DataPath, DataPathKind, Requirements};
use crate::errno::strerror;
use crate::netlink::link::{self, LinkInfo};

/// A data path with its device.
pub(super) struct Opened {
    pub(super) data_path: Box<dyn DataPath>,
    /// Data paths that were tried first, and why they cannot be used.
    pub(super) refused: Vec<(DataPathKind, String)>,
    pub(super) device: LinkInfo,
    /// Address with which the daemon created or found the device.
    pub(super) hwaddr: HwAddr,
    /// Ports that the device has already.
    pub(super) adopted: Vec<AdoptedPort>,
}

impl Daemon {
    /// Opens the data path that the existing device needs, else the first one that the
    /// configuration allows and that works; a device that is created has the address `hwaddr`.
    pub(super) fn open_data_path(
        &mut self,
        options: &StartOptions,
        requirements: &Requirements,
        existing: Option<LinkInfo>,
        hwaddr: HwAddr,
        tokens: usize,
    ) -> Result<Opened, StartError> {
        let device_options = DeviceOptions {
            name: options.device.clone(),
            hwaddr,
            persist: options.keep_device,
            take_over: existing.is_some(),
        };
        let choice = options.data_path.unwrap_or(DataPathChoice::Auto);
        let Some(device) = existing else {
            let candidates: &[DataPathKind] = match choice {
                DataPathChoice::Auto => {
                    &[DataPathKind::Kernel, DataPathKind::Programs, DataPathKind::Relay]
                }
                DataPathChoice::Kernel => &[DataPathKind::Kernel],
                DataPathChoice::Programs => &[DataPathKind::Programs],
                DataPathChoice::Relay => &[DataPathKind::Relay],
            };
            return self.open_first(candidates, options, requirements, &device_options, tokens);
        };
        let name = &options.device;
        let other_kind = |backends: &str| {
            let invalid = io::Error::from_raw_os_error(libc::EINVAL);
            let advice =
                format!("\"{name}\" belongs to the data path {backends}; -r makes it anew.");
            Err(StartError::new(advice, invalid))
        };
        if device.kind == team_driver::LINK_KIND {
            if matches!(choice, DataPathChoice::Programs | DataPathChoice::Relay)
                || !team_driver::supports(requirements)
            {
                return other_kind("kernel");
            }
            return self.open_kernel_team(device, requirements, tokens).map_err(|error| {
                StartError::new(mode_advice(&requirements.policy, &error), error)
                    .then("Failed to init runner.")
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
        self.open_first(candidates, options, requirements, &device_options, tokens)
    }

    /// Creates a team device, or takes one over, for the first of `candidates` that works.
    fn open_first(
        &mut self,
        candidates: &[DataPathKind],
        options: &StartOptions,
        requirements: &Requirements,
        device: &DeviceOptions,
        tokens: usize,
    ) -> Result<Opened, StartError> {
        let mut refused = Vec::new();
        let mut last = None;
        for kind in candidates {
            let opened = match kind {
                _ if !supports(*kind, requirements) => Err(StartError::new(
                    format!(
                        "Data path {} cannot do what the runner does; \
                         leave \"data_path\" out, or make it \"programs\" or \"relay\".",
                        kind.name()
                    ),
                    io::Error::from_raw_os_error(libc::EOPNOTSUPP),
                )),
                DataPathKind::Kernel => self.create_kernel_team(device, requirements, tokens),
                kind => self.open_driverless(*kind, options, device, tokens),
            };
            match opened {
                Ok(opened) => {
                    if *kind == DataPathKind::Relay {
                        warn_of_relay(&refused);
                    }
                    return Ok(Opened { refused, ..opened });
                }
                Err(error) => {
                    let why = strerror(error.cause());
                    log::debug!("Data path {} cannot be used here ({why}).", kind.name());
                    refused.push((*kind, why));
                    last = Some(error);
                }
            }
        }
        // There is always a candidate.
        let unknown = || StartError::new(CREATE, io::ErrorKind::Unsupported.into());
        Err(last.unwrap_or_else(unknown))
    }

    /// Creates a team device of the kernel's driver, and deletes it if it cannot be opened.
    fn create_kernel_team(
        &mut self,
        options: &DeviceOptions,
        requirements: &Requirements,
        tokens: usize,
    ) -> Result<Opened, StartError> {
        let DeviceOptions { name, hwaddr, .. } = options;
        let mut create = || {
            link::create(&mut self.kernel.route, name, team_driver::LINK_KIND, *hwaddr)?;
            let device = link::find(&mut self.kernel.route, name)?;
            let ifindex = device.ifindex;
            let opened = self.open_kernel_team(device, requirements, tokens);
            if opened.is_err() {
                link::delete(&mut self.kernel.route, ifindex)?;
            }
            Ok(Opened { hwaddr: *hwaddr, ..opened? })
        };
        create().map_err(|error| {
            let advice = "The kernel's team driver cannot be used; data path \"auto\" needs none.";
            StartError::new(advice, error).then(CREATE)
        })
    }

    fn open_kernel_team(
        &mut self,
        device: LinkInfo,
        requirements: &Requirements,
        tokens: usize,
    ) -> io::Result<Opened> {
        let token = Token(tokens);
        let (registry, shared) = (&self.registry, Rc::clone(&self.programs));
        let team = KernelTeam::open(registry, token, device.ifindex, requirements, shared)?;
        let mut adopted = link::all(&mut self.kernel.route)?;
        adopted.retain(|link| link.master == Some(device.ifindex));
        // The active port comes first, as in `open_driverless`.
        let active = team.active_ifindex();
        adopted.sort_by_key(|link| Some(link.ifindex) != active);
        let adopted = adopted
            .into_iter()
            .map(|interface| AdoptedPort { found: as_found(&self.kernel, &interface), interface });
        Ok(Opened {
            data_path: Box::new(team),
            refused: Vec::new(),
            hwaddr: device.hwaddr,
            device,
            adopted: adopted.collect(),
        })
    }

    /// Opens a device whose frames programs or the relay move; the ports of an existing device are
    /// adopted.
    fn open_driverless(
        &mut self,
        kind: DataPathKind,
        options: &StartOptions,
        device: &DeviceOptions,
        tokens: usize,
    ) -> Result<Opened, StartError> {
        let (port_state, mut adopted) =
            settle_leftovers(&mut self.kernel, options, device.take_over)?;
        // Among equal ports the runner keeps the first one, so the active port comes first.
        let active = port_state.persisted_state().active;
        adopted.sort_by_key(|port| Some(port.interface.ifindex) != active);
        let tokens = tokens..tokens + DATA_PATH_TOKENS;
        let (shared, kept) = (Rc::clone(&self.programs), &mut self.kept);
        let registry = Rc::clone(&self.registry);
        let data_path = match kind {
            DataPathKind::Programs => {
                DriverlessTeam::with_programs(registry, tokens, device, port_state, shared)
            }
            _ => DriverlessTeam::with_relay(registry, tokens, device, port_state, shared, kept),
        };
        let data_path = Box::new(data_path.map_err(|error| StartError::new(CREATE, error))?);
        let DeviceOptions { hwaddr, take_over, .. } = device;
        let mut device = link::find(&mut self.kernel.route, &options.device)
            .map_err(|error| StartError::new("Failed to read the team device.", error))?;
        let hwaddr = if *take_over { device.hwaddr } else { *hwaddr };
        self.kernel.undo_udev(&mut device, hwaddr);
        self.disable_ipv6_at_peer(&device);
        Ok(Opened { data_path, refused: Vec::new(), device, hwaddr, adopted })
    }

    /// Disables IPv6 on the peer of a veth or netkit.
    fn disable_ipv6_at_peer(&mut self, device: &LinkInfo) {
        let Some(peer) = device.peer() else { return };
        let disabled = link::fetch(&mut self.kernel.route, peer).and_then(|peer| {
            match self.kernel.ipv6(&peer.name) {
                true => self.kernel.disable_ipv6(&peer.name, device.ifindex),
                false => Ok(()),
            }
        });
        if let Err(error) = disabled {
            let why = strerror(&error);
            log::warn!("Failed to disable IPv6 behind the team device ({why}).");
        }
    }
}

/// Warns that every frame passes through the daemon because programs failed.
fn warn_of_relay(refused: &[(DataPathKind, String)]) {
    let programs = refused.iter().find(|(kind, _)| *kind == DataPathKind::Programs);
    if let Some((_, why)) = programs {
        log::warn!("Every frame passes through the daemon: data path programs fails ({why}).");
    }
}

fn mode_advice(policy: &TxPolicy, error: &io::Error) -> String {
    let mode = team_driver::mode(policy).unwrap_or_default();
    match error.raw_os_error() {
        Some(libc::EBUSY) => format!(
            "The device has ports and another mode than \"{mode}\"; \
             take them out or use -r."
        ),
        _ => format!("Failed to drive the device in mode \"{mode}\"."),
    }
}

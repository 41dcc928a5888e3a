//! The choice of a team's data path, and its device: created, or found and taken over.

use std::io;
use std::ops::Range;
use std::time::Duration;

use json_config::DataPathChoice;
use mio::{Registry, Token};
use runners::{
    BUCKETS, HashFields, HostBalance, HostTraffic, HwAddr, RunnerSettings, SourceBalance,
    TeamSettings, TxPolicy,
};

use super::leftovers::settle_leftovers;
use super::{CREATE, StartError, StartOptions, TAP_KIND};
use crate::daemon::Daemon;
use crate::daemon::source::DATA_PATH_TOKENS;
use crate::daemon::team::{AdoptedPort, as_found};
use crate::datapath::device::DeviceOptions;
use crate::datapath::driverless::DriverlessTeam;
use crate::datapath::ebpf;
use crate::datapath::team_driver::{self, KernelTeam};
use crate::datapath::{DataPath, DataPathKind, Requirements};
use crate::errno::strerror;
use crate::netlink::link::{self, LinkInfo, VETH_KIND};

/// A data path with its device.
pub(super) struct Opened {
    pub(super) data_path: Box<dyn DataPath>,
    /// Data paths that were tried first, and why they cannot be used.
    pub(super) refused: Vec<(DataPathKind, String)>,
    pub(super) device: LinkInfo,
    /// Ports that an earlier daemon, or somebody else, has attached.
    pub(super) adopted: Vec<AdoptedPort>,
}

impl Daemon {
    /// Opens the data path that the existing device needs, else the first one that the
    /// configuration allows and that works.
    pub(super) fn open_data_path(
        &mut self,
        options: &StartOptions,
        requirements: &Requirements,
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
            return self.open_first(candidates, options, requirements, false, tokens);
        };
        let name = &options.device;
        let choice = options.data_path;
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
            return self
                .open_kernel_team(device, requirements, tokens)
                .map_err(|error| StartError {
                    attempts: vec![
                        mode_advice(&requirements.policy, &error),
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
        self.open_first(candidates, options, requirements, true, tokens)
    }

    /// Creates a team device, or takes one over, for the first of `candidates` that works.
    fn open_first(
        &mut self,
        candidates: &[DataPathKind],
        options: &StartOptions,
        requirements: &Requirements,
        take_over: bool,
        tokens: usize,
    ) -> Result<Opened, StartError> {
        let mut refused = Vec::new();
        let mut last = None;
        for kind in candidates {
            let opened = match kind {
                _ if !supports(*kind, requirements) => Err(StartError::new(
                    format!(
                        "Data path {} cannot do what the runner does; \
                         leave \"data_path\" out, or make it \"relay\".",
                        kind.name()
                    ),
                    io::Error::from_raw_os_error(libc::EOPNOTSUPP),
                )),
                DataPathKind::Kernel => {
                    self.create_kernel_team(&options.device, requirements, tokens)
                }
                DataPathKind::Programs => self.open_programs(options, take_over, tokens),
                DataPathKind::Relay => self.open_relay(options, take_over, tokens),
            };
            match opened {
                Ok(opened) => return Ok(Opened { refused, ..opened }),
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
        name: &str,
        requirements: &Requirements,
        tokens: usize,
    ) -> Result<Opened, StartError> {
        let mut create = || {
            link::create(&mut self.kernel.route, name, team_driver::LINK_KIND)?;
            let device = link::find(&mut self.kernel.route, name)?;
            let ifindex = device.ifindex;
            let opened = self.open_kernel_team(device, requirements, tokens);
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
        requirements: &Requirements,
        tokens: usize,
    ) -> io::Result<Opened> {
        let token = Token(tokens);
        let team = KernelTeam::open(self.poll.registry(), token, device.ifindex, requirements)?;
        let mut adopted = link::all(&mut self.kernel.route)?;
        adopted.retain(|link| link.master == Some(device.ifindex));
        // Among equal ports the runner keeps the first one, so the active port comes first.
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

    /// Opens a device whose frames the relay moves; the ports of an existing device are adopted.
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
        self.open_driverless(options, tokens, adopted, |registry, tokens| {
            DriverlessTeam::with_relay(registry, tokens, &device, port_state)
        })
    }

    /// Opens a veth whose frames programs move; the ports of an existing device are adopted.
    fn open_programs(
        &mut self,
        options: &StartOptions,
        take_over: bool,
        tokens: usize,
    ) -> Result<Opened, StartError> {
        let (port_state, adopted) = settle_leftovers(&mut self.kernel, options, take_over)?;
        let name = &options.device;
        let active = port_state.persisted_state().active;
        let mut opened = self.open_driverless(options, tokens, adopted, |registry, tokens| {
            DriverlessTeam::with_programs(registry, tokens, name, take_over, port_state)
        })?;
        // Among equal ports the runner keeps the first one, so the active port comes first.
        let is_other = |port: &AdoptedPort| Some(port.interface.ifindex) != active;
        opened.adopted.sort_by_key(is_other);
        Ok(opened)
    }

    fn open_driverless(
        &mut self,
        options: &StartOptions,
        tokens: usize,
        adopted: Vec<AdoptedPort>,
        open: impl FnOnce(Registry, Range<usize>) -> io::Result<DriverlessTeam>,
    ) -> Result<Opened, StartError> {
        let tokens = tokens..tokens + DATA_PATH_TOKENS;
        let registry = self.poll.registry().try_clone();
        let data_path = registry
            .and_then(|registry| open(registry, tokens))
            .map_err(|error| StartError::new(CREATE, error))?;
        let device = link::find(&mut self.kernel.route, &options.device)
            .map_err(|error| StartError::new("Failed to read the team device.", error))?;
        self.disable_ipv6_at_peer(&device);
        Ok(Opened {
            data_path: Box::new(data_path),
            refused: Vec::new(),
            device,
            adopted,
        })
    }

    /// Disables IPv6 on the peer of a veth.
    fn disable_ipv6_at_peer(&mut self, device: &LinkInfo) {
        let peer = device.lower.filter(|_| device.kind == VETH_KIND);
        let Some(peer) = peer else {
            return;
        };
        let disabled = link::fetch(&mut self.kernel.route, peer).and_then(|peer| {
            match self.kernel.ipv6(&peer.name) {
                true => self.kernel.set_ipv6(&peer.name, false),
                false => Ok(()),
            }
        });
        if let Err(error) = disabled {
            let why = strerror(&error);
            log::warn!("Failed to disable IPv6 behind the team device ({why}).");
        }
    }
}

/// Whether a data path can do what the runner needs, on any host.
fn supports(kind: DataPathKind, requirements: &Requirements) -> bool {
    match kind {
        DataPathKind::Kernel => team_driver::supports(requirements),
        DataPathKind::Programs => ebpf::supports(requirements),
        DataPathKind::Relay => true,
    }
}

/// Returns what a team with these settings needs of its data path.
pub(super) fn requirements(settings: &TeamSettings) -> Requirements {
    let load_balance = |fields: HashFields, interval: Option<Duration>| TxPolicy::LoadBalance {
        fields,
        buckets: Box::new([None; BUCKETS]),
        balanced: interval.is_some(),
    };
    let (policy, balancing_interval) = match &settings.runner {
        RunnerSettings::Broadcast => (TxPolicy::Broadcast, None),
        RunnerSettings::RoundRobin { packets_per_port } => {
            let packets_per_port = *packets_per_port;
            (TxPolicy::RoundRobin { packets_per_port }, None)
        }
        RunnerSettings::Random { seed } => (TxPolicy::Random { seed: *seed }, None),
        RunnerSettings::ActiveBackup { .. } => (TxPolicy::ActiveBackup { active: None }, None),
        RunnerSettings::LoadBalance {
            tx_hash,
            balancing_interval: interval,
        } => (load_balance(*tx_hash, *interval), *interval),
        RunnerSettings::Lacp(lacp) => {
            let interval = lacp.balancing_interval;
            (load_balance(lacp.tx_hash, interval), interval)
        }
        RunnerSettings::Slb {
            host,
            balancing_interval: interval,
            ..
        } => (source_balance(*host, interval.is_some()), *interval),
    };
    Requirements {
        policy,
        // A flow that waits for the partner's Marker Response has no port.
        drops_unmapped: matches!(&settings.runner, RunnerSettings::Lacp(lacp)
            if lacp.marker_timeout.is_some()),
        balancing_interval,
        notify_peers: settings.notify_peers,
        mcast_rejoin: settings.mcast_rejoin,
    }
}

fn source_balance(host: HostTraffic, balanced: bool) -> TxPolicy {
    let host = match host {
        HostTraffic::OnePort => None,
        HostTraffic::Sent | HostTraffic::Both => Some(HostBalance {
            addresses: Vec::new(),
            receive: host == HostTraffic::Both,
        }),
    };
    let ports = SourceBalance {
        buckets: Box::new([None; BUCKETS]),
        previous: Box::new([None; BUCKETS]),
        designated: None,
        hwaddr: HwAddr::default(),
        host,
    };
    TxPolicy::SourceBalance { ports, balanced }
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

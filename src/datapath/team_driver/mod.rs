//! The data path of the kernel's team driver: the driver moves the frames, options tell it how.
//!
//! Owns what the driver is told and a copy of its options, fed by its events and by our own
//! writes, so that nothing is written that is so already. The driver takes care of its ports
//! itself (up and down, MTU, their own address at the end), announces ports that it enables,
//! and keeps the team device's carrier.
//!
//! `driver` speaks netlink, `options` says which options a forwarding comes to, `hash_program`
//! writes the program of `tx_hash`, `rules` has programs do what slb needs and the driver lacks.

mod driver;
mod hash_program;
mod options;
mod rules;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use runners::{
    BUCKETS, Forwarding, PortForwarding, PortId, PortSettings, RunnerSettings, StationSeen,
    TeamSettings, TxPolicy,
};

use super::ebpf::source::DESIGNATED_BUCKET;
use super::{Counters, DataPath, DataPathKind, Drained, PortCare, PortInterface};
use crate::netlink::Received;
use crate::netlink::team::{OptionId, TeamOption, Value, name};

pub use hash_program::hash_program;
pub use options::{can_do, mode};

use driver::{Driver, KernelDriver};
use options::{Indices, OptionWrite, Parts, is_part};
use rules::Rules;

/// Kind of the link that the driver makes.
pub const LINK_KIND: &str = "team";

/// Options in one request: their list must stay below 64 KiB.
const MOST_AT_ONCE: usize = 500;
/// A request that never gets through is given up after so many.
const TRIES: usize = 8;

/// A team device of the kernel's driver.
#[derive(Debug)]
pub struct KernelTeam<D = KernelDriver> {
    driver: D,
    /// The driver's options, as last heard of or written.
    options: BTreeMap<OptionId, Value>,
    ports: Indices,
    forwarding: Option<Forwarding>,
    /// Under slb.
    rules: Option<Rules>,
    /// News lost to a full buffer, each answered by reading all options anew.
    resyncs: u64,
}

impl KernelTeam {
    /// Opens the driver of the team device `ifindex` and puts it into the runner's mode. News
    /// of it come under `token`.
    ///
    /// # Errors
    /// `ENOENT` if the driver has no generic netlink family, `EPERM` for root of a user
    /// namespace, `EINVAL` if the kernel lacks the mode or the device is no team, `EBUSY` if it
    /// has ports and another mode.
    pub fn open(
        registry: &Registry,
        token: Token,
        ifindex: u32,
        settings: &TeamSettings,
    ) -> io::Result<Self> {
        for shortfall in options::shortfalls(settings) {
            log::warn!("{shortfall}.");
        }
        let rules = match settings.runner {
            RunnerSettings::Slb { .. } => Some(Rules::new(ifindex)?),
            _ => None,
        };
        let mut driver = KernelDriver::open(ifindex)?;
        if rules.is_none() {
            driver.clear_device()?;
        }
        let fd = driver.as_raw_fd();
        registry.register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        Ok(KernelTeam {
            rules,
            ..KernelTeam::with(driver, settings)?
        })
    }
}

impl<D: Driver> KernelTeam<D> {
    fn with(driver: D, settings: &TeamSettings) -> io::Result<Self> {
        let mut team = KernelTeam {
            driver,
            options: BTreeMap::new(),
            ports: Indices::new(),
            forwarding: None,
            rules: None,
            resyncs: 0,
        };
        team.read_options()?;
        team.write_options(options::team(settings))?;
        Ok(team)
    }

    /// activebackup: interface index of the port that carries, whoever chose it.
    pub fn active_ifindex(&self) -> Option<u32> {
        match self.options.get(&OptionId::team(name::ACTIVEPORT)) {
            Some(Value::U32(ifindex)) => Some(*ifindex).filter(|ifindex| *ifindex != 0),
            _ => None,
        }
    }

    fn read_options(&mut self) -> io::Result<()> {
        let options = self.driver.options()?;
        self.options = options
            .into_iter()
            .map(|option| (option.id, option.value))
            .collect();
        Ok(())
    }

    /// Takes in all news, so that the copy of the options is as the driver's. Whether that was
    /// news, and not what we had told the driver ourselves.
    fn hear(&mut self) -> io::Result<bool> {
        let options = &mut self.options;
        let mut heard = false;
        let mut told_of_both = Vec::new();
        let received = self.driver.news(&mut |option: TeamOption| {
            if let (name::ENABLED, Some(port)) = (&*option.id.name, option.id.port) {
                told_of_both.push(port);
            }
            if option.removed {
                heard |= options.remove(&option.id).is_some();
            } else if options.get(&option.id) != Some(&option.value) {
                heard = true;
                options.insert(option.id, option.value);
            }
        })?;
        if received == Received::Overflow {
            self.resyncs += 1;
            log::warn!("news of options were lost, reading all of them anew");
            self.read_options()?;
            heard = true;
        } else if told_of_both.into_iter().any(|port| self.contradicts(port)) {
            self.read_options()?;
        }
        Ok(heard)
    }

    /// Whether `enabled` of a port does not follow from its parts, as known: somebody set both
    /// by it.
    fn contradicts(&self, port: u32) -> bool {
        let [both, rx, tx] = [name::ENABLED, name::RX_ENABLED, name::TX_ENABLED]
            .map(|name| self.options.get(&OptionId::port(name, port)));
        let is_on = |value| value == Some(&Value::Bool(true));
        rx.is_some() && is_on(both) != (is_on(rx) && is_on(tx))
    }

    /// Told by the options that the driver has; a version says nothing about it.
    fn parts(&self) -> Parts {
        match self.options.keys().any(|id| id.name == name::TX_ENABLED) {
            true => Parts::Apart,
            false => Parts::Joined,
        }
    }

    /// Writes those options that are not so already, in their order.
    fn write_options(&mut self, mut options: Vec<OptionWrite>) -> io::Result<()> {
        options.retain(|option| self.differs(option));
        for options in options.chunks(MOST_AT_ONCE) {
            self.write(options.to_vec())?;
        }
        Ok(())
    }

    fn differs(&self, (id, value): &OptionWrite) -> bool {
        self.options.get(id) != Some(value)
    }

    fn write(&mut self, mut options: Vec<OptionWrite>) -> io::Result<()> {
        for _ in 0..TRIES {
            if options.is_empty() {
                return Ok(());
            }
            let error = match self.driver.set(&options) {
                Ok(()) => {
                    self.options.extend(options);
                    return Ok(());
                }
                Err(error) => error,
            };
            // How far the driver came only a fresh reading can tell.
            self.hear()?;
            self.read_options()?;
            let before = options.len();
            match error.raw_os_error() {
                // Carried out, but the news of it found no listener that could take it.
                Some(libc::ESRCH | libc::ENOBUFS) => options.retain(|option| self.differs(option)),
                // A port is leaving; what is not about it still stands.
                Some(libc::ENOENT | libc::ENODEV) => {
                    options
                        .retain(|option| self.differs(option) && self.concerns_no_stranger(option));
                    if options.len() == before {
                        return Err(error);
                    }
                }
                _ => return Err(error),
            }
        }
        Err(io::Error::from_raw_os_error(libc::EAGAIN))
    }

    /// Whether the ports that a option speaks of are in the team.
    fn concerns_no_stranger(&self, (id, value): &OptionWrite) -> bool {
        let named = match (&*id.name, value) {
            (name::ACTIVEPORT | name::LB_TX_HASH_TO_PORT_MAPPING, Value::U32(port)) => Some(*port),
            _ => None,
        };
        let is_known = |port| {
            self.options
                .contains_key(&OptionId::port(name::ENABLED, port))
        };
        id.port.into_iter().chain(named).all(is_known)
    }

    /// Puts back what somebody else changed of the forwarding.
    fn reassert(&mut self) -> io::Result<()> {
        match self.forwarding.clone() {
            Some(forwarding) if is_runners_business(&forwarding.policy) => {
                self.write_options(options::forwarding(&forwarding, &self.ports, self.parts()))
            }
            _ => Ok(()),
        }
    }
}

/// Whether the runner chooses which ports take part. Where it does not, a port that the user
/// disables behind our back stays so, as under teamd.
fn is_runners_business(policy: &TxPolicy) -> bool {
    matches!(
        policy,
        TxPolicy::ActiveBackup { .. }
            | TxPolicy::LoadBalance { .. }
            | TxPolicy::SourceBalance { .. }
    )
}

impl<D: Driver> DataPath for KernelTeam<D> {
    fn mover(&self) -> DataPathKind {
        DataPathKind::Kernel
    }

    fn port_care(&self) -> PortCare {
        PortCare::DataPath
    }

    fn loads_programs(&self) -> bool {
        self.rules.is_some()
    }

    fn attach_port(&mut self, port: PortId, interface: &PortInterface) -> io::Result<()> {
        match &mut self.rules {
            Some(rules) => rules.attach_port(port, interface.ifindex)?,
            None => self.driver.clear_port(interface.ifindex)?,
        }
        if let Err(error) = self.driver.enslave(interface.ifindex) {
            if let Some(rules) = &mut self.rules {
                rules.detach_port(port)?;
            }
            return Err(error);
        }
        self.ports.insert(port, interface.ifindex);
        // The driver has just told of the port's options.
        self.hear().map(drop)
    }

    fn detach_port(&mut self, port: PortId) -> io::Result<()> {
        if let Some(ifindex) = self.ports.get(&port) {
            self.driver.release(*ifindex)?;
            self.ports.remove(&port);
        }
        match &mut self.rules {
            Some(rules) => rules.detach_port(port),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        self.rules.take().map_or(Ok(()), Rules::end)
    }

    fn configure_port(&mut self, port: PortId, settings: &PortSettings) -> io::Result<()> {
        match self.ports.get(&port) {
            Some(ifindex) => self.write_options(options::port(*ifindex, settings)),
            None => Err(io::Error::from_raw_os_error(libc::ENXIO)),
        }
    }

    fn priority(&self, port: PortId) -> Option<i32> {
        let ifindex = *self.ports.get(&port)?;
        match self.options.get(&OptionId::port(name::PRIORITY, ifindex)) {
            Some(Value::S32(priority)) => Some(*priority),
            _ => None,
        }
    }

    fn apply_forwarding(&mut self, forwarding: &Forwarding) -> io::Result<()> {
        if let Some(rules) = &mut self.rules {
            rules.apply(forwarding)?;
        }
        self.hear()?;
        let mut options = options::forwarding(forwarding, &self.ports, self.parts());
        if !is_runners_business(&forwarding.policy) {
            let before = self.forwarding.iter().flat_map(|before| &before.ports);
            let told: Vec<u32> = before
                .filter(|before| {
                    let part = |port: &PortForwarding| (port.collecting, port.distributing);
                    let now = forwarding.ports.iter().find(|now| now.port == before.port);
                    now.is_some_and(|now| part(now) == part(before))
                })
                .filter_map(|port| self.ports.get(&port.port).copied())
                .collect();
            options.retain(|(id, _)| !(is_part(id) && id.port.is_some_and(|p| told.contains(&p))));
        }
        self.forwarding = Some(forwarding.clone());
        self.write_options(options)
    }

    /// There are no frames to move; the driver's news are heard.
    fn drain_ready(&mut self, _token: Token, _budget: usize) -> io::Result<Drained> {
        if self.hear()? {
            self.reassert()?;
        }
        Ok(Drained::Dry)
    }

    fn counters(&self) -> Counters {
        let rules = self.rules.as_ref();
        Counters {
            resyncs: self.resyncs,
            rx_echoes: rules.map_or(0, Rules::rx_echoes),
            rx_inactive: rules.map_or(0, Rules::rx_inactive),
            ..Counters::default()
        }
    }

    fn stations(&self) -> Vec<StationSeen> {
        self.rules.as_ref().map_or(Vec::new(), Rules::stations)
    }

    /// As of the driver's last count: it counts once in a balancing interval.
    fn bucket_bytes(&self) -> Box<[u64; BUCKETS]> {
        let mut bytes = Box::new([0; BUCKETS]);
        for (bucket, bytes) in (0_u32..).zip(bytes.iter_mut()) {
            let count = self
                .options
                .get(&OptionId::element(name::LB_HASH_STATS, bucket));
            if let Some(Value::Binary(count)) = count {
                *bytes = count.as_slice().try_into().map_or(0, u64::from_ne_bytes);
            }
        }
        if self.rules.is_some() {
            // What leaves by the designated port is in no bucket of the runner's.
            bytes[usize::from(DESIGNATED_BUCKET)] = 0;
        }
        bytes
    }
}

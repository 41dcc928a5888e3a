//! Writes the maps of source balancing, and reads what the programs have learned.

use std::io;
use std::os::fd::AsRawFd;

use mio::Interest;
use mio::unix::SourceFd;
use runners::learned_sources::LearnedSources;
use runners::{HostBalance, HwAddr, PortId, SourceBalance, StationSeen};

use super::host_maps::{self, AddressFrame, HostMaps};
use super::source_maps::{self, SourceMaps};
use super::{Programs, TRANSMIT, hook};
use crate::netlink::RouteSocket;

impl Programs {
    /// Creates the maps of source balancing, with the sources that programs of a previous daemon
    /// have learned.
    pub(super) fn create_source_maps(&mut self, route: &mut RouteSocket) -> io::Result<()> {
        if self.maps.source.is_some() {
            return Ok(());
        }
        let previous = hook::find(route, self.team.attach_point(), TRANSMIT);
        let maps = previous.map_or(Vec::new(), |program| program.maps);
        self.maps.source = Some(SourceMaps::create(&maps)?);
        Ok(())
    }

    /// Writes a policy to the maps, which must exist; `collecting` are the ports that receive. Fails as
    /// bpf(2) does.
    pub(super) fn write_source_policy(
        &mut self,
        policy: &SourceBalance,
        collecting: &[PortId],
    ) -> io::Result<()> {
        let value = source_maps::policy_value(policy, |port| self.egress_of(port));
        let receives =
            |port| Some(self.ports.get(&port)?.ifindex).filter(|_| collecting.contains(&port));
        let designated = self.egress_of(policy.designated).ifindex;
        let receivers =
            policy.host.as_ref().map(|host| host_maps::receivers(host, receives, designated));
        self.create_host_maps(policy.host.as_ref())?;
        let Some(source) = &mut self.maps.source else { return Ok(()) };
        if value != self.source_policy {
            source.policy.write(0, &value)?;
            self.source_policy = value;
        }
        match (&mut source.host, receivers) {
            (Some(host), Some(receivers)) => host.write_addresses(receivers),
            _ => Ok(()),
        }
    }

    /// Creates the maps of the team's own traffic for `host`, unless there are such maps; drops the maps
    /// without `host` (slb).
    fn create_host_maps(&mut self, host: Option<&HostBalance>) -> io::Result<()> {
        let Some(source) = &mut self.maps.source else { return Ok(()) };
        let receives = source.host.as_ref().map(|maps| maps.messages.is_some());
        let wanted = host.map(|host| host.receive);
        if receives != wanted {
            source.host = wanted.map(HostMaps::create).transpose()?;
            let messages = source.host.as_ref().and_then(|host| host.messages.as_ref());
            if let (Some(messages), Some((registry, token))) = (messages, &self.messages) {
                let fd = messages.as_raw_fd();
                registry.register(&mut SourceFd(&fd), *token, Interest::READABLE)?;
            }
        }
        Ok(())
    }

    /// Takes the address messages that the programs have handed over since the last call.
    pub fn take_messages(&self) -> Vec<AddressFrame> {
        let host = self.maps.source.as_ref().and_then(|source| source.host.as_ref());
        host.map_or(Vec::new(), HostMaps::take_messages)
    }

    /// Writes sources that another backend has learned; fails as bpf(2) does.
    pub fn write_learned_sources(
        &mut self,
        route: &mut RouteSocket,
        learned: &LearnedSources,
    ) -> io::Result<()> {
        self.create_source_maps(route)?;
        match &self.maps.source {
            Some(source) => source.write(learned),
            None => Ok(()),
        }
    }

    /// Reads the learned sources, `None` under other policies than source balancing; fails as
    /// bpf(2) does.
    pub fn learned_sources(&self) -> io::Result<Option<LearnedSources>> {
        self.maps.source.as_ref().map(SourceMaps::read).transpose()
    }

    /// Returns the source addresses that sent lately; none if the maps cannot be read.
    pub fn stations(&self) -> Vec<StationSeen> {
        let learned = self.readable_sources();
        learned.map_or(Vec::new(), |learned| learned.present(self.hwaddr()))
    }

    /// Returns the learned sources; none, with a line in the log, if the maps cannot be read.
    pub fn readable_sources(&self) -> Option<LearnedSources> {
        self.learned_sources().unwrap_or_else(|error| {
            log::error!("cannot read who is behind the team: {error}");
            None
        })
    }

    /// The team's own address, which the policy begins with.
    fn hwaddr(&self) -> HwAddr {
        HwAddr(self.source_policy.first_chunk().copied().unwrap_or_default())
    }
}

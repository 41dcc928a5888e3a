//! Learned sources of the programs, under source balancing.

use std::io;

use runners::learned_sources::LearnedSources;
use runners::{HwAddr, StationSeen};

use super::source_maps::SourceMaps;
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

    /// Writes sources that another backend has learned.
    ///
    /// # Errors
    /// Those of bpf(2).
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

    /// Reads the learned sources; `None` under other policies than source balancing.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub fn learned_sources(&self) -> io::Result<Option<LearnedSources>> {
        self.maps.source.as_ref().map(SourceMaps::read).transpose()
    }

    /// Returns the source addresses that sent lately; none if the maps cannot be read.
    pub fn stations(&self) -> Vec<StationSeen> {
        match self.learned_sources() {
            Ok(learned) => learned.map_or(Vec::new(), |learned| learned.present(self.hwaddr())),
            Err(error) => {
                log::error!("cannot read who is behind the team: {error}");
                Vec::new()
            }
        }
    }

    /// The team's own address, which the policy begins with.
    fn hwaddr(&self) -> HwAddr {
        HwAddr(
            self.source_policy
                .first_chunk()
                .copied()
                .unwrap_or_default(),
        )
    }
}

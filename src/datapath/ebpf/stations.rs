//! What the programs of a team remember of stations, under source balancing.

use std::io;

use runners::StationSeen;
use runners::learned_sources::LearnedSources;

use super::source::SourceMaps;
use super::{Programs, TRANSMIT, hook};
use crate::netlink::RouteSocket;

impl Programs {
    /// Begins to remember stations, or goes on with what programs of an earlier daemon remember.
    pub(super) fn remember_sources(&mut self, route: &mut RouteSocket) -> io::Result<()> {
        if self.maps.source.is_some() {
            return Ok(());
        }
        let left = hook::attached(route, self.side.place(), TRANSMIT);
        let left = left.map_or(Vec::new(), |program| program.maps);
        self.maps.source = Some(SourceMaps::create(&left)?);
        Ok(())
    }

    /// Has the programs go on from what somebody else remembers of stations.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub fn remember(&mut self, route: &mut RouteSocket, memory: &LearnedSources) -> io::Result<()> {
        self.remember_sources(route)?;
        match &self.maps.source {
            Some(source) => source.remember(memory),
            None => Ok(()),
        }
    }

    /// What the programs remember of stations, under the policy that remembers.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub fn memory(&self) -> io::Result<Option<LearnedSources>> {
        let source = self.maps.source.as_ref();
        source.map(SourceMaps::memory).transpose()
    }

    /// Whose frames were sent lately, under the policy that needs to know.
    pub fn stations(&self) -> Vec<StationSeen> {
        match self.memory() {
            Ok(memory) => memory.map_or(Vec::new(), |memory| memory.present(self.policy.hwaddr)),
            Err(error) => {
                log::error!("cannot read who is behind the team: {error}");
                Vec::new()
            }
        }
    }
}

//! The ports of the runner by id, in one allocation of their size: a team has few ports, and a node
//! of a `BTreeMap` has room for eleven.

use super::port::LacpPort;
use crate::ident::PortId;

/// Ports, ordered by id.
#[derive(Clone, Debug, Default)]
pub(super) struct PortMap(Vec<(PortId, LacpPort)>);

impl PortMap {
    fn place(&self, id: PortId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |(id, _)| *id)
    }

    pub(super) fn get(&self, id: PortId) -> Option<&LacpPort> {
        self.place(id).ok().map(|place| &self.0[place].1)
    }

    pub(super) fn get_mut(&mut self, id: PortId) -> Option<&mut LacpPort> {
        self.place(id).ok().map(|place| &mut self.0[place].1)
    }

    /// Returns the port `id`. If the map lacks the port, adds what `make` returns.
    pub(super) fn get_or_insert_with(
        &mut self,
        id: PortId,
        make: impl FnOnce() -> LacpPort,
    ) -> &mut LacpPort {
        let place = self.place(id).unwrap_or_else(|place| {
            self.0.reserve_exact(1);
            self.0.insert(place, (id, make()));
            place
        });
        &mut self.0[place].1
    }

    pub(super) fn remove(&mut self, id: PortId) -> Option<LacpPort> {
        self.place(id).ok().map(|place| self.0.remove(place).1)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = PortId> {
        self.0.iter().map(|(id, _)| *id)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &LacpPort> {
        self.0.iter().map(|(_, port)| port)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut LacpPort> {
        self.0.iter_mut().map(|(_, port)| port)
    }
}

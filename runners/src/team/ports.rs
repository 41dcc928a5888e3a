//! Events about ports: membership, name, settings, and the choices of the user.

use super::Team;
use super::links::push_watch_actions;
use crate::ident::{Link, PortId};
use crate::port::Port;
use crate::settings::PortSettings;
use crate::time::Instant;

impl Team {
    /// Adds a port. The first port gives the team device its address, unless the address is
    /// configured or the port is adopted.
    pub(super) fn add_port(&mut self, now: Instant, mut port: Port, link: Link, adopted: bool) {
        if self.port(port.id()).is_some() {
            log::debug!("{}: added twice", port.name());
            return;
        }
        let hwaddr = port.hwaddr();
        let actions = match adopted {
            true => port.link_adopted(link),
            false => port.link_changed(now, link, self.context()),
        };
        push_watch_actions(&mut self.actions, &port, actions);
        self.ports.push(port);
        if self.ports.len() == 1 && self.settings.hwaddr.is_none() && !adopted {
            self.set_hwaddr(hwaddr);
        }
    }

    pub(super) fn remove_port(&mut self, port: PortId) {
        if let Some(at) = self.position(port) {
            self.ports.remove(at);
        }
    }

    pub(super) fn rename_port(&mut self, port: PortId, name: String) {
        if let Some(at) = self.position(port) {
            self.ports[at].name = name;
        }
    }

    pub(super) fn set_port_settings(&mut self, port: PortId, settings: PortSettings) {
        if let Some(at) = self.position(port) {
            self.ports[at].settings = settings;
        }
    }

    pub(super) fn allow_port(&mut self, port: PortId, allowed: bool) {
        if let Some(at) = self.position(port) {
            self.ports[at].allowed = allowed;
        }
    }

    pub(super) fn choose_active_port(&mut self, port: PortId) {
        if let Some(at) = self.position(port) {
            self.runner.choose_active(&self.ports[at]);
        }
    }

    /// Returns the index of a port; logs an event for a port that has left.
    pub(super) fn position(&self, port: PortId) -> Option<usize> {
        let at = self.ports.iter().position(|known| known.id() == port);
        if at.is_none() {
            log::debug!("event for port {port}, which is not in the team");
        }
        at
    }
}

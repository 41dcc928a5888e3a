//! Events about ports: membership, name, settings, and the choices of the user.

use super::Team;
use super::addresses::is_hwaddr_given;
use super::links::push_watch_actions;
use crate::ident::{Link, PortId};
use crate::port::Port;
use crate::settings::PortSettings;
use crate::time::Instant;

impl Team {
    /// Adds a port. The first port gives the team device its address, unless the address is
    /// configured, another program has set one, or the port is adopted.
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
        if self.ports.len() > 1 {
            return;
        }
        if is_hwaddr_given(&self.settings) {
            self.hwaddr.set_default(hwaddr);
        }
        let is_chosen = self.settings.hwaddr.is_some() || self.hwaddr.is_set_by_others();
        if !is_chosen && !adopted {
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

    pub(super) fn set_port_settings(&mut self, now: Instant, port: PortId, settings: PortSettings) {
        if let Some(at) = self.position(port) {
            self.ports[at].set_settings(now, settings);
            self.retry_hwaddr(at);
        }
    }

    pub(super) fn allow_port(&mut self, port: PortId, allowed: bool) {
        if let Some(at) = self.position(port) {
            self.ports[at].allowed = allowed;
            self.retry_hwaddr(at);
        }
    }

    pub(super) fn set_macsec_gate(&mut self, port: PortId, open: bool) {
        if let Some(at) = self.position(port) {
            self.ports[at].macsec_gate = open;
        }
    }

    pub(super) fn drain_port(&mut self, now: Instant, port: PortId, drained: bool) {
        let time = self.runner.drain_time();
        if let Some(at) = self.position(port) {
            self.ports[at].set_drained(now, drained, time);
        }
    }

    pub(super) fn restore_damping(
        &mut self,
        now: Instant,
        port: PortId,
        penalty: u64,
        suppressed_until: Option<Instant>,
    ) {
        if let Some(at) = self.position(port) {
            self.ports[at].restore_damping(now, penalty, suppressed_until);
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

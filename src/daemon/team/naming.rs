//! The names of configured ports: the wait for udev, and alternative names.

use std::collections::BTreeMap;
use std::time::Duration;

use json_config::Config;
use runners::Instant;

use super::ManagedTeam;
use crate::daemon::kernel::Kernel;
use crate::netlink::link::{self, LinkInfo};

/// Pause between two checks whether udev has processed the interfaces.
const INTERVAL: Duration = Duration::from_millis(20);
/// Longest wait for udev, which may be stopped.
const LIMIT: Duration = Duration::from_secs(10);

/// Interfaces that have a configured name and wait for udev.
#[derive(Debug, Default)]
pub(super) struct UdevWait {
    /// Configured name, and end of the wait, by index.
    interfaces: BTreeMap<u32, (String, Instant)>,
    next: Option<Instant>,
}

impl UdevWait {
    /// Returns when to call [`ManagedTeam::take_named_ports`].
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Returns whether the wait for the interface goes on.
    fn goes_on(&mut self, now: Instant, name: &str, ifindex: u32) -> bool {
        let begin = || (name.to_owned(), now + LIMIT);
        let (_, until) = self.interfaces.entry(ifindex).or_insert_with(begin);
        let goes_on = now < *until;
        if goes_on {
            self.next = Some(now + INTERVAL);
        }
        goes_on
    }
}

impl ManagedTeam {
    /// Returns whether the interface, which has the configured name `name`, must wait for udev. The
    /// first call for an interface starts its wait.
    pub(super) fn awaits_udev(
        &mut self,
        kernel: &Kernel,
        now: Instant,
        name: &str,
        ifindex: u32,
    ) -> bool {
        if kernel.udev.has_named(ifindex) {
            self.udev_wait.interfaces.remove(&ifindex);
            return false;
        }
        let goes_on = self.udev_wait.goes_on(now, name, ifindex);
        if !goes_on {
            let seconds = LIMIT.as_secs();
            log::warn!("{name}: udev has not processed the interface for {seconds} s; taking it.");
        }
        goes_on
    }

    /// Takes the interfaces that udev has processed meanwhile, and those whose wait has ended.
    pub(super) fn take_named_ports(&mut self, kernel: &mut Kernel, now: Instant) {
        if self.udev_wait.next.take_if(|next| *next <= now).is_none() {
            return;
        }
        let waiting = self.udev_wait.interfaces.values();
        for name in waiting.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.take_appeared_port(kernel, now, &name);
        }
        self.udev_wait.interfaces.retain(|_, (_, until)| *until > now);
    }

    /// Renames the entry of a port in the configuration, if the entry has an alternative name of the
    /// interface, to the name of the interface.
    pub(super) fn move_config(&mut self, interface: &LinkInfo) {
        let is_configured = |name: &str| self.config.port_names().any(|known| known == name);
        if is_configured(&interface.name) {
            return;
        }
        for altname in &interface.altnames {
            let key = self.moved_configs.get(altname).unwrap_or(altname).clone();
            if is_configured(&key) {
                self.config.rename_port(&key, &interface.name);
                self.moved_configs.insert(altname.clone(), interface.name.clone());
                return;
            }
        }
    }

    /// Renames the entries in a configuration that is read anew, as
    /// [`move_config`](Self::move_config) has renamed them in the running one.
    pub(super) fn move_known_configs(&self, config: &mut Config) {
        for (altname, name) in &self.moved_configs {
            let is_configured = |name: &str| config.port_names().any(|known| known == name);
            if is_configured(altname) && !is_configured(name) {
                config.rename_port(altname, name);
            }
        }
    }

    /// Records the configured name by which a port was found, unless the port has a link.
    pub(super) fn record_name(&mut self, ifindex: u32, name: &str) {
        let mut ports = self.ports.ids().into_iter();
        let Some(port) = ports.find(|port| self.ifindex(*port) == Some(ifindex)) else { return };
        let is_linked = self.core.port(port).is_some_and(|port| port.link().up);
        if let Some(attached) = self.ports.get_mut(port).filter(|_| !is_linked) {
            attached.taken_as = Some(name.to_owned());
        }
    }

    /// Releases a port that has lost its configured name before it had a link: the interface was the
    /// wrong one. Returns whether the port was released.
    pub(super) fn release_misnamed(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        port: runners::PortId,
        interface: &LinkInfo,
    ) -> bool {
        let Some(attached) = self.ports.get_mut(port) else { return false };
        let Some(name) = attached.taken_as.clone() else { return false };
        if interface.name == name || interface.altnames.contains(&name) {
            attached.taken_as = attached.taken_as.take().filter(|_| !interface.carrier);
            return false;
        }
        log::warn!("{name}: The interface is now named \"{}\"; releasing it.", interface.name);
        attached.name.clone_from(&interface.name);
        self.release(kernel, now, port);
        if link::find(&mut kernel.route, &name).is_ok() {
            self.take_appeared_port(kernel, now, &name);
        }
        true
    }
}

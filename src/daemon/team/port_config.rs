//! The configuration of a port: how it reaches the core and the data path, is replaced while the
//! team runs, and is persisted for a daemon that takes the team over.

use std::io;

use runners::{Event, Instant, PortId, PortSettings};

use super::ManagedTeam;
use super::ports::AdoptedPort;
use crate::daemon::kernel::Kernel;
use crate::datapath::Change;
use crate::errno::strerror;
use crate::netlink::link::LinkInfo;

impl ManagedTeam {
    /// Returns the settings of an interface that is, or becomes, a port.
    pub(super) fn port_settings(&mut self, interface: &LinkInfo) -> io::Result<PortSettings> {
        self.move_config(interface);
        let name = &interface.name;
        self.config = self.keep_gates(self.config.clone(), Some(name));
        let mut settings = self.config.port_settings(name).map_err(|problem| {
            log::error!("{problem}");
            io::Error::from_raw_os_error(libc::EINVAL)
        })?;
        if settings.queue_id.is_some() && !self.data_path.capabilities().queue_id {
            log::warn!("{name}: \"queue_id\" has no effect on the userspace data path.");
        }
        settings.lacp.number = port_number(name, interface.ifindex);
        Ok(settings)
    }

    /// Replaces the configuration of the interface `name`, port or not, by the object in `text`,
    /// and returns its settings.
    ///
    /// # Errors
    /// The fault in `text`; the configuration stays as it was.
    fn replace_config(&mut self, name: &str, text: &str) -> Result<PortSettings, String> {
        let mut updated = self.config.clone();
        updated
            .update_port(name, text.as_bytes())
            .map_err(|error| format!("{name}: Failed to parse config: {error}"))?;
        let settings =
            updated.clone().port_settings(name).map_err(|problem| problem.to_string())?;
        self.config = updated;
        Ok(settings)
    }

    /// Replaces the configuration of the interface `name`, also for a daemon that takes the team
    /// over later.
    ///
    /// # Errors
    /// As [`replace_config`](Self::replace_config).
    pub fn update_config(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        name: &str,
        text: &str,
    ) -> Result<(), String> {
        let settings = self.replace_config(name, text)?;
        self.forget_gates_unlike(&self.config.clone());
        for warning in self.config.port_warnings(name) {
            log::warn!("{warning}");
        }
        // NetworkManager sends `{}` for a port without settings of its own.
        let config = Some(text).filter(|_| self.config.dump_port(name) != "{}");
        if let Err(error) = self.partner_state.keep_config(name, config) {
            log::warn!("{name}: Failed to persist config ({}).", strerror(&error));
        }
        if let Some(port) = self.core.find_port(name) {
            self.change_settings(kernel, now, port, settings);
        }
        Ok(())
    }

    /// Configures adopted ports as they were configured while the former daemon ran, unless the
    /// team's own configuration names them.
    pub(super) fn recall_configs(&mut self, adopted: &[AdoptedPort]) {
        let names: Vec<String> = adopted.iter().map(|port| port.interface.name.clone()).collect();
        for name in &names {
            let known = self.config.port_names().any(|known| known == name);
            let kept = self.partner_state.config(name).filter(|_| !known);
            if let Some(Err(complaint)) = kept.map(|text| self.replace_config(name, &text)) {
                log::warn!("{complaint}");
            }
        }
        self.keep_partner_state_of(&names);
    }

    /// Returns the settings with the number of the port in LACPDUs.
    pub(super) fn numbered(&self, port: PortId, mut settings: PortSettings) -> PortSettings {
        if let Some(attached) = self.ports.get(port) {
            settings.lacp.number = port_number(&attached.name, attached.found.ifindex);
        }
        settings
    }

    pub(super) fn configure(&mut self, now: Instant, port: PortId, settings: &PortSettings) {
        let change = Change::PortSettings(port, settings);
        if let Err(error) = self.data_path.apply(now, change) {
            let name = self.ports.get(port).map_or("", |attached| &attached.name);
            log::warn!("{name}: Failed to configure port ({}).", strerror(&error));
        }
    }

    /// Replaces the settings of a port in the data path and in the core.
    pub(super) fn change_settings(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        port: PortId,
        settings: PortSettings,
    ) {
        let settings = self.numbered(port, settings);
        self.configure(now, port, &settings);
        self.handle(kernel, now, Event::PortSettingsChanged { port, settings });
    }
}

/// Returns the port number in LACPDUs: the low 16 bits of the index, as with teamd, but never 0,
/// which is no port number (802.1AX-2014, 6.3.4).
///
/// `EthernetN` has the number N + 1, as with SONiC's teamd: after a restart of the machine the index
/// may differ, and partners would take the port for a new one.
fn port_number(name: &str, ifindex: u32) -> u16 {
    let numbered = name.strip_prefix("Ethernet").and_then(|number| number.parse().ok());
    match numbered.and_then(|number: u16| number.checked_add(1)) {
        Some(number) => number,
        None if ifindex as u16 == 0 => u16::MAX,
        None => ifindex as u16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethernet_n_has_port_number_n_plus_1_and_others_their_index() {
        for (name, ifindex, number) in [
            ("eth0", 4, 4),
            ("eth0", 0x1_0000, u16::MAX),
            ("Ethernet0", 400, 1),
            ("Ethernet124", 4, 125),
            ("Ethernet65535", 4, 4),
            ("Ethernet-Rec0", 4, 4),
            ("Ethernet", 4, 4),
        ] {
            assert_eq!(port_number(name, ifindex), number, "{name}");
        }
    }
}

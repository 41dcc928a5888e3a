//! What the configuration says of a port: how it reaches the core and the data path, is replaced
//! while the team runs, and is known to a daemon that takes the team over.

use std::io;

use runners::{Event, Instant, PortId, PortSettings};

use super::ManagedTeam;
use super::ports::AdoptedPort;
use crate::daemon::kernel::Kernel;
use crate::datapath::Change;
use crate::errno::strerror;
use crate::netlink::link::LinkInfo;

impl ManagedTeam {
    /// The settings of an interface that is, or becomes, a port.
    pub(super) fn port_settings(&mut self, interface: &LinkInfo) -> io::Result<PortSettings> {
        let name = &interface.name;
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

    /// Replaces the configuration of the interface `name`, port or not, by the object in `text`;
    /// the settings that it stands for.
    ///
    /// # Errors
    /// What is wrong with it; everything is then as it was.
    fn replace_config(&mut self, name: &str, text: &str) -> Result<PortSettings, String> {
        let mut updated = self.config.clone();
        updated
            .update_port(name, text.as_bytes())
            .map_err(|error| format!("{name}: Failed to parse config: {error}"))?;
        let settings = updated
            .clone()
            .port_settings(name)
            .map_err(|problem| problem.to_string())?;
        self.config = updated;
        Ok(settings)
    }

    /// Takes a new configuration of the interface `name`, which a daemon that takes the team over
    /// will know as well.
    ///
    /// # Errors
    /// What is wrong with it; everything is then as it was.
    pub fn update_config(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        name: &str,
        text: &str,
    ) -> Result<(), String> {
        let settings = self.replace_config(name, text)?;
        // NetworkManager says so much of ports of which it has nothing to say.
        let says = Some(text).filter(|_| self.config.dump_port(name) != "{}");
        if let Err(error) = self.partner_state.keep_config(name, says) {
            log::warn!("{name}: Failed to keep config ({}).", strerror(&error));
        }
        if let Some(port) = self.core.find_port(name) {
            self.change_settings(kernel, now, port, settings);
        }
        Ok(())
    }

    /// Gives ports that are in the team already the configuration that they were given while it
    /// ran, unless the configuration of the team has one for them.
    pub(super) fn recall_configs(&mut self, adopted: &[AdoptedPort]) {
        let names = adopted.iter().map(|port| port.interface.name.as_str());
        let names: Vec<&str> = names.collect();
        for name in &names {
            let known = self.config.port_names().any(|known| known == *name);
            let kept = self.partner_state.config(name).filter(|_| !known);
            if let Some(Err(complaint)) = kept.map(|text| self.replace_config(name, &text)) {
                log::warn!("{complaint}");
            }
        }
        self.remember_only(&names);
    }

    pub(super) fn configure(&mut self, now: Instant, port: PortId, settings: &PortSettings) {
        let change = Change::PortSettings(port, settings);
        if let Err(error) = self.data_path.apply(now, change) {
            let name = self.ports.get(&port).map_or("", |held| &held.name);
            log::warn!("{name}: Failed to configure port ({}).", strerror(&error));
        }
    }

    /// Gives a port other settings.
    fn change_settings(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        port: PortId,
        mut settings: PortSettings,
    ) {
        if let Some(held) = self.ports.get(&port) {
            settings.lacp.number = port_number(&held.name, held.found.ifindex);
        }
        self.configure(now, port, &settings);
        self.tell(kernel, now, Event::PortSettingsChanged { port, settings });
    }
}

/// The number of a port in LACPDUs, as with teamd; but 0 is none (802.1AX-2014, 6.3.4).
///
/// That of `EthernetN` is N + 1, as with SONiC's teamd: an index may be another one after a
/// restart of the machine, and partners would take the port for a new one.
fn port_number(name: &str, ifindex: u32) -> u16 {
    let numbered = name
        .strip_prefix("Ethernet")
        .and_then(|number| number.parse().ok());
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
    fn a_port_is_numbered_by_its_name_where_that_says_it() {
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

//! The devices above a bond: VLANs, bridges and their addresses, found from the names of their lower
//! devices.

use std::collections::BTreeMap;

use super::model::Upper;

/// A device that a file describes.
#[derive(Clone, Debug, Default)]
struct Device {
    files: Vec<String>,
    lowers: Vec<String>,
    vlan: Option<u16>,
    addresses: Vec<String>,
}

/// The devices of a host by name.
#[derive(Clone, Debug, Default)]
pub struct Devices(BTreeMap<String, Device>);

impl Devices {
    fn device(&mut self, name: &str) -> &mut Device {
        self.0.entry(name.to_owned()).or_default()
    }

    /// Adds the file of a device, with its addresses.
    pub fn add(&mut self, name: &str, file: &str, addresses: Vec<String>) {
        let device = self.device(name);
        device.files.push(file.to_owned());
        device.addresses.extend(addresses);
    }

    /// Makes `lower` a lower device of `upper`.
    pub fn stack(&mut self, upper: &str, lower: &str) {
        self.device(upper).lowers.push(lower.to_owned());
    }

    /// Makes `upper` a VLAN of `lower`.
    pub fn stack_vlan(&mut self, upper: &str, lower: &str, id: Option<u16>) {
        self.stack(upper, lower);
        self.device(upper).vlan = id.filter(|id| *id < 4095);
    }

    /// Returns the devices above `name`, each once, with the VLAN id of their frames. Frames with two
    /// tags carry no addresses here, since a link watch has one tag.
    pub fn above(&self, name: &str) -> Vec<Upper> {
        let mut uppers: Vec<Upper> = Vec::new();
        let mut tags: BTreeMap<&str, Vec<u16>> = BTreeMap::from([(name, Vec::new())]);
        let mut reached = vec![name];
        while let Some(lower) = reached.pop() {
            let stacked = self.0.iter();
            let stacked = stacked.filter(|(_, d)| d.lowers.iter().any(|known| known == lower));
            for (upper, device) in stacked {
                if tags.contains_key(upper.as_str()) {
                    continue;
                }
                let tag: Vec<u16> =
                    tags[lower].iter().copied().chain(device.vlan).take(2).collect();
                let addresses = if tag.len() < 2 { device.addresses.clone() } else { Vec::new() };
                uppers.extend(device.files.iter().map(|file| Upper {
                    file: file.clone(),
                    name: upper.clone(),
                    vlan: tag.first().copied(),
                    addresses: addresses.clone(),
                }));
                tags.insert(upper, tag);
                reached.push(upper);
            }
        }
        uppers.sort_by(|a, b| (&a.name, &a.file).cmp(&(&b.name, &b.file)));
        uppers
    }
}

/// Returns the VLAN id at the end of a name such as `bond0.100` or `vlan100`.
pub fn vlan_of_name(name: &str) -> Option<u16> {
    let digits = name.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    let digits = digits.rsplit('.').next().unwrap_or(digits);
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_addresses_are_found_through_bridges_and_loops_end() {
        let mut devices = Devices::default();
        devices.add("bond0.100", "vlan", vec![]);
        devices.stack_vlan("bond0.100", "bond0", Some(100));
        devices.add("br0", "bridge", vec!["192.0.2.1/24".to_owned()]);
        devices.stack("br0", "bond0.100");
        devices.stack("bond0", "br0");
        devices.add("br0.7", "inner", vec!["192.0.2.2/24".to_owned()]);
        devices.stack_vlan("br0.7", "br0", Some(7));
        devices.add("other", "other", vec![]);
        let found = devices.above("bond0");
        let found: Vec<_> =
            found.iter().map(|upper| (&*upper.name, upper.vlan, upper.addresses.len())).collect();
        assert_eq!(
            found,
            [("bond0.100", Some(100), 0), ("br0", Some(100), 1), ("br0.7", Some(100), 0)]
        );
        assert_eq!(vlan_of_name("bond0.100"), Some(100));
        assert_eq!(vlan_of_name("vlan7"), Some(7));
        assert_eq!(vlan_of_name("guests"), None);
    }
}

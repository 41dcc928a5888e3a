//! The table of a bond's options: names, ranges, defaults, and the modes that use each option.
//!
//! All readers and writers use this table. [`to_team`](super::to_team) and
//! [`from_team`](super::from_team) translate the options. Standard: Linux's bonding driver. ifcfg
//! files, NetworkManager and sysfs use the driver's names, systemd-networkd has its own.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use runners::HwAddr;

/// The modes, by the driver's number.
pub const MODES: &[&str] = &[
    "balance-rr",
    "active-backup",
    "balance-xor",
    "broadcast",
    "802.3ad",
    "balance-tlb",
    "balance-alb",
];

/// The values that an option may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of these words; the driver also accepts the position in the list.
    Word(&'static [&'static str]),
    /// A whole number from the first to the second.
    Number(u32, u32),
    /// A time in milliseconds.
    Milliseconds,
    /// A time in seconds, at least 1.
    Seconds,
    /// `0` or `1`.
    Flag,
    /// IP addresses of one family with `,` between them.
    Addresses(Targets),
    /// An interface.
    Interface,
    /// A hardware address.
    HwAddr,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Identity of the option.
    pub opt: Opt,
    /// The driver's name.
    pub name: &'static str,
    /// Possible values.
    pub kind: Kind,
    /// The driver's default; empty if there is none.
    pub default: &'static str,
    /// Numbers of the modes that use the option.
    pub modes: &'static [u8],
    /// systemd-networkd's key in the section `Bond`.
    pub networkd: Option<&'static str>,
}

const ALL: &[u8] = &[0, 1, 2, 3, 4, 5, 6];
const ARP: &[u8] = &[0, 1, 2, 3];
const ACTIVE: &[u8] = &[1, 5, 6];
const LACP: &[u8] = &[4];

/// Options that the driver refuses, instead of ignoring them, in a mode that does not use them.
const REFUSED: [Opt; 12] = [
    Opt::ArpInterval,
    Opt::ArpValidate,
    Opt::ArpMissedMax,
    Opt::Primary,
    Opt::PacketsPerSlave,
    Opt::LacpRate,
    Opt::LacpActive,
    Opt::AdActorSysPrio,
    Opt::AdActorSystem,
    Opt::AdUserPortKey,
    Opt::CoupledControl,
    Opt::LacpStrict,
];

/// Defines [`Opt`] and [`ROWS`]: name, kind, default, modes, key of systemd-networkd.
macro_rules! options {
    ($($opt:ident: $name:literal, $kind:expr, $default:literal, $modes:expr, $networkd:expr;)+) => {
        /// One option of the driver.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Opt {
            $(
                #[doc = $name]
                $opt,
            )+
        }

        /// The table, in the order in which options are written.
        pub const ROWS: &[Row] = &[$(Row {
            opt: Opt::$opt,
            name: $name,
            kind: $kind,
            default: $default,
            modes: $modes,
            networkd: $networkd,
        },)+];
    };
}

options! {
    Mode: "mode", Kind::Word(MODES), "balance-rr", ALL, Some("Mode");
    Miimon: "miimon", Kind::Milliseconds, "0", ALL, Some("MIIMonitorSec");
    UpDelay: "updelay", Kind::Milliseconds, "0", ALL, Some("UpDelaySec");
    DownDelay: "downdelay", Kind::Milliseconds, "0", ALL, Some("DownDelaySec");
    UseCarrier: "use_carrier", Kind::Flag, "1", ALL, None;
    ArpInterval: "arp_interval", Kind::Milliseconds, "0", ARP, Some("ARPIntervalSec");
    ArpIpTarget: "arp_ip_target", Kind::Addresses(Targets::Arp), "", ARP, Some("ARPIPTargets");
    NsIp6Target: "ns_ip6_target", Kind::Addresses(Targets::Neighbour), "", ARP, None;
    ArpValidate: "arp_validate", Kind::Word(&["none", "active", "backup", "all", "filter", "filter_active", "filter_backup"]), "none", ARP, Some("ARPValidate");
    ArpAllTargets: "arp_all_targets", Kind::Word(&["any", "all"]), "any", ARP, Some("ARPAllTargets");
    ArpMissedMax: "arp_missed_max", Kind::Number(1, 255), "2", ARP, Some("ARPMissedMax");
    Primary: "primary", Kind::Interface, "", ACTIVE, None;
    PrimaryReselect: "primary_reselect", Kind::Word(&["always", "better", "failure"]), "always", ACTIVE, Some("PrimaryReselectPolicy");
    FailOverMac: "fail_over_mac", Kind::Word(&["none", "active", "follow"]), "none", &[1], Some("FailOverMACPolicy");
    NumGratArp: "num_grat_arp", Kind::Number(0, 255), "1", ACTIVE, Some("GratuitousARP");
    PeerNotifDelay: "peer_notif_delay", Kind::Milliseconds, "0", ACTIVE, None;
    ResendIgmp: "resend_igmp", Kind::Number(0, 255), "1", &[0, 1, 5, 6], Some("ResendIGMP");
    PacketsPerSlave: "packets_per_slave", Kind::Number(0, 65535), "1", &[0], Some("PacketsPerSlave");
    XmitHashPolicy: "xmit_hash_policy", Kind::Word(&["layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac"]), "layer2", &[2, 4, 5, 6], Some("TransmitHashPolicy");
    LacpRate: "lacp_rate", Kind::Word(&["slow", "fast"]), "slow", LACP, Some("LACPTransmitRate");
    LacpActive: "lacp_active", Kind::Word(&["off", "on"]), "on", LACP, None;
    AdSelect: "ad_select", Kind::Word(&["stable", "bandwidth", "count", "actor_port_prio"]), "stable", LACP, Some("AdSelect");
    MinLinks: "min_links", Kind::Number(0, u32::MAX), "0", LACP, Some("MinLinks");
    AdActorSysPrio: "ad_actor_sys_prio", Kind::Number(1, 65535), "65535", LACP, Some("AdActorSystemPriority");
    AdActorSystem: "ad_actor_system", Kind::HwAddr, "00:00:00:00:00:00", LACP, Some("AdActorSystem");
    AdUserPortKey: "ad_user_port_key", Kind::Number(0, 1023), "0", LACP, Some("AdUserPortKey");
    CoupledControl: "coupled_control", Kind::Word(&["off", "on"]), "on", LACP, None;
    BroadcastNeighbor: "broadcast_neighbor", Kind::Word(&["off", "on"]), "off", LACP, None;
    LacpStrict: "lacp_strict", Kind::Word(&["off", "on"]), "off", LACP, None;
    LpInterval: "lp_interval", Kind::Seconds, "1", &[5, 6], Some("LearnPacketIntervalSec");
    TlbDynamicLb: "tlb_dynamic_lb", Kind::Flag, "1", &[5, 6], Some("DynamicTransmitLoadBalancing");
    AllSlavesActive: "all_slaves_active", Kind::Flag, "0", ALL, Some("AllSlavesActive");
    // An option of NetworkManager's, which adds the filters that the driver lacks.
    BalanceSlb: "balance-slb", Kind::Flag, "0", &[2], None;
}

impl Opt {
    /// Returns the row of the option.
    pub fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }
}

/// Error for an option that was not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionError {
    /// The driver has no option with this name.
    Unknown,
    /// The value is invalid; the text names the expected values.
    Invalid(String),
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionError::Unknown => f.write_str("no option of a bond"),
            OptionError::Invalid(expected) => write!(f, "expected {expected}"),
        }
    }
}

/// The options of one bond, each in its canonical form, without those that were not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(BTreeMap<Opt, String>);

impl Options {
    /// Sets an option by the driver's name, from any value that the driver accepts. The names
    /// `num_grat_arp` and `num_unsol_na` mean one option, as in the driver.
    ///
    /// # Errors
    /// The driver has no such option or refuses the value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), OptionError> {
        let name = if name == "num_unsol_na" { "num_grat_arp" } else { name };
        let row = ROWS.iter().find(|row| row.name == name);
        let row = row.ok_or(OptionError::Unknown)?;
        self.0.insert(row.opt, canonical(row.kind, value)?);
        Ok(())
    }

    /// Sets an option to a valid value in canonical form.
    pub fn put(&mut self, opt: Opt, value: impl fmt::Display) {
        self.0.insert(opt, value.to_string());
    }

    /// Returns the value, or else the driver's default, which may be empty.
    pub fn get(&self, opt: Opt) -> &str {
        self.0.get(&opt).map_or(opt.row().default, String::as_str)
    }

    /// Returns the value of a numeric option; 0 if the value is no number.
    pub fn number(&self, opt: Opt) -> u32 {
        self.get(opt).parse().unwrap_or(0)
    }

    /// Returns the value of an option that is a list of addresses.
    pub fn addresses(&self, opt: Opt) -> Vec<IpAddr> {
        let texts = self.get(opt).split(',');
        texts.filter_map(|text| text.parse().ok()).collect()
    }

    /// Returns the driver's number of the mode.
    pub fn mode(&self) -> u8 {
        let mode = MODES.iter().position(|mode| *mode == self.get(Opt::Mode));
        mode.map_or(0, |mode| mode as u8)
    }

    /// Removes and returns the options that the driver refuses in the mode.
    pub fn take_refused(&mut self) -> Vec<(&'static Row, String)> {
        let mode = self.mode();
        let is_refused = |opt: Opt, value: &str| {
            let row = opt.row();
            REFUSED.contains(&opt) && !row.modes.contains(&mode) && value != row.default
        };
        let found = self.0.iter().filter(|(opt, value)| is_refused(**opt, value));
        let found: Vec<(&Row, String)> =
            found.map(|(opt, value)| (opt.row(), value.clone())).collect();
        self.0.retain(|opt, value| !is_refused(*opt, value));
        found
    }

    /// Returns whether the mode uses the option and the value differs from the driver's default.
    pub fn is_changed(&self, opt: Opt) -> bool {
        let row = opt.row();
        row.modes.contains(&self.mode()) && self.get(opt) != row.default
    }

    /// Returns the mode and all other changed options, in the order of the table.
    pub fn changed(&self) -> impl Iterator<Item = (&'static Row, &str)> {
        ROWS.iter()
            .filter(|row| row.opt == Opt::Mode || self.is_changed(row.opt))
            .map(|row| (row, self.get(row.opt)))
    }

    /// Returns the changed options as `name=value`, with `separator` between them.
    pub fn to_text(&self, separator: &str) -> String {
        let options: Vec<String> =
            self.changed().map(|(row, value)| format!("{}={value}", row.name)).collect();
        options.join(separator)
    }
}

/// Returns a value in the form of the driver's defaults.
fn canonical(kind: Kind, value: &str) -> Result<String, OptionError> {
    let value = value.trim();
    let number = |min: u32, max: u32| {
        let number = value.parse::<u32>().ok();
        let number = number.filter(|number| (min..=max).contains(number));
        number
            .map(|number| number.to_string())
            .ok_or_else(|| format!("a whole number from {min} to {max}, found \"{value}\""))
    };
    let found = match kind {
        Kind::Word(words) => {
            let place = value.parse::<usize>().ok();
            let by_place = place.and_then(|place| words.get(place));
            let word = words.iter().find(|word| **word == value).or(by_place);
            word.map(|word| (*word).to_owned())
                .ok_or_else(|| format!("one of {}, found \"{value}\"", words.join(", ")))
        }
        Kind::Number(min, max) => number(min, max),
        Kind::Milliseconds => number(0, i32::MAX as u32),
        Kind::Seconds => number(1, i32::MAX as u32),
        Kind::Flag => match value {
            "0" | "off" | "no" | "false" => Ok("0".to_owned()),
            "1" | "on" | "yes" | "true" => Ok("1".to_owned()),
            _ => Err(format!("0 or 1, found \"{value}\"")),
        },
        Kind::Addresses(targets) => match targets.sort(value) {
            (usable, refused) if refused.is_empty() => Ok(usable),
            _ => Err(format!("{targets} with commas between them, found \"{value}\"")),
        },
        Kind::Interface if super::is_interface_name(value) => Ok(value.to_owned()),
        Kind::Interface => Err(format!("an interface name, found \"{value}\"")),
        Kind::HwAddr if value.parse().is_ok_and(|hwaddr: HwAddr| !hwaddr.is_multicast()) => {
            Ok(value.to_ascii_lowercase())
        }
        Kind::HwAddr => Err(format!("a hardware address of one device, found \"{value}\"")),
    };
    found.map_err(OptionError::Invalid)
}

/// The hosts that a monitor asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Targets {
    /// Hosts with IPv4 addresses, by ARP.
    Arp,
    /// Hosts with IPv6 addresses, by neighbour discovery.
    Neighbour,
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Targets::Arp => "IPv4 addresses of hosts",
            Targets::Neighbour => "IPv6 addresses of hosts",
        })
    }
}

impl Targets {
    /// Addresses that the driver takes of each family.
    const MOST: usize = 16;

    /// Returns the targets that the option `name` lists; `None` for another option.
    pub fn of(name: &str) -> Option<Targets> {
        ROWS.iter().find(|row| row.name == name).and_then(|row| match row.kind {
            Kind::Addresses(targets) => Some(targets),
            _ => None,
        })
    }

    /// Returns the usable addresses of a list, with `,` between them, and each other one with the
    /// reason. sysfs accepts `+` before an address.
    pub fn sort(self, list: &str) -> (String, Vec<(&str, &'static str)>) {
        let (mut usable, mut refused): (Vec<String>, _) = (Vec::new(), Vec::new());
        for text in list.split([',', ' ']).filter(|text| !text.is_empty()) {
            let address = text.trim_start_matches('+');
            match self.usable(address) {
                Ok(address) if usable.contains(&address.to_string()) => {}
                Ok(_) if usable.len() == Targets::MOST => {
                    refused.push((address, "the driver takes 16 targets"));
                }
                Ok(address) => usable.push(address.to_string()),
                Err(reason) => refused.push((address, reason)),
            }
        }
        (usable.join(","), refused)
    }

    fn usable(self, text: &str) -> Result<IpAddr, &'static str> {
        let address: IpAddr = text.parse().map_err(|_| "no IP address")?;
        match (self, address) {
            (Targets::Arp, IpAddr::V6(_)) => Err("ARP asks IPv4 addresses only"),
            (Targets::Neighbour, IpAddr::V4(_)) => {
                Err("neighbour discovery asks IPv6 addresses only")
            }
            (_, IpAddr::V4(address)) if address.is_broadcast() => Err("a broadcast address"),
            _ if address.is_unspecified() => Err("the unspecified address"),
            _ if address.is_multicast() => Err("a multicast address, which no host has"),
            _ if address.is_loopback() => Err("a loopback address, which answers on no port"),
            _ => Ok(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_canonical() {
        for row in ROWS.iter().filter(|row| !row.default.is_empty()) {
            assert_eq!(canonical(row.kind, row.default).unwrap(), row.default);
        }
    }

    #[test]
    fn a_number_selects_a_word() {
        let mut options = Options::default();
        options.set("mode", "4").unwrap();
        options.set("xmit_hash_policy", "1").unwrap();
        options.set("lacp_rate", "1").unwrap();
        assert_eq!(options.to_text(","), "mode=802.3ad,xmit_hash_policy=layer3+4,lacp_rate=fast");
    }

    #[test]
    fn values_that_the_driver_refuses_are_refused() {
        let mut options = Options::default();
        for (name, value) in [
            ("mode", "7"),
            ("mode", "lacp"),
            ("miimon", "-1"),
            ("num_grat_arp", "256"),
            ("arp_ip_target", "gateway"),
            ("arp_ip_target", "192.0.2.1,2001:db8::1"),
            ("arp_ip_target", "224.0.0.1"),
            ("arp_ip_target", "127.0.0.1"),
            ("ns_ip6_target", "192.0.2.1"),
            ("ns_ip6_target", "ff02::1"),
            ("lp_interval", "0"),
            ("primary", "a/b"),
        ] {
            assert!(options.set(name, value).is_err(), "{name}={value}");
        }
        assert_eq!(options.set("colour", "1"), Err(OptionError::Unknown));
        assert_eq!(options, Options::default());
    }

    #[test]
    fn options_that_the_mode_does_not_use_are_left_out() {
        let mut options = Options::default();
        options.set("mode", "active-backup").unwrap();
        options.set("lacp_rate", "fast").unwrap();
        options.set("num_unsol_na", "3").unwrap();
        options.set("miimon", "0").unwrap();
        assert_eq!(options.to_text(" "), "mode=active-backup num_grat_arp=3");
    }
}

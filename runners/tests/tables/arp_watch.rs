//! Teams with arp_ping on their ports.

use std::net::Ipv4Addr;
use std::time::Duration;

use runners::{
    ArpPingSettings, Host, HwAddr, HwAddrPolicy, LinkWatchSettings, PortSettings, Probing,
    TeamSettings,
};

use crate::play::{UP, added, backed_up};
use crate::site::{Site, TARGET};

pub const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
pub const STRANGER: HwAddr = HwAddr([2, 0, 0, 0, 0, 0x77]);
pub const BROADCAST: HwAddr = HwAddr([0xff; 6]);

pub fn host(address: Ipv4Addr) -> Host<Ipv4Addr> {
    Host { name: address.to_string(), address: Some(address) }
}

/// Requests every 100 ms from 10 ms on; the fourth miss takes the watch down.
pub fn ping() -> ArpPingSettings {
    ArpPingSettings {
        probing: Probing {
            interval: Duration::from_millis(100),
            init_wait: Duration::from_millis(10),
            missed_max: 3,
            retry_interval: None,
        },
        target_host: host(TARGET),
        source_host: Some(host(SOURCE)),
        vlanid: None,
        validate_active: false,
        validate_inactive: false,
        send_always: false,
    }
}

pub fn port(prio: i32, ping: ArpPingSettings) -> PortSettings {
    PortSettings {
        prio,
        link_watches: vec![LinkWatchSettings::ArpPing(ping)],
        ..PortSettings::default()
    }
}

pub fn activebackup() -> TeamSettings {
    TeamSettings::new(backed_up(HwAddrPolicy::SameAll))
}

/// A team of two ports with links; the first one is preferred.
pub fn pair(ping: ArpPingSettings, reached: &[u32], switched: &[u32]) -> Site {
    let mut site = Site::new(activebackup(), reached, switched);
    site.handle(added(1, UP, port(10, ping.clone())));
    site.handle(added(2, UP, port(0, ping)));
    site
}

/// A team of one port that reaches no neighbour.
pub fn alone(ping: ArpPingSettings) -> Site {
    let mut site = Site::new(activebackup(), &[], &[]);
    site.handle(added(1, UP, port(0, ping)));
    site.pass(20);
    site
}

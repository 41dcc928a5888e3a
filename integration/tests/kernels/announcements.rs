//! The number of announcements of a failover.

use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

use integration::traffic::Capture;
use integration::{
    CableKind, DataPath, Frame, Lab, Sharing, Site, Teamr, in_virtual_time, team_config,
};

use crate::refusal::data_paths;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// Milliseconds between two announcements.
const INTERVAL: u64 = 100;

/// Whether the frame is a gratuitous ARP packet of the team's address.
fn is_gratuitous(frame: &Frame) -> bool {
    let octets = ADDRESS.octets();
    frame.ether_type() == Some(0x0806)
        && frame.bytes.get(28..32) == Some(&octets)
        && frame.bytes.get(38..42) == Some(&octets)
}

/// Returns how many gratuitous ARP packets another host receives in a failover.
fn announced(lab: &Lab, data_path: DataPath, count: u64) -> usize {
    let site = Site::new(lab, CableKind::Virtual);
    site.plug_unaggregated();
    let mut config = team_config("team0", "activebackup", data_path, &["eth1", "eth2"]);
    config["notify_peers"] = serde_json::json!({"count": count, "interval": INTERVAL});
    let team = Teamr::start(&site.left, &config);
    site.left.up("team0");
    site.left.address("team0", &format!("{ADDRESS}/24"));
    team.wait_ports_up(&["eth1", "eth2"]);
    let active = team.active_port().expect("an active port");
    let other = if active == "eth1" { "eth2" } else { "eth1" };
    site.switch.wait_forwarding(site.cable(other));
    // The announcements of the start end first.
    let all = Duration::from_millis((count + 2) * INTERVAL);
    sleep(all);
    let capture = Capture::start(&site.right, "eth1");
    site.cable(&active).pull();
    team.wait_active(other);
    sleep(all);
    capture.finish().iter().filter(|frame| is_gratuitous(frame)).count()
}

#[test]
fn a_failover_announces_as_often_as_configured() {
    in_virtual_time(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        for data_path in data_paths(&lab) {
            for count in [1, 10, 20] {
                let announced = announced(&lab, data_path, count);
                println!("  {}: {announced} of {count} announcements", data_path.name());
                assert_eq!(announced as u64, count, "{}", data_path.name());
            }
        }
    });
}

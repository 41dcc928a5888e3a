//! Facts that `teamrctl doctor` reads from the host: addresses, MTU, the bridge above the team.

use integration::{DataPath, HostAndPeer, Lab, Sharing, Teamr, team_config};
use serde_json::Value;

const PORTS: [&str; 2] = ["eth1", "eth2"];

/// Returns the ids of all findings.
fn findings(team: &Teamr) -> Vec<String> {
    let output = team.ctl("doctor --json");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = found["team0"].as_array().expect("findings");
    findings.iter().filter_map(|finding| finding["id"].as_str()).map(str::to_owned).collect()
}

#[test]
fn the_doctor_sees_addresses_mtu_and_spanning_tree() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, peer: _peer } = HostAndPeer::new(&lab, &PORTS);
    let config = team_config("team0", "activebackup", DataPath::Userspace, &PORTS);
    let team = Teamr::start(&host, &config);
    host.up("team0");
    host.address("team0", "10.0.0.1/24");
    team.wait_ports_up(&PORTS);
    let assert_new = |change: &[&str], ids: &[&str]| {
        let before = findings(&team);
        for line in change {
            host.run(line);
        }
        let after = findings(&team);
        for id in ids {
            let is_in = |found: &[String]| found.iter().any(|found| found == id);
            assert!(!is_in(&before) && is_in(&after), "{id}: {before:?}, then {after:?}");
        }
    };
    assert_new(&["ip address add 10.0.5.1/24 dev eth1"], &["port-with-address"]);
    let other = ["ip link add eth3 up type veth peer eth4", "ip address add 10.0.0.1/24 dev eth3"];
    assert_new(&other, &["address-twice"]);
    let hwaddr = host.link("team0")["address"].as_str().expect("an address").to_owned();
    assert_new(&[&format!("ip link set dev eth3 address {hwaddr}")], &["hwaddr-twice"]);
    assert_new(&["ip link set dev eth2 mtu 1400"], &["mtu-unlike"]);
    let bridge = [
        "ip link add br0 up type bridge stp_state 1 forward_delay 1500",
        "ip link set dev team0 master br0",
        "bridge link set dev team0 hairpin on guard on",
        "ip link set dev br0 mtu 9000",
    ];
    let of_bridge = [
        "bridge-port-blocked",
        "bridge-stp-delay",
        "bridge-bpdu-guard",
        "bridge-hairpin",
        "mtu-below-bridge",
    ];
    assert_new(&bridge, &of_bridge);
}

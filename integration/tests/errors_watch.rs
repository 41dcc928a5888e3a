//! The watch errors: a port whose driver counts damaged frames leaves, and returns when the link is
//! clean again.
//!
//! The port is a VXLAN interface. Its driver counts a frame as damaged whose outer header reports
//! congestion to an inner packet that cannot (RFC 6040, section 4.2).

use integration::traffic::Flood;
use integration::{
    DataPath, HostAndPeer, Lab, Namespace, Sharing, Teamr, on_own_data_paths, team_config,
    wait_until,
};
use runners::wire::checksum;
use serde_json::{Value, json};

const VXLAN_PORT: u16 = 4789;
const NETWORK: u8 = 5;

/// Creates the port `vx1` of the host, whose frames pass through `uplink`.
fn create_port(host: &Namespace, peer: &Namespace) {
    // The other port's MTU must fit into the port.
    host.ip("link set dev uplink mtu 2000 up");
    host.address("uplink", "10.9.0.1/24");
    peer.address("uplink", "10.9.0.2/24");
    host.ip(&format!(
        "link add vx1 type vxlan id {NETWORK} dstport {VXLAN_PORT} local 10.9.0.1 remote 10.9.0.2 \
         dev uplink"
    ));
}

/// Returns a frame for `vx1` as the peer sends it, with these bits for explicit congestion
/// notification in the outer header.
fn frame(host: &Namespace, ecn: u8) -> Vec<u8> {
    let ipv4 = |class: u8, length: u16, from: u8, to: u8| -> Vec<u8> {
        let mut header = vec![0x45, class];
        header.extend(length.to_be_bytes());
        header.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, from, 10, 9, 0, to]);
        checksum::put(&mut header, 10, 0);
        header
    };
    let inner = [
        &[0xff; 6][..],
        &[2, 0, 0, 0, 9, 9, 8, 0],
        &ipv4(0, 48, 2, 1),
        &[0, 9, 0, 9, 0, 28, 0, 0],
        &[0; 20],
    ]
    .concat();
    let vxlan = [&[8, 0, 0, 0, 0, 0, NETWORK, 0][..], &inner].concat();
    let length = (8 + vxlan.len()) as u16;
    let hwaddr = host.hwaddr("uplink");
    let octets: Vec<u8> =
        hwaddr.split(':').map(|octet| u8::from_str_radix(octet, 16).expect("an octet")).collect();
    [
        &octets[..],
        &[2, 0, 0, 0, 9, 8, 8, 0],
        &ipv4(ecn, 20 + length, 2, 1),
        &49152_u16.to_be_bytes(),
        &VXLAN_PORT.to_be_bytes(),
        &length.to_be_bytes(),
        &[0, 0],
        &vxlan,
    ]
    .concat()
}

fn errors_watch(team: &Teamr) -> Value {
    team.state()["ports"]["vx1"]["link_watches"]["list"]["link_watch_0"].clone()
}

fn a_port_that_receives_damaged_frames_leaves_and_returns(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &["uplink", "eth2"]);
    create_port(&host, &peer);
    let mut config = team_config("team0", "activebackup", data_path, &["vx1", "eth2"]);
    config["ports"]["vx1"] = json!({
        "prio": 10,
        "link_watch": {"name": "errors", "interval": 100, "hold_time": 500},
    });
    let team = Teamr::start(&host, &config);
    host.up("team0");
    team.wait_active("vx1");

    let (good, damaged) = (frame(&host, 0), frame(&host, 3));
    let few = [vec![good.clone(); 30], vec![damaged.clone()]].concat();
    let clean = Flood::start(&peer, "uplink", 2000, &[good]);
    wait_until("frames on the clean link", || {
        host.statistics("vx1")["rx"]["packets"].as_u64() > Some(2000)
    });
    assert_eq!(errors_watch(&team)["teamr"]["error_ratio"], 0);
    assert_eq!(team.active_port().as_deref(), Some("vx1"));
    clean.finish();

    let bad = Flood::start(&peer, "uplink", 2000, &few);
    team.wait_active("eth2");
    assert_eq!(team.port_up("vx1"), Some(true), "the link itself stays up");
    let state = team.state();
    assert_eq!(state["ports"]["vx1"]["teamr"]["corrupting"], true);
    let watch = errors_watch(&team);
    assert_eq!((&watch["name"], &watch["up"]), (&"errors".into(), &false.into()));
    wait_until("a window with one of 31 frames damaged", || {
        let ratio = errors_watch(&team)["teamr"]["error_ratio"].as_u64();
        ratio.is_some_and(|ratio| (20_000..50_000).contains(&ratio))
    });
    let findings = String::from_utf8_lossy(&team.ctl("doctor").stdout).into_owned();
    assert!(findings.contains("[port-corrupting]"), "{findings}");
    let metrics = team.ask("metrics");
    assert!(metrics.contains("teamr_port_corrupting{team=\"team0\",port=\"vx1\"} 1"), "{metrics}");

    // The only other port is lost: a link with losses is better than none.
    peer.down("eth2");
    team.wait_active("vx1");
    peer.up("eth2");
    team.wait_active("eth2");

    bad.finish();
    team.wait_active("vx1");
    let log = team.log();
    for line in [
        "vx1: errors-link went down.",
        "vx1: Carries no traffic: it corrupts frames, and enough others carry.",
        "vx1: errors-link went up.",
    ] {
        assert!(log.contains(line), "no line {line:?} in\n{log}");
    }
}

on_own_data_paths! {
    a_port_that_receives_damaged_frames_leaves_and_returns
}

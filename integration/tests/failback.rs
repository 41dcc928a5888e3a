//! The return of the traffic to a better port whose switch does not forward yet.

use integration::traffic::Pace;
use integration::{
    CableKind, DataPath, Lab, Ping, Sharing, Site, Teamr, in_guest, on_own_data_paths, team_config,
    wait_until,
};
use serde_json::json;

fn config(data_path: DataPath) -> serde_json::Value {
    let mut config = team_config("team0", "activebackup", data_path, &["eth1", "eth2"]);
    config["ports"]["eth1"] = json!({"prio": 100});
    config
}

/// A switch with spanning tree and a forward delay of 2 s forwards on a port 4 s after link-up.
fn a_failback_waits_for_a_switch_that_does_not_forward_yet(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let site = Site::new(&lab, CableKind::Virtual);
    site.plug_unaggregated();
    let team = Teamr::start(&site.left, &config(data_path));
    team.wait_active("eth1");
    let hwaddr = site.left.hwaddr("team0");
    for (number, port) in ["left1", "left2"].into_iter().enumerate() {
        // The source of a probe: a part of the team's address, and the number of the port.
        let source = format!("06:74:{}:{:02x}", &hwaddr[9..], number + 1);
        wait_until("a probe of each port", || site.switch.has_learned(&source, port));
    }
    site.left.up("team0");
    site.left.address("team0", "10.0.0.1/24");
    site.right.address("eth1", "10.0.0.2/24");
    site.switch.namespace().ip("link set dev br0 type bridge stp_state 1 forward_delay 200");

    let cable = site.cable("eth1");
    cable.pull();
    team.wait_active("eth2");
    assert!(Ping::run(&site.left, "10.0.0.2", 3, "").is_exact());
    let streams = site.start_streams("team0", Pace::Gentle);
    cable.put_back();
    team.wait_port("eth1", true);
    assert_eq!(team.active_port().as_deref(), Some("eth2"));
    assert_eq!(team.state()["teamr"]["failback_waits"], "eth1");
    assert!(team.log().contains("\"eth1\" waits for its probe"), "{}", team.log());
    site.switch.wait_forwarding(cable);
    team.wait_active("eth1");
    assert!(team.log().contains("The probe of \"eth1\" came in"), "{}", team.log());
    assert!(Ping::run(&site.left, "10.0.0.2", 3, "").is_exact());
    for stream in streams {
        let what = stream.what().to_owned();
        let trace = stream.finish();
        assert!(trace.is_exact(), "{what}: lost {:?}", trace.lost());
    }
    assert!(team.stop().success());
}

on_own_data_paths!(a_failback_waits_for_a_switch_that_does_not_forward_yet);

#[test]
fn with_the_kernels_driver() {
    in_guest(|_| a_failback_waits_for_a_switch_that_does_not_forward_yet(DataPath::Kernel));
}

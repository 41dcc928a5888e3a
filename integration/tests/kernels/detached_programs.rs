//! Programs of slb beside the driver that another program of the host removes.

use std::time::Duration;

use integration::{
    DataPath, HostAndPeer, Lab, Ping, Sharing, Teamr, in_virtual_time, tcx, team_config, wait_until,
};
use teamr::sys::bpf::Hook;
use teamr::sys::clock;

use crate::refusal::refusals;

const PORTS: [&str; 2] = ["eth1", "eth2"];

/// No frame passes meanwhile. A kernel before Linux 6.6 has no TCX: the program is a filter, whose
/// removal is an event.
#[test]
fn a_program_of_slb_beside_the_driver_comes_back_within_100_ms() {
    in_virtual_time(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        if let [Some(reason), _] = refusals(&lab) {
            println!("slb is refused: {reason}");
            return;
        }
        let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &PORTS);
        let team = Teamr::start(&host, &team_config("team0", "slb", DataPath::Kernel, &PORTS));
        host.up("team0");
        host.address("team0", "10.0.0.1/24");
        peer.address("eth1", "10.0.0.2/24");
        team.wait_ports_up(&PORTS);
        let restored = || team.state()["teamr"]["hooks_restored"].as_u64().expect("a count");
        let hooks = [("eth1", Hook::Ingress), ("eth2", Hook::Ingress), ("team0", Hook::Egress)];
        for (round, (interface, hook)) in (1..).zip(hooks) {
            let has_tcx = tcx::programs(&host, interface, hook).is_ok();
            if has_tcx {
                assert!(tcx::detach(&host, interface, hook, "teamr_"), "{interface}");
            } else {
                host.run(&format!("tc qdisc del dev {interface} clsact"));
            }
            let removed = clock::monotonic();
            wait_until("the count to rise", || restored() == round);
            let time = clock::monotonic() - removed;
            println!("  {interface}: back {time:?} after the removal, TCX {has_tcx}");
            assert!(time <= Duration::from_millis(100), "{interface}: back after {time:?}");
            let warning = format!("{interface}: another program removed filters of the team");
            assert!(team.log().contains(&warning), "{}", team.log());
            let doctor = String::from_utf8_lossy(&team.ctl("doctor").stdout).into_owned();
            assert!(doctor.contains("[filters-removed]"), "{doctor}");
        }
        wait_until("frames to pass", || Ping::run(&peer, "10.0.0.1", 1, "").is_exact());
        assert!(team.stop().success());
    });
}

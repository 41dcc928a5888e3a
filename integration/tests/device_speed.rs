//! Speed of a TAP as the team device; a bridge computes its path cost from the speed.

use integration::{DataPath, HostAndPeer, Lab, Sharing, Teamr, team_config, wait_until};

const PORTS: [&str; 2] = ["eth1", "eth2"];
/// Speed that the kernel reports for a veth, in Mbit/s.
const PORT_SPEED: u32 = 10_000;

/// Starts a team, and waits for the given speed of its device and for the speed with one port lost.
/// Returns the path cost of the device as a bridge port.
fn path_cost(runner: &str, speed: u32) -> Option<u64> {
    let lab = Lab::open(Sharing::Shared)?;
    let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &PORTS);
    let config = team_config("team0", runner, DataPath::Userspace, &PORTS);
    let team = Teamr::start(&host, &config);
    host.up("team0");
    team.wait_ports_up(&PORTS);
    let is = |speed: u32| {
        let read = host.try_run("cat /sys/class/net/team0/speed").stdout;
        String::from_utf8_lossy(&read).trim() == speed.to_string()
    };
    wait_until(&format!("{speed} Mbit/s under {runner}"), || is(speed));
    host.ip("link add br0 type bridge");
    host.ip("link set dev team0 master br0");
    let port = host.run_json("bridge -details -json link show dev team0");
    let cost = port[0]["cost"].as_u64();
    peer.down("eth1");
    wait_until("the speed of the other port", || is(PORT_SPEED));
    assert!(team.stop().success());
    cost
}

#[test]
fn a_tap_has_the_speed_of_the_ports_that_carry() {
    let costs = [("activebackup", PORT_SPEED), ("loadbalance", 2 * PORT_SPEED)];
    let [one, both] = costs.map(|(runner, speed)| path_cost(runner, speed));
    // The kernel's cost for 10 Gbit/s, and for more.
    assert!(one.is_none_or(|cost| cost == 2), "{one:?}");
    assert!(both.is_none_or(|cost| cost == 1), "{both:?}");
}

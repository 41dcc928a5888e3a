//! The carrier of the team driver's device: the driver sets it by its own rule until a daemon sets
//! it.

use integration::{
    DataPath, HostAndPeer, Lab, Sharing, Teamr, in_virtual_time, team_config, wait_until,
};

const TEAM: &str = "team0";
const PORTS: [&str; 2] = ["eth1", "eth2"];

/// A host with a team whose daemons follow one another.
struct Site {
    pair: HostAndPeer,
    /// Keeps the hosts' folder.
    _lab: Lab,
}

impl Site {
    fn new() -> Site {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        Site { pair: HostAndPeer::new(&lab, &PORTS), _lab: lab }
    }

    /// Starts a daemon that takes over the device and leaves it in place.
    fn start(&self, runner: &str) -> Teamr {
        let config = team_config(TEAM, runner, DataPath::Kernel, &PORTS);
        let team = Teamr::start_args(&self.pair.host, &config, &["-N", "-o"]);
        self.pair.host.up(TEAM);
        team
    }

    fn pull(&self) {
        PORTS.iter().for_each(|port| self.pair.peer.down(port));
    }

    fn put_back(&self) {
        PORTS.iter().for_each(|port| self.pair.peer.up(port));
    }

    fn has_carrier(&self) -> bool {
        self.pair.host.run(&format!("cat /sys/class/net/{TEAM}/carrier")).trim() == "1"
    }

    fn wait_carrier(&self, has: bool, when: &str) {
        let what = format!("the carrier to be {} {when}", if has { "on" } else { "off" });
        wait_until(&what, || self.has_carrier() == has);
    }
}

fn allow(team: &Teamr, allowed: bool) {
    for port in PORTS {
        team.ask(&format!("state item set ports.{port}.teamr.allowed {allowed}"));
    }
}

/// The first daemon sets the carrier: its ports are forbidden for a while.
fn the_next_daemon_sets_the_carrier(runner: &str) {
    println!("  {runner}");
    let site = Site::new();
    let team = site.start(runner);
    site.wait_carrier(true, "at the start");
    allow(&team, false);
    site.wait_carrier(false, "with no port allowed");
    allow(&team, true);
    site.wait_carrier(true, "with both ports allowed again");
    site.pull();
    site.wait_carrier(false, "without a link");
    assert!(team.stop().success());
    site.put_back();

    let team = site.start(runner);
    site.wait_carrier(true, "after the take-over");
    site.pull();
    site.wait_carrier(false, "without a link after the take-over");
    site.put_back();
    site.wait_carrier(true, "with links again");
    assert!(team.stop().success());
}

#[test]
fn a_daemon_sets_the_carrier_that_a_former_one_has_set() {
    in_virtual_time(|_| {
        for runner in ["random", "roundrobin", "broadcast", "activebackup", "loadbalance"] {
            the_next_daemon_sets_the_carrier(runner);
        }
    });
}

/// Both runners use the driver's mode loadbalance; only lacp sets the carrier.
#[test]
fn a_daemon_sets_the_carrier_after_one_with_lacp() {
    in_virtual_time(|_| {
        let site = Site::new();
        let team = site.start("lacp");
        assert!(!site.has_carrier(), "no partner answers");
        assert!(team.stop().success());
        let team = site.start("loadbalance");
        site.wait_carrier(true, "after the take-over");
        site.pull();
        site.wait_carrier(false, "without a link");
        assert!(team.stop().success());
    });
}

#[test]
fn a_forbidden_port_with_a_new_link_gives_no_carrier() {
    in_virtual_time(|_| {
        let site = Site::new();
        let team = site.start("roundrobin");
        site.wait_carrier(true, "at the start");
        site.pull();
        site.wait_carrier(false, "without a link");
        allow(&team, false);
        site.put_back();
        team.wait_ports_up(&PORTS);
        assert!(!site.has_carrier(), "a forbidden port gives no carrier");
        allow(&team, true);
        site.wait_carrier(true, "with both ports allowed again");
        assert!(team.stop().success());
    });
}

/// A daemon that need not set the carrier leaves it to the driver, which serves the team also while
/// no daemon runs.
#[test]
fn the_driver_sets_the_carrier_without_a_daemon() {
    in_virtual_time(|_| {
        let site = Site::new();
        assert!(site.start("roundrobin").stop().success());
        let team = site.start("roundrobin");
        site.wait_carrier(true, "after the take-over");
        team.crash();
        site.pull();
        site.wait_carrier(false, "without a link");
        site.put_back();
        site.wait_carrier(true, "with links again");
    });
}

//! Ports that come, go and change their names; ends that leave nothing behind.

use integration::{
    CableKind, DataPath, Lab, Namespace, Ping, RUNNERS, Sharing, Teamr, binary, team_config,
    wait_until,
};

const PORTS: [&str; 2] = ["eth1", "eth2"];

/// A host to team up, and the host at the other end of its cables.
struct Pair {
    host: Namespace,
    peer: Namespace,
}

impl Pair {
    fn new(lab: &Lab) -> Pair {
        Pair {
            host: lab.host("host"),
            peer: lab.host("peer"),
        }
    }

    fn connect(&self, lab: &Lab, port: &str) {
        lab.cable((&self.host, port), (&self.peer, port), CableKind::Virtual);
        self.peer.up(port);
    }

    fn start(&self) -> Teamr {
        let config = team_config("team0", "activebackup", DataPath::Userspace, &PORTS);
        Teamr::start(&self.host, &config)
    }
}

#[test]
fn a_missing_port_is_taken_when_it_appears() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = Pair::new(&lab);
    pair.connect(&lab, "eth1");
    let team = pair.start();
    team.wait_port("eth1", true);
    assert_eq!(team.port_up("eth2"), None);
    pair.connect(&lab, "eth2");
    team.wait_port("eth2", true);
}

#[test]
fn a_team_starts_without_any_port() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = Pair::new(&lab);
    let team = pair.start();
    pair.host.up("team0");
    wait_until("team0 to be without carrier", || {
        pair.host.link("team0")["operstate"] == "DOWN"
    });
    pair.connect(&lab, "eth1");
    team.wait_port("eth1", true);
    wait_until("team0 to have its carrier", || {
        pair.host.link("team0")["operstate"] == "UP"
    });
}

#[test]
fn a_renamed_port_stays() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = Pair::new(&lab);
    for port in PORTS {
        pair.connect(&lab, port);
    }
    let team = pair.start();
    team.wait_port("eth2", true);
    // Older kernels rename no interface that is up.
    pair.host.ip("link set dev eth2 down");
    pair.host.ip("link set dev eth2 name wan0");
    pair.host.up("wan0");
    team.wait_port("wan0", true);
    assert_eq!(team.port_up("eth2"), None);
}

#[test]
fn a_vanished_port_is_taken_back_when_it_returns() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = Pair::new(&lab);
    for port in PORTS {
        pair.connect(&lab, port);
    }
    let team = pair.start();
    for port in PORTS {
        team.wait_port(port, true);
    }
    let active = team.active_port().expect("an active port");
    pair.host.ip(&format!("link delete dev {active}"));
    team.wait_no_port(&active);
    let other = PORTS
        .into_iter()
        .find(|port| *port != active)
        .expect("two ports");
    team.wait_active(other);
    pair.connect(&lab, &active);
    team.wait_port(&active, true);

    // And it carries traffic.
    team.ask(&format!("state item set runner.active_port {active}"));
    team.wait_active(&active);
    pair.host.up("team0");
    pair.host.address("team0", "10.0.0.1/24");
    pair.peer.address(&active, "10.0.0.2/24");
    assert!(Ping::run(&pair.host, "10.0.0.2", 10, "").is_exact());
}

#[test]
fn a_port_is_added_and_removed_by_hand() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = Pair::new(&lab);
    for port in ["eth1", "eth2", "eth3"] {
        pair.connect(&lab, port);
    }
    let team = pair.start();
    team.ask("port add eth3");
    team.wait_port("eth3", true);
    team.ask("port remove eth3");
    team.wait_no_port("eth3");
    assert!(pair.host.has_interface("eth3"));
    assert!(!team.ctl("port add nowhere").status.success());
}

#[test]
fn nothing_is_left_behind() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = Pair::new(&lab);
    for port in PORTS {
        pair.connect(&lab, port);
    }
    let files = || pair.host.run("find /run -type f -o -type s");
    assert_eq!(files(), "");
    for runner in RUNNERS {
        let config = team_config("team0", runner, DataPath::Userspace, &PORTS);
        let team = Teamr::start(&pair.host, &config);
        assert_ne!(files(), "", "a running team has a socket");
        assert!(team.stop().success(), "{runner}");
        assert_eq!(files(), "", "{runner}");
        assert!(!pair.host.has_interface("team0"), "{runner}");
    }
}

#[test]
fn a_deleted_team_device_ends_the_daemon() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = Pair::new(&lab);
    pair.connect(&lab, "eth1");
    let mut team = pair.start();
    pair.host.ip("link delete dev team0");
    assert!(team.wait().success());
}

#[test]
fn a_stale_run_is_taken_over() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = Pair::new(&lab);
    for port in PORTS {
        pair.connect(&lab, port);
    }
    pair.start().crash();
    let team = pair.start();
    for port in PORTS {
        team.wait_port(port, true);
    }
}

/// A cable with both ends on the host: the far one is not what a daemon left of itself.
#[test]
fn the_far_end_of_a_port_is_no_team_device() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = lab.host("host");
    lab.cable((&host, "eth1"), (&host, "far1"), CableKind::Virtual);
    host.up("far1");
    for path in [DataPath::Userspace, DataPath::Programs] {
        host.ip("link set dev eth1 down");
        let config = team_config("team0", "activebackup", path, &["eth1"]);
        let team = Teamr::start(&host, &config);
        team.wait_port("eth1", true);
        let teamr = binary("teamr");
        let other = host.try_run(&format!("{} -t far1", teamr.display()));
        assert_eq!(other.status.code(), Some(1), "{}", path.name());
        assert_eq!(team.port_up("eth1"), Some(true), "{}", path.name());
        assert!(team.stop().success());
    }
}

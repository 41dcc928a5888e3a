//! Ports that appear, vanish and get another name; daemons that end and leave nothing behind.

use std::fs;

use integration::{
    CableKind, DataPath, HostAndPeer, Lab, Ping, RUNNERS, Sharing, Teamr, binary,
    on_own_data_paths, team_config, teamr_command, wait_until,
};

const PORTS: [&str; 2] = ["eth1", "eth2"];

fn start(pair: &HostAndPeer, data_path: DataPath) -> Teamr {
    let config = team_config("team0", "activebackup", data_path, &PORTS);
    Teamr::start(&pair.host, &config)
}

fn a_missing_port_is_taken_when_it_appears(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &["eth1"]);
    let team = start(&pair, data_path);
    team.wait_port("eth1", true);
    assert_eq!(team.port_up("eth2"), None);
    pair.connect(&lab, "eth2");
    team.wait_port("eth2", true);
}

fn a_team_starts_without_any_port(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &[]);
    let team = start(&pair, data_path);
    pair.host.up("team0");
    let carrier = |has: &str| {
        wait_until(&format!("team0's carrier to be {has}"), || {
            pair.host.run("cat /sys/class/net/team0/carrier").trim() == has
        });
    };
    carrier("0");
    pair.connect(&lab, "eth1");
    team.wait_port("eth1", true);
    carrier("1");
}

fn a_renamed_port_stays(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let team = start(&pair, data_path);
    team.wait_port("eth2", true);
    // Older kernels rename no interface that is up.
    pair.host.ip("link set dev eth2 down");
    pair.host.ip("link set dev eth2 name wan0");
    pair.host.up("wan0");
    team.wait_port("wan0", true);
    assert_eq!(team.port_up("eth2"), None);
}

fn a_vanished_port_is_taken_back_when_it_returns(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let team = start(&pair, data_path);
    team.wait_ports_up(&PORTS);
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

    // The returned port carries traffic.
    team.ask(&format!("state item set runner.active_port {active}"));
    team.wait_active(&active);
    pair.host.up("team0");
    pair.host.address("team0", "10.0.0.1/24");
    pair.peer.address(&active, "10.0.0.2/24");
    assert!(Ping::run(&pair.host, "10.0.0.2", 10, "").is_exact());
}

fn a_port_is_added_and_removed_by_teamrctl(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &["eth1", "eth2", "eth3"]);
    let team = start(&pair, data_path);
    team.ask("port add eth3");
    team.wait_port("eth3", true);
    team.ask("port remove eth3");
    team.wait_no_port("eth3");
    assert!(pair.host.has_interface("eth3"));
    assert!(!team.ctl("port add nowhere").status.success());
}

/// teamd accepts any port as the active one, so the request succeeds; the log has the reason why it
/// has no effect.
fn a_port_that_is_down_or_not_allowed_does_not_become_active(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let team = start(&pair, data_path);
    team.wait_ports_up(&PORTS);
    let active = team.active_port().expect("an active port");
    let other = PORTS.into_iter().find(|port| *port != active);
    let other = other.expect("two ports");
    let refused = |why: &str| {
        team.ask(&format!("state item set runner.active_port {other}"));
        let line = format!("{other}: Cannot become the active port: {why}.");
        assert!(team.log().contains(&line), "{}", team.log());
        assert_eq!(team.active_port().as_ref(), Some(&active));
    };
    team.ask(&format!("state item set ports.{other}.teamr.allowed false"));
    refused("it is not allowed to carry traffic");
    team.ask(&format!("state item set ports.{other}.teamr.allowed true"));
    pair.peer.ip(&format!("link set dev {other} down"));
    team.wait_port(other, false);
    refused("its link summary is down");
    let unknown = team.ctl("state item set runner.active_port nowhere");
    assert!(!unknown.status.success());
}

fn nothing_is_left_behind(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let files = || pair.host.run("find /run -type f -o -type s");
    assert_eq!(files(), "");
    for runner in RUNNERS {
        let config = team_config("team0", runner, data_path, &PORTS);
        let team = Teamr::start(&pair.host, &config);
        assert_ne!(files(), "", "a running team has a socket");
        assert!(team.stop().success(), "{runner}");
        assert_eq!(files(), "", "{runner}");
        assert!(!pair.host.has_interface("team0"), "{runner}");
    }
}

fn a_deleted_team_device_ends_the_daemon(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &["eth1"]);
    let mut team = start(&pair, data_path);
    pair.host.ip("link delete dev team0");
    assert!(team.wait().success());
}

fn a_stale_run_is_taken_over(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    start(&pair, data_path).crash();
    let team = start(&pair, data_path);
    team.wait_ports_up(&PORTS);
}

/// Both ends of a cable are on the host: the far end is no device that a former daemon left.
fn the_far_end_of_a_port_is_no_team_device(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = lab.host("host");
    lab.cable((&host, "eth1"), (&host, "far1"), CableKind::Virtual);
    host.up("far1");
    let config = team_config("team0", "activebackup", data_path, &["eth1"]);
    let team = Teamr::start(&host, &config);
    team.wait_port("eth1", true);
    let teamr = binary("teamr");
    let other = host.try_run(&format!("{} -t far1", teamr.display()));
    assert_eq!(other.status.code(), Some(1));
    assert_eq!(team.port_up("eth1"), Some(true));
    assert!(team.stop().success());
}

/// A second daemon of a device ends with the reason, whatever its run directory, pid file and options
/// are, and the first daemon goes on.
fn a_device_has_one_daemon(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let team = start(&pair, data_path);
    team.wait_ports_up(&PORTS);
    let active = team.active_port().expect("an active port");
    pair.host.up("team0");
    pair.host.address("team0", "10.0.0.1/24");
    pair.peer.address(&active, "10.0.0.2/24");
    let file = lab.folder().join("host-team0.json");
    let elsewhere = lab.folder().join("elsewhere");
    fs::create_dir(&elsewhere).expect("make a folder");
    for own_run_dir in [false, true] {
        for take in ["-o", "-r", "-w", ""] {
            let mut command = teamr_command(&pair.host);
            command.arg("-f").arg(&file).args(["-p", "/run/other.pid"]);
            command.args(take.split_whitespace());
            if own_run_dir {
                command.env("TEAMR_RUN_DIR", &elsewhere);
            }
            let second = command.output().expect("start teamr");
            let said = String::from_utf8_lossy(&second.stderr);
            let reason = format!(
                "Cannot have \"team0\": it is in the hands of the daemon {}.",
                team.pid()
            );
            assert!(said.contains(&reason), "{take}: {said}");
            assert_eq!(second.status.code(), Some(1), "{take}: {said}");
        }
    }
    assert!(Ping::run(&pair.host, "10.0.0.2", 10, "").is_exact());
    for port in PORTS {
        assert_eq!(team.port_up(port), Some(true));
    }
    assert_eq!(team.active_port().as_ref(), Some(&active));
    team.crash();
    // The kernel released the name with the process.
    let next = start(&pair, data_path);
    next.wait_port(&active, true);
    assert!(next.stop().success());
}

on_own_data_paths! {
    a_missing_port_is_taken_when_it_appears
    a_team_starts_without_any_port
    a_renamed_port_stays
    a_vanished_port_is_taken_back_when_it_returns
    a_port_is_added_and_removed_by_teamrctl
    a_port_that_is_down_or_not_allowed_does_not_become_active
    nothing_is_left_behind
    a_deleted_team_device_ends_the_daemon
    a_stale_run_is_taken_over
    the_far_end_of_a_port_is_no_team_device
    a_device_has_one_daemon
}

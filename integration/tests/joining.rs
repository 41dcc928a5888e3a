//! Which interfaces become ports: a port of another team stays there, and no port is stacked on its
//! own team.

use integration::{
    DataPath, HostAndPeer, Lab, Namespace, Process, Sharing, Teamr, in_guest, on_own_data_paths,
    team_config, teamr_command, wait_for, wait_until,
};

/// Starts a daemon that must fail, and returns what it says.
fn refused(host: &Namespace, config: &serde_json::Value, args: &[&str]) -> String {
    let mut command = teamr_command(host);
    command.args(args).args(["-c", &config.to_string()]);
    let mut daemon = Process::start("refused", host.folder(), command);
    let status = wait_for("the daemon to end", || daemon.ended());
    assert_eq!(status.code(), Some(1), "{}", daemon.log());
    daemon.log()
}

fn config(device: &str, data_path: DataPath, ports: &[&str]) -> serde_json::Value {
    team_config(device, "activebackup", data_path, ports)
}

/// The error names the team that has the port, and the team goes on.
fn a_port_of_another_team_is_refused_with_the_name_of_its_team(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, .. } = HostAndPeer::new(&lab, &["eth1"]);
    let first = Teamr::start(&host, &config("first", data_path, &["eth1"]));
    first.wait_active("eth1");
    let text = refused(&host, &config("second", data_path, &["eth1"]), &[]);
    assert!(text.contains("eth1: is a port of \"first\"; "), "{text}");
    assert!(!text.contains("set it down"), "{text}");
    assert_eq!(first.active_port().as_deref(), Some("eth1"));
    assert!(first.stop().success());
}

/// Two teams await the same interface: one takes it and keeps it, the other takes it afterwards.
fn a_late_port_stays_in_the_team_that_has_it(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &[]);
    let teams = ["first", "second"]
        .map(|team| Teamr::start(&pair.host, &config(team, data_path, &["eth1"])));
    pair.connect(&lab, "eth1");
    let has_port = |team: &Teamr| team.port_up("eth1").is_some();
    wait_until("a team to have the port", || teams.iter().any(has_port));
    wait_until("the other team to refuse it", || {
        teams.iter().any(|team| team.log().contains("eth1: is a port of \""))
    });
    let [first, second] = &teams;
    let (owner, other) = if has_port(first) { (first, second) } else { (second, first) };
    assert!(!has_port(other), "{}", other.log());
    assert_eq!(owner.port_up("eth1"), Some(true), "{}", owner.log());
    owner.ask("port remove eth1");
    other.wait_port("eth1", true);
    for team in teams {
        assert!(team.stop().success());
    }
}

/// Two teams, each a port of the other, would make frames loop.
fn a_team_is_no_port_of_its_own_port(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, .. } = HostAndPeer::new(&lab, &[]);
    let first = Teamr::start(&host, &config("first", data_path, &[]));
    let second = Teamr::start(&host, &config("second", data_path, &["first"]));
    wait_until("first to be a port of second", || second.port_up("first").is_some());
    host.down("second");
    assert!(!first.ctl("port add second").status.success());
    let log = first.log();
    assert!(log.contains("second: The interface stands on \"first\": second > first."), "{log}");
    assert_eq!(first.port_up("second"), None);
    for team in [second, first] {
        assert!(team.stop().success());
    }
}

/// A macvlan on a bridge: first the team is a port of the bridge before the macvlan is added, then
/// the team becomes a port of the bridge later.
fn a_port_is_not_stacked_on_its_team(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, .. } = HostAndPeer::new(&lab, &["eth1"]);
    host.ip("link add br0 type bridge");
    host.ip("link add link br0 name above type macvlan mode bridge");
    let team = Teamr::start(&host, &config("team0", data_path, &["eth1"]));
    host.ip("link set dev team0 master br0");
    assert!(!team.ctl("port add above").status.success());
    let chain = "above: The interface stands on \"team0\": above > br0 > team0.";
    assert!(team.log().contains(chain), "{}", team.log());

    host.ip("link set dev team0 nomaster");
    team.ask("port add above");
    wait_until("the port", || team.port_up("above").is_some());
    if data_path == DataPath::Kernel {
        // The kernel knows the ports of its own driver.
        assert!(!host.try_run("ip link set dev team0 master br0").status.success());
    } else {
        host.ip("link set dev team0 master br0");
        team.wait_no_port("above");
        assert_eq!(team.log().matches(chain).count(), 2, "{}", team.log());
    }
    assert!(team.port_up("eth1").is_some());
    assert!(team.stop().success());
}

/// A VLAN of the team becomes a port of a bridge: no event names the team or its port.
fn a_chain_that_closes_away_from_the_team_is_found(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, .. } = HostAndPeer::new(&lab, &["eth1"]);
    host.ip("link add br0 type bridge");
    host.ip("link add link br0 name above type macvlan mode bridge");
    let team = Teamr::start(&host, &config("team0", data_path, &["eth1", "above"]));
    wait_until("the port", || team.port_up("above").is_some());
    host.ip("link add link team0 name between type macvlan mode bridge");
    host.ip("link set dev between master br0");
    team.wait_no_port("above");
    let chain = "above > br0 > between > team0.";
    assert!(team.log().contains(chain), "{}", team.log());
    assert!(team.stop().success());
}

on_own_data_paths! {
    a_port_of_another_team_is_refused_with_the_name_of_its_team
    a_late_port_stays_in_the_team_that_has_it
    a_team_is_no_port_of_its_own_port
    a_port_is_not_stacked_on_its_team
    a_chain_that_closes_away_from_the_team_is_found
}

#[test]
fn with_the_kernels_driver() {
    in_guest(|_| {
        a_port_of_another_team_is_refused_with_the_name_of_its_team(DataPath::Kernel);
        a_late_port_stays_in_the_team_that_has_it(DataPath::Kernel);
        a_team_is_no_port_of_its_own_port(DataPath::Kernel);
        a_port_is_not_stacked_on_its_team(DataPath::Kernel);
    });
}

/// `-r` deletes team devices only.
#[test]
fn a_device_of_another_program_is_not_recreated() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = lab.host("host");
    host.ip("tuntap add dev vpn0 mode tap");
    let index = host.link("vpn0")["ifindex"].clone();
    let text = refused(&host, &config("vpn0", DataPath::Userspace, &[]), &["-r"]);
    assert!(text.contains("\"vpn0\" exists and is no team device; it is left alone."), "{text}");
    assert_eq!(host.link("vpn0")["ifindex"], index);
    // With -o the device serves a team, and stays.
    let args = ["-o"];
    let team = Teamr::start_args(&host, &config("vpn0", DataPath::Userspace, &[]), &args);
    assert!(team.stop().success());
    assert_eq!(host.link("vpn0")["ifindex"], index);

    // A team device that a crash left is made anew.
    let own = config("team0", DataPath::Userspace, &[]);
    Teamr::start(&host, &own).crash();
    let index = host.link("team0")["ifindex"].clone();
    let team = Teamr::start_args(&host, &own, &["-r"]);
    assert_ne!(host.link("team0")["ifindex"], index);
    assert!(team.stop().success());
}

#[test]
fn a_device_of_an_earlier_daemon_is_deleted_at_the_end() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = lab.host("host");
    for data_path in [DataPath::Programs, DataPath::Userspace] {
        let config = config("team0", data_path, &[]);
        for options in [&["-o"][..], &["-o", "-r"], &[]] {
            Teamr::start(&host, &config).crash();
            let index = host.link("team0")["ifindex"].clone();
            let team = Teamr::start_args(&host, &config, options);
            assert_eq!(host.link("team0")["ifindex"], index, "{data_path:?} {options:?}");
            assert!(team.stop().success());
            assert!(!host.interfaces().contains(&"team0".to_owned()), "{data_path:?} {options:?}");
        }
    }
}

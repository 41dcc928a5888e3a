//! Ports that carry no traffic although they have a link: drained, gated, damped.

use integration::traffic::{Pace, Stream};
use integration::{
    CableKind, DataPath, HostAndPeer, Lab, Sharing, SiteWithTeam, TeamAndBond, Teamr, TwoTeams,
    on_own_data_paths, team_config, teamr_command, wait_until,
};
use serde_json::{Value, json};

const PORTS: [&str; 2] = ["eth1", "eth2"];
/// Flows in each direction; so many almost certainly use both ports.
const FLOWS: u16 = 8;
/// Drains under one stream.
const ROUNDS: usize = 8;

fn lacp(data_path: DataPath) -> Value {
    let mut config = team_config("team0", "lacp", data_path, &PORTS);
    config["runner"]["fast_rate"] = true.into();
    config["runner"]["tx_hash"] = json!(["eth", "ipv4", "udp"]);
    config
}

/// Runs a command of teamrctl that must fail, and returns its errors.
fn refused(team: &Teamr, args: &str) -> String {
    let output = team.ctl(args);
    assert_eq!(output.status.code(), Some(1), "{args}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn port(team: &Teamr, name: &str) -> Value {
    team.state_at_socket()["ports"][name].clone()
}

fn assert_lost_at_most(most: usize, streams: Vec<Stream>) {
    for stream in streams {
        let what = stream.what().to_owned();
        let trace = stream.finish();
        let (sent, lost) = (trace.sent.len(), trace.lost());
        assert!(sent > 30, "{what}: {sent} packets");
        assert!(lost.len() <= most && trace.duplicated() == 0, "{what}, of {sent}: lost {lost:?}");
    }
}

/// Flows in both directions cross a port at both ends; the port is drained at one end.
fn a_lacp_partner_stops_sending_before_a_drained_port_stops_receiving(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let hosts = TwoTeams::new(&lab);
    let partner = Teamr::start(&hosts.right, &lacp(data_path));
    let team = Teamr::start_args(&hosts.left, &lacp(data_path), &["-N", "-o"]);
    hosts.set_up_teams();
    let carry = |ports: &[&str]| {
        wait_until(&format!("{ports:?} to carry at both ends"), || {
            team.carrying() == ports && partner.carrying() == ports
        });
    };
    carry(&PORTS);
    integration::Ping::run(&hosts.left, "10.0.0.2", 3, "");
    let streams = (0..FLOWS).flat_map(|flow| {
        let (there, back) = (hosts.ends(7000 + flow), hosts.ends(7100 + flow));
        [
            Stream::start_at(Pace::Gentle, &there[0], &there[1], None, 64),
            Stream::start_at(Pace::Gentle, &back[1], &back[0], None, 64),
        ]
    });
    let streams: Vec<Stream> = streams.collect();
    team.ask("port drain eth1");
    let drained = port(&team, "eth1");
    assert_eq!((&drained["drained"], &drained["link"]["up"]), (&json!(true), &json!(true)));
    assert_eq!(drained["runner"]["state"], "current", "LACPDUs go on");
    assert_eq!(partner.carrying(), ["eth2"], "the partner stops before the drain is complete");
    carry(&["eth2"]);
    assert_eq!(drained["teamr"]["lacp"]["actor"]["collecting"], false);
    assert!(team.log().contains("eth1: Carries no traffic: it is drained."), "{}", team.log());
    assert!(team.ask("metrics").contains("teamr_port_drained{team=\"team0\",port=\"eth1\"} 1"));
    let doctor = team.ctl("doctor");
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("[port-drained]"));
    let why = refused(&team, "port drain eth2");
    assert!(why.contains("without eth2 the team has no carrier"), "{why}");
    team.ask("port undrain eth1");
    carry(&PORTS);
    // In quick succession: the limit of three LACPDUs in a period delays the withdrawal and the answer.
    for (drained, other) in [("eth2", "eth1"), ("eth1", "eth2")] {
        team.ask(&format!("port drain {drained}"));
        assert_eq!(partner.carrying(), [other], "the partner stops before the drain is complete");
        team.ask(&format!("port undrain {drained}"));
        carry(&PORTS);
    }
    assert_lost_at_most(0, streams);

    // The next daemon continues a drain.
    team.ask("port drain eth1");
    assert!(team.stop().success());
    let team = Teamr::start_args(&hosts.left, &lacp(data_path), &["-N", "-o"]);
    wait_until("the next daemon to keep the drain", || {
        port(&team, "eth1")["drained"] == true && team.carrying() == ["eth2"]
    });
    team.ask("--last port drain eth2");
    wait_until("no port to carry", || team.carrying().is_empty());
    assert_ne!(hosts.left.link("team0")["operstate"], "UP");
    team.ask("port undrain eth2");
    wait_until("eth2 to carry again", || team.carrying() == ["eth2"]);
    let why = refused(&team, "port drain eth9");
    assert!(why.contains("No such device"), "{why}");
}

/// The gates of a port under lacp: the partner learns of a closed gate at once, and the link stays up.
fn a_closed_gate_withdraws_a_port_from_its_partner(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let hosts = TwoTeams::new(&lab);
    let (mut own, partners) = (lacp(data_path), lacp(data_path));
    let partner = Teamr::start(&hosts.right, &partners);
    own["ports"]["eth2"]["gate"] = false.into();
    let team = Teamr::start(&hosts.left, &own);
    hosts.set_up_teams();
    let carry = |ports: &[&str]| {
        wait_until(&format!("{ports:?} to carry at both ends"), || {
            team.carrying() == ports && partner.carrying() == ports
        });
    };
    carry(&["eth1"]);
    team.ask("state item set ports.eth2.gate true");
    carry(&PORTS);
    for (item, closed) in [("gate", "gate"), ("runner.macsec_gate", "runner/macsec_gate")] {
        assert_eq!(port(&team, "eth2").pointer(&format!("/{closed}")), Some(&json!(true)));
        team.ask(&format!("state item set ports.eth2.{item} false"));
        let state = port(&team, "eth2");
        assert_eq!(state.pointer(&format!("/{closed}")), Some(&json!(false)));
        assert_eq!(state["teamr"]["lacp"]["actor"]["synchronization"], false, "{item}");
        carry(&["eth1"]);
        assert_eq!(port(&team, "eth2")["runner"]["state"], "current", "{item}");
        let doctor = team.ctl("doctor");
        assert!(String::from_utf8_lossy(&doctor.stdout).contains("[gate-closed]"), "{item}");
        let dump: Value = serde_json::from_str(&team.ask("config dump")).expect("JSON");
        let gate = &dump["ports"]["eth2"]["gate"];
        assert_eq!(gate, &json!(item != "gate"), "the gate is a key");
        team.ask(&format!("state item set ports.eth2.{item} true"));
        carry(&PORTS);
    }
    // `set` refuses to close the gate of a port that carries traffic, and closes that of a drained port.
    let why = refused(&team, "set ports.eth2.gate false");
    assert!(why.contains("drain the port before"), "{why}");
    team.ask("port drain eth2");
    team.ask("set ports.eth2.gate false");
    assert_eq!(port(&team, "eth2")["gate"], false);
    team.ask("set ports.eth2.gate true");
    team.ask("port undrain eth2");
    carry(&PORTS);
    let why = refused(&team, "state item set ports.eth2.gate ajar");
    assert!(why.contains("expected true or false, found \"ajar\""), "{why}");
}

fn a_gate_outlasts_the_daemon_and_a_trial(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let own = pair.host.folder().join("own.json");
    let mut config = team_config("team0", "loadbalance", data_path, &PORTS);
    std::fs::write(&own, config.to_string()).expect("write a configuration");
    let start = || {
        let mut command = teamr_command(&pair.host);
        command.arg("-o");
        Teamr::start_command(&pair.host, "team0", command, own.clone())
    };
    let mut team = start();
    for open in [false, true] {
        team.ask(&format!("state item set ports.eth1.gate {open}"));
        team.crash();
        team = start();
        assert_eq!(port(&team, "eth1")["gate"], open);
    }
    config["notify_peers"] = json!({"count": 2});
    let tried = pair.host.folder().join("tried.json");
    std::fs::write(&tried, config.to_string()).expect("write a configuration");
    let ends_in = |team: &Teamr| team.state_at_socket()["teamr"]["trial_ends_in"].clone();
    team.ask(&format!("try --for 2 {}", tried.display()));
    team.ask("state item set ports.eth1.gate false");
    wait_until("the end of the trial", || ends_in(&team) == 0);
    assert!(!team.ask("config dump").contains("notify_peers"), "the trial did not end");
    assert_eq!(port(&team, "eth1")["gate"], false);
    // The operator's file decides.
    team.ask(&format!("reload {}", own.display()));
    assert_eq!(port(&team, "eth1")["gate"], true);
    team.crash();
    assert_eq!(port(&start(), "eth1")["gate"], true);
}

fn a_drain_that_another_client_ends_is_an_error(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let team = Teamr::start(&pair.host, &team_config("team0", "slb", data_path, &PORTS));
    pair.host.up("team0");
    wait_until("both ports", || PORTS.iter().all(|name| team.port_up(name) == Some(true)));
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| refused(&team, "port drain eth1"));
        wait_until("the drain", || port(&team, "eth1")["draining"] == true);
        team.ask("port undrain eth1");
        let text = drain.join().expect("the client");
        assert!(text.contains("another client ended the drain"), "{text}");
    });
    assert_eq!(port(&team, "eth1")["draining"], false);
}

/// Flows in both directions cross the drained port; the switch does not learn of the drain.
fn a_drain_without_lacp_loses_frames_only_with_activebackup(data_path: DataPath) {
    for runner in ["activebackup", "loadbalance", "roundrobin"] {
        let Some(lab) = Lab::open(Sharing::Alone) else {
            return;
        };
        let setup = SiteWithTeam::new(&lab, runner, data_path, CableKind::Virtual);
        setup.take_precedence();
        setup.site.left.address("team0", "10.0.0.1/24");
        setup.site.right.address("eth1", "10.0.0.2/24");
        integration::Ping::run(&setup.site.left, "10.0.0.2", 3, "");
        let streams = setup.site.start_streams("team0", Pace::Full);
        for _ in 0..ROUNDS {
            let used = setup.team.carrying().remove(0);
            setup.team.ask(&format!("port drain {used}"));
            assert_eq!(port(&setup.team, &used)["drained"], true, "{runner}");
            assert!(!setup.team.carrying().contains(&used), "{runner}");
            let other = setup.team.carrying().remove(0);
            let why = refused(&setup.team, &format!("port drain {other}"));
            assert!(why.contains("no other port can carry"), "{runner}: {why}");
            setup.team.ask(&format!("port undrain {used}"));
            wait_until("the port to carry again", || port(&setup.team, &used)["drained"] == false);
        }
        // Frames in flight to the former active port are lost: a fraction of a millisecond for each
        // change of the port, at a packet each millisecond.
        let most = if runner == "activebackup" { 4 * ROUNDS } else { 0 };
        assert_lost_at_most(most, streams.into());
        assert!(setup.team.stop().success());
    }
}

fn damping_keeps_a_flapping_port_out(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let mut config = team_config("team0", "activebackup", data_path, &PORTS);
    config["ports"]["eth1"] = json!({"prio": 100, "damping": {"half_life": 1500}});
    config["damping"] = json!({"suppress": 1500, "max_suppress": 6000});
    let team = Teamr::start(&pair.host, &config);
    pair.host.up("team0");
    team.wait_active("eth1");
    for _ in 0..3 {
        pair.peer.run("ip link set dev eth1 down");
        team.wait_port("eth1", false);
        pair.peer.up("eth1");
        team.wait_port("eth1", true);
    }
    let state = port(&team, "eth1");
    assert_eq!(
        (&state["link"]["up"], &state["damping"]["suppressed"]),
        (&json!(true), &json!(true))
    );
    assert!(state["damping"]["penalty"].as_u64() > Some(1000), "{state}");
    let left = state["damping"]["ends_in"].as_u64().expect("a time");
    assert!((1..=6000).contains(&left), "{left}");
    assert_eq!(team.active_port().as_deref(), Some("eth2"));
    assert_eq!(port(&team, "eth2")["damping"]["suppressed"], false);
    let doctor = team.ctl("doctor");
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("[port-suppressed]"));
    let metrics = team.ask("metrics");
    let suppressed = "teamr_port_damping_suppressed{team=\"team0\",port=\"eth1\"} 1";
    assert!(metrics.contains(suppressed), "{metrics}");
    let why = refused(&team, "state item set runner.active_port eth1");
    assert!(why.contains("damping suppresses it"), "{why}");
    team.wait_active("eth1");
    let state = port(&team, "eth1");
    assert_eq!(state["damping"]["suppressed"], false);
    assert!(state["damping"]["penalty"].as_u64() <= Some(1000), "{state}");
    for line in ["Carries no traffic: damping suppresses it", "May carry traffic again."] {
        assert!(team.log().contains(&format!("eth1: {line}")), "{line}: {}", team.log());
    }
}

on_own_data_paths! {
    a_gate_outlasts_the_daemon_and_a_trial
    a_drain_that_another_client_ends_is_an_error
    a_lacp_partner_stops_sending_before_a_drained_port_stops_receiving
    a_closed_gate_withdraws_a_port_from_its_partner
    a_drain_without_lacp_loses_frames_only_with_activebackup
    damping_keeps_a_flapping_port_out
}

/// In guests.
mod guest {
    use integration::in_virtual_time;

    use super::*;

    #[test]
    fn with_the_kernels_driver_too() {
        in_virtual_time(|_| {
            a_lacp_partner_stops_sending_before_a_drained_port_stops_receiving(DataPath::Kernel);
            a_closed_gate_withdraws_a_port_from_its_partner(DataPath::Kernel);
            a_gate_outlasts_the_daemon_and_a_trial(DataPath::Kernel);
            damping_keeps_a_flapping_port_out(DataPath::Kernel);
        });
    }

    /// A bond of the kernel has coupled control, and reads only Synchronization.
    #[test]
    fn a_bond_stops_sending_before_a_drained_port_stops_receiving() {
        in_virtual_time(|_| {
            for data_path in [DataPath::Kernel, DataPath::Userspace] {
                let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
                let bonded = TeamAndBond::new(&lab, "lacp_rate fast xmit_hash_policy layer3+4");
                let team = Teamr::start(&bonded.left, &lacp(data_path));
                bonded.left.up("team0");
                bonded.left.address("team0", "10.0.0.1/24");
                let carry = |count: usize| {
                    wait_until(&format!("{count} ports to carry at both ends"), || {
                        team.carrying().len() == count && bonded.carrying() == count
                    });
                };
                carry(2);
                integration::Ping::run(&bonded.left, "10.0.0.2", 3, "");
                let mut pings = bonded.right.start("ping -n -q -i 0.01 -W 1 -c 400 10.0.0.1");
                for drained in PORTS {
                    team.ask(&format!("port drain {drained}"));
                    assert_eq!(bonded.carrying(), 1, "{drained}: the bond still sends");
                    carry(1);
                    team.ask(&format!("port undrain {drained}"));
                    carry(2);
                }
                pings.wait();
                let log = pings.log();
                assert!(log.contains(" 0% packet loss"), "{}: {log}", data_path.name());
            }
        });
    }
}

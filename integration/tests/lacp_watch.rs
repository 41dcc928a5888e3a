//! The watch lacp: a port without an aggregate follows the LACP partner at its other end.
//!
//! The partners are teams of one port each, as a switch with a port-channel of one member.

use integration::{
    CableKind, DataPath, HostAndPeer, Lab, Namespace, Sharing, Teamr, in_virtual_time,
    on_own_data_paths, team_config, wait_until,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use teamr::sys::clock::monotonic;

const PORTS: [&str; 2] = ["eth1", "eth2"];
/// Fast_Periodic_Time in milliseconds.
const PERIOD: u64 = 200;

/// Returns the configuration of the team whose ports have the watch.
fn config(data_path: DataPath) -> Value {
    let mut config = team_config("team0", "activebackup", data_path, &PORTS);
    config["link_watch"] = json!({"name": "lacp", "fast_period": PERIOD});
    config["ports"]["eth1"] = json!({"prio": 10, "follow": ["vf1"]});
    config
}

/// Starts the team `device` of one port at the peer, a partner that only its daemon keeps.
fn partner(peer: &Namespace, device: &str, port: &str, data_path: DataPath) -> Teamr {
    let mut config = team_config(device, "lacp", data_path, &[port]);
    config["runner"]["fast_rate"] = true.into();
    config["runner"]["fast_period"] = PERIOD.into();
    config["runner"]["keepalive"] = 0.into();
    peer.down(port);
    let team = Teamr::start(peer, &config);
    peer.up(device);
    team
}

/// The team and its two partners.
struct Watched {
    pair: HostAndPeer,
    team: Teamr,
    partners: [Teamr; 2],
}

impl Watched {
    fn new(lab: &Lab, data_path: DataPath) -> Watched {
        let pair = HostAndPeer::new(lab, &PORTS);
        pair.host.ip("link add vf1 type veth peer name far");
        pair.host.up("vf1");
        let partners = [("po1", "eth1"), ("po2", "eth2")];
        let partners = partners.map(|(device, port)| partner(&pair.peer, device, port, data_path));
        let team = Teamr::start(&pair.host, &config(data_path));
        pair.host.up("team0");
        partners.iter().chain([&team]).for_each(Teamr::take_precedence);
        Watched { pair, team, partners }
    }

    fn wait_active(&self, port: &str) {
        self.team.wait_active(port);
        let flags = || self.pair.host.link("vf1")["flags"].to_string();
        wait_until("the follower", || flags().contains("\"UP\"") == (port == "eth1"));
    }
}

fn watch(team: &Teamr, port: &str) -> Value {
    team.state_at_socket()["ports"][port]["link_watches"]["list"]["link_watch_0"].clone()
}

fn a_port_whose_partner_fails_is_left_and_taken_again(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let mut watched = Watched::new(&lab, data_path);
    watched.wait_active("eth1");
    watched.team.wait_ports_up(&PORTS);
    let items = &watch(&watched.team, "eth1")["teamr"];
    let switch = watched.pair.peer.hwaddr("po1");
    assert_eq!(items["partner_system"].as_str(), Some(&*switch));
    for partner in &watched.partners {
        wait_until("the partner to distribute", || partner.carrying().len() == 1);
    }

    // The partner falls silent, although the carrier stays.
    watched.partners[0].signal(Signal::SIGSTOP);
    let silent = monotonic();
    watched.wait_active("eth2");
    println!("out after {:?}, of {} ms", monotonic() - silent, 3 * PERIOD);
    let state = watched.team.state();
    assert_eq!(state["ports"]["eth1"]["link"]["up"], true);
    let findings = String::from_utf8_lossy(&watched.team.ctl("doctor").stdout).into_owned();
    assert!(findings.contains("[watch-no-partner]"), "{findings}");
    assert!(findings.contains("no LACPDU heard for"), "{findings}");
    let metrics = watched.team.ask("metrics");
    assert!(metrics.contains("teamr_port_up{team=\"team0\",port=\"eth1\"} 0"), "{metrics}");
    watched.partners[0].signal(Signal::SIGCONT);
    watched.wait_active("eth1");

    // The partner takes its port out of the aggregate.
    watched.partners[0].ask("port drain eth1 --last");
    watched.wait_active("eth2");
    watched.partners[0].ask("port undrain eth1");
    watched.wait_active("eth1");
    let log = watched.team.log();
    for line in ["eth1: lacp-link went down.", "eth1: lacp-link went up."] {
        assert!(log.contains(line), "no line {line:?} in\n{log}");
    }
}

/// Neither end notices that the daemon is frozen or replaced.
fn a_frozen_or_restarted_daemon_keeps_its_partners(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let Watched { pair, mut team, partners } = Watched::new(&lab, data_path);
    team.wait_ports_up(&PORTS);
    for (partner, port) in partners.iter().zip(PORTS) {
        wait_until("the partner to distribute", || partner.carrying().len() == 1);
        wait_until("the program to be ready", || {
            team.state_at_socket()["ports"][port]["teamr"]["lacp"]["keepalive"]["armed"] == true
        });
    }
    let churn = |partner: &Teamr| partner.log().matches("carrier changed").count();
    let before = partners.each_ref().map(churn);
    let received = || {
        let pdus = &partners[0].state_at_socket()["ports"]["eth1"]["teamr"]["lacp"]["pdus"];
        pdus["received"].as_u64().expect("a count")
    };
    team.signal(Signal::SIGSTOP);
    let frozen = received();
    wait_until("LACPDUs of a frozen team", || received() >= frozen + 10);
    team.signal(Signal::SIGCONT);
    wait_until("the LACPDUs of the kernel", || {
        let kept = &team.state_at_socket()["ports"]["eth1"]["teamr"]["lacp"]["keepalive"];
        kept["answered"].as_u64() > Some(3)
    });
    assert_eq!(team.state()["ports"]["eth1"]["link_watches"]["up"], true);

    team.signal(Signal::SIGUSR2);
    team.wait();
    let args: &[&str] = if data_path == DataPath::Kernel { &["-o"] } else { &[] };
    let team = Teamr::start_args(&pair.host, &config(data_path), args);
    for port in PORTS {
        let watch = watch(&team, port);
        assert_eq!((&watch["up"], &watch["down_count"]), (&true.into(), &0.into()), "{port}");
    }
    assert_eq!(team.active_port().as_deref(), Some("eth1"));
    wait_until("LACPDUs after the restart", || {
        let pdus = &team.state_at_socket()["ports"]["eth1"]["teamr"]["lacp"]["pdus"];
        pdus["received"].as_u64() > Some(5)
    });
    assert_eq!(watch(&team, "eth1")["down_count"], 0);
    assert_eq!(partners.each_ref().map(churn), before, "{}", partners[0].log());
}

on_own_data_paths! {
    a_port_whose_partner_fails_is_left_and_taken_again
}

/// With the relay no frame passes without the daemon.
#[test]
fn a_frozen_or_restarted_daemon_of_the_programs_keeps_its_partners() {
    a_frozen_or_restarted_daemon_keeps_its_partners(DataPath::Programs);
}

#[test]
fn in_the_kernel() {
    in_virtual_time(|_| {
        a_port_whose_partner_fails_is_left_and_taken_again(DataPath::Kernel);
        a_frozen_or_restarted_daemon_keeps_its_partners(DataPath::Kernel);
    });
}

/// The kernel's bonds as partners, each with one port, as a switch with two port-channels.
#[test]
fn bonds_are_partners() {
    in_virtual_time(|_| {
        [DataPath::Kernel, DataPath::Programs].into_iter().for_each(a_bond_is_left_and_taken_again);
    });
}

fn a_bond_is_left_and_taken_again(data_path: DataPath) {
    let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
    let (host, peer) = (lab.host("host"), lab.host("peer"));
    for (bond, port) in [("bond1", "eth1"), ("bond2", "eth2")] {
        let options = "type bond mode 802.3ad miimon 10 lacp_rate fast";
        peer.ip(&format!("link add name {bond} {options}"));
        lab.cable((&host, port), (&peer, port), CableKind::Virtual);
        peer.ip(&format!("link set dev {port} down"));
        peer.ip(&format!("link set dev {port} master {bond}"));
        peer.up(bond);
    }
    let mut config = team_config("team0", "activebackup", data_path, &PORTS);
    config["link_watch"] = json!({"name": "lacp"});
    config["ports"]["eth1"] = json!({"prio": 10});
    let team = Teamr::start(&host, &config);
    host.up("team0");
    team.wait_ports_up(&PORTS);
    team.wait_active("eth1");
    for (bond, port) in [("bond1", "eth1"), ("bond2", "eth2")] {
        let partner = &watch(&team, port)["teamr"]["partner_system"];
        assert_eq!(partner.as_str(), Some(&*peer.hwaddr(bond)), "{port}");
        let shown = || peer.run(&format!("cat /proc/net/bonding/{bond}"));
        let own = format!("system mac address: {}", host.hwaddr("team0"));
        wait_until("the bond to know its partner", || shown().contains(&own));
    }

    // The bond sends nothing more, although the carrier stays.
    peer.run("tc qdisc add dev eth1 clsact");
    peer.run("tc filter add dev eth1 egress pref 1 matchall action drop");
    let silent = monotonic();
    team.wait_active("eth2");
    let out = monotonic() - silent;
    println!("  {}: a silent bond is left after {out:.2?}", data_path.name());
    assert!(out.as_millis() <= 3050, "{out:?}");
    assert_eq!(team.state()["ports"]["eth1"]["link"]["up"], true);
    peer.run("tc filter delete dev eth1 egress");
    team.wait_active("eth1");

    // Without its carrier the bond is out at once.
    peer.down("eth1");
    team.wait_active("eth2");
    peer.up("eth1");
    team.wait_active("eth1");
}

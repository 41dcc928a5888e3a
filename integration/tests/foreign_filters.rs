//! Other programs of the host at the hooks of a team: the daemon puts removed filters back, and
//! `teamrctl doctor` names filters that run before the team's.

use std::fs;
use std::process::Command;
use std::time::Duration;

use integration::{
    DataPath, HostAndPeer, Lab, Namespace, Ping, Sharing, Teamr, binary, on_own_data_paths, tcx,
    team_config, teamr_command, wait_until,
};
use serde_json::Value;
use teamr::datapath::ebpf::assembler::Assembler;
use teamr::sys::bpf::{Hook, Program};
use teamr::sys::clock;

const PORTS: [&str; 2] = ["eth1", "eth2"];

/// A team that forwards; the peer sends to the team only through `eth1`.
struct Site {
    host: Namespace,
    peer: Namespace,
    team: Teamr,
}

fn set_up(lab: &Lab, data_path: DataPath, command: fn(&Namespace) -> Command) -> Site {
    let HostAndPeer { host, peer } = HostAndPeer::new(lab, &PORTS);
    start(host, peer, data_path, command)
}

fn start(
    host: Namespace,
    peer: Namespace,
    data_path: DataPath,
    command: fn(&Namespace) -> Command,
) -> Site {
    let mut config = team_config("team0", "activebackup", data_path, &PORTS);
    config["ports"]["eth1"]["prio"] = 100.into();
    let team = Teamr::start_config(&host, &config, command(&host));
    host.up("team0");
    host.address("team0", "10.0.0.1/24");
    peer.address("eth1", "10.0.0.2/24");
    team.wait_ports_up(&PORTS);
    team.wait_active("eth1");
    let site = Site { host, peer, team };
    site.assert_forwards();
    site
}

/// Adds a filter that passes every frame on to the next one.
fn add_filter(host: &Namespace, at: &str) {
    let file = host.folder().join("pass.bpf");
    fs::write(&file, "1,6 0 0 4294967295").expect("write a filter");
    host.run(&format!("tc filter add dev {at} bpf da bytecode-file {}", file.display()));
}

/// Attaches a TCX program that passes every frame on to the next one, before all others.
fn add_program(host: &Namespace, interface: &str, name: &'static str) {
    tcx::on(host, interface, move |ifindex| {
        let mut asm = Assembler::default();
        asm.exit_with(-1);
        let program = Program::load(&asm.finish(), name).expect("a program");
        program.attach(ifindex, Hook::Ingress, None).expect("TCX");
    });
}

/// Returns the names of the TCX programs at the ingress of an interface, in their order.
fn programs(host: &Namespace, interface: &str) -> Vec<String> {
    tcx::programs(host, interface, Hook::Ingress).expect("TCX")
}

/// Returns the command of a daemon that may not look programs up, and therefore attaches programs by
/// filters.
fn without_program_lookup(host: &Namespace) -> Command {
    let mut command = host.command("setpriv");
    command.args(["--inh-caps=-sys_admin", "--bounding-set=-sys_admin"]).arg(binary("teamr"));
    command
}

impl Site {
    fn assert_forwards(&self) {
        let ping = Ping::run(&self.peer, "10.0.0.1", 3, "");
        assert!(ping.is_exact(), "{ping:?}\n{}", self.team.log());
    }

    /// Waits until frames pass, after the last removal.
    fn assert_forwards_again(&self) {
        wait_until("the filters to be back", || !self.hooks("eth1").is_empty());
        wait_until("frames to pass", || Ping::run(&self.peer, "10.0.0.1", 1, "").is_exact());
    }

    /// Returns the qdisc and the filters of an interface, without their statistics.
    fn hooks(&self, interface: &str) -> String {
        let show = |what: &str| self.host.run(&format!("tc {what}"));
        let qdiscs = show(&format!("qdisc show dev {interface}"));
        let qdiscs = qdiscs.lines().filter(|line| line.contains("clsact"));
        let filters = ["ingress", "egress"]
            .map(|hook| show(&format!("filter show dev {interface} {hook}")))
            .concat();
        qdiscs.chain(filters.lines()).collect::<Vec<_>>().join("\n")
    }

    fn restored(&self) -> u64 {
        self.team.state()["teamr"]["hooks_restored"].as_u64().expect("a count")
    }

    /// Runs a command that removes hooks of `interface`, and asserts that the daemon puts the hooks
    /// back within a second.
    fn survives(&self, interface: &str, removal: &str) {
        let (hooks, count) = (self.hooks(interface), self.restored());
        assert!(hooks.contains("bpf"), "nothing is there to be removed: {hooks}");
        self.host.run(removal);
        let removed = clock::monotonic();
        wait_until(&format!("{interface} to be as before `{removal}`"), || {
            self.hooks(interface) == hooks
        });
        let time = clock::monotonic() - removed;
        println!("{interface}: back {time:?} after `{removal}`");
        assert!(time < Duration::from_secs(1), "{interface}: back {time:?} after `{removal}`");
        wait_until("the count to rise", || self.restored() > count);
        let warning = format!("{interface}: another program removed filters of the team");
        assert!(self.team.log().contains(&warning), "{}", self.team.log());
        self.assert_forwards();
    }

    fn findings(&self) -> Vec<Value> {
        let doctor = self.team.ctl("doctor --json");
        let findings: Value = serde_json::from_slice(&doctor.stdout).expect("findings");
        let findings = findings["team0"].as_array().expect("a list of findings");
        findings.clone()
    }

    fn assert_finds(&self, id: &str, cause: &str) {
        let findings = self.findings();
        let found = findings.iter().find(|finding| finding["id"] == id);
        let found = found.unwrap_or_else(|| panic!("no {id} among {findings:?}"));
        assert!(found["cause"].as_str().expect("a cause").contains(cause), "{found}");
    }
}

fn removed_hooks_of_a_port_come_back(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let site = set_up(&lab, data_path, teamr_command);
    for port in PORTS {
        site.survives(port, &format!("tc qdisc del dev {port} clsact"));
        site.survives(port, &format!("tc filter del dev {port} egress"));
        site.survives(port, &format!("tc filter del dev {port} ingress"));
    }
    site.assert_finds("filters-removed", "put them back");
    assert!(site.team.stop().success());
    for port in PORTS {
        let left = site.host.run(&format!("tc qdisc show dev {port}"));
        assert!(!left.contains("clsact"), "{port}: {left}");
    }
}

fn a_filter_before_the_teams_is_named(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let site = set_up(&lab, data_path, teamr_command);
    let named = |finding: &Value| finding["id"] == "foreign-filter";
    assert!(!site.findings().iter().any(named));
    add_filter(&site.host, "eth2 ingress pref 1");
    site.assert_finds("foreign-filter", "eth2 another program's bpf at preference 1");
}

fn filters_on_an_ingress_qdisc_stay_and_are_named(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &PORTS);
    host.run("tc qdisc add dev eth1 ingress");
    add_filter(&host, "eth1 parent ffff: pref 50");
    let site = start(host, peer, data_path, teamr_command);
    let filters = site.host.run("tc filter show dev eth1 ingress");
    let blocking = filters.matches("handle 0x7ea0000").count();
    let wanted = 1 + usize::from(filters.contains("teamr_receive"));
    assert_eq!(blocking, wanted, "{filters}");
    site.assert_finds("ingress-qdisc", "eth1");
    let Site { host, team, .. } = site;
    assert!(team.stop().success());
    let left = host.run("tc filter show dev eth1 ingress");
    assert!(left.contains("pref 50 bpf chain 0 handle 0x1") && !left.contains("0x7ea0"), "{left}");
    assert!(host.run("tc qdisc show dev eth1").contains("qdisc ingress"));
}

/// The team device is a veth, which has a carrier while its peer is up.
#[test]
fn a_peer_that_another_program_sets_down_comes_up_again() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let site = set_up(&lab, DataPath::Programs, teamr_command);
    site.host.down("team0-peer");
    wait_until("the peer to be up again", || {
        site.team.log().contains("team0-peer: another program changed it; it is up again")
    });
    site.assert_forwards_again();
}

on_own_data_paths! {
    removed_hooks_of_a_port_come_back
    restorations_of_a_hook_are_limited_and_the_limit_is_logged_once
    a_filter_before_the_teams_is_named
    filters_on_an_ingress_qdisc_stay_and_are_named
}

#[test]
fn a_program_attached_by_a_filter_comes_back_on_port_and_device() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let site = set_up(&lab, DataPath::Programs, without_program_lookup);
    let device = site.host.link("team0");
    let peer = device["link"].as_str().expect("the peer of the device");
    for interface in ["eth1", peer] {
        let hooks = site.hooks(interface);
        assert!(hooks.contains("teamr_"), "no program by a filter: {hooks}");
        site.survives(interface, &format!("tc qdisc del dev {interface} clsact"));
    }
}

#[test]
fn the_teams_tcx_program_comes_first_and_one_before_it_is_named() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &PORTS);
    if !tcx::is_here(&host) {
        return;
    }
    add_program(&host, "eth1", "other_first");
    let site = start(host, peer, DataPath::Programs, teamr_command);
    assert_eq!(programs(&site.host, "eth1"), ["teamr_receive", "other_first"]);
    let named = |finding: &Value| finding["id"] == "foreign-filter";
    assert!(!site.findings().iter().any(named), "{:?}", site.findings());
    add_program(&site.host, "eth1", "other_later");
    assert_eq!(programs(&site.host, "eth1"), ["other_later", "teamr_receive", "other_first"]);
    site.assert_finds(
        "foreign-filter",
        "eth1 another program's TCX program other_later runs first",
    );

    // A program that is put back is the first one again.
    assert!(tcx::detach(&site.host, "eth1", Hook::Ingress, "teamr_"));
    wait_until("the program to be back", || {
        programs(&site.host, "eth1") == ["teamr_receive", "other_later", "other_first"]
    });
    assert!(site.restored() > 0);
    site.assert_forwards();
    let Site { host, team, .. } = site;
    assert!(team.stop().success());
    assert_eq!(programs(&host, "eth1"), ["other_later", "other_first"]);
}

/// The kernel has no event for the removal, and no frame passes that could wake the daemon.
#[test]
fn a_tcx_program_without_traffic_comes_back() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &PORTS);
    if !tcx::is_here(&host) {
        return;
    }
    let site = start(host, peer, DataPath::Programs, teamr_command);
    for (round, interface) in (1..).zip(PORTS) {
        let hook = Hook::Ingress;
        let programs = || tcx::programs(&site.host, interface, hook).expect("TCX");
        let before = programs();
        assert!(tcx::detach(&site.host, interface, hook, "teamr_"), "{interface}: {before:?}");
        let removed = clock::monotonic();
        wait_until(&format!("the program of {interface} to be back"), || programs() == before);
        let time = clock::monotonic() - removed;
        println!("{interface}: back {time:?} after the removal of {before:?}");
        assert!(time < Duration::from_secs(1), "{interface}: back after {time:?}");
        wait_until("the count to rise", || site.restored() == round);
        let warning = format!("{interface}: another program removed filters of the team");
        assert!(site.team.log().contains(&warning), "{}", site.team.log());
    }
    site.assert_forwards();
    site.assert_finds("filters-removed", "put them back");
}

/// Another program, such as a security agent, removes the hook in a loop for five seconds.
fn restorations_of_a_hook_are_limited_and_the_limit_is_logged_once(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let site = set_up(&lab, data_path, without_program_lookup);
    let end = clock::monotonic() + Duration::from_secs(5);
    let mut removed = 0;
    while clock::monotonic() < end {
        let removal = site.host.try_run("tc qdisc del dev eth1 clsact");
        removed += u64::from(removal.status.success());
    }
    // The filters of the start, then eight restorations without a pause, then one a second.
    assert!((8..=1 + 8 + 5).contains(&removed), "{removed} removals");
    site.assert_forwards_again();
    let log = site.team.log();
    assert_eq!(
        log.matches("eth1: another program removes filters of the team").count(),
        1,
        "{log}"
    );
    assert!(log.matches("eth1: another program removed filters").count() <= 8, "{log}");
    site.assert_finds("filters-removed", "put them back");
}

/// Under TCX an interface takes its program to another namespace.
#[test]
fn a_port_in_another_namespace_is_free_of_the_team_and_its_successor_counts_anew() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &["eth1", "eth2", "eth3"]);
    let config = team_config("team0", "broadcast", DataPath::Programs, &PORTS);
    let team = Teamr::start(&pair.host, &config);
    pair.host.up("team0");
    pair.host.address("team0", "10.0.0.1/24");
    team.wait_ports_up(&PORTS);
    let received = |port: &str| team.state()["ports"][port]["teamr"]["rx_frames"].as_u64();
    pair.peer.address("eth2", "10.0.0.2/24");
    assert!(Ping::run(&pair.peer, "10.0.0.1", 50, "").answered > 0);
    wait_until("eth2 to have received", || received("eth2") >= Some(50));

    let elsewhere = lab.host("elsewhere");
    pair.host.ip(&format!("link set dev eth2 netns {}", elsewhere.pid()));
    team.wait_no_port("eth2");
    team.ask("port add eth3");
    team.wait_ports_up(&["eth1", "eth3"]);
    assert!(received("eth3") < Some(50), "{:?}", received("eth3"));

    elsewhere.up("eth2");
    elsewhere.address("eth2", "10.7.0.1/24");
    pair.peer.address("eth2", "10.7.0.2/24");
    wait_until("eth2 to have a carrier", || elsewhere.link("eth2")["operstate"] == "UP");
    let before = received("eth3");
    let ping = Ping::run(&pair.peer, "10.7.0.1", 50, "");
    assert!(ping.is_exact(), "{ping:?}");
    assert!(received("eth3") < before.map(|before| before + 50), "eth3 counts frames of eth2");
}

//! Daemons that follow one another on the team driver: the device outlives a daemon, and the next
//! daemon reads its state from the kernel.

use std::process::{Command, Output};

use integration::traffic::{End, Pace, Stream};
use integration::{
    CableKind, DataPath, Lab, Namespace, Ping, Process, Sharing, Site, SiteWithTeam, Teamr,
    in_virtual_time, team_config, teamr_command, wait_until,
};
use serde_json::Value;

const PORTS: [&str; 2] = ["eth1", "eth2"];
const TEAM: &str = "team0";

/// Returns a site with a plain switch and no daemon on the left host.
fn site(lab: &Lab) -> Site {
    let site = Site::new(lab, CableKind::Virtual);
    site.plug_unaggregated();
    site
}

fn config(runner: &str) -> Value {
    team_config(TEAM, runner, DataPath::Kernel, &PORTS)
}

/// Starts teamr on the left host and waits for its ports.
fn start(site: &Site, args: &[&str]) -> Teamr {
    let team = Teamr::start_args(&site.left, &config("activebackup"), args);
    team.wait_ports_up(&PORTS);
    team
}

/// Sets the addresses of both hosts.
fn address(left: &Namespace, right: &Namespace) {
    left.up(TEAM);
    left.address(TEAM, "10.0.0.1/24");
    right.address("eth1", "10.0.0.2/24");
}

/// Starts a stream each way, after a ping has resolved the neighbours.
fn streams(left: &Namespace, right: &Namespace) -> [Stream; 2] {
    Ping::run(left, "10.0.0.2", 3, "");
    let end = |host: &Namespace, interface: &str, address: &str| End {
        host: host.clone(),
        interface: interface.to_owned(),
        address: address.parse().expect("an address"),
    };
    let left = end(left, TEAM, "10.0.0.1:7000");
    let right = end(right, "eth1", "10.0.0.2:7000");
    [
        Stream::start_at(Pace::Gentle, &left, &right, None, 100),
        Stream::start_at(Pace::Gentle, &right, &left, None, 100),
    ]
}

fn assert_nothing_lost(streams: [Stream; 2], when: &str) {
    for stream in streams {
        let what = stream.what().to_owned();
        let trace = stream.finish();
        let (sent, lost) = (trace.sent.len(), trace.lost().len());
        println!("    {when}, {what}: {sent} packets, {lost} lost");
        assert!(trace.is_exact(), "{when}, {what}");
    }
}

fn ifindex(host: &Namespace, interface: &str) -> u64 {
    let index = host.link(interface)["ifindex"].as_u64();
    index.expect("an interface index")
}

fn is_port(host: &Namespace, interface: &str) -> bool {
    host.link(interface)["master"] == TEAM
}

/// Returns the output of `teamr ARGS`, which ends by itself.
fn ended(host: &Namespace, args: &[&str], config: Option<&Value>) -> Output {
    let mut command = teamr_command(host);
    command.args(args);
    if let Some(config) = config {
        command.arg("-c").arg(config.to_string());
    }
    command.output().expect("start teamr")
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success(), "it should have been refused");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns `disable_ipv6` of the ports.
fn ipv6_of_ports(host: &Namespace) -> [u64; 2] {
    PORTS.map(|port| {
        let cat = format!("cat /proc/sys/net/ipv6/conf/{port}/disable_ipv6");
        host.run(&cat).trim().parse().expect("a number")
    })
}

/// `-N` and `-o`: the device forwards traffic without a daemon.
fn an_update_interrupts_nothing(lab: &Lab) {
    println!("  stop with -N, start with -o");
    let site = site(lab);
    let (left, right) = (&site.left, &site.right);
    let first = start(&site, &["-N"]);
    address(left, right);
    // A fresh start would activate the other port.
    first.ask("state item set runner.active_port eth2");
    first.wait_active("eth2");
    let (device, active) = (ifindex(left, TEAM), ifindex(left, "eth2").to_string());
    let streams = streams(left, right);
    assert!(first.stop().success());
    assert!(left.has_interface(TEAM) && PORTS.iter().all(|port| is_port(left, port)));
    let second = start(&site, &["-o", "-N"]);
    second.wait_active("eth2");
    assert_nothing_lost(streams, "stopped and started");
    assert_eq!(ifindex(left, TEAM), device, "the device is another one");
    assert_eq!(second.driver_option("activeport"), active);
    second.crash();
}

/// A daemon is killed and the next one takes over, with every runner that uses all ports.
fn a_crash_interrupts_nothing(lab: &Lab, runner: &str) {
    println!("  killed and started with -o, {runner}");
    let teamed = SiteWithTeam::new(lab, runner, DataPath::Kernel, CableKind::Virtual);
    let (left, right) = (&teamed.site.left, &teamed.site.right);
    address(left, right);
    let streams = streams(left, right);
    teamed.team.crash();
    let team = Teamr::start_args(left, &config(runner), &["-o"]);
    team.wait_ports_up(&PORTS);
    assert_nothing_lost(streams, &format!("{runner} killed and started"));
}

/// A daemon reads the changes that happened before its start.
fn changes_without_a_daemon_are_read(lab: &Lab) {
    println!("  changes while there is no daemon");
    let site = site(lab);
    let left = &site.left;
    let team = start(&site, &[]);
    team.wait_active("eth1");
    team.crash();
    site.cable("eth1").pull();
    let switch = site.switch.namespace();
    lab.cable((left, "eth3"), (switch, "left3"), CableKind::Virtual);
    switch.up("left3");
    left.ip("link set dev eth3 master team0");
    wait_until("eth1 to be down", || left.link("eth1")["operstate"] != "UP");

    let team = Teamr::start_args(left, &config("activebackup"), &["-o"]);
    team.wait_port("eth1", false);
    team.wait_port("eth2", true);
    team.wait_port("eth3", true);
    let active = team.active_port().expect("an active port");
    assert_ne!(active, "eth1");
    assert_eq!(team.driver_option("activeport"), ifindex(left, &active).to_string());
    team.crash();

    // eth2 was released, so it is down; the configuration names it.
    left.ip("link set dev eth2 nomaster");
    site.cable("eth1").put_back();
    let team = start(&site, &["-o"]);
    assert!(PORTS.iter().all(|port| is_port(left, port)));
    // The value names the team device.
    let disabled = ifindex(left, TEAM) << 16 | 32419;
    assert_eq!(ipv6_of_ports(left), [disabled; 2], "a port has IPv6");
    assert!(team.stop().success());
    assert!(left.has_interface(TEAM), "-o deleted the device");
    assert_eq!(ipv6_of_ports(left), [0; 2], "after two crashes");
}

/// A device that another program created is used and stays.
fn a_foreign_device_stays(lab: &Lab) {
    println!("  a device of another program");
    let site = site(lab);
    let left = &site.left;
    left.ip("link add name team0 type team");
    let device = ifindex(left, TEAM);
    let refused = ended(left, &[], Some(&config("activebackup")));
    assert!(refusal(&refused).contains("exists: -o takes it over, -r makes it anew"));
    let team = start(&site, &["-o"]);
    assert!(team.stop().success());
    assert_eq!(ifindex(left, TEAM), device);
    assert!(!PORTS.iter().any(|port| is_port(left, port)));
    assert_eq!(ipv6_of_ports(left), [0; 2]);

    // The driver does not change its mode while it has ports.
    let team = start(&site, &["-o"]);
    team.crash();
    let refused = ended(left, &["-o"], Some(&config("roundrobin")));
    assert!(refusal(&refused).contains("has ports and another mode"));
    assert_eq!(ifindex(left, TEAM), device);
    assert!(PORTS.iter().all(|port| is_port(left, port)), "the ports were changed");
}

/// `-r` recreates a team device, but no other kind of interface.
fn a_device_is_recreated(lab: &Lab) {
    println!("  -r");
    let site = site(lab);
    let left = &site.left;
    start(&site, &[]).crash();
    let device = ifindex(left, TEAM);
    let team = start(&site, &["-r"]);
    assert_ne!(ifindex(left, TEAM), device);
    assert!(team.stop().success());
    assert!(!left.has_interface(TEAM));
    assert_eq!(ipv6_of_ports(left), [0; 2]);

    left.ip("link add name team0 type dummy");
    let device = ifindex(left, TEAM);
    for arg in ["-r", "-o"] {
        let refused = ended(left, &[arg], Some(&config("activebackup")));
        assert!(refusal(&refused).contains("no team device; it is left alone"));
        assert_eq!(ifindex(left, TEAM), device);
    }
}

/// A second daemon is refused, whatever its options are.
fn a_device_has_one_daemon(lab: &Lab) {
    println!("  a second daemon");
    let site = site(lab);
    let left = &site.left;
    let first = start(&site, &[]);
    address(left, &site.right);
    let device = ifindex(left, TEAM);
    let reason = format!("it belongs to the daemon {}.", first.pid());
    for arg in ["-o", "-r", "-w", "-n"] {
        let args = [arg, "-p", "/run/teamr-second.pid"];
        let refused = ended(left, &args, Some(&config("activebackup")));
        assert_eq!(refused.status.code(), Some(1), "{arg}");
        assert!(refusal(&refused).contains(&reason), "{arg}");
        assert_eq!(ifindex(left, TEAM), device);
        assert!(PORTS.iter().all(|port| is_port(left, port)));
    }
    assert!(Ping::run(left, "10.0.0.2", 3, "").is_exact());
    assert!(first.stop().success());
}

/// `-k` ends the daemon that has the pid file locked, and no other process.
fn only_the_daemon_of_the_pid_file_is_killed(lab: &Lab) {
    println!("  -k");
    let site = site(lab);
    let left = &site.left;
    left.run("mkdir -p /run/teamd");
    let started = ended(left, &["-d"], Some(&config("activebackup")));
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    assert!(ended(left, &["-e", "-t", TEAM], None).status.success());
    assert!(ended(left, &["-k", "-t", TEAM], None).status.success());
    wait_until("the device to be gone", || !left.has_interface(TEAM));
    assert!(!ended(left, &["-e", "-t", TEAM], None).status.success());

    let mut sleep = Command::new("sleep");
    sleep.arg("1000");
    let mut other = Process::start("other", left.folder(), sleep);
    left.write("/run/teamd/team0.pid", &other.pid().to_string());
    assert!(!ended(left, &["-k", "-t", TEAM], None).status.success());
    assert!(other.ended().is_none(), "another process was killed");
}

#[test]
fn the_device_outlives_its_daemon() {
    in_virtual_time(|_| {
        let lab = || Lab::open(Sharing::Shared).expect("a guest can have a lab");
        an_update_interrupts_nothing(&lab());
        for runner in ["activebackup", "loadbalance", "roundrobin"] {
            a_crash_interrupts_nothing(&lab(), runner);
        }
        changes_without_a_daemon_are_read(&lab());
        a_foreign_device_stays(&lab());
        a_device_is_recreated(&lab());
        a_device_has_one_daemon(&lab());
        only_the_daemon_of_the_pid_file_is_killed(&lab());
    });
}

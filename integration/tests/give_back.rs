//! Released ports have the same state as before they were ports.

use integration::{
    DataPath, HostAndPeer, Lab, Namespace, Sharing, Teamr, in_guest, on_own_data_paths,
    team_config, wait_until,
};
use serde_json::{Value, json};

/// Returns the state of an interface that a team may change.
fn snapshot(host: &Namespace, interface: &str) -> Value {
    let mut link = host.link(interface);
    // The peer sets these flags, not the daemon.
    if let Some(flags) = link["flags"].as_array_mut() {
        flags.retain(|flag| flag != "NO-CARRIER" && flag != "LOWER_UP");
    }
    // Handle 0 is the kernel's own default, which it attaches when an interface first goes up.
    let qdiscs = host.run(&format!("tc qdisc show dev {interface}"));
    let qdiscs: Vec<&str> = qdiscs.lines().filter(|line| !line.contains(" 0: root")).collect();
    let read = |path: String| host.run(&format!("cat {path}")).trim().to_owned();
    json!({
        "hwaddr": link["address"],
        "flags": link["flags"],
        "mtu": link["mtu"],
        "promiscuity": link["promiscuity"],
        "allmulti": link["allmulti"],
        "master": link["master"],
        "qdiscs": qdiscs,
        "ingress": host.run(&format!("tc filter show dev {interface} ingress")),
        "egress": host.run(&format!("tc filter show dev {interface} egress")),
        "addresses": host.run(&format!("ip -oneline address show dev {interface} scope global")),
        "disable_ipv6": read(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6")),
        "offloads": host.run(&format!("ethtool -k {interface}")),
    })
}

/// Returns a host with a port in its default state and a port with every setting changed.
fn host_with_ports(lab: &Lab) -> Namespace {
    let host = HostAndPeer::new(lab, &PORTS).host;
    for port in PORTS {
        // An interface gets its queueing discipline when it is first set up, and keeps it.
        host.up(port);
        host.ip(&format!("link set dev {port} down"));
    }
    host.ip("link set dev eth2 address 02:00:5e:00:53:02 mtu 1400 promisc on");
    host.address("eth2", "10.8.0.1/24");
    host.write("/proc/sys/net/ipv6/conf/eth2/disable_ipv6", "1");
    host.run("tc qdisc add dev eth2 clsact");
    // The daemon's own filters would take preference 7 first.
    host.run(
        "tc filter add dev eth2 ingress protocol ip pref 7 u32 match ip dport 9 0xffff \
         action mirred egress redirect dev lo",
    );
    host
}

const PORTS: [&str; 2] = ["eth1", "eth2"];

fn start(host: &Namespace, runner: &str, data_path: DataPath) -> Teamr {
    start_args(host, runner, data_path, &[])
}

fn start_args(host: &Namespace, runner: &str, data_path: DataPath, args: &[&str]) -> Teamr {
    let team = Teamr::start_args(host, &team_config("team0", runner, data_path, &PORTS), args);
    team.wait_ports_up(&PORTS);
    team
}

fn assert_as_found(host: &Namespace, found: &[Value; 2]) {
    for (port, found) in PORTS.iter().zip(found) {
        let mut left = Value::Null;
        // The kernel updates the promiscuity of a closed socket's interface a moment later.
        wait_until(&format!("{port} to be as found"), || {
            left = snapshot(host, port);
            left["promiscuity"] == found["promiscuity"]
        });
        for (what, found) in found.as_object().expect("a snapshot") {
            assert_eq!(&left[what], found, "{what} of {port}");
        }
    }
}

fn at_the_end_of_the_daemon(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host_with_ports(&lab);
    let found = PORTS.map(|port| snapshot(&host, port));
    let team = start(&host, "activebackup", data_path);
    assert_ne!(
        snapshot(&host, "eth2"),
        found[1],
        "the team changed nothing, so the test proves nothing"
    );
    assert!(team.stop().success());
    assert_as_found(&host, &found);
}

fn on_removal(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host_with_ports(&lab);
    let found = PORTS.map(|port| snapshot(&host, port));
    let team = start(&host, "loadbalance", data_path);
    for port in PORTS {
        team.ask(&format!("port remove {port}"));
        team.wait_no_port(port);
    }
    assert_as_found(&host, &found);
}

fn at_the_end_of_the_daemon_after_a_crash(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host_with_ports(&lab);
    let found = PORTS.map(|port| snapshot(&host, port));
    start(&host, "activebackup", data_path).crash();
    assert!(start(&host, "activebackup", data_path).stop().success());
    assert_as_found(&host, &found);
}

/// `-N` keeps the device at the end of the daemon; here the device is deleted before.
fn when_the_device_is_deleted(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host_with_ports(&lab);
    let found = PORTS.map(|port| snapshot(&host, port));
    let mut team = start_args(&host, "activebackup", data_path, &["-N"]);
    host.ip("link delete dev team0");
    assert!(team.wait().success());
    assert_as_found(&host, &found);
}

/// The device outlives its daemon and is deleted later: the next daemon, of any team, restores the
/// ports. The daemon does not restore the ports of a device that still exists under another name.
fn by_the_daemon_of_another_team(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host_with_ports(&lab);
    let found = PORTS.map(|port| snapshot(&host, port));
    assert!(start_args(&host, "activebackup", data_path, &["-N"]).stop().success());
    let other = || Teamr::start(&host, &team_config("team1", "broadcast", data_path, &[]));
    host.ip("link set dev team0 down");
    host.ip("link set dev team0 name renamed0");
    let kept = PORTS.map(|port| snapshot(&host, port));
    assert_ne!(kept, found, "the daemon kept nothing");
    assert!(other().stop().success());
    assert_as_found(&host, &kept);
    host.ip("link delete dev renamed0");
    assert!(other().stop().success());
    assert_as_found(&host, &found);
    assert_eq!(host.run("find /run -type f -o -type s"), "");
}

/// A port is moved to another network namespace and back; nobody changes the interface there.
/// Meanwhile another port has its place in the tables.
fn after_a_stay_in_another_network_namespace(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host_with_ports(&lab);
    let elsewhere = lab.host("elsewhere");
    let found = PORTS.map(|port| snapshot(&host, port));
    let team = start(&host, "activebackup", data_path);
    host.ip("link set dev team0 mtu 1300");
    host.ip("link set dev team0 address 02:00:5e:00:53:99");
    wait_until("the team's address on its port", || host.hwaddr("eth1") == host.hwaddr("team0"));
    wait_until("the team's MTU on its port", || host.link("eth1")["mtu"] == 1300);
    host.ip(&format!("link set dev eth1 netns {}", elsewhere.pid()));
    team.wait_no_port("eth1");
    let filters = elsewhere.run("tc filter show dev eth1 ingress");
    assert_eq!(filters, "");
    if data_path != DataPath::Kernel {
        let own = found[0]["hwaddr"].as_str().expect("an address");
        let cure = format!("ip link set dev eth1 address {own} mtu 1500 promisc off");
        wait_until("the cure in the log", || team.log().contains(&cure));
    }
    host.ip("link add name eth3 type veth peer name far3");
    host.up("far3");
    team.ask("port add eth3");
    team.wait_port("eth3", true);
    elsewhere.ip(&format!("link set dev eth1 netns {}", host.pid()));
    team.wait_port("eth1", true);
    assert!(team.stop().success());
    host.ip("link delete dev far3");
    assert_as_found(&host, &found);
}

#[test]
fn after_a_stay_in_another_network_namespace_with_the_kernels_driver() {
    in_guest(|_| after_a_stay_in_another_network_namespace(DataPath::Kernel));
}

#[test]
fn by_the_daemon_of_another_team_with_the_kernels_driver() {
    in_guest(|_| by_the_daemon_of_another_team(DataPath::Kernel));
}

#[test]
fn when_the_device_is_deleted_with_the_kernels_driver() {
    in_guest(|_| when_the_device_is_deleted(DataPath::Kernel));
}

on_own_data_paths! {
    when_the_device_is_deleted
    by_the_daemon_of_another_team
    after_a_stay_in_another_network_namespace
    at_the_end_of_the_daemon
    on_removal
    at_the_end_of_the_daemon_after_a_crash
}

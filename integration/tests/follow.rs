//! `follow`: hosts and guests behind a host lose their carrier with its team or with a port.

use integration::{
    CableKind, DataPath, HostAndPeer, Lab, Namespace, Process, Sharing, Teamr, in_virtual_time,
    on_own_data_paths, team_config, wait_until,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const PORTS: [&str; 2] = ["eth1", "eth2"];

/// A host with a team, its peer, and a host behind it.
struct Hosts {
    host: Namespace,
    peer: Namespace,
    behind: Namespace,
}

impl Hosts {
    /// Creates the hosts; the cables `eth5` and `eth6` lead to the host behind.
    fn new(lab: &Lab) -> Hosts {
        let HostAndPeer { host, peer } = HostAndPeer::new(lab, &PORTS);
        let hosts = Hosts { host, peer, behind: lab.host("behind") };
        ["eth5", "eth6"].iter().for_each(|name| hosts.connect(lab, name));
        hosts
    }

    /// Adds a cable to the host behind, with both ends up.
    fn connect(&self, lab: &Lab, name: &str) {
        lab.cable((&self.host, name), (&self.behind, name), CableKind::Virtual);
        self.behind.up(name);
        self.host.up(name);
    }

    /// Starts a team that `followers` follow, and waits for its carrier.
    fn start(&self, data_path: DataPath, followers: &Value) -> Teamr {
        let team = Teamr::start(&self.host, &config(data_path, followers));
        team.take_precedence();
        team.wait_ports_up(&PORTS);
        self.host.up("team0");
        team
    }

    /// Waits until the ends of `eth5` and `eth6` at the host behind have these carriers.
    fn wait_carriers(&self, expected: [bool; 2]) {
        let carriers = || ["eth5", "eth6"].map(|name| has_carrier(&self.behind, name));
        wait_until(&format!("the carriers {expected:?}"), || carriers() == expected);
    }

    /// Takes both ports of the team down at the peer, or sets them up again.
    fn set_ports(&self, up: bool) {
        for port in PORTS {
            if up { self.peer.up(port) } else { self.peer.down(port) }
        }
    }
}

fn config(data_path: DataPath, followers: &Value) -> Value {
    let mut config = team_config("team0", "activebackup", data_path, &PORTS);
    config["follow"] = followers.clone();
    config
}

fn has_carrier(host: &Namespace, interface: &str) -> bool {
    host.link(interface)["operstate"] == "UP"
}

fn items(team: &Teamr) -> Value {
    team.state_at_socket()["teamr"].clone()
}

/// Returns when `ip -ts monitor link` has reported that an interface lost its carrier, in
/// microseconds of the day.
fn carrier_lost_at(monitor: &Process, interface: &str) -> Option<u64> {
    let log = monitor.log();
    let line = log
        .lines()
        .find(|line| line.contains(&format!(": {interface}@")) && line.contains("NO-CARRIER"))?;
    let (_, time) = line.split_once('T')?;
    let numbers: Vec<u64> =
        time.get(..15)?.split([':', '.']).filter_map(|number| number.parse().ok()).collect();
    let [hours, minutes, seconds, micros] = numbers.try_into().ok()?;
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros)
}

fn a_host_behind_loses_its_carrier(data_path: DataPath) {
    carrier_follows_within(None, data_path);
}

/// The links follow the team and a port, within a time in microseconds.
fn carrier_follows_within(limit: Option<u64>, data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let hosts = Hosts::new(&lab);
    let mut config = config(data_path, &json!(["eth5"]));
    config["ports"]["eth1"]["follow"] = json!(["eth6"]);
    let mut team = Teamr::start(&hosts.host, &config);
    team.take_precedence();
    team.wait_ports_up(&PORTS);
    hosts.host.up("team0");
    hosts.wait_carriers([true, true]);

    let monitors = [&hosts.host, &hosts.behind].map(|host| host.start("ip -ts monitor link"));
    // A monitor that has reported a change receives. The team driver refuses another MTU of a port.
    let mut mtu = 1500;
    wait_until("the monitors", || {
        mtu -= 1;
        for host in [&hosts.host, &hosts.behind] {
            host.ip(&format!("link set dev eth5 mtu {mtu}"));
        }
        monitors.iter().all(|monitor| monitor.log().contains("mtu "))
    });
    hosts.peer.down("eth1");
    hosts.wait_carriers([true, false]);
    assert_eq!(items(&team)["followers_down"], "eth6");
    hosts.peer.down("eth2");
    hosts.wait_carriers([false, false]);
    assert_eq!(items(&team)["followers_down"], "eth5 eth6");
    for (port, follower) in [("eth1", "eth6"), ("eth2", "eth5")] {
        let [mut lost, mut follows] = [0; 2];
        wait_until("the reports of the monitors", || {
            let times =
                (carrier_lost_at(&monitors[0], port), carrier_lost_at(&monitors[1], follower));
            if let (Some(first), Some(second)) = times {
                (lost, follows) = (first, second);
            }
            follows != 0
        });
        let delay = follows.saturating_sub(lost);
        println!("{follower} follows {port} after {delay} us");
        assert!(limit.is_none_or(|limit| delay < limit), "{delay} us");
    }

    hosts.set_ports(true);
    hosts.wait_carriers([true, true]);
    assert_eq!(items(&team)["followers_down"], "");

    // An interface that is missing has no carrier either.
    hosts.host.ip("link delete eth1");
    hosts.wait_carriers([true, false]);
    team.ask("set follow []");
    hosts.peer.down("eth2");
    wait_until("a team without a carrier", || !has_carrier(&hosts.host, "team0"));
    hosts.wait_carriers([true, false]);
    team.signal(Signal::SIGTERM);
    team.wait();
    hosts.wait_carriers([true, true]);
}

fn links_are_up_again_after_a_stop_and_after_a_crash(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let hosts = Hosts::new(&lab);
    hosts.connect(&lab, "eth7");
    let followers = json!(["eth5", "eth6"]);
    let start_and_lose = || {
        hosts.set_ports(true);
        let team = hosts.start(data_path, &followers);
        hosts.wait_carriers([true, true]);
        hosts.set_ports(false);
        hosts.wait_carriers([false, false]);
        team
    };
    // A link that is down by another program stays down.
    start_and_lose().stop();
    hosts.wait_carriers([true, true]);
    hosts.host.down("eth6");
    for port in PORTS {
        hosts.host.down(port);
    }
    let team = hosts.start_down(data_path, &followers, &[]);
    team.stop();
    hosts.wait_carriers([true, false]);
    hosts.host.up("eth6");

    // The next daemon of the team goes on, with the links that still follow.
    start_and_lose().crash();
    hosts.wait_carriers([false, false]);
    let team = hosts.start_down(data_path, &json!(["eth5"]), &["-o"]);
    hosts.wait_carriers([false, true]);
    hosts.set_ports(true);
    hosts.wait_carriers([true, true]);
    team.stop();
    // -o leaves a device of the team driver in place.
    if hosts.host.has_interface("team0") {
        hosts.host.ip("link delete team0");
    }

    // The daemon of another team sets the links up if the team has no device.
    start_and_lose().crash();
    hosts.host.ip("link delete team0");
    let other = team_config("team1", "activebackup", data_path, &[]);
    let other = Teamr::start(&hosts.host, &other);
    hosts.wait_carriers([true, true]);
    other.stop();
}

impl Hosts {
    /// Starts a team whose ports have no carrier, with these options of teamr.
    fn start_down(&self, data_path: DataPath, followers: &Value, args: &[&str]) -> Teamr {
        let team = Teamr::start_args(&self.host, &config(data_path, followers), args);
        wait_until("followers that are down", || {
            items(&team)["followers_down"].as_str().is_some_and(|down| down.contains("eth5"))
        });
        team
    }
}

fn an_interface_follows_as_soon_as_it_exists(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let hosts = Hosts::new(&lab);
    hosts.set_ports(false);
    let followers = json!(["eth7", "mv0"]);
    let team = Teamr::start(&hosts.host, &config(data_path, &followers));
    let errors = items(&team);
    assert_eq!((&errors["followers_failed"], &errors["followers_down"]), (&json!(2), &json!("")));
    let text = errors["follow_errors"].as_str().expect("a text");
    assert!(text.starts_with("eth7: No such device"), "{text}");

    hosts.connect(&lab, "eth7");
    let is_up = |interface: &str| has_carrier(&hosts.behind, interface);
    wait_until("eth7 to be down", || items(&team)["followers_down"] == "eth7" && !is_up("eth7"));
    // Another program sets the link up.
    hosts.host.up("eth7");
    wait_until("eth7 to be down again", || !is_up("eth7"));
    hosts.host.ip("link delete eth7");
    wait_until("no link that is down", || items(&team)["followers_down"] == "");
    hosts.connect(&lab, "eth7");
    wait_until("the new eth7 to be down", || !is_up("eth7"));

    // The driver of a macvlan takes the carrier alone: the addresses stay.
    hosts.host.ip("link add mv0 link eth5 type macvlan mode bridge");
    hosts.host.ip("link set dev mv0 up");
    hosts.host.address("mv0", "2001:db8::1/64");
    let flags = || hosts.host.link("mv0")["flags"].to_string();
    wait_until("mv0 to lose its carrier", || flags().contains("NO-CARRIER"));
    assert!(flags().contains("\"UP\""), "{}", flags());
    assert!(hosts.host.ip("-6 address show dev mv0").contains("2001:db8::1"));
    assert_eq!(items(&team)["followers_failed"], 0);
    hosts.set_ports(true);
    wait_until("the links to be up", || is_up("eth7") && !flags().contains("NO-CARRIER"));
    team.stop();
}

fn a_team_does_not_follow_itself(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let hosts = Hosts::new(&lab);
    hosts.host.ip("link property add dev eth2 altname uplink2");
    hosts.host.ip("link add port3 type veth peer name peer3");
    hosts.host.up("peer3");
    hosts.host.ip("link add port4 link eth5 type macvlan");
    hosts.set_ports(false);
    let mut config = config(data_path, &json!(["lo", "team0", "uplink2", "peer3", "eth5"]));
    config["ports"]["port3"] = json!({});
    config["ports"]["port4"] = json!({});
    let team = Teamr::start(&hosts.host, &config);
    team.wait_ports_up(&["port3", "port4"]);
    let found = items(&team);
    assert_eq!((&found["followers_failed"], &found["followers_down"]), (&json!(5), &json!("")));
    assert_eq!(
        found["follow_errors"],
        "eth5: \"team0\" stands on the interface: team0 > port4 > eth5; \
         lo: a loopback has no link; \
         peer3: the interface is the peer of a port of \"team0\"; \
         team0: the interface is a part of \"team0\"; \
         uplink2: the interface is a part of \"team0\""
    );
    team.stop();
}

on_own_data_paths! {
    a_host_behind_loses_its_carrier
    links_are_up_again_after_a_stop_and_after_a_crash
    an_interface_follows_as_soon_as_it_exists
    a_team_does_not_follow_itself
}

#[test]
fn with_the_kernel_driver() {
    in_virtual_time(|_| {
        links_are_up_again_after_a_stop_and_after_a_crash(DataPath::Kernel);
        an_interface_follows_as_soon_as_it_exists(DataPath::Kernel);
        a_team_does_not_follow_itself(DataPath::Kernel);
    });
}

#[test]
fn a_host_behind_loses_its_carrier_within_10_ms() {
    in_virtual_time(|_| {
        for data_path in [DataPath::Kernel, DataPath::Programs, DataPath::Userspace] {
            carrier_follows_within(Some(10_000), data_path);
        }
    });
}

/// Virtual functions of netdevsim, whose driver only stores their link states.
fn virtual_functions_are_disabled(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let hosts = Hosts::new(&lab);
    hosts.host.write("/sys/bus/netdevsim/new_device", "7 1");
    let is_named = |name: &String| {
        let driver = hosts.host.run(&format!("ethtool -i {name}"));
        driver.contains("driver: netdevsim")
    };
    let names = || hosts.host.interfaces().into_iter().filter(|name| name != "lo");
    wait_until("the physical function", || names().any(|name| is_named(&name)));
    let name = names().find(is_named).expect("the physical function");
    hosts.host.ip(&format!("link set dev {name} name pf0"));
    // The kernel reports changes of an interface that is up alone.
    hosts.host.up("pf0");
    hosts.host.write("/sys/bus/netdevsim/devices/netdevsim7/sriov_numvfs", "4");
    hosts.host.ip("link set dev pf0 vf 1 state enable");
    hosts.host.ip("link set dev pf0 vf 2 state disable");
    let states = || {
        let link = hosts.host.link("pf0");
        let list = link["vfinfo_list"].as_array().expect("virtual functions").clone();
        let states = list.iter().map(|vf| vf["link_state"].as_str().unwrap_or_default().to_owned());
        states.collect::<Vec<_>>()
    };
    let before = ["auto", "enable", "disable", "auto"];
    assert_eq!(states(), before);
    let followers = json!(["vf:pf0/0", "vf:pf0/1", "vf:pf0/2", "vf:pf0/9"]);
    let team = hosts.start(data_path, &followers);
    assert_eq!(states(), before);
    hosts.set_ports(false);
    wait_until("disabled functions", || states() == ["disable", "disable", "disable", "auto"]);
    let found = items(&team);
    assert_eq!(found["followers_down"], "vf:pf0/0 vf:pf0/1");
    assert_eq!(found["follow_errors"], "vf:pf0/9: No such device");
    // Another program enables a function.
    hosts.host.ip("link set dev pf0 vf 0 state enable");
    wait_until("a function that is disabled again", || states()[0] == "disable");
    hosts.set_ports(true);
    wait_until("the states before", || states() == ["enable", "enable", "disable", "auto"]);
    hosts.set_ports(false);
    wait_until("disabled functions", || states()[1] == "disable");
    team.crash();
    hosts.set_ports(true);
    let team = hosts.start(data_path, &json!([]));
    wait_until("the states before", || states() == ["enable", "enable", "disable", "auto"]);
    team.stop();
}

#[test]
fn virtual_functions_follow() {
    in_virtual_time(|_| virtual_functions_are_disabled(DataPath::Userspace));
}

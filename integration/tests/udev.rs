//! Beside udev, which names interfaces and sets their addresses some milliseconds after they appear.

use std::path::Path;

use integration::{
    DataPath, HostAndPeer, Lab, Namespace, Process, Sharing, Teamr, in_guest, on_own_data_paths,
    skip, team_config, wait_for, wait_until,
};
use serde_json::json;

/// Assignment of an address that udev leaves alone: `NET_ADDR_SET`.
const SET: &str = "3";
/// The address of a `.link` file.
const CHOSEN: &str = "02:00:00:00:00:77";
/// The system's udev.
const UDEVD: &str = "/usr/lib/systemd/systemd-udevd";

/// A program that listens on udev's socket.
const CONTROL: &str = "import socket, time
control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
control.bind('/run/udev/control')
print('bound', flush=True)
time.sleep(600)";

fn config(data_path: DataPath, ports: &[&str]) -> serde_json::Value {
    team_config("team0", "activebackup", data_path, ports)
}

/// Starts a socket in place of udev's.
fn start_udev(lab: &Lab, host: &Namespace) -> Process {
    host.run("mkdir -p /run/udev/data");
    let mut command = host.command("python3");
    command.args(["-c", CONTROL]);
    let udev = Process::start("udev", lab.folder(), command);
    wait_until("udev's socket", || udev.log().contains("bound"));
    udev
}

/// Marks an interface as processed by udev.
fn process(host: &Namespace, interface: &str) {
    host.run(&format!("touch /run/udev/data/n{}", host.link(interface)["ifindex"]));
}

/// A device that is created with the address of its first port keeps the address from the first
/// event on, and udev leaves it alone, with a port and without.
fn a_device_has_its_first_ports_address_from_the_beginning(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, .. } = HostAndPeer::new(&lab, &["eth1"]);
    let assigned = || host.run("cat /sys/class/net/team0/addr_assign_type").trim().to_owned();
    let team = Teamr::start(&host, &config(data_path, &["eth2"]));
    assert_eq!(assigned(), SET, "without a port");
    assert!(team.stop().success());

    let monitor = host.start("ip -oneline monitor link");
    let hwaddr = host.hwaddr("eth1");
    let event = |name: &str| {
        let log = monitor.log();
        let mut lines = log.lines().map(str::to_owned);
        lines
            .find(|line| line.contains(&format!(" {name}:")) || line.contains(&format!(" {name}@")))
    };
    wait_until("the monitor to listen", || {
        host.ip("link add early type bridge");
        host.ip("link delete dev early");
        event("early").is_some()
    });
    let team = Teamr::start(&host, &config(data_path, &["eth1"]));
    assert_eq!(host.hwaddr("team0"), hwaddr);
    assert_eq!(assigned(), SET);
    let first = wait_for("an event of the device", || event("team0"));
    // The tun driver has no address at creation.
    if data_path != DataPath::Userspace {
        assert!(first.contains(&format!("link/ether {hwaddr}")), "{first}");
    }
    assert!(team.stop().success());
}

/// An interface is taken after udev has named it; another interface that has the name meanwhile is
/// not taken.
fn a_port_is_taken_when_udev_has_named_it(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &[]);
    let host = &pair.host;
    let _udev = start_udev(&lab, host);
    pair.connect(&lab, "eth1");
    let team = Teamr::start(host, &config(data_path, &["eth1", "eth2"]));
    assert!(team.log().contains("eth1: Waiting for udev"), "{}", team.log());
    assert_eq!(team.port_up("eth1"), None);
    pair.connect(&lab, "eth2");
    host.ip("link set dev eth2 name lan0");
    process(host, "lan0");
    pair.peer.down("eth2");
    pair.peer.ip("link set dev eth2 name other");
    pair.connect(&lab, "eth2");
    process(host, "eth1");
    team.wait_port("eth1", true);
    assert_eq!(team.port_up("eth2"), None, "udev has not named it yet");
    process(host, "eth2");
    team.wait_port("eth2", true);
    assert_eq!(team.port_up("lan0"), None);
    assert_eq!(host.link("lan0")["operstate"], "DOWN");
    assert!(team.stop().success());
}

/// A port without a link that gets another name was the wrong interface.
fn a_port_that_loses_its_name_before_it_carries_leaves(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &["eth2"]);
    let host = &pair.host;
    pair.peer.down("eth2");
    let hwaddr = host.hwaddr("eth2");
    let team = Teamr::start(host, &config(data_path, &["eth2"]));
    assert_eq!(team.port_up("eth2"), Some(false));
    host.down("eth2");
    host.ip("link set dev eth2 name lan0");
    wait_until("the port to leave", || team.port_up("lan0").is_none());
    assert_eq!(team.port_up("eth2"), None);
    assert_eq!(host.hwaddr("lan0"), hwaddr);
    pair.peer.ip("link set dev eth2 name other");
    pair.connect(&lab, "eth2");
    team.wait_port("eth2", true);
    assert_eq!(team.port_up("lan0"), None);
    assert!(team.stop().success());
}

/// A port that is configured by an alternative name has its settings, also when it comes later.
fn a_port_has_the_settings_of_its_alternative_name(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &["eth1"]);
    let host = &pair.host;
    host.ip("link property add dev eth1 altname enp1s0");
    let mut config = config(data_path, &["enp1s0", "enp2s0"]);
    config["ports"]["enp1s0"] = json!({"prio": 7});
    config["ports"]["enp2s0"] = json!({"prio": 9});
    let team = Teamr::start(host, &config);
    team.wait_active("eth1");
    let settings = |port: &str| team.ask(&format!("port config dump {port}"));
    assert!(settings("eth1").contains("\"prio\": 7"), "{}", settings("eth1"));
    pair.connect(&lab, "eth2");
    host.ip("link property add dev eth2 altname enp2s0");
    // The kernel sends no event for a new name of an interface that is down.
    host.up("eth2");
    team.wait_active("eth2");
    assert!(settings("eth2").contains("\"prio\": 9"), "{}", settings("eth2"));
    let doctor = team.ctl("doctor").stdout;
    let doctor = String::from_utf8_lossy(&doctor).into_owned();
    assert!(!doctor.contains("port-missing"), "{doctor}");

    // The interface comes back under another name.
    host.ip("link delete dev eth2");
    team.wait_no_port("eth2");
    pair.connect(&lab, "eth5");
    host.ip("link property add dev eth5 altname enp2s0");
    host.up("eth5");
    team.wait_active("eth5");
    assert!(settings("eth5").contains("\"prio\": 9"), "{}", settings("eth5"));
    assert!(team.stop().success());
}

/// Starts the system's udev in the network namespace of `host`; `None` without one.
fn start_real_udev(lab: &Lab, host: &Namespace) -> Option<Process> {
    if !Path::new(UDEVD).exists() {
        skip(&format!("no {UDEVD} here"));
        return None;
    }
    host.run("mkdir -p /run/udev");
    let udev = Process::start("udevd", lab.folder(), host.command(UDEVD));
    // udev answers once it receives the kernel's events.
    wait_until("udev", || host.try_run("udevadm control --ping").status.success());
    Some(udev)
}

/// Returns the address that udev gives a new TAP of the name `team0`.
fn persistent_hwaddr(host: &Namespace) -> String {
    host.ip("tuntap add dev team0 mode tap");
    host.run("udevadm settle");
    let hwaddr = host.hwaddr("team0");
    host.ip("link delete dev team0");
    hwaddr
}

/// udev's persistent address is no one's choice, so the team keeps its own; an address that the
/// operator sets later, or in a `.link` file, becomes that of the team.
fn a_device_keeps_its_address_from_udev_alone(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, .. } = HostAndPeer::new(&lab, &["eth1"]);
    let Some(_udev) = start_real_udev(&lab, &host) else {
        return;
    };
    let persistent = persistent_hwaddr(&host);
    let own = host.hwaddr("eth1");
    // In the place of an event from before udev ran.
    process(&host, "eth1");
    let team = Teamr::start(&host, &config(data_path, &["eth1"]));
    host.run("udevadm settle");
    let has = |hwaddr: &str| ["team0", "eth1"].iter().all(|it| host.hwaddr(it) == hwaddr);
    wait_until("the first port's address", || has(&own));
    // udev has read the random address of a TAP before the daemon set another one.
    host.ip(&format!("link set dev team0 address {persistent}"));
    wait_until("the first port's address again", || {
        team.log().contains(&format!("team0: udev set the address {persistent}")) && has(&own)
    });
    for chosen in ["02:00:00:00:00:55", "02:00:00:00:00:56"] {
        host.ip(&format!("link set dev team0 address {chosen}"));
        wait_until("the operator's address", || has(chosen));
    }
    host.run("mkdir -p /run/systemd/network");
    let link = format!("[Match]\nOriginalName=team0\n[Link]\nMACAddress={CHOSEN}\n");
    host.write("/run/systemd/network/10-team.link", &link);
    host.run("udevadm test-builtin net_setup_link /sys/class/net/team0");
    wait_until("the address of the file", || has(CHOSEN));
    assert!(team.stop().success());
}

/// The address of a `.link` file is the operator's choice, also if udev sets the address before the
/// team has a port. udev may set the address before or after the first port joins.
fn a_device_keeps_the_address_of_a_link_file(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &["eth1"]);
    let host = &pair.host;
    host.run("mkdir -p /run/udev/data /run/systemd/network");
    let link = format!("[Match]\nOriginalName=team0\n[Link]\nMACAddress={CHOSEN}\n");
    host.write("/run/systemd/network/10-team.link", &link);
    let Some(_udev) = start_real_udev(&lab, host) else {
        return;
    };
    process(host, "eth1");
    for ports in [["eth2"], ["eth1"]] {
        let team = Teamr::start(host, &config(data_path, &ports));
        wait_until("the address of the file", || host.hwaddr("team0") == CHOSEN);
        if ports == ["eth2"] {
            pair.connect(&lab, "eth2");
            process(host, "eth2");
        }
        team.wait_port(ports[0], true);
        let has = |interface: &str| host.hwaddr(interface) == CHOSEN;
        wait_until("the port to have the team's address", || has(ports[0]));
        assert!(has("team0"), "{}", team.log());
        assert!(team.stop().success());
    }
}

on_own_data_paths! {
    a_device_keeps_the_address_of_a_link_file
    a_device_keeps_its_address_from_udev_alone
    a_device_has_its_first_ports_address_from_the_beginning
    a_port_is_taken_when_udev_has_named_it
    a_port_that_loses_its_name_before_it_carries_leaves
    a_port_has_the_settings_of_its_alternative_name
}

#[test]
fn with_the_kernels_driver() {
    in_guest(|_| {
        a_device_has_its_first_ports_address_from_the_beginning(DataPath::Kernel);
        a_port_is_taken_when_udev_has_named_it(DataPath::Kernel);
        a_port_that_loses_its_name_before_it_carries_leaves(DataPath::Kernel);
        a_port_has_the_settings_of_its_alternative_name(DataPath::Kernel);
    });
}

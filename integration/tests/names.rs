//! Interface names with dots and brackets, which teamd reads as syntax: everywhere such a name
//! selects exactly its interface.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use integration::{
    CableKind, DataPath, HostAndPeer, LIMIT, Lab, LinkChange, LinkChanges, Namespace, Ping,
    Sharing, Teamr, binary, in_virtual_time, on_own_data_paths, team_config, wait_until,
};
use serde_json::{Value, json};

const TEAM: &str = "team.0[x]";
/// A name is the beginning of another name, or the name that teamd would look for instead.
const PORTS: [&str; 4] = ["p", "p[0]", "p[0].5", "p.5"];

/// Returns the output of `teamrnl TEAM ARGS`.
fn teamrnl(host: &Namespace, args: &[&str]) -> String {
    let mut command = host.command(binary("teamrnl"));
    let output = command.args(args).output().expect("start teamrnl");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "teamrnl {args:?}: {errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim_end().to_owned()
}

fn exercise(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &PORTS);
    let mut config = team_config(TEAM, "activebackup", data_path, &PORTS[..3]);
    config["ports"]["p[0]"] = json!({"prio": 7, "sticky": true});
    let team = Teamr::start(&host, &config);
    team.wait_ports_up(&PORTS[..3]);
    team.wait_active("p[0]");
    println!("  in paths of the state");
    check_state_paths(&host, &team);
    println!("  in commands");
    check_commands(&team);
    if data_path == DataPath::Kernel {
        println!("  in teamrnl");
        check_teamrnl(&host);
    }
    println!("  and frames follow");
    host.up(TEAM);
    host.address(TEAM, "10.0.0.1/24");
    peer.address("p[0].5", "10.0.0.2/24");
    assert!(Ping::run(&host, "10.0.0.2", 5, "").is_exact());

    team.ask("port remove p[0]");
    team.wait_no_port("p[0]");
    for port in ["p", "p[0].5", "p.5"] {
        assert_eq!(team.port_up(port), Some(true), "{port} went with another");
    }
    // The team takes a port of such a name again when the interface comes back.
    host.ip("link delete dev p[0].5");
    team.wait_no_port("p[0].5");
    lab.cable((&host, "p[0].5"), (&peer, "p[0].5"), CableKind::Virtual);
    peer.up("p[0].5");
    team.wait_port("p[0].5", true);
    assert!(team.stop().success());
    let left = host.run("find /run -type f -o -type s");
    let left: Vec<&str> = left.lines().filter(|file| file.contains(TEAM)).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn check_state_paths(host: &Namespace, team: &Teamr) {
    let item = |path: &str| team.ask(&format!("state item get {path}")).trim_end().to_owned();
    assert_eq!(item("runner.active_port"), "p[0]");
    for (number, port) in PORTS[..3].iter().enumerate() {
        let index = host.link(port)["ifindex"].to_string();
        assert_eq!(item(&format!(r#"ports."{port}".ifinfo.ifindex"#)), index, "port {number}");
        assert_eq!(item(&format!(r#"ports."{port}".ifinfo.ifname"#)), *port);
    }
    assert_eq!(item("ports.p.ifinfo.ifname"), "p");
    assert!(!team.ctl(r#"state item get ports."p.5".link.up"#).status.success());
    let allowed = r#"ports."p[0].5".teamr.allowed"#;
    team.ask(&format!("state item set {allowed} false"));
    assert_eq!(item(allowed), "false");
    assert_eq!(item(r#"ports."p[0]".teamr.allowed"#), "true");
    team.ask(&format!("state item set {allowed} true"));
}

fn check_commands(team: &Teamr) {
    for port in &PORTS[..3] {
        team.ask(&format!("port present {port}"));
    }
    assert!(!team.ctl("port present p.5").status.success());
    assert!(!team.ctl("port present p[").status.success());
    let own = |port| -> Value {
        serde_json::from_str(&team.ask(&format!("port config dump {port}"))).expect("JSON")
    };
    assert_eq!(own("p[0]"), json!({"prio": 7, "sticky": true}));
    assert_eq!(own("p[0].5"), json!({}));
    team.ask(r#"port config update p.5 {"prio":9}"#);
    team.ask("port add p.5");
    team.wait_port("p.5", true);
    assert_eq!(own("p.5"), json!({"prio": 9}));
    let actual: Value = serde_json::from_str(&team.ask("config dump actual")).expect("JSON");
    let ports = actual["ports"].as_object().expect("ports");
    assert!(PORTS.iter().all(|port| ports.contains_key(*port)), "{actual}");
    team.ask("state item set runner.active_port p[0].5");
    team.wait_active("p[0].5");
}

fn check_teamrnl(host: &Namespace) {
    let index = host.link("p[0].5")["ifindex"].to_string();
    assert_eq!(teamrnl(host, &[TEAM, "getoption", "activeport"]), index);
    let enabled = |port| teamrnl(host, &["-p", port, TEAM, "getoption", "enabled"]);
    assert_eq!(enabled("p[0].5"), "true");
    assert_eq!(enabled("p"), "false");
    assert_eq!(teamrnl(host, &["-p", "p.5", TEAM, "getoption", "priority"]), "9");
    let listed = teamrnl(host, &[TEAM, "ports"]);
    for port in PORTS {
        assert!(listed.contains(&format!(": {port}: up")), "{listed}");
    }
}

fn rename(host: &Namespace, interface: &[u8], name: &[u8]) {
    let mut command = host.command("ip");
    command.args(["link", "set", "dev"]).arg(OsStr::from_bytes(interface));
    let status = command.arg("name").arg(OsStr::from_bytes(name)).status();
    assert!(status.is_ok_and(|status| status.success()), "rename to {}", name.escape_ascii());
}

/// Ports and team device get names that are no UTF-8: the team notices cables all the same, and ends
/// with nothing left behind.
fn a_name_that_is_no_utf8_is_one_like_any_other(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &["eth1", "eth2"]);
    rename(&host, b"eth2", b"\xffth2");
    let escaped = r"\xffth2";
    let config = team_config("team0", "activebackup", data_path, &["eth1", escaped]);
    let team = Teamr::start(&host, &config);
    team.wait_ports_up(&["eth1", escaped]);
    // Older kernels rename no interface that is up.
    host.down("eth1");
    rename(&host, b"eth1", b"\xfe\xff");
    host.up(r"\xfe\xff");
    team.wait_port(r"\xfe\xff", true);
    rename(&host, b"team0", b"team\xff");
    peer.down("eth1");
    team.wait_port(r"\xfe\xff", false);
    peer.up("eth1");
    team.wait_port(r"\xfe\xff", true);
    let ipv6 = || {
        let read = r"cat /proc/sys/net/ipv6/conf/$(printf '\376\377')/disable_ipv6";
        let output = host.command("sh").args(["-c", read]).output().expect("start sh");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    if data_path != DataPath::Kernel {
        assert_ne!(ipv6(), "0");
    }
    assert!(team.stop().success());
    assert_eq!(ipv6(), "0");
}

/// The smallest buffer that the kernel allows: room for an event or two.
const BUFFER: (&str, &str) = ("TEAM_EVENT_BUFSIZE", "0");

/// The team device gets another name while events are lost, and the team goes on.
fn a_renamed_device_with_lost_events_goes_on(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &["eth1", "eth2"]);
    lab.cable((&host, "other0"), (&peer, "other0"), CableKind::Virtual);
    let config = team_config("team0", "activebackup", data_path, &["eth1", "eth2"]);
    let team = Teamr::start_with(&host, &config, &[BUFFER]);
    team.wait_ports_up(&["eth1", "eth2"]);
    let resyncs = || team.state_at_socket()["teamr"]["resyncs"].as_u64();
    let before = resyncs();
    let mut storm = LinkChanges::start(&host, "other0", LinkChange::Mtu, 20_000, LIMIT);
    let names: [&[u8]; 2] = [b"team\xff", b"team9"];
    let mut name: &[u8] = b"team0";
    for next in names.iter().cycle().take(20) {
        rename(&host, name, next);
        name = next;
    }
    wait_until("lost events", || resyncs() > before || storm.pace().is_some());
    assert!(resyncs() > before, "no event was lost");
    peer.down("eth1");
    team.wait_port("eth1", false);
    assert!(team.stop().success());
}

on_own_data_paths! {
    a_name_that_is_no_utf8_is_one_like_any_other
    a_renamed_device_with_lost_events_goes_on
}

#[test]
fn a_name_that_is_no_utf8_is_one_like_any_other_with_the_kernels_driver() {
    in_virtual_time(|_| a_name_that_is_no_utf8_is_one_like_any_other(DataPath::Kernel));
}

#[test]
fn names_with_dots_and_brackets_work() {
    exercise(DataPath::Userspace);
}

#[test]
fn names_with_dots_and_brackets_work_with_the_kernels_driver() {
    in_virtual_time(|_| exercise(DataPath::Kernel));
}

/// A VLAN interface has a name with a dot.
#[test]
fn a_vlan_is_a_port_of_the_kernels_driver() {
    in_virtual_time(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &["eth1"]);
        host.up("eth1");
        for host in [&host, &peer] {
            host.ip("link add link eth1 name eth1.5 type vlan id 5");
        }
        peer.up("eth1.5");
        peer.address("eth1.5", "10.0.0.2/24");
        let config = team_config("team0", "activebackup", DataPath::Kernel, &["eth1.5"]);
        let team = Teamr::start(&host, &config);
        team.wait_active("eth1.5");
        host.up("team0");
        host.address("team0", "10.0.0.1/24");
        assert!(Ping::run(&host, "10.0.0.2", 5, "").is_exact());
        peer.ip("link set dev eth1 down");
        team.wait_port("eth1.5", false);
        peer.up("eth1");
        team.wait_port("eth1.5", true);
        // The kernel deletes the VLAN with the interface below.
        host.ip("link delete dev eth1");
        team.wait_no_port("eth1.5");
        assert!(team.stop().success());
    });
}

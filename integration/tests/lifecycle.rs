//! Ports that appear, vanish and get another name; daemons that end and leave nothing behind.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Command;

use integration::{
    CableKind, DataPath, HostAndPeer, Lab, Ping, RUNNERS, Sharing, Teamr, binary, control,
    on_own_data_paths, team_config, teamr_command, wait_until,
};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PORTS: [&str; 2] = ["eth1", "eth2"];

fn start(pair: &HostAndPeer, data_path: DataPath) -> Teamr {
    let config = team_config("team0", "activebackup", data_path, &PORTS);
    Teamr::start(&pair.host, &config)
}

/// More bytes of log lines than a pipe holds.
const MORE_THAN_A_PIPE: usize = 200_000;

/// A daemon whose stderr is a pipe that nobody reads serves clients and ends on SIGTERM. To the
/// journal, the lines have their priority.
#[test]
fn a_log_that_nobody_reads_stops_no_daemon() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let (reader, writer) = nix::unistd::pipe().expect("a pipe");
    let mut reader = File::from(reader);
    let found = reader.metadata().expect("a pipe's metadata");
    let config = team_config("team0", "activebackup", DataPath::Userspace, &PORTS);
    let mut command = teamr_command(&pair.host);
    command.args(["-gg", "-c", &config.to_string()]).stderr(writer);
    command.env("JOURNAL_STREAM", format!("{}:{}", found.dev(), found.ino()));
    let mut daemon = command.spawn().expect("start the daemon");
    drop(command);
    let socket = format!("/proc/{}/root/run/teamd/team0.sock", daemon.id());
    let call = |method: &str, args: &[&str]| control::call_at(socket.as_ref(), method, args);
    wait_until("the daemon to answer", || call("ConfigDump", &[]).is_ok());
    let long = "x".repeat(1000);
    for _ in 0..MORE_THAN_A_PIPE / long.len() {
        call("PortAdd", &[&long]).expect("a reply");
    }
    let pid = i32::try_from(daemon.id()).expect("a pid");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM)
        .expect("signal the daemon");
    wait_until("the daemon to end", || daemon.try_wait().expect("a child").is_some());
    let mut log = String::new();
    reader.read_to_string(&mut log).expect("a log");
    assert!(log.contains("\n<6>") && log.contains(" successfully started.\n"), "{log:.2000}");
    assert!(log.contains("<7>control: PortAdd(xxx"), "{log:.2000}");
}

/// A pid file that cannot be written does not stay.
#[test]
fn a_start_without_room_for_the_pid_file_leaves_none() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let start = "mkdir -p /run/teamd && mount -t tmpfs -o size=4k,mode=755 tmpfs /run/teamd && \
                 head -c 4096 /dev/zero >/run/teamd/full && \"$1\" -t team0 -c '{}'; \
                 status=$?; ls -A /run/teamd; exit $status";
    let mut command = pair.host.command("sh");
    command.args(["-c", start, "sh"]).arg(binary("teamr"));
    let output = command.output().expect("run sh");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "full\n", "{said}");
}

/// A daemon in the background hands the cause of a failed start to the terminal; teamd's does not.
#[test]
fn a_failed_start_in_the_background_names_the_cause() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &["eth1"]);
    pair.host.up("eth1");
    let config = r#"{"device": "team0", "ports": {"eth1": {}}}"#;
    let said = |mut command: Command| {
        let output = command.args(["-d", "-c", config]).output().expect("start the daemon");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = said(teamr_command(&pair.host));
    assert!(
        text.starts_with("eth1: is up; set it down first: ip link set dev eth1 down\n"),
        "{text}"
    );
    let of_teamd = "Daemon process failed.\nFailed: Device or resource busy\n";
    assert!(text.ends_with(of_teamd), "{text}");
    let teamd = lab.folder().join("teamd");
    symlink(binary("teamr"), &teamd).expect("link the daemon");
    assert_eq!(said(pair.host.command(&teamd)), of_teamd);
}

/// A daemon in the foreground of a terminal says so, since no prompt returns.
#[test]
fn a_daemon_in_the_foreground_says_so_on_a_terminal() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &[]);
    let terminal = openpty(None, None).expect("a terminal");
    let mut command = teamr_command(&pair.host);
    command.args(["-t", "team0", "-c", "{}"]).stderr(terminal.slave);
    let mut daemon = command.spawn().expect("start the daemon");
    // The terminal ends when the last process closes it.
    drop(command);
    let mut lines = BufReader::new(File::from(terminal.master)).lines();
    let line = lines.by_ref().find(|line| {
        let line = line.as_ref().map_or("", String::as_str);
        line.starts_with("The daemon runs in the foreground")
    });
    assert!(line.is_some());
    let pid = Pid::from_raw(daemon.id().cast_signed());
    kill(pid, Signal::SIGINT).expect("end the daemon");
    let _ = lines.map_while(Result::ok).count();
    assert!(daemon.wait().expect("wait for the daemon").success());
}

#[test]
fn a_run_directory_of_every_user_is_refused() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &[]);
    pair.host.run("install -d -m 0777 /run/teamd");
    let start = || teamr_command(&pair.host).args(["-d", "-t", "team0"]).output().expect("teamr");
    let refused = start();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("every user may write to it; withdraw that by chmod o-w"), "{text}");
    pair.host.run("chmod 0775 /run/teamd");
    assert!(start().status.success());
    pair.host.run(&format!("{} -k -t team0", binary("teamr").display()));
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
    let other = PORTS.into_iter().find(|port| *port != active).expect("two ports");
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

/// teamd accepts any port as the active one, and the team then carries nothing.
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
        let answer = team.ctl(&format!("state item set runner.active_port {other}"));
        assert_eq!(answer.status.code(), Some(1));
        let reason = format!("{other} cannot become the active port: {why}");
        let said = String::from_utf8_lossy(&answer.stderr);
        assert!(said.contains(&reason), "{said}");
        let line = format!("runner.active_port: {reason}.");
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
    let line = "runner.active_port: expected a port of the team, found \"nowhere\".";
    assert!(team.log().contains(line), "{}", team.log());
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

fn a_device_keeps_its_addresses_through_a_crash(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let team = start(&pair, data_path);
    pair.host.up("team0");
    pair.host.address("team0", "10.0.0.1/24");
    let index = || pair.host.link("team0")["ifindex"].clone();
    let before = index();
    team.crash();
    let addresses = || pair.host.ip("-oneline address show dev team0 scope global");
    assert!(addresses().contains("10.0.0.1/24"), "{}", addresses());
    let team = start(&pair, data_path);
    team.wait_ports_up(&PORTS);
    assert!(addresses().contains("10.0.0.1/24"), "{}", addresses());
    assert_eq!(index(), before, "another device");
    let active = team.active_port().expect("an active port");
    pair.peer.address(&active, "10.0.0.2/24");
    assert!(Ping::run(&pair.host, "10.0.0.2", 3, "").is_exact());
    assert!(team.stop().success());
    assert!(!pair.host.has_interface("team0"));
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
            let reason = format!("Cannot have \"team0\": it belongs to the daemon {}.", team.pid());
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

/// As `systemctl restart` does it: USR2, then the next daemon with `-w`, which may have another
/// configuration.
fn a_restart_keeps_the_device_and_its_addresses(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let restart = |team: Teamr, config: &serde_json::Value| {
        let pid = nix::unistd::Pid::from_raw(team.pid() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGUSR2).expect("signal the daemon");
        let mut team = team;
        assert!(team.wait().success());
        Teamr::start_args(&pair.host, config, &["-w"])
    };
    let team = start(&pair, data_path);
    team.wait_active("eth1");
    pair.host.up("team0");
    pair.host.address("team0", "10.0.0.1/24");
    pair.peer.address("eth1", "10.0.0.2/24");
    let index = pair.host.link("team0")["ifindex"].clone();
    let team = restart(team, &team_config("team0", "activebackup", data_path, &PORTS));
    team.wait_active("eth1");
    assert_eq!(pair.host.link("team0")["ifindex"], index);
    assert!(Ping::run(&pair.host, "10.0.0.2", 3, "").is_exact());

    // The kernel's driver has another mode, for which the device is made anew.
    let team = restart(team, &team_config("team0", "broadcast", data_path, &PORTS));
    team.wait_ports_up(&PORTS);
    assert_eq!(pair.host.link("team0")["ifindex"] == index, data_path != DataPath::Kernel);
    assert!(team.stop().success());
    assert!(!pair.host.has_interface("team0"));
    assert_eq!(pair.host.link("eth1")["operstate"], "DOWN");
}

/// A daemon that chooses the name of the device continues with the team that an earlier daemon of
/// the configuration left, whatever that one's device was called.
fn a_restart_without_a_name_keeps_the_device(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let file = lab.folder().join("unnamed.json");
    let mut config = team_config("team0", "activebackup", data_path, &PORTS);
    config.as_object_mut().expect("an object").remove("device");
    fs::write(&file, config.to_string()).expect("write a configuration");
    let start = |device: &str, args: &[&str]| {
        let mut command = teamr_command(&pair.host);
        command.args(args);
        Teamr::start_command(&pair.host, device, command, file.clone())
    };
    let leave = |mut team: Teamr| {
        team.wait_active("eth1");
        kill(Pid::from_raw(team.pid() as i32), Signal::SIGUSR2).expect("signal the daemon");
        assert!(team.wait().success());
    };
    for (device, first) in [("team0", &["-w"][..]), ("uplink", &["-t", "uplink"])] {
        leave(start(device, first));
        let index = pair.host.link(device)["ifindex"].clone();
        for args in [&["-w"][..], &["-w", "-t", device], &["-o"], &["-w"]] {
            leave(start(device, args));
            assert_eq!(pair.host.link(device)["ifindex"], index, "{args:?}");
        }
        // Another daemon's team is none that a daemon left.
        let team = start(device, &["-w"]);
        let mut second = teamr_command(&pair.host);
        let second = second.arg("-w").arg("-f").arg(&file).output().expect("start teamr");
        let said = String::from_utf8_lossy(&second.stderr);
        assert!(said.contains(&format!("eth1: is a port of \"{device}\"; take it out")), "{said}");
        team.crash();
        if data_path == DataPath::Kernel {
            let mut without = teamr_command(&pair.host);
            let without = without.arg("-f").arg(&file).output().expect("start teamr");
            let said = String::from_utf8_lossy(&without.stderr);
            let reason = format!("\"{device}\" exists: -o takes it over, -r makes it anew.");
            assert!(said.contains(&reason), "{said}");
        } else {
            leave(start(device, &[]));
            assert_eq!(pair.host.link(device)["ifindex"], index);
        }
        assert!(start(device, &["-w"]).stop().success());
        assert!(!pair.host.has_interface(device));
    }
}

#[test]
fn a_restart_keeps_the_device_with_the_kernels_driver() {
    integration::in_guest(|_| {
        a_restart_keeps_the_device_and_its_addresses(DataPath::Kernel);
        a_restart_without_a_name_keeps_the_device(DataPath::Kernel);
    });
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
    a_device_keeps_its_addresses_through_a_crash
    a_restart_keeps_the_device_and_its_addresses
    a_restart_without_a_name_keeps_the_device
    the_far_end_of_a_port_is_no_team_device
    a_device_has_one_daemon
}

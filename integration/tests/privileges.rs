//! The rights of a running daemon, which suffice for its work.
//!
//! Every test of this package tests the list of system calls: a debug build ends with SIGSYS at the
//! first call that is not listed.

use std::fs;
use std::os::unix::net::UnixDatagram;

use integration::{
    DataPath, HostAndPeer, Lab, Namespace, Ping, Process, Sharing, Teamr, binary, in_guest,
    repository, skip, team_config, teamr_command, wait_for, wait_until,
};
use nix::unistd::Uid;

const PORTS: [&str; 2] = ["eth1", "eth2"];

/// Returns a host with both ports cabled.
fn host(lab: &Lab) -> Namespace {
    HostAndPeer::new(lab, &PORTS).host
}

/// Returns a field of `/proc/PID/status`.
fn status(pid: u32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process's status");
    let lines = text.lines();
    let mut values = lines.filter_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    values
        .next()
        .expect("a field of the status")
        .trim()
        .to_owned()
}

const NET_ADMIN_AND_NET_RAW: u64 = 1 << 12 | 1 << 13;
const BPF_AND_PERFMON: u64 = 1 << 39 | 1 << 38;

/// Returns the capabilities that a daemon keeps; on the team driver the daemon loads no program.
fn kept(path: DataPath) -> u64 {
    match path {
        DataPath::Kernel => NET_ADMIN_AND_NET_RAW,
        _ => NET_ADMIN_AND_NET_RAW | BPF_AND_PERFMON,
    }
}

fn assert_rights_are_dropped(pid: u32, path: DataPath) {
    assert_capabilities(pid, kept(path), kept(path));
}

/// Asserts the sets of a daemon; without CAP_SETPCAP the bounding set stays as it was.
fn assert_capabilities(pid: u32, kept: u64, bound: u64) {
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(status(pid, set), "0000000000000000", "{set}");
    }
    for (set, expected) in [("CapPrm", kept), ("CapEff", kept), ("CapBnd", bound)] {
        let left = u64::from_str_radix(&status(pid, set), 16).expect("a set");
        assert_eq!(left, expected, "{set}");
    }
    assert_eq!(status(pid, "NoNewPrivs"), "1");
    // SECCOMP_MODE_FILTER
    assert_eq!(status(pid, "Seccomp"), "2");
}

/// Removes and adds ports and calls control methods in the sandbox; in the end nothing is left
/// behind.
fn assert_rights_suffice(host: &Namespace, team: Teamr) {
    team.wait_active("eth1");
    team.ask("port remove eth1");
    team.wait_active("eth2");
    team.ask("port add eth1");
    team.wait_port("eth1", true);
    team.ask("state item set runner.active_port eth1");
    team.wait_active("eth1");
    team.ask("config dump actual");
    assert!(team.stop().success());
    assert_eq!(host.run("find /run/teamd -mindepth 1"), "");
    assert!(!host.has_interface("team0"));
}

#[test]
fn the_other_data_paths_need_four_capabilities() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host(&lab);
    let config = team_config("team0", "activebackup", DataPath::Userspace, &PORTS);
    let team = Teamr::start(&host, &config);
    wait_until("the daemon to give up its rights", || {
        status(team.pid(), "Seccomp") == "2"
    });
    assert_rights_are_dropped(team.pid(), DataPath::Userspace);
    assert_rights_suffice(&host, team);
}

#[test]
fn the_kernel_path_needs_two_capabilities() {
    in_guest(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let host = host(&lab);
        let config = team_config("team0", "activebackup", DataPath::Kernel, &PORTS);
        let team = Teamr::start(&host, &config);
        wait_until("the daemon to give up its rights", || {
            status(team.pid(), "NoNewPrivs") == "1"
        });
        assert_rights_are_dropped(team.pid(), DataPath::Kernel);
        assert_rights_suffice(&host, team);
    });
}

/// Starts the daemon as `teamr@.service` does: as a user with the unit's rights only, in a run
/// directory of that user's group.
fn service(lab: &Lab, host: &Namespace, data_path: DataPath) -> Process {
    host.run("install -d -m 0775 -g 65534 /run/teamd");
    let unit = repository().join("dist/systemd/teamr@.service");
    let unit = fs::read_to_string(unit).expect("read the unit");
    let mut lines = unit.lines();
    let rights = lines.find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let rights = rights.expect("rights in the unit").split(' ');
    let rights = rights.map(|right| right.replace("CAP_", ",+").to_lowercase());
    let rights = format!("-all{}", rights.collect::<String>());
    // The user may not read the build directory.
    let program = lab.folder().join("teamr");
    if !program.exists() {
        fs::copy(binary("teamr"), &program).expect("copy the daemon");
    }
    let config = team_config("team0", "activebackup", data_path, &PORTS).to_string();
    let mut command = host.command("setpriv");
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .args(["--inh-caps", &rights, "--ambient-caps", &rights])
        .args(["--bounding-set", &rights, "--no-new-privs"])
        .arg(program)
        .args(["-o", "-t", "team0", "-c", &config]);
    let daemon = Process::start("teamr", lab.folder(), command);
    wait_until("the daemon to have started", || {
        daemon.log().contains("successfully started")
    });
    assert!(status(daemon.pid(), "Uid").starts_with("65534"));
    let bound = NET_ADMIN_AND_NET_RAW | BPF_AND_PERFMON;
    assert_capabilities(daemon.pid(), kept(data_path), bound);
    wait_until("both ports to be up", || {
        let up = |port| ask_service(host, &format!("ports.{port}.link_watches.up"));
        PORTS.iter().all(|port| up(port) == "true")
    });
    daemon
}

/// Returns an item of the state; empty without the item or without a daemon.
fn ask_service(host: &Namespace, item: &str) -> String {
    let ctl = binary("teamrctl");
    let answer = host.try_run(&format!("{} team0 state item get {item}", ctl.display()));
    String::from_utf8_lossy(&answer.stdout).trim().to_owned()
}

#[test]
fn an_unprivileged_user_can_run_a_team() {
    in_guest(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        for path in [DataPath::Kernel, DataPath::Userspace, DataPath::Programs] {
            println!("{}", path.name());
            let host = host(&lab);
            // On other systems udev does this.
            host.run("chmod 0666 /dev/net/tun");
            let mut daemon = service(&lab, &host, path);
            assert_eq!(ask_service(&host, "teamr.data_path"), path.name());
            let ctl = binary("teamrctl");
            let ctl = ctl.display();
            host.run(&format!("{ctl} team0 port remove eth1"));
            host.run(&format!("{ctl} team0 port add eth1"));
            assert!(daemon.stop().success());
            assert_eq!(host.run("find /run/teamd -mindepth 1"), "");
            assert!(!host.has_interface("team0"));
        }
    });
}

/// Without the right to look programs up in the kernel, a daemon finds the programs of a crashed one
/// by the port state file, also programs that a daemon with all rights attached in another way.
#[test]
fn an_unprivileged_daemon_goes_on_after_a_crash() {
    if !Uid::effective().is_root() {
        skip("only root can become another user");
        return;
    }
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &PORTS);
    for (port, number) in PORTS.into_iter().zip([2, 3]) {
        peer.address(port, &format!("10.0.{number}.2/24"));
    }
    let reaches = |number| Ping::run(&host, &format!("10.0.{number}.2"), 3, "").is_exact();
    let ctl = binary("teamrctl");
    let choose = |port| {
        let ctl = ctl.display();
        host.run(&format!(
            "{ctl} team0 state item set runner.active_port {port}"
        ));
    };

    let config = team_config("team0", "activebackup", DataPath::Programs, &PORTS);
    let team = Teamr::start(&host, &config);
    team.wait_ports_up(&PORTS);
    host.up("team0");
    for number in [2, 3] {
        host.address("team0", &format!("10.0.{number}.1/24"));
    }
    choose("eth2");
    team.crash();
    host.run("chown -R 65534 /run/teamd");
    let mut first = service(&lab, &host, DataPath::Programs);
    assert_eq!(ask_service(&host, "teamr.data_path"), "programs");
    assert_eq!(ask_service(&host, "runner.active_port"), "eth2");
    assert!(reaches(3), "on the port that was active before");
    choose("eth1");
    assert!(reaches(2), "on the other port, whose program is new");
    choose("eth2");
    first.kill();
    let mut second = service(&lab, &host, DataPath::Programs);
    assert_eq!(ask_service(&host, "runner.active_port"), "eth2");
    assert!(reaches(3));
    assert!(second.stop().success());
    assert_eq!(host.run("find /run/teamd -mindepth 1"), "");
    assert_eq!(host.interfaces(), ["lo", "eth1", "eth2"]);
    // No filter keeps the host from the interface any more.
    host.up("eth1");
    host.address("eth1", "10.0.2.1/24");
    wait_until("eth1 to be up", || host.link("eth1")["operstate"] == "UP");
    assert!(reaches(2), "without a team");
}

#[test]
fn no_sandbox_keeps_all_rights() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host(&lab);
    let mut command = teamr_command(&host);
    command.args(["--no-sandbox", "-t", "team0", "-N"]);
    let mut process = Process::start("teamr", lab.folder(), command);
    wait_until("the daemon to have started", || {
        process.log().contains("successfully started")
    });
    assert_eq!(status(process.pid(), "Seccomp"), "0");
    assert_eq!(status(process.pid(), "NoNewPrivs"), "0");
    assert_ne!(status(process.pid(), "CapEff"), "0000000000003000");
    assert!(process.stop().success());
}

#[test]
fn a_daemon_in_the_background_drops_its_rights() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host(&lab);
    let teamr = binary("teamr");
    let teamr = teamr.display();
    host.run(&format!("{teamr} -d -t team0"));
    // The daemon is in its sandbox before the command returns.
    let pid = host.run("cat /run/teamd/team0.pid");
    assert_rights_are_dropped(pid.trim().parse().expect("a pid"), DataPath::Userspace);
    host.run(&format!("{teamr} -k -t team0"));
}

#[test]
fn the_service_manager_gets_readiness_status_and_keep_alives() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host(&lab);
    let socket = lab.folder().join("notify");
    let manager = UnixDatagram::bind(&socket).expect("a service manager's socket");
    manager.set_nonblocking(true).expect("set a socket up");
    let mut received = String::new();
    let mut wait_for_text = |text: &str| {
        wait_for(&format!("the service manager to get {text:?}"), || {
            let mut buffer = [0; 1000];
            while let Ok(length) = manager.recv(&mut buffer) {
                received += &String::from_utf8_lossy(&buffer[..length]);
            }
            let at = received.find(text)?;
            received.drain(..at + text.len());
            Some(())
        });
    };
    let config = team_config("team0", "activebackup", DataPath::Userspace, &PORTS);
    let variables = [
        ("NOTIFY_SOCKET", socket.to_str().expect("a plain path")),
        ("WATCHDOG_USEC", "100000"),
    ];
    let team = Teamr::start_with(&host, &config, &variables);
    wait_for_text("READY=1\n");
    wait_for_text("STATUS=team0: 2 of 2 ports up, eth1 active\n");
    for _ in 0..3 {
        wait_for_text("WATCHDOG=1\n");
    }
    team.ask("port remove eth1");
    wait_for_text("STATUS=team0: 1 of 1 ports up, eth2 active\n");
    assert!(team.stop().success());
    wait_for_text("STOPPING=1\n");
}

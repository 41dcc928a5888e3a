//! What a running daemon may do, and that it suffices.
//!
//! That no system call is missing is tried by every test of this package: a debug build ends with
//! SIGSYS at the first one that is not listed.

use std::fs;
use std::os::unix::net::UnixDatagram;

use integration::{
    CableKind, DataPath, Lab, Namespace, Process, Sharing, Teamr, binary, in_guest, team_config,
    teamr_command, wait_for, wait_until,
};

const PORTS: [&str; 2] = ["eth1", "eth2"];

/// A host with both ports cabled.
fn host(lab: &Lab) -> Namespace {
    let (host, peer) = (lab.host("host"), lab.host("peer"));
    for port in PORTS {
        lab.cable((&host, port), (&peer, port), CableKind::Virtual);
        peer.up(port);
    }
    host
}

/// A line of `/proc/PID/status`.
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

/// Where the kernel has the team driver no program of ours is loaded.
fn assert_little_is_left(pid: u32, path: DataPath) {
    let kept = match path {
        DataPath::Kernel => NET_ADMIN_AND_NET_RAW,
        _ => NET_ADMIN_AND_NET_RAW | BPF_AND_PERFMON,
    };
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(status(pid, set), "0000000000000000", "{set}");
    }
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        let left = u64::from_str_radix(&status(pid, set), 16).expect("a set");
        assert_eq!(left, kept, "{set}");
    }
    assert_eq!(status(pid, "NoNewPrivs"), "1");
    // SECCOMP_MODE_FILTER
    assert_eq!(status(pid, "Seccomp"), "2");
}

/// Ports that go, come and are added, the addresses and the control socket, all with the rest of
/// its rights; in the end nothing is left behind.
fn assert_it_suffices(host: &Namespace, team: Teamr) {
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
fn a_path_of_our_own_needs_four_capabilities() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host(&lab);
    let config = team_config("team0", "activebackup", DataPath::Userspace, &PORTS);
    let team = Teamr::start(&host, &config);
    wait_until("the daemon to give up its rights", || {
        status(team.pid(), "Seccomp") == "2"
    });
    assert_little_is_left(team.pid(), DataPath::Userspace);
    assert_it_suffices(&host, team);
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
        assert_little_is_left(team.pid(), DataPath::Kernel);
        assert_it_suffices(&host, team);
    });
}

/// As `teamr@.service` starts it: a user without any rights but the capabilities that stay, in a
/// run directory of that user's group.
#[test]
fn nobody_special_can_run_a_team() {
    in_guest(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        for path in [DataPath::Kernel, DataPath::Userspace] {
            println!("{}", path.name());
            let host = host(&lab);
            host.run("install -d -m 0775 -g 65534 /run/teamd");
            // udev's doing elsewhere.
            host.run("chmod 0666 /dev/net/tun");
            let config = team_config("team0", "activebackup", path, &PORTS).to_string();
            let rights = match path {
                DataPath::Kernel => "-all,+net_admin,+net_raw",
                _ => "-all,+net_admin,+net_raw,+bpf,+perfmon",
            };
            let mut command = host.command("setpriv");
            command
                .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
                .args(["--inh-caps", rights, "--ambient-caps", rights])
                .args(["--bounding-set", rights, "--no-new-privs"])
                .arg(binary("teamr"))
                .args(["-t", "team0", "-c", &config]);
            let mut daemon = Process::start("teamr", lab.folder(), command);
            wait_until("the daemon to have started", || {
                daemon.log().contains("successfully started")
            });
            assert!(status(daemon.pid(), "Uid").starts_with("65534"));
            assert_little_is_left(daemon.pid(), path);
            let ctl = binary("teamrctl");
            let ctl = ctl.display();
            wait_until("both ports to be up", || {
                PORTS.iter().all(|port| {
                    let path = format!("ports.{port}.link_watches.up");
                    let up = host.try_run(&format!("{ctl} team0 state item get {path}"));
                    up.stdout == b"true\n"
                })
            });
            host.run(&format!("{ctl} team0 port remove eth1"));
            host.run(&format!("{ctl} team0 port add eth1"));
            assert!(daemon.stop().success());
            assert_eq!(host.run("find /run/teamd -mindepth 1"), "");
            assert!(!host.has_interface("team0"));
        }
    });
}

#[test]
fn a_switch_keeps_all_rights() {
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
fn in_the_background_as_little_is_left() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host(&lab);
    let teamr = binary("teamr");
    let teamr = teamr.display();
    host.run(&format!("{teamr} -d -t team0"));
    // Everything had been given up when the command returned.
    let pid = host.run("cat /run/teamd/team0.pid");
    assert_little_is_left(pid.trim().parse().expect("a pid"), DataPath::Userspace);
    host.run(&format!("{teamr} -k -t team0"));
}

#[test]
fn the_service_manager_hears_how_the_team_is() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host(&lab);
    let socket = lab.folder().join("notify");
    let manager = UnixDatagram::bind(&socket).expect("a service manager's socket");
    manager.set_nonblocking(true).expect("set a socket up");
    let mut heard = String::new();
    let mut wait_for_word = |word: &str| {
        wait_for(&format!("the service manager to hear {word:?}"), || {
            let mut buffer = [0; 1000];
            while let Ok(length) = manager.recv(&mut buffer) {
                heard += &String::from_utf8_lossy(&buffer[..length]);
            }
            let at = heard.find(word)?;
            heard.drain(..at + word.len());
            Some(())
        });
    };
    let config = team_config("team0", "activebackup", DataPath::Userspace, &PORTS);
    let variables = [
        ("NOTIFY_SOCKET", socket.to_str().expect("a plain path")),
        ("WATCHDOG_USEC", "100000"),
    ];
    let team = Teamr::start_with(&host, &config, &variables);
    wait_for_word("READY=1\n");
    wait_for_word("STATUS=team0: 2 of 2 ports up, eth1 active\n");
    for _ in 0..3 {
        wait_for_word("WATCHDOG=1\n");
    }
    team.ask("port remove eth1");
    wait_for_word("STATUS=team0: 1 of 1 ports up, eth2 active\n");
    assert!(team.stop().success());
    wait_for_word("STOPPING=1\n");
}

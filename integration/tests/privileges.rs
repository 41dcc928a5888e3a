//! The rights of a running daemon, which suffice for its work.
//!
//! Every test of this package tests the list of system calls: a debug build ends with SIGSYS at the
//! first call that is not listed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

#[cfg(target_arch = "x86_64")]
use integration::system_call::{Outcome, Traced};
use integration::{
    DataPath, HostAndPeer, Lab, Namespace, Ping, Process, Sharing, Teamr, binary, in_virtual_time,
    repository, skip, team_config, teamr_command, wait_for, wait_until,
};
#[cfg(target_arch = "x86_64")]
use nix::errno::Errno;
use nix::unistd::Uid;

const PORTS: [&str; 2] = ["eth1", "eth2"];

/// Returns a host with both ports cabled.
fn host(lab: &Lab) -> Namespace {
    HostAndPeer::new(lab, &PORTS).host
}

/// Returns a field of `/proc/PID/status`.
fn status(pid: u32, field: &str) -> String {
    status_at(&format!("/proc/{pid}/status"), field)
}

/// Returns a field of the status of a process or of a thread.
fn status_at(path: &str, field: &str) -> String {
    let text = fs::read_to_string(path).expect("a status");
    let lines = text.lines();
    let mut values = lines.filter_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    values.next().expect("a field of the status").trim().to_owned()
}

const NET_ADMIN_AND_NET_RAW: u64 = 1 << 12 | 1 << 13;
const BPF: u64 = 1 << 39;
const PERFMON: u64 = 1 << 38;

/// Returns the capabilities that a daemon keeps; on the team driver the daemon loads no program.
fn kept(path: DataPath) -> u64 {
    match path {
        DataPath::Kernel => NET_ADMIN_AND_NET_RAW,
        _ => NET_ADMIN_AND_NET_RAW | BPF,
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
fn the_other_data_paths_need_three_capabilities() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host(&lab);
    let config = team_config("team0", "activebackup", DataPath::Userspace, &PORTS);
    let team = Teamr::start(&host, &config);
    wait_until("the daemon to give up its rights", || status(team.pid(), "Seccomp") == "2");
    assert_rights_are_dropped(team.pid(), DataPath::Userspace);
    assert_rights_suffice(&host, team);
}

#[test]
fn the_kernel_path_needs_two_capabilities() {
    in_virtual_time(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let host = host(&lab);
        let config = team_config("team0", "activebackup", DataPath::Kernel, &PORTS);
        let team = Teamr::start(&host, &config);
        wait_until("the daemon to give up its rights", || status(team.pid(), "NoNewPrivs") == "1");
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
    wait_until("the daemon to have started", || daemon.log().contains("successfully started"));
    assert!(status(daemon.pid(), "Uid").starts_with("65534"));
    let bound = NET_ADMIN_AND_NET_RAW | BPF | PERFMON;
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
    in_virtual_time(|_| {
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
        host.run(&format!("{ctl} team0 state item set runner.active_port {port}"));
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

/// Another user who binds the name of a device's lock, without a listener or with a full queue, does
/// not keep the daemon from starting; root who does so keeps it.
#[test]
fn the_lock_of_a_device_is_no_other_users() {
    if !Uid::effective().is_root() {
        skip("only root can become another user");
        return;
    }
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host(&lab);
    let bind = "import socket, sys\n\
                name = '\\0teamr/' + sys.argv[1]\n\
                taken = socket.socket(socket.AF_UNIX)\n\
                taken.bind(name)\n\
                if sys.argv[2] == 'full':\n    \
                    taken.listen(0)\n    \
                    asking = socket.socket(socket.AF_UNIX)\n    \
                    asking.connect(name)\n\
                print('bound', flush=True)\n\
                sys.stdin.read()\n";
    for (device, queue, user) in [
        ("t0", "none", "65534"),
        ("t1", "full", "65534"),
        ("t2", "full", "33"),
        ("t3", "none", "0"),
    ] {
        let mut command = host.command("setpriv");
        command.args(["--reuid", user, "--regid", "65534", "--clear-groups", "--inh-caps=-all"]);
        command.args(["/usr/bin/python3", "-c", bind, device, queue]);
        let mut stranger = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(stranger.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "bound\n");
        let mut command = teamr_command(&host);
        command.args(["-t", device, "-c", "{}"]);
        let mut daemon = Process::start("teamr", lab.folder(), command);
        if user == "0" {
            assert!(!daemon.wait().success());
            assert!(daemon.log().contains("it belongs to another daemon"), "{}", daemon.log());
        } else {
            wait_until("the daemon to start", || daemon.log().contains("successfully started"));
            assert!(daemon.log().contains(&format!("User {user} has the name @teamr/{device}")));
            assert!(daemon.stop().success());
        }
        drop(stranger.stdin.take());
        stranger.wait().unwrap();
    }
}

/// lacp with `marker` rules the team driver out on every host.
#[test]
fn a_fallback_to_the_relay_is_logged_as_a_warning() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host(&lab);
    let config = serde_json::json!({
        "device": "team0",
        "runner": {"name": "lacp", "marker": true},
        "ports": {"eth1": {}, "eth2": {}},
    });
    let mut command = host.command("setpriv");
    command.args(["--bounding-set=-bpf,-perfmon,-sys_admin"]).arg(binary("teamr"));
    command.args(["-c", &config.to_string()]);
    let mut daemon = Process::start("teamr", lab.folder(), command);
    wait_until("the daemon to start", || daemon.log().contains("successfully started"));
    let warning = "Every frame passes through the daemon: data path programs fails (";
    assert!(daemon.log().contains(warning), "{}", daemon.log());
    assert_eq!(ask_service(&host, "teamr.data_path"), "relay");
    assert!(daemon.stop().success());
}

/// A thread that resolves a name since before the sandbox has no capabilities, and the filter.
#[test]
fn the_threads_that_resolve_names_have_no_rights() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host(&lab);
    // A name server that does not answer, at every address.
    host.run("ip link set dev lo up");
    host.run("ip route add local 0.0.0.0/0 dev lo");
    let serve = "import socket, sys\n\
                 server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                 server.bind(('0.0.0.0', 53))\n\
                 print('bound', flush=True)\n\
                 sys.stdin.read()\n";
    let mut command = host.command("/usr/bin/python3");
    command.args(["-c", serve]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = command.spawn().expect("start a name server");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    assert_eq!(line, "bound\n");
    let mut config = team_config("team0", "activebackup", DataPath::Userspace, &PORTS);
    config["link_watch"] =
        serde_json::json!({"name": "arp_ping", "target_host": "silent.example", "interval": 100});
    let team = Teamr::start(&host, &config);
    wait_until("the daemon to give up its rights", || status(team.pid(), "Seccomp") == "2");
    let main = team.pid().to_string();
    let folder = format!("/proc/{main}/task");
    let thread = wait_for("a thread that resolves", || {
        let tasks = fs::read_dir(&folder).ok()?.flatten();
        let mut ids = tasks.map(|task| task.file_name().to_string_lossy().into_owned());
        ids.find(|id| *id != main)
    });
    let of_thread = |field| status_at(&format!("{folder}/{thread}/status"), field);
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        wait_until(&format!("no rights in {set}"), || of_thread(set) == "0000000000000000");
    }
    assert_eq!(of_thread("Seccomp"), "2");
    drop(server.stdin.take());
    server.wait().expect("the name server's end");
}

#[test]
fn only_the_hash_of_tunnels_needs_perfmon() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host(&lab);
    for (fields, perfmon) in [(&["l3", "l4"][..], 0), (&["l3", "l4", "encap"], PERFMON)] {
        let mut config = team_config("team0", "loadbalance", DataPath::Programs, &PORTS);
        config["runner"]["tx_hash"] = serde_json::json!(fields);
        let team = Teamr::start(&host, &config);
        wait_until("the daemon to give up its rights", || status(team.pid(), "Seccomp") == "2");
        let kept = kept(DataPath::Programs) | perfmon;
        assert_capabilities(team.pid(), kept, kept);
        // The next port makes another program necessary.
        team.ask("port remove eth1");
        team.ask("port add eth1");
        team.wait_port("eth1", true);
        assert_eq!(team.state()["teamr"]["data_path"], "programs");
        assert!(team.stop().success());
    }
}

/// Starts a daemon without ports and waits until it is in the sandbox.
#[cfg(target_arch = "x86_64")]
fn sandboxed(lab: &Lab, host: &Namespace, args: &[&str]) -> Process {
    let mut command = teamr_command(host);
    command.args(args);
    let daemon = Process::start("teamr", lab.folder(), command);
    wait_until("the daemon to have started", || daemon.log().contains("successfully started"));
    daemon
}

/// Makes a file in a folder of its own and returns its path.
#[cfg(target_arch = "x86_64")]
fn new_file(lab: &Lab, name: &str, content: &str) -> String {
    let path = lab.folder().join(name);
    fs::create_dir(path.parent().expect("a folder")).expect("make a folder");
    fs::write(&path, content).expect("write a file");
    path.to_str().expect("a plain path").to_owned()
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_sandboxed_daemon_reaches_no_files_but_its_own() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host(&lab);
    let config = &new_file(&lab, "configs/team0.json", "{}");
    let mut daemon = sandboxed(&lab, &host, &["-t", "team0", "-f", config]);
    if daemon.log().contains("cannot restrict access to files") {
        skip("this kernel has no Landlock");
        return;
    }
    let foreign = &new_file(&lab, "foreign/file", "kept");
    let traced = Traced::stop(daemon.pid());
    let open = |path: &str, flags: libc::c_int| {
        let here = libc::AT_FDCWD as u64;
        let arguments = [here, traced.string(path), flags as u64, 0o600, 0, 0];
        traced.call(libc::SYS_openat, arguments)
    };
    let unlink = |path: &str| {
        let here = libc::AT_FDCWD as u64;
        traced.call(libc::SYS_unlinkat, [here, traced.string(path), 0, 0, 0, 0])
    };
    let create = libc::O_CREAT | libc::O_WRONLY;
    for (path, flags) in [
        ("/run/teamd/own", create),
        (config, libc::O_RDONLY),
        ("/etc/hosts", libc::O_RDONLY),
        ("/proc/net/igmp", libc::O_RDONLY),
        ("/proc/sys/net/ipv4/ip_forward", libc::O_RDWR),
        ("/sys/devices/system/cpu/possible", libc::O_RDONLY),
        ("/dev/net/tun", libc::O_RDWR),
    ] {
        let opened = open(path, flags);
        assert!(matches!(opened, Outcome::Value(_)), "{path}: {opened:?}");
    }
    assert_eq!(unlink("/run/teamd/own"), Outcome::Value(0));
    for (path, flags) in [
        ("/etc/new", create),
        ("/run/new", create),
        ("/tmp/new", create),
        ("/dev/null", libc::O_WRONLY),
        ("/etc/hosts", libc::O_WRONLY),
        ("/proc/sys/kernel/core_pattern", libc::O_WRONLY),
        ("/proc/1/environ", libc::O_RDONLY),
        ("/proc/self/mem", libc::O_RDWR),
        ("/usr/bin/env", libc::O_RDONLY),
        ("/usr/bin", libc::O_RDONLY | libc::O_DIRECTORY),
        (foreign, libc::O_WRONLY | libc::O_TRUNC),
        (foreign, libc::O_RDONLY),
        (config, libc::O_WRONLY),
    ] {
        assert_eq!(open(path, flags), Outcome::Failed(Errno::EACCES), "{path}");
    }
    assert_eq!(unlink(foreign), Outcome::Failed(Errno::EACCES));
    traced.resume();
    assert_eq!(fs::read_to_string(foreign).expect("a file"), "kept");
    assert!(daemon.stop().success());
    assert_eq!(host.run("find /run/teamd -mindepth 1"), "");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_sandboxed_daemon_makes_no_forbidden_call() {
    const PAGE: u64 = 4096;
    /// Commands that the libc crate does not name.
    const F_SETSIG: u64 = 10;
    const PROG_GET_NEXT_ID: u64 = 11;
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host(&lab);
    let (readable, code) = (libc::PROT_READ as u64, libc::PROT_EXEC as u64);
    let private = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
    let none = u64::MAX;
    for (number, (what, call, arguments)) in (0..).zip([
        ("map code", libc::SYS_mmap, [0, PAGE, readable | code, private, none, 0]),
        ("signal by F_SETOWN", libc::SYS_fcntl, [0, libc::F_SETOWN as u64, 1, 0, 0, 0]),
        ("signal by F_SETSIG", libc::SYS_fcntl, [0, F_SETSIG, 9, 0, 0, 0]),
        ("signal init", libc::SYS_kill, [1, 0, 0, 0, 0, 0]),
        ("fork", libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0, 0, 0, 0]),
        ("execute a program", libc::SYS_execve, [0; 6]),
        ("trace init", libc::SYS_ptrace, [libc::PTRACE_ATTACH.into(), 1, 0, 0, 0, 0]),
        ("mount", libc::SYS_mount, [0; 6]),
        ("make a directory", libc::SYS_mkdirat, [0; 6]),
        ("make a link", libc::SYS_linkat, [0; 6]),
        ("change a mode", libc::SYS_fchmodat, [0; 6]),
        (
            "open a socket of a virtual machine",
            libc::SYS_socket,
            [libc::AF_VSOCK as u64, 1, 0, 0, 0, 0],
        ),
        ("iterate over programs", libc::SYS_bpf, [PROG_GET_NEXT_ID, 0, 0, 0, 0, 0]),
    ]) {
        let mut daemon = sandboxed(&lab, &host, &["-t", &format!("team{number}"), "-c", "{}"]);
        let traced = Traced::stop(daemon.pid());
        let outcome = traced.call(call, arguments);
        assert!(outcome.is_refused(), "{what}: {outcome:?}");
        match outcome {
            Outcome::Killed => assert!(!daemon.wait().success()),
            _ => {
                traced.resume();
                assert!(daemon.stop().success());
            }
        }
    }
    let daemon = sandboxed(&lab, &host, &["-t", "code", "-c", "{}"]);
    let traced = Traced::stop(daemon.pid());
    let data = [0, PAGE, readable, private, none, 0];
    let Outcome::Value(at) = traced.call(libc::SYS_mmap, data) else {
        panic!("no memory");
    };
    let outcome = traced.call(libc::SYS_mprotect, [at as u64, PAGE, readable | code, 0, 0, 0]);
    assert!(outcome.is_refused(), "make data executable: {outcome:?}");
}

/// The daemon loads the library of a service of nsswitch.conf before the sandbox, in which no code can
/// be mapped.
#[test]
fn a_sandboxed_daemon_resolves_names_by_every_service() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = host(&lab);
    for (file, text) in [
        ("nsswitch.conf", "hosts: compat [!SUCCESS=continue] hesiod files"),
        ("hosts", "192.0.2.9 named.example"),
    ] {
        let path = lab.folder().join(file);
        fs::write(&path, format!("{text}\n")).expect("write a file");
        host.run(&format!("mount --bind {} /etc/{file}", path.display()));
    }
    let mut config = team_config("team0", "activebackup", DataPath::Userspace, &["late"]);
    config["link_watch"] =
        serde_json::json!({"name": "arp_ping", "target_host": "named.example", "interval": 100});
    let team = Teamr::start_args(&host, &config, &["-g"]);
    wait_until("the daemon to give up its rights", || status(team.pid(), "Seccomp") == "2");
    host.run("ip link add name late type veth peer name peer");
    wait_until("the name to be resolved", || team.log().contains("\"named.example\" is 192.0.2.9"));
    assert!(team.stop().success());
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
    wait_until("the daemon to have started", || process.log().contains("successfully started"));
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
    let variables =
        [("NOTIFY_SOCKET", socket.to_str().expect("a plain path")), ("WATCHDOG_USEC", "100000")];
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

//! All teams of a directory in one process: each team has its own device, socket and pid file, and
//! the failure of one does not affect the others.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Output;

use integration::traffic::Capture;
use integration::{
    Bus, CableKind, DataPath, Lab, Namespace, Ping, Preload, Process, Sharing, Teamr, binary,
    in_virtual_time, on_own_data_paths, tcx, team_config, teamr_command, wait_until,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use teamr::control::dbus::connection::ADDRESS_VARIABLE;
use teamr::control::dbus::message;
use teamr::sys::bpf::Hook;

/// Team, runner, file, and prefix of the addresses.
const TEAMS: [(&str, &str, &str, &str); 3] = [
    ("team0", "activebackup", "team0", "10.0.0"),
    ("wan", "loadbalance", "outside", "10.0.1"),
    ("team2", "broadcast", "z", "10.0.2"),
];

/// Number of teams whose start takes several periods of PDUs.
const OTHERS: usize = 120;

/// A host with two cables to its neighbour for each team, and a directory of configurations.
struct Site {
    lab: Lab,
    host: Namespace,
    peer: Namespace,
    directory: PathBuf,
}

impl Site {
    fn new(data_path: DataPath) -> Option<Site> {
        let lab = Lab::open(Sharing::Shared)?;
        let (host, peer) = (lab.host("host"), lab.host("peer"));
        let directory = lab.folder().join("teams");
        fs::create_dir(&directory).expect("make a directory");
        for (number, (team, runner, file, _)) in TEAMS.into_iter().enumerate() {
            let ports = ports(number);
            for port in &ports {
                lab.cable((&host, port), (&peer, port), CableKind::Virtual);
                peer.up(port);
            }
            let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
            let mut config = team_config(team, runner, data_path, &ports);
            config["ports"][ports[0]]["prio"] = 1.into();
            if file == team {
                // The file name has the device.
                config.as_object_mut().expect("an object").remove("device");
            }
            fs::write(directory.join(format!("{file}.json")), config.to_string())
                .expect("write a configuration");
        }
        // Neither file is a configuration.
        for name in ["README", ".hidden.json"] {
            fs::write(directory.join(name), "{").expect("write a file");
        }
        Some(Site { lab, host, peer, directory })
    }

    fn start(&self) -> Process {
        let mut command = teamr_command(&self.host);
        command.arg("-f").arg(&self.directory);
        let daemon = Process::start("teamr", self.lab.folder(), command);
        wait_until("the daemon to have started", || daemon.log().contains("successfully started"));
        daemon
    }

    /// Runs teamr on the directory and waits for its end.
    fn run(&self, option: &str) -> Output {
        let mut command = teamr_command(&self.host);
        command.arg(option).arg("-f").arg(&self.directory);
        command.output().expect("run teamr")
    }

    /// Returns the state of a team; `None` without an answer.
    fn state(&self, team: &str) -> Option<Value> {
        let ctl = binary("teamrctl");
        let line = format!("{} {team} state dump", ctl.display());
        let answer = self.host.try_run(&line);
        serde_json::from_slice(&answer.stdout).ok()
    }

    fn has_links(&self, team: &str, links: [bool; 2]) -> bool {
        let number = TEAMS.iter().position(|(name, ..)| *name == team);
        let ports = ports(number.expect("a team"));
        self.state(team).is_some_and(|state| {
            let up = |port: &String| state["ports"][port]["link_watches"]["up"] == true;
            ports.iter().map(up).eq(links)
        })
    }

    fn files(&self) -> String {
        self.host.run("find /run -type f -o -type s")
    }
}

fn ports(team: usize) -> [String; 2] {
    [1, 2].map(|port| format!("eth{team}{port}"))
}

fn each_team_is_independent(data_path: DataPath) {
    let Some(site) = Site::new(data_path) else {
        return;
    };
    let (host, peer) = (&site.host, &site.peer);
    let mut daemon = site.start();
    assert!(site.run("-e").status.success());
    for (number, (team, runner, _, network)) in TEAMS.into_iter().enumerate() {
        wait_until("both links to be up", || site.has_links(team, [true, true]));
        let state = site.state(team).expect("a state");
        assert_eq!(state["setup"]["runner_name"], runner);
        assert_eq!(state["setup"]["pid"], daemon.pid());
        host.up(team);
        host.address(team, &format!("{network}.1/24"));
        // The peer needs an address on the interface that the team uses only.
        let [first, second] = ports(number);
        match runner {
            "loadbalance" => {
                peer.ip(&format!("link set dev {second} down"));
                wait_until("its other link", || site.has_links(team, [true, false]));
            }
            "activebackup" => wait_until("the preferred port to be active", || {
                site.state(team).is_some_and(|state| state["runner"]["active_port"] == *first)
            }),
            _ => {}
        }
        peer.address(&first, &format!("{network}.2/24"));
    }
    let pinged = |network: &str| Ping::run(host, &format!("{network}.2"), 5, "");
    assert!(pinged("10.0.0").is_exact() && pinged("10.0.1").is_exact());

    // A link of one team does not affect the others, and the log has the team's name.
    peer.ip("link set dev eth02 down");
    wait_until("a link to go", || site.has_links("team0", [true, false]));
    assert!(daemon.log().contains("\nteam0: eth02: "), "{}", daemon.log());
    assert!(site.has_links("team2", [true, true]));

    // The end of one team does not affect the others.
    host.ip("link delete dev wan");
    wait_until("wan to be given up", || site.state("wan").is_none());
    assert!(pinged("10.0.0").is_exact());
    wait_until("the files of wan to go", || !site.files().contains("/wan."));
    assert!(!site.run("-e").status.success(), "one of them is gone");

    let line = format!("{} -k -t team0", binary("teamr").display());
    let refused = host.try_run(&line);
    assert!(!refused.status.success(), "others would end, too");
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(stderr.contains("has other teams"), "{stderr}");
    assert!(site.has_links("team2", [true, true]));

    assert!(site.run("-k").status.success());
    assert!(daemon.wait().success());
    assert_eq!(site.files(), "");
    for (team, ..) in TEAMS {
        assert!(!host.has_interface(team), "{team}");
    }
    assert!(!site.run("-k").status.success(), "none runs any more");
}

on_own_data_paths!(each_team_is_independent);

#[test]
fn with_the_kernels_driver() {
    in_virtual_time(|_| each_team_is_independent(DataPath::Kernel));
}

#[test]
fn a_team_that_cannot_start_does_not_keep_others_from_starting() {
    let Some(site) = Site::new(DataPath::Userspace) else {
        return;
    };
    site.host.ip("link add wan type veth peer name other");
    let mut daemon = site.start();
    for team in ["team0", "team2"] {
        wait_until("both links to be up", || site.has_links(team, [true, true]));
    }
    assert!(daemon.log().contains("wan: \"wan\" exists"), "{}", daemon.log());
    assert!(site.state("wan").is_none());
    // The existing device stays, and the ports of the failed team are free.
    assert_eq!(site.host.link("wan")["linkinfo"]["info_kind"], "veth");
    assert_eq!(daemon.stop().code(), Some(3));
}

/// stderr and the service manager's status name the invalid file, and the exit status is 3.
#[test]
fn an_invalid_configuration_does_not_keep_other_teams_from_starting() {
    let Some(site) = Site::new(DataPath::Userspace) else {
        return;
    };
    let path = site.lab.folder().join("manager");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_nonblocking(true).expect("a socket");
    let file = site.directory.join("new.json");
    for (text, complaint) in [
        ("{", "new.json: Failed to parse config"),
        (r#"{"device": "team0"}"#, "team0.json: the device \"team0\" is that of"),
        (r#"{"device": "x", "ports": {"eth01": {}}}"#, "team0.json: the port \"eth01\" is that of"),
        (r#"{"runner": {"name": "nobody"}}"#, "new.json: "),
    ] {
        fs::write(&file, text).expect("write a configuration");
        let output = site.run("--check-config");
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{stdout}");
        assert!(stdout.contains(&*file.to_string_lossy()), "{stdout}");

        let mut command = teamr_command(&site.host);
        command.arg("-f").arg(&site.directory).env("NOTIFY_SOCKET", &path);
        let mut daemon = Process::start("teamr", site.lab.folder(), command);
        wait_until("the daemon to have started", || daemon.log().contains("successfully started"));
        assert!(daemon.log().contains(complaint), "{}", daemon.log());
        wait_until("the others to be up", || site.has_links("team2", [true, true]));
        let bad = complaint.split(':').next().expect("a file");
        let mut status = String::new();
        wait_until("the status to name the file", || {
            let mut buffer = [0; 4096];
            while let Ok(length) = manager.recv(&mut buffer) {
                status += &String::from_utf8_lossy(&buffer[..length]);
            }
            let named = status.lines().filter(|line| line.starts_with("STATUS=not started: "));
            named.clone().any(|line| line.contains(bad) && line.contains("; team2: "))
        });
        assert!(!site.run("-e").status.success(), "one of them does not run");
        assert_eq!(daemon.stop().code(), Some(3));
    }
    let output = site.run("-d");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(site.run("-k").status.success());
    wait_until("the end of the daemon", || site.files().is_empty());

    fs::remove_file(&file).expect("remove a file");
    for option in ["--check-config", "-d", "-e", "-k"] {
        let output = site.run(option);
        assert!(output.status.success(), "{option}: {output:?}");
    }
    wait_until("the end of the daemon", || site.files().is_empty());

    // Options for one team are refused with a directory.
    let output = site.run("-tteam0");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("about one team"), "{stderr}");

    // Without one valid file there is nothing to run.
    for entry in fs::read_dir(&site.directory).expect("a directory") {
        fs::write(entry.expect("a file").path(), "{").expect("write a configuration");
    }
    let output = site.run("-d");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for file in ["outside.json", "team0.json", "z.json"] {
        assert!(stderr.contains(&format!("{file}: Failed to parse config")), "{stderr}");
    }
    assert_eq!(site.files(), "");
}

/// A bus that does not answer delays no team: the partner of the first team gets its PDUs in time
/// while 64 others start, and each team has its bus name once the bus goes on.
#[test]
fn a_stopped_bus_delays_no_team() {
    const MORE: usize = 64;
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let (host, peer) = (lab.host("host"), lab.host("peer"));
    let Some(mut bus) = Bus::start(&host) else {
        return;
    };
    lab.cable((&host, "eth1"), (&peer, "eth1"), CableKind::Virtual);
    let fast = |team: &str| {
        let mut config = team_config(team, "lacp", DataPath::Programs, &["eth1"]);
        config["runner"]["fast_rate"] = true.into();
        config
    };
    let partner = Teamr::start(&peer, &fast("partner"));
    peer.up("partner");
    let directory = lab.folder().join("teams");
    fs::create_dir(&directory).expect("make a directory");
    let write = |name: &str, config: Value| {
        let file = directory.join(format!("{name}.json"));
        fs::write(file, config.to_string()).expect("write a configuration");
    };
    write("first", fast("first"));
    for number in 0..MORE {
        let name = format!("other{number}");
        write(&name, team_config(&name, "broadcast", DataPath::Userspace, &[]));
    }
    bus.freeze();
    let mut command = teamr_command(&host);
    command.env(ADDRESS_VARIABLE, bus.address()).arg("-D").arg("-f").arg(&directory);
    let mut daemon = Process::start("teamr", lab.folder(), command);
    wait_until("the first team", || host.has_interface("first"));
    host.up("first");
    wait_until("the daemon to have started", || daemon.log().contains("successfully started"));
    assert!((0..MORE).all(|number| host.has_interface(&format!("other{number}"))));
    wait_until("the partner to be current", || partner.log().contains("-> \"current\""));
    assert!(!partner.log().contains("\"current\" -> "), "{}", partner.log());
    bus.thaw();
    let mut connection = bus.connect();
    for team in ["first".to_owned(), format!("other{}", MORE - 1)] {
        wait_until("the name of the team", || {
            let name = message::Value::Text(format!("org.libteam.teamd.{team}"));
            let call = connection.call_bus("GetNameOwner", &[name]);
            let reply = connection.wait_reply(call, 10_000).expect("a reply");
            reply.kind == message::Kind::Return
        });
    }
    assert!(!partner.log().contains("\"current\" -> "), "{}", partner.log());
    assert!(daemon.stop().success());
}

/// A running team sends PDUs while others start.
#[test]
fn partners_get_pdus_while_other_teams_start() {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let (host, peer) = (lab.host("host"), lab.host("peer"));
    lab.cable((&host, "eth1"), (&peer, "eth1"), CableKind::Virtual);
    peer.up("eth1");
    let directory = lab.folder().join("teams");
    fs::create_dir(&directory).expect("make a directory");
    let write = |name: &str, config: Value| {
        let file = directory.join(format!("{name}.json"));
        fs::write(file, config.to_string()).expect("write a configuration");
    };
    let mut first = team_config("first", "lacp", DataPath::Programs, &["eth1"]);
    first["runner"]["fast_rate"] = true.into();
    first["runner"]["fast_period"] = 100.into();
    write("first", first);
    for number in 0..OTHERS {
        let name = format!("other{number}");
        write(&name, team_config(&name, "broadcast", DataPath::Programs, &[]));
    }
    let mut command = teamr_command(&host);
    command.arg("-f").arg(&directory);
    let capture = Capture::start(&peer, "eth1");
    let mut daemon = Process::start("teamr", lab.folder(), command);
    wait_until("the first team", || host.has_interface("first"));
    host.up("first");
    assert!(!daemon.log().contains("successfully started"), "too early");
    wait_until("the daemon to have started", || daemon.log().contains("successfully started"));
    let frames = capture.finish();
    let pdus = frames.iter().filter(|frame| !frame.outgoing && frame.ether_type() == Some(0x8809));
    let pdus = pdus.count();
    assert!(pdus >= 3, "{pdus} PDUs while {OTHERS} others were started");
    assert!(daemon.stop().success());
}

/// A process with many teams attaches its programs by filters, and removes the programs that a daemon
/// with one team attached by TCX. The next daemon with one team attaches by TCX again.
#[test]
fn a_process_with_many_teams_replaces_the_programs_at_tcx_hooks() {
    const MANY: usize = 20;
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let (host, peer) = (lab.host("host"), lab.host("peer"));
    lab.cable((&host, "eth1"), (&peer, "eth1"), CableKind::Virtual);
    if !tcx::is_here(&host) {
        return;
    }
    let partner =
        Teamr::start(&peer, &team_config("partner", "lacp", DataPath::Programs, &["eth1"]));
    peer.up("partner");
    peer.address("partner", "10.0.0.2/24");
    let directory = lab.folder().join("teams");
    fs::create_dir(&directory).expect("make a directory");
    let file = |name: &str| directory.join(format!("{name}.json"));
    let write = |name: &str, config: Value| {
        fs::write(file(name), config.to_string()).expect("write a configuration");
    };
    let others: Vec<String> = (0..MANY).map(|number| format!("other{number}")).collect();
    write("first", team_config("first", "lacp", DataPath::Programs, &["eth1"]));
    for (are_many, expected) in [(false, 2), (true, 0), (false, 2)] {
        for other in &others {
            match are_many {
                true => write(other, team_config(other, "broadcast", DataPath::Userspace, &[])),
                false => drop(fs::remove_file(file(other))),
            }
        }
        let mut command = teamr_command(&host);
        command.arg("-f").arg(&directory);
        let mut daemon = Process::start("teamr", lab.folder(), command);
        wait_until("the daemon to have started", || daemon.log().contains("successfully started"));
        host.up("first");
        host.ip("address replace 10.0.0.1/24 dev first");
        wait_until("the programs", || {
            tcx::programs(&host, "eth1", Hook::Ingress).expect("TCX").len() == expected
        });
        wait_until("the partner", || host.try_run("ping -c 1 -W 1 10.0.0.2").status.success());
        assert!(Ping::run(&host, "10.0.0.2", 20, "").is_exact());
        daemon.signal(Signal::SIGUSR2);
        assert!(daemon.wait().success());
        others.iter().filter(|_| are_many).for_each(|other| {
            host.try_run(&format!("ip link delete dev {other}"));
        });
    }
    drop(partner);
}

/// Most requests to the kernel and control frames (send(2)), and calls of bpf(2), of a team with two
/// ports among many, at its start and at its stop: half as much again as counted.
struct Cost {
    start: [i64; 2],
    stop: [i64; 2],
}

/// The cost of a team does not grow unnoticed: the number of its calls does not depend on the speed of
/// the machine.
fn a_team_costs_few_calls(data_path: DataPath, most: &Cost) {
    /// More than the number from which the programs are attached by filters.
    const MANY: usize = 20;
    /// Places of `send` and `bpf` among the words of `fail.c`, and of the kind that fails.
    const COUNTED: [usize; 2] = [4 + 18, 4 + 3];
    const FAILING: usize = 0;
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let (host, peer) = (lab.host("host"), lab.host("peer"));
    let directory = lab.folder().join("teams");
    fs::create_dir(&directory).expect("make a directory");
    for number in 0..MANY {
        let ports = ["a", "b"].map(|side| format!("{side}{number}"));
        for port in &ports {
            lab.cable((&host, port), (&peer, port), CableKind::Virtual);
            peer.up(port);
        }
        let team = format!("team{number}");
        let config = team_config(&team, "lacp", data_path, &[&ports[0], &ports[1]]);
        let file = directory.join(format!("{team}.json"));
        fs::write(file, config.to_string()).expect("write a configuration");
    }
    let calls = Preload::new(&lab, "tests/fault_points/fail.c", 4 + 29);
    calls.set(FAILING, -1);
    let mut command = teamr_command(&host);
    calls.apply(&mut command);
    command.arg("-f").arg(&directory);
    let mut daemon = Process::start("teamr", lab.folder(), command);
    wait_until("the daemon to have started", || daemon.log().contains("successfully started"));
    let count = || COUNTED.map(|place| calls.get(place));
    let started = count();
    assert!(daemon.stop().success());
    let stopped = count();
    let teams = i64::try_from(MANY).expect("a small number");
    let of_start = started.map(|calls| calls / teams);
    let of_stop = [0, 1].map(|kind| (stopped[kind] - started[kind]) / teams);
    println!("{}: start {of_start:?}, stop {of_stop:?} calls a team", data_path.name());
    for (counted, most) in [(of_start, most.start), (of_stop, most.stop)] {
        let few = counted.iter().zip(most).all(|(counted, most)| (1..=most).contains(counted));
        assert!(few, "{counted:?} calls a team, {most:?} at most");
    }
}

#[test]
fn a_team_of_programs_costs_few_calls() {
    a_team_costs_few_calls(DataPath::Programs, &Cost { start: [87, 54], stop: [33, 6] });
}

#[test]
fn a_relay_team_costs_few_calls() {
    a_team_costs_few_calls(DataPath::Userspace, &Cost { start: [58, 18], stop: [22, 3] });
}

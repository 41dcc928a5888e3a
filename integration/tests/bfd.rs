//! The watch bfd: micro sessions between two teams (RFC 7130), and single-hop sessions with BIRD and with
//! FRR (RFC 5881).

use std::fs;
use std::path::Path;

use integration::traffic::Capture;
use integration::{
    CableKind, DataPath, HostAndPeer, Lab, Namespace, Process, Sharing, Switch, Teamr,
    in_virtual_time, on_own_data_paths, skip, team_config, wait_until,
};
use nix::sys::signal::Signal;
use runners::wire::bfd::{self, BfdState, MICRO_PORT};
use serde_json::{Value, json};
use teamr::sys::clock::monotonic;

const PORTS: [&str; 2] = ["eth1", "eth2"];
/// Milliseconds between two packets.
const INTERVAL: u64 = 50;

/// Two teams with a switch in each cable: a switch without its ports is a silent path.
struct TwoTeams {
    teams: [Teamr; 2],
    hosts: [Namespace; 2],
    switches: [Switch; 2],
}

impl TwoTeams {
    fn new(lab: &Lab, data_path: DataPath) -> TwoTeams {
        let hosts = [lab.host("left"), lab.host("right")];
        let switches = PORTS.map(|port| {
            let switch = lab.switch(port);
            for (host, far) in hosts.iter().zip(["left", "right"]) {
                lab.cable((host, port), (switch.namespace(), far), CableKind::Virtual);
                switch.plug(far);
            }
            switch
        });
        let teams = [0, 1].map(|own| {
            let team = Teamr::start(&hosts[own], &config(own, data_path));
            hosts[own].up("team0");
            hosts[own].address("team0", &format!("10.0.0.{}/24", own + 1));
            team
        });
        TwoTeams { teams, hosts, switches }
    }

    fn wait_active(&self, port: &str) {
        self.teams.iter().for_each(|team| team.wait_active(port));
    }

    /// Checks packets of the left team on the wire, and prints the pauses between them.
    fn packets_leave_in_time(&self) {
        let capture = Capture::start(&self.hosts[1], "eth1");
        let sent = || session(&self.teams[0], "eth1")["sent"].as_u64().expect("a count");
        let before = sent();
        wait_until("packets", || sent() >= before + 60);
        let frames = capture.finish();
        let packets = frames.iter().filter(|frame| !frame.outgoing);
        let packets = packets.filter_map(|frame| Some((frame.at, bfd::parse(&frame.bytes)?)));
        let times: Vec<u64> = packets
            .map(|(at, (addresses, control))| {
                assert_eq!((addresses.ports.1, control.state), (MICRO_PORT, BfdState::Up));
                at
            })
            .collect();
        let pauses = times.windows(2).map(|pair| (pair[1] - pair[0]) / 1000);
        let mut pauses: Vec<u64> = pauses.collect();
        pauses.sort_unstable();
        assert!(pauses.len() >= 50 && pauses[pauses.len() / 2] <= INTERVAL * 1000, "{pauses:?}");
        let (shortest, longest) = (pauses[0], pauses[pauses.len() - 1]);
        let delay = &session(&self.teams[0], "eth1")["max_delay"];
        println!("pauses of {shortest} to {longest} us, sent up to {delay} us late");
    }
}

/// Returns the configuration of one of two teams.
fn config(own: usize, data_path: DataPath) -> Value {
    let mut config = team_config("team0", "activebackup", data_path, &PORTS);
    config["link_watch"] = watch(own, false, INTERVAL);
    config["ports"]["eth1"]["prio"] = 10.into();
    config
}

fn watch(own: usize, single_hop: bool, interval: u64) -> Value {
    json!({
        "name": "bfd", "single_hop": single_hop, "interval": interval,
        "local_address": format!("10.0.0.{}", own + 1),
        "peer_address": format!("10.0.0.{}", 2 - own),
    })
}

fn session(team: &Teamr, port: &str) -> Value {
    let watches = &team.state_at_socket()["ports"][port]["link_watches"];
    watches["list"]["link_watch_0"]["teamr"]["bfd"].clone()
}

fn a_silent_path_is_left_by_both_ends(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let two = TwoTeams::new(&lab, data_path);
    two.teams.iter().for_each(Teamr::take_precedence);
    two.wait_active("eth1");
    for team in &two.teams {
        for port in PORTS {
            wait_until("the negotiated interval of both sessions", || {
                let session = session(team, port);
                session["state"] == "Up" && session["transmit_interval"] == INTERVAL * 1000
            });
            assert_eq!(session(team, port)["detection_time"], 3 * INTERVAL * 1000);
        }
    }
    two.packets_leave_in_time();

    two.switches[0].unplug("left");
    let silent = monotonic();
    two.wait_active("eth2");
    println!("out after {:?}, of {} ms", monotonic() - silent, 3 * INTERVAL);
    for team in &two.teams {
        let port = &team.state()["ports"]["eth1"];
        assert_eq!(
            (&port["link"]["up"], &port["link_watches"]["up"]),
            (&true.into(), &false.into())
        );
    }
    two.switches[0].plug("left");
    two.wait_active("eth1");
}

/// A daemon that ends for its successor takes leave: the path does not count as lost.
fn a_restart_is_no_lost_path(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let two = TwoTeams::new(&lab, data_path);
    two.wait_active("eth1");
    let TwoTeams { teams: [mut left, right], hosts, .. } = two;
    let downs = |team: &Teamr| {
        let watches = &team.state_at_socket()["ports"]["eth1"]["link_watches"];
        watches["list"]["link_watch_0"]["down_count"].clone()
    };
    let before = downs(&right);
    left.signal(Signal::SIGUSR2);
    left.wait();
    wait_until("the leave", || session(&right, "eth1")["remote_state"] != "Up");
    assert_eq!(right.port_up("eth1"), Some(true));
    // The driver's device needs the option to be taken over.
    let args: &[&str] = if data_path == DataPath::Kernel { &["-o"] } else { &[] };
    let left = Teamr::start_args(&hosts[0], &config(0, data_path), args);
    wait_until("the session with the successor", || session(&right, "eth1")["state"] == "Up");
    assert_eq!((downs(&right), left.port_up("eth1")), (before, Some(true)));
}

/// LACP stays as it is, and the port is out of the distribution alone.
fn a_member_without_its_session_carries_nothing(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let two = integration::TwoTeams::new(&lab);
    let hosts = [&two.left, &two.right];
    let teams = [0, 1].map(|own| {
        let mut config = team_config("team0", "lacp", data_path, &PORTS);
        config["link_watch"] = watch(own, false, INTERVAL);
        let team = Teamr::start(hosts[own], &config);
        hosts[own].up("team0");
        team
    });
    let carrying = |ports: &[&str]| {
        wait_until(&format!("{ports:?} to carry"), || teams[0].carrying() == ports);
    };
    carrying(&PORTS);
    let right = teams[1].pid();
    let send = |signal| {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(right).expect("a pid"));
        nix::sys::signal::kill(pid, signal).expect("signal the daemon");
    };
    send(Signal::SIGSTOP);
    carrying(&[]);
    let state = teams[0].state_at_socket();
    for port in PORTS {
        assert_eq!(state["ports"][port]["runner"]["state"], "current", "LACP waits for longer");
    }
    send(Signal::SIGCONT);
    carrying(&PORTS);
}

on_own_data_paths! {
    a_silent_path_is_left_by_both_ends
    a_member_without_its_session_carries_nothing
}

/// Without the relay's daemon the ports receive nothing.
#[test]
fn a_restart_of_the_programs_daemon_is_no_lost_path() {
    a_restart_is_no_lost_path(DataPath::Programs);
}

#[test]
fn in_the_kernel() {
    in_virtual_time(|_| {
        a_silent_path_is_left_by_both_ends(DataPath::Kernel);
        a_member_without_its_session_carries_nothing(DataPath::Kernel);
        a_restart_is_no_lost_path(DataPath::Kernel);
    });
}

/// Another program that speaks BFD.
#[derive(Clone, Copy, PartialEq)]
enum Program {
    Bird,
    Frr,
}

/// A router with one neighbour on eth1.
struct Router {
    program: Program,
    host: Namespace,
    process: Process,
    /// FRR's bfdd learns the interfaces from zebra.
    _zebra: Option<Process>,
}

impl Router {
    /// Starts the program; `None` if the program is not installed.
    fn start(program: Program, host: &Namespace) -> Option<Router> {
        let (process, zebra) = match program {
            Program::Bird => (start_bird(host)?, None),
            Program::Frr => {
                // Debian and Fedora have different folders.
                let folders = ["/usr/lib/frr", "/usr/libexec/frr"];
                let folder = folders.into_iter().find(|it| Path::new(it).join("bfdd").exists())?;
                let zebra = start_frr(host, &format!("{folder}/zebra"), "");
                wait_until("zebra to listen", || host.folder().join("zserv.api").exists());
                let config = format!(
                    "bfd\n peer 10.0.0.1 local-address 10.0.0.2 interface eth1\n  \
                     receive-interval {INTERVAL}\n  transmit-interval {INTERVAL}\n"
                );
                (start_frr(host, &format!("{folder}/bfdd"), &config), Some(zebra))
            }
        };
        Some(Router { program, host: host.clone(), process, _zebra: zebra })
    }

    fn sessions(&self) -> String {
        let folder = self.host.folder();
        let mut command = match self.program {
            Program::Bird => {
                let mut command = self.host.command("birdc");
                command.arg("-s").arg(folder.join("bird.ctl")).args(["show", "bfd", "sessions"]);
                command
            }
            Program::Frr => {
                let mut command = self.host.command("vtysh");
                command.arg("--vty_socket").arg(folder).args(["-c", "show bfd peers brief"]);
                command
            }
        };
        let output = command.output().expect("ask the router");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Returns whether the router shows the session in a state.
    fn shows(&self, state: &str) -> bool {
        self.sessions().lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.contains(&"10.0.0.1") && words.iter().any(|word| word.eq_ignore_ascii_case(state))
        })
    }
}

fn start_bird(host: &Namespace) -> Option<Process> {
    if host.try_run("bird --version").status.code() == Some(127) {
        return None;
    }
    let file = host.folder().join("bird.conf");
    let config = format!(
        "log stderr all;\nrouter id 10.0.0.2;\nprotocol device {{}}\nprotocol bfd {{\n\
         interface \"eth1\" {{ interval {INTERVAL} ms; multiplier 3; }};\n\
         neighbor 10.0.0.1 dev \"eth1\" local 10.0.0.2;\n}}\n"
    );
    fs::write(&file, config).expect("write a configuration");
    let socket = host.folder().join("bird.ctl");
    let line = format!("bird -f -c {} -s {}", file.display(), socket.display());
    Some(host.start(&line))
}

/// Starts a program of FRR as root: the folder of the host is root's.
fn start_frr(host: &Namespace, path: &str, config: &str) -> Process {
    let folder = host.folder();
    let name = path.rsplit('/').next().unwrap_or_default();
    let file = folder.join(format!("{name}.conf"));
    fs::write(&file, config).expect("write a configuration");
    let of_bfdd = match name {
        "bfdd" => format!("--bfdctl {}", folder.join("bfdd.sock").display()),
        _ => String::new(),
    };
    host.start(&format!(
        "{path} -u root -g frrvty -f {} -i {} -z {} --vty_socket {} -P 0 {of_bfdd}",
        file.display(),
        folder.join(format!("{name}.pid")).display(),
        folder.join("zserv.api").display(),
        folder.display(),
    ))
}

fn router_and_watch_keep_a_session(program: Program, data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &PORTS);
    peer.address("eth1", "10.0.0.2/24");
    let mut config = team_config("team0", "activebackup", data_path, &PORTS);
    config.as_object_mut().expect("an object").remove("link_watch");
    config["ports"]["eth1"] = json!({"prio": 10, "link_watch": watch(0, true, INTERVAL)});
    let team = Teamr::start(&host, &config);
    host.up("team0");
    host.address("team0", "10.0.0.1/24");
    team.wait_active("eth2");

    let Some(mut router) = Router::start(program, &peer) else {
        return skip("the router is not installed: integration/run --install-only");
    };
    team.wait_active("eth1");
    wait_until("the session of the router", || router.shows("Up"));
    let words = session(&team, "eth1");
    assert_eq!((&words["state"], &words["remote_state"]), (&"Up".into(), &"Up".into()));
    wait_until("the negotiated times", || {
        let session = session(&team, "eth1");
        session["transmit_interval"] == INTERVAL * 1000
            && session["detection_time"] == 3 * INTERVAL * 1000
    });
    println!("{}", router.sessions());

    // The watch goes down when the router falls silent, although the carrier stays.
    router.process.signal(Signal::SIGSTOP);
    team.wait_active("eth2");
    assert_eq!(team.state()["ports"]["eth1"]["link"]["up"], true);
    assert_eq!(session(&team, "eth1")["diagnostic"], 1, "the detection time has expired");
    router.process.signal(Signal::SIGCONT);
    team.wait_active("eth1");
    wait_until("the session of the router", || router.shows("Up"));

    // The router's session goes down when the daemon falls silent.
    team.crash();
    wait_until("the router to lose the daemon", || !router.shows("Up"));
}

#[test]
fn the_relay_keeps_a_session_with_bird() {
    router_and_watch_keep_a_session(Program::Bird, DataPath::Userspace);
}

#[test]
fn the_programs_keep_a_session_with_bird() {
    router_and_watch_keep_a_session(Program::Bird, DataPath::Programs);
}

#[test]
fn the_relay_keeps_a_session_with_frr() {
    router_and_watch_keep_a_session(Program::Frr, DataPath::Userspace);
}

#[test]
fn the_programs_keep_a_session_with_frr() {
    router_and_watch_keep_a_session(Program::Frr, DataPath::Programs);
}

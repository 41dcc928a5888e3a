//! A daemon with its clients, which runs a scenario.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::answer::{Answer, OURS, RunNumbers};
use crate::binaries::binary;
use crate::control;
use crate::lab::skip;
use crate::process::Process;
use crate::scenario::{PORTS, Scenario, Step, TEAM};
use crate::uml::pause_at_select;
use crate::wait::{comes_true, wait_until};

/// Questions at the end of every scenario.
const INVENTORY: &[&str] = &[
    "teamdctl team0 state dump",
    "teamdctl -o team0 state dump",
    "teamdctl team0 state view",
    "teamdctl -v team0 state",
    "teamdctl team0 config dump",
    "teamdctl -o team0 config dump",
    "teamdctl team0 config dump noports",
    "teamdctl team0 config dump actual",
    "teamdctl team0 port present eth1",
    "teamdctl team0 port present eth2",
    "teamdctl team0 port config dump eth1",
    "teamdctl team0 port config dump eth2",
    "teamnl team0 ports",
    "teamnl team0 options",
];

/// Methods whose replies are compared byte for byte, as NetworkManager does.
const REPLIES: &[&str] = &["ConfigDump", "ConfigDumpActual", "StateDump", "PortAdd"];

/// Programs, each run under the name of teamd's program.
#[derive(Clone, Debug)]
pub struct Programs {
    daemon: PathBuf,
    control: PathBuf,
    kernel: PathBuf,
}

impl Programs {
    /// Returns Debian's programs.
    pub fn of_teamd() -> Programs {
        Programs { daemon: "teamd".into(), control: "teamdctl".into(), kernel: "teamnl".into() }
    }

    /// Returns teamr's programs.
    pub fn of_teamr() -> Programs {
        Programs { daemon: binary("teamr"), control: binary("teamrctl"), kernel: binary("teamrnl") }
    }

    /// Returns the command `teamd`, `teamdctl` or `teamnl`, without arguments.
    fn command(&self, name: &str) -> Command {
        let program = match name {
            "teamd" => &self.daemon,
            "teamdctl" => &self.control,
            "teamnl" => &self.kernel,
            _ => panic!("{name} is none of teamd's programs"),
        };
        let mut command = Command::new(program);
        command.arg0(name).stdin(Stdio::null());
        command
    }

    /// Runs a program until it ends; the command line is split at blanks, `''` is an empty
    /// argument.
    fn ask(&self, line: &str) -> Answer {
        let (name, args) = line.split_once(' ').unwrap_or((line, ""));
        let mut command = self.command(name);
        let word = |word| if word == "''" { "" } else { word };
        command.args(args.split_whitespace().map(word));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("start {line}: {error}"));
        // A daemon that wrongly accepts its command line keeps running.
        if name == "teamd" && !comes_true(|| !matches!(child.try_wait(), Ok(None))) {
            let _ = child.kill();
        }
        let output = child.wait_with_output();
        Answer::new(line, &output.unwrap_or_else(|error| panic!("wait for {line}: {error}")))
    }
}

/// Whether Debian's programs are installed. Skips the test if not, or panics when `CI=true`.
pub fn teamd_is_here() -> bool {
    let found = Command::new("teamd").arg("--version").output().is_ok();
    if !found {
        skip("no `teamd` here (Debian package libteam-utils)");
    }
    found
}

/// A daemon and its clients.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Name of the suite in reports.
    pub name: &'static str,
    /// Programs of the daemon.
    pub daemon: Programs,
    /// Data path of the daemon, if it supports several.
    pub data_path: Option<&'static str>,
    /// Programs of the clients whose answers are compared.
    pub clients: Programs,
    /// Programs of further clients, if any, that repeat the questions without side effects.
    pub second_clients: Option<Programs>,
}

/// The result of a scenario.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// All questions and the answers of the suite's clients.
    pub answers: Vec<Answer>,
    /// Questions to both clients, with both answers.
    pub compared: Vec<(Answer, Answer)>,
}

impl Suite {
    /// Whether the team device is the kernel's.
    pub fn in_kernel(&self) -> bool {
        self.data_path != Some("userspace")
    }

    /// Returns the command of a daemon with this configuration.
    pub(super) fn daemon_command(&self, config: &str) -> Command {
        let mut command = self.daemon.command("teamd");
        command.args(["-t", TEAM, "-c", config]);
        match self.data_path {
            Some(data_path) => drop(command.args(["--data-path", data_path])),
            // This runner of teamd answers the notification of its own change with another change.
            None if config.contains("loadbalance") => pause_at_select(&mut command),
            None => (),
        }
        command
    }

    /// Starts a daemon and waits until it answers.
    pub(super) fn start(
        &self,
        what: &str,
        command: Command,
        folder: &Path,
    ) -> (Process, RunNumbers) {
        let mut daemon = Process::start(&format!("{what}, {}", self.name), folder, command);
        wait_until("the daemon to answer", || {
            if let Some(status) = daemon.ended() {
                panic!("it ended at its start with {status}:\n{}", daemon.log());
            }
            control::state(TEAM).is_some()
        });
        let numbers = RunNumbers { pid: daemon.pid(), team: team_index() };
        (daemon, numbers)
    }

    /// Runs a scenario in the network namespace of this process. The daemon's log stays in
    /// `folder`. Panics if a step fails.
    pub fn run(&self, scenario: &Scenario, folder: &Path) -> Transcript {
        create_cables();
        let mut run = ScenarioRun {
            suite: self,
            scenario,
            folder,
            daemon: None,
            numbers: RunNumbers::default(),
            transcript: Transcript { answers: Vec::new(), compared: Vec::new() },
        };
        scenario.steps.iter().for_each(|step| run.step(step));
        run.end()
    }
}

/// Waits until the team's state satisfies `holds`.
pub(super) fn wait_state(what: &str, holds: impl Fn(&Value) -> bool) {
    let mut state = Value::Null;
    let come = comes_true(|| {
        state = control::state(TEAM).unwrap_or_default();
        holds(&state)
    });
    assert!(come, "waited in vain for {what}; the state is {state:#}");
}

/// The switch of the far ends.
const SWITCH: &str = "far-switch";

/// The bond of the far ends.
const BOND: &str = "far-bond";

/// Synchronization, Collecting and Distributing (IEEE 802.1AX-2014, 6.4.2.3).
const CARRIES: u64 = 0x38;

/// A running scenario.
struct ScenarioRun<'a> {
    suite: &'a Suite,
    scenario: &'a Scenario,
    folder: &'a Path,
    daemon: Option<Process>,
    numbers: RunNumbers,
    transcript: Transcript,
}

impl ScenarioRun<'_> {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Pull(port) => ip(&format!("link set dev {} down", far(port))),
            Step::PutBack(port) => ip(&format!("link set dev {} up", far(port))),
            Step::Enslave(port) => ip(&format!("link set dev {port} master {TEAM}")),
            Step::Release(port) => ip(&format!("link set dev {port} nomaster")),
            Step::Join(address) => join(address),
            Step::Bond(options) => bond(options),
            Step::Start => self.start(),
            Step::Up => ip(&format!("link set dev {TEAM} up")),
            Step::Ports(ports) => wait_state(&format!("the ports {ports:?}"), |state| {
                let known = state["ports"].as_object();
                known.map_or(0, serde_json::Map::len) == ports.len()
                    && ports.iter().all(|(port, up)| {
                        let watches = &state["ports"][*port]["link_watches"];
                        let each = watches["list"].as_object();
                        watches["up"] == *up
                            && each.is_some_and(|each| each.values().all(|w| w["up"] == *up))
                    })
            }),
            Step::Active(port) => wait_state(&format!("the active port {port:?}"), |state| {
                state["runner"]["active_port"] == port
            }),
            Step::Alone(ports) => wait_state(&format!("no partner at {ports:?}"), |state| {
                let word = |port: &&str| &state["ports"][*port]["runner"]["state"];
                ports.iter().all(|port| word(port) == "defaulted")
            }),
            Step::Together(ports) => wait_state(&format!("a partner at {ports:?}"), |state| {
                let carries = |port: &&str, end: &str| {
                    let bits = &state["ports"][*port]["runner"][end]["state"];
                    bits.as_u64().is_some_and(|bits| bits & CARRIES == CARRIES)
                };
                ports.iter().all(|port| {
                    carries(port, "actor_lacpdu_info") && carries(port, "partner_lacpdu_info")
                })
            }),
            Step::Ask(line) if line.starts_with("teamd ") => {
                self.keep(self.suite.daemon.ask(line));
            }
            Step::Do(line) => self.keep(self.suite.clients.ask(line)),
            Step::Ask(line) if line.starts_with("teamnl") && !self.suite.in_kernel() => (),
            Step::Ask(line) => {
                let answer = self.suite.clients.ask(line);
                if let Some(second) = &self.suite.second_clients {
                    let pair = (answer.clone().timeless(), second.ask(line).timeless());
                    self.transcript.compared.push(pair);
                }
                self.keep(answer);
            }
        }
    }

    fn start(&mut self) {
        let command = self.suite.daemon_command(self.scenario.config);
        let (daemon, numbers) = self.suite.start(self.scenario.name, command, self.folder);
        self.daemon = Some(daemon);
        self.numbers = numbers;
    }

    fn keep(&mut self, answer: Answer) {
        self.transcript.answers.push(answer.masked(&self.numbers));
    }

    /// Asks the final questions and stops the daemon.
    fn end(mut self) -> Transcript {
        INVENTORY.iter().for_each(|ask| self.step(&Step::Ask(ask)));
        for method in REPLIES {
            let reply = control::call(TEAM, method, &[]);
            self.keep(Answer {
                question: (*method).to_owned(),
                status: reply.is_ok().then_some(0),
                stdout: reply.unwrap_or_else(|error| error.to_string()),
                stderr: String::new(),
            });
        }
        let mut daemon = self.daemon.take().expect("a scenario starts a daemon");
        let status = daemon.stop();
        self.keep(Answer {
            question: "stop, and see what is left".to_owned(),
            status: status.code(),
            stdout: left_behind(),
            stderr: String::new(),
        });
        self.transcript
    }
}

/// Creates the host's ports with connected cables and zero counters, always with the same indices
/// and addresses.
pub(super) fn create_cables() {
    // Counters must show frames of the scenario only.
    for scope in PORTS.iter().chain(&["default"]) {
        let switch = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
        if Path::new(&switch).exists() {
            fs::write(switch, "1").expect("silence IPv6");
        }
    }
    let mut commands = String::new();
    for upper in [SWITCH, BOND] {
        if Path::new("/sys/class/net").join(upper).exists() {
            commands += &format!("link delete dev {upper}\n");
        }
    }
    for (number, port) in (1..).zip(PORTS) {
        let far = far(port);
        if !Path::new("/sys/class/net").join(port).exists() {
            commands += &format!(
                "link add name {port} index 10{number} type veth peer name {far} index 20{number}\n"
            );
        }
        commands += &format!(
            "link set dev {far} up\n\
             link set dev {port} down address {OURS}0{number}\n\
             link set dev {port} up\n"
        );
    }
    ip_batch(&commands);
    // The kernel knows no state of an interface that has never been up, and the team driver takes
    // the unknown state for a carrier.
    wait_operstate("up");
    let down = |port: &str| format!("link set dev {port} down\n");
    ip_batch(&PORTS.map(down).concat());
    wait_operstate("down");
}

/// Connects all far ends to a switch with this address.
fn join(address: &str) {
    let ports = PORTS.map(|port| format!("link set dev {} master {SWITCH}\n", far(port)));
    ip_batch(&format!("link add name {SWITCH} type bridge\n{}", ports.concat()));
    if address.contains(':') {
        // Also on a port: teamd probes from the port's link-local address.
        for interface in [SWITCH, PORTS[0]] {
            let switch = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
            fs::write(switch, "0").expect("allow IPv6");
        }
    }
    let nodad = if address.contains(':') { "nodad" } else { "" };
    ip_batch(&format!("link set dev {SWITCH} up\naddress add {address} dev {SWITCH} {nodad}\n"));
}

/// Makes a bond of all far ends.
fn bond(options: &str) {
    let port = |port| {
        let far = far(port);
        format!("link set dev {far} down\nlink set dev {far} master {BOND}\n")
    };
    ip_batch(&format!(
        "link add name {BOND} type bond mode 802.3ad miimon 10 {options}\n\
         {}link set dev {BOND} up\n",
        PORTS.map(port).concat()
    ));
}

/// Waits until the kernel reports this state for every port.
fn wait_operstate(state: &str) {
    for port in PORTS {
        let file = format!("/sys/class/net/{port}/operstate");
        wait_until(&format!("{port} to be {state}"), || {
            fs::read_to_string(&file).is_ok_and(|text| text.trim_end() == state)
        });
    }
}

/// Returns the far end of a port's cable.
fn far(port: &str) -> String {
    format!("far-{port}")
}

fn ip(args: &str) {
    ip_batch(&format!("{args}\n"));
}

/// Runs commands of `ip`, one a line, in one process: starting a program is slow in a guest.
fn ip_batch(commands: &str) {
    let mut ip =
        Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("start ip");
    let mut input = ip.stdin.take().expect("a pipe as standard input");
    input.write_all(commands.as_bytes()).expect("write to ip");
    drop(input);
    let status = ip.wait().expect("wait for ip");
    assert!(status.success(), "ip failed at one of\n{commands}");
}

fn team_index() -> u32 {
    let index = fs::read_to_string(format!("/sys/class/net/{TEAM}/ifindex"));
    let index = index.ok().and_then(|text| text.trim().parse().ok());
    index.expect("the team device has an index")
}

/// Returns the paths of the device and of the daemon's files that exist.
fn left_behind() -> String {
    [
        format!("/sys/class/net/{TEAM}"),
        format!("/run/teamd/{TEAM}.pid"),
        format!("/run/teamd/{TEAM}.sock"),
    ]
    .iter()
    .filter(|path| Path::new(path).exists())
    .map(|path| format!("{path}\n"))
    .collect()
}

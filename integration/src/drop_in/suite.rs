//! A daemon with its clients, playing a scenario.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::answer::{Answer, Chance, OURS};
use crate::binaries::binary;
use crate::control;
use crate::lab::skip;
use crate::process::Process;
use crate::scenario::{PORTS, Scenario, Step, TEAM};
use crate::wait::{comes_true, wait_until};

/// What is asked at the end of every scenario.
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

/// Methods whose replies are kept as they came: NetworkManager compares their bytes.
const REPLIES: &[&str] = &["ConfigDump", "ConfigDumpActual", "StateDump", "PortAdd"];

/// Programs, each run under the name that teamd's has.
#[derive(Clone, Debug)]
pub struct Programs {
    daemon: PathBuf,
    control: PathBuf,
    kernel: PathBuf,
}

impl Programs {
    /// Debian's.
    pub fn of_teamd() -> Programs {
        Programs {
            daemon: "teamd".into(),
            control: "teamdctl".into(),
            kernel: "teamnl".into(),
        }
    }

    /// Ours.
    pub fn of_teamr() -> Programs {
        Programs {
            daemon: binary("teamr"),
            control: binary("teamrctl"),
            kernel: binary("teamrnl"),
        }
    }

    /// The command that begins with `teamd`, `teamdctl` or `teamnl`, without its arguments.
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

    /// Runs a program until it ends; words of its command line are split at blanks, `''` is an
    /// empty one.
    fn ask(&self, line: &str) -> Answer {
        let (name, args) = line.split_once(' ').unwrap_or((line, ""));
        let mut command = self.command(name);
        let word = |word| if word == "''" { "" } else { word };
        command.args(args.split_whitespace().map(word));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("start {line}: {error}"));
        // A daemon that should have refused its command line runs on.
        if name == "teamd" && !comes_true(|| !matches!(child.try_wait(), Ok(None))) {
            let _ = child.kill();
        }
        let output = child.wait_with_output();
        Answer::new(
            line,
            &output.unwrap_or_else(|error| panic!("wait for {line}: {error}")),
        )
    }
}

/// Whether Debian's programs are here. If not this says that the test is skipped, or fails when
/// `CI=true`.
pub fn teamd_is_here() -> bool {
    let found = Command::new("teamd").arg("--version").output().is_ok();
    if !found {
        skip("no `teamd` here (Debian package libteam-utils)");
    }
    found
}

/// A daemon and the clients that ask it.
#[derive(Clone, Debug)]
pub struct Suite {
    /// What it is called in stories.
    pub name: &'static str,
    /// Where the daemon is from.
    pub daemon: Programs,
    /// What the daemon is told of its data path, if it knows several.
    pub data_path: Option<&'static str>,
    /// Where the clients are from whose answers count.
    pub clients: Programs,
    /// Where the clients are from, if any, that are asked as well what changes nothing.
    pub seconds: Option<Programs>,
}

/// What came of a scenario.
#[derive(Clone, Debug)]
pub struct Played {
    /// All questions and the answers of the suite's clients.
    pub answers: Vec<Answer>,
    /// What both clients were asked, with both answers.
    pub twice: Vec<(Answer, Answer)>,
}

impl Suite {
    /// Whether the team device is the kernel's.
    pub fn in_kernel(&self) -> bool {
        self.data_path != Some("userspace")
    }

    /// The command of a daemon with this configuration.
    pub(super) fn daemon_command(&self, config: &str) -> Command {
        let mut command = self.daemon.command("teamd");
        command.args(["-t", TEAM, "-c", config]);
        if let Some(data_path) = self.data_path {
            command.args(["--data-path", data_path]);
        }
        command
    }

    /// Starts a daemon and waits until it answers.
    pub(super) fn start(&self, what: &str, command: Command, folder: &Path) -> (Process, Chance) {
        let mut daemon = Process::start(&format!("{what}, {}", self.name), folder, command);
        wait_until("the daemon to answer", || {
            if let Some(status) = daemon.ended() {
                panic!("it ended at its start with {status}:\n{}", daemon.log());
            }
            control::state(TEAM).is_some()
        });
        let chance = Chance {
            pid: daemon.pid(),
            team: team_index(),
        };
        (daemon, chance)
    }

    /// Plays a scenario on a host of its own making, in the network namespace of this process.
    /// The daemon's log stays in `folder`. Panics if the scenario does not come to its end.
    pub fn play(&self, scenario: &Scenario, folder: &Path) -> Played {
        lay_cables();
        let mut play = Play {
            suite: self,
            scenario,
            folder,
            daemon: None,
            chance: Chance::default(),
            played: Played {
                answers: Vec::new(),
                twice: Vec::new(),
            },
        };
        scenario.steps.iter().for_each(|step| play.step(step));
        play.end()
    }
}

/// Waits until the team's state is as it has to be.
pub(super) fn wait_state(what: &str, holds: impl Fn(&Value) -> bool) {
    let mut state = Value::Null;
    let come = comes_true(|| {
        state = control::state(TEAM).unwrap_or_default();
        holds(&state)
    });
    assert!(come, "waited in vain for {what}; the state is {state:#}");
}

/// What the far ends are ports of in scenarios in which they are joined.
const SWITCH: &str = "far-switch";

/// What they are ports of where there is a partner.
const BOND: &str = "far-bond";

/// In sync, collecting and distributing (IEEE 802.1AX-2014, 6.4.2.3, the state bits).
const CARRIES: u64 = 0x38;

/// A scenario being played.
struct Play<'a> {
    suite: &'a Suite,
    scenario: &'a Scenario,
    folder: &'a Path,
    daemon: Option<Process>,
    chance: Chance,
    played: Played,
}

impl Play<'_> {
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
            Step::Alone(ports) => wait_state(&format!("nobody at {ports:?}"), |state| {
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
                if let Some(seconds) = &self.suite.seconds {
                    let pair = (answer.clone().timeless(), seconds.ask(line).timeless());
                    self.played.twice.push(pair);
                }
                self.keep(answer);
            }
        }
    }

    fn start(&mut self) {
        let command = self.suite.daemon_command(self.scenario.config);
        let (daemon, chance) = self.suite.start(self.scenario.name, command, self.folder);
        self.daemon = Some(daemon);
        self.chance = chance;
    }

    fn keep(&mut self, answer: Answer) {
        self.played.answers.push(answer.masked(&self.chance));
    }

    /// The inventory, and how the daemon ends.
    fn end(mut self) -> Played {
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
        self.played
    }
}

/// Gives the host its ports with cables plugged in, all as if nothing had ever happened to them,
/// with indices and addresses that are always the same.
pub(super) fn lay_cables() {
    // Nothing but what a scenario does is to be seen in counters.
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
    // The kernel knows no state of an interface that has never been up, and the team driver
    // takes that for a carrier.
    wait_operstate("up");
    let down = |port: &str| format!("link set dev {port} down\n");
    ip_batch(&PORTS.map(down).concat());
    wait_operstate("down");
}

/// Makes a switch of all far ends, with an address of its own.
fn join(address: &str) {
    let ports = PORTS.map(|port| format!("link set dev {} master {SWITCH}\n", far(port)));
    ip_batch(&format!(
        "link add name {SWITCH} type bridge\n{}",
        ports.concat()
    ));
    if address.contains(':') {
        // Also on a port, for teamd asks from its link-local address there.
        for interface in [SWITCH, PORTS[0]] {
            let switch = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
            fs::write(switch, "0").expect("allow IPv6");
        }
    }
    let nodad = if address.contains(':') { "nodad" } else { "" };
    ip_batch(&format!(
        "link set dev {SWITCH} up\naddress add {address} dev {SWITCH} {nodad}\n"
    ));
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

/// Waits until the kernel has noticed the state of every port.
fn wait_operstate(state: &str) {
    for port in PORTS {
        let file = format!("/sys/class/net/{port}/operstate");
        wait_until(&format!("{port} to be {state}"), || {
            fs::read_to_string(&file).is_ok_and(|text| text.trim_end() == state)
        });
    }
}

/// The other end of the cable of a port.
fn far(port: &str) -> String {
    format!("far-{port}")
}

fn ip(args: &str) {
    ip_batch(&format!("{args}\n"));
}

/// Runs commands of `ip`, one a line: starting a program is slow in a guest.
fn ip_batch(commands: &str) {
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("start ip");
    let mut input = ip.stdin.take().expect("a pipe was asked for");
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

/// The device and the daemon's files, as far as they are there.
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

//! A daemon with its clients, playing a scenario.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::answer::{Answer, Chance, OURS};
use crate::binaries::binary;
use crate::control;
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

/// Clients, which all answer to the names of teamd's.
#[derive(Clone, Debug)]
pub struct Clients {
    control: PathBuf,
    kernel: PathBuf,
}

impl Clients {
    /// Debian's.
    pub fn of_teamd() -> Clients {
        Clients {
            control: "teamdctl".into(),
            kernel: "teamnl".into(),
        }
    }

    /// Ours, by links made in `folder`.
    pub fn of_teamr(folder: &Path) -> Clients {
        Clients {
            control: renamed(folder, "teamrctl", "teamdctl"),
            kernel: renamed(folder, "teamrnl", "teamnl"),
        }
    }

    /// Runs a command line that begins with `teamdctl` or `teamnl`.
    fn run(&self, line: &str) -> Answer {
        let (name, args) = line.split_once(' ').unwrap_or((line, ""));
        let program = match name {
            "teamdctl" => &self.control,
            "teamnl" => &self.kernel,
            _ => panic!("`{line}` is for none of the clients"),
        };
        let mut command = Command::new(program);
        let word = |word| if word == "''" { "" } else { word };
        command.args(args.split_whitespace().map(word));
        let output = command.stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|error| panic!("start {}: {error}", program.display()));
        Answer::new(line, &output)
    }
}

/// A daemon and the clients that ask it.
#[derive(Clone, Debug)]
pub struct Suite {
    /// What it is called in stories.
    pub name: &'static str,
    daemon: PathBuf,
    data_path: Option<&'static str>,
    clients: Clients,
    seconds: Clients,
}

/// What came of a scenario.
#[derive(Clone, Debug)]
pub struct Played {
    /// All questions and the answers of the suite's clients.
    pub answers: Vec<Answer>,
    /// Where the second clients answered differently, both answers.
    pub contradictions: Vec<(Answer, Answer)>,
}

impl Suite {
    /// Debian's daemon.
    ///
    /// Clients of Debian's ask; what changes nothing is asked by `seconds` too.
    pub fn teamd(seconds: Clients) -> Suite {
        Suite {
            name: "teamd",
            daemon: "teamd".into(),
            data_path: None,
            clients: Clients::of_teamd(),
            seconds,
        }
    }

    /// teamr under teamd's name, by a link made in `folder`, on a data path of its. Clients as
    /// for [`teamd`](Suite::teamd).
    pub fn teamr(folder: &Path, data_path: &'static str, seconds: Clients) -> Suite {
        Suite {
            name: "teamr",
            daemon: renamed(folder, "teamr", "teamd"),
            data_path: Some(data_path),
            clients: Clients::of_teamd(),
            seconds,
        }
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
                contradictions: Vec::new(),
            },
        };
        scenario.steps.iter().for_each(|step| play.step(step));
        play.end()
    }
}

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
            Step::Ip(args) => ip(args),
            Step::Start => self.start(),
            Step::Ports(ports) => self.wait(&format!("the ports {ports:?}"), |state| {
                let known = state["ports"].as_object();
                known.map_or(0, serde_json::Map::len) == ports.len()
                    && ports
                        .iter()
                        .all(|(port, up)| state["ports"][*port]["link_watches"]["up"] == *up)
            }),
            Step::Active(port) => self.wait(&format!("the active port {port:?}"), |state| {
                state["runner"]["active_port"] == port
            }),
            Step::Do(line) => self.keep(self.suite.clients.run(line)),
            Step::Ask(line) => {
                let answer = self.suite.clients.run(line);
                let second = self.suite.seconds.run(line);
                if answer != second {
                    let pair = (answer.clone(), second);
                    self.played.contradictions.push(pair);
                }
                self.keep(answer);
            }
        }
    }

    fn start(&mut self) {
        let mut config: Value =
            serde_json::from_str(self.scenario.config).expect("a configuration is JSON");
        if let Some(data_path) = self.suite.data_path {
            config["data_path"] = data_path.into();
        }
        let mut command = Command::new(&self.suite.daemon);
        command.args(["-t", TEAM, "-c", &config.to_string()]);
        command.stdin(Stdio::null());
        let name = format!("{}, {}", self.scenario.name, self.suite.name);
        let daemon = self
            .daemon
            .insert(Process::start(&name, self.folder, command));
        wait_until("the daemon to answer", || {
            if let Some(status) = daemon.ended() {
                panic!("it ended at its start with {status}:\n{}", daemon.log());
            }
            control::state(TEAM).is_some()
        });
        self.chance = Chance {
            pid: daemon.pid(),
            team: team_index(),
        };
    }

    fn wait(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        let mut state = Value::Null;
        let come = comes_true(|| {
            state = control::state(TEAM).unwrap_or_default();
            holds(&state)
        });
        assert!(come, "waited in vain for {what}; the state is {state:#}");
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

/// A link in `folder`, by which the program goes under a name of teamd's.
fn renamed(folder: &Path, program: &str, name: &str) -> PathBuf {
    let link = folder.join(name);
    if !link.exists() {
        symlink(binary(program), &link)
            .unwrap_or_else(|error| panic!("link {}: {error}", link.display()));
    }
    link
}

/// Makes the ports anew, with indices and addresses that are always the same.
fn lay_cables() {
    for (number, port) in (1..).zip(PORTS) {
        let far = far(port);
        let _ = Command::new("ip")
            .args(["link", "delete", "dev", port])
            .stderr(Stdio::null())
            .status();
        ip(&format!(
            "link add name {port} index 10{number} address {OURS}00:00:00:01:0{number} \
             type veth peer name {far} index 20{number}"
        ));
        ip(&format!("link set dev {far} up"));
    }
}

/// The other end of the cable of a port.
fn far(port: &str) -> String {
    format!("far-{port}")
}

fn ip(args: &str) {
    let output = Command::new("ip").args(args.split_whitespace()).output();
    let output = output.unwrap_or_else(|error| panic!("start ip: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {args}: {said}");
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

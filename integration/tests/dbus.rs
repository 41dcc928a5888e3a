//! teamd's service on the system bus, with a `dbus-daemon` for each test.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Output};
use std::time::Duration;

use integration::{
    Bus, DataPath, HostAndPeer, Lab, Namespace, Process, Sharing, Teamr, binary, control,
    team_config, teamr_command, wait_for, wait_until,
};
use serde_json::Value;
use teamr::control::Failure;
use teamr::control::dbus::connection::{ADDRESS_VARIABLE, Connection};
use teamr::control::dbus::message::{self, Kind, Message};
use teamr::control::dbus::{INTERFACE, PATH, error_code};
use teamr::control::methods::METHODS;
use teamr::control::protocol::{self, MAX_REQUEST};
use teamr::sys::clock;

const PORTS: [&str; 2] = ["eth1", "eth2"];
/// Time limit of a reply in milliseconds.
const TIMEOUT_MS: u16 = 20_000;
/// Number of calls of the client that does not read.
const UNREAD: usize = 2000;

/// A host with two cables, and a bus.
struct Site {
    host: Namespace,
    bus: Bus,
    _lab: Lab,
}

impl Site {
    fn new() -> Option<Site> {
        let lab = Lab::open(Sharing::Shared)?;
        let host = HostAndPeer::new(&lab, &PORTS).host;
        let bus = Bus::start(&host)?;
        Some(Site { host, bus, _lab: lab })
    }

    fn start(&self) -> Teamr {
        Teamr::start_on(&self.host, &config("team0"), &self.bus)
    }

    /// Starts a daemon without waiting for the start to succeed.
    fn try_start(&self, device: &str) -> Process {
        Process::start("second", self.host.folder(), self.command(device))
    }

    fn command(&self, device: &str) -> Command {
        let mut command = teamr_command(&self.host);
        command.env(ADDRESS_VARIABLE, self.bus.address()).args([
            "-D",
            "-c",
            &config(device).to_string(),
        ]);
        command
    }

    fn teamrctl(&self, args: &[&str]) -> Output {
        let mut command = self.host.command(binary("teamrctl"));
        command.env(ADDRESS_VARIABLE, self.bus.address()).args(args);
        command.output().expect("start teamrctl")
    }
}

fn config(device: &str) -> Value {
    team_config(device, "activebackup", DataPath::Userspace, &PORTS)
}

/// Returns a call of a team's method.
fn to_team(device: &str, method: &str, args: &[&str]) -> Message {
    let texts = args.iter().map(|arg| message::Value::Text((*arg).to_owned()));
    Message {
        body: texts.collect(),
        ..Message::call(&format!("{INTERFACE}.{device}"), PATH, INTERFACE, method)
    }
}

/// Calls and returns the reply.
fn ask(bus: &mut Connection, call: Message) -> Message {
    let serial = bus.queue(call);
    bus.wait_reply(serial, TIMEOUT_MS).expect("a reply")
}

/// Returns the state of a team, read over the bus.
fn state(bus: &mut Connection, device: &str) -> Value {
    let reply = ask(bus, to_team(device, "StateDump", &[]));
    assert_eq!(reply.error, None);
    serde_json::from_str(reply.text().expect("a text")).expect("JSON")
}

/// Calls a method of the bus with a team's name. `None` if the bus replies with an error.
fn owner(bus: &mut Connection, method: &str, device: &str) -> Option<message::Value> {
    let name = message::Value::Text(format!("{INTERFACE}.{device}"));
    let serial = bus.call_bus(method, &[name]);
    let reply = bus.wait_reply(serial, TIMEOUT_MS).expect("a reply of the bus");
    reply.body.first().cloned().filter(|_| reply.kind == Kind::Return)
}

/// Returns the reply as the control socket encodes it.
fn as_socket_reply(reply: &Message) -> String {
    let text = reply.text().unwrap_or_default();
    match &reply.error {
        None => format!("REPLY_SUCCESS\n{text}"),
        Some(name) => format!("REPLY_ERROR\n{}\n{text}\n", error_code(name)),
    }
}

/// Arguments that every method is called with.
const ARGUMENTS: &[&[&str]] = &[
    &[],
    &["eth1"],
    &["nowhere"],
    &["lo"],
    &["eth1", "{\"prio\": 5}"],
    &["eth1", "{\n\n  \"prio\": 7,\n  \"x\": \"\\\\ \\n é\"\n}"],
    &["eth1", "{"],
    &["nowhere", "{}"],
    &["eth1", "false"],
    &["nowhere", "true"],
    &["setup.runner_name"],
    &["runner.active_port"],
    &["runner.active_port", "eth2"],
    &["runner.active_port", "nowhere"],
    &["setup.debug_level", "x"],
    &["setup.pid", "1"],
    &["ports.eth1"],
    &["ports.\"eth1\".link.up"],
    &["setup"],
    &["setup", "surplus", "more"],
    &["{", "60"],
    // A broadcast frame.
    &["ffffffffffff0200000000010800"],
];

#[test]
fn every_method_has_the_same_reply_as_over_the_socket() {
    let Some(site) = Site::new() else {
        return;
    };
    let team = site.start();
    team.wait_ports_up(&PORTS);
    let socket = team.control_socket();
    let mut bus = site.bus.connect();
    let mut over_bus = |method: &str, args: &[&str]| {
        as_socket_reply(&ask(&mut bus, to_team("team0", method, args)))
    };
    let over_socket =
        |method: &str, args: &[&str]| control::call_at(&socket, method, args).expect("a reply");
    for method in METHODS.iter().map(|method| method.name).chain(["Nonsense"]) {
        let mut replies = BTreeSet::new();
        for args in ARGUMENTS.iter().copied() {
            let call = format!("{method}{args:.60?}");
            // A change by the first call must not change the reply to the second.
            let restore = || {
                if method == "PortRemove" {
                    over_socket("PortAdd", &["eth1"]);
                    team.wait_port("eth1", true);
                }
            };
            // Counters in the state, and the recording, may change between the two calls.
            let same = wait_for(&format!("the same reply to {call}"), || {
                restore();
                let first = over_socket(method, args);
                restore();
                let reply = over_bus(method, args);
                if !matches!(method, "StateDump" | "RecordingDump") {
                    assert_eq!(reply, first, "{call}");
                }
                (reply == first).then_some(reply)
            });
            restore();
            replies.insert(same);
        }
        println!("{method}: {} different replies, the same over both", replies.len());
        let known = METHODS.iter().find(|known| known.name == method);
        // A wrong number of arguments has a reply of its own.
        assert!(replies.len() > 1 || known.is_none_or(|known| known.args.is_empty()));
    }
    let too_long = protocol::encode_reply(&Err(Failure::RequestTooLong));
    let reply = over_bus("PortConfigUpdate", &["eth1", &"x".repeat(MAX_REQUEST)]);
    assert_eq!(reply.as_bytes(), too_long);
}

#[test]
fn teamrctl_prints_the_same_as_over_the_socket() {
    let Some(site) = Site::new() else {
        return;
    };
    let team = site.start();
    team.wait_ports_up(&PORTS);
    for args in ["state", "state dump", "config dump", "port config dump eth1"] {
        let words: Vec<&str> = args.split(' ').collect();
        // Counters in the state may change between the two calls.
        wait_until(&format!("the same text of {args}"), || {
            let over_bus = site.teamrctl(&[&["-D", "team0"], &words[..]].concat());
            let over_socket = site.teamrctl(&[&["-U", "team0"], &words[..]].concat());
            assert!(over_bus.status.success(), "{over_bus:?}");
            over_bus.stdout == over_socket.stdout
        });
    }
    let verbose = site.teamrctl(&["-D", "team0", "state", "-v"]).stdout;
    let verbose = String::from_utf8_lossy(&verbose).into_owned();
    assert!(verbose.contains("D-BUS enabled: yes"), "{verbose}");
}

#[test]
fn the_name_means_that_the_team_is_ready() {
    let Some(site) = Site::new() else {
        return;
    };
    let mut bus = site.bus.connect();
    assert_eq!(owner(&mut bus, "GetNameOwner", "team0"), None);
    let process = site.try_start("team0");
    let pid =
        wait_for("the team's name", || owner(&mut bus, "GetConnectionUnixProcessID", "team0"));
    // NetworkManager's calls follow the name at once.
    for method in ["ConfigDump", "ConfigDumpActual", "StateDump", "ConfigDumpActual"] {
        let reply = ask(&mut bus, to_team("team0", method, &[]));
        assert_eq!(reply.error, None);
        let text = reply.text().expect("a text");
        assert!(serde_json::from_str::<Value>(text).is_ok(), "{text}");
    }
    assert_eq!(pid, message::Value::Number(process.pid()));
    assert!(site.host.link("team0")["ifname"] == "team0");
}

#[test]
fn a_wrong_call_is_an_error() {
    let Some(site) = Site::new() else {
        return;
    };
    let _team = site.start();
    let mut bus = site.bus.connect();
    let mut refusal = |call: Message| ask(&mut bus, call).error;
    let state_dump = || to_team("team0", "StateDump", &[]);
    let unknown = Some("org.freedesktop.DBus.Error.UnknownMethod".to_owned());
    assert_eq!(refusal(state_dump()), None);
    assert_eq!(refusal(to_team("team0", "Nope", &[])), unknown);
    let elsewhere = Message { path: Some("/".to_owned()), ..state_dump() };
    assert_eq!(refusal(elsewhere), unknown);
    let wrong_type =
        Message { body: vec![message::Value::Number(1)], ..to_team("team0", "PortAdd", &[]) };
    let invalid = Some("org.libteam.teamdInvalidArgs".to_owned());
    assert_eq!(refusal(wrong_type), invalid);
    // A call without a reply has none.
    let unanswered = bus.queue(Message { no_reply: true, ..state_dump() });
    let answered = bus.queue(state_dump());
    bus.flush().expect("a bus that reads");
    let first = wait_for("a reply", || {
        bus.fill().expect("a bus that answers");
        while let Some((message, _)) = bus.next_message().expect("a message") {
            if [Some(unanswered), Some(answered)].contains(&message.reply_to) {
                return message.reply_to;
            }
        }
        None
    });
    assert_eq!(first, answered);
}

#[test]
fn a_client_that_does_not_read_delays_nobody() {
    let Some(site) = Site::new() else {
        return;
    };
    let team = site.start();
    let mut silent = site.bus.connect();
    for _ in 0..UNREAD {
        silent.queue(to_team("team0", "StateDump", &[]));
    }
    let mut other = site.bus.connect();
    let mut all_sent = false;
    wait_until("the bus to take all calls", || {
        all_sent = all_sent || silent.flush().expect("a bus that reads");
        // The daemon serves other clients meanwhile, over the bus and over the socket.
        state(&mut other, "team0");
        team.state_at_socket();
        all_sent
    });
    let deleted = team.active_port().expect("an active port");
    site.host.ip(&format!("link delete dev {deleted}"));
    team.wait_no_port(&deleted);
    state(&mut other, "team0");
    assert!(team.stop().success());
}

#[test]
fn a_bus_that_restarts_is_found_again() {
    let Some(mut site) = Site::new() else {
        return;
    };
    let team = site.start();
    for _ in 0..2 {
        site.bus.kill();
        wait_until("teamr to notice", || team.log().contains("Lost the bus"));
        team.state_at_socket();
        site.bus.start_again();
        let mut bus = site.bus.connect();
        wait_until("the team to be back", || owner(&mut bus, "GetNameOwner", "team0").is_some());
        state(&mut bus, "team0");
    }
    assert!(team.stop().success());
    let mut bus = site.bus.connect();
    wait_until("the name to go", || owner(&mut bus, "GetNameOwner", "team0").is_none());
}

#[test]
fn a_name_that_is_taken_ends_the_start() {
    let Some(site) = Site::new() else {
        return;
    };
    let mut holder = site.bus.connect();
    let name = message::Value::Text(format!("{INTERFACE}.team0"));
    let call = holder.call_bus("RequestName", &[name, message::Value::Number(0)]);
    holder.wait_reply(call, TIMEOUT_MS).expect("the name");
    let mut second = site.try_start("team0");
    assert_eq!(second.wait().code(), Some(1));
    let log = second.log();
    let end = "dbus: name org.libteam.teamd.team0 already taken.\n\
                Failed to expose dbus name.\n\
                teamd_init() failed.\n\
                Failed: Device or resource busy\n";
    assert!(log.ends_with(end), "{log}");
    assert!(!site.host.has_interface("team0"));
}

#[test]
fn without_a_bus_the_start_fails() {
    let Some(mut site) = Site::new() else {
        return;
    };
    site.bus.kill();
    let mut daemon = site.try_start("team0");
    assert_eq!(daemon.wait().code(), Some(1));
    let log = daemon.log();
    assert!(log.starts_with("dbus: Could not acquire the system bus: "), "{log}");
    assert!(!site.host.has_interface("team0"));
}

/// At boot systemd starts the network before the bus.
#[test]
fn under_a_service_manager_the_bus_may_start_later() {
    let Some(mut site) = Site::new() else {
        return;
    };
    site.bus.kill();
    let manager = site.host.folder().join("notify");
    let _socket = UnixDatagram::bind(&manager).expect("the manager's socket");
    let mut command = site.command("team0");
    command.env("NOTIFY_SOCKET", &manager);
    let daemon = Process::start("early", site.host.folder(), command);
    wait_until("the daemon to have started", || daemon.log().contains("successfully started"));
    assert!(daemon.log().contains("dbus: No bus yet ("), "{}", daemon.log());
    site.bus.start_again();
    let mut bus = site.bus.connect();
    wait_until("team0 to be on the bus", || owner(&mut bus, "GetNameOwner", "team0").is_some());
    assert_eq!(state(&mut bus, "team0")["setup"]["runner_name"], "activebackup");
}

/// Waits until a fake bus, which answers nothing, has received the call for the name.
fn wait_for_name_call(bus: &UnixListener) -> UnixStream {
    bus.set_nonblocking(true).expect("set a socket up");
    let mut client = wait_for("the daemon to connect", || bus.accept().ok()).0;
    client.set_nonblocking(true).expect("set a socket up");
    let mut received = Vec::new();
    let mut has = |client: &mut UnixStream, wanted: &[u8]| {
        let _ = client.read_to_end(&mut received);
        received.windows(wanted.len()).any(|bytes| bytes == wanted)
    };
    wait_until("the authentication", || has(&mut client, b"AUTH EXTERNAL"));
    client.write_all(b"OK 00\r\n").expect("answer the daemon");
    wait_until("the call for the name", || has(&mut client, b"RequestName"));
    client
}

#[test]
fn a_daemon_that_waits_for_the_bus_hears_a_signal() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = HostAndPeer::new(&lab, &PORTS).host;
    let socket = host.folder().join("silent");
    let bus = UnixListener::bind(&socket).expect("a socket");
    let mut command = teamr_command(&host);
    command.env(ADDRESS_VARIABLE, format!("unix:path={}", socket.display()));
    command.args(["-D", "-c", &config("team0").to_string()]);
    let mut daemon = Process::start("waiting", host.folder(), command);
    let _client = wait_for_name_call(&bus);
    let signalled = clock::monotonic();
    assert_eq!(daemon.stop().code(), Some(0), "{}", daemon.log());
    let took = clock::monotonic() - signalled;
    println!("The daemon ended {took:?} after the signal.");
    // The daemon would wait 4 s for the bus.
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(!host.has_interface("team0"));
}

#[test]
fn a_device_whose_name_is_no_bus_name_stays_off_the_bus() {
    let Some(site) = Site::new() else {
        return;
    };
    let team = Teamr::start_on(&site.host, &config("team.5"), &site.bus);
    assert!(team.log().contains("dbus: \"team.5\" cannot be part of a bus name"), "{}", team.log());
    assert_eq!(team.state()["setup"]["dbus_enabled"], false);
    team.wait_ports_up(&PORTS);
    let refused = site.teamrctl(&["-D", "team.5", "state"]);
    let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(errors.contains("\"team.5\" cannot be part of a bus name"), "{errors}");
}

#[test]
fn only_root_may_call() {
    let Some(site) = Site::new() else {
        return;
    };
    if !nix::unistd::geteuid().is_root() {
        // A user namespace has no user but root.
        return;
    }
    let _team = site.start();
    let ask = |user: &str| {
        let mut command = site.host.command("setpriv");
        command
            .args(["--reuid", user, "--clear-groups", "dbus-send", "--print-reply"])
            .arg(format!("--bus={}", site.bus.address()))
            .arg(format!("--dest={INTERFACE}.team0"))
            .args([PATH, &format!("{INTERFACE}.StateDump")]);
        command.output().expect("start setpriv")
    };
    assert!(ask("0").status.success());
    let refused = String::from_utf8_lossy(&ask("65534").stderr).into_owned();
    assert!(refused.contains("org.freedesktop.DBus.Error.AccessDenied"), "{refused}");
}

#[test]
fn a_call_that_starts_the_daemon_is_answered() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = lab.host("host");
    let teamr = binary("teamr");
    let file = lab.folder().join("team0.json");
    let config = team_config("team0", "activebackup", DataPath::Userspace, &[]);
    fs::write(&file, config.to_string()).expect("write a configuration");
    let service = format!(
        "[D-BUS Service]\nName={INTERFACE}.team0\nExec={} -D -o -t team0 -f {}\nUser=root\n",
        teamr.display(),
        file.display()
    );
    let folder = lab.folder().join("services");
    fs::create_dir(&folder).expect("make a folder");
    fs::write(folder.join("org.libteam.teamd.team0.service"), service).expect("write a service");
    let more = format!("<servicedir>{}</servicedir>", folder.display());
    let Some(bus) = Bus::start_with(&host, &more) else {
        return;
    };
    let mut bus = bus.connect();
    let state = state(&mut bus, "team0");
    assert_eq!(state["setup"]["runner_name"], "activebackup");
    assert!(host.has_interface("team0"));
    let ended = Command::new("kill").arg(state["setup"]["pid"].to_string()).status();
    assert!(ended.is_ok_and(|status| status.success()));
    wait_until("team0 to be gone", || !host.has_interface("team0"));
}

//! The client with a canned daemon, without privileges.
//!
//! libteam's teamdctl 1.31 printed `tests/view/*.txt` for the documents beside them, except
//! `lacp-own-table.txt`, which only teamrctl prints.
#![allow(clippy::unwrap_used, reason = "a test fails by its panic")]

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{Pid, mkfifo};
use serde_json::{Value, json};
use socket2::{Domain, SockAddr, Socket, Type};
use teamr::control::config_answer::{ChangeEffect, ConfigAnswer, KeyChange};
use teamr::control::protocol::{decode_request, encode_reply};
use teamr::control::{Failure, ItemPath};

/// A run directory with canned teams.
struct RunDir {
    dir: PathBuf,
}

impl RunDir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("teamrctl-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        RunDir { dir }
    }

    /// Serves as the daemon of `device` with this state. Returns the received requests.
    fn team(&self, device: &str, state: &str) -> Receiver<(String, Vec<String>)> {
        let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        let path = self.dir.join(format!("{device}.sock"));
        listener.bind(&SockAddr::unix(path).unwrap()).unwrap();
        listener.listen(10).unwrap();
        let (device, state) = (device.to_owned(), state.to_owned());
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                while let Ok(packet) = receive(&client) {
                    let request = decode_request(&packet).unwrap().unwrap();
                    let outcome = canned(&device, &state, &request.method, &request.args);
                    let _ = sender.send((request.method, request.args));
                    client.send(&encode_reply(&outcome)).unwrap();
                }
            }
        });
        requests
    }

    fn run(&self, argv0: &str, args: &[&str]) -> Answer {
        let output = Command::new(env!("CARGO_BIN_EXE_teamrctl"))
            .arg0(argv0)
            .args(args)
            .env("TEAMR_RUN_DIR", &self.dir)
            .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
            .output()
            .unwrap();
        Answer {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            status: output.status.code().unwrap(),
        }
    }

    fn teamrctl(&self, args: &[&str]) -> Answer {
        self.run("teamrctl", args)
    }

    fn teamdctl(&self, args: &[&str]) -> Answer {
        self.run("teamdctl", args)
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[derive(Debug, PartialEq)]
struct Answer {
    out: String,
    err: String,
    status: i32,
}

impl Answer {
    #[track_caller]
    fn shows(self, out: &str) {
        assert_eq!((self.err.as_str(), self.status), ("", 0));
        assert_eq!(self.out, out);
    }

    #[track_caller]
    fn fails(self, err: &str) {
        assert_eq!(self.err, err);
        assert_eq!(self.status, 1);
    }
}

fn receive(mut client: &Socket) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; 65536];
    let got = client.read(&mut packet)?;
    packet.truncate(got);
    match got {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(packet),
    }
}

fn canned(
    device: &str,
    state: &str,
    method: &str,
    args: &[String],
) -> Result<Option<String>, Failure> {
    let config = json!({"runner": {"name": "é"}, "ports": {"p0": {}}, "device": device});
    match method {
        "StateItemValueSet" if args[1] == "99" => {
            Err(Failure::ItemValueRefused("expected 0 to 9, found \"99\"".to_owned()))
        }
        "ConfigDump" | "ConfigDumpActual" => Ok(Some(config.to_string())),
        "StateDump" => Ok(Some(state.to_owned())),
        "StateItemValueGet" => {
            let state: Value = serde_json::from_str(state).unwrap();
            let path = ItemPath::parse(&args[0]).map_err(|_| Failure::ItemValueGetFail)?;
            path.look_up(&state).map(Some).ok_or(Failure::PathDoesNotExist)
        }
        "PortConfigDump" => Ok(Some(r#"{"b": 1, "a": [1, 2]}"#.to_owned())),
        "RecordingDump" if device == "recorded" => {
            Ok(Some(include_str!("recordings/activebackup.json").to_owned()))
        }
        "FramePorts" => {
            let frames = args[0].split(' ');
            let answer = |frame: &str| json!({"ports": ["p0"], "rule": "active", "got": frame});
            Ok(Some(frames.map(answer).collect::<Value>().to_string()))
        }
        "ConfigDiff" => {
            let change = KeyChange {
                key: "runner".to_owned(),
                before: None,
                after: Some(json!({"name": "lacp"})),
                effect: ChangeEffect::Refused,
                why: Some("no right".to_owned()),
            };
            let answer = ConfigAnswer::refused(vec![change], "no right".to_owned());
            Ok(Some(answer.to_text()))
        }
        "PortAdd" => Err(Failure::NoSuchDev),
        _ => Ok(None),
    }
}

const ACTIVEBACKUP: &str = include_str!("view/activebackup.json");
const LACP: &str = include_str!("view/lacp.json");

#[test]
fn the_view_is_teamdctls_byte_for_byte() {
    for (state, plain, verbose) in [
        (
            ACTIVEBACKUP,
            include_str!("view/activebackup.txt"),
            include_str!("view/activebackup-verbose.txt"),
        ),
        (LACP, include_str!("view/lacp.txt"), include_str!("view/lacp-verbose.txt")),
    ] {
        let run_dir = RunDir::new("view");
        let _requests = run_dir.team("lo", state);
        run_dir.teamdctl(&["lo", "state"]).shows(plain);
        run_dir.teamdctl(&["lo", "s", "-v", "v"]).shows(verbose);
        run_dir.teamrctl(&["lo", "state", "view", "-v"]).shows(verbose);
        run_dir.teamrctl(&["state"]).shows(plain);
    }
}

/// teamrctl adds the items that teamd lacks; teamdctl does not.
#[test]
fn teamrctl_adds_a_table_to_the_verbose_view_of_lacp() {
    let run_dir = RunDir::new("table");
    let _requests = run_dir.team("lo", include_str!("view/lacp-own.json"));
    let teamdctls = run_dir.teamdctl(&["lo", "state", "-v"]).out;
    assert!(teamdctls.ends_with("  system priority: 65535\n"), "{teamdctls}");
    let table = include_str!("view/lacp-own-table.txt");
    let (mode, own) = ("kernel team mode: loadbalance", "data path: relay");
    run_dir.teamrctl(&["state", "-v"]).shows(&(teamdctls.replace(mode, own) + table));
    assert!(!run_dir.teamrctl(&["state"]).out.contains("machine"));
}

/// The kernel's team mode is no fact of a team without the driver.
#[test]
fn the_verbose_view_of_teamrctl_names_the_data_path_and_the_refused_ones() {
    let run_dir = RunDir::new("path");
    let mut state: Value = serde_json::from_str(ACTIVEBACKUP).unwrap();
    state["teamr"] = json!({
        "data_path": "relay",
        "data_path_refused": {"kernel": "Unknown error", "programs": "Operation not permitted"},
    });
    let _requests = run_dir.team("lo", &state.to_string());
    let teamdctls = include_str!("view/activebackup-verbose.txt");
    run_dir.teamdctl(&["lo", "state", "-v"]).shows(teamdctls);
    let own = "  data path: relay\n  kernel refused: Unknown error\n  \
               programs refused: Operation not permitted\n";
    let mode = "  kernel team mode: activebackup\n";
    run_dir.teamrctl(&["state", "-v"]).shows(&teamdctls.replace(mode, own));
    assert!(teamdctls.contains(mode));
    run_dir.teamrctl(&["state"]).shows(include_str!("view/activebackup.txt"));
}

#[test]
fn a_missing_item_ends_the_view() {
    let run_dir = RunDir::new("lack");
    let _requests = run_dir.team("lo", r#"{"setup": {"runner_name": "lacp"}}"#);
    let answer = run_dir.teamdctl(&["lo", "state"]);
    assert_eq!(answer.out, "setup:\n");
    answer.fails("Failed to parse JSON setup dump.\ncommand call failed (Invalid argument)\n");
}

#[test]
fn the_schema_of_the_state_needs_no_team() {
    let run_dir = RunDir::new("schema");
    let schema = include_str!("../dist/state-schema.json");
    run_dir.teamrctl(&["schema", "state"]).shows(schema);
    let answer = run_dir.teamdctl(&["lo", "schema", "state"]);
    answer.fails("Unknown command \"schema\".\n");
}

/// A later daemon may have items that this client does not know.
#[test]
fn dumps_keep_unknown_items() {
    let run_dir = RunDir::new("unknown");
    let mut state: Value = serde_json::from_str(ACTIVEBACKUP).unwrap();
    state["teamr"] = json!({"later": {"item": 1}});
    let _requests = run_dir.team("team0", &state.to_string());
    let dump = run_dir.teamrctl(&["state", "dump"]).out;
    assert_eq!(serde_json::from_str::<Value>(&dump).unwrap(), state);
    run_dir.teamrctl(&["--json", "state", "item", "get", "teamr.later.item"]).shows("1\n");
    run_dir.teamrctl(&["state"]).shows(include_str!("view/activebackup.txt"));
}

#[test]
fn dumps_are_printed_as_teamd_prints_them() {
    let run_dir = RunDir::new("dumps");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    let config = "{\n    \"device\": \"team0\",\n    \"ports\": {\n        \"p0\": {}\n    },\n    \
                  \"runner\": {\n        \"name\": \"\\u00E9\"\n    }\n}\n";
    run_dir.teamrctl(&["team0", "config", "dump"]).shows(config);
    run_dir.teamrctl(&["config", "dump", "actual"]).shows(config);
    run_dir
        .teamrctl(&["-o", "c", "d", "n"])
        .shows("{\"device\": \"team0\", \"runner\": {\"name\": \"\\u00E9\"}}\n");
    run_dir
        .teamrctl(&["-o", "team0", "port", "config", "dump", "p0"])
        .shows("{\"a\": [1, 2], \"b\": 1}\n");
    run_dir.teamrctl(&["state", "item", "get", "setup.pid"]).shows("713\n");
}

#[test]
fn every_query_answers_as_json() {
    let run_dir = RunDir::new("json");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    let json = |args: &[&str]| {
        let answer = run_dir.teamrctl(&[&["--json"], args].concat());
        assert_eq!(answer.err, "", "{args:?}");
        let value: Value = serde_json::from_str(&answer.out).unwrap();
        (value, answer.status)
    };
    let state: Value = serde_json::from_str(ACTIVEBACKUP).unwrap();
    assert_eq!(json(&["state"]), (state.clone(), 0));
    assert_eq!(json(&["state", "dump"]), (state, 0));
    assert_eq!(json(&["state", "item", "get", "setup.pid"]), (json!(713), 0));
    assert_eq!(json(&["state", "item", "get", "runner.active_port"]), (json!("p10"), 0));
    assert_eq!(json(&["port", "present", "p2"]), (json!(true), 0));
    assert_eq!(json(&["port", "present", "p"]), (json!(false), 1));
    assert_eq!(json(&["config", "dump"]).0["device"], "team0");
    assert_eq!(json(&["port", "config", "dump", "p0"]).0["b"], 1);
}

#[test]
fn several_teams_answer_under_their_names() {
    let run_dir = RunDir::new("several");
    let _a = run_dir.team("team0", ACTIVEBACKUP);
    let _b = run_dir.team("team1", LACP);
    run_dir
        .teamrctl(&["state", "item", "get", "setup.runner_name"])
        .shows("team0:\n  activebackup\nteam1:\n  lacp\n");
    run_dir.teamrctl(&["state"]).shows(
        "TEAM   STATE     RUNNER        PORTS\n\
         team0  degraded  activebackup  1 of 2  p2: no link\n\
         team1  ok        lacp          1 of 1\n",
    );
    let view = run_dir.teamrctl(&["state", "view"]).out;
    assert!(view.starts_with("team0:\n  setup:\n    runner: activebackup\n"), "{view}");
    assert!(view.contains("\nteam1:\n  setup:\n    runner: lacp\n"), "{view}");
    let dumps: Value = serde_json::from_str(&run_dir.teamrctl(&["state", "--json"]).out).unwrap();
    assert_eq!(dumps["team1"]["setup"]["runner_name"], "lacp");
    run_dir.teamrctl(&["port", "remove", "p0"]).fails(
        "Several teams are running (team0, team1); \"port remove p0\" needs one of them.\n\
         Name it: teamrctl team0 port remove p0\n",
    );
    run_dir.teamrctl(&["team1", "port", "remove", "p0"]).shows("");
}

#[test]
fn a_socket_left_behind_is_no_running_team() {
    let run_dir = RunDir::new("stale");
    let stale = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    let path = run_dir.dir.join("team9.sock");
    stale.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    let path = path.display();
    run_dir.teamrctl(&["state"]).fails(&format!(
        "No team is running: there is no socket in {}.\nStart one with: teamr -f FILE, or of \
         /etc/teamr/team0.json: systemctl start teamr@team0\n",
        run_dir.dir.display()
    ));
    run_dir.teamrctl(&["team9", "state"]).fails(&format!(
        "Failed to reach the daemon of \"team9\" at {path}: Connection refused.\n\
         Its daemon has died and left the socket; start it again.\n"
    ));
}

/// A stopped daemon takes no connection: clients fill the queue of its socket.
#[test]
fn a_socket_with_a_full_queue_is_a_team_that_hangs() {
    let run_dir = RunDir::new("full");
    let stopped = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    let path = run_dir.dir.join("team8.sock");
    let address = SockAddr::unix(&path).unwrap();
    stopped.bind(&address).unwrap();
    stopped.listen(1).unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = Socket::new(Domain::UNIX, Type::SEQPACKET.nonblocking(), None).unwrap();
        match client.connect(&address) {
            Ok(()) => waiting.push(client),
            Err(e) => break assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
        }
    }
    run_dir.teamrctl(&["keep"]).fails(&format!(
        "Failed to reach the daemon of \"team8\" at {}: Connection timed out.\n\
         Its daemon hangs or is stopped: see its process, and its log.\n",
        path.display()
    ));
}

#[test]
fn a_team_named_like_a_command_is_a_team() {
    let run_dir = RunDir::new("named");
    let _requests = run_dir.team("state", LACP);
    let alone = run_dir.teamrctl(&["state"]);
    assert!(alone.err.starts_with("None or incomplete command"), "{alone:?}");
    run_dir.teamrctl(&["state", "state", "item", "get", "runner.active"]).shows("true\n");
}

#[test]
fn requests_have_the_typed_arguments() {
    let run_dir = RunDir::new("carry");
    let requests = run_dir.team("lo", LACP);
    let update = ["lo", "port", "config", "update", "p0", "{\n\"a\": \"\\\\\"}"];
    run_dir.teamdctl(&update).shows("");
    run_dir.teamrctl(&["lo", "state", "item", "set", "a.b", "--", "-1"]).shows("");
    let requests: Vec<_> =
        requests.try_iter().filter(|(method, _)| method != "ConfigDump").collect();
    let update = update[4..].iter().map(|&arg| arg.to_owned()).collect();
    let set = vec!["a.b".to_owned(), "-1".to_owned()];
    assert_eq!(
        requests,
        [("PortConfigUpdate".to_owned(), update), ("StateItemValueSet".to_owned(), set)]
    );
}

/// teamdctl prints nothing, so only teamrctl warns.
#[test]
fn keys_and_values_of_a_port_that_the_daemon_ignores_are_named() {
    let run_dir = RunDir::new("ignored");
    let _requests = run_dir.team("lo", LACP);
    let config = r#"{"lacp_prio": "high", "stiky": true, "prio": 5}"#;
    let update = ["lo", "port", "config", "update", "p0", config];
    let answer = run_dir.teamrctl(&update);
    assert_eq!((answer.out.as_str(), answer.status), ("", 0));
    assert_eq!(
        answer.err,
        "warning: ports.p0.lacp_prio: expected integer, found string; using the default, 255\n\
         warning: ports.p0.stiky: unknown key; did you mean \"sticky\"?\n"
    );
    run_dir.teamdctl(&update).shows("");
}

#[test]
fn teamdctl_prints_teamdctls_texts() {
    let run_dir = RunDir::new("scripts");
    let cannot = "libteamdctl: teamdctl_connect: Failed to connect using all CLIs.\n\
                  teamdctl_connect failed (Invalid argument)\n";
    run_dir.teamdctl(&["lo", "state"]).fails(cannot);
    run_dir.teamdctl(&["-U", "lo", "state"]).fails(&format!(
        "libteamdctl: cli_usock_init: usock: Failed to connect socket ({}).\n\
         libteamdctl: teamdctl_connect: Failed to connect using CLI \"usock\".\n\
         teamdctl_connect failed (No such file or directory)\n",
        run_dir.dir.join("lo.sock").display()
    ));
    run_dir.teamdctl(&["-D", "lo", "state"]).fails(
        "libteamdctl: cli_dbus_init: dbus: Could not acquire the system bus: \
         org.freedesktop.DBus.Error.FileNotFound - \
         Failed to connect to socket /nonexistent: No such file or directory\n\
         libteamdctl: teamdctl_connect: Failed to connect using CLI \"dbus\".\n\
         teamdctl_connect failed (Invalid argument)\n",
    );
    let _requests = run_dir.team("lo", ACTIVEBACKUP);
    run_dir.teamdctl(&["lo", "port", "add", "p0"]).fails(
        "libteamdctl: cli_usock_process_msg: usock: Error message received: \"NoSuchDev\"\n\
         libteamdctl: cli_usock_process_msg: usock: Error message content: \"No such device.\"\n\
         command call failed (Invalid argument)\n",
    );
    run_dir
        .teamdctl(&["lo", "port", "present", "p"])
        .fails("command call failed (No such device)\n");
    run_dir.teamdctl(&["lo", "port", "present", "p2"]).shows("");
    run_dir.teamdctl(&["nodev", "state"]).fails("Device \"nodev\" does not exist\n");
    for (args, err) in [
        (&["state"][..], "None or incomplete command\n"),
        (&[], "No team device specified.\n"),
        (&["lo", "stats"], "Unknown command \"stats\".\n"),
        (&["lo", "port", "add"], "Command line parameter \"PORTDEV\" expected.\n"),
        (&["--xx", "lo"], "teamdctl: unrecognized option '--xx'\nunknown option.\n"),
        (
            &["-U", "-D", "lo"],
            "Only one interface could be forced at a time (UNIX domain socket, D-Bus, ZMQ).\n",
        ),
    ] {
        let answer = run_dir.teamdctl(args);
        assert!(answer.out.starts_with("Usage: "), "{args:?}");
        answer.fails(err);
    }
}

#[test]
fn teamrctl_prints_a_usage_error_and_where_the_help_is() {
    let run_dir = RunDir::new("usage");
    for (args, err) in [
        (&["stats"][..], "Unknown command \"stats\".\nDid you mean \"state\"?\n"),
        (&["port", "add"], "Command line parameter \"PORTDEV\" expected.\n"),
        (&["--last", "state"], "--last goes with \"port drain\", not with \"state\".\n"),
        (&["--for", "9", "reload"], "--for goes with \"try\", not with \"reload\".\n"),
        (&["--until", "true", "keep"], "--until goes with \"try\", not with \"keep\".\n"),
        (&["--since", "9", "state"], "--since goes with \"watch\", not with \"state\".\n"),
        (&["--config", "f", "state"], "--config goes with \"doctor\", not with \"state\".\n"),
        (&["--xx", "state"], "teamrctl: unrecognized option '--xx'\n"),
        (
            &["-U", "-D", "state"],
            "Only one interface could be forced at a time (UNIX domain socket, D-Bus, ZMQ).\n",
        ),
    ] {
        let answer = run_dir.teamrctl(args);
        assert_eq!(answer.out, "", "{args:?}");
        answer.fails(&format!("{err}Try \"teamrctl --help\".\n"));
    }
}

#[test]
fn a_daemon_that_does_not_reply_times_out() {
    let run_dir = RunDir::new("silent");
    let silent = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    let path = run_dir.dir.join("lo.sock");
    silent.bind(&SockAddr::unix(path).unwrap()).unwrap();
    silent.listen(10).unwrap();
    run_dir.teamdctl(&["lo", "state"]).fails("teamdctl_connect failed (Connection timed out)\n");
}

#[test]
fn another_teams_socket_is_refused() {
    let run_dir = RunDir::new("other");
    let _requests = run_dir.team("other", LACP);
    fs::rename(run_dir.dir.join("other.sock"), run_dir.dir.join("lo.sock")).unwrap();
    run_dir.teamdctl(&["lo", "state"]).fails(
        "Unable to access to lo through connected teamd daemon because it controls other.\n",
    );
}

#[test]
fn teamrctl_prints_advice() {
    let run_dir = RunDir::new("advice");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    run_dir.teamrctl(&["port", "add", "p9"]).fails(
        "Failed to do \"port add p9\" with \"team0\": No such device (NoSuchDev).\n\
         Show the interfaces with: ip link\n",
    );
    run_dir.teamrctl(&["state", "item", "set", "a.b", "99"]).fails(
        "Failed to do \"state item set a.b 99\" with \"team0\": \
         Failed to set item value: expected 0 to 9, found \"99\" (ItemValueSetFail).\n\
         Show what each item takes with: teamrctl schema state. The log says more.\n",
    );
    run_dir.teamrctl(&["nodev", "state"]).fails(
        "Device \"nodev\" does not exist, and no team of that name is running.\n\
         Show those that are: teamrctl state\n",
    );
    run_dir.teamrctl(&["-D", "team0", "state"]).fails(
        "Failed to reach the daemon of \"team0\" over D-Bus: \
         Failed to connect to socket /nonexistent: No such file or directory.\n\
         The control socket needs no bus: leave -D out.\n",
    );
    run_dir.teamrctl(&["-Z", "tcp://*:1", "state"]).fails(
        "ZeroMQ support is not compiled-in. \
         Leave the option out: the control socket needs none.\n",
    );
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let run_dir = RunDir::new("pipe");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    let (reader, writer) = nix::unistd::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_teamrctl"))
        .args(["state", "dump"])
        .env("TEAMR_RUN_DIR", &run_dir.dir)
        .stdout(Stdio::from(writer))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
}

#[test]
fn a_full_disk_is_an_error() {
    let run_dir = RunDir::new("full");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    for args in
        [&["state"][..], &["state", "dump"], &["metrics"], &["--help"], &["export", "--help"]]
    {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_teamrctl"))
            .args(args)
            .env("TEAMR_RUN_DIR", &run_dir.dir)
            .stdout(full)
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            complaint, "Failed to write the results: No space left on device.\n",
            "{args:?}"
        );
        assert_eq!(output.status.code(), Some(1), "{args:?}");
    }
}

#[test]
fn names_reach_the_terminal_without_control_characters() {
    const NAME: &str = "p\u{1b}[2J";
    let run_dir = RunDir::new("control");
    let state = ACTIVEBACKUP.replace("p10", &NAME.replace('\u{1b}', "\\u001b"));
    let _requests = run_dir.team("team0", &state);
    let calls: [&[&str]; 6] = [
        &["state"],
        &["-v", "state"],
        &["metrics"],
        &["doctor"],
        &["state", "item", "get", "runner.active_port"],
        &["port", "add", NAME],
    ];
    for args in calls {
        let Answer { out, err, .. } = run_dir.teamrctl(args);
        assert!(!out.contains('\u{1b}') && !err.contains('\u{1b}'), "{args:?}: {out} {err}");
        let shown = out + &err;
        assert!(shown.contains("x1b[2J") || args[0] == "doctor", "{args:?}: {shown}");
    }
}

#[test]
fn the_doctor_examines_a_configuration_without_a_daemon() {
    let run_dir = RunDir::new("doctor");
    let file = run_dir.dir.join("team.json");
    let name = file.to_str().unwrap();
    for (text, status, line) in [
        (
            r#"{"runner": {"name": "loadbalance", "min_ports": 3}, "ports": {"a": {}, "b": {}}}"#,
            2,
            "problem: \"runner.min_ports\" asks for 3 ports, and there are 2",
        ),
        (r#"{"runer": {}, "ports": {"a": {}, "b": {}}}"#, 2, "problem: The configuration says 1:2"),
        (
            r#"{"runner": {"name": "activebackup"}, "ports": {"a": {}, "b": {}}}"#,
            0,
            "nothing is wrong.",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let answer = run_dir.run("teamrctl", &["doctor", "--config", name]);
        assert_eq!((answer.status, answer.err.as_str()), (status, ""), "{text}");
        assert!(answer.out.starts_with(&format!("{name}: {line}")), "{}", answer.out);
    }
    fs::remove_file(&file).unwrap();
    let answer = run_dir.run("teamrctl", &["doctor", "--config", name]);
    assert_eq!(answer.status, 1);
    assert!(answer.err.starts_with("Failed to read"), "{}", answer.err);
}

/// Metrics neither replace nor follow a file of another kind.
#[test]
fn metrics_leave_other_files_alone() {
    let run_dir = RunDir::new("paths");
    run_dir.team("team0", ACTIVEBACKUP);
    let place = run_dir.dir.join("place");
    fs::create_dir(&place).unwrap();
    let path = |name: &str| place.join(name);
    fs::write(path("file"), "kept").unwrap();
    symlink(path("file"), path("link")).unwrap();
    fs::create_dir(path("directory")).unwrap();
    mkfifo(&path("fifo"), Mode::S_IRWXU).unwrap();
    let _live = UnixListener::bind(path("socket")).unwrap();
    // Without the right to make a device, the test uses one that this user may not replace.
    let device = mknod(&path("device"), SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 3))
        .map_or_else(|_| PathBuf::from("/dev/null"), |()| path("device"));
    let others = [
        (path("link"), "symbolic link"),
        (path("directory"), "directory"),
        (path("fifo"), "FIFO"),
        (device, "character device"),
    ];
    let inode = |path: &PathBuf| fs::symlink_metadata(path).unwrap().ino();

    let socket = (path("socket"), "socket");
    for (path, kind) in others.iter().chain([&socket]) {
        let before = inode(path);
        let name = path.to_str().unwrap();
        run_dir.teamrctl(&["metrics", "file", name]).fails(&format!(
            "Failed to write \"{name}\": the path is a {kind}, and only a regular file is \
             replaced; name another path.\n"
        ));
        assert_eq!(inode(path), before, "{name}");
    }
    let file = (path("file"), "regular file");
    for (path, kind) in others.iter().chain([&file]) {
        let before = inode(path);
        let name = path.to_str().unwrap();
        run_dir.teamrctl(&["metrics", "serve", name]).fails(&format!(
            "Failed to listen at \"{name}\": the path is a {kind}, and only a socket is replaced; \
             name another path.\n"
        ));
        assert_eq!(inode(path), before, "{name}");
    }
    let name = file.0.to_str().unwrap();
    run_dir.teamrctl(&["metrics", "file", name]).fails(&format!(
        "Failed to write \"{name}\": the file has other contents; remove the file, or name another \
         path.\n"
    ));
    let name = socket.0.to_str().unwrap();
    run_dir.teamrctl(&["metrics", "serve", name]).fails(&format!(
        "Failed to listen at \"{name}\": the socket is in use; end the process that serves it, or \
         name another path.\n"
    ));
    assert_eq!(fs::read(path("file")).unwrap(), b"kept");
}

#[test]
fn metrics_replace_a_file_in_one_step() {
    let run_dir = RunDir::new("file");
    run_dir.team("team0", ACTIVEBACKUP);
    let path = run_dir.dir.join("team0.prom");
    let name = path.to_str().unwrap();
    for _ in 0..2 {
        let before = fs::metadata(&path).map(|file| file.ino());
        run_dir.teamrctl(&["metrics", "file", name]).shows("");
        let after = fs::metadata(&path).unwrap().ino();
        assert!(before.is_err() || before.unwrap() != after);
        let text = fs::read_to_string(&path).unwrap();
        run_dir.teamrctl(&["metrics"]).shows(&text);
    }
    let names = fs::read_dir(&run_dir.dir).unwrap().count();
    assert_eq!(names, 2, "the socket and the file");
    // No user can make a file in /proc.
    let reason = "no file can be made in \"/proc\" (No such file or directory); name a directory \
                  that can be written to";
    let name = "/proc/team0";
    run_dir
        .teamrctl(&["metrics", "file", name])
        .fails(&format!("Failed to write \"{name}\": {reason}.\n"));
    run_dir
        .teamrctl(&["metrics", "serve", name])
        .fails(&format!("Failed to listen at \"{name}\": {reason}.\n"));
}

/// Returns whether every key of a document is in its schema.
fn is_described(value: &Value, schema: &Value) -> bool {
    if schema["type"].is_null() {
        // Any value.
        return schema["description"].is_string();
    }
    match value {
        Value::Object(members) => members.iter().all(|(key, value)| {
            let property = schema["properties"].get(key).or(schema.get("additionalProperties"));
            property.is_some_and(|property| is_described(value, property))
        }),
        Value::Array(list) => list.iter().all(|value| is_described(value, &schema["items"])),
        _ => true,
    }
}

#[test]
fn the_status_is_one_screen_and_its_schema_describes_it() {
    let run_dir = RunDir::new("status");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    let answer = run_dir.teamrctl(&["status"]);
    assert_eq!((answer.err.as_str(), answer.status), ("", 0));
    assert!(
        answer.out.starts_with("team0\n  runner     activebackup, active port p10\n"),
        "{answer:?}"
    );
    assert!(answer.out.contains("\n  PORT  LINK"), "{answer:?}");
    assert!(answer.out.contains("\n  p10   10 Gbit/s  active"), "{answer:?}");
    assert!(!answer.out.contains('\x1b'), "colours without a terminal: {answer:?}");
    let longest = answer.out.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(80), "{}", answer.out);

    let json = |args: &[&str]| -> Value {
        serde_json::from_str(&run_dir.teamrctl(&[args, &["--json"]].concat()).out).unwrap()
    };
    let (status, schema) = (json(&["status"]), json(&["schema", "status"]));
    assert_eq!(status["ports"]["p10"]["role"], "active");
    assert_eq!(json(&["ports"]).as_object().unwrap().len(), 2);
    assert!(is_described(&status, &schema), "{status}");
    assert!(!is_described(&json!({"other": 1}), &schema));
    let _second = run_dir.team("team1", LACP);
    assert_eq!(json(&["status"])["team1"]["runner"], "lacp");
    let both = run_dir.teamrctl(&["ports"]).out;
    assert!(both.starts_with("team0\n  PORT") && both.contains("\n\nteam1\n  PORT"), "{both}");
}

#[test]
fn the_port_of_a_flow_comes_with_its_reason() {
    let run_dir = RunDir::new("hash");
    let requests = run_dir.team("team0", ACTIVEBACKUP);
    let flow = ["hash", "192.0.2.1:1000", "02:00:00:00:00:02/192.0.2.2:53", "udp"];
    run_dir.teamrctl(&flow).shows(
        "udp 192.0.2.1:1000 > 192.0.2.2:53 leaves on p0: the active port carries every frame\n",
    );
    let frame = requests.try_iter().find(|(method, _)| method == "FramePorts").unwrap().1;
    assert!(frame[0].starts_with("020000000002"), "{frame:?}");
    assert!(frame[0].contains("c0000201c000020203e80035"), "{frame:?}");
    let json = |args: &[&str]| -> Value {
        serde_json::from_str(&run_dir.teamrctl(&[args, &["--json"]].concat()).out).unwrap()
    };
    let schema = json(&["schema", "hash"]);
    let choice = json(&flow);
    assert_eq!(choice["ports"], "p0");
    assert!(is_described(&choice, &schema), "{choice}");

    let file = run_dir.dir.join("frames.pcap");
    let mut pcap = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
    pcap.extend([0; 16]);
    pcap.extend(1_u32.to_le_bytes());
    for _ in 0..200 {
        pcap.extend([0; 8]);
        pcap.extend(1500_u32.to_le_bytes().repeat(2));
        pcap.extend([7; 1500]);
    }
    fs::write(&file, pcap).unwrap();
    let file = file.to_str().unwrap();
    let answer = run_dir.teamrctl(&["hash", file]).out;
    let line = "0x0707 07:07:07:07:07:07 > 07:07:07:07:07:07 leaves on p0: \
                the active port carries every frame\n";
    assert_eq!(answer, line.repeat(200));
    assert_eq!(json(&["hash", file]).as_array().unwrap().len(), 200);
    fs::write(file, "text").unwrap();
    run_dir.teamrctl(&["hash", file]).fails(&format!(
        "Failed to find the port: \"{file}\": expected a capture file, pcap or pcapng.\n"
    ));
}

#[test]
fn a_finding_is_explained() {
    let run_dir = RunDir::new("explain");
    let answer = run_dir.teamrctl(&["explain", "link-flaps"]);
    assert!(answer.out.starts_with("link-flaps\n  A link went down"), "{answer:?}");
    assert!(run_dir.teamrctl(&["explain"]).out.contains("\nplain-switch\n"));
    run_dir.teamrctl(&["explain", "link-flap"]).fails(
        "There is no finding \"link-flap\"; did you mean \"link-flaps\"?\n\
         Show all with: teamrctl explain\n",
    );
    let one: Value =
        serde_json::from_str(&run_dir.teamrctl(&["--json", "explain", "no-link"]).out).unwrap();
    assert_eq!(one["id"], "no-link");
}

#[test]
fn the_nearest_command_is_suggested() {
    let run_dir = RunDir::new("near");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    for (args, near) in [
        (&["stauts"][..], "status"),
        (&["team0", "dcotor"], "doctor"),
        (&["port", "drian", "p0"], "drain"),
    ] {
        let answer = run_dir.teamrctl(args);
        let suggestion = format!("Did you mean \"{near}\"?\n");
        assert!(answer.err.contains(&suggestion), "{args:?}: {}", answer.err);
        assert_eq!(answer.status, 1);
    }
    assert!(!run_dir.teamrctl(&["qqqqqq"]).err.contains("Did you mean"));
    assert!(!run_dir.teamdctl(&["team0", "stauts"]).err.contains("Did you mean"));
}

#[test]
fn top_needs_a_terminal() {
    let run_dir = RunDir::new("top");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    let answer = run_dir.teamrctl(&["top"]);
    answer.fails("top needs a terminal.\nElsewhere use: teamrctl status\n");
}

/// `teamrctl top` at a terminal of 80 columns and 24 rows.
struct Top {
    child: Child,
    terminal: fs::File,
    keys: fs::File,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Top {
    fn start(run_dir: &RunDir) -> Top {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let terminal = fs::File::from(pty.slave);
        let child = Command::new(env!("CARGO_BIN_EXE_teamrctl"))
            .arg("top")
            .env("TEAMR_RUN_DIR", &run_dir.dir)
            .env("NO_COLOR", "1")
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal.try_clone().unwrap())
            .spawn()
            .unwrap();
        let keys = fs::File::from(pty.master);
        let mut reader = keys.try_clone().unwrap();
        let (sender, screen) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                let _ = sender.send(bytes[..count].to_vec());
            }
        });
        Top { child, terminal, keys, screen, seen: String::new() }
    }

    /// Waits until the terminal has received `text`.
    fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            let more = self.screen.recv_timeout(Duration::from_secs(20));
            let more = more.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.seen));
            self.seen += &String::from_utf8_lossy(&more);
        }
    }

    /// Waits until the program has succeeded and the terminal has its first screen and its cursor.
    fn end(mut self) {
        assert!(self.child.wait().unwrap().success());
        self.wait_for("\x1b[?25h\x1b[?1049l");
    }
}

#[test]
fn top_fills_a_terminal_until_q() {
    let run_dir = RunDir::new("terminal");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    let mut top = Top::start(&run_dir);
    top.wait_for("q: quit");
    let seen = &top.seen;
    assert!(seen.contains("team0  activebackup") && seen.contains("p10        active"), "{seen}");
    // A terminal of another size has another picture at once.
    let resized = Command::new("stty")
        .args(["rows", "3", "cols", "20"])
        .stdin(top.terminal.try_clone().unwrap())
        .status();
    assert!(resized.unwrap().success());
    top.seen.clear();
    top.wait_for("q: quit");
    let lines = top.seen.split("\x1b[K");
    let longest = lines.map(|line| line.trim_start_matches("\x1b[H").len()).max();
    assert!(longest <= Some(24), "{:?}", top.seen);
    top.keys.write_all(b"q").unwrap();
    top.end();
}

#[test]
fn top_restores_the_terminal_after_a_signal() {
    let run_dir = RunDir::new("signal");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut top = Top::start(&run_dir);
        top.wait_for("q: quit");
        kill(Pid::from_raw(top.child.id().try_into().unwrap()), signal).unwrap();
        top.end();
    }
}

#[test]
fn the_past_is_shown_as_a_timeline() {
    let run_dir = RunDir::new("timeline");
    let _requests = run_dir.team("recorded", ACTIVEBACKUP);
    let since = |age: &str| run_dir.teamrctl(&["watch", "--since", age]);
    let all = since("99999d");
    assert_eq!((all.err.as_str(), all.status), ("", 0));
    let mut lines = all.out.lines();
    let day = lines.next().unwrap();
    assert!(day.len() == 10 && day.matches('-').count() == 2, "{all:?}");
    assert!(
        lines.clone().count() > 3 && lines.all(|line| line.contains("Z recorded: ")),
        "{all:?}"
    );
    assert!(all.out.contains(" lost its link\n"), "{all:?}");
    since("0").shows("");
    since("soon").fails("\"soon\" is no age; write seconds, or 90s, 10m, 2h or 1d.\n");
    let json = run_dir.teamrctl(&["watch", "--since", "99999d", "--json"]).out;
    assert!(json.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{json}");
}

#[test]
fn a_team_is_drawn() {
    let run_dir = RunDir::new("draw");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    let answer = run_dir.teamrctl(&["draw"]);
    assert_eq!((answer.err.as_str(), answer.status), ("", 0));
    assert!(answer.out.starts_with("<svg ") && answer.out.contains(">p10, active<"), "{answer:?}");
}

#[test]
fn the_table_of_many_lacp_ports_fits_a_terminal() {
    let run_dir = RunDir::new("ports");
    let mut state: Value = serde_json::from_str(include_str!("view/lacp-own.json")).unwrap();
    for number in 3..=8 {
        state["ports"][format!("eth{number}")] = state["ports"]["eth1"].clone();
    }
    let _requests = run_dir.team("lo", &state.to_string());
    let text = run_dir.teamrctl(&["state", "-v"]).out;
    let (_, table) = text.split_once("\nlacp:\n").unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| !line.contains("does not carry")).collect();
    assert!(rows.iter().all(|row| row.chars().count() <= 80), "{table}");
    let heads: String =
        rows.iter().filter(|row| row.contains("actor / partner")).copied().collect();
    assert!((1..=8).all(|number| heads.contains(&format!("eth{number}"))), "{heads}");
}

#[test]
fn each_command_has_its_help() {
    let run_dir = RunDir::new("help");
    let drain = "Usage: teamrctl [OPTION]... [TEAMDEV] COMMAND\n\n  port drain PORTDEV\n      \
                 Move the flows off a port until port undrain, for instance to change its\n      \
                 cable.\n\nOptions:\n      --last                port drain: also the last port \
                 that carries\n\nteamrctl(8) says more; teamrctl --help has all options.\n";
    run_dir.teamrctl(&["help", "port", "drain"]).shows(drain);
    for words in [
        &["port", "drain", "--help"][..],
        &["lo", "port", "drain", "-h"],
        &["port", "dr", "eth1", "--help"],
    ] {
        run_dir.teamrctl(words).shows(drain);
    }
    // The first word of several commands.
    let hash = run_dir.teamrctl(&["help", "hash"]).out;
    for usage in ["hash FILE", "hash SOURCE DESTINATION", "hash SOURCE DESTINATION PROTOCOL"] {
        assert!(hash.contains(&format!("\n  {usage}\n")), "{hash}");
    }
    assert!(hash.lines().all(|line| line.len() <= 80), "{hash}");
    let all = run_dir.teamrctl(&["help"]).out;
    for words in [&["--help"][..], &["lo", "--help"], &["stauts", "--help"]] {
        run_dir.teamrctl(words).shows(&all);
    }
    let unknown = "Unknown command \"stauts\".\nDid you mean \"status\"?\n";
    run_dir.teamrctl(&["help", "stauts"]).fails(unknown);
    let import = run_dir.teamrctl(&["import", "--help"]).out;
    run_dir.teamrctl(&["help", "import"]).shows(&import);
}

/// teamdctl has one help, whatever stands before the option.
#[test]
fn teamdctl_has_one_help() {
    let run_dir = RunDir::new("one-help");
    let help = run_dir.teamdctl(&["-h"]).out;
    run_dir.teamdctl(&["lo", "state", "--help", "--nothing"]).shows(&help);
    assert!(!help.contains("help COMMAND"), "{help}");
    let answer = run_dir.teamdctl(&["lo", "help"]);
    answer.fails("Unknown command \"help\".\n");
}

#[test]
fn each_schema_describes_its_answer() {
    let run_dir = RunDir::new("schemas");
    let _requests = run_dir.team("recorded", ACTIVEBACKUP);
    let json = |args: &[&str]| run_dir.teamrctl(&[args, &["--json"]].concat()).out;
    let file = run_dir.dir.join("new.json");
    fs::write(&file, "{}").unwrap();
    for (name, args) in [
        ("doctor", &["doctor"][..]),
        ("explain", &["explain", "port-without-link"]),
        ("watch", &["watch", "--since", "99999d"]),
        ("changes", &["diff", file.to_str().unwrap()]),
    ] {
        let schema = run_dir.teamrctl(&["schema", name]);
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("dist");
        let installed = folder.join(format!("{name}-schema.json"));
        assert_eq!(schema.out, fs::read_to_string(installed).unwrap());
        let schema: Value = serde_json::from_str(&schema.out).unwrap();
        let answers = json(args);
        let answers = match name {
            "watch" => answers.lines().map(str::to_owned).collect(),
            _ => vec![answers],
        };
        for answer in answers {
            let answer: Value = serde_json::from_str(&answer).unwrap();
            assert!(is_described(&answer, &schema), "{name}: {answer}");
        }
    }
}

/// The programs alone, without the demo that the package has beside them.
#[test]
fn the_demo_names_the_package_that_has_it() {
    let run_dir = RunDir::new("demo");
    let answer = run_dir.teamrctl(&["demo", "slb"]);
    assert!(answer.err.starts_with("Failed to start "), "{answer:?}");
    assert!(answer.err.contains("libexec/teamr/demo: No such file or directory.\n"), "{answer:?}");
    assert!(answer.err.ends_with("start it with: cargo demo\n"), "{answer:?}");
    assert_eq!(answer.status, 1);
}

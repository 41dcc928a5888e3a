//! The client with a canned daemon, without privileges.
//!
//! libteam's teamdctl 1.31 printed `tests/view/*.txt` for the documents beside them, except
//! `lacp-own-table.txt`, which only teamrctl prints.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;
use serde_json::{Value, json};
use socket2::{Domain, SockAddr, Socket, Type};
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
        "ConfigDump" | "ConfigDumpActual" => Ok(Some(config.to_string())),
        "StateDump" => Ok(Some(state.to_owned())),
        "StateItemValueGet" => {
            let state: Value = serde_json::from_str(state).unwrap();
            let path = ItemPath::parse(&args[0]).map_err(|_| Failure::ItemValueGetFail)?;
            path.look_up(&state)
                .map(Some)
                .ok_or(Failure::PathDoesNotExist)
        }
        "PortConfigDump" => Ok(Some(r#"{"b": 1, "a": [1, 2]}"#.to_owned())),
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
        (
            LACP,
            include_str!("view/lacp.txt"),
            include_str!("view/lacp-verbose.txt"),
        ),
    ] {
        let run_dir = RunDir::new("view");
        let _requests = run_dir.team("lo", state);
        run_dir.teamdctl(&["lo", "state"]).shows(plain);
        run_dir.teamdctl(&["lo", "s", "-v", "v"]).shows(verbose);
        run_dir
            .teamrctl(&["lo", "state", "view", "-v"])
            .shows(verbose);
        run_dir.teamrctl(&["state"]).shows(plain);
    }
}

/// teamrctl adds the items that teamd lacks; teamdctl does not.
#[test]
fn teamrctl_adds_a_table_to_the_verbose_view_of_lacp() {
    let run_dir = RunDir::new("table");
    let _requests = run_dir.team("lo", include_str!("view/lacp-own.json"));
    let teamdctls = run_dir.teamdctl(&["lo", "state", "-v"]).out;
    assert!(
        teamdctls.ends_with("  system priority: 65535\n"),
        "{teamdctls}"
    );
    let table = include_str!("view/lacp-own-table.txt");
    run_dir
        .teamrctl(&["state", "-v"])
        .shows(&(teamdctls + table));
    assert!(!run_dir.teamrctl(&["state"]).out.contains("machine"));
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
    run_dir
        .teamrctl(&["--json", "state", "item", "get", "teamr.later.item"])
        .shows("1\n");
    run_dir
        .teamrctl(&["state"])
        .shows(include_str!("view/activebackup.txt"));
}

#[test]
fn dumps_are_printed_as_teamd_prints_them() {
    let run_dir = RunDir::new("dumps");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    let config = "{\n    \"device\": \"team0\",\n    \"ports\": {\n        \"p0\": {}\n    },\n    \
                  \"runner\": {\n        \"name\": \"\\u00E9\"\n    }\n}\n";
    run_dir.teamrctl(&["team0", "config", "dump"]).shows(config);
    run_dir
        .teamrctl(&["config", "dump", "actual"])
        .shows(config);
    run_dir
        .teamrctl(&["-o", "c", "d", "n"])
        .shows("{\"device\": \"team0\", \"runner\": {\"name\": \"\\u00E9\"}}\n");
    run_dir
        .teamrctl(&["-o", "team0", "port", "config", "dump", "p0"])
        .shows("{\"a\": [1, 2], \"b\": 1}\n");
    run_dir
        .teamrctl(&["state", "item", "get", "setup.pid"])
        .shows("713\n");
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
    assert_eq!(
        json(&["state", "item", "get", "setup.pid"]),
        (json!(713), 0)
    );
    assert_eq!(
        json(&["state", "item", "get", "runner.active_port"]),
        (json!("p10"), 0)
    );
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
    let view = run_dir.teamrctl(&["state"]).out;
    assert!(
        view.starts_with("team0:\n  setup:\n    runner: activebackup\n"),
        "{view}"
    );
    assert!(
        view.contains("\nteam1:\n  setup:\n    runner: lacp\n"),
        "{view}"
    );
    let dumps: Value = serde_json::from_str(&run_dir.teamrctl(&["state", "--json"]).out).unwrap();
    assert_eq!(dumps["team1"]["setup"]["runner_name"], "lacp");
    run_dir.teamrctl(&["port", "remove", "p0"]).fails(
        "Several teams are running (team0, team1); \"port remove p0\" needs one of them.\n\
         Name it: teamrctl team0 port remove p0\n",
    );
    run_dir
        .teamrctl(&["team1", "port", "remove", "p0"])
        .shows("");
}

#[test]
fn a_socket_left_behind_is_no_running_team() {
    let run_dir = RunDir::new("stale");
    let stale = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    let path = run_dir.dir.join("team9.sock");
    stale.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    let path = path.display();
    run_dir.teamrctl(&["state"]).fails(&format!(
        "No team is running: there is no socket in {}.\nStart one with: teamr -f FILE\n",
        run_dir.dir.display()
    ));
    run_dir.teamrctl(&["team9", "state"]).fails(&format!(
        "Failed to reach the daemon of \"team9\" at {path}: Connection refused.\n\
         Its daemon has died and left the socket; start it again.\n"
    ));
}

#[test]
fn a_team_named_like_a_command_is_a_team() {
    let run_dir = RunDir::new("named");
    let _requests = run_dir.team("state", LACP);
    let alone = run_dir.teamrctl(&["state"]);
    assert!(
        alone.err.starts_with("None or incomplete command"),
        "{alone:?}"
    );
    run_dir
        .teamrctl(&["state", "state", "item", "get", "runner.active"])
        .shows("true\n");
}

#[test]
fn requests_have_the_typed_arguments() {
    let run_dir = RunDir::new("carry");
    let requests = run_dir.team("team0", LACP);
    run_dir
        .teamrctl(&[
            "team0",
            "port",
            "config",
            "update",
            "p0",
            "{\n\"a\": \"\\\\\"}",
        ])
        .shows("");
    run_dir
        .teamrctl(&["team0", "state", "item", "set", "a.b", "--", "-1"])
        .shows("");
    let requests: Vec<_> = requests
        .try_iter()
        .filter(|(method, _)| method != "ConfigDump")
        .collect();
    let update = vec!["p0".to_owned(), "{\n\"a\": \"\\\\\"}".to_owned()];
    let set = vec!["a.b".to_owned(), "-1".to_owned()];
    assert_eq!(
        requests,
        [
            ("PortConfigUpdate".to_owned(), update),
            ("StateItemValueSet".to_owned(), set)
        ]
    );
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
    run_dir
        .teamdctl(&["nodev", "state"])
        .fails("Device \"nodev\" does not exist\n");
    for (args, err) in [
        (&["state"][..], "None or incomplete command\n"),
        (&[], "No team device specified.\n"),
        (&["lo", "stats"], "Unknown command \"stats\".\n"),
        (
            &["lo", "port", "add"],
            "Command line parameter \"PORTDEV\" expected.\n",
        ),
        (
            &["--xx", "lo"],
            "teamdctl: unrecognized option '--xx'\nunknown option.\n",
        ),
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
fn a_daemon_that_does_not_reply_times_out() {
    let run_dir = RunDir::new("silent");
    let silent = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    let path = run_dir.dir.join("lo.sock");
    silent.bind(&SockAddr::unix(path).unwrap()).unwrap();
    silent.listen(10).unwrap();
    run_dir
        .teamdctl(&["lo", "state"])
        .fails("teamdctl_connect failed (Connection timed out)\n");
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
        (
            r#"{"runer": {}, "ports": {"a": {}, "b": {}}}"#,
            2,
            "problem: The configuration says 1:2",
        ),
        (
            r#"{"runner": {"name": "activebackup"}, "ports": {"a": {}, "b": {}}}"#,
            0,
            "nothing is wrong.",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let answer = run_dir.run("teamrctl", &["doctor", "--config", name]);
        assert_eq!((answer.status, answer.err.as_str()), (status, ""), "{text}");
        assert!(
            answer.out.starts_with(&format!("{name}: {line}")),
            "{}",
            answer.out
        );
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
    let device = mknod(
        &path("device"),
        SFlag::S_IFCHR,
        Mode::S_IRWXU,
        makedev(1, 3),
    )
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

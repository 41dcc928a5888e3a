//! The client with a canned daemon, without privileges.
//!
//! libteam's teamdctl 1.31 printed `tests/view/*.txt` for the documents beside them, except
//! `lacp-own-table.txt`, which only teamrctl prints.
#![allow(clippy::unwrap_used, reason = "a test fails by its panic")]

mod answers;
mod doctor;
mod errors;
mod help;
mod metrics;
mod schemas;
mod status;
mod top;

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
            Ok(Some(include_str!("../recordings/activebackup.json").to_owned()))
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

const ACTIVEBACKUP: &str = include_str!("../view/activebackup.json");
const LACP: &str = include_str!("../view/lacp.json");

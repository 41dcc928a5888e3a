//! teamd's ZeroMQ socket, with libzmq and with `teamrctl` as clients. Needs the feature:
//! `cargo test --package integration --features zmq --test zmq`.
#![cfg(feature = "zmq")]

use std::fs;
use std::process::{Command, Output};

use integration::{
    DataPath, HostAndPeer, Lab, Namespace, Sharing, Teamr, binary, control, skip, team_config,
    teamr_command,
};

const PORTS: [&str; 2] = ["eth1", "eth2"];
const ENDPOINTS: [&str; 3] = ["tcp://127.0.0.1:5555", "tcp://*:6000", "ipc:///run/x.ipc"];

/// The Python of the system, which has the package.
const PYTHON: &str = "/usr/bin/python3";

/// Sends one request after the other from a REQ socket of libzmq, and prints each reply.
const ASK: &str = "
import sys, zmq
socket = zmq.Context().socket(zmq.REQ)
socket.setsockopt(zmq.RCVTIMEO, 20000)
socket.connect(sys.argv[1])
for request in sys.argv[2:]:
    socket.send(request.encode())
    sys.stdout.write(socket.recv().decode() + '\\0')
";

struct Site {
    host: Namespace,
    lab: Lab,
}

impl Site {
    fn new() -> Option<Site> {
        let found = Command::new(PYTHON).args(["-c", "import zmq"]).output();
        if !found.is_ok_and(|found| found.status.success()) {
            skip("no ZeroMQ for Python here (Debian package python3-zmq)");
            return None;
        }
        let lab = Lab::open(Sharing::Shared)?;
        let host = HostAndPeer::new(&lab, &PORTS).host;
        Some(Site { host, lab })
    }

    fn start(&self, endpoint: &str) -> Teamr {
        let config = team_config("team0", "activebackup", DataPath::Userspace, &PORTS);
        let mut command = teamr_command(&self.host);
        command.args(["-Z", endpoint]);
        let team = Teamr::start_config(&self.host, &config, command);
        team.wait_ports_up(&PORTS);
        team
    }

    fn ask(&self, endpoint: &str, requests: &[&str]) -> Vec<String> {
        let script = self.lab.folder().join("ask.py");
        fs::write(&script, ASK).expect("write a script");
        let mut command = self.host.command(PYTHON);
        let output = command.arg(script).arg(endpoint).args(requests).output();
        let said = done(output.expect("start python3"));
        said.split_terminator('\0').map(str::to_owned).collect()
    }

    fn teamrctl(&self, args: &[&str]) -> String {
        let mut command = self.host.command(binary("teamrctl"));
        done(command.args(args).output().expect("start teamrctl"))
    }
}

fn done(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn libzmq_receives_the_replies_of_the_control_socket() {
    let Some(site) = Site::new() else {
        return;
    };
    for endpoint in ENDPOINTS {
        let team = site.start(endpoint);
        let socket = team.control_socket();
        let over_socket = |method: &str, args: &[&str]| {
            control::call_at(&socket, method, args).expect("an answer")
        };
        let config = "{\n  \"prio\": 7,\n\n  \"x\": \"\\\\\"\n}";
        let reached = endpoint.replace('*', "127.0.0.1");
        let answers = site.ask(
            &reached,
            &[
                "REQUEST\nConfigDump\n",
                &format!("REQUEST\nPortConfigUpdate\neth1\n{config}\n"),
                "REQUEST\nPortConfigDump\neth1\n",
                "REQUEST\nStateItemValueGet\nnope\n",
                "REQUEST\nNope\n",
                "nonsense",
                "REQUEST\nConfigDumpActual\n",
            ],
        );
        let [dump, updated, port, nope, unknown, nonsense, actual] = &answers[..] else {
            panic!("{answers:?}");
        };
        assert!(dump.contains("\"device\": \"team0\""), "{dump}");
        assert_eq!(updated, "REPLY_SUCCESS\n");
        assert_eq!(*port, over_socket("PortConfigDump", &["eth1"]));
        assert!(port.contains("\"prio\": 7"), "{port}");
        assert_eq!(*nope, over_socket("StateItemValueGet", &["nope"]));
        assert_eq!(*unknown, over_socket("Nope", &[]));
        assert_eq!(
            nonsense,
            "REPLY_ERROR\nInvalidArgs\nDid not receive correct message arguments.\n"
        );
        assert_eq!(*actual, over_socket("ConfigDumpActual", &[]));
        assert_eq!(team.state()["setup"]["zmq_enabled"], true);
        for words in ["config dump actual", "state", "port config dump eth1"] {
            let words: Vec<&str> = words.split(' ').collect();
            let over_zmq = site.teamrctl(&[&["-Z", &reached, "team0"], &words[..]].concat());
            assert_eq!(
                over_zmq,
                site.teamrctl(&[&["-U", "team0"], &words[..]].concat())
            );
        }
        println!("{endpoint}: {} answers", answers.len());
        assert!(team.stop().success());
    }
    assert_eq!(site.host.run("find /run -type s"), "");
}

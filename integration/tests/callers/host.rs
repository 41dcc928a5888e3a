//! A host on which our programs are installed under teamd's names.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use integration::{Bus, DataPath, HostAndPeer, Lab, Namespace, binary, wait_until};
use serde_json::Value;

/// teamd's names, with ours.
const NAMES: [(&str, &str); 3] = [
    ("teamd", "teamr"),
    ("teamdctl", "teamrctl"),
    ("teamnl", "teamrnl"),
];

/// A host with the ports `eth1` and `eth2`, both down, their cables plugged in.
pub struct Host {
    pub namespace: Namespace,
    /// What the cables lead to.
    peer: Namespace,
    pub path: DataPath,
    pub folder: PathBuf,
    _bus: Bus,
}

impl Host {
    pub fn new(lab: &Lab, path: DataPath) -> Host {
        let pair = HostAndPeer::new(lab, &["eth1", "eth2"]);
        let (namespace, peer) = (pair.host, pair.peer);
        for (old, ours) in NAMES {
            // libteam's own, which every machine with these tests has, make place.
            let ours = binary(ours);
            namespace.run(&format!("mount --bind {} /usr/bin/{old}", ours.display()));
        }
        let bus = Bus::start(&namespace).expect("a bus");
        let host = Host {
            namespace,
            peer,
            path,
            folder: lab.folder().to_owned(),
            _bus: bus,
        };
        // Where everybody looks for the system's.
        host.sh("mkdir -p /run/dbus");
        let socket = host.folder.join("bus");
        host.sh(&format!(
            "ln -s {} /run/dbus/system_bus_socket",
            socket.display()
        ));
        host
    }

    /// Makes a bond of the far ends, which is a partner for lacp.
    pub fn bond_far_ends(&self) {
        let peer = &self.peer;
        peer.ip("link add name bond0 type bond mode 802.3ad miimon 10 lacp_rate fast");
        for port in ["eth1", "eth2"] {
            peer.ip(&format!("link set dev {port} down"));
            peer.ip(&format!("link set dev {port} master bond0"));
        }
        peer.up("bond0");
    }

    /// Pulls the cable of a port.
    pub fn pull(&self, port: &str) {
        self.peer.ip(&format!("link set dev {port} down"));
    }

    /// Plugs it in again.
    pub fn put_back(&self, port: &str) {
        self.peer.up(port);
    }

    /// A file for the case; its path.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).expect("write a file");
        path
    }

    /// A shell on this host, which finds our programs by teamd's names.
    pub fn shell(&self, script: &str) -> Command {
        let mut command = self.namespace.command("sh");
        command.args(["-euc", script]);
        command
    }

    /// Runs a script, whatever comes of it.
    pub fn try_sh(&self, script: &str) -> Output {
        self.shell(script).output().expect("start a shell")
    }

    /// Runs a script that has to succeed; returns what it printed, without the last line's end.
    pub fn sh(&self, script: &str) -> String {
        let output = self.try_sh(script);
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "`{script}` ended with {}\n{stdout}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        stdout.trim_end().to_owned()
    }

    /// Runs a script that has to fail with status 1.
    pub fn fails(&self, script: &str) {
        let output = self.try_sh(script);
        assert_eq!(output.status.code(), Some(1), "`{script}`: {output:?}");
    }

    /// Runs a script that has to print JSON.
    pub fn json(&self, script: &str) -> Value {
        let text = self.sh(script);
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("`{script}` printed no JSON: {error}\n{text}"))
    }

    /// The processes whose command line contains `text`.
    pub fn pgrep(&self, text: &str) -> Vec<String> {
        // Without a shell, whose own command line would contain it.
        let output = self.namespace.command("pgrep").args(["-f", text]).output();
        let output = output.expect("start pgrep");
        let found = String::from_utf8_lossy(&output.stdout);
        found.lines().map(str::to_owned).collect()
    }

    /// Waits until a script succeeds.
    pub fn wait(&self, what: &str, script: &str) {
        wait_until(what, || self.try_sh(script).status.success());
    }

    /// Waits until a port's link watches say that it is up.
    pub fn wait_port_up(&self, team: &str, port: &str) {
        self.wait(
            &format!("port {port} to be up"),
            &format!("test $(teamdctl {team} state item get ports.{port}.link_watches.up) = true"),
        );
    }

    /// Requires that nothing of a team is left.
    pub fn assert_gone(&self, team: &str) {
        let left = self.sh(&format!(
            "find /run/teamd -name '{team}.*' -not -name '*.conf'"
        ));
        assert_eq!(left, "");
        assert!(!self.namespace.has_interface(team), "{team} is still there");
    }
}

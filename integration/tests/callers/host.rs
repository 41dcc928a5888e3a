//! A host with our programs installed under teamd's names.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use integration::{Bus, DataPath, HostAndPeer, Lab, Namespace, binary, wait_until};
use serde_json::Value;

/// teamd's names and ours.
const NAMES: [(&str, &str); 3] =
    [("teamd", "teamr"), ("teamdctl", "teamrctl"), ("teamnl", "teamrnl")];

/// A host with the ports `eth1` and `eth2`, both down, with connected cables.
pub struct Host {
    pub namespace: Namespace,
    /// The host at the far ends.
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
            // Our programs replace libteam's, which every machine with these tests has.
            let ours = binary(ours);
            namespace.run(&format!("mount --bind {} /usr/bin/{old}", ours.display()));
        }
        let bus = Bus::start(&namespace).expect("a bus");
        let host = Host { namespace, peer, path, folder: lab.folder().to_owned(), _bus: bus };
        // The well-known folder of the system bus.
        host.sh("mkdir -p /run/dbus");
        let socket = host.folder.join("bus");
        host.sh(&format!("ln -s {} /run/dbus/system_bus_socket", socket.display()));
        host
    }

    /// Makes a bond of the far ends, as a partner for lacp.
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

    /// Plugs the cable of a port in again.
    pub fn put_back(&self, port: &str) {
        self.peer.up(port);
    }

    /// Writes a file of the case and returns its path.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).expect("write a file");
        path
    }

    /// Returns a shell on this host with our programs under teamd's names.
    pub fn shell(&self, script: &str) -> Command {
        let mut command = self.namespace.command("sh");
        command.args(["-euc", script]);
        command
    }

    /// Runs a script and returns its result.
    pub fn try_sh(&self, script: &str) -> Output {
        self.shell(script).output().expect("start a shell")
    }

    /// Runs a script that must succeed; returns its output without the last newline.
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

    /// Runs a script that must fail with status 1.
    pub fn fails(&self, script: &str) {
        let output = self.try_sh(script);
        assert_eq!(output.status.code(), Some(1), "`{script}`: {output:?}");
    }

    /// Runs a script that must print JSON.
    pub fn json(&self, script: &str) -> Value {
        let text = self.sh(script);
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("`{script}` printed no JSON: {error}\n{text}"))
    }

    /// Returns the processes whose command line contains `text`.
    pub fn pgrep(&self, text: &str) -> Vec<String> {
        // Without a shell: its own command line would contain the text.
        let output = self.namespace.command("pgrep").args(["-f", text]).output();
        let output = output.expect("start pgrep");
        let found = String::from_utf8_lossy(&output.stdout);
        found.lines().map(str::to_owned).collect()
    }

    /// Waits until a script succeeds.
    pub fn wait(&self, what: &str, script: &str) {
        wait_until(what, || self.try_sh(script).status.success());
    }

    /// Waits until a port's link watches report up.
    pub fn wait_port_up(&self, team: &str, port: &str) {
        self.wait(
            &format!("port {port} to be up"),
            &format!("test $(teamdctl {team} state item get ports.{port}.link_watches.up) = true"),
        );
    }

    /// Requires that no device, file or process of a team remains.
    pub fn assert_gone(&self, team: &str) {
        let left = self.sh(&format!("find /run/teamd -name '{team}.*' -not -name '*.conf'"));
        assert_eq!(left, "");
        assert!(!self.namespace.has_interface(team), "{team} is still there");
    }
}

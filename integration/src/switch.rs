//! A learning switch: a host whose bridge does nothing but switch.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cable::Cable;
use crate::namespace::Namespace;
use crate::process::Process;
use crate::wait::wait_until;

/// The name of the bridge inside.
const BRIDGE: &str = "br0";

/// A learning switch. Clones are the same switch.
#[derive(Clone)]
pub struct Switch {
    namespace: Namespace,
}

impl Switch {
    pub(crate) fn new(namespace: Namespace) -> Switch {
        namespace.ip(&format!(
            "link add name {BRIDGE} mtu 9000 type bridge stp_state 0"
        ));
        // The switch itself is no host: it shall not speak.
        namespace.write(
            &format!("/proc/sys/net/ipv6/conf/{BRIDGE}/disable_ipv6"),
            "1",
        );
        namespace.up(BRIDGE);
        Switch { namespace }
    }

    /// The machine around the bridge, for a switch that runs programs.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Makes an interface of the switch a switch port and sets it up.
    pub fn plug(&self, port: &str) {
        self.namespace
            .ip(&format!("link set dev {port} master {BRIDGE} up"));
    }

    /// Makes a switch port an interface on its own again, which leads nowhere.
    pub fn unplug(&self, port: &str) {
        self.namespace.ip(&format!("link set dev {port} nomaster"));
    }

    /// Whether frames to `hwaddr` leave through `port`, as far as the switch has learned.
    pub fn has_learned(&self, hwaddr: &str, port: &str) -> bool {
        let table = self
            .namespace
            .run_json(&format!("bridge -json fdb show br {BRIDGE}"));
        table.as_array().is_some_and(|entries| {
            entries.iter().any(|entry| {
                entry["mac"] == hwaddr && entry["ifname"] == port && entry["state"] != "permanent"
            })
        })
    }

    /// Waits until a cable's far end, a port of this switch, forwards.
    pub fn wait_forwarding(&self, cable: &Cable) {
        let port = cable.far_interface();
        wait_until(&format!("switch port {port} to forward"), || {
            let link = self.namespace.link(port);
            link["linkinfo"]["info_slave_data"]["state"] == "forwarding"
        });
    }
}

/// A watch on what the switch learns; counts addresses that move from one port to another.
pub struct SwitchMoves {
    switch: Switch,
    monitor: Process,
    /// Where each address was at first.
    known: BTreeMap<String, String>,
}

impl SwitchMoves {
    /// Watches from now on.
    pub fn watch(switch: &Switch) -> SwitchMoves {
        let monitor = switch.namespace.start("stdbuf -oL bridge monitor fdb");
        let table = switch
            .namespace
            .run_json(&format!("bridge -json fdb show br {BRIDGE} dynamic"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let known = table.as_array().into_iter().flatten();
        SwitchMoves {
            switch: switch.clone(),
            monitor,
            known: known
                .map(|entry| (text(&entry["mac"]), text(&entry["ifname"])))
                .collect(),
        }
    }

    /// How often each address that moved did so.
    pub fn finish(mut self) -> BTreeMap<String, u32> {
        // The last news are in the log once an entry made now is.
        const MARK: &str = "02:ff:ff:ff:ff:ff";
        let command = format!("bridge fdb replace {MARK} dev {BRIDGE} self permanent");
        self.switch.namespace.run(&command);
        wait_until("the switch's monitor to catch up", || {
            self.monitor.log().contains(MARK)
        });
        let log = self.monitor.log();
        self.monitor.kill();
        let mut moves = BTreeMap::new();
        for line in log.lines() {
            // `02:00:00:00:00:01 dev left1 master br0`; what is forgotten begins with `Deleted`.
            let words: Vec<&str> = line.split_whitespace().collect();
            let [hwaddr, "dev", port, "master", BRIDGE, ..] = words[..] else {
                continue;
            };
            if words.contains(&"permanent") {
                continue;
            }
            let before = self.known.insert(hwaddr.to_owned(), port.to_owned());
            if before.is_some_and(|before| before != port) {
                *moves.entry(hwaddr.to_owned()).or_default() += 1;
            }
        }
        moves
    }
}

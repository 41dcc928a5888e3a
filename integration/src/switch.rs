//! A learning switch: a host whose bridge does nothing but switch.

use std::collections::BTreeMap;

use serde_json::Value;
use teamr::netlink::link;

use crate::cable::Cable;
use crate::links::{create_bridge, forwards};
use crate::namespace::Namespace;
use crate::process::Process;
use crate::wait::wait_until;

/// The name of the bridge inside.
const BRIDGE: &str = "br0";
/// Largest frames that it forwards, without their headers.
const MTU: u32 = 9000;

/// A learning switch. Clones are the same switch.
#[derive(Clone)]
pub struct Switch {
    namespace: Namespace,
}

impl Switch {
    pub(crate) fn new(namespace: Namespace) -> Switch {
        namespace.links("make the bridge", |route| create_bridge(route, BRIDGE, MTU));
        namespace.up(BRIDGE);
        Switch { namespace }
    }

    /// The machine around the bridge, for a switch that runs programs.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Makes an interface of the switch a switch port and sets it up.
    pub fn plug(&self, port: &str) {
        self.namespace.links(&format!("plug {port}"), |route| {
            let (port, bridge) = (link::find(route, port)?, link::find(route, BRIDGE)?);
            link::set_master(route, port.ifindex, bridge.ifindex)?;
            link::set_admin_up(route, port.ifindex, true)
        });
    }

    /// Makes a switch port an interface on its own again, which leads nowhere.
    pub fn unplug(&self, port: &str) {
        self.namespace.links(&format!("unplug {port}"), |route| {
            let port = link::find(route, port)?;
            link::clear_master(route, port.ifindex)
        });
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
        let what = format!("switch port {port} to forward");
        wait_until(&what, || {
            self.namespace.links(&what, |route| forwards(route, port))
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

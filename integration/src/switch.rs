//! A learning switch: a host with a bridge that sends no frames of its own.

use std::collections::BTreeMap;

use serde_json::Value;
use teamr::netlink::link;

use crate::cable::Cable;
use crate::links::{create_bridge, forwards};
use crate::namespace::Namespace;
use crate::process::Process;
use crate::wait::wait_until;

/// Name of the bridge on the switch.
const BRIDGE: &str = "br0";
/// Largest payload of a forwarded frame.
const MTU: u32 = 9000;

/// A learning switch. Clones refer to the same switch.
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

    /// Returns the host of the bridge, for a switch that runs programs.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Makes an interface a switch port and sets it up.
    pub fn plug(&self, port: &str) {
        self.namespace.links(&format!("plug {port}"), |route| {
            let (port, bridge) = (link::find(route, port)?, link::find(route, BRIDGE)?);
            link::set_master(route, port.ifindex, bridge.ifindex)?;
            link::set_admin_up(route, port.ifindex, true)
        });
    }

    /// Removes a port from the switch; its cable then leads nowhere.
    pub fn unplug(&self, port: &str) {
        self.namespace.links(&format!("unplug {port}"), |route| {
            let port = link::find(route, port)?;
            link::clear_master(route, port.ifindex)
        });
    }

    /// Whether the switch has learned `hwaddr` on `port`.
    pub fn has_learned(&self, hwaddr: &str, port: &str) -> bool {
        let table = self.namespace.run_json(&format!("bridge -json fdb show br {BRIDGE}"));
        table.as_array().is_some_and(|entries| {
            entries.iter().any(|entry| {
                entry["mac"] == hwaddr && entry["ifname"] == port && entry["state"] != "permanent"
            })
        })
    }

    /// Waits until the switch port at a cable's far end forwards.
    pub fn wait_forwarding(&self, cable: &Cable) {
        let port = cable.far_interface();
        let what = format!("switch port {port} to forward");
        wait_until(&what, || self.namespace.links(&what, |route| forwards(route, port)));
    }
}

/// Counts addresses that move from one switch port to another.
pub struct SwitchMoves {
    switch: Switch,
    monitor: Process,
    /// The first port of each address.
    known: BTreeMap<String, String>,
}

impl SwitchMoves {
    /// Starts counting.
    pub fn watch(switch: &Switch) -> SwitchMoves {
        let monitor = switch.namespace.start("stdbuf -oL bridge monitor fdb");
        let table =
            switch.namespace.run_json(&format!("bridge -json fdb show br {BRIDGE} dynamic"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let known = table.as_array().into_iter().flatten();
        SwitchMoves {
            switch: switch.clone(),
            monitor,
            known: known.map(|entry| (text(&entry["mac"]), text(&entry["ifname"]))).collect(),
        }
    }

    /// Stops counting and returns the number of moves of each address that moved.
    pub fn finish(mut self) -> BTreeMap<String, u32> {
        // `bridge monitor` reports in order: all earlier reports are in the log once this entry is.
        const MARK: &str = "02:ff:ff:ff:ff:ff";
        let command = format!("bridge fdb replace {MARK} dev {BRIDGE} self permanent");
        self.switch.namespace.run(&command);
        wait_until("the switch's monitor to catch up", || self.monitor.log().contains(MARK));
        let log = self.monitor.log();
        self.monitor.kill();
        let mut moves = BTreeMap::new();
        for line in log.lines() {
            // A line reads `02:00:00:00:00:01 dev left1 master br0`; `Deleted` precedes a forgotten
            // entry.
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

//! A learning switch: a host whose bridge does nothing but switch.

use crate::cable::Cable;
use crate::namespace::Namespace;

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
        crate::wait::wait_until(&format!("switch port {port} to forward"), || {
            let link = self.namespace.link(port);
            link["linkinfo"]["info_slave_data"]["state"] == "forwarding"
        });
    }
}

//! Open vSwitch on a host, with its datapath in user space: the kernel may lack the module.

use std::process::Command;

use integration::{Namespace, Process, skip, wait_until};

const FOLDER: &str = "/run/openvswitch";
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const BRIDGE: &str = "br0";

/// The running daemons of Open vSwitch.
pub struct OpenVswitch {
    _database: Process,
    _switch: Process,
}

impl OpenVswitch {
    /// Returns whether Open vSwitch is installed. Skips the test if not, or panics when `CI=true`.
    pub fn is_here() -> bool {
        let found = Command::new("ovs-vswitchd").arg("--version").output().is_ok();
        if !found {
            skip("no `ovs-vswitchd` here (Debian package openvswitch-switch)");
        }
        found
    }

    /// Starts the daemons on a host, with a bridge that has one port with LACP.
    pub fn start(host: &Namespace, port: &str) -> OpenVswitch {
        // The host's own stack receives the frames of an interface that Open vSwitch opens, too.
        host.write(&format!("/proc/sys/net/ipv4/conf/{port}/arp_ignore"), "1");
        host.write(&format!("/proc/sys/net/ipv6/conf/{port}/disable_ipv6"), "1");
        host.up(port);
        host.run(&format!("mkdir -p {FOLDER}"));
        // The database server needs temporary files; the root of a guest is read-only.
        host.run("mount -t tmpfs tmpfs /tmp");
        host.run(&format!("ovsdb-tool create {FOLDER}/conf.db {SCHEMA}"));
        let remote = format!("--remote=punix:{FOLDER}/db.sock");
        let database = host.start(&format!("ovsdb-server {FOLDER}/conf.db {remote}"));
        wait_until("the database of Open vSwitch", || {
            host.try_run("ovs-vsctl --timeout=1 --no-wait init").status.success()
        });
        let switch = host.start("ovs-vswitchd --pidfile");
        host.run(&format!(
            "ovs-vsctl --timeout=20 add-br {BRIDGE} -- set bridge {BRIDGE} datapath_type=netdev \
             -- add-port {BRIDGE} {port} \
             -- set port {port} lacp=active other_config:lacp-time=fast"
        ));
        OpenVswitch { _database: database, _switch: switch }
    }
}

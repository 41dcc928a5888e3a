//! Open vSwitch with its datapath in user space, segments whole, and a bond of two ports; its
//! database, sockets and logs in the folder of the host.

use std::path::PathBuf;

use integration::{Namespace, Process, wait_until};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// A running switch; ended when dropped.
pub struct OpenVSwitch {
    host: Namespace,
    switch: Process,
    _database: Process,
    control: PathBuf,
}

impl OpenVSwitch {
    /// Starts it, with the bridge `device` of one bond.
    ///
    /// # Errors
    /// It is not installed.
    pub fn start(host: &Namespace, device: &str, ports: &[&str]) -> Result<OpenVSwitch, String> {
        let is_there = host.try_run("ovs-vswitchd --version").status.success();
        if !is_there || !std::path::Path::new(SCHEMA).exists() {
            return Err("Open vSwitch is not installed".to_owned());
        }
        let file = |name: &str| host.folder().join(name).display().to_string();
        let (base, socket, control) = (file("ovs.db"), file("ovs.sock"), file("ovs.ctl"));
        host.run(&format!("ovsdb-tool create {base} {SCHEMA}"));
        let database = host.start(&format!(
            "ovsdb-server {base} --remote=punix:{socket} --unixctl={socket}.ctl"
        ));
        let set = |line: &str| format!("ovs-vsctl --db=unix:{socket} {line}");
        wait_until("the database to answer", || {
            host.try_run(&set("--no-wait init")).status.success()
        });
        host.run(&set(
            "--no-wait set Open_vSwitch . other_config:userspace-tso-enable=true",
        ));
        let switch = host.start(&format!("ovs-vswitchd unix:{socket} --unixctl={control}"));
        for port in ports {
            host.up(port);
        }
        host.run(&set(&format!(
            "add-br {device} -- set bridge {device} datapath_type=netdev \
             -- add-bond {device} bond0 {} bond_mode=active-backup",
            ports.join(" ")
        )));
        wait_until("the bridge", || host.has_interface(device));
        Ok(OpenVSwitch {
            host: host.clone(),
            switch,
            _database: database,
            control: control.into(),
        })
    }

    pub fn pid(&self) -> u32 {
        self.switch.pid()
    }

    /// What `bond/show` says.
    fn bond(&self) -> String {
        let control = self.control.display();
        self.host
            .run(&format!("ovs-appctl -t {control} bond/show bond0"))
    }

    pub fn active_port(&self) -> String {
        // `active member mac: 02:00:00:00:00:01(eth1)`
        let text = self.bond();
        let mut lines = text.lines();
        let line = lines.find(|line| line.starts_with("active member mac:"));
        let (_, port) = line
            .and_then(|line| line.split_once('('))
            .unwrap_or_default();
        port.trim_end_matches(')').to_owned()
    }

    pub fn is_up(&self, port: &str) -> bool {
        self.bond().contains(&format!("member {port}: enabled"))
    }
}

//! Open vSwitch's userspace datapath with a bond of the ports.
//!
//! Both programs keep their files in the host's own `/run`.

use integration::{Namespace, Process, comes_true};

use super::installed;

const FOLDER: &str = "/run/ovs";

pub struct Ovs {
    host: Namespace,
    bond: String,
    switch: Process,
    _database: Process,
}

impl Ovs {
    pub fn start(host: &Namespace, device: &str, ports: &[&str]) -> Result<Ovs, String> {
        installed(host, "ovs-vswitchd", "openvswitch-switch")?;
        let socket = format!("{FOLDER}/db.sock");
        host.run(&format!("mkdir -p {FOLDER}"));
        try_run(host, &format!("ovsdb-tool create {FOLDER}/conf.db"))?;
        let database = host
            .start(&with_folder(&format!("ovsdb-server {FOLDER}/conf.db --remote=punix:{socket}")));
        let control = format!("ovs-vsctl --timeout=5 --db=unix:{socket}");
        // Read once when the switch starts; versions without the option ignore it.
        let offload = "set Open_vSwitch . other_config:userspace-tso-enable=true";
        let prepare = format!("{control} --no-wait --retry init -- {offload}");
        try_run(host, &prepare)?;
        let switch = host.start(&with_folder(&format!("ovs-vswitchd unix:{socket}")));
        let bond = format!("{device}-bond");
        let ovs = Ovs { host: host.clone(), bond, switch, _database: database };
        ports.iter().for_each(|port| host.up(port));
        let (bond, ports_listed) = (&ovs.bond, ports.join(" "));
        try_run(
            host,
            &format!(
                "{control} add-br {device} -- set bridge {device} datapath_type=netdev \
                 -- add-bond {device} {bond} {ports_listed} bond_mode=active-backup"
            ),
        )?;
        match comes_true(|| ports.iter().all(|port| ovs.is_up(port))) {
            true => Ok(ovs),
            false => Err("its bond does not take its ports for up".into()),
        }
    }

    pub fn pid(&self) -> u32 {
        self.switch.pid()
    }

    pub fn is_up(&self, port: &str) -> bool {
        let enabled = format!("member {port}: enabled");
        self.show().lines().any(|line| line == enabled)
    }

    pub fn active_port(&self) -> Option<String> {
        // `active member mac: ae:3d:58:c5:ff:25(eth2)`
        let text = self.show();
        let (_, active) = text.split_once("active member mac: ")?;
        let (_, port) = active.lines().next()?.split_once('(')?;
        Some(port.trim_end_matches(')').to_owned())
    }

    fn show(&self) -> String {
        let (pid, bond) = (self.pid(), &self.bond);
        let control = format!("{FOLDER}/ovs-vswitchd.{pid}.ctl");
        let output = self.host.try_run(&format!("ovs-appctl --target={control} bond/show {bond}"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn with_folder(line: &str) -> String {
    format!("env OVS_RUNDIR={FOLDER} OVS_LOGDIR={FOLDER} OVS_DBDIR={FOLDER} {line}")
}

fn try_run(host: &Namespace, line: &str) -> Result<(), String> {
    let output = host.try_run(&with_folder(line));
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("`{line}`: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

//! Paths between two hosts, compared in benchmarks: a bare veth pair, a bridge, teams on every data
//! path, and other implementations with two ports.
//!
//! This module builds the paths; [`measures`] measures them and [`table`] prints the results.

mod measures;
mod ovs;
pub mod table;
mod testpmd;

use std::fs;

use integration::{
    Cable, CableKind, DataPath, Lab, Namespace, Process, Teamr, comes_true, team_config, wait_until,
};
use ovs::Ovs;
use testpmd::Testpmd;

pub struct Hosts {
    pub near: Namespace,
    pub far: Namespace,
}

impl Hosts {
    pub fn new(lab: &Lab) -> Hosts {
        Hosts { near: lab.host("near"), far: lab.host("far") }
    }
}

/// The implementation that aggregates the ports.
enum Master {
    /// The kernel, without port selection.
    Nobody,
    Bonding(Namespace),
    /// teamr, or teamd, which has the same control socket.
    Team(Teamr),
    Ovs(Ovs),
    Testpmd(Testpmd),
}

/// One path from the near host to the far host.
pub struct Path {
    pub name: &'static str,
    device: String,
    far_device: String,
    /// The network prefix of this path, without the last number.
    network: String,
    port: u16,
    master: Master,
    cables: Vec<(String, Cable)>,
    server: Option<Process>,
}

/// Returns a bare pair and the paths of these names; prints a line for a path that fails to start.
pub fn build_paths(lab: &Lab, hosts: &Hosts, names: &[&'static str]) -> (Path, Vec<Path>) {
    let mut direct = Path::bare(lab, hosts);
    direct.serve(hosts).unwrap_or_else(|reason| panic!("the bare pair: {reason}"));
    let mut paths = Vec::new();
    for (number, name) in (1..).zip(names) {
        match Path::build(lab, hosts, number, name) {
            Ok(path) => paths.push(path),
            Err(reason) => println!("without {name}: {reason}"),
        }
    }
    (direct, paths)
}

impl Path {
    fn new(name: &'static str, number: u16, device: &str, far_device: &str) -> Path {
        Path {
            name,
            device: device.to_owned(),
            far_device: far_device.to_owned(),
            network: format!("10.{number}.0"),
            port: 5201 + number,
            master: Master::Nobody,
            cables: Vec::new(),
            server: None,
        }
    }

    fn bare(lab: &Lab, hosts: &Hosts) -> Path {
        let path = Path::new("bare pair", 0, "direct0", "direct0");
        let ends = ((&hosts.near, "direct0"), (&hosts.far, "direct0"));
        lab.cable(ends.0, ends.1, CableKind::Virtual);
        path.address(hosts);
        path
    }

    /// Builds two cables into a bridge at the far end; for `bridge` one cable, with a bridge at the
    /// near end too.
    fn build(lab: &Lab, hosts: &Hosts, number: u16, name: &'static str) -> Result<Path, String> {
        let mut path = Path::new(name, number, &format!("{name}0"), &format!("br{number}"));
        let Hosts { near, far } = hosts;
        far.ip(&format!("link add name {} type bridge", path.far_device));
        let cables = if name == "bridge" { 1 } else { 2 };
        for cable in 1..=cables {
            let port = format!("eth{number}{cable}");
            let (from, to) = ((near, port.as_str()), (far, port.as_str()));
            let laid = lab.cable(from, to, CableKind::Virtual);
            far.ip(&format!("link set dev {port} master {} up", path.far_device));
            path.cables.push((port, laid));
        }
        path.master = path.join(hosts)?;
        path.address(hosts);
        let served = path.serve(hosts);
        path.pause();
        served.map(|()| path)
    }

    /// Aggregates the ports into one device.
    fn join(&self, hosts: &Hosts) -> Result<Master, String> {
        let Hosts { near, far } = hosts;
        let device = &self.device;
        let ports: Vec<&str> = self.cables.iter().map(|(port, _)| port.as_str()).collect();
        let enslave = || {
            for port in &ports {
                near.ip(&format!("link set dev {port} master {device}"));
            }
        };
        let team = |data_path, command| {
            let config = team_config(device, "activebackup", data_path, &ports);
            let team = match command {
                None => Teamr::start(near, &config),
                Some(command) => Teamr::start_config(near, &config, command),
            };
            ports.iter().for_each(|port| team.wait_port(port, true));
            Master::Team(team)
        };
        Ok(match self.name {
            "bridge" => {
                near.ip(&format!("link add name {device} type bridge"));
                enslave();
                ports.iter().for_each(|port| near.up(port));
                Master::Nobody
            }
            "bonding" => {
                near.ip(&format!("link add name {device} type bond mode active-backup miimon 1"));
                enslave();
                near.up(device);
                Master::Bonding(near.clone())
            }
            "ovs" => Master::Ovs(Ovs::start(near, device, &ports)?),
            "testpmd" => Master::Testpmd(Testpmd::start(near, far, device, &ports)?),
            "teamd" => {
                installed(near, "teamd", "libteam-utils")?;
                near.run("mkdir -p /run/teamd");
                team(DataPath::Kernel, Some(near.command("teamd")))
            }
            "driver" => team(DataPath::Kernel, None),
            "programs" => team(DataPath::Programs, None),
            "tap" => {
                let master = team(DataPath::Userspace, None);
                if let Master::Team(team) = &master {
                    team.ask("state item set teamr.data_path programs");
                }
                master
            }
            _ => team(DataPath::Userspace, None),
        })
    }

    fn address(&self, hosts: &Hosts) {
        for (host, device, number) in
            [(&hosts.near, &self.device, 1), (&hosts.far, &self.far_device, 2)]
        {
            host.up(device);
            host.address(device, &format!("{}.{number}/24", self.network));
        }
    }

    fn target(&self) -> String {
        format!("{}.2", self.network)
    }

    /// Starts a server and waits until it can be reached.
    fn serve(&mut self, hosts: &Hosts) -> Result<(), String> {
        let (address, port) = (self.target(), self.port);
        let server = format!("iperf3 --server --bind {address} --port {port}");
        self.server = Some(hosts.far.start(&server));
        let client =
            format!("iperf3 --client {address} --port {port} --bytes 1K --connect-timeout 1000");
        match comes_true(|| hosts.near.try_run(&client).status.success()) {
            true => Ok(()),
            false => Err("it carries no traffic".into()),
        }
    }

    /// Resumes an implementation that polls without a pause, for the time of its measurement.
    fn resume(&self) {
        if let Master::Testpmd(testpmd) = &self.master {
            testpmd.resume();
        }
    }

    fn pause(&self) {
        if let Master::Testpmd(testpmd) = &self.master {
            testpmd.pause();
        }
    }

    /// Returns the pid of the implementation's process; `None` for the kernel's implementations.
    fn pid(&self) -> Option<u32> {
        match &self.master {
            Master::Nobody | Master::Bonding(_) => None,
            Master::Team(team) => Some(team.pid()),
            Master::Ovs(ovs) => Some(ovs.pid()),
            Master::Testpmd(testpmd) => Some(testpmd.pid()),
        }
    }

    /// Returns the processor time of the implementation's process in seconds; `None` without one.
    fn own_seconds(&self) -> Option<f64> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid()?)).ok()?;
        let spent = threads.filter_map(|thread| {
            let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<f64>().ok()
        });
        Some(spent.sum::<f64>() / 1e9)
    }

    /// Waits until the implementation has noticed the loss or the return of a port's link.
    fn wait_port(&self, port: &str, up: bool) {
        match &self.master {
            Master::Nobody | Master::Testpmd(_) => {}
            Master::Team(team) => team.wait_port(port, up),
            Master::Ovs(ovs) => wait_until("Open vSwitch to see a link", || ovs.is_up(port) == up),
            Master::Bonding(host) => wait_until("the bond to see a link", || {
                let file = format!("/sys/class/net/{port}/bonding_slave/mii_status");
                (host.run(&format!("cat {file}")).trim() == "up") == up
            }),
        }
    }

    /// Returns the port in use; `None` without port selection or link detection.
    fn active_port(&self) -> Option<String> {
        match &self.master {
            Master::Nobody | Master::Testpmd(_) => None,
            Master::Team(team) => team.active_port(),
            Master::Ovs(ovs) => ovs.active_port(),
            Master::Bonding(host) => {
                let file = format!("/sys/class/net/{}/bonding/active_slave", self.device);
                Some(host.run(&format!("cat {file}")).trim().to_owned())
            }
        }
    }
}

/// Checks that a program is installed; the error names its package.
fn installed(host: &Namespace, program: &str, package: &str) -> Result<(), String> {
    match host.try_run(&format!("which {program}")).status.success() {
        true => Ok(()),
        false => Err(format!("no `{program}` here (Debian package {package})")),
    }
}

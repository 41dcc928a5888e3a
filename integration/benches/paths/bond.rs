//! Who makes one device of two ports, one of which is active: teamr on each of its data paths, and
//! its peers.

use integration::{DataPath, Namespace, Process, Teamr, team_config, wait_until};

use super::open_vswitch::OpenVSwitch;

/// One that stands, on its host.
pub enum Bond {
    Teamr(Teamr),
    Teamd(Namespace, Process, String),
    Kernel(Namespace, String),
    OpenVSwitch(OpenVSwitch),
}

impl Bond {
    /// Makes `device` of `ports`.
    ///
    /// # Errors
    /// What is missing here.
    pub fn stand(
        host: &Namespace,
        name: &str,
        device: &str,
        ports: &[&str],
    ) -> Result<Bond, String> {
        let data_path = match name {
            "relay" | "tap" => DataPath::Userspace,
            "programs" => DataPath::Programs,
            _ => DataPath::Kernel,
        };
        let bond = match name {
            "ovs" => Bond::OpenVSwitch(OpenVSwitch::start(host, device, ports)?),
            "bonding" => {
                let kind = "type bond mode active-backup miimon 10";
                host.ip(&format!("link add name {device} {kind}"));
                for port in ports {
                    host.ip(&format!("link set dev {port} down"));
                    host.ip(&format!("link set dev {port} master {device}"));
                }
                Bond::Kernel(host.clone(), device.to_owned())
            }
            "teamd" => {
                host.run("mkdir -p /run/teamd");
                let mut config = team_config(device, "activebackup", data_path, ports);
                if let Some(config) = config.as_object_mut() {
                    config.remove("data_path");
                }
                let mut command = host.command("teamd");
                command.arg("-c").arg(config.to_string());
                let process = Process::start("teamd", host.folder(), command);
                wait_until("teamd to have its device", || host.has_interface(device));
                Bond::Teamd(host.clone(), process, device.to_owned())
            }
            _ => {
                let config = team_config(device, "activebackup", data_path, ports);
                let team = Teamr::start(host, &config);
                if name == "tap" {
                    team.ask("state item set teamr.data_path programs");
                }
                Bond::Teamr(team)
            }
        };
        host.up(device);
        wait_until("both ports to be up", || {
            ports.iter().all(|port| bond.is_up(port))
        });
        Ok(bond)
    }

    /// Of the daemon, where there is one.
    pub fn pid(&self) -> Option<u32> {
        match self {
            Bond::Teamr(team) => Some(team.pid()),
            Bond::Teamd(_, process, _) => Some(process.pid()),
            Bond::Kernel(..) => None,
            Bond::OpenVSwitch(switch) => Some(switch.pid()),
        }
    }

    pub fn active_port(&self) -> String {
        match self {
            Bond::Teamr(team) => team.active_port().unwrap_or_default(),
            Bond::Teamd(host, _, device) => {
                let item = format!("teamdctl {device} state item get runner.active_port");
                host.run(&item).trim().to_owned()
            }
            Bond::Kernel(host, device) => {
                let text = host.run(&format!("cat /proc/net/bonding/{device}"));
                let mut lines = text.lines();
                let active = lines.find_map(|line| line.strip_prefix("Currently Active Slave: "));
                active.unwrap_or_default().to_owned()
            }
            Bond::OpenVSwitch(switch) => switch.active_port(),
        }
    }

    pub fn is_up(&self, port: &str) -> bool {
        match self {
            Bond::Teamr(team) => team.port_up(port) == Some(true),
            Bond::Teamd(host, _, device) => {
                let item = format!("teamdctl {device} state item get ports.{port}.link.up");
                host.try_run(&item).stdout.starts_with(b"true")
            }
            Bond::Kernel(host, device) => {
                let text = host.run(&format!("cat /proc/net/bonding/{device}"));
                let (_, of_port) = text
                    .split_once(&format!("Slave Interface: {port}\n"))
                    .unwrap_or_default();
                of_port.starts_with("MII Status: up")
            }
            Bond::OpenVSwitch(switch) => switch.is_up(port),
        }
    }
}

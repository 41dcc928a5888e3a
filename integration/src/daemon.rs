//! `teamr` on a host, and queries through `teamrctl`.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output};

use nix::sys::signal::Signal;
use serde_json::Value;
use teamr::control::dbus::connection::ADDRESS_VARIABLE;
use teamr::sys::process::set_real_time;

use crate::binaries::binary;
use crate::bus::Bus;
use crate::control;
use crate::namespace::Namespace;
use crate::process::Process;
use crate::wait::wait_until;

/// Real-time priority of a daemon: below that of the tools.
const PRIORITY: u8 = 5;

/// Returns the command `teamr` on a host, without arguments.
pub fn teamr_command(host: &Namespace) -> Command {
    host.command(binary("teamr"))
}

/// A running daemon; killed when dropped.
pub struct Teamr {
    host: Namespace,
    device: String,
    process: Process,
}

impl Teamr {
    /// Starts the daemon in the foreground on a configuration that names its device, and waits
    /// until the daemon answers. Panics with the log if it does not.
    pub fn start(host: &Namespace, config: &Value) -> Teamr {
        Teamr::start_with(host, config, &[])
    }

    /// As [`start`](Teamr::start), with environment variables.
    pub fn start_with(host: &Namespace, config: &Value, variables: &[(&str, &str)]) -> Teamr {
        let mut command = teamr_command(host);
        command.envs(variables.iter().copied());
        Teamr::start_config(host, config, command)
    }

    /// As [`start`](Teamr::start), with command-line options.
    pub fn start_args(host: &Namespace, config: &Value, args: &[&str]) -> Teamr {
        let mut command = teamr_command(host);
        command.args(args);
        Teamr::start_config(host, config, command)
    }

    /// As [`start`](Teamr::start), connected to a D-Bus bus.
    pub fn start_on(host: &Namespace, config: &Value, bus: &Bus) -> Teamr {
        let mut command = teamr_command(host);
        command.arg("-D").env(ADDRESS_VARIABLE, bus.address());
        Teamr::start_config(host, config, command)
    }

    /// As [`start`](Teamr::start), with a command that lacks only the configuration.
    pub fn start_config(host: &Namespace, config: &Value, command: Command) -> Teamr {
        let device = config["device"].as_str().expect("a device in the configuration");
        let file = host.folder().join(format!("{}-{device}.json", host.name()));
        fs::write(&file, config.to_string()).expect("write a configuration");
        Teamr::start_command(host, device, command, file)
    }

    /// As [`start`](Teamr::start), with an existing configuration file.
    pub fn start_file(host: &Namespace, device: &str, file: PathBuf) -> Teamr {
        Teamr::start_command(host, device, teamr_command(host), file)
    }

    /// As [`start_file`](Teamr::start_file), with a command that lacks only the file.
    pub fn start_command(
        host: &Namespace,
        device: &str,
        mut command: Command,
        file: PathBuf,
    ) -> Teamr {
        command.arg("-f").arg(file);
        let process = Process::start(&format!("{}-teamr", host.name()), host.folder(), command);
        let mut teamr = Teamr { host: host.clone(), device: device.to_owned(), process };
        wait_until("teamr to answer", || {
            if let Some(status) = teamr.process.ended() {
                panic!("teamr ended at its start with {status}:\n{}", teamr.process.log());
            }
            teamr.ctl("state dump").status.success()
        });
        teamr
    }

    /// Returns the name of the team device.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Returns the daemon's pid.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Gives the daemon real-time priority where permitted, so that delays on a busy machine do not
    /// count against teamr. Not for benchmarks.
    pub fn take_precedence(&self) {
        let _ = set_real_time(self.pid(), PRIORITY);
    }

    /// Returns the log so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Runs `teamrctl DEVICE ARGS`, with any result.
    pub fn ctl(&self, args: &str) -> Output {
        let mut command = self.host.command(binary("teamrctl"));
        command.arg(&self.device).args(args.split_whitespace());
        command.output().expect("start teamrctl")
    }

    /// Runs `teamrctl DEVICE ARGS` and returns its output. Panics if it fails.
    pub fn ask(&self, args: &str) -> String {
        let output = self.ctl(args);
        assert!(
            output.status.success(),
            "teamrctl {} {args} ended with {}: {}",
            self.device,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Returns the state from `state dump`.
    pub fn state(&self) -> Value {
        let text = self.ask("state dump");
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("the state is no JSON: {error}\n{text}"))
    }

    /// Returns an option of the kernel's team driver, as `teamrnl` prints it.
    pub fn driver_option(&self, name: &str) -> String {
        let mut command = self.host.command(binary("teamrnl"));
        let output = command.args([&self.device, "getoption", name]).output();
        let output = output.expect("start teamrnl");
        assert!(output.status.success(), "teamrnl knows no option {name}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Returns the path of the control socket, valid on every host.
    pub fn control_socket(&self) -> PathBuf {
        format!("/proc/{}/root/run/teamd/{}.sock", self.pid(), self.device).into()
    }

    /// Requests `StateDump` on the control socket, without a client program, and returns the state.
    /// Panics without a reply.
    pub fn state_at_socket(&self) -> Value {
        let answer = control::call_at(&self.control_socket(), "StateDump", &[])
            .unwrap_or_else(|error| panic!("no answer from {}: {error}", self.device));
        let text = answer.strip_prefix("REPLY_SUCCESS\n").unwrap_or_else(|| {
            panic!("{} refused StateDump: {answer}", self.device);
        });
        serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("the state is no JSON: {error}\n{text}"))
    }

    /// Whether a port's link watches report up; `None` if the team has no such port.
    pub fn port_up(&self, port: &str) -> Option<bool> {
        self.state_at_socket()["ports"].get(port)?["link_watches"]["up"].as_bool()
    }

    /// Waits until a port's link watches report `up`.
    pub fn wait_port(&self, port: &str, up: bool) {
        let direction = if up { "up" } else { "down" };
        wait_until(&format!("port {port} of {} to be {direction}", self.device), || {
            self.port_up(port) == Some(up)
        });
    }

    /// Waits until the link watches of all these ports report up.
    pub fn wait_ports_up(&self, ports: &[&str]) {
        for port in ports {
            self.wait_port(port, true);
        }
    }

    /// Waits until the team has no such port.
    pub fn wait_no_port(&self, port: &str) {
        wait_until(&format!("{} to be without port {port}", self.device), || {
            self.port_up(port).is_none()
        });
    }

    /// Returns the ports that collect or distribute.
    pub fn carrying(&self) -> Vec<String> {
        let state = self.state_at_socket();
        let ports = state["ports"].as_object().into_iter().flatten();
        let enabled = ports.filter(|(_, port)| port["teamr"]["enabled"] == true);
        enabled.map(|(name, _)| name.clone()).collect()
    }

    /// Returns the active port (activebackup).
    pub fn active_port(&self) -> Option<String> {
        let state = self.state_at_socket();
        Some(state["runner"]["active_port"].as_str()?.to_owned())
    }

    /// Waits until this port is the active port (activebackup).
    pub fn wait_active(&self, port: &str) {
        wait_until(&format!("{port} to be active in {}", self.device), || {
            self.active_port().as_deref() == Some(port)
        });
    }

    /// Sends a signal to the daemon.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until the daemon ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// Sends SIGTERM to the daemon and waits for its end.
    pub fn stop(mut self) -> ExitStatus {
        self.process.stop()
    }

    /// Kills the daemon, as a crash would.
    pub fn crash(mut self) {
        self.process.kill();
    }
}

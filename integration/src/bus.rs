//! A system bus for one test.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use teamr::control::dbus::connection::Connection;

use crate::binaries::repository;
use crate::lab::skip;
use crate::namespace::Namespace;
use crate::process::Process;
use crate::wait::wait_for;

/// A `dbus-daemon` with the policy of a system bus and our policy file.
pub struct Bus {
    host: Namespace,
    config: PathBuf,
    address: String,
    process: Process,
}

impl Bus {
    /// Starts a bus on a host. Skips the test and returns `None` if `dbus-daemon` is not installed.
    pub fn start(host: &Namespace) -> Option<Bus> {
        Bus::start_with(host, "")
    }

    /// As [`start`](Bus::start), with more configuration.
    pub fn start_with(host: &Namespace, more: &str) -> Option<Bus> {
        if Command::new("dbus-daemon").arg("--version").output().is_err() {
            skip("no `dbus-daemon` here (Debian package dbus-daemon)");
            return None;
        }
        let socket = host.folder().join("bus");
        let address = format!("unix:path={}", socket.display());
        let config = host.folder().join("bus.conf");
        let policy = repository().join("dist/dbus-1/system.d/teamd.conf");
        let text = format!(
            "<busconfig><type>system</type><listen>{address}</listen><auth>EXTERNAL</auth>\n\
             {SYSTEM_POLICY}<include>{}</include>{more}</busconfig>\n",
            policy.display()
        );
        fs::write(&config, text).expect("write the configuration of a bus");
        let process = run(host, &config);
        let bus = Bus { host: host.clone(), config, address, process };
        bus.wait();
        Some(bus)
    }

    /// Returns the address of the bus.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Connects to the bus.
    pub fn connect(&self) -> Connection {
        Connection::open_at(&self.address).expect("connect to the bus")
    }

    /// Stops the process of the bus, which then neither accepts connections nor replies.
    pub fn freeze(&mut self) {
        self.process.signal(Signal::SIGSTOP);
    }

    /// Resumes the stopped process of the bus.
    pub fn thaw(&mut self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// Kills the bus.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the bus again at the same address.
    pub fn start_again(&mut self) {
        self.process = run(&self.host, &self.config);
        self.wait();
    }

    fn wait(&self) {
        wait_for("the bus to take connections", || Connection::open_at(&self.address).ok());
    }
}

fn run(host: &Namespace, config: &std::path::Path) -> Process {
    let mut command = host.command("dbus-daemon");
    command.arg("--nofork").arg("--config-file").arg(config);
    Process::start("bus", host.folder(), command)
}

/// The policy of dbus-daemon's system.conf: owning a name and receiving calls need a policy file.
const SYSTEM_POLICY: &str = r#"<policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
</policy>
"#;

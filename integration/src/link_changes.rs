//! Changes of one interface at a steady pace, over one netlink socket: a thousand `ip` processes a
//! second would load the machine more than the link events do.

use std::io;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use teamr::netlink::{RouteSocket, link};

use crate::namespace::Namespace;
use crate::process::Process;
use crate::tools;
use crate::traffic::{now, usage};

/// The change; each one causes at least one link event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkChange {
    /// The MTU alternates between two values.
    Mtu,
    /// Up, then down; the interface ends down.
    UpDown,
    /// Down, then up; the interface ends up.
    DownUp,
}

impl LinkChange {
    const ALL: [(LinkChange, &str); 3] = [
        (LinkChange::Mtu, "mtu"),
        (LinkChange::UpDown, "up-down"),
        (LinkChange::DownUp, "down-up"),
    ];

    fn word(self) -> &'static str {
        let found = LinkChange::ALL.iter().find(|(change, _)| *change == self);
        found.map_or("", |(_, word)| word)
    }

    fn apply(self, route: &mut RouteSocket, ifindex: u32, number: u32) -> io::Result<()> {
        let even = number % 2 == 0;
        match self {
            LinkChange::Mtu => link::set_mtu(route, ifindex, if even { 1400 } else { 1500 }),
            LinkChange::UpDown => link::set_admin_up(route, ifindex, even),
            LinkChange::DownUp => link::set_admin_up(route, ifindex, !even),
        }
    }
}

/// Changes one interface in the background; stops when dropped.
pub struct LinkChanges {
    process: Process,
}

impl LinkChanges {
    /// Changes an interface `count` times within `time`, or more slowly on a slow machine.
    pub fn start(
        host: &Namespace,
        interface: &str,
        change: LinkChange,
        count: u32,
        time: Duration,
    ) -> LinkChanges {
        let mut command = host.command(tools::program());
        command.args(["change-link", interface, change.word()]);
        command.args([count.to_string(), time.as_millis().to_string()]);
        let process = Process::start(&format!("change-{interface}"), host.folder(), command);
        LinkChanges { process }
    }

    /// Returns the changes per second; `None` until the last change is made.
    pub fn pace(&mut self) -> Option<f64> {
        let status = self.process.ended()?;
        let log = self.process.log();
        assert!(status.success(), "the tool ended with {status}: {log}");
        let report: Value = serde_json::from_str(&log).expect("a report");
        report["per_second"].as_f64()
    }
}

/// `change-link INTERFACE HOW COUNT MILLISECONDS`: changes an interface, then writes the changes
/// per second.
pub fn run_change_link(args: &[String]) -> io::Result<()> {
    let usage = || usage("change-link INTERFACE mtu|up-down|down-up COUNT MILLISECONDS");
    let [interface, how, count, time] = args else {
        return Err(usage());
    };
    let change = LinkChange::ALL.iter().find(|(_, word)| word == how);
    let (change, _) = change.ok_or_else(usage)?;
    let count: u32 = count.parse().map_err(io::Error::other)?;
    let time = Duration::from_millis(time.parse().map_err(io::Error::other)?);
    let mut route = RouteSocket::open()?;
    let ifindex = link::find(&mut route, interface)?.ifindex;
    let start = now();
    let since = || Duration::from_nanos(now() - start);
    for number in 0..count {
        change.apply(&mut route, ifindex, number)?;
        thread::sleep((time / count * (number + 1)).saturating_sub(since()));
    }
    let per_second = f64::from(count) / since().as_secs_f64();
    println!("{}", json!({ "per_second": per_second }));
    Ok(())
}

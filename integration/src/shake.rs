//! Changes of an interface one after the other, at a steady pace, over one netlink socket: a
//! thousand calls of `ip` a second would be a storm of processes, not of link events.

use std::io;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use teamr::netlink::{RouteSocket, link};

use crate::binaries::binary;
use crate::namespace::Namespace;
use crate::process::Process;
use crate::traffic::{now, usage};

/// What is changed, each time; every change is at least one link event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shaking {
    /// The MTU, back and forth.
    Mtu,
    /// Up and then down, so that it ends down.
    UpDown,
    /// Down and then up, so that it ends up.
    DownUp,
}

impl Shaking {
    const ALL: [(Shaking, &str); 3] = [
        (Shaking::Mtu, "mtu"),
        (Shaking::UpDown, "up-down"),
        (Shaking::DownUp, "down-up"),
    ];

    fn word(self) -> &'static str {
        let found = Shaking::ALL.iter().find(|(shaking, _)| *shaking == self);
        found.map_or("", |(_, word)| word)
    }

    fn change(self, route: &mut RouteSocket, ifindex: u32, number: u32) -> io::Result<()> {
        let even = number % 2 == 0;
        match self {
            Shaking::Mtu => link::set_mtu(route, ifindex, if even { 1400 } else { 1500 }),
            Shaking::UpDown => link::set_admin_up(route, ifindex, even),
            Shaking::DownUp => link::set_admin_up(route, ifindex, !even),
        }
    }
}

/// An interface being shaken; left alone when dropped.
pub struct Shaken {
    process: Process,
}

impl Shaken {
    /// Changes an interface `count` times within `time`, or slower if the machine is.
    pub fn start(
        host: &Namespace,
        interface: &str,
        shaking: Shaking,
        count: u32,
        time: Duration,
    ) -> Shaken {
        let mut command = host.command(binary("traffic"));
        command.args(["shake", interface, shaking.word()]);
        command.args([count.to_string(), time.as_millis().to_string()]);
        let process = Process::start(&format!("shake-{interface}"), host.folder(), command);
        Shaken { process }
    }

    /// Changes a second, once it is over.
    pub fn pace(&mut self) -> Option<f64> {
        let status = self.process.ended()?;
        let log = self.process.log();
        assert!(status.success(), "shaking ended with {status}: {log}");
        let report: Value = serde_json::from_str(&log).expect("a report");
        report["per_second"].as_f64()
    }
}

/// `shake INTERFACE HOW COUNT MILLISECONDS`: changes an interface, then writes the pace.
pub fn run_shake(args: &[String]) -> io::Result<()> {
    let usage = || usage("shake INTERFACE mtu|up-down|down-up COUNT MILLISECONDS");
    let [interface, how, count, time] = args else {
        return Err(usage());
    };
    let shaking = Shaking::ALL.iter().find(|(_, word)| word == how);
    let (shaking, _) = shaking.ok_or_else(usage)?;
    let count: u32 = count.parse().map_err(io::Error::other)?;
    let time = Duration::from_millis(time.parse().map_err(io::Error::other)?);
    let mut route = RouteSocket::open()?;
    let ifindex = link::find(&mut route, interface)?.ifindex;
    let start = now();
    let since = || Duration::from_nanos(now() - start);
    for number in 0..count {
        shaking.change(&mut route, ifindex, number)?;
        thread::sleep((time / count * (number + 1)).saturating_sub(since()));
    }
    let per_second = f64::from(count) / since().as_secs_f64();
    println!("{}", json!({ "per_second": per_second }));
    Ok(())
}

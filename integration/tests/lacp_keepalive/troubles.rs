//! Troubles beside a frozen daemon: the partner's port is out as fast as with no help of the kernel.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use integration::{
    CableKind, DataPath, Lab, Namespace, Sharing, Teamr, in_virtual_time, team_config, wait_until,
};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{LINKS, is_armed};

/// What happens to eth1 while the daemon is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// The cable of the frozen host leads to another host, which has another system and key; the
    /// carrier stays at all ends.
    SwappedCable,
    /// The partner gives its port another key.
    OtherKey,
    /// The partner receives nothing, and goes on to send.
    Deaf,
}

/// In a guest.
mod guest {
    use super::*;

    #[test]
    fn a_trouble_ends_the_aggregation_as_fast_as_without_help() {
        in_virtual_time(|_| {
            for data_path in [DataPath::Kernel, DataPath::Programs] {
                for trouble in [Trouble::SwappedCable, Trouble::OtherKey, Trouble::Deaf] {
                    // The daemon runs until the trouble, or the kernel has helped for a while.
                    let [alone, helped] = [(0, 0), (600, 20)].map(|(keepalive, seconds)| {
                        let frozen = Duration::from_secs(seconds);
                        time_out(data_path, trouble, keepalive, frozen)
                    });
                    println!(
                        "  {}, {trouble:?}: out after {alone:.2?}, with the kernel's help {helped:.2?}",
                        data_path.name()
                    );
                    let most = Duration::from_millis(3050);
                    assert!(alone <= most && helped <= most);
                }
            }
        });
    }
}

/// Has frames that `from` of the patch panel receives leave on `to`, or end there.
fn lead(panel: &Namespace, from: &str, to: Option<&str>) {
    let action = to.map_or("drop".to_owned(), |to| format!("mirred egress redirect dev {to}"));
    panel.try_run(&format!("tc filter delete dev {from} ingress"));
    panel.run(&format!("tc filter add dev {from} ingress pref 1 matchall action {action}"));
}

/// Returns the configuration of a team at the standard fast rate.
fn config(data_path: DataPath, ports: &[&str], keepalive: u64) -> Value {
    let mut config = team_config("team0", "lacp", data_path, ports);
    config["runner"]["fast_rate"] = true.into();
    config["runner"]["keepalive"] = keepalive.into();
    config
}

/// Returns how long after the trouble the partner's port carries no more, `frozen` after the daemon was
/// frozen.
fn time_out(data_path: DataPath, trouble: Trouble, keepalive: u64, frozen: Duration) -> Duration {
    let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
    let [left, right, other, panel] =
        ["left", "right", "other", "panel"].map(|name| lab.host(name));
    for (host, end) in [(&left, "l1"), (&right, "r1"), (&other, "o1")] {
        lab.cable((host, "eth1"), (&panel, end), CableKind::Virtual);
        panel.up(end);
        panel.run(&format!("tc qdisc add dev {end} clsact"));
    }
    lab.cable((&left, "eth2"), (&right, "eth2"), CableKind::Virtual);
    for (from, to) in [("l1", Some("r1")), ("r1", Some("l1")), ("o1", None)] {
        lead(&panel, from, to);
    }
    let start = |host: &Namespace, ports: &[&str], keepalive: u64| {
        let team = Teamr::start(host, &config(data_path, ports, keepalive));
        host.up("team0");
        team
    };
    let mut team = start(&left, &LINKS, keepalive);
    let partner = start(&right, &LINKS, 600);
    let stranger = start(&other, &["eth1"], 600);
    super::carry([&team, &partner]);
    if keepalive > 0 {
        wait_until("the program to be ready", || is_armed(&team, "eth1"));
    }
    let carries = |team: &Teamr| team.carrying().contains(&"eth1".to_owned());
    team.signal(Signal::SIGSTOP);
    thread::sleep(frozen);
    assert!(carries(&partner), "the partner left before the trouble");
    let begin = Instant::now();
    match trouble {
        Trouble::SwappedCable => {
            lead(&panel, "r1", None);
            lead(&panel, "l1", Some("o1"));
            lead(&panel, "o1", Some("l1"));
        }
        Trouble::OtherKey => {
            let mut config = config(data_path, &LINKS, 600);
            config["ports"]["eth1"]["lacp_key"] = 7.into();
            let file = right.folder().join("right-team0.json");
            fs::write(file, config.to_string()).expect("write a configuration");
            partner.ask("reload");
        }
        Trouble::Deaf => lead(&panel, "l1", None),
    }
    while carries(&partner) && begin.elapsed() < Duration::from_secs(30) {
        thread::sleep(Duration::from_millis(10));
    }
    let out = begin.elapsed();
    // Neither the partner nor another host aggregates with a daemon that is frozen.
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        assert!(!carries(&partner) && !carries(&stranger), "{trouble:?}");
        thread::sleep(Duration::from_millis(500));
    }
    team.signal(Signal::SIGCONT);
    out
}

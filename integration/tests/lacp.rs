//! lacp with the bonding driver as partner, on both data paths, in a guest kernel.
#![allow(clippy::disallowed_methods, reason = "a test waits for and measures real daemons")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use integration::{
    DataPath, Lab, Namespace, Ping, Sharing, TeamAndBond, Teamr, in_virtual_time, wait_until,
};
use serde_json::{Value, json};

const PACKETS: u32 = 20;
const LINKS: [&str; 2] = ["eth1", "eth2"];

fn config(data_path: DataPath, fast: bool, active: bool) -> Value {
    json!({
        "device": "team0",
        "data_path": data_path.name(),
        "runner": {
            "name": "lacp", "fast_rate": fast, "active": active,
            "tx_hash": ["eth", "ipv4", "udp"],
        },
        "ports": {"eth1": {}, "eth2": {}},
    })
}

/// Starts the daemon on the left host and sets the team device up.
fn team(bonded: &TeamAndBond, config: &Value, args: &[&str]) -> Teamr {
    let teamr = Teamr::start_args(&bonded.left, config, args);
    bonded.left.up("team0");
    teamr
}

fn wait_for_carrying(bonded: &TeamAndBond, teamr: &Teamr, count: usize) {
    wait_until(&format!("{count} ports to carry at both ends"), || {
        teamr.carrying().len() == count && bonded.carrying() == count
    });
}

fn why(teamr: &Teamr, port: &str) -> String {
    let state = teamr.state_at_socket();
    let why = &state["ports"][port]["teamr"]["lacp"]["why"];
    why.as_str().unwrap_or_default().to_owned()
}

fn ping(from: &Namespace, to: &str, when: &str) {
    // The first packet resolves the address.
    Ping::run(from, to, 1, "");
    let ping = Ping::run(from, to, PACKETS, "");
    assert!(ping.is_exact(), "{when}: {ping:?}");
}

#[test]
fn a_bond_aggregates_with_every_rate_and_activity() {
    in_virtual_time(|_| {
        for data_path in [DataPath::Kernel, DataPath::Userspace] {
            for (fast, active, bond) in [
                (true, true, "lacp_rate fast"),
                (false, true, "lacp_rate slow"),
                (true, false, "lacp_rate slow"),
                (true, true, "lacp_rate fast lacp_active off"),
            ] {
                let what = format!("{}, fast {fast}, active {active}, {bond}", data_path.name());
                let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
                let bonded = TeamAndBond::new(&lab, bond);
                let teamr = team(&bonded, &config(data_path, fast, active), &[]);
                let begin = Instant::now();
                wait_for_carrying(&bonded, &teamr, 2);
                println!("  {what}: both ports after {:.1?}", begin.elapsed());
                bonded.left.address("team0", "10.0.0.1/24");
                ping(&bonded.left, "10.0.0.2", &what);
                ping(&bonded.right, "10.0.0.1", &what);
                let state = teamr.state();
                assert_eq!(state["setup"]["kernel_team_mode_name"], "loadbalance");
                for link in LINKS {
                    let port = &state["ports"][link];
                    assert_eq!(port["runner"]["state"], "current");
                    assert_eq!(port["teamr"]["lacp"]["why"], "");
                }
                assert!(teamr.stop().success());
                // The last LACPDU detaches the bond's ports before a timeout.
                wait_until("the bond to have no partner", || bonded.carrying() == 0);
            }
        }
    });
}

#[test]
fn a_port_without_pdus_stops_carrying_after_the_timeout() {
    in_virtual_time(|_| {
        for data_path in [DataPath::Kernel, DataPath::Userspace] {
            let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
            let bonded = TeamAndBond::new(&lab, "lacp_rate fast");
            let teamr = team(&bonded, &config(data_path, true, true), &[]);
            wait_for_carrying(&bonded, &teamr, 2);
            bonded.left.address("team0", "10.0.0.1/24");
            let filter = "protocol 0x8809 matchall action drop";
            bonded.right.run("tc qdisc add dev eth2 clsact");
            bonded.right.run(&format!("tc filter add dev eth2 egress {filter}"));
            let begin = Instant::now();
            wait_until("the port without PDUs to stop", || teamr.carrying() == ["eth1"]);
            println!("  {}: stopped after {:.1?}", data_path.name(), begin.elapsed());
            // The LACPDU of the expired port is out of sync, so the bond stops at once, too.
            wait_for_carrying(&bonded, &teamr, 1);
            println!("    the bond stopped after {:.1?}", begin.elapsed());
            assert_eq!(teamr.state()["ports"]["eth2"]["runner"]["state"], "expired");
            ping(&bonded.left, "10.0.0.2", "on one port");
            wait_until("the diagnosis", || why(&teamr, "eth2").starts_with("no LACPDU heard for"));
            // The partner sent each second until the cable broke.
            wait_until("the finding", || {
                let status = teamr.ctl("status");
                String::from_utf8_lossy(&status.stdout).contains("[lacp-partner-silent]")
            });
            bonded.right.run("tc filter del dev eth2 egress");
            wait_for_carrying(&bonded, &teamr, 2);
            ping(&bonded.left, "10.0.0.2", "on both again");
        }
    });
}

#[test]
fn a_restarted_daemon_keeps_the_aggregation() {
    in_virtual_time(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let bonded = TeamAndBond::new(&lab, "lacp_rate fast");
        let config = config(DataPath::Kernel, true, true);
        let mut teamr = team(&bonded, &config, &["-N"]);
        wait_for_carrying(&bonded, &teamr, 2);
        bonded.left.address("team0", "10.0.0.1/24");
        ping(&bonded.left, "10.0.0.2", "before");
        for (what, crashes) in [("restart with -N and -o", false), ("kill -9 and -o", true)] {
            let mut pings = bonded.right.start("ping -n -q -i 0.02 -W 1 -c 150 10.0.0.1");
            sleep(Duration::from_millis(500));
            match crashes {
                true => teamr.crash(),
                false => assert!(teamr.stop().success()),
            }
            let mut least = bonded.carrying();
            teamr = Teamr::start_args(&bonded.left, &config, &["-N", "-o"]);
            let end = Instant::now() + Duration::from_secs(3);
            while Instant::now() < end {
                least = least.min(bonded.carrying());
                sleep(Duration::from_millis(5));
            }
            assert_eq!(least, 2, "{what}: the bond detached a port");
            assert_eq!(teamr.carrying(), LINKS);
            pings.wait();
            let log = pings.log();
            println!("  {what}: {}", log.lines().rev().nth(1).unwrap_or_default());
            assert!(log.contains(" 0% packet loss"), "{what}: {log}");
        }
    });
}

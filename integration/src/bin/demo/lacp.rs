//! A host and its LACP partner; then a port of the partner in another group.

use std::io::{self, Write};

use integration::{DataPath, Lab, Ping, Teamr, TwoTeams, team_config, wait_until};
use serde_json::Value;

use crate::{END, show, show_ping};

const PORTS: [&str; 2] = ["eth1", "eth2"];
/// Echo requests of each ping.
const REQUESTS: u32 = 10;

const PICTURE: &str = "
  left                                        right, in place of a switch
 ┌───────────────┐                           ┌───────────────┐
 │         eth1 ─┼───────────────────────────┼─ eth1         │
 │ team0 <       │                           │       > team0 │
 │         eth2 ─┼───────────────────────────┼─ eth2         │
 └───────────────┘                           └───────────────┘
  10.0.0.1                                    10.0.0.2
";

/// Runs the demo.
pub fn run(lab: &Lab, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Two hosts, each with a team of runner lacp on the data path relay:\n{PICTURE}")?;
    let hosts = TwoTeams::new(lab);
    let left = Teamr::start(&hosts.left, &config());
    let right = Teamr::start(&hosts.right, &config());
    hosts.set_up_teams();
    wait_selected(&left, 2);
    ping(out, &hosts)?;
    show(out, "left", &left, "status")?;
    let flow = "hash 10.0.0.1:40000 10.0.0.2:443";
    show(out, "left", &left, flow)?;

    writeln!(out, "\nNow the right host has its eth2 in another group, by another key.")?;
    right.stop();
    let mut other_key = config();
    other_key["ports"]["eth2"]["lacp_key"] = 7.into();
    let right = start_again(&hosts, &other_key);
    wait_until("the left host to see the other key", || finds(&left, "lacp-partner-keys-unlike"));
    show(out, "left", &left, "doctor")?;
    show(out, "left", &left, "explain lacp-partner-keys-unlike")?;

    writeln!(out, "\nThe right host gets its former configuration back.\n")?;
    right.stop();
    let right = start_again(&hosts, &config());
    wait_selected(&left, 2);
    ping(out, &hosts)?;
    right.stop();
    left.stop();
    writeln!(out, "\n{END}")
}

fn config() -> Value {
    let mut config = team_config("team0", "lacp", DataPath::Userspace, &PORTS);
    config["runner"]["fast_rate"] = true.into();
    config
}

/// Starts the right host's team with another configuration.
fn start_again(hosts: &TwoTeams, config: &Value) -> Teamr {
    let team = Teamr::start(&hosts.right, config);
    hosts.right.up("team0");
    hosts.right.address("team0", "10.0.0.2/24");
    team
}

/// Waits until a team forwards by this number of ports.
fn wait_selected(team: &Teamr, count: usize) {
    wait_until("the ports to be in one aggregate", || team.carrying().len() == count);
}

fn finds(team: &Teamr, id: &str) -> bool {
    let found: Value =
        serde_json::from_slice(&team.ctl("doctor --json").stdout).unwrap_or_default();
    found["team0"].as_array().is_some_and(|found| found.iter().any(|finding| finding["id"] == id))
}

/// Pings the right host; an unanswered request is an error.
fn ping(out: &mut dyn Write, hosts: &TwoTeams) -> io::Result<()> {
    let mut ping = Ping::run(&hosts.left, "10.0.0.2", REQUESTS, "");
    // The partner may still wait for the collector to be ready.
    if ping.answered < ping.sent {
        ping = Ping::run(&hosts.left, "10.0.0.2", REQUESTS, "");
    }
    show_ping(out, "left", "10.0.0.2", ping)?;
    match ping.answered == ping.sent {
        true => Ok(()),
        false => Err(io::Error::other("the right host did not answer every ping")),
    }
}

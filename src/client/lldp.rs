//! `lldp`: hands the Link Aggregation TLV of each port to lldpd, which does not know the ports of a
//! team.
//!
//! Standard: IEEE 802.1AX-2014, annex F.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::process::{Command as Program, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::command::Command;
use super::error::Error;
use super::options::Options;
use super::status::ports::of_port;
use super::teams;
use crate::process::signals::Signals;
use crate::state::{OrEmpty, State};
use crate::sys::clock;

/// Pause between two readings of the states, in milliseconds.
const PAUSE: u16 = 1000;
/// Time after which lldpd gets every TLV again, since a restarted lldpd has lost the TLVs.
const REPEAT: Duration = Duration::from_secs(30);

/// Runners whose ports are one link for the switch.
const AGGREGATES: [&str; 4] = ["lacp", "loadbalance", "random", "roundrobin"];

/// Organization and subtype of the TLV, as lldpcli reads them.
const TLV: [&str; 4] = ["oui", "00,80,C2", "subtype", "7"];
/// Bits of the aggregation status.
const CAPABLE: u8 = 1;
const AGGREGATED: u8 = 2;

/// The contents of TLVs by port, as lldpcli reads them: the aggregation status, and in four octets
/// the interface index of the team device as the aggregated port ID.
type Contents = BTreeMap<String, String>;

/// Keeps the TLVs of the ports of all teams that `devices` returns up to date until a signal, then
/// removes the TLVs.
///
/// # Errors
/// The error of lldpcli if lldpd does not run or refuses a TLV; the errors of reading signals.
pub fn follow(devices: impl Fn() -> Vec<String>, options: &Options) -> Result<(), Error> {
    let mut signals = Signals::take_endings().map_err(Error::Lldp)?;
    let mut handed = Contents::new();
    let mut repeat = clock::monotonic();
    loop {
        let wanted = contents(&devices(), options);
        let gone = handed.keys().filter(|port| !wanted.contains_key(*port));
        gone.for_each(|port| drop(remove(port)));
        let is_due = clock::monotonic() >= repeat;
        for (port, content) in &wanted {
            if is_due || handed.get(port) != Some(content) {
                hand_over(port, content).map_err(Error::Lldp)?;
            }
        }
        if is_due {
            repeat = clock::monotonic() + REPEAT;
        }
        handed = wanted;
        if ended(&mut signals).map_err(Error::Lldp)? {
            handed.keys().for_each(|port| drop(remove(port)));
            return Ok(());
        }
    }
}

/// Waits for the next reading; returns whether a signal ended the wait.
fn ended(signals: &mut Signals) -> io::Result<bool> {
    let mut sources = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    match poll(&mut sources, PollTimeout::from(PAUSE)) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    let requests = signals.read()?;
    Ok(requests.stop.is_some() || requests.reload)
}

/// Returns the contents for the ports of these teams; a team that does not answer has none.
fn contents(devices: &[String], options: &Options) -> Contents {
    let states = devices.iter().filter_map(|device| {
        let team = teams::connect(device, options).ok()?;
        Some((if_nametoindex(device.as_str()).ok()?, team.state(&Command::Lldp).ok()?))
    });
    states.flat_map(|(ifindex, state)| contents_of(ifindex, &state)).collect()
}

/// Returns the contents for the ports of one team.
fn contents_of(ifindex: u32, state: &State) -> Contents {
    let runner = state.setup.or_empty().runner_name.as_deref().unwrap_or_default();
    let is_aggregate = AGGREGATES.contains(&runner);
    let ports = state.ports().filter(|(name, _)| is_plain(name)).map(|(name, port)| {
        let status = of_port(name, port, state.runner.or_empty(), None, None);
        let has_partner = runner != "lacp" || status.partner.is_some();
        let carries = status.role.as_deref() == Some("carries");
        let (bits, id) = match is_aggregate && has_partner && carries {
            true => (CAPABLE | AGGREGATED, ifindex),
            false => (CAPABLE, 0),
        };
        let octets = id.to_be_bytes().map(|octet| format!("{octet:02x}")).join(",");
        (name.to_owned(), format!("{bits:02x},{octets}"))
    });
    ports.collect()
}

/// Returns whether lldpcli takes the name for that of one interface: lldpcli gives a meaning to
/// other characters.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@:".contains(&byte))
}

fn hand_over(port: &str, content: &str) -> io::Result<()> {
    let contents = ["oui-info", content];
    let words = [&["configure", "ports", port, "lldp", "custom-tlv", "replace"], &TLV[..]].concat();
    lldpcli(&[&words[..], &contents].concat())
}

fn remove(port: &str) -> io::Result<()> {
    lldpcli(&[&["unconfigure", "ports", port, "lldp", "custom-tlv"], &TLV[..]].concat())
}

/// Executes a command of lldpcli.
///
/// # Errors
/// lldpcli cannot be started, fails, or runs longer than five seconds; the error has the last line
/// that lldpcli wrote.
fn lldpcli(words: &[&str]) -> io::Result<()> {
    let mut program = Program::new("timeout");
    program.args(["5", "lldpcli"]).args(words).stdin(Stdio::null());
    let output = program.output()?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let reason = text.lines().last().unwrap_or("no answer");
            Err(io::Error::other(format!("lldpcli: {reason}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::state::Part;

    fn contents_of(runner: &str, state: Value) -> Vec<String> {
        let mut state = state;
        state["setup"] = json!({"runner_name": runner});
        let state = State::read(&state).expect("a state");
        let contents = super::contents_of(0x0102, &state).into_iter();
        contents.map(|(port, content)| format!("{port} {content}")).collect()
    }

    #[test]
    fn a_port_that_carries_in_an_aggregate_has_the_id_of_the_team() {
        let up = json!({"link": {"up": true}});
        let down = json!({"link": {"up": false}});
        let ports = json!({"ports": {"eth1": up, "eth2": down, "e'x": up}});
        let expected = ["eth1 03,00,00,01,02", "eth2 01,00,00,00,00"];
        assert_eq!(contents_of("loadbalance", ports.clone()), expected);
        let alone = ["eth1 01,00,00,00,00", "eth2 01,00,00,00,00"];
        assert_eq!(contents_of("activebackup", ports.clone()), alone);
        // Without a partner.
        assert_eq!(contents_of("lacp", ports), alone);
        let partner = |system: &str| {
            let info = json!({"partner_lacpdu_info": {"system": system}});
            json!({"ports": {"eth1": {"link": {"up": true}, "runner": info}}})
        };
        let carries = ["eth1 03,00,00,01,02"];
        assert_eq!(contents_of("lacp", partner("02:00:00:00:00:01")), carries);
        assert_eq!(contents_of("lacp", partner("00:00:00:00:00:00")), ["eth1 01,00,00,00,00"]);
    }
}

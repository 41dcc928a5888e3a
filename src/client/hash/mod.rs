//! `hash`: the port that a frame of the team device leaves on, and why.
//!
//! The daemon chooses, by the forwarding in force; this module makes or reads the frames.

pub mod capture;
mod flow;
mod next_hop;

use std::io;
use std::net::IpAddr;
use std::path::Path;

use runners::wire::{Ethernet, Ipv4, Ipv6, Upper, ethertype, protocol};
use runners::{HwAddr, hex_digits};
use serde_json::Value;

use super::command::Command;
use super::error::Error;
use super::facts::INTERFACES;
use super::options::Options;
use super::teams::Team;
use crate::files;
use crate::netlink::{RouteSocket, address};
use crate::state::choice::Choice;
use crate::state::{OrEmpty, Part};
use capture::Frame;
use flow::Endpoint;

/// Bytes of the largest capture file.
const LONGEST_FILE: u64 = 64 << 20;
/// Bytes of a frame that the daemon gets: the headers of four tunnels fit.
const HEADERS: usize = 224;
/// Frames in one call: the request is shorter than the daemon's limit of 64 KiB.
const FRAMES: usize = 96;

/// Executes one of the commands. Adds a line for each frame to `text`, or returns the answer for
/// `--json`: an object for a flow, a list for a file.
pub fn execute(
    team: &Team,
    command: &Command,
    options: &Options,
    text: &mut String,
) -> Result<Option<Value>, Error> {
    let mut damage = None;
    let choices = match command {
        Command::HashFile(file) => {
            let bytes = files::read_named(Path::new(file), LONGEST_FILE);
            let bytes = bytes.map_err(|e| unreadable(file, e))?;
            let capture = capture::read(&bytes);
            let capture = capture.map_err(|why| Error::Flow(format!("\"{file}\": {why}")))?;
            let count = capture.frames.len();
            damage = capture.damage.map(|why| Error::DamagedCapture(file.clone(), count, why));
            choose_each(team, command, &capture.frames)?
        }
        Command::HashFlow(source, destination) => {
            let frame = frame_of(team, command, [source, destination], None)?;
            choose(team, command, &[&frame])?
        }
        Command::HashFlowOf(source, destination, protocol) => {
            let frame = frame_of(team, command, [source, destination], Some(protocol))?;
            choose(team, command, &[&frame])?
        }
        // Other modules execute the other commands.
        _ => return Ok(None),
    };
    if options.json {
        if let Some(error) = damage {
            return Err(error);
        }
        let list: Value = choices.iter().map(Choice::to_json).collect();
        return Ok(Some(match (command, list) {
            (Command::HashFile(_), list) => list,
            (_, Value::Array(mut list)) => list.pop().unwrap_or_default(),
            (_, other) => other,
        }));
    }
    choices.iter().for_each(|choice| *text += &line(choice));
    damage.map_or(Ok(None), Err)
}

/// Returns the error of a capture file that cannot be read.
fn unreadable(file: &str, error: io::Error) -> Error {
    let error = match error.kind() {
        io::ErrorKind::FileTooLarge => io::Error::other(format!(
            "{}; write its first frames to another file: tcpdump -r FILE -c 10000 -w NEW",
            files::too_large(LONGEST_FILE)
        )),
        _ => error,
    };
    Error::Read(file.to_owned(), error)
}

/// Returns a frame of the flow between two ends. The source has the address of the team unless
/// another is given, the destination that of the next hop.
fn frame_of(
    team: &Team,
    command: &Command,
    ends: [&String; 2],
    protocol: Option<&str>,
) -> Result<Vec<u8>, Error> {
    let [source, destination] = ends.map(|end| Endpoint::parse(end).map_err(Error::Flow));
    let (mut source, mut destination) = (source?, destination?);
    if source.hwaddr.is_none() {
        source.hwaddr = match source.ip.filter(|ip| is_guest(team, *ip)) {
            Some(ip) => Some(hwaddr_of_guest(ip)?),
            None => {
                let state = team.state(command)?;
                let own = state.team_device.or_empty().ifinfo.or_empty().dev_addr.as_deref();
                own.and_then(|own| own.parse().ok())
            }
        };
    }
    if destination.hwaddr.is_none() {
        destination.hwaddr = destination.ip.and_then(next_hop::hwaddr_of);
        if destination.hwaddr.is_none() && tx_hash(team).contains(&"eth") {
            return Err(Error::Flow(format!(
                "tx_hash reads the hardware address of the destination, and the kernel knows none; \
                 ping the destination once, or name the address of the next hop: 02:00:00:00:00:01/{}",
                ends[1]
            )));
        }
    }
    let protocol = flow::protocol_number(protocol, [&source, &destination]);
    let frame = protocol.and_then(|protocol| flow::frame(&source, &destination, protocol));
    frame.map_err(Error::Flow)
}

/// Returns whether a source address is behind the bridge of the team: no interface of the host has
/// the address.
fn is_guest(team: &Team, ip: IpAddr) -> bool {
    let has_bridge = Path::new(INTERFACES).join(&team.device).join("brport").exists();
    let addresses = RouteSocket::open().and_then(|mut route| address::all(&mut route));
    has_bridge && addresses.is_ok_and(|list| list.iter().all(|held| held.address != ip))
}

/// Returns the hardware address of a guest, from the kernel's table of neighbours.
fn hwaddr_of_guest(ip: IpAddr) -> Result<HwAddr, Error> {
    next_hop::neighbour_of(ip).ok_or_else(|| {
        Error::Flow(format!(
            "no interface of this host has {ip}, and the kernel does not know the guest with this address; \
             name the hardware address of the guest, too: 52:54:00:12:34:56/{ip}"
        ))
    })
}

/// Returns the words of `runner.tx_hash`.
fn tx_hash(team: &Team) -> Vec<&str> {
    let words = team.config.pointer("/runner/tx_hash").and_then(Value::as_array);
    words.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Returns the choice for each frame of a capture file.
fn choose_each(team: &Team, command: &Command, frames: &[Frame<'_>]) -> Result<Vec<Choice>, Error> {
    let ethernet = frames.iter().filter_map(|frame| match frame {
        Frame::Ethernet(bytes) => Some(*bytes),
        Frame::Other(_) => None,
    });
    let mut chosen = choose(team, command, &ethernet.collect::<Vec<_>>())?.into_iter();
    let choices = frames.iter().filter_map(|frame| match frame {
        Frame::Ethernet(_) => chosen.next(),
        Frame::Other(link) => Some(Choice {
            frame: Some(format!("a frame of link type {link}")),
            ports: Some(String::new()),
            why: Some("a team carries Ethernet (link type 1) alone".to_owned()),
            ..Choice::default()
        }),
    });
    Ok(choices.collect())
}

/// Asks the daemon for the ports of these frames.
fn choose(team: &Team, command: &Command, frames: &[&[u8]]) -> Result<Vec<Choice>, Error> {
    let mut choices = Vec::new();
    for chunk in frames.chunks(FRAMES) {
        let headers = |frame: &&[u8]| hex_digits::write(&frame[..frame.len().min(HEADERS)]);
        let request: Vec<String> = chunk.iter().map(headers).collect();
        let answers = team.call_json(command, "FramePorts", &[&request.join(" ")])?;
        let answers = answers.as_array().ok_or(Error::NotJson)?;
        let pairs = chunk.iter().zip(answers);
        choices.extend(pairs.map(|(frame, answer)| choice(team, frame, answer)));
    }
    Ok(choices)
}

fn choice(team: &Team, frame: &[u8], answer: &Value) -> Choice {
    let ports = answer["ports"].as_array().into_iter().flatten();
    let ports: Vec<&str> = ports.filter_map(Value::as_str).collect();
    let bucket = answer["bucket"].as_u64();
    Choice {
        frame: Some(describe(frame)),
        ports: Some(ports.join(" ")),
        bucket,
        source: answer["source"].as_str().map(str::to_owned),
        why: Some(why(team, answer["rule"].as_str().unwrap_or_default(), bucket, ports.is_empty())),
    }
}

/// Returns the reason of a choice by a rule of the daemon.
fn why(team: &Team, rule: &str, bucket: Option<u64>, is_dropped: bool) -> String {
    let bucket = bucket.map_or_else(String::new, |bucket| format!("bucket {bucket} of 256"));
    let reason = match rule {
        "active" => "the active port carries every frame".to_owned(),
        "all" => "every port with a link sends a copy".to_owned(),
        "next" => "each frame leaves on the next of these ports".to_owned(),
        "random" => "each frame leaves on a random one of these ports".to_owned(),
        "flow" => format!("{bucket} by tx_hash {}", tx_hash(team).join(", ")),
        "station" => format!("{bucket} by the source address"),
        "peer" => format!("{bucket} by the destination of the host's own traffic"),
        "designated" => {
            "the designated port carries the team's own frames and membership reports".to_owned()
        }
        "driver" => format!(
            "{bucket}, which the kernel's driver counts through these ports in an order of its own"
        ),
        "socket" => format!(
            "the hash of the sender's socket, which no header shows, chooses one of these ports; a frame \
             without a socket is in {bucket}"
        ),
        _ => "the team has not decided yet".to_owned(),
    };
    match is_dropped {
        true => format!("no port carries: {reason}"),
        false => reason,
    }
}

fn line(choice: &Choice) -> String {
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    let ports = or_empty(&choice.ports);
    let way = match ports.is_empty() {
        true => "is dropped".to_owned(),
        false => format!("leaves on {ports}"),
    };
    let source = choice.source.as_ref();
    let source = source.map_or_else(String::new, |source| format!(" from address {source}"));
    format!("{} {way}{source}: {}\n", or_empty(&choice.frame), or_empty(&choice.why))
}

/// Returns protocol, source and destination of a frame.
fn describe(frame: &[u8]) -> String {
    let Some(ethernet) = Ethernet::parse(frame) else {
        return "a frame without a header".to_owned();
    };
    let tags = (0..4).map(|depth| ethernet.vlan_ids >> (48 - 16 * depth) & 0xffff);
    let tags: String = tags.filter(|id| *id > 0).map(|id| format!("vlan {id} ")).collect();
    let packet = match ethernet.ethertype {
        ethertype::IPV4 => Ipv4::parse(ethernet.payload).map(|packet| {
            let [a, b, c, d, e, f, g, h] = *packet.addresses;
            (IpAddr::from([a, b, c, d]), IpAddr::from([e, f, g, h]), packet.upper)
        }),
        ethertype::IPV6 => Ipv6::parse(ethernet.payload).and_then(|packet| {
            let (from, to) = packet.addresses.split_first_chunk::<16>()?;
            Some((IpAddr::from(*from), IpAddr::from(*to.first_chunk::<16>()?), packet.upper))
        }),
        _ => None,
    };
    let Some((from, to, upper)) = packet else {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *ethernet.addresses;
        let (to, from) = (HwAddr([a, b, c, d, e, f]), HwAddr([g, h, i, j, k, l]));
        return format!("{tags}0x{:04x} {from} > {to}", ethernet.ethertype);
    };
    let name = upper.map_or_else(|| "ip".to_owned(), |upper| protocol_name(upper.protocol));
    match upper.as_ref().and_then(Upper::ports) {
        Some([a, b, c, d]) => {
            let (from, to) =
                ((from, u16::from_be_bytes([*a, *b])), (to, u16::from_be_bytes([*c, *d])));
            let [from, to] = [from, to].map(std::net::SocketAddr::from);
            format!("{tags}{name} {from} > {to}")
        }
        None => format!("{tags}{name} {from} > {to}"),
    }
}

fn protocol_name(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        protocol::TCP => "tcp".to_owned(),
        protocol::UDP => "udp".to_owned(),
        protocol::SCTP => "sctp".to_owned(),
        protocol::ICMPV6 => "icmpv6".to_owned(),
        other => format!("protocol {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_described_by_its_flow() {
        let end = |text| Endpoint::parse(text).expect("an end of a flow");
        let frame = |from, to, protocol| flow::frame(&end(from), &end(to), protocol).expect("fits");
        for (frame, text) in [
            (
                frame("192.0.2.1:1000", "192.0.2.2:443", Some(protocol::TCP)),
                "tcp 192.0.2.1:1000 > 192.0.2.2:443",
            ),
            (frame("192.0.2.1", "192.0.2.2", None), "icmp 192.0.2.1 > 192.0.2.2"),
            (
                frame("2001:db8::1", "[2001:db8::2]:53", Some(protocol::UDP)),
                "udp [2001:db8::1]:0 > [2001:db8::2]:53",
            ),
            (
                frame("02:00:00:00:00:01", "02:00:00:00:00:02", None),
                "0x88b5 02:00:00:00:00:01 > 02:00:00:00:00:02",
            ),
            (vec![0; 13], "a frame without a header"),
        ] {
            assert_eq!(describe(&frame), text);
        }
        let mut tagged = frame("192.0.2.1", "192.0.2.2", None);
        tagged.splice(12..12, [0x81, 0, 0, 100]);
        assert_eq!(describe(&tagged), "vlan 100 icmp 192.0.2.1 > 192.0.2.2");
        for end in 0..tagged.len() {
            describe(&tagged[..end]);
        }
    }
}

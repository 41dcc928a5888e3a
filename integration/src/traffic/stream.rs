//! A UDP stream, unicast or multicast: one numbered packet every millisecond.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::{Value, json};
use socket2::{InterfaceIndexOrAddress, SockRef};

use super::tool::{Tool, announce_ready};
use super::trace::{Arrival, Trace};
use super::{End, Pace, now, usage};

/// Nanoseconds between two packets at the full rate.
pub(super) const INTERVAL: u64 = 1_000_000;
/// Nanoseconds without a packet after which the stream is over.
const QUIET: u64 = 200_000_000;

/// A running stream.
pub struct Stream {
    what: String,
    sender: Tool,
    receiver: Tool,
}

impl Stream {
    /// Starts a stream of packets with `size` bytes of payload, to the address of `to`, or to the
    /// multicast group, if any, that `to` joins.
    pub fn start(from: &End, to: &End, group: Option<IpAddr>, size: usize) -> Stream {
        Stream::start_at(Pace::Full, from, to, group, size)
    }

    /// As [`start`](Stream::start), at a given rate.
    pub fn start_at(
        pace: Pace,
        from: &End,
        to: &End,
        group: Option<IpAddr>,
        size: usize,
    ) -> Stream {
        let mut target = to.address;
        if let Some(group) = group {
            target.set_ip(group);
        }
        let start = match pace {
            Pace::Full | Pace::Dense => Tool::start_real_time,
            Pace::Steady | Pace::Gentle | Pace::Flood => Tool::start,
        };
        let receiver =
            start(&to.host, &["receive".into(), target.to_string(), to.interface.clone()]);
        let sender = start(
            &from.host,
            &[
                "send".into(),
                from.address.to_string(),
                target.to_string(),
                from.interface.clone(),
                size.to_string(),
                pace.interval().to_string(),
            ],
        );
        let what = format!("{} to {} at {target}", from.host.name(), to.host.name());
        Stream { what, sender, receiver }
    }

    /// Returns sender and receiver, for messages.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Stops the stream, waits for packets in flight, and returns the trace.
    pub fn finish(self) -> Trace {
        let sent = numbers(&self.sender.finish());
        let arrivals = numbers(&self.receiver.finish())
            .chunks_exact(2)
            .map(|pair| Arrival { number: pair[0], at: pair[1] })
            .collect();
        Trace { sent, arrivals }
    }
}

fn numbers(report: &Value) -> Vec<u64> {
    let list = report.as_array().expect("a report that is a list");
    list.iter().map(|value| value.as_u64().expect("a report of numbers")).collect()
}

/// `send FROM TO INTERFACE SIZE NANOSECONDS`: sends until standard input ends, then writes the time of
/// each packet.
pub fn run_sender(args: &[String]) -> io::Result<()> {
    let [from, to, interface, size, interval] = args else {
        return Err(usage("send FROM TO INTERFACE SIZE NANOSECONDS"));
    };
    let from: SocketAddr = from.parse().map_err(io::Error::other)?;
    let to: SocketAddr = to.parse().map_err(io::Error::other)?;
    let size: usize = size.parse().map_err(io::Error::other)?;
    let interval: u64 = interval.parse().map_err(io::Error::other)?;
    let socket = UdpSocket::bind(SocketAddr::new(from.ip(), 0))?;
    match (from.ip(), to.ip().is_multicast()) {
        (IpAddr::V4(address), true) => SockRef::from(&socket).set_multicast_if_v4(&address)?,
        (IpAddr::V6(_), true) => {
            SockRef::from(&socket).set_multicast_if_v6(if_nametoindex(interface.as_str())?)?;
        }
        (_, false) => {}
    }
    // A packet without buffer space is lost and counted as lost.
    socket.set_nonblocking(true)?;
    let stop = end_of_input();
    announce_ready();

    let mut packet = vec![0; size.max(8)];
    let mut sent: Vec<u64> = Vec::new();
    let start = now();
    while !stop.load(Ordering::Relaxed) {
        let number = u64::try_from(sent.len()).map_err(io::Error::other)?;
        let due = start + number * interval;
        thread::sleep(Duration::from_nanos(due.saturating_sub(now())));
        packet[..8].copy_from_slice(&number.to_be_bytes());
        sent.push(now());
        if let Err(error) = socket.send_to(&packet, to) {
            eprintln!("send packet {number} to {to}: {error}");
        }
    }
    println!("{}", json!(sent));
    Ok(())
}

/// `receive TO INTERFACE`: receives, joining the group if TO is one, until standard input has ended
/// and no more packets come; then writes number and time of each packet.
pub fn run_receiver(args: &[String]) -> io::Result<()> {
    let [to, interface] = args else {
        return Err(usage("receive TO INTERFACE"));
    };
    let to: SocketAddr = to.parse().map_err(io::Error::other)?;
    let socket = UdpSocket::bind(to)?;
    // The default buffer holds only a dozen jumbo frames; the call without privilege gives less.
    if setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20)).is_err() {
        SockRef::from(&socket).set_recv_buffer_size(8 << 20)?;
    }
    if to.ip().is_multicast() {
        let index = if_nametoindex(interface.as_str())?;
        match to.ip() {
            IpAddr::V4(group) => SockRef::from(&socket)
                .join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))?,
            IpAddr::V6(group) => socket.join_multicast_v6(&group, index)?,
        }
    }
    socket.set_read_timeout(Some(Duration::from_millis(10)))?;
    let stop = end_of_input();
    announce_ready();

    let mut packet = vec![0; 1 << 16];
    let mut report: Vec<u64> = Vec::new();
    let mut quiet_since = None;
    loop {
        match socket.recv(&mut packet) {
            Ok(length) => {
                let at = now();
                if let Some(number) = packet[..length].first_chunk::<8>() {
                    report.extend([u64::from_be_bytes(*number), at]);
                }
                quiet_since = None;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let since = *quiet_since.get_or_insert_with(now);
                if stop.load(Ordering::Relaxed) && now() - since >= QUIET {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    println!("{}", json!(report));
    Ok(())
}

/// Returns a flag that becomes true when standard input ends.
pub(super) fn end_of_input() -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    thread::spawn(move || {
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        flag.store(true, Ordering::Relaxed);
    });
    ended
}

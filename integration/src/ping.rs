//! Echo requests and their replies.

use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::process;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use runners::wire::checksum;
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};
use teamr::sys::socket_option::forbid_fragments;

use crate::namespace::Namespace;
use crate::traffic::{Tool, announce_ready, usage};

/// Limit for all replies: longer than 1 s, after which a host repeats an ARP request.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of data in a request; ping(8)'s default.
const SIZE: usize = 56;
/// Receive buffer in bytes: a request may get several replies.
const BUFFER: usize = 8 << 20;

// RFC 792, RFC 4443: types of echo messages.
const REQUEST: u8 = 8;
const REPLY: u8 = 0;
const REQUEST_V6: u8 = 128;
const REPLY_V6: u8 = 129;
/// Bytes before the data: type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;

/// Counts of echo requests and replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Requests sent.
    pub sent: u32,
    /// Requests answered.
    pub answered: u32,
    /// Replies beyond the first of each request, received before the last request was answered.
    pub duplicates: u32,
}

impl Ping {
    /// Sends `count` echo requests in one burst, unfragmented. `options` follow ping(8): `-s SIZE`
    /// bytes of data, `-I SOURCE` address.
    pub fn run(host: &Namespace, target: &str, count: u32, options: &str) -> Ping {
        let mut args = vec!["ping".to_owned(), target.to_owned(), count.to_string()];
        args.extend(options.split_whitespace().map(str::to_owned));
        let report = Tool::start(host, &args).finish();
        let counted = |key: &str| {
            let count = report[key].as_u64().and_then(|count| count.try_into().ok());
            count.unwrap_or_else(|| panic!("ping reported no {key}: {report}"))
        };
        Ping { sent: count, answered: counted("answered"), duplicates: counted("duplicates") }
    }

    /// Returns whether every request got exactly one reply.
    pub fn is_exact(&self) -> bool {
        self.answered == self.sent && self.duplicates == 0
    }
}

/// `ping TARGET COUNT [-s SIZE] [-I SOURCE]`: sends requests in one burst, waits for replies and
/// writes how many requests were answered and how many further replies came.
pub fn run_ping(args: &[String]) -> io::Result<()> {
    let wrong = || usage("ping TARGET COUNT [-s SIZE] [-I SOURCE]");
    let [target, count, options @ ..] = args else {
        return Err(wrong());
    };
    let target: IpAddr = target.parse().map_err(io::Error::other)?;
    let count: u16 = count.parse().map_err(io::Error::other)?;
    let (mut size, mut source) = (SIZE, None);
    for option in options.chunks(2) {
        match option {
            [name, value] if name == "-s" => size = value.parse().map_err(io::Error::other)?,
            [name, value] if name == "-I" => {
                source = Some(value.parse::<IpAddr>().map_err(io::Error::other)?);
            }
            _ => return Err(wrong()),
        }
    }
    let socket = open(target, source)?;
    let echo = Echo { is_ipv6: target.is_ipv6(), identifier: process::id() as u16 };
    announce_ready();
    for number in 0..count {
        // A request that cannot be sent counts as unanswered.
        let _ = socket.send(&echo.request(number, size));
    }
    let copies = receive(&socket, &echo, count)?;
    let answered = copies.iter().filter(|&&copies| copies > 0);
    let duplicates = copies.iter().map(|copies| copies.saturating_sub(1));
    println!("{}", json!({ "answered": answered.count(), "duplicates": duplicates.sum::<u32>() }));
    Ok(())
}

fn open(target: IpAddr, source: Option<IpAddr>) -> io::Result<Socket> {
    let (domain, protocol) = match target {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    // Without the privilege for the large buffer, the socket may lose some of many replies.
    if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).is_err() {
        socket.set_recv_buffer_size(BUFFER)?;
    }
    forbid_fragments(&socket, target.is_ipv6())?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    // The socket receives from the target only.
    socket.connect(&SocketAddr::new(target, 0).into())?;
    Ok(socket)
}

/// Counts the replies to each of `count` requests until every request is answered or the time is
/// over.
fn receive(mut socket: &Socket, echo: &Echo, count: u16) -> io::Result<Vec<u32>> {
    let mut copies = vec![0; count.into()];
    let mut packet = vec![0; 1 << 16];
    let deadline = Instant::now() + PATIENCE;
    loop {
        if copies.contains(&0) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(copies);
            }
            socket.set_read_timeout(Some(left))?;
        } else {
            socket.set_nonblocking(true)?;
        }
        match socket.read(&mut packet) {
            Ok(length) => {
                let number = echo.answer(&packet[..length]);
                if let Some(copies) = number.and_then(|number| copies.get_mut(number)) {
                    *copies += 1;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !copies.contains(&0) {
                    return Ok(copies);
                }
            }
            // The path to the target may come back before the deadline.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Interrupted
                        | ErrorKind::HostUnreachable
                        | ErrorKind::NetworkUnreachable
                ) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The echo messages of one run.
struct Echo {
    is_ipv6: bool,
    identifier: u16,
}

impl Echo {
    /// Returns request `number` with `size` bytes of data.
    fn request(&self, number: u16, size: usize) -> Vec<u8> {
        let mut message = vec![0; HEADER + size];
        message[0] = if self.is_ipv6 { REQUEST_V6 } else { REQUEST };
        message[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        message[6..8].copy_from_slice(&number.to_be_bytes());
        if !self.is_ipv6 {
            // The kernel computes the checksum of ICMPv6.
            checksum::put(&mut message, 2, 0);
        }
        message
    }

    /// Returns the number of the request that `packet` answers; `None` for any other packet.
    fn answer(&self, packet: &[u8]) -> Option<usize> {
        // A raw IPv4 socket delivers the IP header too.
        let header = match self.is_ipv6 {
            true => 0,
            false => usize::from(packet.first()? & 0xf) * 4,
        };
        let message = packet.get(header..)?;
        let kind = if self.is_ipv6 { REPLY_V6 } else { REPLY };
        let answers = message.first() == Some(&kind)
            && message.get(4..6)? == self.identifier.to_be_bytes().as_slice();
        let number = message.get(6..8)?;
        answers.then(|| u16::from_be_bytes([number[0], number[1]]).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the reply to a request, behind an IP header as a raw socket delivers it.
    fn answer(echo: &Echo, number: u16) -> Vec<u8> {
        let mut packet = if echo.is_ipv6 { vec![] } else { vec![0x45; 20] };
        let mut message = echo.request(number, 3);
        message[0] = if echo.is_ipv6 { REPLY_V6 } else { REPLY };
        packet.append(&mut message);
        packet
    }

    #[test]
    fn only_replies_to_own_requests_match() {
        for is_ipv6 in [false, true] {
            let echo = Echo { is_ipv6, identifier: 700 };
            let other = Echo { is_ipv6, identifier: 701 };
            let packet = answer(&echo, 258);
            assert_eq!(echo.answer(&packet), Some(258));
            assert_eq!(other.answer(&packet), None);
            assert_eq!(echo.answer(&echo.request(258, 3)), None);
            for length in 0..packet.len() - 3 {
                assert_eq!(echo.answer(&packet[..length]), None, "{length} bytes");
            }
        }
    }

    #[test]
    fn the_sum_of_a_complete_request_is_sound() {
        for size in [0, 1, 56, 1452] {
            let request = Echo { is_ipv6: false, identifier: 0xfedc }.request(0xba98, size);
            assert_eq!(checksum::fold(checksum::sum(&request)), 0xffff);
        }
    }
}

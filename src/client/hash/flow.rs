//! A flow on the command line: from two endpoints and a protocol to a frame.

use std::net::{IpAddr, SocketAddr};

use runners::HwAddr;
use runners::wire::{ethertype, protocol};

/// One end of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Hardware address, if given.
    pub hwaddr: Option<HwAddr>,
    /// IP address, if given.
    pub ip: Option<IpAddr>,
    /// Port of the transport protocol, if given.
    pub port: Option<u16>,
}

impl Endpoint {
    /// Parses `MAC`, `IP`, `IP:PORT`, or `MAC/` before one of the last two; IPv6 with a port stands
    /// in brackets.
    ///
    /// # Errors
    /// A sentence with the expected forms.
    pub fn parse(text: &str) -> Result<Self, String> {
        let failed = || {
            format!(
                "\"{text}\" is no end of a flow; write 192.0.2.1, 192.0.2.1:443, [2001:db8::1]:443 or \
                 02:00:00:00:00:01, or both: 02:00:00:00:00:01/192.0.2.1:443"
            )
        };
        if let Ok(hwaddr) = text.parse() {
            return Ok(Endpoint { hwaddr: Some(hwaddr), ..Endpoint::default() });
        }
        let (hwaddr, address) = match text.split_once('/') {
            Some((hwaddr, address)) => (Some(hwaddr.parse().map_err(|_| failed())?), address),
            None => (None, text),
        };
        if let Ok(socket) = address.parse::<SocketAddr>() {
            return Ok(Endpoint { hwaddr, ip: Some(socket.ip()), port: Some(socket.port()) });
        }
        let ip = address.parse().map_err(|_| failed())?;
        Ok(Endpoint { hwaddr, ip: Some(ip), port: None })
    }
}

/// Returns the number of a transport protocol by its name. Without a name a port means TCP.
///
/// # Errors
/// A sentence with the known names.
pub fn protocol_number(name: Option<&str>, ends: [&Endpoint; 2]) -> Result<Option<u8>, String> {
    let has_port = ends.iter().any(|end| end.port.is_some());
    match name {
        None => Ok(has_port.then_some(protocol::TCP)),
        Some("tcp") => Ok(Some(protocol::TCP)),
        Some("udp") => Ok(Some(protocol::UDP)),
        Some("sctp") => Ok(Some(protocol::SCTP)),
        Some(other) => Err(format!("\"{other}\" is no protocol; write tcp, udp or sctp")),
    }
}

/// Returns a frame of the flow, up to the ports; an end without a hardware address has zeros.
///
/// # Errors
/// A sentence if the ends do not fit each other.
pub fn frame(
    source: &Endpoint,
    destination: &Endpoint,
    protocol: Option<u8>,
) -> Result<Vec<u8>, String> {
    let hwaddr = |end: &Endpoint| end.hwaddr.unwrap_or(HwAddr([0; 6])).0;
    let mut frame = Vec::new();
    frame.extend(hwaddr(destination));
    frame.extend(hwaddr(source));
    let ports = |frame: &mut Vec<u8>| {
        frame.extend(source.port.unwrap_or(0).to_be_bytes());
        frame.extend(destination.port.unwrap_or(0).to_be_bytes());
        // The rest of a TCP header.
        frame.extend([0; 16]);
    };
    match (source.ip, destination.ip) {
        (None, None) if protocol.is_none() => {
            frame.extend(ethertype::LOCAL_EXPERIMENTAL.to_be_bytes());
        }
        (Some(IpAddr::V4(from)), Some(IpAddr::V4(to))) => {
            const LENGTH: u16 = 40;
            frame.extend(ethertype::IPV4.to_be_bytes());
            frame.extend([0x45, 0]);
            frame.extend(LENGTH.to_be_bytes());
            frame.extend([0, 0, 0, 0, 64, protocol.unwrap_or(ICMP), 0, 0]);
            frame.extend(from.octets());
            frame.extend(to.octets());
            ports(&mut frame);
        }
        (Some(IpAddr::V6(from)), Some(IpAddr::V6(to))) => {
            const PAYLOAD: u16 = 20;
            frame.extend(ethertype::IPV6.to_be_bytes());
            frame.extend([0x60, 0, 0, 0]);
            frame.extend(PAYLOAD.to_be_bytes());
            frame.extend([protocol.unwrap_or(protocol::ICMPV6), 64]);
            frame.extend(from.octets());
            frame.extend(to.octets());
            ports(&mut frame);
        }
        _ => {
            return Err("the two ends do not fit: both need an IPv4 address, or both an IPv6 \
                        address, or neither an IP address, a port or a protocol; a hardware \
                        address stands before the IP address: 02:00:00:00:00:01/192.0.2.1"
                .to_owned());
        }
    }
    Ok(frame)
}

/// Number of ICMP (RFC 792).
const ICMP: u8 = 1;

#[cfg(test)]
mod tests {
    use runners::wire::{Ethernet, Ipv4, Ipv6};

    use super::*;

    fn end(text: &str) -> Endpoint {
        Endpoint::parse(text).expect("an end of a flow")
    }

    #[test]
    fn ends_are_parsed() {
        let hwaddr = Some(HwAddr([2, 0, 0, 0, 0, 1]));
        let ip = |text: &str| Some(text.parse().expect("an address"));
        for (text, expected) in [
            ("02:00:00:00:00:01", Endpoint { hwaddr, ip: None, port: None }),
            ("192.0.2.1", Endpoint { hwaddr: None, ip: ip("192.0.2.1"), port: None }),
            ("192.0.2.1:443", Endpoint { hwaddr: None, ip: ip("192.0.2.1"), port: Some(443) }),
            ("2001:db8::1", Endpoint { hwaddr: None, ip: ip("2001:db8::1"), port: None }),
            ("[2001:db8::1]:7", Endpoint { hwaddr: None, ip: ip("2001:db8::1"), port: Some(7) }),
            ("02:00:00:00:00:01/192.0.2.1", Endpoint { hwaddr, ip: ip("192.0.2.1"), port: None }),
        ] {
            assert_eq!(end(text), expected, "{text}");
        }
        for wrong in ["", "eth1", "192.0.2.1:70000", "02:00/192.0.2.1", "/", "192.0.2.1/24"] {
            assert!(Endpoint::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_frame_has_the_fields_of_its_flow() {
        let (from, to) = (end("02:00:00:00:00:01/192.0.2.1:1000"), end("192.0.2.2:443"));
        let protocol = protocol_number(None, [&from, &to]).expect("a protocol");
        let bytes = frame(&from, &to, protocol).expect("a frame");
        let ethernet = Ethernet::parse(&bytes).expect("Ethernet");
        assert_eq!(ethernet.addresses[6..], [2, 0, 0, 0, 0, 1]);
        let packet = Ipv4::parse(ethernet.payload).expect("IPv4");
        let upper = packet.upper.expect("TCP");
        assert_eq!((upper.protocol, upper.ports()), (protocol::TCP, Some(&[3, 232, 1, 187])));

        let (from, to) = (end("2001:db8::1"), end("[2001:db8::2]:53"));
        let protocol = protocol_number(Some("udp"), [&from, &to]).expect("a protocol");
        let bytes = frame(&from, &to, protocol).expect("a frame");
        let packet = Ipv6::parse(Ethernet::parse(&bytes).expect("Ethernet").payload);
        let upper = packet.expect("IPv6").upper.expect("UDP");
        assert_eq!((upper.protocol, upper.ports()), (protocol::UDP, Some(&[0, 0, 0, 53])));
    }

    #[test]
    fn ends_that_do_not_fit_are_refused() {
        assert!(frame(&end("192.0.2.1"), &end("2001:db8::1"), None).is_err());
        assert!(frame(&end("192.0.2.1"), &end("02:00:00:00:00:01"), None).is_err());
        let mac = end("02:00:00:00:00:01");
        assert!(frame(&mac, &mac, Some(protocol::TCP)).is_err());
        assert!(frame(&mac, &mac, None).is_ok());
        assert!(protocol_number(Some("http"), [&mac, &mac]).is_err());
    }
}

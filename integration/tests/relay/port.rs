//! Control frames and the carrier of a port.

use runners::{ControlFrames, HwAddr};
use teamr::datapath::port_socket::PortSocket;
use teamr::sys::ethtool;

use crate::frames::{frame, receive_one, socket};
use crate::lab::{connect, inside, interface, quiet_hosts, standing};

#[test]
fn control_frames_pass_on_a_port_that_does_not_collect() {
    let Some((lab, host, peer)) = quiet_hosts() else {
        return;
    };
    let (_path, _port_state) = standing(&lab, &host, &peer, "control", 2);
    host.run("ip link set a1 mtu 3000");
    peer.run("ip link set b1 mtu 3000");
    let far = socket(&peer, "b1");
    let ifindex = interface(&host, "a1").ifindex;
    let mut control =
        inside(&host, || PortSocket::open(ifindex, HwAddr::default())).expect("opened");

    let own = &frame(0x88b5, 46)[10..];
    control.send(own).expect("sent");
    assert_eq!(&receive_one(&far).0[10..], own);
    assert!(control.send(&own[..13]).is_err());
    assert!(control.send(&[0; 70000]).is_err());

    let lacpdu = frame(0x8809, 110);
    let arp = frame(0x0806, 42);
    let mut solicitation = frame(0x86dd, 72);
    solicitation[10 + 14 + 6] = 58;
    solicitation[10 + 14 + 40] = 135;
    let mut echo = solicitation.clone();
    echo[10 + 14 + 40] = 128;
    let mut tagged = arp.clone();
    tagged.splice(22..22, [0x81, 0x00, 0x00, 0x05]);
    let long = frame(0x8809, 2100);
    let sent = [&lacpdu, &arp, &solicitation, &echo, &tagged, &long];
    let mut received = |wanted: ControlFrames| -> Vec<Vec<u8>> {
        control.listen(wanted).expect("listening");
        for frame in sent {
            far.send(frame).expect("sent");
        }
        std::iter::from_fn(|| control.receive().expect("received")).collect()
    };
    let bare = |frames: &[&Vec<u8>]| -> Vec<Vec<u8>> {
        frames.iter().map(|frame| frame[10..].to_vec()).collect()
    };
    let nothing = ControlFrames::default();
    assert_eq!(received(nothing), bare(&[]));
    let slow_protocols = true;
    let wanted = ControlFrames { slow_protocols, ..nothing };
    assert_eq!(received(wanted), bare(&[&lacpdu]));
    let wanted = ControlFrames { arp: true, ..nothing };
    assert_eq!(received(wanted), bare(&[&arp, &tagged]));
    let neighbour_discovery = true;
    let wanted = ControlFrames { neighbour_discovery, ..wanted };
    assert_eq!(received(wanted), bare(&[&arp, &solicitation, &tagged]));
    assert_eq!(received(nothing), bare(&[]));
}

#[test]
fn a_lost_carrier_is_seen_at_once() {
    let Some((lab, host, peer)) = quiet_hosts() else {
        return;
    };
    connect(&lab, (&host, "a0"), (&peer, "b0"));
    inside(&host, || {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
        assert!(ethtool::carrier(&socket, "a0").expect("it answers"));
        peer.run("ip link set b0 down");
        assert!(!ethtool::carrier(&socket, "a0").expect("it answers"));
        let settings = ethtool::link_settings(&socket, "a0").expect("it answers");
        assert_eq!(settings.speed, Some(10_000));
        assert_eq!(settings.full_duplex, Some(true));
    });
}

//! The host's own stack receives a port's frames once, as frames of the team device, or not at all.
//!
//! Each cable leads to a separate host: frames through the waiting port differ from frames through
//! the active port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use integration::traffic::Capture;
use integration::{
    CableKind, DataPath, Lab, Namespace, Ping, Sharing, Teamr, on_own_data_paths, team_config,
};

const TEAM_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const TEAM_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
/// Address of another interface of the host; Linux replies for it on any interface.
const OTHER_V4: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const OTHER_V6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 1);

/// Returns the replies to one ARP request and to one ping.
fn answers_of(peer: &Namespace, address: IpAddr, hwaddr: &str) -> (usize, Ping) {
    let route = match address {
        IpAddr::V4(_) => format!("route replace {address}/32 dev eth1"),
        IpAddr::V6(_) => format!("route replace {address}/128 dev eth1"),
    };
    peer.ip(&route);
    peer.ip(&format!(
        "neighbour replace {address} lladdr {hwaddr} dev eth1 nud permanent"
    ));
    let capture = Capture::start(peer, "eth1");
    let ping = Ping::run(peer, &address.to_string(), 3, "");
    let frames = capture.finish();
    (
        frames
            .iter()
            .filter(|frame| !frame.outgoing && frame.is_echo_reply(address))
            .count(),
        ping,
    )
}

/// Returns the number of replies to ARP requests for an address.
fn arp_answers(peer: &Namespace, address: Ipv4Addr) -> usize {
    let capture = Capture::start(peer, "eth1");
    peer.try_run(&format!("arping -q -c 2 -w 3 -I eth1 {address}"));
    let frames = capture.finish();
    let requests = frames
        .iter()
        .filter(|frame| frame.outgoing && frame.ether_type() == Some(0x0806))
        .count();
    assert!(requests > 0, "no request was sent");
    let answered = frames
        .iter()
        .filter(|frame| !frame.outgoing && frame.is_arp_reply(address))
        .count();
    assert!(
        answered == 0 || answered == requests,
        "{answered} replies to {requests} requests"
    );
    answered
}

/// Creates the host, and the peers of its active and its waiting port; `port_address` is the address,
/// if any, of both ports.
fn build(lab: &Lab, port_address: Option<&str>) -> [Namespace; 3] {
    let (host, active, waiting) = (lab.host("host"), lab.host("active"), lab.host("waiting"));
    for (port, peer, number) in [("eth1", &active, 2), ("eth2", &waiting, 3)] {
        lab.cable((&host, port), (peer, "eth1"), CableKind::Virtual);
        if let Some(address) = port_address {
            host.address(port, address);
        }
        peer.up("eth1");
        peer.address("eth1", &format!("10.0.0.{number}/24"));
        peer.address("eth1", &format!("fd00::{number}/64"));
        // Replies need a route back.
        peer.address("eth1", &format!("10.8.0.{number}/24"));
    }
    host.ip("link add name other0 type bridge");
    host.up("other0");
    host.address("other0", &format!("{OTHER_V4}/24"));
    host.address("other0", &format!("{OTHER_V6}/64"));
    [host, active, waiting]
}

/// `port_address` is the address, if any, of both ports.
fn stack_receives_only_from_the_team(data_path: DataPath, port_address: Option<&str>) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let [host, active, waiting] = build(&lab, port_address);
    let mut config = team_config("team0", "activebackup", data_path, &["eth1", "eth2"]);
    config["ports"]["eth1"]["prio"] = 100.into();
    let team = Teamr::start(&host, &config);
    host.up("team0");
    host.address("team0", &format!("{TEAM_V4}/24"));
    host.address("team0", &format!("{TEAM_V6}/64"));
    team.wait_ports_up(&["eth1", "eth2"]);
    team.wait_active("eth1");
    let hwaddr = host.hwaddr("team0");
    let uninvited = Capture::start(&waiting, "eth1");

    // The active port's peer gets one reply, from the team device.
    for address in [
        TEAM_V4.into(),
        TEAM_V6.into(),
        OTHER_V4.into(),
        OTHER_V6.into(),
    ] {
        let (answers, ping) = answers_of(&active, address, &hwaddr);
        assert!(
            ping.is_exact() && answers == 3,
            "{address}: {answers} answers, {ping:?}"
        );
    }
    assert!(
        arp_answers(&active, TEAM_V4) > 0,
        "the team device does not answer ARP"
    );

    // The waiting port's peer gets no reply, for any address and destination.
    let mut addresses: Vec<IpAddr> = vec![
        TEAM_V4.into(),
        TEAM_V6.into(),
        OTHER_V4.into(),
        OTHER_V6.into(),
    ];
    if let Some((address, _)) = port_address.and_then(|address| address.split_once('/')) {
        addresses.push(address.parse().expect("an address"));
    }
    for hwaddr in [hwaddr, host.hwaddr("eth2")] {
        for &address in &addresses {
            let (answers, _) = answers_of(&waiting, address, &hwaddr);
            assert_eq!(answers, 0, "{address} answers through a waiting port");
        }
    }
    for address in addresses {
        if let IpAddr::V4(address) = address {
            assert_eq!(arp_answers(&waiting, address), 0, "{address} answers ARP");
        }
    }
    let frames = uninvited.finish();
    let received: Vec<_> = frames.iter().filter(|frame| !frame.outgoing).collect();
    assert!(
        received.is_empty(),
        "frames from a waiting port: {received:x?}"
    );
}

fn with_ports_that_hold_no_address(data_path: DataPath) {
    stack_receives_only_from_the_team(data_path, None);
}

fn with_ports_that_hold_an_ipv4_address(data_path: DataPath) {
    stack_receives_only_from_the_team(data_path, Some("10.8.0.1/24"));
}

fn with_ports_that_hold_an_ipv6_address(data_path: DataPath) {
    stack_receives_only_from_the_team(data_path, Some("fd08::1/64"));
}

on_own_data_paths! {
    with_ports_that_hold_no_address
    with_ports_that_hold_an_ipv4_address
    with_ports_that_hold_an_ipv6_address
}

//! The host's own stack receives a port's frames once, as frames of the team device, or not at all.
//!
//! Each cable leads to a separate host: frames through the waiting port differ from frames through
//! the active port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use integration::traffic::Capture;
use integration::{
    CableKind, DataPath, Lab, Namespace, Ping, Sharing, Teamr, on_own_data_paths, team_config,
};
use runners::is_probe;

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
    peer.ip(&format!("neighbour replace {address} lladdr {hwaddr} dev eth1 nud permanent"));
    let capture = Capture::start(peer, "eth1");
    let ping = Ping::run(peer, &address.to_string(), 3, "");
    let frames = capture.finish();
    (frames.iter().filter(|frame| !frame.outgoing && frame.is_echo_reply(address)).count(), ping)
}

/// Returns the number of replies to ARP requests for an address.
fn arp_answers(peer: &Namespace, address: Ipv4Addr) -> usize {
    let capture = Capture::start(peer, "eth1");
    peer.try_run(&format!("arping -q -c 2 -w 3 -I eth1 {address}"));
    let frames = capture.finish();
    let requests =
        frames.iter().filter(|frame| frame.outgoing && frame.ether_type() == Some(0x0806)).count();
    assert!(requests > 0, "no request was sent");
    let answered =
        frames.iter().filter(|frame| !frame.outgoing && frame.is_arp_reply(address)).count();
    assert!(answered == 0 || answered == requests, "{answered} replies to {requests} requests");
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
    for address in [TEAM_V4.into(), TEAM_V6.into(), OTHER_V4.into(), OTHER_V6.into()] {
        let (answers, ping) = answers_of(&active, address, &hwaddr);
        assert!(ping.is_exact() && answers == 3, "{address}: {answers} answers, {ping:?}");
    }
    assert!(arp_answers(&active, TEAM_V4) > 0, "the team device does not answer ARP");

    // The waiting port's peer gets no reply, for any address and destination.
    let mut addresses: Vec<IpAddr> =
        vec![TEAM_V4.into(), TEAM_V6.into(), OTHER_V4.into(), OTHER_V6.into()];
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
    // The team itself asks by probes which ports lead into one network.
    let received = frames.iter().filter(|frame| !frame.outgoing && !is_probe(&frame.bytes));
    let received: Vec<_> = received.collect();
    assert!(received.is_empty(), "frames from a waiting port: {received:x?}");
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

/// A DHCP client takes an interface that it does not know.
fn frames_of_the_host_do_not_enter_by_the_devices_peer(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let [host, active, _waiting] = build(&lab, None);
    let mut config = team_config("team0", "activebackup", data_path, &["eth1", "eth2"]);
    config["ports"]["eth1"]["prio"] = 100.into();
    // The device outlives the daemon, for which the relay takes a veth.
    let team = Teamr::start_args(&host, &config, &["-N"]);
    host.up("team0");
    host.address("team0", &format!("{TEAM_V4}/24"));
    team.wait_ports_up(&["eth1", "eth2"]);
    team.wait_active("eth1");
    let peer = host.link("team0-peer");
    assert_eq!(peer["ifalias"], "peer of team0, team device of teamr");
    assert_eq!(peer["group"], "32419");
    assert!(peer["flags"].to_string().contains("NOARP"), "{peer}");

    let capture = Capture::start(&host, "team0");
    let client = "busybox udhcpc -i team0-peer -n -q -f -t 2 -T 1 -s /bin/true";
    let client = host.try_run(client);
    let output = String::from_utf8_lossy(&client.stderr);
    assert!(output.contains("discover"), "{client:?}");
    let (answers, ping) = answers_of(&active, TEAM_V4.into(), &host.hwaddr("team0"));
    assert!(ping.is_exact() && answers == 3, "{answers} answers, {ping:?}");
    let hwaddr = host.hwaddr("team0-peer");
    let frames = capture.finish();
    let entered: Vec<_> = frames.iter().filter(|frame| frame.source() == hwaddr).collect();
    assert!(entered.is_empty(), "{entered:x?}");
}

/// Another interface of the host is in one bridge with the device's peer, and the host has a route
/// by the peer.
fn frames_that_the_host_passes_on_do_not_enter_by_the_devices_peer(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let [host, active, _waiting] = build(&lab, None);
    let guest = lab.host("guest");
    lab.cable((&host, "eth9"), (&guest, "eth1"), CableKind::Virtual);
    guest.up("eth1");
    guest.address("eth1", "10.9.0.9/24");
    host.up("eth9");
    host.ip("link set dev eth9 master other0");
    host.write("/proc/sys/net/ipv4/ip_forward", "1");
    let mut config = team_config("team0", "activebackup", data_path, &["eth1", "eth2"]);
    config["ports"]["eth1"]["prio"] = 100.into();
    let team = Teamr::start_args(&host, &config, &["-N"]);
    host.up("team0");
    host.address("team0", &format!("{TEAM_V4}/24"));
    team.wait_ports_up(&["eth1", "eth2"]);
    team.wait_active("eth1");
    let [peer, guests] = [host.hwaddr("team0-peer"), guest.hwaddr("eth1")];

    let capture = Capture::start(&host, "team0");
    host.ip("route add 10.66.0.0/24 dev team0-peer");
    guest.ip(&format!("route add 10.66.0.0/24 via {OTHER_V4}"));
    let sent = host.statistics("other0")["rx"]["packets"].as_u64();
    assert_eq!(Ping::run(&guest, "10.66.0.1", 3, "").answered, 0);
    assert!(host.statistics("other0")["rx"]["packets"].as_u64() > sent, "nothing was forwarded");
    host.ip("link set dev team0-peer master other0");
    guest.try_run("arping -q -b -c 3 -w 3 -I eth1 10.9.0.66");
    let (answers, ping) = answers_of(&active, TEAM_V4.into(), &host.hwaddr("team0"));
    assert!(ping.is_exact() && answers == 3, "{answers} answers, {ping:?}");
    let frames = capture.finish();
    let entered = frames.iter().filter(|frame| [&peer, &guests].contains(&&frame.source()));
    let entered: Vec<_> = entered.collect();
    assert!(entered.is_empty(), "{entered:x?}");
}

on_own_data_paths! {
    frames_of_the_host_do_not_enter_by_the_devices_peer
    frames_that_the_host_passes_on_do_not_enter_by_the_devices_peer
    with_ports_that_hold_no_address
    with_ports_that_hold_an_ipv4_address
    with_ports_that_hold_an_ipv6_address
}

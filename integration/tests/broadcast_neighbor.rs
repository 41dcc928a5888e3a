//! `runner.broadcast_neighbor`: ARP and neighbour discovery leave on every port of an aggregate,
//! and other frames on one port. The team announces its address on a port that returns.

use std::net::Ipv4Addr;

use integration::traffic::Capture;
use integration::{
    DataPath, Frame, Lab, Namespace, Ping, Sharing, Teamr, TwoTeams, in_virtual_time,
    on_own_data_paths, team_config, wait_until,
};

const LINKS: [&str; 2] = ["eth1", "eth2"];
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// Addresses that nobody has.
const ABSENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 99);
const ABSENT_IPV6: &str = "fd00::99";

/// Returns whether the frame asks for the hardware address of [`ABSENT`].
fn is_arp_request(frame: &Frame) -> bool {
    frame.ether_type() == Some(0x0806) && frame.bytes.get(38..42) == Some(&ABSENT.octets()[..])
}

/// Returns whether the frame is a neighbour solicitation for [`ABSENT_IPV6`].
fn is_solicitation(frame: &Frame) -> bool {
    frame.ether_type() == Some(0x86dd)
        && frame.bytes.get(54) == Some(&135)
        && frame.bytes.get(77) == Some(&0x99)
}

/// Returns whether the frame is an echo request over IPv4.
fn is_echo_request(frame: &Frame) -> bool {
    frame.ether_type() == Some(0x0800)
        && frame.bytes.get(23) == Some(&1)
        && frame.bytes.get(34) == Some(&8)
}

/// Returns whether the frame announces the address of the team.
fn is_announcement(frame: &Frame) -> bool {
    frame.ether_type() == Some(0x0806)
        && frame.bytes.get(28..32) == Some(&OWN.octets()[..])
        && frame.bytes.get(38..42) == Some(&OWN.octets()[..])
}

/// Returns how many frames of each link arrive on the host while `act` runs.
fn arriving(host: &Namespace, kinds: &[fn(&Frame) -> bool], act: impl FnOnce()) -> Vec<[usize; 2]> {
    let captures = LINKS.map(|link| Capture::start(host, link));
    act();
    let frames = captures.map(Capture::finish);
    let count = |kind: &fn(&Frame) -> bool| {
        [0, 1].map(|link: usize| {
            let arriving = frames[link].iter().filter(|frame| !frame.outgoing);
            arriving.filter(|frame| kind(frame)).count()
        })
    };
    kinds.iter().map(count).collect()
}

fn addresses_are_resolved_on_every_port(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let hosts = TwoTeams::new(&lab);
    let mut config = team_config("team0", "lacp", data_path, &LINKS);
    config["runner"]["fast_rate"] = true.into();
    config["runner"]["tx_hash"] = ["eth", "ipv4", "ipv6"].into();
    let partner = Teamr::start(&hosts.right, &{
        let mut config = config.clone();
        config["data_path"] = DataPath::Userspace.name().into();
        config
    });
    config["runner"]["broadcast_neighbor"] = true.into();
    let team = Teamr::start(&hosts.left, &config);
    hosts.set_up_teams();
    hosts.left.address("team0", "fd00::1/64");
    let carry = || {
        wait_until("both ports to carry at both ends", || {
            [&team, &partner].map(Teamr::carrying) == [LINKS, LINKS]
        });
    };
    carry();
    // The first packet resolves the address.
    Ping::run(&hosts.left, "10.0.0.2", 1, "");
    let kinds = [is_arp_request, is_solicitation, is_echo_request];
    let counts = arriving(&hosts.right, &kinds, || {
        hosts.left.try_run(&format!("ping -c 1 -W 1 {ABSENT}"));
        hosts.left.try_run(&format!("ping -6 -c 1 -W 1 {ABSENT_IPV6}"));
        assert!(Ping::run(&hosts.left, "10.0.0.2", 5, "").is_exact());
    });
    let [arp, ndisc, echo] = counts[..] else { panic!("{counts:?}") };
    println!("{}: ARP {arp:?}, neighbour discovery {ndisc:?}, echo {echo:?}", data_path.name());
    for resolution in [arp, ndisc] {
        // The kernel repeats its request, and the captures do not end at once.
        let is_copied = resolution[0] > 0 && resolution[0].abs_diff(resolution[1]) <= 1;
        assert!(is_copied && resolution[1] > 0, "{counts:?}");
    }
    assert_eq!((echo[0].min(echo[1]), echo[0].max(echo[1])), (0, 5), "{counts:?}");
    hosts.cables[1].pull();
    wait_until("the other port to carry alone", || {
        [&team, &partner].map(Teamr::carrying) == [["eth1"], ["eth1"]]
    });
    hosts.cables[1].put_back();
    let counts = arriving(&hosts.right, &[is_announcement], || {
        carry();
        wait_until("the announcement", || {
            // The answered request shows that frames of the team pass.
            Ping::run(&hosts.left, "10.0.0.2", 1, "").is_exact()
        });
    });
    assert!(counts[0].iter().all(|count| *count > 0), "announcements {counts:?}");
    assert!(team.stop().success());
}

on_own_data_paths! {
    addresses_are_resolved_on_every_port
}

#[test]
fn addresses_are_resolved_on_every_port_of_the_driver() {
    in_virtual_time(|_| addresses_are_resolved_on_every_port(DataPath::Kernel));
}

//! Every kind of traffic through each runner, while a link fails and returns.
//!
//! No packet is lost and no packet is duplicated. Packets may be lost between the pull of a link
//! and the time when all daemons know; the benchmark `failover` measures that time. The broadcast
//! runner delivers each frame once for each link and loses none even by a pull.
#![allow(clippy::disallowed_methods, reason = "a test lets real streams run")]

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::thread::sleep;
use std::time::Duration;

use integration::traffic::{Capture, End, Pace, Stream, Trace, Transfer, now};
use integration::{
    CableKind, DataPath, Lab, Namespace, Ping, Sharing, SiteWithTeam, Vlan, on_chosen_kernel,
};

/// Virtual time that the streams run before, between and after the changes of the link.
const WINDOW: Duration = Duration::from_millis(300);
const PACE: Pace = Pace::Steady;

/// The interfaces on top of the team device.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// An address.
    Plain,
    /// An address, and an MTU of 9000 bytes.
    Jumbo,
    /// A VLAN interface: all frames are tagged.
    Vlan,
    /// A bridge with a guest behind it, which receives the traffic.
    Bridged,
}

/// A host and the interface with its addresses.
struct Side {
    host: Namespace,
    interface: &'static str,
    v4: IpAddr,
    v6: IpAddr,
}

impl Side {
    fn new(host: &Namespace, interface: &'static str, number: u8) -> Side {
        let (v4, v6) = (format!("10.0.0.{number}"), format!("fd00::{number}"));
        host.address(interface, &format!("{v4}/24"));
        host.address(interface, &format!("{v6}/64"));
        let parse = |text: String| text.parse().expect("an address");
        Side { host: host.clone(), interface, v4: parse(v4), v6: parse(v6) }
    }

    fn end(&self, address: IpAddr, port: u16) -> End {
        End {
            host: self.host.clone(),
            interface: self.interface.to_owned(),
            address: SocketAddr::new(address, port),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Layout::Plain => "plain",
            Layout::Jumbo => "frames of 9000 bytes",
            Layout::Vlan => "a VLAN",
            Layout::Bridged => "a guest behind a bridge",
        })
    }
}

impl Layout {
    const ALL: [Layout; 4] = [Layout::Plain, Layout::Jumbo, Layout::Vlan, Layout::Bridged];

    /// Builds the interfaces on the team device, and the matching ones on the other host.
    fn build(self, lab: &Lab, setup: &SiteWithTeam, vlans: &mut Vec<Vlan>) -> (Side, Side) {
        let (left, right) = (&setup.site.left, &setup.site.right);
        match self {
            Layout::Plain => (Side::new(left, "team0", 1), Side::new(right, "eth1", 2)),
            Layout::Jumbo => {
                setup.set_mtu(9000);
                (Side::new(left, "team0", 1), Side::new(right, "eth1", 2))
            }
            Layout::Vlan => {
                for (host, lower) in [(left, "team0"), (right, "eth1")] {
                    vlans.push(Vlan::new(host, lower, "vlan10", 10));
                }
                (Side::new(left, "vlan10", 1), Side::new(right, "vlan10", 2))
            }
            Layout::Bridged => {
                let guest = lab.host("guest");
                left.ip("link add name br0 type bridge");
                lab.cable((&guest, "eth0"), (left, "guest0"), CableKind::Virtual);
                for port in ["team0", "guest0"] {
                    left.ip(&format!("link set dev {port} master br0 up"));
                }
                left.up("br0");
                guest.up("eth0");
                (Side::new(&guest, "eth0", 1), Side::new(right, "eth1", 2))
            }
        }
    }

    /// Returns the largest payload of an unfragmented packet.
    fn payload(self) -> usize {
        let mtu = if self == Layout::Jumbo { 9000 } else { 1500 };
        mtu - 40 - 8
    }
}

fn exercise(runner: &str, data_path: DataPath, layout: Layout) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let setup = SiteWithTeam::new(&lab, runner, data_path, CableKind::Virtual);
    let mut vlans = Vec::new();
    let (near, far) = layout.build(&lab, &setup, &mut vlans);
    let copies = if runner == "broadcast" { 2 } else { 1 };

    resolve_each_other(&near, &far, copies);
    let ping_both = |copies| ping_both(&near, &far, layout, copies);
    // Pings, like all work, take no virtual time.
    let let_streams_run = || {
        if data_path != DataPath::Programs {
            sleep(WINDOW);
        }
    };

    let (streams, transfers) = start_load(&near, &far, layout);
    ping_both(copies);
    let_streams_run();

    let port = setup.used_port();
    let cable = setup.site.cable(&port);
    let pulled = now();
    cable.pull();
    setup.wait_port(&port, false);
    let mut outages = vec![pulled..=now()];
    ping_both(1);
    let_streams_run();
    let returned = now();
    cable.put_back();
    setup.wait_port(&port, true);
    if data_path == DataPath::Kernel && runner == "loadbalance" {
        // A driver without `rx_enabled` cannot let a port collect without distributing: the first
        // daemon to report the link sends to a port that does not collect yet.
        outages.push(returned..=now());
    }
    ping_both(copies);
    let_streams_run();

    for stream in streams {
        let what = format!("{runner}, {}", stream.what());
        check(&what, &stream.finish(), copies, &outages);
    }
    for transfer in transfers {
        let transferred = transfer.finish();
        assert!(transferred.is_complete(), "{runner}: {transferred:?}");
    }
}

/// Starts streams in both directions, unicast and multicast, and connections, over IPv4 and IPv6.
fn start_load(near: &Side, far: &Side, layout: Layout) -> (Vec<Stream>, Vec<Transfer>) {
    let mut streams = Vec::new();
    let mut transfers = Vec::new();
    let addresses = [(near.v4, far.v4, "239.1.1.1"), (near.v6, far.v6, "ff15::1")];
    for ((from, to, group), port) in addresses.into_iter().zip([7000_u16, 7100]) {
        let group = Some(group.parse().expect("a group"));
        let near = |offset: u16| near.end(from, port + offset);
        let far = |offset: u16| far.end(to, port + offset);
        let mut stream = |from: &End, to: &End, group, size| {
            streams.push(Stream::start_at(PACE, from, to, group, size));
        };
        stream(&near(0), &far(0), None, layout.payload());
        stream(&far(1), &near(1), None, layout.payload());
        stream(&near(2), &far(2), group, 64);
        stream(&far(3), &near(3), group, 64);
        transfers.push(Transfer::start_at(PACE, &near(4), &far(4)));
    }
    (streams, transfers)
}

/// ARP and neighbour discovery: each side sends one request and receives one reply for each link
/// that delivers one.
fn resolve_each_other(near: &Side, far: &Side, copies: usize) {
    for (from, to) in [(near, far), (far, near)] {
        for side in [near, far] {
            side.host.ip(&format!("neighbour flush dev {}", side.interface));
        }
        let capture = Capture::start(&from.host, from.interface);
        for address in [to.v4, to.v6] {
            let ping = Ping::run(&from.host, &address.to_string(), 1, "");
            assert_eq!(ping.answered, 1, "{address} does not answer");
        }
        let frames = capture.finish();
        let count = frames
            .iter()
            .filter(|frame| !frame.outgoing)
            .filter(|frame| match to.v4 {
                IpAddr::V4(address) => frame.is_arp_reply(address),
                IpAddr::V6(_) => false,
            })
            .count();
        assert_eq!(count, answers(copies), "answers to one ARP request");
        let count = frames
            .iter()
            .filter(|frame| !frame.outgoing)
            .filter(|frame| match to.v6 {
                IpAddr::V6(address) => frame.is_advertisement(address),
                IpAddr::V4(_) => false,
            })
            .count();
        assert_eq!(count, answers(copies), "answers to one neighbour solicitation");
    }
}

fn check(what: &str, trace: &Trace, copies: usize, outages: &[RangeInclusive<u64>]) {
    assert!(!trace.sent.is_empty(), "{what}: nothing was sent");
    if copies > 1 {
        assert!(trace.lost().is_empty(), "{what}: lost {:?}", trace.lost());
        assert_eq!(trace.most_copies(), copies, "{what}: copies of a packet");
        return;
    }
    // Packets sent shortly before the pull may be in flight.
    let under_way = 100_000_000;
    let mut lost = trace.lost();
    for outage in outages {
        let others = trace.lost_outside(outage.start().saturating_sub(under_way), *outage.end());
        lost.retain(|number| others.contains(number));
    }
    let first = lost.first();
    let after = first.map(|&number| trace.sent_after(number, *outages[0].start()));
    assert!(
        lost.is_empty(),
        "{what}: {} of {} lost while no link was, the first {after:?} after the pull",
        lost.len(),
        trace.sent.len()
    );
    assert_eq!(trace.duplicated(), 0, "{what}: duplicates");
}

/// Returns the number of replies to one request: the request arrives `copies` times, and so does
/// each reply.
fn answers(copies: usize) -> usize {
    copies * copies
}

fn ping_both(near: &Side, far: &Side, layout: Layout, copies: usize) {
    let full = format!("-s {}", layout.payload());
    for (from, to) in [(near, far), (far, near)] {
        for address in [to.v4, to.v6] {
            for size in ["", &full] {
                // Few: all replies to a burst must fit into the buffer of ping's socket.
                let ping = Ping::run(&from.host, &address.to_string(), 3, size);
                let what = format!("{} to {address}: {ping:?}", from.host.name());
                assert_eq!(ping.answered, ping.sent, "{what}");
                // An upper limit: ping ends with the first reply to its last request.
                let extra = ping.sent as usize * (answers(copies) - 1);
                assert!(ping.duplicates as usize <= extra, "{what}");
            }
        }
    }
}

/// Defines tests for each runner in namespaces, one for each layout; with `TEAMR_KERNEL` in guests of
/// that kernel.
macro_rules! in_namespaces {
    ($module:ident, $data_path:expr, $($runner:ident)*) => {
        mod $module {
            $(mod $runner {
                use super::super::{DataPath, Layout, exercise, on_chosen_kernel};

                #[test]
                fn plain() {
                    on_chosen_kernel(|| exercise(stringify!($runner), $data_path, Layout::Plain));
                }

                #[test]
                fn jumbo() {
                    on_chosen_kernel(|| exercise(stringify!($runner), $data_path, Layout::Jumbo));
                }

                #[test]
                fn vlan() {
                    on_chosen_kernel(|| exercise(stringify!($runner), $data_path, Layout::Vlan));
                }

                #[test]
                fn bridged() {
                    on_chosen_kernel(|| exercise(stringify!($runner), $data_path, Layout::Bridged));
                }
            })*
        }
    };
}

in_namespaces!(programs, DataPath::Programs, broadcast roundrobin random activebackup loadbalance);

/// In guests in virtual time: however busy the machine is, a relay there is never late.
mod guest {
    /// Defines a test for each runner with all layouts.
    macro_rules! in_guests {
        ($module:ident, $data_path:expr, $($runner:ident)*) => {
            mod $module {
                use integration::in_virtual_time;

                use crate::{DataPath, Layout, exercise};

                $(
                    #[test]
                    fn $runner() {
                        in_virtual_time(|_| {
                            for layout in Layout::ALL {
                                exercise(stringify!($runner), $data_path, layout);
                                println!("    {layout}: nothing lost, nothing twice");
                            }
                        });
                    }
                )*
            }
        };
    }

    in_guests!(
        userspace, DataPath::Userspace, broadcast roundrobin random activebackup loadbalance
    );
    in_guests!(kernel, DataPath::Kernel, broadcast roundrobin random activebackup loadbalance);
}

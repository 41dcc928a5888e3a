//! Programs in the kernel: they move frames without a daemon, the next daemon takes them over, and
//! programs and relay can take each other's place.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use integration::traffic::{End, Stream, Trace};
use integration::{
    CableKind, DataPath, HostAndPeer, Lab, Namespace, Ping, Process, Sharing, SiteWithTeam, Teamr,
    binary, in_virtual_time, on_chosen_kernel, team_config, wait_for, wait_until,
};
use nix::sys::signal::Signal;
use runners::HashFields;
use teamr::datapath::ebpf::assembler::{Alu, Assembler, Reg, Size};
use teamr::datapath::ebpf::bucket;
use teamr::datapath::ebpf::layout::Egress;
use teamr::datapath::ebpf::shared::{CommonMaps, EGRESS, SharedMaps};
use teamr::sys::bpf::Program;

const PORTS: [&str; 2] = ["eth1", "eth2"];

/// Starts streams of a packet a millisecond, one each way.
fn streams(teamed: &SiteWithTeam) -> [Stream; 2] {
    let (left, right) = (&teamed.site.left, &teamed.site.right);
    left.address("team0", "10.0.0.1/24");
    right.address("eth1", "10.0.0.2/24");
    let end = |host: &integration::Namespace, interface: &str, address: &str| End {
        host: host.clone(),
        interface: interface.to_owned(),
        address: address.parse::<SocketAddr>().expect("an address"),
    };
    let near = |port| end(left, "team0", &format!("10.0.0.1:{port}"));
    let far = |port| end(right, "eth1", &format!("10.0.0.2:{port}"));
    [
        Stream::start(&near(7000), &far(7000), None, 64),
        Stream::start(&far(7001), &near(7001), None, 64),
    ]
}

fn judge(streams: [Stream; 2]) -> [Trace; 2] {
    streams.map(|stream| {
        let what = stream.what().to_owned();
        let trace = stream.finish();
        assert!(trace.sent.len() > 100, "{what}: sent {}", trace.sent.len());
        assert_eq!(trace.lost(), Vec::<u64>::new(), "{what}: lost");
        trace
    })
}

/// Waits until the team device has received so many more packets.
fn let_pass(teamed: &SiteWithTeam, packets: u64) {
    let received = || {
        let link = teamed.site.left.statistics("team0");
        link["rx"]["packets"].as_u64().expect("a number")
    };
    let until = received() + packets;
    wait_until("packets to pass", || received() >= until);
}

fn crash_and_restart(runner: &str) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let teamed = SiteWithTeam::new(&lab, runner, DataPath::Programs, CableKind::Virtual);
    let active = teamed.team.active_port();
    let hwaddr = teamed.site.left.link("team0")["address"].clone();
    let streams = streams(&teamed);
    let_pass(&teamed, 100);
    let config = team_config("team0", runner, DataPath::Programs, &PORTS);
    let left = teamed.site.left.clone();
    let teamed = teamed.replace_team(|team| {
        team.crash();
        let before = left.statistics("team0")["rx"]["packets"].as_u64();
        wait_until("packets to pass without a daemon", || {
            left.statistics("team0")["rx"]["packets"].as_u64() > before.map(|count| count + 500)
        });
        Teamr::start(&left, &config)
    });
    for port in PORTS {
        teamed.wait_port(port, true);
    }
    let_pass(&teamed, 500);
    for trace in judge(streams) {
        assert_eq!(trace.duplicated(), 0);
    }
    assert_eq!(teamed.team.state()["teamr"]["data_path"], "programs");
    assert_eq!(teamed.team.active_port(), active);
    assert_eq!(teamed.site.left.link("team0")["address"], hwaddr);
    // The second daemon removes at its end what the first one has created.
    teamed.team.stop();
    assert!(!left.has_interface("team0") && !left.has_interface("team0-peer"));
    for port in PORTS {
        assert_eq!(left.link(port)["operstate"], "DOWN");
        assert!(!left.run(&format!("tc qdisc show dev {port}")).contains("clsact"));
    }
}

/// The host's kernel accepts the hash of every set of fields (`programs`). User-Mode Linux 6.12 does not
/// survive hundreds of programs: it loses pages of its own memory (vmalloc).
#[test]
fn an_older_kernel_accepts_the_hash_of_each_field() {
    in_virtual_time(|_| {
        const NAMES: [&str; 8] = ["eth", "srcmac", "vlan", "ipv4", "ipv6", "tcp", "udp", "sctp"];
        let common = Rc::new(CommonMaps::create().expect("maps"));
        let maps = SharedMaps::create(common, 8).expect("maps");
        let all = 1 << NAMES.len();
        let named = |set: usize| {
            let names = NAMES.iter().enumerate();
            names
                .filter(|(bit, _)| set & (1 << bit) != 0)
                .filter_map(|(_, name)| HashFields::from_name(name))
                .fold(HashFields::NONE, |all, field| all | field)
        };
        let alone = (0..NAMES.len()).map(|bit| 1 << bit);
        let sets = alone.chain([0, all - 1]).map(named);
        for fields in sets.flat_map(|fields| [fields, fields | HashFields::ENCAP]) {
            let mut asm = Assembler::default();
            asm.set(Reg::R6, Reg::R1);
            let none = asm.label();
            bucket::emit(&mut asm, fields, maps.common.hash.as_raw_fd());
            // As the team's program finds the port of the bucket.
            maps.look_up_team(&mut asm, none);
            asm.set(Reg::R8, Reg::R0);
            asm.alu(Alu::Add, Reg::R8, EGRESS);
            asm.alu(Alu::ShiftLeft, Reg::R7, Egress::SHIFT);
            asm.alu(Alu::Add, Reg::R8, Reg::R7);
            asm.load(Size::Word, Reg::R0, Reg::R8, 0);
            asm.place(none);
            asm.exit_with(0);
            let load = match fields.contains(HashFields::ENCAP) {
                true => Program::load_with_all_rights,
                false => Program::load,
            };
            let loaded = load(&asm.finish(), "teamr_select");
            loaded.unwrap_or_else(|error| panic!("{fields:?}: {error}"));
        }
    });
}

#[test]
fn activebackup_goes_on_after_a_crash_and_through_a_restart() {
    on_chosen_kernel(|| {
        crash_and_restart("activebackup");
    });
}

#[test]
fn loadbalance_goes_on_after_a_crash_and_through_a_restart() {
    on_chosen_kernel(|| {
        crash_and_restart("loadbalance");
    });
}

#[test]
fn roundrobin_goes_on_after_a_crash_and_through_a_restart() {
    on_chosen_kernel(|| {
        crash_and_restart("roundrobin");
    });
}

#[test]
fn programs_and_relay_take_each_others_place() {
    on_chosen_kernel(|| {
        for (runner, begin) in [
            ("activebackup", DataPath::Programs),
            ("activebackup", DataPath::Userspace),
            ("loadbalance", DataPath::Programs),
        ] {
            let Some(lab) = Lab::open(Sharing::Alone) else {
                return;
            };
            let teamed = SiteWithTeam::new(&lab, runner, begin, CableKind::Virtual);
            teamed.take_precedence();
            let index = teamed.site.left.link("team0")["ifindex"].clone();
            let streams = streams(&teamed);
            for kind in ["relay", "programs", "relay", "programs"] {
                let set = format!("state item set teamr.data_path {kind}");
                teamed.team.ask(&set);
                assert_eq!(teamed.team.state()["teamr"]["data_path"], kind);
                let sent = teamed.site.right.statistics("eth1")["tx"]["packets"].as_u64();
                wait_until("packets to pass", || {
                    let now = teamed.site.right.statistics("eth1")["tx"]["packets"].as_u64();
                    now > sent.map(|count| count + 300)
                });
            }
            judge(streams);
            assert_eq!(teamed.site.left.link("team0")["ifindex"], index);
        }
    });
}

/// The daemon is late for more frames than the loop reads at once, and switches then.
#[test]
fn programs_take_the_place_of_a_late_relay() {
    on_chosen_kernel(|| {
        let Some(lab) = Lab::open(Sharing::Alone) else {
            return;
        };
        let mut teamed =
            SiteWithTeam::new(&lab, "activebackup", DataPath::Programs, CableKind::Virtual);
        teamed.team.ask("state item set teamr.data_path relay");
        let streams = streams(&teamed);
        let sent =
            || teamed.site.right.statistics("eth1")["tx"]["packets"].as_u64().expect("a number");
        wait_until("the streams to flow", || sent() > 300);
        teamed.team.signal(Signal::SIGSTOP);
        let until = sent() + 2000;
        let mut request = teamed.site.left.command(binary("teamrctl"));
        request.args(["team0", "state", "item", "set", "teamr.data_path", "programs"]);
        let mut request = request.spawn().expect("start teamrctl");
        wait_until("frames to be queued", || sent() > until);
        teamed.team.signal(Signal::SIGCONT);
        assert!(request.wait().expect("wait for teamrctl").success());
        assert_eq!(teamed.team.state()["teamr"]["data_path"], "programs");
        judge(streams);
    });
}

/// Returns frames and bytes in the direction `way`, of the device and summed over its ports.
fn carried(teamed: &SiteWithTeam, way: &str) -> [[u64; 2]; 2] {
    let device = teamed.site.left.statistics("team0");
    let state = teamed.team.state();
    let number = |value: &serde_json::Value| value.as_u64().unwrap_or_default();
    let sum = |what: &str| {
        let item = format!("{way}_{what}");
        let of_port = |port: &str| number(&state["ports"][port]["teamr"][&item]);
        PORTS.map(of_port).into_iter().sum()
    };
    let of_device = ["packets", "bytes"].map(|what| number(&device[way][what]));
    [of_device, [sum("frames"), sum("bytes")]]
}

#[test]
fn ports_and_device_count_the_same_traffic() {
    on_chosen_kernel(|| {
        for (path, runners) in [
            (DataPath::Programs, &["loadbalance", "roundrobin", "activebackup", "slb"][..]),
            (DataPath::Userspace, &["loadbalance"]),
        ] {
            for runner in runners {
                let Some(lab) = Lab::open(Sharing::Alone) else {
                    return;
                };
                let teamed = SiteWithTeam::new(&lab, runner, path, CableKind::Virtual);
                if *runner == "slb" {
                    // Both ends then have the first cable as the one for broadcasts.
                    teamed.site.cable("eth2").pull();
                    teamed.wait_port("eth2", false);
                    teamed.site.cable("eth2").put_back();
                    teamed.wait_port("eth2", true);
                }
                let before = ["tx", "rx"].map(|way| carried(&teamed, way));
                let streams = streams(&teamed);
                let_pass(&teamed, 100);
                for stream in streams {
                    stream.finish();
                }
                for (way, before) in ["tx", "rx"].into_iter().zip(before) {
                    let after = carried(&teamed, way);
                    let grown = |of: usize, what: usize| after[of][what] - before[of][what];
                    let [device, ports] = [0, 1].map(|of| [grown(of, 0), grown(of, 1)]);
                    println!("{runner}, {way}: {device:?} {ports:?}");
                    assert!(ports[0] > 100 && ports[1] > 100 * 64);
                    // Other frames may pass between two readings.
                    assert!(device[0].abs_diff(ports[0]) < 10, "{runner}, {way}");
                    assert!(device[1].abs_diff(ports[1]) < 1000, "{runner}, {way}");
                }
            }
        }
    });
}

#[test]
fn the_device_counts_and_can_be_captured_on() {
    on_chosen_kernel(|| {
        let Some(lab) = Lab::open(Sharing::Alone) else {
            return;
        };
        let teamed = SiteWithTeam::new(&lab, "loadbalance", DataPath::Programs, CableKind::Virtual);
        let capture = integration::traffic::Capture::start(&teamed.site.left, "team0");
        let before = teamed.site.left.statistics("team0");
        let traces = {
            let streams = streams(&teamed);
            let_pass(&teamed, 300);
            judge(streams)
        };
        let after = teamed.site.left.statistics("team0");
        let grown = |way: &str| {
            let count = |document: &serde_json::Value| document[way]["packets"].as_u64();
            count(&after).unwrap_or_default() - count(&before).unwrap_or_default()
        };
        let [out, back] = traces.map(|trace| trace.sent.len() as u64);
        // ARP and the like come in addition to the streams.
        assert!((out..out + 50).contains(&grown("tx")), "{out}: {after}");
        assert!((back..back + 50).contains(&grown("rx")), "{back}: {after}");
        let frames = capture.finish();
        let outgoing = frames.iter().filter(|frame| frame.outgoing).count() as u64;
        assert!(outgoing >= out, "{outgoing} of {out} captured");
        assert!(frames.len() as u64 - outgoing >= back);
    });
}

/// Starts a script with a packet socket `s`.
fn python(host: &Namespace, script: &str) -> Process {
    let open = "import socket; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)";
    let mut command = host.command("python3");
    command.args(["-c", &format!("{open}\n{script}")]);
    Process::start("python", host.folder(), command)
}

/// Link-local control frames of a port, active or not, reach the listeners on that port, and leave
/// on the port that they are sent on.
#[test]
fn ports_have_their_own_lldp_and_8021x() {
    on_chosen_kernel(|| {
        const LLDP: (&str, &str) = ("0180c200000e", "88cc");
        const EAPOL: (&str, &str) = ("0180c2000003", "888e");
        let Some(lab) = Lab::open(Sharing::Shared) else {
            return;
        };
        let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &PORTS);
        let config = team_config("team0", "activebackup", DataPath::Programs, &PORTS);
        let team = Teamr::start(&host, &config);
        team.wait_ports_up(&PORTS);
        for port in PORTS {
            for (destination, kind) in [LLDP, EAPOL] {
                for (from, to) in [(&peer, &host), (&host, &peer)] {
                    // As such daemons do: one EtherType, one interface.
                    let listener = python(
                        to,
                        &format!(
                            "s.bind(('{port}', 0x{kind})); print('ready', flush=True)\n\
                         s.recv(100); print('received', flush=True)"
                        ),
                    );
                    wait_until("a listener", || listener.log().contains("ready"));
                    let _sender = python(
                        from,
                        &format!(
                            "s.bind(('{port}', 0))\n\
                         s.send(bytes.fromhex('{destination}020000000009{kind}') + bytes(46))"
                        ),
                    );
                    let what = format!("{kind} from {} at {port}", from.name());
                    wait_until(&what, || listener.log().contains("received"));
                }
            }
        }
    });
}

/// Interfaces on the team device with hardware addresses of their own, and temporary addresses.
#[test]
fn a_guest_by_macvlan_and_privacy_addresses_work() {
    on_chosen_kernel(|| {
        let Some(lab) = Lab::open(Sharing::Shared) else {
            return;
        };
        let teamed = SiteWithTeam::new(&lab, "loadbalance", DataPath::Programs, CableKind::Virtual);
        let (left, right) = (&teamed.site.left, &teamed.site.right);
        let guest = lab.host("guest");
        left.address("team0", "10.0.0.1/24");
        right.address("eth1", "10.0.0.2/24");
        left.ip("link add guest0 link team0 type macvlan mode private");
        left.ip(&format!("link set dev guest0 netns {}", guest.pid()));
        guest.up("guest0");
        guest.address("guest0", "10.0.0.3/24");
        assert!(Ping::run(&guest, "10.0.0.2", 10, "").is_exact());
        assert!(Ping::run(right, "10.0.0.3", 10, "").is_exact());

        // As after a router advertisement.
        left.write("/proc/sys/net/ipv6/conf/team0/use_tempaddr", "2");
        left.write("/proc/sys/net/ipv6/conf/team0/dad_transmits", "0");
        left.ip("address add fd00::211:22ff:fe33:4455/64 dev team0 mngtmpaddr");
        right.address("eth1", "fd00::2/64");
        let temporary = wait_for("a temporary address", || {
            // Nothing can be sent from an address under duplicate address detection.
            let text = left.ip("-6 -oneline address show dev team0 temporary -tentative");
            let (_, rest) = text.split_once("inet6 ")?;
            Some(rest.split('/').next()?.to_owned())
        });
        let from = format!("-I {temporary}");
        assert!(Ping::run(left, "fd00::2", 10, &from).is_exact());
        assert!(Ping::run(right, &temporary, 10, "").is_exact());
    });
}

//! Tunnels over the relay, whose frames a virtio-net header describes only in part, and merged
//! datagrams of UDP, which no header describes before Linux 6.2.
#![allow(clippy::disallowed_methods, reason = "a test waits for and measures real daemons")]

use std::time::Instant;

use integration::kernel::{release, version};
use integration::traffic::{End, Pace, Transfer};
use integration::{
    DataPath, HostAndPeer, Lab, Sharing, Teamr, in_guest, team_config, teamr_command, wait_until,
};

/// Tunnels by name, with the parameters of `ip link` for the ends OWN and OTHER on LOWER.
const TUNNELS: [(&str, &str); 5] = [
    ("vxlan", "type vxlan id 7 local OWN remote OTHER dev LOWER dstport 4789 udpcsum"),
    ("vxlan-plain", "type vxlan id 8 local OWN remote OTHER dev LOWER dstport 4790 noudpcsum"),
    ("geneve", "type geneve id 7 remote OTHER dstport 6081"),
    ("gretap", "type gretap local OWN remote OTHER"),
    ("gre", "type gre local OWN remote OTHER csum"),
];
/// Bytes that each tunnel transfers in each direction while the time is taken.
const BYTES: u64 = 2 << 20;
/// As [`BYTES`], for programs, which are a hundred times as fast.
const BYTES_OF_PROGRAMS: u64 = 32 << 20;
/// The least rate of the relay, as a part of the rate of programs: a debug build in a guest, where a
/// system call is slow, comes to 0.005 and more. A tunnel whose merged frames are lost comes to 0.0003.
const LEAST_PART: f64 = 0.002;

struct Site {
    pair: HostAndPeer,
    team: Teamr,
    _lab: Lab,
}

impl Site {
    fn new(data_path: DataPath, args: &[&str]) -> Site {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let pair = HostAndPeer::new(&lab, &["eth1"]);
        let config = team_config("team0", "activebackup", data_path, &["eth1"]);
        let mut command = teamr_command(&pair.host);
        command.args(args);
        let team = Teamr::start_config(&pair.host, &config, command);
        pair.host.up("team0");
        team.wait_active("eth1");
        pair.host.address("team0", "10.0.0.1/24");
        pair.peer.address("eth1", "10.0.0.2/24");
        Site { pair, team, _lab: lab }
    }

    /// Returns the bytes that flow a second in both directions of a tunnel together.
    fn rate(&self, number: u8, (name, parameters): (&str, &str), bytes: u64) -> f64 {
        let ends = [(&self.pair.host, "team0", 1, 2), (&self.pair.peer, "eth1", 2, 1)];
        for (host, lower, own, other) in ends {
            let parameters = parameters
                .replace("OWN", &format!("10.0.0.{own}"))
                .replace("OTHER", &format!("10.0.0.{other}"))
                .replace("LOWER", lower);
            host.ip(&format!("link add {name} {parameters}"));
            host.address(name, &format!("10.1.{number}.{own}/24"));
            host.up(name);
        }
        let [near, far] = ends
            .map(|(host, _, own, _)| End::new(host, name, &format!("10.1.{number}.{own}:7000")));
        let transfer = Transfer::start_at(Pace::Flood, &near, &far);
        let received = || {
            let count =
                |host: &integration::Namespace| host.statistics(name)["rx"]["bytes"].as_u64();
            ends.map(|(host, ..)| count(host).expect("a count"))
        };
        let flow = |bytes: u64| {
            let until = received().map(|count| count + bytes);
            wait_until(&format!("{bytes} bytes in {name}"), || {
                received().iter().zip(until).all(|(now, until)| *now >= until)
            });
        };
        flow(bytes / 8);
        let (begin, before) = (Instant::now(), received());
        flow(bytes);
        let (time, after) = (begin.elapsed(), received());
        assert!(transfer.finish().is_complete(), "{name}");
        ends.iter().for_each(|(host, ..)| drop(host.ip(&format!("link delete {name}"))));
        let passed: u64 = after.iter().zip(before).map(|(after, before)| after - before).sum();
        passed as f64 / time.as_secs_f64()
    }
}

#[test]
fn tunnels_pass_the_relay_both_ways() {
    in_guest(|_| {
        let rates = |data_path, args: &[&str]| {
            let site = Site::new(data_path, args);
            let bytes = if data_path == DataPath::Programs { BYTES_OF_PROGRAMS } else { BYTES };
            let tunnels = (1..).zip(TUNNELS);
            let rates: Vec<f64> =
                tunnels.map(|(number, tunnel)| site.rate(number, tunnel, bytes)).collect();
            let state = site.team.state();
            assert_eq!(state["teamr"]["data_path"], data_path.name());
            // A frame from before the device was up is lost with EIO.
            let errors = state["teamr"]["rx_drop_errors"].as_str().expect("a list");
            assert!(
                errors.split(", ").all(|it| it.is_empty() || it.starts_with("EIO ")),
                "{errors}"
            );
            rates
        };
        let programs = rates(DataPath::Programs, &[]);
        // A TAP, and a veth.
        for args in [&[][..], &["-N"]] {
            let relay = rates(DataPath::Userspace, args);
            for (((name, _), programs), relay) in TUNNELS.iter().zip(&programs).zip(&relay) {
                let part = relay / programs;
                println!(
                    "{name} {args:?}: {:.0} of {:.0} Mbit/s, {part:.3}",
                    relay * 8e-6,
                    programs * 8e-6
                );
                assert!(part > LEAST_PART, "{name} {args:?}: {part:.4} of the programs' rate");
            }
        }
    });
}

/// Sends datagrams of 1000 bytes in bursts that the kernel segments (UDP_SEGMENT), or receives some,
/// merged ones at once if MERGED (UDP_GRO); prints the number of datagrams.
const UDP: &str = "import socket, sys, time
role, address, merged = sys.argv[1:]
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if role == 'send':
    end.connect((address, 7000))
    end.setsockopt(17, 103, 1000)
    for burst in range(10):
        end.send(bytes(40 * 1000))
        time.sleep(0.01)
else:
    if merged == 'yes':
        end.setsockopt(17, 104, 1)
    end.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
    end.bind((address, 7000))
    end.settimeout(5)
    count = 0
    print('bound', flush=True)
    try:
        while True:
            count += len(end.recv(65536)) // 1000
            end.settimeout(0.3)
    except TimeoutError:
        pass
    print(count, flush=True)
";

/// The first kernel whose packet sockets describe merged datagrams, which then stay merged.
const DESCRIBES_DATAGRAMS: [u32; 2] = [6, 2];

#[test]
fn merged_datagrams_pass_the_relay_both_ways() {
    in_guest(|_| {
        let stay_merged = version(&release()) >= DESCRIBES_DATAGRAMS;
        for args in [&[][..], &["-N"]] {
            let site = Site::new(DataPath::Userspace, args);
            let HostAndPeer { host, peer } = &site.pair;
            // The port merges datagrams for any receiver, as a card may; the peer sends each alone.
            peer.run("ethtool -K eth1 tx-udp-segmentation off");
            host.run("ethtool -K eth1 gro on rx-udp-gro-forwarding on");
            for (from, to, address, what) in
                [(host, peer, "10.0.0.2", "out"), (peer, host, "10.0.0.1", "in")]
            {
                // The first burst may show the daemon that the kernel describes no such frame.
                let mut passed = 0;
                wait_until(&format!("every datagram, {what} {args:?}"), || {
                    let mut command = to.command("python3");
                    command.args(["-c", UDP, "receive", address, "yes"]);
                    let receiver = integration::Process::start("receiver", host.folder(), command);
                    wait_until("the receiver", || receiver.log().contains("bound"));
                    let send =
                        from.command("python3").args(["-c", UDP, "send", address, ""]).status();
                    assert!(send.expect("run python3").success());
                    let count = || receiver.log().lines().nth(1)?.parse::<u32>().ok();
                    passed = integration::wait_for("a count", count);
                    println!("{what} {args:?}: {passed} of 400");
                    passed == 400
                });
            }
            let Site { pair: HostAndPeer { host, .. }, team, _lab } = site;
            // A daemon that crashes leaves the offloads off; the next one gives them back.
            team.crash();
            let features = || host.run("ethtool -k eth1");
            let merges = features().contains("rx-udp-gro-forwarding: on");
            assert_eq!(merges, stay_merged, "{}", features());
            let config = team_config("team0", "activebackup", DataPath::Userspace, &["eth1"]);
            let mut command = teamr_command(&host);
            command.args(args);
            let team = Teamr::start_config(&host, &config, command);
            team.wait_active("eth1");
            assert!(team.stop().success());
            // With -N the ports stay in the team.
            let features = features();
            let is_back = ["generic-receive-offload: on", "rx-udp-gro-forwarding: on"]
                .iter()
                .all(|feature| features.contains(feature));
            assert_eq!(is_back, stay_merged || args.is_empty(), "{features}");
        }
    });
}

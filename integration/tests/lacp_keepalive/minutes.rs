//! Ten minutes without the daemon, frozen or killed, with each kind of partner at the fast rate.

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use integration::traffic::{End, Pace, Stream};
use integration::{
    DataPath, HostAndPeer, Lab, Sharing, TeamAndBond, Teamr, TwoTeams, in_virtual_time_within,
    team_config, wait_until,
};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::open_vswitch::OpenVswitch;
use super::{ANSWER, KEEP_DEVICE, LINKS, PERIOD, Partner, answered, carry, is_armed};

/// Environment variable: seconds without the daemon with Open vSwitch, by default 10. With the variable
/// the streams of the other cases have 1000 packets a second instead of 20.
const SECONDS: &str = "TEAMR_AWAY_SECONDS";
/// The default limit.
const LIMIT: Duration = Duration::from_secs(600);
/// Longest time from the limit to the end of a partner: a period, the partner's timeout of three
/// periods, and the partner's look at its timers.
const END: Duration = Duration::from_secs(5);
/// Time on the host after which a guest has failed.
const GUEST: Duration = Duration::from_secs(3600);
const SIGNALS: [Signal; 2] = [Signal::SIGSTOP, Signal::SIGKILL];

/// In guests.
mod guest {
    use super::*;

    #[test]
    fn a_bond_stays_for_ten_minutes_with_the_driver() {
        in_virtual_time_within(GUEST, |_| bond_stays(DataPath::Kernel));
    }

    #[test]
    fn a_bond_stays_for_ten_minutes_with_the_programs() {
        in_virtual_time_within(GUEST, |_| bond_stays(DataPath::Programs));
    }

    #[test]
    fn a_team_stays_for_ten_minutes_with_the_driver() {
        in_virtual_time_within(GUEST, |_| team_stays(DataPath::Kernel));
    }

    #[test]
    fn a_team_stays_for_ten_minutes_with_the_programs() {
        in_virtual_time_within(GUEST, |_| team_stays(DataPath::Programs));
    }

    #[test]
    fn the_last_answer_comes_within_the_limit() {
        in_virtual_time_within(GUEST, |_| last_answer(DataPath::Kernel));
    }
}

/// Returns the configuration of a team at the standard fast rate.
fn config(data_path: DataPath, ports: &[&str]) -> Value {
    let mut config = team_config("team0", "lacp", data_path, ports);
    config["runner"]["fast_rate"] = true.into();
    config
}

fn bond_stays(data_path: DataPath) {
    for signal in SIGNALS {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let bonded = TeamAndBond::new(&lab, "lacp_rate fast");
        let team = Teamr::start_args(&bonded.left, &config(data_path, &LINKS), &KEEP_DEVICE);
        bonded.left.up("team0");
        bonded.left.address("team0", "10.0.0.1/24");
        wait_until("both ports to carry at both ends", || {
            team.carrying().len() == 2 && bonded.carrying() == 2
        });
        let ends = ["team0", "bond0"].into_iter().zip([&bonded.left, &bonded.right]).zip([1, 2]);
        let ends: Vec<End> = ends
            .map(|((interface, host), number)| {
                End::new(host, interface, &format!("10.0.0.{number}:7000"))
            })
            .collect();
        partner_stays(team, &ends, signal, &|| bonded.carrying() == 2);
    }
}

fn team_stays(data_path: DataPath) {
    for signal in SIGNALS {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let hosts = TwoTeams::new(&lab);
        let team = Teamr::start_args(&hosts.left, &config(data_path, &LINKS), &KEEP_DEVICE);
        let partner = Teamr::start(&hosts.right, &config(data_path, &LINKS));
        hosts.set_up_teams();
        carry([&team, &partner]);
        let is_current = || {
            let ports = &partner.state_at_socket()["ports"];
            LINKS.iter().all(|port| ports[port]["runner"]["state"] == "current")
                && partner.carrying() == LINKS
        };
        partner_stays(team, &hosts.ends(7000), signal, &is_current);
    }
}

/// Freezes or kills the daemon of `team`: the partner stays until the limit and no longer, and no
/// packet is lost before the limit.
fn partner_stays(mut team: Teamr, ends: &[End], signal: Signal, stays: &dyn Fn() -> bool) {
    wait_until("the programs to be ready", || LINKS.iter().all(|port| is_armed(&team, port)));
    let back = ends.iter().cloned().map(|mut end| {
        end.address.set_port(7001);
        end
    });
    let back: Vec<End> = back.collect();
    let (pace, rate) = match env::var(SECONDS).is_ok() {
        true => (Pace::Full, 1000),
        false => (Pace::Gentle, 20),
    };
    let streams = [(&ends[0], &ends[1]), (&back[1], &back[0])]
        .map(|(from, to)| Stream::start_at(pace, from, to, None, 64));
    team.signal(signal);
    let begin = Instant::now();
    let mut streams = Some(streams);
    let mut packets = 0;
    while stays() && begin.elapsed() < LIMIT + 2 * END {
        // In virtual time a pause costs nothing, and a look at the partner does.
        let left = LIMIT.saturating_sub(begin.elapsed() + Duration::from_secs(3));
        match left.is_zero() {
            true => {
                for stream in streams.take().into_iter().flatten() {
                    let trace = stream.finish();
                    packets += trace.sent.len();
                    assert_eq!(trace.lost(), Vec::<u64>::new(), "{signal}");
                }
                thread::sleep(Duration::from_millis(20));
            }
            false => thread::sleep(left.min(Duration::from_secs(5))),
        }
    }
    let lasted = begin.elapsed();
    println!("  {signal}: the partner stayed for {lasted:.2?}, 0 of {packets} packets lost");
    assert!(packets > 2 * 590 * rate, "{packets} packets");
    // The limit counts from the last LACPDU, a period before the signal at most.
    let least = LIMIT + Duration::from_secs(1);
    assert!((least..LIMIT + END).contains(&lasted), "{signal}: {lasted:?}");
    if signal == Signal::SIGSTOP {
        team.signal(Signal::SIGCONT);
    }
}

/// A partner that sends an LACPDU every 60 ms gets its last answer within the limit, and not much
/// earlier.
fn last_answer(data_path: DataPath) {
    const PAUSE: Duration = Duration::from_millis(60);
    let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
    let pair = HostAndPeer::new(&lab, &["eth1"]);
    pair.peer.up("eth1");
    let mut team = Teamr::start(&pair.host, &super::config(data_path, &["eth1"]));
    pair.host.up("team0");
    let mut partner = Partner::negotiate(&pair);
    wait_until("the program to be ready", || {
        partner.wire.send(&partner.pdu());
        is_armed(&team, "eth1")
    });
    team.signal(Signal::SIGSTOP);
    let mut last = 0;
    while let Some((at, _)) = partner.wire.receive(ANSWER) {
        last = at;
    }
    let (own, mut answers) = (last, 0);
    let since = |at: u64| Duration::from_nanos(at - own);
    let pdu = partner.pdu();
    let mut waits = 0;
    while waits < 20 {
        partner.wire.send(&pdu);
        match partner.wire.receive(PAUSE) {
            Some((at, _)) => {
                (last, answers, waits) = (at, answers + 1, 0);
                thread::sleep(PAUSE);
            }
            None => waits += 1,
        }
    }
    let name = data_path.name();
    println!("  {name}: {answers} answers, the last {:.2?} after the daemon's LACPDU", since(last));
    assert!((LIMIT - 3 * PERIOD..=LIMIT).contains(&since(last)), "{name}: {:?}", since(last));
}

/// Open vSwitch stays with a frozen or killed daemon.
#[test]
fn open_vswitch_notices_no_missing_daemon() {
    let Some(lab) = Lab::open(Sharing::Alone).filter(|_| OpenVswitch::is_here()) else {
        return;
    };
    let seconds = env::var(SECONDS).map_or(10, |seconds| seconds.parse().expect("a number"));
    let away = Duration::from_secs(seconds);
    let pair = HostAndPeer::new(&lab, &["eth1"]);
    let mut config = super::config(DataPath::Programs, &["eth1"]);
    config["runner"]["fast_period"] = 1000.into();
    config["runner"]["keepalive"] = 900.into();
    let start = || Teamr::start_args(&pair.host, &config, &KEEP_DEVICE);
    let mut team = start();
    pair.host.up("team0");
    pair.host.address("team0", "10.0.0.1/24");
    // Open vSwitch in user space passes a checksum on that the sender left to the hardware.
    pair.host.run("ethtool -K team0 tx off");
    let _switch = OpenVswitch::start(&pair.peer, "eth1");
    // On a busy machine the switch would drop packets while it waits for a processor.
    let switch = pair.peer.run("cat /run/openvswitch/ovs-vswitchd.pid");
    pair.peer.try_run(&format!("chrt --all-tasks --rr --pid 5 {switch}"));
    pair.peer.up("br0");
    pair.peer.address("br0", "10.0.0.2/24");
    wait_until("the program to be ready", || is_armed(&team, "eth1"));
    let host = End::new(&pair.host, "team0", "10.0.0.1:7000");
    let peer = End::new(&pair.peer, "br0", "10.0.0.2:7000");
    wait_until("the way to the bridge", || {
        pair.host.try_run("ping -c 1 -W 1 10.0.0.2").status.success()
    });
    let mut known = 0;
    for signal in SIGNALS {
        wait_until("the program to be ready", || is_armed(&team, "eth1"));
        let streams =
            [(&host, &peer), (&peer, &host)].map(|(from, to)| Stream::start(from, to, None, 64));
        team.signal(signal);
        let begin = Instant::now();
        while begin.elapsed() < away {
            let shown = pair.peer.run("ovs-appctl lacp/show");
            assert!(shown.contains("eth1: current attached"), "{:?}: {shown}", begin.elapsed());
            thread::sleep(Duration::from_millis(100));
        }
        match signal {
            Signal::SIGSTOP => team.signal(Signal::SIGCONT),
            _ => team = start(),
        }
        let traces = streams.map(Stream::finish);
        let packets: usize = traces.iter().map(|trace| trace.sent.len()).sum();
        let lost: usize = traces.iter().map(|trace| trace.lost().len()).sum();
        let in_all = answered(&team, "eth1");
        println!(
            "{signal}: Open vSwitch stayed for {away:?}, {} LACPDUs answered, {lost} of {packets} \
             packets lost",
            in_all - known
        );
        assert_eq!(lost, 0);
        assert!(in_all - known + 3 >= seconds, "{} answers", in_all - known);
        known = in_all;
    }
}

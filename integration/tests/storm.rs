//! More link events than the daemon's buffer holds: the daemon reads everything anew.
#![allow(clippy::disallowed_methods, reason = "a test waits for and measures real daemons")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use integration::{
    CableKind, DataPath, HostAndPeer, Lab, LinkChange, LinkChanges, Namespace, Sharing, Teamr,
    in_virtual_time, on_own_data_paths, team_config, wait_until,
};

/// The smallest buffer that the kernel allows: room for an event or two.
const BUFFER: (&str, &str) = ("TEAM_EVENT_BUFSIZE", "0");
/// Length of the storm on a machine that is fast enough.
const TIME: Duration = Duration::from_secs(10);
/// Changes of a device that is no port: 2,000 per second.
const OTHERS: u32 = 20_000;
/// Number of times that each of two ports loses its carrier and gets it back.
const FLAPS: u32 = 500;
/// Pause between two questions.
const PAUSE: Duration = Duration::from_millis(1);
/// An answer that takes longer counts as late.
const PROMPT: Duration = Duration::from_millis(100);
const PORTS: [&str; 4] = ["eth1", "eth2", "eth3", "eth4"];

/// During the storm one port vanishes and one appears; of two flapping ports one ends without a
/// carrier, the other with it.
fn storm(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &PORTS[..3]);
    lab.cable((&host, "other0"), (&peer, "other0"), CableKind::Virtual);
    let config = team_config("team0", "activebackup", data_path, &PORTS);
    let team = Teamr::start_with(&host, &config, &[BUFFER]);
    team.wait_ports_up(&PORTS[..3]);
    // Another port may have had its link first.
    team.ask("state item set runner.active_port eth1");
    team.wait_active("eth1");
    let before = resyncs(&team);

    let mut storms = [
        LinkChanges::start(&host, "other0", LinkChange::Mtu, OTHERS, TIME),
        LinkChanges::start(&peer, "eth1", LinkChange::UpDown, 2 * FLAPS, TIME),
        LinkChanges::start(&peer, "eth2", LinkChange::DownUp, 2 * FLAPS, TIME),
    ];
    let mut slowest = Duration::ZERO;
    let (mut answers, mut late) = (0, 0);
    let mut changed = false;
    let paces = loop {
        let waited = time_of_an_answer(&team);
        // An answer after the end of the last storm does not count.
        let paces = storms.each_mut().map(|storm| storm.pace());
        if let [Some(others), Some(first), Some(second)] = paces {
            break [others, first, second];
        }
        slowest = slowest.max(waited);
        answers += 1;
        late += u32::from(waited > PROMPT);
        if !changed {
            changed = true;
            host.ip("link delete dev eth3");
            lab.cable((&host, "eth4"), (&peer, "eth4"), CableKind::Virtual);
            peer.up("eth4");
        }
    };
    println!(
        "a storm of {:.0} changes a second elsewhere, {:.0} and {:.0} of our own ports: {answers} \
         questions answered, {late} of them later than after {PROMPT:?}, the slowest after \
         {slowest:.1?}; {} resyncs",
        paces[0],
        paces[1],
        paces[2],
        resyncs(&team) - before
    );
    assert!(changed && answers > 0, "the storm ended at once");
    assert!(resyncs(&team) > before, "no event was lost, so nothing was tested");

    wait_until("the state to be the kernel's", || links(&team) == carriers(&host));
    assert_eq!(
        links(&team),
        [("eth1", Some(false)), ("eth2", Some(true)), ("eth3", None), ("eth4", Some(true))]
    );
    let active = team.active_port().expect("an active port");
    assert!(["eth2", "eth4"].contains(&active.as_str()), "{active}");
    if data_path == DataPath::Kernel {
        let ifindex = host.link(&active)["ifindex"].to_string();
        assert_eq!(team.driver_option("activeport"), ifindex);
    }
    assert!(team.stop().success());
}

/// Returns the time of an answer, after which this function pauses: in virtual time no time passes
/// while no process waits.
fn time_of_an_answer(team: &Teamr) -> Duration {
    let begin = Instant::now();
    team.state_at_socket();
    let waited = begin.elapsed();
    sleep(PAUSE);
    waited
}

fn resyncs(team: &Teamr) -> u64 {
    team.state_at_socket()["teamr"]["resyncs"].as_u64().expect("a count of resyncs")
}

/// Returns the links of the ports in the daemon's state.
fn links(team: &Teamr) -> [(&'static str, Option<bool>); 4] {
    let state = team.state_at_socket();
    PORTS.map(|port| {
        let port_state = state["ports"].get(port);
        (port, port_state.and_then(|state| state["link"]["up"].as_bool()))
    })
}

/// Returns the carriers of the ports in the kernel.
fn carriers(host: &Namespace) -> [(&'static str, Option<bool>); 4] {
    PORTS.map(|port| {
        let there = host.has_interface(port);
        (port, there.then(|| host.link(port)["operstate"] == "UP"))
    })
}

on_own_data_paths! { storm }

#[test]
fn with_the_kernels_driver_too() {
    in_virtual_time(|_| storm(DataPath::Kernel));
}

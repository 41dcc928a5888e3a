//! More events than the daemon can take in: what it lost it reads anew.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use integration::{
    CableKind, DataPath, Lab, Namespace, Process, Sharing, Teamr, in_guest, team_config, wait_until,
};

/// As small as the kernel lets it be: room for an event or two.
const BUFFER: (&str, &str) = ("TEAM_EVENT_BUFSIZE", "0");
/// Events of a device that is no port.
const OTHERS: usize = 10_000;
/// How often each of two ports loses its carrier and gets it back.
const FLAPS: usize = 500;
const PORTS: [&str; 4] = ["eth1", "eth2", "eth3", "eth4"];

/// Runs the lines of `ip` one after the other, as fast as it goes.
fn batch(host: &Namespace, name: &str, lines: impl Iterator<Item = String>) -> Process {
    let file = host.folder().join(name);
    let lines: Vec<String> = lines.collect();
    fs::write(&file, lines.join("\n") + "\n").expect("write a batch");
    host.start(&format!("ip -batch {}", text(&file)))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

/// One port ends without its carrier, one with it, one vanishes in the middle of the storm, one
/// appears, while many more events come than the buffer can hold.
fn storm(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let (host, peer) = (lab.host("host"), lab.host("peer"));
    for port in &PORTS[..3] {
        lab.cable((&host, port), (&peer, port), CableKind::Virtual);
        peer.up(port);
    }
    lab.cable((&host, "other0"), (&peer, "other0"), CableKind::Virtual);
    let config = team_config("team0", "activebackup", data_path, &PORTS);
    let team = Teamr::start_with(&host, &config, &[BUFFER]);
    for port in &PORTS[..3] {
        team.wait_port(port, true);
    }
    team.wait_active("eth1");
    let before = resyncs(&team);

    let others = (0..OTHERS).map(|number| format!("link set dev other0 alias x{number}"));
    let flap = |port: &'static str, first, second| {
        let line = move |state| format!("link set dev {port} {state}");
        (0..FLAPS).flat_map(move |_| [line(first), line(second)])
    };
    let mut storms = [
        batch(&host, "others", others),
        batch(&peer, "eth1", flap("eth1", "up", "down")),
        batch(&peer, "eth2", flap("eth2", "down", "up")),
    ];
    let mut slowest = Duration::ZERO;
    let mut answers = 0;
    let mut changed = false;
    let began = Instant::now();
    loop {
        let asked = Instant::now();
        team.state_at_socket();
        slowest = slowest.max(asked.elapsed());
        // A question asked after the last storm has ended is no answer in a storm.
        let ended = storms.each_mut().map(|storm| storm.ended());
        if ended.iter().all(Option::is_some) {
            break;
        }
        answers += 1;
        if !changed {
            changed = true;
            host.ip("link delete dev eth3");
            lab.cable((&host, "eth4"), (&peer, "eth4"), CableKind::Virtual);
            peer.up("eth4");
        }
    }
    let storm_lasted = began.elapsed();
    for storm in &mut storms {
        assert!(storm.wait().success(), "{}", storm.log());
    }
    println!(
        "a storm of {} commands in {storm_lasted:.1?}: {answers} questions answered, \
         the slowest after {slowest:.1?}; {} resyncs",
        OTHERS + 4 * FLAPS,
        resyncs(&team) - before
    );
    assert!(changed && answers > 0, "the storm was over at once");
    assert!(
        resyncs(&team) > before,
        "nothing was lost, so nothing was tried"
    );

    wait_until("the state to be the kernel's", || {
        told(&team) == carriers(&host)
    });
    assert_eq!(
        told(&team),
        [
            ("eth1", Some(false)),
            ("eth2", Some(true)),
            ("eth3", None),
            ("eth4", Some(true))
        ]
    );
    let active = team.active_port().expect("an active port");
    assert!(["eth2", "eth4"].contains(&active.as_str()), "{active}");
    if data_path == DataPath::Kernel {
        let ifindex = host.link(&active)["ifindex"].to_string();
        assert_eq!(team.driver_option("activeport"), ifindex);
    }
    assert!(team.stop().success());
}

fn resyncs(team: &Teamr) -> u64 {
    team.state_at_socket()["teamr"]["resyncs"]
        .as_u64()
        .expect("a count of resyncs")
}

/// The ports and their links, as the daemon tells them.
fn told(team: &Teamr) -> [(&'static str, Option<bool>); 4] {
    let state = team.state_at_socket();
    PORTS.map(|port| {
        let port_state = state["ports"].get(port);
        (
            port,
            port_state.and_then(|state| state["link"]["up"].as_bool()),
        )
    })
}

/// The same as the kernel has it.
fn carriers(host: &Namespace) -> [(&'static str, Option<bool>); 4] {
    PORTS.map(|port| {
        let there = host.has_interface(port);
        (port, there.then(|| host.link(port)["operstate"] == "UP"))
    })
}

#[test]
fn the_state_is_the_kernels_after_a_storm() {
    storm(DataPath::Userspace);
}

#[test]
fn with_the_kernels_driver_too() {
    in_guest(|_| storm(DataPath::Kernel));
}

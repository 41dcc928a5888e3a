//! More events than the daemon can take in: what it lost it reads anew.

use std::time::{Duration, Instant};

use integration::{
    CableKind, DataPath, Lab, Namespace, Pair, Shaken, Shaking, Sharing, Teamr, in_guest,
    on_own_data_paths, team_config, wait_until,
};

/// As small as the kernel lets it be: room for an event or two.
const BUFFER: (&str, &str) = ("TEAM_EVENT_BUFSIZE", "0");
/// How long the storm blows, where the machine can keep up.
const TIME: Duration = Duration::from_secs(10);
/// Changes of a device that is no port: 2,000 a second.
const OTHERS: u32 = 20_000;
/// How often each of two ports loses its carrier and gets it back.
const FLAPS: u32 = 500;
/// What nobody who asks shall have to wait.
const PROMPT: Duration = Duration::from_millis(100);
const PORTS: [&str; 4] = ["eth1", "eth2", "eth3", "eth4"];

/// One port ends without its carrier, one with it, one vanishes in the middle of the storm, one
/// appears, while many more events come than the buffer can hold.
fn storm(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let Pair { host, peer } = Pair::new(&lab, &PORTS[..3]);
    lab.cable((&host, "other0"), (&peer, "other0"), CableKind::Virtual);
    let config = team_config("team0", "activebackup", data_path, &PORTS);
    let team = Teamr::start_with(&host, &config, &[BUFFER]);
    team.wait_ports_up(&PORTS[..3]);
    team.wait_active("eth1");
    let before = resyncs(&team);

    let mut storms = [
        Shaken::start(&host, "other0", Shaking::Mtu, OTHERS, TIME),
        Shaken::start(&peer, "eth1", Shaking::UpDown, 2 * FLAPS, TIME),
        Shaken::start(&peer, "eth2", Shaking::DownUp, 2 * FLAPS, TIME),
    ];
    let mut slowest = Duration::ZERO;
    let (mut answers, mut late) = (0, 0);
    let mut changed = false;
    let paces = loop {
        let asked = Instant::now();
        team.state_at_socket();
        let waited = asked.elapsed();
        // A question asked after the last storm has ended is no answer in a storm.
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

on_own_data_paths! { storm }

#[test]
fn with_the_kernels_driver_too() {
    in_guest(|_| storm(DataPath::Kernel));
}

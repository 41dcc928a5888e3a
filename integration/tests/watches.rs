//! Link watches that probe a neighbour, on every data path: a path that becomes silent behind a
//! switch is abandoned although its carrier stays, and used again when it returns.
#![allow(clippy::disallowed_methods, reason = "a test measures time")]

use std::time::Instant;

use integration::traffic::Capture;
use integration::{
    CableKind, DataPath, HostAndPeer, Lab, Namespace, Ping, Sharing, Site, Teamr, Vlan,
    in_virtual_time, team_config, wait_until,
};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use serde_json::{Value, json};

const PORTS: [&str; 2] = ["eth1", "eth2"];
const TARGET: &str = "10.0.0.2";
const IN_VLAN: &str = "10.5.0.2";
const TARGET6: &str = "fd00::2";

/// A site whose switch ports can be removed from the switch.
struct Watched {
    site: Site,
    team: Teamr,
}

impl Watched {
    /// Starts a team of two ports with this watch; the first port is preferred.
    fn new(lab: &Lab, runner: &str, data_path: DataPath, watch: &Value) -> Watched {
        let site = Site::new(lab, CableKind::Virtual);
        site.plug_unaggregated();
        for (address, prefix) in [(TARGET, 24), (TARGET6, 64)] {
            site.right.address("eth1", &format!("{address}/{prefix}"));
        }
        let mut config = team_config("team0", runner, data_path, &["eth1", "eth2"]);
        config["link_watch"] = watch.clone();
        config["ports"]["eth1"]["prio"] = 10.into();
        let team = Teamr::start(&site.left, &config);
        site.left.up("team0");
        site.left.address("team0", "10.0.0.1/24");
        Watched { site, team }
    }

    /// Removes the far end of a port's cable from the switch. The carrier stays.
    fn silence(&self, port: &str) {
        let far = self.site.cable(port).far_interface();
        let switch = self.site.switch.namespace();
        switch.ip(&format!("link set dev {far} nomaster"));
    }

    fn restore(&self, port: &str) {
        let cable = self.site.cable(port);
        self.site.switch.plug(cable.far_interface());
        self.site.switch.wait_forwarding(cable);
    }

    fn watch(&self, port: &str) -> Value {
        self.team.state()["ports"][port]["link_watches"]["list"]["link_watch_0"].clone()
    }

    fn link_is_up(&self, port: &str) -> bool {
        self.team.state()["ports"][port]["link"]["up"] == true
    }

    fn reaches_the_target(&self, when: &str) {
        let ping = Ping::run(&self.site.left, TARGET, 20, "");
        assert_eq!(ping.answered, ping.sent, "{when}");
    }
}

fn asking(watch: &str, target: &str) -> Value {
    json!({"name": watch, "target_host": target, "interval": 100})
}

/// The preferred path becomes silent and returns.
fn a_silent_path_is_abandoned_and_used_again(lab: &Lab, data_path: DataPath, watch: &Value) {
    let watched = Watched::new(lab, "activebackup", data_path, watch);
    let team = &watched.team;
    team.wait_active("eth1");
    team.wait_port("eth2", true);
    assert_eq!(watched.watch("eth1")["missed"], 0);
    let age = &watched.watch("eth1")["teamr"]["last_answer_ms_ago"];
    assert!(age.is_u64(), "no age of the last answer: {age}");
    watched.reaches_the_target("both paths good");

    watched.silence("eth1");
    team.wait_active("eth2");
    assert!(watched.link_is_up("eth1"), "the carrier was to stay");
    assert_eq!(watched.watch("eth1")["down_count"], 1);
    // Probes continue on the silent port and must not draw traffic there.
    watched.reaches_the_target("one path silent");

    watched.restore("eth1");
    team.wait_active("eth1");
    watched.reaches_the_target("both paths good again");
    team.wait_port("eth2", true);
}

/// `retry_interval` in ms, for a watch with `interval` 100 and `missed_max` 3.
const RETRY: u64 = 12;
/// Time to leave a silent path with retries, in ms: the interval until the first request without an
/// answer, four requests, and the 5 ms between two looks at the state.
const LEFT_WITH_RETRIES: u128 = 100 + 4 * RETRY as u128 + 6;

/// Returns the time from the loss of the first path to the failover, in ms, at several phases of the
/// interval.
fn silences(lab: &Lab, data_path: DataPath, watch: &Value) -> Vec<u128> {
    let watched = Watched::new(lab, "activebackup", data_path, watch);
    let team = &watched.team;
    let mut times = Vec::new();
    for phase in 0..10 {
        team.wait_active("eth1");
        team.wait_port("eth2", true);
        wait_until("another phase of the interval", || {
            watched.watch("eth1")["teamr"]["last_probe_ms_ago"].as_u64() >= Some(10 * phase)
        });
        watched.silence("eth1");
        let lost = Instant::now();
        team.wait_active("eth2");
        times.push(lost.elapsed().as_millis());
        watched.restore("eth1");
    }
    times
}

/// The clock of the guest advances only while all processes wait, so the measured times are exact.
fn retries_leave_a_silent_path_soon(lab: &Lab, data_path: DataPath) {
    for (name, target) in [("arp_ping", TARGET), ("nsna_ping", TARGET6)] {
        let mut watch = asking(name, target);
        let plain = silences(lab, data_path, &watch);
        watch["retry_interval"] = RETRY.into();
        let retrying = silences(lab, data_path, &watch);
        println!("{name}: silence in ms {plain:?}, with retries {retrying:?}");
        assert!(retrying.iter().all(|time| *time <= LEFT_WITH_RETRIES), "{retrying:?}");
        assert!(plain.iter().all(|time| (300..=460).contains(time)), "{plain:?}");
    }
}

/// The host's processors are busy with other programs and with the team's own traffic.
fn load_causes_no_false_alarm(lab: &Lab, data_path: DataPath) {
    let mut watch = asking("arp_ping", TARGET);
    watch["retry_interval"] = RETRY.into();
    let watched = Watched::new(lab, "activebackup", data_path, &watch);
    watched.team.wait_active("eth1");
    let busy = [(); 4].map(|()| watched.site.left.start("sha1sum /dev/zero"));
    let flood = watched.site.left.start(&format!("ping -q -f -s 1400 {TARGET}"));
    let age = || watched.watch("eth1")["teamr"]["last_probe_ms_ago"].as_u64();
    for _ in 0..100 {
        let mut before = age();
        wait_until("another request", || {
            let now = age();
            std::mem::replace(&mut before, now) > now
        });
    }
    drop((busy, flood));
    for port in PORTS {
        assert_eq!(watched.watch(port)["down_count"], 0, "{port}");
    }
}

/// The first probe on the wire, byte for byte; the team has its first port's address.
fn probes_equal_teamds(lab: &Lab, data_path: DataPath) {
    let mut watch = asking("arp_ping", TARGET);
    watch["source_host"] = "10.0.0.1".into();
    let watched = Watched::new(lab, "activebackup", data_path, &watch);
    watched.team.wait_active("eth1");
    let right = &watched.site.right;
    let capture = Capture::start(right, "eth1");
    let age = || watched.watch("eth1")["teamr"]["last_probe_ms_ago"].as_u64();
    let mut before = age();
    wait_until("another question", || {
        let now = age();
        std::mem::replace(&mut before, now) > now
    });
    let frames = capture.finish();
    let hwaddr = watched.site.left.hwaddr("team0");
    let octets: Vec<u8> =
        hwaddr.split(':').map(|octet| u8::from_str_radix(octet, 16).expect("an octet")).collect();
    let expected = [
        &[0xff; 6][..],
        &octets,
        &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
        &octets,
        &[10, 0, 0, 1],
        &[0xff; 6],
        &[10, 0, 0, 2],
    ]
    .concat();
    let questions = frames.iter().filter(|frame| !frame.outgoing);
    let questions: Vec<_> = questions.filter(|frame| frame.ether_type() == Some(0x0806)).collect();
    let teams = questions.iter().filter(|frame| frame.source() == hwaddr);
    assert!(teams.clone().count() > 0, "no probe was sent");
    for question in teams {
        assert_eq!(question.bytes[..], expected, "{question:x?}");
    }
    // The other port may not have received the first probe: its probes must not carry the team's
    // address.
    for question in questions.iter().filter(|frame| frame.source() != hwaddr) {
        assert_eq!(question.bytes[28..32], [0; 4], "{question:x?}");
    }
}

fn a_neighbour_in_a_vlan_is_asked_there(lab: &Lab, data_path: DataPath) {
    let mut watch = asking("arp_ping", IN_VLAN);
    watch["vlanid"] = 5.into();
    watch["validate_active"] = true.into();
    let watched = Watched::new(lab, "activebackup", data_path, &watch);
    wait_until("a few questions in vain", || watched.watch("eth1")["missed"].as_u64() > Some(3));
    assert_eq!(watched.team.port_up("eth1"), Some(false));
    assert_eq!(watched.watch("eth1")["teamr"]["vlanid"], 5);
    let _vlan = Vlan::new(&watched.site.right, "eth1", "vlan5", 5);
    watched.site.right.address("vlan5", &format!("{IN_VLAN}/24"));
    watched.team.wait_active("eth1");
}

/// The host's own probes are no replies, and there is no neighbour.
fn own_probes_do_not_count_as_replies(lab: &Lab, data_path: DataPath) {
    let watch = json!([asking("arp_ping", TARGET), asking("arp_ping", "10.0.0.3")]);
    let watched = Watched::new(lab, "activebackup", data_path, &watch);
    watched.team.wait_active("eth1");
    let talking = watched.site.left.start("ping -i 0.2 -W 0.1 10.0.0.77");
    watched.site.right.ip("link set dev eth1 down");
    for port in ["eth1", "eth2"] {
        watched.team.wait_port(port, false);
    }
    watched.team.wait_active("");
    drop(talking);
}

/// The team's carrier follows the neighbour where the runner itself uses no watch.
fn a_simple_runner_skips_silent_ports(lab: &Lab, data_path: DataPath) {
    let watch = asking("arp_ping", TARGET);
    let watched = Watched::new(lab, "roundrobin", data_path, &watch);
    let carrier = |up: &str| {
        wait_until(&format!("the team's carrier to be {up}"), || {
            let state = watched.site.left.run("cat /sys/class/net/team0/carrier");
            state.trim() == up
        });
    };
    watched.team.wait_ports_up(&["eth1", "eth2"]);
    carrier("1");
    watched.silence("eth1");
    watched.team.wait_port("eth1", false);
    watched.reaches_the_target("one path silent");
    watched.silence("eth2");
    watched.team.wait_port("eth2", false);
    carrier("0");
    watched.restore("eth2");
    watched.team.wait_port("eth2", true);
    carrier("1");
}

fn a_name_is_waited_for_by_the_watch_alone(lab: &Lab, data_path: DataPath) {
    let mut watch = asking("arp_ping", "no-such-host.invalid");
    let watched = Watched::new(lab, "activebackup", data_path, &watch);
    let item = watched.watch("eth1");
    assert_eq!(item["target_host"], "no-such-host.invalid");
    let expected = "waits for the address of \"no-such-host.invalid\"";
    assert_eq!(item["teamr"]["obstacle"], expected);
    drop(watched);
    // Not an address for a strict parser.
    watch["target_host"] = "10.3".into();
    let watched = Watched::new(lab, "activebackup", data_path, &watch);
    watched.team.wait_active("");
    watched.site.right.address("eth1", "10.0.0.3/24");
    watched.team.wait_active("eth1");
    let item = watched.watch("eth1");
    assert_eq!(item["target_host"], "10.0.0.3");
    assert_eq!(item["teamr"]["obstacle"], Value::Null);
}

type Case = (&'static str, fn(&Lab, DataPath));

const CASES: &[Case] = &[
    ("arp_ping, silent path", |lab, data_path| {
        let watch = asking("arp_ping", TARGET);
        a_silent_path_is_abandoned_and_used_again(lab, data_path, &watch);
    }),
    ("arp_ping, silent path, validated", |lab, data_path| {
        let mut watch = asking("arp_ping", TARGET);
        watch["source_host"] = "10.0.0.1".into();
        watch["validate_active"] = true.into();
        watch["validate_inactive"] = true.into();
        a_silent_path_is_abandoned_and_used_again(lab, data_path, &watch);
    }),
    ("nsna_ping, silent path", |lab, data_path| {
        let watch = asking("nsna_ping", TARGET6);
        a_silent_path_is_abandoned_and_used_again(lab, data_path, &watch);
    }),
    ("arp_ping, bytes", probes_equal_teamds),
    ("arp_ping, vlanid", a_neighbour_in_a_vlan_is_asked_there),
    ("arp_ping, own questions", own_probes_do_not_count_as_replies),
    ("arp_ping, roundrobin", a_simple_runner_skips_silent_ports),
    ("arp_ping, name", a_name_is_waited_for_by_the_watch_alone),
];

/// Removes the watch of all ports, which would combine with the ports' own.
fn unwatched(config: &mut Value) {
    let team = config.as_object_mut().expect("a configuration is an object");
    team.remove("link_watch");
}

/// A host at the far end of each cable, without a switch: TIPC has one link to a node over a
/// bearer.
fn tipc_follows_its_links(lab: &Lab, data_path: DataPath) {
    let HostAndPeer { host, peer } = HostAndPeer::new(lab, &PORTS);
    let mut config = team_config("team0", "activebackup", data_path, &PORTS);
    unwatched(&mut config);
    for port in PORTS {
        let watch = json!({"name": "tipc", "tipc_bearer": port});
        config["ports"][port]["link_watch"] = watch;
    }
    let team = Teamr::start(&host, &config);
    host.up("team0");
    for port in PORTS {
        team.wait_port(port, false);
    }
    let bearer = |host: &Namespace, what: &str, port: &str| {
        host.run(&format!("tipc bearer {what} media eth device {port}"));
    };
    for (end, port) in [&host, &peer].into_iter().flat_map(|end| PORTS.map(|port| (end, port))) {
        bearer(end, "enable", port);
    }
    for port in PORTS {
        team.wait_port(port, true);
        let state = team.state()["ports"][port]["link_watches"]["list"]["link_watch_0"].clone();
        let wanted = json!({"name": "tipc", "tipc_bearer": port, "up": true, "down_count": 0});
        assert_eq!(state, wanted);
    }
    let active = team.active_port().expect("an active port");
    let other = PORTS.into_iter().find(|port| *port != active).expect("two ports");
    bearer(&peer, "disable", &active);
    team.wait_active(other);
    team.wait_port(&active, false);
    assert_eq!(team.state()["ports"][&active]["link"]["up"], true);
    bearer(&peer, "enable", &active);
    team.wait_port(&active, true);
    // A port added later is configured too.
    team.ask(&format!("port remove {active}"));
    team.wait_no_port(&active);
    team.ask(&format!("port add {active}"));
    team.wait_port(&active, true);
}

/// Without TIPC the watch logs an error, and everything else works.
#[test]
fn without_tipc_the_watch_logs_an_error() {
    let family = AddressFamily::Tipc;
    if socket(family, SockType::SeqPacket, SockFlag::empty(), None).is_ok() {
        // A guest tests the behaviour with TIPC.
        return;
    }
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = HostAndPeer::new(&lab, &PORTS).host;
    let mut config = team_config("team0", "activebackup", DataPath::Userspace, &PORTS);
    unwatched(&mut config);
    config["ports"]["eth1"]["link_watch"] = json!({"name": "tipc", "tipc_bearer": "eth1"});
    let team = Teamr::start(&host, &config);
    team.wait_active("eth2");
    let watch = &team.state()["ports"]["eth1"]["link_watches"]["list"]["link_watch_0"];
    assert_eq!(watch["up"], false);
    let obstacle = "no TIPC in this kernel (module tipc), stays down";
    assert_eq!(watch["teamr"]["obstacle"], obstacle);
    assert!(team.log().contains("this kernel has no TIPC"), "{}", team.log());
}

fn play(cases: &[Case], data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    for (name, case) in cases {
        println!("{name}");
        case(&lab, data_path);
    }
}

macro_rules! on_data_path {
    ($module:ident, $path:expr; $($test:ident: $place:literal)*) => {
        mod $module {
            use super::{CASES, DataPath, play};
            $(#[test]
            fn $test() {
                play(&CASES[$place..=$place], $path);
            })*
        }
    };
}

on_data_path! { userspace, DataPath::Userspace;
    arp_ping_leaves_a_silent_path: 0
    arp_ping_with_validation_leaves_a_silent_path: 1
    nsna_ping_leaves_a_silent_path: 2
    arp_ping_sends_teamds_bytes: 3
    arp_ping_asks_in_a_vlan: 4
    arp_ping_is_not_answered_by_the_host: 5
    arp_ping_decides_for_plain_runners: 6
    arp_ping_waits_for_a_name: 7
}

// The cases in which frames pass through the programs.
on_data_path! { programs, DataPath::Programs;
    arp_ping_leaves_a_silent_path: 0
    arp_ping_with_validation_leaves_a_silent_path: 1
    nsna_ping_leaves_a_silent_path: 2
    arp_ping_asks_in_a_vlan: 4
    arp_ping_decides_for_plain_runners: 6
}

#[test]
fn load_causes_no_false_alarm_of_retries() {
    for data_path in [DataPath::Userspace, DataPath::Programs] {
        play(&[("arp_ping, load", load_causes_no_false_alarm)], data_path);
    }
}

#[test]
fn retries_leave_a_silent_path_within_one_and_a_half_intervals() {
    in_virtual_time(|_| {
        play(&[("retries", retries_leave_a_silent_path_soon)], DataPath::Kernel);
    });
}

#[test]
fn in_the_kernel() {
    in_virtual_time(|_| {
        play(&[("tipc", tipc_follows_its_links)], DataPath::Kernel);
        play(CASES, DataPath::Kernel);
    });
}

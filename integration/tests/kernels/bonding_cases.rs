//! The cases of the kernel's selftests of bonding, with teamr's configuration of the same meaning.

use std::thread::sleep;
use std::time::{Duration, Instant};

use integration::drop_in::teamd_is_here;
use integration::traffic::Capture;
use integration::{
    CableKind, DataPath, HostAndPeer, Lab, Ping, Process, Sharing, Site, TeamAndBond, Teamr,
    in_virtual_time, pause_at_select, team_config, wait_until,
};
use runners::wire::lacpdu::Lacpdu;
use serde_json::Value;

use crate::refusal::data_paths;

const PORTS: [&str; 2] = ["eth1", "eth2"];
const SECOND: Duration = Duration::from_secs(1);

fn lab() -> Lab {
    Lab::open(Sharing::Shared).expect("a guest can have a lab")
}

/// Recovery of a port that has a link again while the other one is lost.
struct Recovery {
    site: Site,
}

impl Recovery {
    fn new(lab: &Lab) -> Recovery {
        let site = Site::new(lab, CableKind::Virtual);
        site.plug_unaggregated();
        site.right.address("eth1", "10.0.0.2/24");
        Recovery { site }
    }

    /// Returns the configuration of a team with a value at a path, in milliseconds.
    fn config(runner: &str, data_path: DataPath, path: &str, value: u64) -> Value {
        let mut config = team_config("team0", runner, data_path, &PORTS);
        let (object, key) = path.rsplit_once('/').expect("a path");
        config.pointer_mut(object).expect("an object")[key] = value.into();
        config
    }

    /// Returns the time from the loss of the last port to an answer, on `device` of the left host.
    fn time(&self, device: &str) -> Duration {
        let site = &self.site;
        site.left.up(device);
        site.left.address(device, "10.0.0.1/24");
        PORTS.iter().for_each(|port| site.switch.wait_forwarding(site.cable(port)));
        let answers = || Ping::run(&site.left, "10.0.0.2", 1, "").answered == 1;
        wait_until("an answer with both links", answers);
        site.cable("eth1").pull();
        sleep(2 * SECOND);
        site.cable("eth1").put_back();
        site.cable("eth2").pull();
        let begin = Instant::now();
        wait_until("an answer", answers);
        begin.elapsed()
    }

    /// Returns the time with a team.
    fn of_team(lab: &Lab, config: &Value) -> Duration {
        let recovery = Recovery::new(lab);
        let team = Teamr::start(&recovery.site.left, config);
        team.wait_ports_up(&PORTS);
        recovery.time("team0")
    }

    /// Returns the time with the bonding driver.
    fn of_bond(lab: &Lab, mode: &str, updelay: u64) -> Duration {
        let recovery = Recovery::new(lab);
        let host = &recovery.site.left;
        let options = format!("mode {mode} miimon 100 updelay {updelay}");
        host.ip(&format!("link add name bond0 type bond {options}"));
        for port in PORTS {
            host.ip(&format!("link set dev {port} down"));
            host.ip(&format!("link set dev {port} master bond0"));
        }
        recovery.time("bond0")
    }
}

const DELAY: u64 = 10_000;

/// Whether a recovery took the delay, and no more than the answer adds.
fn is_delayed(what: &str, took: Duration) -> bool {
    println!("  {what}: an answer after {took:.1?}");
    let delay = Duration::from_millis(DELAY);
    assert!(took < 3 * SECOND || (delay..delay + 3 * SECOND).contains(&took), "{what}: {took:?}");
    took >= delay
}

/// `updelay` of mode 1, and `failback_delay`, in which an import translates it.
#[test]
fn a_port_does_not_wait_for_failback_when_the_other_is_lost() {
    in_virtual_time(|_| {
        let (data_path, path) = (DataPath::Kernel, "/runner/failback_delay");
        let config = Recovery::config("activebackup", data_path, path, DELAY);
        assert!(!is_delayed("failback_delay", Recovery::of_team(&lab(), &config)));
        assert!(!is_delayed("updelay", Recovery::of_bond(&lab(), "active-backup", DELAY)));
    });
}

/// The plain runners, and whether `delay_up` delays their frames: the others follow the carrier alone.
const PLAIN: [(&str, bool); 5] = [
    ("broadcast", false),
    ("roundrobin", false),
    ("random", false),
    ("activebackup", true),
    ("loadbalance", true),
];

/// `updelay` of mode 2 does not delay a port while no other one is up. `delay_up` does, as with
/// teamd; teamrctl-import(8) says so.
#[test]
fn delay_up_delays_a_port_also_when_the_other_is_lost() {
    in_virtual_time(|_| {
        for data_path in data_paths(&lab()) {
            for (runner, delays) in PLAIN {
                let config = Recovery::config(runner, data_path, "/link_watch/delay_up", DELAY);
                let took = Recovery::of_team(&lab(), &config);
                let what = format!("{}, {runner}, delay_up {DELAY}", data_path.name());
                assert_eq!(is_delayed(&what, took), delays);
            }
        }
        assert!(!is_delayed("updelay", Recovery::of_bond(&lab(), "balance-xor", DELAY)));
    });
}

#[test]
fn delay_up_of_teamd_delays_a_port_also_when_the_other_is_lost() {
    if !teamd_is_here() {
        return;
    }
    in_virtual_time(|_| {
        for (runner, delays) in PLAIN {
            let lab = lab();
            let recovery = Recovery::new(&lab);
            let host = &recovery.site.left;
            host.run("mkdir -p /run/teamd");
            let path = "/link_watch/delay_up";
            let config = Recovery::config(runner, DataPath::Kernel, path, DELAY);
            let mut command = host.command("teamd");
            command.arg("-c").arg(config.to_string());
            if runner == "loadbalance" {
                pause_at_select(&mut command);
            }
            let _teamd = Process::start("teamd", host.folder(), command);
            wait_until("teamd's device", || host.has_interface("team0"));
            let took = recovery.time("team0");
            assert_eq!(is_delayed(&format!("teamd, {runner}, delay_up {DELAY}"), took), delays);
        }
    });
}

/// A team below a bridge gets the bridge's address.
#[test]
fn lacpdus_leave_after_a_change_of_the_address_below_a_bridge() {
    const HWADDR: &str = "52:54:00:3b:7c:a6";
    in_virtual_time(|_| {
        for data_path in data_paths(&lab()) {
            let lab = lab();
            let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &PORTS);
            let mut config = team_config("team0", "lacp", data_path, &PORTS);
            config["runner"]["fast_rate"] = true.into();
            let _team = Teamr::start(&host, &config);
            host.ip(&format!("link add name br0 address {HWADDR} type bridge"));
            host.ip("link set dev team0 master br0");
            host.up("br0");
            host.up("team0");
            let capture = Capture::start(&peer, "eth1");
            host.ip(&format!("link set dev team0 address {HWADDR}"));
            sleep(15 * SECOND);
            let frames = capture.finish();
            let heard = frames.iter().filter_map(|frame| Lacpdu::parse(frame.bytes.get(14..)?));
            let systems: Vec<String> = heard.map(|pdu| pdu.actor.system.to_string()).collect();
            println!("  {}: {} LACPDUs", data_path.name(), systems.len());
            assert!(systems.len() >= 10, "{}: {systems:?}", data_path.name());
            assert_eq!(systems.last().map(String::as_str), Some(HWADDR), "{}", data_path.name());
            assert_eq!(host.hwaddr("team0"), HWADDR);
        }
    });
}

/// A change at one port of the partner.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// The cable is pulled.
    Pull(usize),
    /// The cable is put back.
    PutBack(usize),
    /// No LACPDU passes any more.
    Silence(usize),
    /// LACPDUs pass again.
    Speak(usize),
}

/// The changes of the selftest of `lacp_strict`, each with the ports that carry then.
const CHANGES: [(Change, &[&str]); 8] = [
    (Change::Pull(0), &["eth2"]),
    (Change::Pull(1), &[]),
    (Change::PutBack(0), &["eth1"]),
    (Change::PutBack(1), &["eth1", "eth2"]),
    (Change::Silence(0), &["eth2"]),
    (Change::Silence(1), &[]),
    (Change::Speak(0), &["eth1"]),
    (Change::Speak(1), &["eth1", "eth2"]),
];

fn apply(bonded: &TeamAndBond, change: Change) {
    match change {
        Change::Pull(port) => bonded.cables[port].pull(),
        Change::PutBack(port) => bonded.cables[port].put_back(),
        Change::Silence(port) => {
            let port = PORTS[port];
            bonded.right.run(&format!("tc qdisc add dev {port} clsact"));
            for direction in ["ingress", "egress"] {
                bonded.right.run(&format!(
                    "tc filter add dev {port} {direction} protocol 0x8809 matchall action drop"
                ));
            }
        }
        Change::Speak(port) => {
            bonded.right.run(&format!("tc qdisc del dev {} clsact", PORTS[port]));
        }
    }
}

/// teamr always behaves as bonding with `lacp_strict`: the carrier is up while a port has a partner.
/// The fallback corresponds to `lacp_strict off`: a port with a link and without a partner carries.
#[test]
fn the_carrier_is_up_while_a_port_has_a_partner_or_may_do_without() {
    in_virtual_time(|_| {
        for data_path in data_paths(&lab()) {
            for fallback in [false, true] {
                let lab = lab();
                let bonded = TeamAndBond::new(&lab, "lacp_rate fast min_links 1");
                let mut config = team_config("team0", "lacp", data_path, &PORTS);
                config["runner"]["fast_rate"] = true.into();
                config["runner"]["fallback"] = fallback.into();
                let team = Teamr::start(&bonded.left, &config);
                bonded.left.up("team0");
                let wait = |what: &str, ports: &[&str], carrier: bool| {
                    wait_until(&format!("{what}: {ports:?}"), || team.carrying() == ports);
                    wait_until(&format!("{what}: carrier {carrier}"), || {
                        let file = bonded.left.try_run("cat /sys/class/net/team0/carrier").stdout;
                        (file == b"1\n") == carrier
                    });
                };
                wait("at the start", &PORTS, true);
                for (change, ports) in CHANGES {
                    apply(&bonded, change);
                    let alone = matches!(change, Change::Silence(1)) && fallback;
                    match alone {
                        // The fallback carries on one port.
                        true => wait(&format!("{change:?}"), &["eth1"], true),
                        false => wait(&format!("{change:?}"), ports, !ports.is_empty()),
                    }
                }
                println!("  {}, fallback {fallback}: all states", data_path.name());
            }
        }
    });
}

/// Without a partner at any port, the fallback can be switched on and off.
#[test]
fn the_fallback_can_be_switched_while_no_port_has_a_partner() {
    in_virtual_time(|_| {
        let lab = lab();
        let HostAndPeer { host, .. } = HostAndPeer::new(&lab, &PORTS);
        let mut config = team_config("team0", "lacp", DataPath::Kernel, &PORTS);
        config["runner"]["fast_rate"] = true.into();
        let team = Teamr::start(&host, &config);
        host.up("team0");
        for on in [false, true, false] {
            team.ask(&format!("state item set runner.fallback {on}"));
            let ports = usize::from(on);
            wait_until(&format!("{ports} ports in fallback"), || team.carrying().len() == ports);
        }
    });
}

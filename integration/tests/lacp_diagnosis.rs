//! Faulty set-ups of lacp: the state item `why` of the port has the cause and the remedy.

use integration::{
    CableKind, DataPath, Lab, Namespace, Process, Sharing, TapNic, Teamr, TwoTeams, wait_for,
};
use serde_json::{Value, json};

/// Processes and cards that exist as long as the set-up.
#[derive(Default)]
struct Resources {
    teams: Vec<Teamr>,
    processes: Vec<Process>,
    cards: Vec<TapNic>,
}

/// Two hosts with one cable between their eth1 and one between their eth2.
struct Hosts<'a> {
    lab: &'a Lab,
    left: Namespace,
    right: Namespace,
    resources: Resources,
}

impl<'a> Hosts<'a> {
    fn new(lab: &'a Lab) -> Hosts<'a> {
        let TwoTeams { left, right, .. } = TwoTeams::new(lab);
        Hosts { lab, left, right, resources: Resources::default() }
    }

    /// Starts a team on the right host and sets the device up.
    fn start_partner(&mut self, config: &Value) {
        let teamr = Teamr::start(&self.right, config);
        self.right.up("team0");
        self.resources.teams.push(teamr);
    }

    /// Puts a card with this speed between the left eth2 and its cable.
    fn insert_card(&mut self, speed: &str) {
        let left = &self.left;
        left.ip("link set dev eth2 name cable2");
        self.resources.cards.push(TapNic::create(left, "eth2", "cable2"));
        left.run(&format!("ethtool -s eth2 {speed} autoneg off"));
    }

    /// Drops outgoing LACPDUs of a port.
    fn drop_lacpdus(host: &Namespace, port: &str) {
        host.try_run(&format!("tc qdisc add dev {port} clsact"));
        // EtherType 0x8809: TC_ACT_SHOT; others: the next filter. Some kernels lack `matchall`.
        let program = "4,40 0 0 12,21 0 1 34825,6 0 0 2,6 0 0 4294967295";
        let mut filter = host.command("tc");
        filter.args(["filter", "add", "dev", port, "egress", "pref", "1"]);
        filter.args(["bpf", "direct-action", "bytecode", program]);
        assert!(filter.status().expect("start tc").success());
    }
}

fn lacp() -> Value {
    json!({
        "device": "team0",
        "data_path": DataPath::Userspace.name(),
        // A partner that crashed is silent.
        "runner": {"name": "lacp", "fast_rate": true, "keepalive": 0},
        "ports": {"eth1": {}, "eth2": {}},
    })
}

/// Returns the configuration of `lacp` with this value at a JSON pointer.
fn lacp_with(pointer: &str, value: Value) -> Value {
    let mut config = lacp();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    config.pointer_mut(parent).expect("a parent")[key] = value;
    config
}

/// Starts the team on the left host and waits for the diagnosis of eth2.
fn assert_started_team_reports(hosts: &Hosts<'_>, config: &Value, sentence: &str) {
    let team = Teamr::start(&hosts.left, config);
    hosts.left.up("team0");
    assert_reports(&team, sentence);
}

fn assert_reports(team: &Teamr, sentence: &str) {
    assert_eventually_reports("eth2", sentence, || {
        let state = team.state_at_socket();
        let why = &state["ports"]["eth2"]["teamr"]["lacp"]["why"];
        why.as_str().unwrap_or_default().to_owned()
    });
}

fn assert_eventually_reports(source: &str, sentence: &str, mut read: impl FnMut() -> String) {
    let mut last = String::new();
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for(&format!("{source} to report {sentence:?}"), || {
            last = read();
            last.contains(sentence).then_some(())
        });
    }));
    assert!(found.is_ok(), "{source} does not report {sentence:?} but {last:?}");
}

/// Defines one test for each set-up.
macro_rules! causes {
    ($($name:ident: $sentence:literal, |$hosts:ident| $build:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let Some(lab) = Lab::open(Sharing::Shared) else {
                    return;
                };
                let build: fn(&mut Hosts<'_>) -> Value = |$hosts| $build;
                let mut hosts = Hosts::new(&lab);
                let config = build(&mut hosts);
                assert_started_team_reports(&hosts, &config, $sentence);
            }
        )*
    };
}

causes! {
    a_host_without_a_team: "no LACPDU heard: enable LACP on the partner's port", |hosts| {
        hosts.right.up("eth2");
        lacp()
    };
    a_partner_without_lacp: "no LACPDU heard: enable LACP on the partner's port", |hosts| {
        hosts.start_partner(&lacp_with("/runner", json!({"name": "loadbalance"})));
        lacp()
    };
    a_partner_with_activebackup: "no LACPDU heard: enable LACP on the partner's port", |hosts| {
        hosts.start_partner(&lacp_with("/runner", json!({"name": "activebackup"})));
        lacp()
    };
    a_partner_that_is_down: "no LACPDU heard: enable LACP on the partner's port", |hosts| {
        let teamr = Teamr::start(&hosts.right, &lacp());
        hosts.resources.teams.push(teamr);
        lacp()
    };
    a_switch_between_the_ends: "check what drops LACPDUs on the way", |hosts| {
        // A bridge does not forward slow protocols (IEEE 802.1Q, 8.6.3).
        let switch = hosts.lab.switch("switch");
        let cables = [(&hosts.left, "eth3"), (&hosts.right, "eth3")];
        for (number, (host, port)) in cables.into_iter().enumerate() {
            let plug = format!("p{number}");
            hosts.lab.cable((host, port), (switch.namespace(), &plug), CableKind::Virtual);
            switch.plug(&plug);
        }
        let through = json!({"eth1": {}, "eth3": {}});
        hosts.left.ip("link set dev eth2 name spare");
        hosts.left.ip("link set dev eth3 name eth2");
        hosts.start_partner(&lacp_with("/ports", through));
        lacp()
    };
    two_passive_ends: "none sent because \"active\" is false", |hosts| {
        hosts.start_partner(&lacp_with("/runner/active", json!(false)));
        lacp_with("/runner/active", json!(false))
    };
    an_unplugged_cable: "no link: check the cable", |hosts| {
        hosts.right.up("eth1");
        lacp()
    };
    two_partners: "a team can carry with one partner alone", |hosts| {
        let third = hosts.lab.host("third");
        hosts.left.ip("link set dev eth2 name spare");
        hosts.lab.cable((&hosts.left, "eth2"), (&third, "eth2"), CableKind::Virtual);
        hosts.start_partner(&lacp_with("/ports", json!({"eth1": {}})));
        let other = Teamr::start(&third, &lacp_with("/ports", json!({"eth2": {}})));
        third.up("team0");
        hosts.resources.teams.push(other);
        // The better system decides, so the priorities of its ports count.
        let mut config = lacp_with("/runner/sys_prio", json!(1));
        config["ports"]["eth1"] = json!({"lacp_prio": 1});
        config
    };
    different_keys_of_the_actor: "its key is 7, that of eth1 is 0", |hosts| {
        hosts.start_partner(&lacp());
        let mut config = lacp_with("/ports/eth2", json!({"lacp_key": 7}));
        config["ports"]["eth1"] = json!({"lacp_prio": 1});
        config
    };
    different_keys_of_the_partner: "the partner gives it key 7, and eth1 key 0", |hosts| {
        hosts.start_partner(&lacp_with("/ports/eth2", json!({"lacp_key": 7})));
        lacp_with("/ports/eth1", json!({"lacp_prio": 1}))
    };
    a_looped_cable: "its own system's LACPDUs come back", |hosts| {
        hosts.lab.cable((&hosts.left, "eth3"), (&hosts.left, "eth4"), CableKind::Virtual);
        hosts.left.ip("link set dev eth2 name spare");
        hosts.left.ip("link set dev eth3 name eth2");
        lacp_with("/ports", json!({"eth2": {}, "eth4": {}}))
    };
    two_systems_with_one_address: "its own system's LACPDUs come back", |hosts| {
        let hwaddr = json!("02:00:00:00:00:07");
        hosts.start_partner(&lacp_with("/hwaddr", hwaddr.clone()));
        lacp_with("/hwaddr", hwaddr)
    };
    a_partner_whose_pdus_are_dropped: "no LACPDU heard: enable LACP", |hosts| {
        Hosts::drop_lacpdus(&hosts.right, "eth2");
        hosts.start_partner(&lacp());
        lacp()
    };
    a_partner_that_receives_no_pdus: "the partner does not hear our LACPDUs", |hosts| {
        Hosts::drop_lacpdus(&hosts.left, "eth2");
        hosts.start_partner(&lacp());
        lacp()
    };
    a_partner_with_a_forbidden_port: "the partner is not in sync", |hosts| {
        hosts.start_partner(&lacp());
        hosts.resources.teams[0].ask("state item set ports.eth2.teamr.allowed false");
        lacp()
    };
    too_few_ports: "\"min_ports\" asks for", |hosts| {
        hosts.start_partner(&lacp());
        lacp_with("/runner/min_ports", json!(3))
    };
    a_half_duplex_link: "the link runs at 100 Mbit/s half duplex", |hosts| {
        hosts.insert_card("speed 100 duplex half");
        lacp()
    };
    different_speeds: "key 7, and eth1 key 0 (speeds differ, too: 1000 and 10000 Mbit/s)", |hosts| {
        hosts.insert_card("speed 1000 duplex full");
        // Many switches derive the key from the speed.
        hosts.start_partner(&lacp_with("/ports/eth2", json!({"lacp_key": 7})));
        lacp_with("/ports/eth1", json!({"lacp_prio": 1}))
    };
    malformed_pdus: "no valid LACPDU heard, but", |hosts| {
        hosts.right.up("eth2");
        let program = "import socket, time\n\
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n\
            s.bind(('eth2', 0))\n\
            while True:\n    \
                s.send(bytes.fromhex('0180c2000002' '020000000009' '8809' '0101') + bytes(40))\n    \
                time.sleep(0.05)\n";
        let mut sender = hosts.right.command("python3");
        sender.args(["-c", program]);
        let process = Process::start("malformed", hosts.right.folder(), sender);
        hosts.resources.processes.push(process);
        lacp()
    };
}

/// The doctor names the port with a key of its own, and no port of two aggregates that both ends
/// have made.
#[test]
fn the_doctor_finds_a_port_with_a_key_of_its_own() {
    for (partner, found) in [(0, true), (7, false)] {
        let Some(lab) = Lab::open(Sharing::Shared) else {
            return;
        };
        let mut hosts = Hosts::new(&lab);
        hosts.start_partner(&lacp_with("/ports/eth2", json!({"lacp_key": partner})));
        let mut config = lacp_with("/ports/eth2", json!({"lacp_key": 7}));
        config["ports"]["eth1"] = json!({"lacp_prio": 1});
        let team = Teamr::start(&hosts.left, &config);
        hosts.left.up("team0");
        assert_reports(&team, "its key is 7, that of eth1 is 0");
        let status = team.ask("status");
        let cause =
            "eth2 is not in the aggregate of eth1: \"lacp_key\" is 7 on eth2 and 0 on eth1.";
        let told = status.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(told.contains(cause), found, "{status}");
        assert!(!status.contains("[lacp-not-selected]"), "{status}");
    }
}

/// Returns a team that carries traffic on eth2.
fn carrying(lab: &Lab) -> (Hosts<'_>, Teamr) {
    let mut hosts = Hosts::new(lab);
    hosts.start_partner(&lacp());
    let team = Teamr::start(&hosts.left, &lacp());
    hosts.left.up("team0");
    wait_for("eth2 to carry", || {
        let state = team.state_at_socket();
        (state["ports"]["eth2"]["teamr"]["enabled"] == true).then_some(())
    });
    (hosts, team)
}

macro_rules! changes {
    ($($name:ident: $sentence:literal, |$hosts:ident, $team:ident| $change:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let Some(lab) = Lab::open(Sharing::Shared) else {
                    return;
                };
                let change: fn(&mut Hosts<'_>, &Teamr) = |$hosts, $team| $change;
                let (mut hosts, team) = carrying(&lab);
                change(&mut hosts, &team);
                assert_reports(&team, $sentence);
            }
        )*
    };
}

changes! {
    a_team_device_set_down: "the team device is down: set it up", |hosts, _team| {
        hosts.left.ip("link set dev team0 down");
    };
    a_port_set_down: "no link: check the cable", |hosts, _team| {
        hosts.left.ip("link set dev eth2 down");
    };
    a_forbidden_port: "an administrator forbids it to carry", |_hosts, team| {
        team.ask("state item set ports.eth2.teamr.allowed false");
    };
    a_min_ports_above_the_number_of_ports: "\"min_ports\" asks for", |_hosts, team| {
        team.ask("state item set runner.min_ports 3");
    };
    a_crashed_partner: "no LACPDU heard for", |hosts, _team| {
        hosts.resources.teams.pop().expect("a partner").crash()
    };
    pdus_dropped_at_run_time: "no LACPDU heard for", |hosts, _team| {
        Hosts::drop_lacpdus(&hosts.right, "eth2")
    };
}

/// Waits until the first line of `teamrctl doctor` contains this text.
fn assert_doctor_reports(team: &Teamr, sentence: &str) {
    assert_eventually_reports("the doctor", sentence, || {
        let answer = team.ctl("doctor").stdout;
        let report = String::from_utf8_lossy(&answer);
        report.lines().next().unwrap_or_default().to_owned()
    });
}

/// Both ports carry traffic, so only the doctor reports the difference.
#[test]
fn the_doctor_reports_different_speeds() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let mut hosts = Hosts::new(&lab);
    hosts.insert_card("speed 1000 duplex full");
    hosts.start_partner(&lacp());
    let team = Teamr::start(&hosts.left, &lacp());
    hosts.left.up("team0");
    let cause = "different speeds: 1000 and 10000 Mbit/s. [speed-unlike]";
    assert_doctor_reports(&team, cause);
}

#[test]
fn the_doctor_reports_a_different_mtu() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let (hosts, team) = carrying(&lab);
    hosts.left.ip("link set dev eth2 mtu 1400");
    let cause = "eth2 has another MTU than the team device's 1500. [mtu-unlike]";
    assert_doctor_reports(&team, cause);
}

//! lacp set up wrongly: the state names the cause and the cure in the sentence of the port.

use integration::{
    CableKind, DataPath, Lab, Namespace, Process, Sharing, TapNic, Teamr, TwoTeams, wait_for,
};
use serde_json::{Value, json};

/// What keeps a set-up alive.
#[derive(Default)]
struct Kept {
    teams: Vec<Teamr>,
    processes: Vec<Process>,
    cards: Vec<TapNic>,
}

/// Two hosts with a cable for each of eth1 and eth2.
struct Hosts<'a> {
    lab: &'a Lab,
    left: Namespace,
    right: Namespace,
    kept: Kept,
}

impl<'a> Hosts<'a> {
    fn new(lab: &'a Lab) -> Hosts<'a> {
        let TwoTeams { left, right, .. } = TwoTeams::new(lab);
        Hosts {
            lab,
            left,
            right,
            kept: Kept::default(),
        }
    }

    /// A team on the right, set up.
    fn partner(&mut self, config: &Value) {
        let teamr = Teamr::start(&self.right, config);
        self.right.up("team0");
        self.kept.teams.push(teamr);
    }

    /// Puts a card between the left eth2 and its cable, which runs at `speed`.
    fn fit_card(&mut self, speed: &str) {
        let left = &self.left;
        left.ip("link set dev eth2 name cable2");
        self.kept.cards.push(TapNic::create(left, "eth2", "cable2"));
        left.run(&format!("ethtool -s eth2 {speed} autoneg off"));
    }

    /// Drops LACPDUs that leave on a port.
    fn mute(host: &Namespace, port: &str) {
        host.try_run(&format!("tc qdisc add dev {port} clsact"));
        // EtherType 0x8809: TC_ACT_SHOT; else the next filter. Not every kernel has `matchall`.
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
        "runner": {"name": "lacp", "fast_rate": true},
        "ports": {"eth1": {}, "eth2": {}},
    })
}

/// `lacp` with one value more, at a JSON pointer.
fn lacp_with(pointer: &str, value: Value) -> Value {
    let mut config = lacp();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    config.pointer_mut(parent).expect("a parent")[key] = value;
    config
}

/// Starts the team on the left and waits for the sentence of eth2.
fn assert_told(hosts: &Hosts<'_>, config: &Value, sentence: &str) {
    let team = Teamr::start(&hosts.left, config);
    hosts.left.up("team0");
    assert_tells(&team, sentence);
}

fn assert_tells(team: &Teamr, sentence: &str) {
    assert_comes_to_say("eth2", sentence, || {
        let state = team.state_at_socket();
        let why = &state["ports"]["eth2"]["teamr"]["lacp"]["why"];
        why.as_str().unwrap_or_default().to_owned()
    });
}

fn assert_comes_to_say(who: &str, sentence: &str, mut says: impl FnMut() -> String) {
    let mut last = String::new();
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for(&format!("{who} to say {sentence:?}"), || {
            last = says();
            last.contains(sentence).then_some(())
        });
    }));
    assert!(
        found.is_ok(),
        "{who} does not say {sentence:?} but {last:?}"
    );
}

/// One test for each set-up.
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
                assert_told(&hosts, &config, $sentence);
            }
        )*
    };
}

causes! {
    a_plain_host_is_no_partner: "no LACPDU heard: enable LACP on the partner's port", |hosts| {
        hosts.right.up("eth2");
        lacp()
    };
    a_partner_without_lacp: "no LACPDU heard: enable LACP on the partner's port", |hosts| {
        hosts.partner(&lacp_with("/runner", json!({"name": "loadbalance"})));
        lacp()
    };
    a_partner_with_one_active_port: "no LACPDU heard: enable LACP on the partner's port", |hosts| {
        hosts.partner(&lacp_with("/runner", json!({"name": "activebackup"})));
        lacp()
    };
    a_partner_that_is_down: "no LACPDU heard: enable LACP on the partner's port", |hosts| {
        let teamr = Teamr::start(&hosts.right, &lacp());
        hosts.kept.teams.push(teamr);
        lacp()
    };
    a_switch_in_between: "check what drops LACPDUs on the way", |hosts| {
        // A bridge forwards no slow protocols (802.1Q, 8.6.3).
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
        hosts.partner(&lacp_with("/ports", through));
        lacp()
    };
    both_passive: "none sent because \"active\" is false", |hosts| {
        hosts.partner(&lacp_with("/runner/active", json!(false)));
        lacp_with("/runner/active", json!(false))
    };
    a_cable_that_is_out: "no link: check the cable", |hosts| {
        hosts.right.up("eth1");
        lacp()
    };
    two_partners: "a team can carry with one partner alone", |hosts| {
        let third = hosts.lab.host("third");
        hosts.left.ip("link set dev eth2 name spare");
        hosts.lab.cable((&hosts.left, "eth2"), (&third, "eth2"), CableKind::Virtual);
        hosts.partner(&lacp_with("/ports", json!({"eth1": {}})));
        let other = Teamr::start(&third, &lacp_with("/ports", json!({"eth2": {}})));
        third.up("team0");
        hosts.kept.teams.push(other);
        // Its ports' priorities count, not the partners': they go with the better system.
        let mut config = lacp_with("/runner/sys_prio", json!(1));
        config["ports"]["eth1"] = json!({"lacp_prio": 1});
        config
    };
    another_key_of_our_own: "its key is 7, that of eth1 is 0", |hosts| {
        hosts.partner(&lacp());
        let mut config = lacp_with("/ports/eth2", json!({"lacp_key": 7}));
        config["ports"]["eth1"] = json!({"lacp_prio": 1});
        config
    };
    another_key_of_the_partners: "the partner gives it key 7, and eth1 key 0", |hosts| {
        hosts.partner(&lacp_with("/ports/eth2", json!({"lacp_key": 7})));
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
        hosts.partner(&lacp_with("/hwaddr", hwaddr.clone()));
        lacp_with("/hwaddr", hwaddr)
    };
    a_partner_that_is_mute: "no LACPDU heard: enable LACP", |hosts| {
        Hosts::mute(&hosts.right, "eth2");
        hosts.partner(&lacp());
        lacp()
    };
    a_partner_that_does_not_hear: "the partner does not hear our LACPDUs", |hosts| {
        Hosts::mute(&hosts.left, "eth2");
        hosts.partner(&lacp());
        lacp()
    };
    a_partner_that_holds_a_port_back: "the partner is not in sync", |hosts| {
        hosts.partner(&lacp());
        hosts.kept.teams[0].ask("state item set ports.eth2.teamr.allowed false");
        lacp()
    };
    too_few_ports: "\"min_ports\" asks for", |hosts| {
        hosts.partner(&lacp());
        lacp_with("/runner/min_ports", json!(3))
    };
    half_duplex: "the link runs at 100 Mbit/s half duplex", |hosts| {
        hosts.fit_card("speed 100 duplex half");
        lacp()
    };
    another_speed: "key 7, and eth1 key 0 (speeds differ, too: 1000 and 10000 Mbit/s)", |hosts| {
        hosts.fit_card("speed 1000 duplex full");
        // As switches do, whose keys depend on the speed.
        hosts.partner(&lacp_with("/ports/eth2", json!({"lacp_key": 7})));
        lacp_with("/ports/eth1", json!({"lacp_prio": 1}))
    };
    rubbish_in_place_of_pdus: "no valid LACPDU heard, but", |hosts| {
        hosts.right.up("eth2");
        let rubbish = "import socket, time\n\
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n\
            s.bind(('eth2', 0))\n\
            while True:\n    \
                s.send(bytes.fromhex('0180c2000002' '020000000009' '8809' '0101') + bytes(40))\n    \
                time.sleep(0.05)\n";
        let mut sender = hosts.right.command("python3");
        sender.args(["-c", rubbish]);
        let process = Process::start("rubbish", hosts.right.folder(), sender);
        hosts.kept.processes.push(process);
        lacp()
    };
}

/// Set-ups that go wrong while the team runs.
fn carrying(lab: &Lab) -> (Hosts<'_>, Teamr) {
    let mut hosts = Hosts::new(lab);
    hosts.partner(&lacp());
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
                assert_tells(&team, $sentence);
            }
        )*
    };
}

changes! {
    a_team_that_was_set_down: "the team device is down: set it up", |hosts, _team| {
        hosts.left.ip("link set dev team0 down");
    };
    a_port_that_was_set_down: "no link: check the cable", |hosts, _team| {
        hosts.left.ip("link set dev eth2 down");
    };
    a_port_that_was_forbidden: "an administrator forbids it to carry", |_hosts, team| {
        team.ask("state item set ports.eth2.teamr.allowed false");
    };
    more_ports_wanted_than_there_are: "\"min_ports\" asks for", |_hosts, team| {
        team.ask("state item set runner.min_ports 3");
    };
    a_partner_that_crashed: "no LACPDU heard for", |hosts, _team| {
        hosts.kept.teams.pop().expect("a partner").crash()
    };
    pdus_that_no_longer_arrive: "no LACPDU heard for", |hosts, _team| {
        Hosts::mute(&hosts.right, "eth2")
    };
}

/// Waits until the doctor says this first.
fn assert_diagnosed(team: &Teamr, sentence: &str) {
    assert_comes_to_say("the doctor", sentence, || {
        let answer = team.ctl("doctor").stdout;
        let told = String::from_utf8_lossy(&answer);
        told.lines().next().unwrap_or_default().to_owned()
    });
}

/// Ports that carry all the same: the doctor tells.
#[test]
fn one_speed_for_the_partner_and_two_for_us() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let mut hosts = Hosts::new(&lab);
    hosts.fit_card("speed 1000 duplex full");
    hosts.partner(&lacp());
    let team = Teamr::start(&hosts.left, &lacp());
    hosts.left.up("team0");
    let cause = "different speeds: 1000 and 10000 Mbit/s. [speed-unlike]";
    assert_diagnosed(&team, cause);
}

#[test]
fn a_port_with_another_mtu() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let (hosts, team) = carrying(&lab);
    hosts.left.ip("link set dev eth2 mtu 1400");
    let cause = "eth2 has another MTU than the team device's 1500. [mtu-unlike]";
    assert_diagnosed(&team, cause);
}

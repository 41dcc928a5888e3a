//! The watch probe: between the ports of one team, and between two teams.

use integration::{
    CableKind, DataPath, Lab, Namespace, Sharing, Switch, Teamr, in_virtual_time,
    on_own_data_paths, team_config, wait_until,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const PORTS: [&str; 2] = ["eth1", "eth2"];
const THREE_PORTS: [&str; 3] = ["eth1", "eth2", "eth3"];
/// Milliseconds between two requests.
const INTERVAL: u64 = 50;

fn watch_item(team: &Teamr, port: &str) -> Value {
    team.state_at_socket()["ports"][port]["link_watches"]["list"]["link_watch_0"].clone()
}

fn requests(team: &Teamr, port: &str) -> Value {
    watch_item(team, port)["teamr"]["probe"].clone()
}

fn wait_answers(team: &Teamr, port: &str, more: u64) {
    let answered = || requests(team, port)["answered"].as_u64().expect("a count");
    let before = answered();
    wait_until("answers", || answered() >= before + more);
}

/// Three ports of one team on one switch: the port whose frames the switch loses goes down.
fn a_lost_path_between_the_ports_of_a_team_is_found(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let (host, switch) = (lab.host("left"), lab.switch("switch"));
    for (port, far) in THREE_PORTS.into_iter().zip(["far1", "far2", "far3"]) {
        lab.cable((&host, port), (switch.namespace(), far), CableKind::Virtual);
        switch.plug(far);
    }
    let mut config = team_config("team0", "activebackup", data_path, &THREE_PORTS);
    config["link_watch"] = json!({"name": "probe", "interval": INTERVAL});
    config["ports"]["eth1"]["prio"] = 10.into();
    let team = Teamr::start(&host, &config);
    host.up("team0");
    team.wait_active("eth1");
    team.wait_ports_up(&THREE_PORTS);
    THREE_PORTS.iter().for_each(|port| wait_answers(&team, port, 5));

    switch.unplug("far1");
    team.wait_active("eth2");
    assert_eq!(team.state()["ports"]["eth1"]["link"]["up"], true, "the carrier stays");
    wait_answers(&team, "eth2", 20);
    let ports: Vec<_> = THREE_PORTS.iter().map(|port| team.port_up(port)).collect();
    assert_eq!(ports, [Some(false), Some(true), Some(true)]);
    let downs = THREE_PORTS.map(|port| watch_item(&team, port)["down_count"].clone());
    assert_eq!(downs, [1, 0, 0]);
    let [lost, sound] = ["eth1", "eth2"].map(|port| requests(&team, port));
    assert!(lost["loss_ratio"].as_u64() > sound["loss_ratio"].as_u64(), "{lost} {sound}");
    println!("{}: eth1 {lost}, eth2 {sound}", data_path.name());

    switch.plug("far1");
    team.wait_active("eth1");
}

/// Two teams with a switch in each cable: a switch without its ports is a silent path.
struct TwoTeams {
    hosts: [Namespace; 2],
    switches: [Switch; 2],
}

impl TwoTeams {
    fn new(lab: &Lab) -> TwoTeams {
        let hosts = [lab.host("left"), lab.host("right")];
        let switches = PORTS.map(|port| {
            let switch = lab.switch(port);
            for (host, far) in hosts.iter().zip(["left", "right"]) {
                lab.cable((host, port), (switch.namespace(), far), CableKind::Virtual);
                switch.plug(far);
            }
            switch
        });
        TwoTeams { hosts, switches }
    }

    fn start(&self, own: usize, data_path: DataPath, args: &[&str]) -> Teamr {
        let mut config = team_config("team0", "activebackup", data_path, &PORTS);
        config["link_watch"] =
            json!({"name": "probe", "interval": INTERVAL, "group": 9, "vlanid": 30});
        config["ports"]["eth1"]["prio"] = 10.into();
        let team = Teamr::start_args(&self.hosts[own], &config, args);
        self.hosts[own].up("team0");
        team
    }
}

fn a_lost_path_between_two_teams_is_found(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let two = TwoTeams::new(&lab);
    let teams = [0, 1].map(|own| two.start(own, data_path, &[]));
    for team in &teams {
        team.wait_active("eth1");
        PORTS.iter().for_each(|port| wait_answers(team, port, 5));
    }
    let of_left = requests(&teams[0], "eth1");
    let replier = of_left["replier"].as_str().expect("an address");
    assert_eq!(replier, two.hosts[1].hwaddr("team0"));
    assert!(of_left["latency"].as_u64().is_some_and(|micros| micros < 1_000_000), "{of_left}");

    two.switches[0].unplug("left");
    teams.iter().for_each(|team| team.wait_active("eth2"));
    two.switches[0].plug("left");
    teams.iter().for_each(|team| team.wait_active("eth1"));
}

/// While no daemon answers, the other team has no port that is answered, and so no lost path.
fn a_restart_is_no_lost_path(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let two = TwoTeams::new(&lab);
    let [mut left, right] = [0, 1].map(|own| two.start(own, data_path, &[]));
    let all_answered = |left: &Teamr| {
        for team in [left, &right] {
            team.wait_active("eth1");
            PORTS.iter().for_each(|port| wait_answers(team, port, 3));
        }
    };
    all_answered(&left);
    left.signal(Signal::SIGUSR2);
    left.wait();
    wait_until("a silence", || watch_item(&right, "eth1")["missed"].as_i64() > Some(6));
    assert_eq!(right.port_up("eth1"), Some(true));
    let obstacle = watch_item(&right, "eth1")["teamr"]["obstacle"].to_string();
    assert!(obstacle.contains("cannot judge"), "{obstacle}");
    // The driver's device needs the option to be taken over.
    let args: &[&str] = if data_path == DataPath::Kernel { &["-o"] } else { &[] };
    let left = two.start(0, data_path, args);
    all_answered(&left);
    for team in [&left, &right] {
        for port in PORTS {
            assert_eq!(watch_item(team, port)["down_count"], 0, "{port}");
        }
    }
}

on_own_data_paths! {
    a_lost_path_between_the_ports_of_a_team_is_found
    a_lost_path_between_two_teams_is_found
    a_restart_is_no_lost_path
}

#[test]
fn in_the_kernel() {
    in_virtual_time(|_| {
        a_lost_path_between_the_ports_of_a_team_is_found(DataPath::Kernel);
        a_lost_path_between_two_teams_is_found(DataPath::Kernel);
        a_restart_is_no_lost_path(DataPath::Kernel);
    });
}

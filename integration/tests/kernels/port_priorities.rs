//! The aggregator with the highest sum of port priorities carries: bonding's
//! `ad_select=actor_port_prio`, by teamr and, where the driver has the option, by the driver.

use integration::kernel::{release, version};
use integration::{
    Cable, CableKind, DataPath, Lab, Namespace, Sharing, Teamr, in_virtual_time, team_config,
    wait_until,
};
use serde_json::Value;

use crate::refusal::data_paths;

/// The ports of the host, each with its switch and its priority: 510 in one aggregator and 1255 in
/// the other.
const PORTS: [(&str, &str, u16); 4] =
    [("eth1", "one", 255), ("eth2", "one", 255), ("eth3", "two", 1000), ("eth4", "two", 255)];
/// The first kernel whose bonding driver has the option.
const FIRST: [u32; 2] = [6, 18];
const BOND: &str = "bond0";

/// The implementation on the host.
enum System {
    Teamr(Teamr),
    Bonding,
}

impl System {
    fn start_teamr(host: &Namespace, data_path: DataPath) -> System {
        let names = PORTS.map(|(name, ..)| name);
        let mut config = team_config("team0", "lacp", data_path, &names);
        config["runner"]["fast_rate"] = true.into();
        config["runner"]["agg_select_policy"] = "actor_port_prio".into();
        // The team and not a switch chooses.
        config["runner"]["sys_prio"] = 1.into();
        for (name, _, prio) in PORTS {
            config["ports"][name]["lacp_prio"] = prio.into();
        }
        let team = Teamr::start(host, &config);
        host.up("team0");
        System::Teamr(team)
    }

    fn start_bonding(host: &Namespace) -> System {
        bond(host, &PORTS.map(|(name, ..)| name), |host| {
            let file = format!("/sys/class/net/{BOND}/bonding/ad_select");
            host.write(&file, "actor_port_prio");
        });
        for (name, _, prio) in PORTS {
            host.set_actor_port_prio(name, prio);
        }
        host.up(BOND);
        System::Bonding
    }

    /// Returns the ports that carry traffic.
    fn carrying(&self, host: &Namespace) -> Vec<String> {
        match self {
            System::Teamr(team) => team.carrying(),
            System::Bonding => {
                let id = &host.link(BOND)["linkinfo"]["info_data"]["ad_info"]["aggregator"];
                let carries = |name: &str| {
                    let link = host.link(name);
                    let port = &link["linkinfo"]["info_slave_data"];
                    let states = port["ad_actor_oper_port_state_str"].as_array();
                    let distributes = |state: &Value| state == "distributing";
                    port["mii_status"] == "UP"
                        && port["ad_aggregator_id"] == *id
                        && states.is_some_and(|states| states.iter().any(distributes))
                };
                let names = PORTS.iter().map(|(name, ..)| (*name).to_owned());
                names.filter(|name| carries(name)).collect()
            }
        }
    }
}

/// Makes a bond of ports, which stays down; `configure` sets options before the ports join.
fn bond(host: &Namespace, ports: &[&str], configure: impl FnOnce(&Namespace)) {
    let options = "mode 802.3ad miimon 10 lacp_rate fast";
    host.ip(&format!("link add name {BOND} type bond {options}"));
    configure(host);
    for port in ports {
        host.ip(&format!("link set dev {port} down"));
        host.ip(&format!("link set dev {port} master {BOND}"));
    }
}

/// Pulls the cable of the best port and puts it back; prints and checks which ports carry.
fn choose(what: &str, start: impl FnOnce(&Namespace) -> System) {
    let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
    let host = lab.host("host");
    let switches = ["one", "two"].map(|name| lab.host(name));
    let cables = PORTS.map(|(port, switch, _)| {
        let switch = switches.iter().find(|host| host.name() == switch);
        lab.cable((&host, port), (switch.expect("a switch"), port), CableKind::Virtual)
    });
    for (switch, ports) in switches.iter().zip([["eth1", "eth2"], ["eth3", "eth4"]]) {
        bond(switch, &ports, |_| ());
        switch.up(BOND);
    }
    let system = start(&host);
    let best: &Cable = &cables[2];
    /// The sums of both aggregators, the change before, and the ports that carry then.
    type Step = (&'static str, fn(&Cable), [&'static str; 2]);
    let steps: [Step; 3] = [
        ("1255 against 510", |_| (), ["eth3", "eth4"]),
        ("255 against 510", Cable::pull, ["eth1", "eth2"]),
        ("1255 against 510 again", Cable::put_back, ["eth3", "eth4"]),
    ];
    for (sums, step, ports) in steps {
        step(best);
        wait_until(&format!("{what}, {sums}: {ports:?}"), || system.carrying(&host) == ports);
        println!("  {what}, {sums}: {ports:?}");
    }
}

#[test]
fn the_highest_sum_of_port_priorities_chooses_the_aggregator() {
    in_virtual_time(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        for data_path in data_paths(&lab) {
            choose(data_path.name(), |host| System::start_teamr(host, data_path));
        }
        if version(&release()) >= FIRST {
            choose("bonding", System::start_bonding);
        }
    });
}

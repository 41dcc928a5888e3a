//! snmpd of net-snmp serves the Link Aggregation MIB through `teamrctl agentx`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use integration::{
    DataPath, Lab, Namespace, Process, Sharing, Teamr, TwoTeams, binary, skip, team_config,
    wait_until,
};

const PORTS: [&str; 2] = ["eth1", "eth2"];
/// The tables and the scalar of the MIB.
const AGG: &str = "1.1.1.1";
const PORT_LIST: &str = "1.1.2.1";
const PORT: &str = "1.2.1.1";
const STATS: &str = "1.2.2.1";
const DEBUG: &str = "1.2.3.1";

/// A host's snmpd with the master agent of AgentX; killed when dropped.
struct Snmpd {
    host: Namespace,
    socket: PathBuf,
    _daemon: Process,
}

impl Snmpd {
    fn start(host: &Namespace) -> Snmpd {
        let folder = host.folder().join(format!("{}-snmpd", host.name()));
        std::fs::create_dir_all(&folder).expect("make a folder");
        let (socket, settings) = (folder.join("master"), folder.join("snmpd.conf"));
        let text = "master agentx\nrocommunity public 127.0.0.1\n";
        std::fs::write(&settings, text).expect("write the settings");
        let mut command = host.command("snmpd");
        command.args(["-f", "-Lo", "-C", "-c"]).arg(&settings).arg("-x").arg(&socket);
        command.arg("udp:127.0.0.1:161").env("SNMP_PERSISTENT_DIR", &folder);
        let daemon = Process::start("snmpd", host.folder(), command);
        let snmpd = Snmpd { host: host.clone(), socket, _daemon: daemon };
        wait_until("snmpd to answer", || !snmpd.walk_from("1.3.6.1.2.1.1.3").is_empty());
        snmpd
    }

    /// Starts `teamrctl agentx` beside snmpd.
    fn start_client(&self) -> Process {
        let mut command = self.host.command(binary("teamrctl"));
        command.arg("agentx").arg(&self.socket);
        Process::start("teamrctl-agentx", self.host.folder(), command)
    }

    fn walk_from(&self, oid: &str) -> BTreeMap<String, String> {
        let options = "-v2c -c public -On -Ox -OQ -t 10 -r 0";
        let output = self.host.try_run(&format!("snmpwalk {options} 127.0.0.1 {oid}"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let pairs = text.lines().filter_map(|line| line.split_once(" = "));
        let values = pairs.filter(|(_, value)| !value.starts_with("No "));
        values.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
    }

    /// Returns the MIB by the names below lagMIB.
    fn mib(&self) -> BTreeMap<String, String> {
        const LAG_MIB: &str = ".1.2.840.10006.300.43.";
        let walk = self.walk_from(LAG_MIB.trim_matches('.')).into_iter();
        let names =
            walk.filter_map(|(name, value)| Some((name.strip_prefix(LAG_MIB)?.to_owned(), value)));
        names.collect()
    }
}

fn index(host: &Namespace, device: &str) -> u64 {
    host.link(device)["ifindex"].as_u64().expect("an index")
}

/// Returns octets as snmpwalk prints them.
fn octets(hwaddr: &str) -> String {
    format!("\"{} \"", hwaddr.to_uppercase().replace(':', " "))
}

/// Returns the list of these ports as snmpwalk prints the list: a bit for each index.
fn port_list(indexes: &[u64]) -> String {
    let last = indexes.iter().max().expect("an index").div_ceil(8);
    let octet = |number: u64| {
        let has = |bit: u64| indexes.contains(&(number * 8 + bit + 1));
        (0..8).filter(|bit| has(*bit)).map(|bit| 0x80 >> bit).sum::<u64>()
    };
    let octets = (0..last).map(|number| format!("{:02X} ", octet(number)));
    format!("\"{}\"", octets.collect::<String>())
}

#[test]
fn a_walk_shows_members_and_states() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    for program in ["snmpd", "snmpwalk"] {
        if lab.host("other").try_run(&format!("{program} --version")).status.code() == Some(127) {
            return skip(&format!("no `{program}` here"));
        }
    }
    let hosts = TwoTeams::new(&lab);
    let mut config = team_config("team0", "lacp", DataPath::Programs, &PORTS);
    config["runner"]["fast_rate"] = true.into();
    let left = Teamr::start(&hosts.left, &config);
    let right = Teamr::start(&hosts.right, &config);
    hosts.set_up_teams();
    wait_until("the ports to carry", || {
        [&left, &right].iter().all(|team| team.carrying().len() == PORTS.len())
    });
    let snmpd = Snmpd::start(&hosts.left);
    assert_eq!(snmpd.mib().len(), 0, "a MIB without the client");
    let mut client = snmpd.start_client();
    wait_until("the MIB to be there", || !snmpd.mib().is_empty());

    let team = index(&hosts.left, "team0");
    let [eth1, eth2] = PORTS.map(|port| index(&hosts.left, port));
    let hwaddr = |host: &Namespace| {
        let link = host.link("team0");
        octets(link["address"].as_str().expect("an address"))
    };
    let mut expected = vec![
        (AGG, 2, team, hwaddr(&hosts.left)),
        (AGG, 8, team, hwaddr(&hosts.right)),
        (PORT_LIST, 1, team, port_list(&[eth1, eth2])),
    ];
    for port in [eth1, eth2] {
        // The aggregators; the BITS activity, timeout, aggregation, synchronization, collecting and
        // distributing of both ends; the Mux state "distributing".
        expected.extend([12, 13].map(|column| (PORT, column, port, team.to_string())));
        expected.extend([21, 23].map(|column| (PORT, column, port, "\"FC \"".to_owned())));
        expected.push((DEBUG, 3, port, "5".to_owned()));
    }
    wait_until("the MIB to show both ports in the aggregate", || {
        let mib = snmpd.mib();
        let mut missing = expected.iter().filter(|(table, column, index, value)| {
            mib.get(&format!("{table}.{column}.{index}")) != Some(value)
        });
        let missing = missing.next();
        println!("{missing:?} of {mib:?}");
        missing.is_none()
    });
    let received = snmpd.mib().remove(&format!("{STATS}.1.{eth1}"));
    assert!(received.is_some_and(|count| count.parse::<u64>().is_ok_and(|count| count > 0)));

    hosts.left.run("ip link set eth2 down");
    wait_until("eth2 to be attached to no aggregator", || {
        let mib = snmpd.mib();
        let attached = mib.get(&format!("{PORT}.13.{eth2}")).map(String::as_str);
        let reason = mib.get(&format!("{DEBUG}.4.{eth2}")).map(String::as_str);
        attached == Some("0") && reason.is_some_and(|reason| reason != "\"\"")
    });
    client.stop();
    wait_until("the MIB to be gone", || snmpd.mib().is_empty());
}

#[test]
fn the_ports_of_every_runner_are_members() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    if lab.host("other").try_run("snmpd --version").status.code() == Some(127) {
        return skip("no `snmpd` here");
    }
    let hosts = TwoTeams::new(&lab);
    let config = team_config("team0", "activebackup", DataPath::Programs, &PORTS);
    let left = Teamr::start(&hosts.left, &config);
    hosts.left.up("team0");
    PORTS.iter().for_each(|port| hosts.right.up(port));
    PORTS.iter().for_each(|port| left.wait_port(port, true));
    let snmpd = Snmpd::start(&hosts.left);
    let _client = snmpd.start_client();
    let team = index(&hosts.left, "team0").to_string();
    wait_until("both ports to be members, and one to carry", || {
        let mib = snmpd.mib();
        let column = |column: u32| {
            let values = PORTS.map(|port| {
                mib.get(&format!("{PORT}.{column}.{}", index(&hosts.left, port))).cloned()
            });
            values.map(Option::unwrap_or_default)
        };
        // BITS: aggregation and synchronization; with collecting and distributing.
        let mut states = column(21);
        states.sort();
        column(13) == [team.clone(), team.clone()] && states == ["\"30 \"", "\"3C \""]
    });
}

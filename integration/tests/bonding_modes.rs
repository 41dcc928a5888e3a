//! Each bonding mode, by the bonding driver and by teamr in one boot of a guest: the same hosts,
//! cables and partner; teamr runs the configuration that `teamrctl import` makes of the bond.
//!
//! Compared within the run: the hosts reached, and the packets of the same streams lost when each
//! cable in turn is pulled. teamrctl-import(8) contains the printed table, and the test compares the two.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use integration::traffic::{Pace, now};
use integration::{
    CableKind, Lab, Namespace, Ping, Sharing, Site, Teamr, binary, in_virtual_time, repository,
    wait_until,
};
use serde_json::Value;

/// Name, options of `ip link add type bond`, and options of the switch's own bond; `None` for a
/// switch without link aggregation, with each cable in a separate port.
const MODES: [(&str, &str, Option<&str>); 7] = [
    ("balance-rr", "mode balance-rr", Some("mode balance-xor")),
    ("active-backup", "mode active-backup", None),
    ("balance-xor", "mode balance-xor xmit_hash_policy layer3+4", Some("mode balance-xor")),
    ("broadcast", "mode broadcast", Some("mode broadcast")),
    ("802.3ad", "mode 802.3ad lacp_rate fast", Some("mode 802.3ad lacp_rate fast")),
    ("balance-tlb", "mode balance-tlb", None),
    ("balance-alb", "mode balance-alb", None),
];
/// The bond's carrier polling interval in milliseconds: the shortest possible.
const MIIMON: &str = "miimon 1";
const DEVICE: &str = "bond0";
const PARTNER: &str = "lag0";
const PORTS: [&str; 2] = ["eth1", "eth2"];
/// Time that the streams run before, between and after changes of a cable.
const WINDOW: Duration = Duration::from_millis(300);
/// Packets that teamr may lose beyond bonding for each pull of a cable: 20 ms of the streams, two
/// ticks of the guest's scheduler, in each direction.
const MARGIN: usize = 8;

/// Returns how often each cable is pulled: more often for a run that produces figures.
fn rounds() -> usize {
    std::env::var("TEAMR_LONG").map_or(1, |_| 10)
}

/// The head lines of the table.
const HEADS: [&str; 2] = [
    "                             answered       link goes    link comes",
    "mode           runner        bond  team     bond  team   bond  team",
];

/// A line of the table.
struct Row {
    mode: String,
    runner: String,
    /// The columns of numbers, from the left.
    counts: [usize; 6],
}

impl Row {
    /// Reads a line of the table.
    fn read(line: &str) -> Row {
        let mut words = line.split_whitespace();
        let mut word = || words.next().expect("eight words").to_owned();
        let (mode, runner) = (word(), word());
        let counts = [(); 6].map(|()| word().parse().expect("a count"));
        Row { mode, runner, counts }
    }

    fn line(&self) -> String {
        let Row {
            mode,
            runner,
            counts: [answered, by_team, going, team_going, coming, team_coming],
        } = self;
        format!(
            "{mode:<15}{runner:<12}{answered:>6}{by_team:>6}{going:>9}{team_going:>6}{coming:>7}{team_coming:>6}"
        )
    }
}

/// The mode in which the bonding driver loses a few packets in one run and most of a stream in
/// another.
const VARIABLE: &str = "balance-alb";

/// Compares the table with that of teamrctl-import(8): the lines, and the counts up to what two ticks
/// of the guest's scheduler change. The counts of the bond in the mode [`VARIABLE`] are not compared.
fn assert_manual_shows(rows: &[Row]) {
    let path = repository().join("man/teamrctl-import.8");
    let page = fs::read_to_string(path).expect("a page of the manual");
    let [first, second] = HEADS;
    let table = page.split_once(&format!("{first}\n{second}\n")).expect("the heads of the table").1;
    let shown: Vec<&str> = table.lines().take_while(|line| *line != ".Ed").collect();
    assert_eq!(shown.len(), rows.len(), "lines of the table");
    for (shown, row) in shown.iter().zip(rows) {
        let known = Row::read(shown);
        let is_near = |column: usize| {
            let is_bond = column % 2 == 0;
            let differ = known.counts[column].abs_diff(row.counts[column]);
            differ <= MARGIN * PORTS.len() || is_bond && row.mode == VARIABLE
        };
        let fits = (&known.mode, &known.runner) == (&row.mode, &row.runner)
            && known.line() == *shown
            && (0..row.counts.len()).all(is_near);
        assert!(fits, "the page shows\n{shown}\nand the run\n{}", row.line());
    }
}

#[test]
fn each_mode_reaches_as_many_hosts_and_loses_no_more_than_the_bonding_driver() {
    in_virtual_time(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        println!("{}", HEADS.join("\n"));
        let mut rows = Vec::new();
        for (name, options, partner) in MODES {
            let site = Site::new(&lab, CableKind::Virtual);
            site.right.address("eth1", "10.0.0.2/24");
            site.right.address("eth1", "fd00::2/64");
            match partner {
                Some(options) => {
                    bond(site.switch.namespace(), PARTNER, options, &FAR);
                    site.switch.plug(PARTNER);
                }
                None => site.plug_unaggregated(),
            }
            let partnered = partner.is_some();

            bond(&site.left, DEVICE, options, &PORTS);
            let driver = Driver::Bond;
            let by_bond = measure(&site, &driver, partnered);
            let file = imported(&site.left);
            site.left.ip(&format!("link delete dev {DEVICE}"));
            for port in PORTS {
                site.left.ip(&format!("link set dev {port} down"));
            }
            let teamr = Teamr::start_file(&site.left, DEVICE, file);
            // The kernel's driver needs no scheduling of the one processor.
            teamr.take_precedence();
            site.left.up(DEVICE);
            let state = teamr.state_at_socket();
            let runner = state.pointer("/setup/runner_name").and_then(Value::as_str);
            let runner = runner.expect("a runner").to_owned();
            let by_teamr = measure(&site, &Driver::Teamr(teamr), partnered);

            let [bond, team] = [&by_bond, &by_teamr];
            let counts = [
                bond.answered,
                team.answered,
                bond.lost_going,
                team.lost_going,
                bond.lost_coming,
                team.lost_coming,
            ];
            let row = Row { mode: name.to_owned(), runner, counts };
            println!("{}", row.line());
            rows.push(row);
            assert_eq!(by_bond.sent, by_teamr.sent, "{name}: pings");
            assert_eq!(by_teamr.answered, by_teamr.sent, "{name}: pings by teamr");
            assert!(by_teamr.answered >= by_bond.answered, "{name}: reached by bonding");
            let most = by_bond.lost_going + MARGIN * rounds() * PORTS.len();
            assert!(
                by_teamr.lost_going <= most,
                "{name}: {} packets lost, {} by bonding",
                by_teamr.lost_going,
                by_bond.lost_going
            );
        }
        if rounds() == 1 {
            assert_manual_shows(&rows);
        }
    });
}

/// The switch ends of the cables.
const FAR: [&str; 2] = ["left1", "left2"];

/// Makes a bond and sets it up.
fn bond(host: &Namespace, device: &str, options: &str, ports: &[&str]) {
    host.ip(&format!("link add name {device} type bond {MIIMON} {options}"));
    for port in ports {
        host.ip(&format!("link set dev {port} down"));
        host.ip(&format!("link set dev {port} master {device}"));
    }
    host.up(device);
}

/// Returns the configuration that `teamrctl import` makes of the bond.
fn imported(host: &Namespace) -> std::path::PathBuf {
    let folder = host.folder().join(format!("imported-{}", now()));
    let mut command = host.command(binary("teamrctl"));
    command.args(["import", "--output"]).arg(&folder).arg(DEVICE);
    let output = command.output().expect("start teamrctl");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "import: {stderr}");
    folder.join(format!("{DEVICE}.json"))
}

/// The driver of the left host's ports.
enum Driver {
    Bond,
    Teamr(Teamr),
}

impl Driver {
    fn is_up(&self, host: &Namespace, port: &str) -> bool {
        match self {
            Driver::Bond => port_carries(host, port),
            Driver::Teamr(teamr) => {
                /// Distributing, in the Actor's state.
                const DISTRIBUTING: u64 = 0x20;
                let state = teamr.state_at_socket();
                let port = &state["ports"][port];
                let lacp = port["runner"]["actor_lacpdu_info"]["state"].as_u64();
                let carries = lacp.is_none_or(|bits| bits & DISTRIBUTING != 0);
                port["link_watches"]["up"] == true && carries
            }
        }
    }
}

/// Whether a bond's port has its link and, with LACP, distributes.
fn port_carries(host: &Namespace, port: &str) -> bool {
    let link = host.link(port);
    let port = &link["linkinfo"]["info_slave_data"];
    let states = port["ad_actor_oper_port_state_str"].as_array();
    let carries = states.is_none_or(|states| states.iter().any(|state| state == "distributing"));
    port["mii_status"] == "UP" && carries
}

/// The counts of a run.
struct Outcome {
    sent: usize,
    answered: usize,
    lost_going: usize,
    lost_coming: usize,
}

fn measure(site: &Site, driver: &Driver, partnered: bool) -> Outcome {
    let left = &site.left;
    left.address(DEVICE, "10.0.0.1/24");
    left.address(DEVICE, "fd00::1/64");
    for port in PORTS {
        wait_both_ends_carry(site, driver, partnered, port);
    }
    let mut outcome = Outcome { sent: 0, answered: 0, lost_going: 0, lost_coming: 0 };
    // Clear all neighbour entries.
    for host in [left, &site.right] {
        host.ip("neighbour flush all");
    }
    ping(site, &mut outcome);

    let streams = site.start_streams(DEVICE, Pace::Steady);
    let (mut going, mut coming) = (Vec::new(), Vec::new());
    sleep(WINDOW);
    for round in 0..rounds() {
        for port in PORTS {
            let cable = site.cable(port);
            let pulled = now();
            cable.pull();
            wait_until(&format!("{port} to be given up"), || !driver.is_up(left, port));
            sleep(WINDOW);
            if round == 0 {
                ping(site, &mut outcome);
            }
            let back = now();
            going.push((pulled, back));
            cable.put_back();
            wait_both_ends_carry(site, driver, partnered, port);
            sleep(WINDOW);
            coming.push((back, now()));
        }
    }
    for stream in streams {
        let trace = stream.finish();
        let lost = |windows: &[(u64, u64)]| -> usize {
            let all = trace.lost().len();
            let outside = |(from, until): &(u64, u64)| trace.lost_outside(*from, *until).len();
            windows.iter().map(|window| all - outside(window)).sum()
        };
        outcome.lost_going += lost(&going);
        outcome.lost_coming += lost(&coming);
    }
    outcome
}

/// Waits until both ends of a cable carry traffic.
fn wait_both_ends_carry(site: &Site, driver: &Driver, partnered: bool, port: &str) {
    wait_until(&format!("{port} to carry"), || driver.is_up(&site.left, port));
    let cable = site.cable(port);
    match partnered {
        true => {
            let switch = site.switch.namespace();
            wait_until("the switch's end to carry", || port_carries(switch, cable.far_interface()));
        }
        false => site.switch.wait_forwarding(cable),
    }
}

/// Pings in both directions, over IPv4 and IPv6.
fn ping(site: &Site, outcome: &mut Outcome) {
    for (host, targets) in
        [(&site.left, ["10.0.0.2", "fd00::2"]), (&site.right, ["10.0.0.1", "fd00::1"])]
    {
        for target in targets {
            let ping = Ping::run(host, target, 5, "");
            outcome.sent += ping.sent as usize;
            outcome.answered += ping.answered as usize;
        }
    }
}

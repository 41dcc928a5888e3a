//! Bonds of the kernel's driver, in a guest: the settings of a bond become a team, and a team
//! replaces a bond with its addresses.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use integration::{
    CableKind, Lab, Namespace, NetworkManager, Ping, Process, Sharing, Site, Teamr, binary,
    comes_true, in_virtual_time, wait_for, wait_until,
};
use serde_json::{Value, json};
use teamr::bond::options::ROWS;

const PORTS: [&str; 2] = ["eth1", "eth2"];
const NETWORKD: &str = "/lib/systemd/systemd-networkd";

/// Bond options that NetworkManager and networkd set, one mode each. NetworkManager 1.42 does not
/// pass a `packets_per_slave` of 0 to the driver.
const LIVE: [&str; 6] =
    ["packets_per_slave 6", "active-backup", "layer2+3", "broadcast", "802.3ad", "balance-alb"];

/// Returns options of `ip link add type bond` and the runner that each becomes.
fn bonds() -> Vec<(&'static str, Value)> {
    vec![
        ("mode balance-rr", json!({"name": "roundrobin"})),
        ("mode balance-rr packets_per_slave 0", json!({"name": "random"})),
        (
            "mode balance-rr packets_per_slave 6",
            json!({"name": "roundrobin", "packets_per_port": 6}),
        ),
        (
            "mode active-backup fail_over_mac active",
            json!({"name": "activebackup", "hwaddr_policy": "by_active", "failback": "failure"}),
        ),
        (
            "mode balance-xor xmit_hash_policy layer2+3",
            json!({"name": "loadbalance", "tx_hash": ["eth", "l3"]}),
        ),
        (
            "mode balance-xor xmit_hash_policy vlan+srcmac",
            json!({"name": "loadbalance", "tx_hash": ["srcmac", "vlan"]}),
        ),
        ("mode broadcast", json!({"name": "broadcast"})),
        (
            "mode 802.3ad lacp_rate fast min_links 2 xmit_hash_policy encap3+4 ad_select count",
            json!({"name": "lacp", "tx_hash": ["l3", "l4", "encap"], "fast_rate": true,
                   "min_ports": 2, "agg_select_policy": "count"}),
        ),
        ("mode balance-tlb tlb_dynamic_lb 0", json!({"name": "tlb"})),
        (
            "mode balance-alb",
            json!({"name": "alb", "tx_balancer": {"name": "basic", "balancing_interval": 100}}),
        ),
    ]
}

/// Runs `teamrctl`, which must end with `status`; returns standard output and standard error.
fn teamrctl(host: &Namespace, status: i32, args: &[&str]) -> (String, String) {
    let output = host.command(binary("teamrctl")).args(args).output().expect("start teamrctl");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {stderr}");
    (String::from_utf8_lossy(&output.stdout).into_owned(), stderr)
}

/// Makes a bond by `ip`.
fn make_bond(host: &Namespace, options: &str) {
    host.ip(&format!("link add name bond0 type bond miimon 100 {options}"));
    for port in PORTS {
        host.ip(&format!("link set dev {port} down"));
        host.ip(&format!("link set dev {port} master bond0"));
    }
    host.up("bond0");
    host.address("bond0", "192.0.2.10/24");
}

#[test]
fn a_bond_of_the_kernel_imports_as_a_team() {
    in_virtual_time(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let (host, peer) = (lab.host("host"), lab.host("peer"));
        let _cables = PORTS.map(|port| lab.cable((&host, port), (&peer, port), CableKind::Virtual));
        for (options, runner) in bonds() {
            println!("{options}");
            make_bond(&host, options);
            let (shown, stderr) = teamrctl(&host, 0, &["import", "--json", "bond0"]);
            assert_eq!(stderr, "", "{options}");
            let team: Value = serde_json::from_str(&shown).expect("JSON");
            assert_eq!(team["runner"], runner, "{options}");
            assert_eq!(team["ports"], json!({"eth1": {}, "eth2": {}}), "{options}");

            // The commands of an export make the same bond.
            let folder = lab.folder().display().to_string();
            let config = format!("{folder}/bond0.json");
            fs::write(&config, &shown).expect("write a file");
            let args = ["export", "--to", "ip", "--output", &folder, &config];
            let (_, stderr) = teamrctl(&host, 2, &args);
            assert_eq!(stderr, "lost: addresses: no file is about the team device\n", "{options}");
            host.ip("link delete dev bond0");
            host.run(&format!("{folder}/bond0-bond.sh"));
            host.address("bond0", "192.0.2.10/24");
            assert_eq!(teamrctl(&host, 0, &["import", "--json", "bond0"]).0, shown, "{options}");
            host.ip("link delete dev bond0");
        }
    });
}

/// Requires replies from 10.0.0.2; the first request resolves the address.
fn assert_reached(host: &Namespace, how: &str) {
    Ping::run(host, "10.0.0.2", 1, "");
    assert_eq!(Ping::run(host, "10.0.0.2", 5, "").answered, 5, "{how}");
}

#[test]
fn a_team_replaces_a_bond_and_keeps_its_addresses() {
    in_virtual_time(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let site = Site::new(&lab, CableKind::Virtual);
        site.plug_unaggregated();
        let (left, right) = (&site.left, &site.right);
        right.address("eth1", "10.0.0.2/24");
        left.ip("link add name bond0 type bond mode active-backup miimon 100 updelay 300");
        for port in ["eth1", "eth2"] {
            left.ip(&format!("link set dev {port} master bond0"));
        }
        left.ip("link set dev bond0 type bond primary eth2");
        left.ip("link set dev bond0 mtu 1400 up");
        left.address("bond0", "10.0.0.1/24");
        left.ip("route add default via 10.0.0.2 dev bond0");
        for port in ["eth1", "eth2"] {
            site.switch.wait_forwarding(site.cable(port));
        }
        assert_reached(left, "by the bond");

        let folder = lab.folder().join("new");
        let output = folder.to_str().expect("a folder");
        let (_, stderr) = teamrctl(left, 0, &["import", "--output", output, "bond0"]);
        assert_eq!(stderr, "");
        let team = fs::read_to_string(folder.join("bond0.json")).expect("a configuration");
        println!("{team}");
        left.ip("link delete dev bond0");
        for port in ["eth1", "eth2"] {
            left.ip(&format!("link set dev {port} down"));
        }

        let teamr = Teamr::start_file(left, "bond0", folder.join("bond0.json"));
        left.run(&format!("{output}/bond0-addresses.sh"));
        teamr.wait_port("eth2", true);
        teamr.wait_active("eth2");
        site.switch.wait_forwarding(site.cable("eth2"));
        assert_eq!(left.link("bond0")["mtu"], 1400);
        assert!(left.ip("route show default").starts_with("default via 10.0.0.2"));
        assert_reached(left, "by the team");

        // The configuration is read from the daemon, the addresses from the kernel.
        let (shown, stderr) = teamrctl(left, 0, &["export", "bond0"]);
        assert_eq!(stderr, "");
        println!("{shown}");
        assert!(!shown.contains("mac-address"), "the first port's: {shown}");
        for part in [
            "mode=active-backup,miimon=100,updelay=300,primary=eth2",
            "802-3-ethernet.mtu 1400",
            "ipv4.addresses 10.0.0.1/24 ipv4.gateway 10.0.0.2 ipv6.method auto",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    });
}

/// Returns the settings of a bond that must stay equal: options and ports from the driver, and the
/// IPv4 address. `None` until there is a bond with two ports and an address.
fn bond_settings(host: &Namespace) -> Option<BTreeMap<String, String>> {
    let files: Vec<&str> = ROWS.iter().map(|row| row.name).chain(["slaves"]).collect();
    let script = format!(
        "cd /sys/class/net/bond0/bonding && grep -s '' {}; ip -br -4 address show dev bond0",
        files.join(" ")
    );
    let output = host.command("sh").args(["-c", &script]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (address, options): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with("bond0 "));
    let address = address.first()?.split_ascii_whitespace().nth(2)?;
    let mut bond_settings: BTreeMap<String, String> = options
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let slaves = bond_settings.get_mut("slaves")?;
    let mut sorted: Vec<&str> = slaves.split(' ').collect();
    sorted.sort_unstable();
    *slaves = sorted.join(" ");
    bond_settings.insert("address".to_owned(), address.to_owned());
    (bond_settings["slaves"] == "eth1 eth2").then_some(bond_settings)
}

/// Makes a team of the bond on `plain`, whose addresses `keeper` configures in `folder` below
/// `root`, and makes a bond again, in the form `target`, with its files in `output`.
fn there_and_back(plain: &Namespace, root: &Path, keeper: &str, folder: &str, target: &str) {
    let files = root.join(folder);
    let (files, root) = (files.display().to_string(), root.display().to_string());
    let (_, stderr) = teamrctl(plain, 0, &["import", "--to", keeper, "--output", &files, "bond0"]);
    assert_eq!(stderr, "");
    let (config, output) = (format!("{files}/bond0.json"), format!("{root}/{target}"));
    let args = ["export", "--root", &root, "--to", target, "--output", &output, &config];
    let (_, stderr) = teamrctl(plain, 0, &args);
    println!("  {target}: {}", stderr.trim_end());
}

/// Waits until `host` has the bond `wanted`.
fn compare(host: &Namespace, wanted: &BTreeMap<String, String>) {
    let mut found = None;
    comes_true(|| {
        found = bond_settings(host);
        found.as_ref() == Some(wanted)
    });
    let found = found.unwrap_or_default();
    for (key, value) in wanted {
        let is = found.get(key);
        assert_eq!(is, Some(value), "{key}, where it is {}", host.name());
    }
}

#[test]
fn network_manager_and_networkd_set_up_an_exported_bond() {
    in_virtual_time(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let [plain, managed, networkd] =
            ["plain", "managed", "networkd"].map(|name| lab.host(name));
        let peer = lab.host("peer");
        let mut cables = Vec::new();
        for (number, host) in [&plain, &managed, &networkd].into_iter().enumerate() {
            // A partner for 802.3ad: a bond with min_links has no carrier without one.
            let partner = format!("far{number}");
            peer.ip(&format!(
                "link add name {partner} type bond mode 802.3ad lacp_rate fast miimon 100"
            ));
            for port in PORTS {
                let far = format!("{partner}-{port}");
                cables.push(lab.cable((host, port), (&peer, &far), CableKind::Virtual));
                peer.ip(&format!("link set dev {far} master {partner}"));
            }
            peer.up(&partner);
        }
        let Some(_manager) = NetworkManager::start(&managed, "", |_| ()) else {
            return;
        };
        for line in [
            "mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases \
             /run/systemd/netif/lldp",
            "chown -R systemd-network: /run/systemd/netif",
            // A container without udev.
            "mount -o remount,bind,ro /sys",
        ] {
            networkd.run(line);
        }
        let live = |options: &str| LIVE.iter().any(|part| options.contains(part));
        let bonds = bonds().into_iter().filter(|(options, _)| live(options));
        for (number, (options, _)) in bonds.enumerate() {
            println!("{options}");
            make_bond(&plain, options);
            let wanted = wait_for("a bond", || bond_settings(&plain));
            let root = lab.folder().join(number.to_string());
            let folder = "etc/NetworkManager/system-connections";
            there_and_back(&plain, &root, "networkmanager", folder, "nmcli");
            there_and_back(&plain, &root, "networkd", "etc/systemd/network", "networkd");
            plain.ip("link delete dev bond0");

            managed.run(&format!("{}/nmcli/bond0-bond.sh", root.display()));
            compare(&managed, &wanted);
            managed.run("nmcli connection delete bond0 bond0-eth1 bond0-eth2");
            wait_until("no bond", || !managed.has_interface("bond0"));

            networkd.run(&format!("cp -r {}/networkd/. /run/systemd/network", root.display()));
            let mut daemon = Process::start("networkd", lab.folder(), networkd.command(NETWORKD));
            compare(&networkd, &wanted);
            daemon.stop();
            networkd.ip("link delete dev bond0");
            networkd.run("find /run/systemd/network -type f -delete");
        }
    });
}

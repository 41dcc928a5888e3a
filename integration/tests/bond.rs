//! Bonds of the real driver, in a guest that has it: what the kernel shows of them becomes a team,
//! and a team takes the place of one with its addresses.

use std::fs;

use integration::{CableKind, Lab, Namespace, Ping, Sharing, Site, Teamr, binary, in_guest};
use serde_json::{Value, json};

/// Options of `ip link add type bond`, and the runner that comes of them.
fn bonds() -> Vec<(&'static str, Value)> {
    vec![
        ("mode balance-rr", json!({"name": "roundrobin"})),
        (
            "mode balance-rr packets_per_slave 0",
            json!({"name": "random"}),
        ),
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

/// Runs `teamrctl`, which must end with `status`; its output and what it told.
fn teamrctl(host: &Namespace, status: i32, args: &[&str]) -> (String, String) {
    let output = host
        .command(binary("teamrctl"))
        .args(args)
        .output()
        .expect("start teamrctl");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {told}");
    (String::from_utf8_lossy(&output.stdout).into_owned(), told)
}

#[test]
fn what_the_kernel_shows_of_a_bond_becomes_a_team() {
    in_guest(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let (host, peer) = (lab.host("host"), lab.host("peer"));
        let _cables = ["eth1", "eth2"]
            .map(|port| lab.cable((&host, port), (&peer, port), CableKind::Virtual));
        for (options, runner) in bonds() {
            println!("{options}");
            host.ip(&format!(
                "link add name bond0 type bond miimon 100 {options}"
            ));
            for port in ["eth1", "eth2"] {
                host.ip(&format!("link set dev {port} down"));
                host.ip(&format!("link set dev {port} master bond0"));
            }
            host.up("bond0");
            host.address("bond0", "192.0.2.10/24");
            let (shown, told) = teamrctl(&host, 0, &["import", "--json", "bond0"]);
            assert_eq!(told, "", "{options}");
            let team: Value = serde_json::from_str(&shown).expect("JSON");
            assert_eq!(team["runner"], runner, "{options}");
            assert_eq!(team["ports"], json!({"eth1": {}, "eth2": {}}), "{options}");
            host.ip("link delete dev bond0");
        }
    });
}

#[test]
fn a_team_takes_the_place_of_a_bond_with_its_addresses() {
    in_guest(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let site = Site::new(&lab, CableKind::Virtual);
        site.plug_plainly();
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
        Ping::run(left, "10.0.0.2", 1, "");
        assert_eq!(
            Ping::run(left, "10.0.0.2", 5, "").answered,
            5,
            "by the bond"
        );

        let folder = lab.folder().join("new");
        let output = folder.to_str().expect("a folder");
        let (_, told) = teamrctl(left, 0, &["import", "--output", output, "bond0"]);
        assert_eq!(told, "");
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
        assert!(
            left.ip("route show default")
                .starts_with("default via 10.0.0.2")
        );
        Ping::run(left, "10.0.0.2", 1, "");
        assert_eq!(
            Ping::run(left, "10.0.0.2", 5, "").answered,
            5,
            "by the team"
        );

        // The daemon tells its configuration, the kernel its addresses.
        let (shown, told) = teamrctl(left, 0, &["export", "bond0"]);
        assert_eq!(told, "");
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

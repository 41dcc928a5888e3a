//! A host whose address is on a bond becomes a host with a team, and back: `teamrctl import --apply` on
//! a Debian that boots with its own systemd and the kernel's bonding driver.
//!
//! Each kind of host boots once on Debian 12. With `TEAMR_HOSTS=all` each kind boots three times on
//! Debian 12 and on Debian 13, so that restarts of the machine keep a team, and return from one.
//! With `TEAMR_HOSTS=bookworm` or `TEAMR_HOSTS=trixie` each kind boots three times on that release
//! alone.

#![allow(clippy::disallowed_methods, reason = "a test prints the time of a boot")]

use std::env;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use integration::{boot_system, skip};

use super::{Debian, missing_requirement, packages};

/// Network programs that one system can have. Only those of the case are enabled.
const PACKAGES: &str = "udev kmod ifupdown ifenslave iputils-ping network-manager netplan.io";
pub const IFUPDOWN2: &str = "udev kmod ifupdown2 iputils-ping";

/// Time on the host before a guest is stopped.
const LIMIT: Duration = Duration::from_secs(1200);

/// Makes two cables to a peer with the address 192.0.2.1.
const CABLES: &str = "\
#!/bin/sh
set -e
ip netns add peer
ip -n peer link add br0 address 02:00:00:00:00:99 type bridge
ip -n peer link set br0 up
ip -n peer address add 192.0.2.1/24 dev br0
for number in 1 2; do
    ip link add eth$number address 02:00:00:00:00:0$number type veth peer p$number netns peer
    ip -n peer link set p$number master br0 up
done
";

/// Files of every host.
const FILES: [(&str, &str); 5] = [
    ("usr/local/sbin/cables", CABLES),
    (
        "etc/systemd/system/cables.service",
        "[Unit]\n\
         DefaultDependencies=no\n\
         Wants=network-pre.target\n\
         Before=network-pre.target networking.service\n\
         After=systemd-udevd.service\n\
         [Service]\n\
         Type=oneshot\n\
         RemainAfterExit=yes\n\
         ExecStart=/bin/sh /usr/local/sbin/cables\n\
         [Install]\n\
         WantedBy=sysinit.target\n",
    ),
    (
        "etc/systemd/system/case.service",
        "[Unit]\n\
         After=multi-user.target\n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart=/bin/sh /case\n\
         ExecStopPost=/bin/systemctl poweroff --no-block\n\
         StandardOutput=append:/case.log\n\
         StandardError=append:/case.log\n\
         [Install]\n\
         WantedBy=multi-user.target\n",
    ),
    (
        "etc/network/interfaces",
        "source /etc/network/interfaces.d/*\nauto lo\niface lo inet loopback\n",
    ),
    ("facts", include_str!("migration.sh")),
];

/// A kind of host.
struct Kind {
    name: &'static str,
    /// Name of the system, and its packages.
    system: (&'static str, &'static str),
    files: &'static [(&'static str, &'static str)],
    /// The unit that makes the bond.
    unit: &'static str,
    /// Commands that keep a team from starting, and commands that undo this.
    spoil: [&'static str; 2],
}

/// Lets the daemon of the team's unit fail.
const SPOIL_UNIT: [&str; 2] = [
    "mkdir -p /run/systemd/system/teamr@.service.d
     printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' \\
        >/run/systemd/system/teamr@.service.d/wrong.conf
     systemctl daemon-reload",
    "rm -r /run/systemd/system/teamr@.service.d
     systemctl daemon-reload",
];
/// Hides the daemon from NetworkManager.
const SPOIL_TEAMD: [&str; 2] = ["mv /usr/bin/teamd /teamd", "mv /teamd /usr/bin/teamd"];

const KINDS: [Kind; 6] = [
    Kind {
        name: "ifupdown",
        system: ("networks", PACKAGES),
        files: &INTERFACES,
        unit: "networking",
        spoil: SPOIL_UNIT,
    },
    Kind {
        name: "networkd",
        system: ("networks", PACKAGES),
        files: &NETWORKD,
        unit: "systemd-networkd",
        spoil: SPOIL_UNIT,
    },
    Kind {
        name: "networkmanager",
        system: ("networks", PACKAGES),
        files: &KEYFILES,
        unit: "NetworkManager",
        spoil: SPOIL_TEAMD,
    },
    Kind {
        name: "netplan",
        system: ("networks", PACKAGES),
        files: &NETPLAN,
        unit: "systemd-networkd",
        spoil: SPOIL_UNIT,
    },
    Kind {
        name: "ifupdown2",
        system: ("ifupdown2", IFUPDOWN2),
        files: &INTERFACES,
        unit: "networking",
        spoil: SPOIL_UNIT,
    },
    Kind {
        name: "netplan-networkmanager",
        system: ("networks", PACKAGES),
        files: &NETPLAN_OF_NETWORK_MANAGER,
        unit: "NetworkManager",
        spoil: SPOIL_TEAMD,
    },
];

const INTERFACES: [(&str, &str); 1] = [(
    "etc/network/interfaces.d/bond0",
    "auto eth1\n\
     iface eth1 inet manual\n\
     auto bond0\n\
     iface bond0 inet static\n\
     \taddress 192.0.2.10/24\n\
     \tbond-slaves eth1 eth2\n\
     \tbond-mode active-backup\n\
     \tbond-miimon 100\n\
     \tup ip route add 198.51.100.0/24 via 192.0.2.1\n\
     auto bond0.7\n\
     iface bond0.7 inet static\n\
     \taddress 203.0.113.10/24\n\
     \tvlan-raw-device bond0\n",
)];

const KEYFILES: [(&str, &str); 4] = [
    (
        "etc/NetworkManager/system-connections/uplink.nmconnection",
        "[connection]\nid=uplink\nuuid=b0000000-0000-4000-8000-000000000000\ntype=bond\n\
         interface-name=bond0\n\n[ethernet]\nmtu=1400\n\n[bond]\nmode=active-backup\n\
         miimon=100\n\n[ipv4]\nmethod=manual\naddress1=192.0.2.10/24\n\
         route1=198.51.100.0/24,192.0.2.1\n\n[ipv6]\nmethod=disabled\n",
    ),
    (
        "etc/NetworkManager/system-connections/eth1.nmconnection",
        "[connection]\nid=eth1\nuuid=b0000000-0000-4000-8000-000000000001\ntype=ethernet\n\
         interface-name=eth1\nmaster=b0000000-0000-4000-8000-000000000000\nslave-type=bond\n",
    ),
    (
        "etc/NetworkManager/system-connections/eth2.nmconnection",
        "[connection]\nid=eth2\nuuid=b0000000-0000-4000-8000-000000000002\ntype=ethernet\n\
         interface-name=eth2\nmaster=bond0\nslave-type=bond\n",
    ),
    (
        "etc/NetworkManager/system-connections/vlan.nmconnection",
        "[connection]\nid=vlan\nuuid=b0000000-0000-4000-8000-000000000007\ntype=vlan\n\
         interface-name=bond0.7\n\n[vlan]\nid=7\nparent=b0000000-0000-4000-8000-000000000000\n\n\
         [ipv4]\nmethod=manual\naddress1=203.0.113.10/24\n\n[ipv6]\nmethod=disabled\n",
    ),
];

const NETPLAN: [(&str, &str); 2] = [
    (
        "etc/netplan/50-cloud-init.yaml",
        "# The network of this host.\n\
         network:\n  version: 2\n  renderer: networkd\n  ethernets:\n    eth1: {}\n    port2:\n      \
         match: {name: eth2}\n  bonds:\n    bond0:\n      interfaces: [eth1, port2]\n      \
         addresses: [192.0.2.10/24]\n      mtu: 1400\n      routes:\n        - to: 198.51.100.0/24\n          \
         via: 192.0.2.1\n      parameters: {mode: active-backup, mii-monitor-interval: 100}\n  \
         vlans:\n    bond0.7:\n      id: 7\n      link: bond0\n      addresses: [203.0.113.10/24]\n",
    ),
    ("etc/cloud/cloud.cfg.d/05_logging.cfg", "\n"),
];

const NETPLAN_OF_NETWORK_MANAGER: [(&str, &str); 2] = [
    (
        "etc/netplan/01-network-manager-all.yaml",
        "network:\n  version: 2\n  renderer: NetworkManager\n  ethernets:\n    eth1: {}\n    eth2: {}\n  \
         bonds:\n    bond0:\n      interfaces: [eth1, eth2]\n      addresses: [192.0.2.10/24]\n      \
         routes: [{to: 198.51.100.0/24, via: 192.0.2.1}]\n      \
         parameters: {mode: active-backup, mii-monitor-interval: 100}\n",
    ),
    (
        "etc/NetworkManager/system-connections/vlan.nmconnection",
        "[connection]\nid=vlan\ntype=vlan\ninterface-name=bond0.7\n\n[vlan]\nid=7\nparent=bond0\n\n\
         [ipv4]\nmethod=manual\naddress1=203.0.113.10/24\n\n[ipv6]\nmethod=disabled\n",
    ),
];

const NETWORKD: [(&str, &str); 5] = [
    (
        "etc/systemd/network/10-bond0.netdev",
        "[NetDev]\nName=bond0\nKind=bond\nMTUBytes=1400\n[Bond]\nMode=active-backup\n\
         MIIMonitorSec=100ms\n",
    ),
    ("etc/systemd/network/10-vlan.netdev", "[NetDev]\nName=bond0.7\nKind=vlan\n[VLAN]\nId=7\n"),
    ("etc/systemd/network/20-ports.network", "[Match]\nName=eth*\n[Network]\nBond=bond0\n"),
    (
        "etc/systemd/network/20-bond0.network",
        "[Match]\nName=bond0\n[Network]\nAddress=192.0.2.10/24\nVLAN=bond0.7\n[Route]\n\
         Destination=198.51.100.0/24\nGateway=192.0.2.1\n",
    ),
    (
        "etc/systemd/network/20-vlan.network",
        "[Match]\nName=bond0.7\n[Network]\nAddress=203.0.113.10/24\n",
    ),
];

/// The first boot: two imports that fail, and one that is kept.
const FIRST: &str = "\
. /facts
await_bond
facts >/expected
cat /expected
files >/expected-files

teamrctl doctor --bond bond0 || [ $? = 2 ]
for folder in network systemd/network netplan NetworkManager; do
    [ ! -d /etc/$folder ] || { mkdir -p /srv/host && cp -a --parents /etc/$folder /srv/host; }
done
cd /tmp
teamrctl import --root /srv/host --output new bond0 || [ $? = 2 ]
[ -s new/bond0.json ] || fail 'no configuration'

spoil
! teamrctl import --apply bond0 || fail 'a daemon that ends is no team'
mend
await_bond
same_files

! teamrctl import --apply --for 5 --until false bond0 || fail 'false has succeeded'
await_bond
await same_files
! teamrctl import --undo bond0 || fail 'the trial has not ended'

teamrctl import --apply --dry-run bond0
await_bond
teamrctl import --apply bond0
await_team
teamrctl bond0 state
teamrctl bond0 keep
";

/// The way back.
const RETURN: &str = "\
teamrctl import --undo bond0
await_bond
same_files
";

/// A trial that a command keeps.
const UNTIL: &str = "\
teamrctl import --apply --until 'ping -c 1 -W 1 192.0.2.1' bond0
await_team
";

/// The end of the second boot: a trial that nobody keeps.
const TRIAL: &str = "\
teamrctl import --apply bond0
await_team
";

/// The third boot, without a `keep`.
const THIRD: &str = "\
. /facts
await_bond
same_files
! systemctl is-enabled --quiet teamr@bond0 || fail 'the team starts at a boot'
";

/// The scripts of one boot, or of three.
fn boots() -> Vec<String> {
    if chosen_hosts().is_none() {
        return vec![[FIRST, RETURN].concat()];
    }
    let second = [". /facts\nawait_team\n", RETURN, UNTIL, RETURN, TRIAL].concat();
    vec![FIRST.to_owned(), second, THIRD.to_owned()]
}

/// The releases of Debian, 12 and 13.
const SUITES: [&str; 2] = ["bookworm", "trixie"];

/// Returns the releases for three boots, as `TEAMR_HOSTS` names them; `None` for one boot.
fn chosen_hosts() -> Option<String> {
    env::var("TEAMR_HOSTS").ok()
}

const STANZAS: [(&str, &str); 1] = [(
    "etc/network/interfaces.d/teams",
    "auto eth1\n\
     iface eth1 inet manual\n\
     auto team0\n\
     iface team0 inet static\n\
     \taddress 192.0.2.10/24\n\
     \tteam-ports eth1 eth2\n\
     \tteam-runner activebackup\n\
     iface team0 inet6 manual\n\
     iface team1 inet manual\n\
     \tteam-ports none\n\
     \tteam-prio 5\n\
     iface team2 inet manual\n\
     \tteam-config {\"runner\": {\"name\": \"broadcast\"}}\n\
     iface team3 inet manual\n\
     \tteam-config /etc/teamr/team3.json\n",
)];

/// A boot with teams of stanzas.
const TEAMS: &str = "\
. /facts
runs() { [ \"$(systemctl is-active \"$1\")\" = active ]; }
gone() { ! ip link show dev \"$1\" 2>/dev/null; }
reached() { ping -c 1 -W 1 192.0.2.1 >/dev/null 2>&1; }

await reached
runs teamd@team0 || fail 'no unit of team0'
teamrctl team0 port present eth1
teamrctl team0 port present eth2
[ \"$(teamrctl team0 state item get setup.runner_name)\" = activebackup ] || fail 'another runner'
ifdown team0
gone team0 || fail 'team0 is there still'
ip link set dev eth1 up
ifup team0
await reached

! ifup team1 2>/tmp/errors || fail 'team-prio is unknown'
grep 'team1: unknown option IF_TEAM_PRIO' /tmp/errors
gone team1 || fail 'team1 has started'
ifup team2
[ \"$(teamrctl team2 state item get setup.runner_name)\" = broadcast ] || fail 'another runner'
ifdown team2
echo '{}' >/etc/teamr/team3.json
ifup team3
runs teamr@team3 || fail 'no unit of team3'
ifdown team3
gone team3 || fail 'team3 is there still'
";

/// Boots a host of a kind once for each of `scripts`, which must succeed.
fn boot_each(suite: &str, kind: &Kind, scripts: &[String]) {
    if let Some(reason) = missing_requirement() {
        return skip(&reason);
    }
    // Only the guest uses the network, so the test needs no lab.
    let name = format!("{suite}-{}", kind.name);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("migration-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("make a folder");
    let (system, packages_of_system) = kind.system;
    let debian = Debian::copy(&folder, suite, system, packages_of_system);
    let [deb, _] = packages();
    let deb = debian.take(deb);
    debian.run(&format!("dpkg --install {deb}"));
    for (path, text) in FILES.iter().chain(kind.files) {
        debian.write(path, text);
    }
    let [spoil, mend] = kind.spoil;
    debian.write("spoil", &format!("spoil() {{\n{spoil}\n}}\nmend() {{\n{mend}\n}}\n"));
    debian.write("etc/fstab", "");
    let units = "networking systemd-networkd NetworkManager";
    debian.run(&format!(
        "chmod -R go= /etc/NetworkManager/system-connections || true; \
         systemctl --quiet disable {units} || true; systemctl --quiet enable cables case {}",
        kind.unit
    ));
    for (number, script) in scripts.iter().enumerate() {
        debian.write("case", &format!("{script}echo 'all went well'\n"));
        let start = Instant::now();
        let console = match boot_system(&debian.root, LIMIT) {
            Ok(console) => console,
            Err(reason) if number == 0 && !debian.root.join("case.log").exists() => {
                return skip(&reason);
            }
            Err(reason) => panic!("{name}, boot {number}: {reason}"),
        };
        let log = fs::read_to_string(debian.root.join("case.log")).unwrap_or_default();
        println!("{name}, boot {number}, {} s:\n{log}", start.elapsed().as_secs());
        assert!(log.ends_with("all went well\n"), "{name}, boot {number}:\n{log}\n{console}");
        fs::remove_file(debian.root.join("case.log")).expect("remove the log");
    }
    fs::remove_dir_all(&folder).expect("remove the system");
}

/// Boots the hosts of the kind `name`: on Debian 12, or on the releases that the environment
/// chooses.
fn assert_migrates(name: &str) {
    let kind = KINDS.iter().find(|kind| kind.name == name).expect("a kind of host");
    let hosts = chosen_hosts().unwrap_or_else(|| SUITES[0].to_owned());
    let suites: Vec<&str> =
        SUITES.into_iter().filter(|it| hosts == *it || hosts == "all").collect();
    assert!(!suites.is_empty(), "TEAMR_HOSTS={hosts} is no release");
    for suite in suites {
        boot_each(suite, kind, &boots());
    }
}

#[test]
fn every_command_of_the_guide_is_run() {
    let guide = include_str!("../../../docs/guides/from-bonding.md");
    let scripts = [FIRST, RETURN, UNTIL, TRIAL].concat();
    let commands = guide.lines().filter_map(|line| line.strip_prefix("# teamrctl "));
    let commands: Vec<String> = commands.map(|rest| format!("teamrctl {rest}")).collect();
    assert!(commands.len() > 5, "{commands:?}");
    for command in commands {
        assert!(scripts.contains(&command), "no boot runs `{command}`");
    }
}

#[test]
fn a_bond_of_ifupdown_becomes_a_team_and_returns() {
    assert_migrates("ifupdown");
}

#[test]
fn a_bond_of_networkd_becomes_a_team_and_returns() {
    assert_migrates("networkd");
}

#[test]
fn a_bond_of_network_manager_becomes_a_team_and_returns() {
    assert_migrates("networkmanager");
}

#[test]
fn a_bond_of_netplan_becomes_a_team_and_returns() {
    assert_migrates("netplan");
}

#[test]
#[ignore = "integration/run --all runs this test"]
fn a_bond_of_ifupdown2_becomes_a_team_and_returns() {
    assert_migrates("ifupdown2");
}

#[test]
#[ignore = "integration/run --all runs this test"]
fn a_bond_of_netplan_with_network_manager_becomes_a_team_and_returns() {
    assert_migrates("netplan-networkmanager");
}

#[test]
fn a_stanza_of_ifupdown_is_a_team() {
    let kind = Kind { name: "stanzas", files: &STANZAS, ..KINDS[0] };
    boot_each("bookworm", &kind, &[TEAMS.to_owned()]);
}

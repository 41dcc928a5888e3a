//! The units in a boot with cloud-init and the network managers: no ordering cycle, the device
//! before the managers, network file systems unmounted before the team ends.
//!
//! All managers are enabled at once, since a cycle with one manager is a cycle with all. On the same host the
//! units `teamr-agentx` and `teamr-lldp` serve snmpd and lldpd.

use std::fs;

use integration::{Lab, Sharing, repository, skip};

use super::{Debian, missing_requirement, packages};

const MANAGERS: &str = "cloud-init ifupdown netplan.io network-manager lldpd procps snmp snmpd";

/// Returns the lines that the guide adds to snmpd.conf.
fn settings_of_snmpd() -> String {
    let guide = fs::read_to_string(repository().join("docs/guides/monitoring.md"));
    let guide = guide.expect("read the guide");
    let block = guide.split("```").find(|block| block.contains("# /etc/snmp/snmpd.conf\n"));
    block.expect("the settings of snmpd").trim_start_matches("text\n").to_owned()
}

/// Files of the host's administrator. networkd makes the port, which therefore appears after the
/// team, and waits for team0 to be online; cloud-init waits for networkd.
const FILES: [(&str, &str); 14] = [
    ("etc/teamr/team0.json", r#"{"runner": {"name": "activebackup"}, "ports": {"eth1": {}}}"#),
    (
        "etc/tmpfiles.d/team1.conf",
        "f /run/teamd/team1.conf - - - - {\"runner\": {\"name\": \"roundrobin\"}}\n",
    ),
    ("etc/systemd/network/eth1.netdev", "[NetDev]\nName=eth1\nKind=veth\n[Peer]\nName=peer1\n"),
    (
        "etc/systemd/network/peer1.network",
        "[Match]\nName=peer1\n[Link]\nRequiredForOnline=no\n[Network]\nLinkLocalAddressing=no\n",
    ),
    (
        "etc/netplan/team0.yaml",
        "network:\n  version: 2\n  ethernets:\n    team0:\n      addresses: [192.0.2.1/24]\n",
    ),
    ("etc/network/interfaces", "auto team0\niface team0 inet manual\n"),
    ("etc/NetworkManager/conf.d/unmanaged.conf", "[keyfile]\nunmanaged-devices=*\n"),
    (
        "etc/cloud/cloud.cfg.d/99-local.cfg",
        "datasource_list: [NoCloud]\nnetwork: {config: disabled}\n",
    ),
    ("var/lib/cloud/seed/nocloud/meta-data", "instance-id: host\n"),
    ("var/lib/cloud/seed/nocloud/user-data", "#cloud-config\n"),
    ("etc/fstab", "remote /mnt tmpfs _netdev 0 0\n"),
    ("etc/systemd/journald.conf.d/kept.conf", "[Journal]\nStorage=persistent\n"),
    ("etc/systemd/system.conf.d/names.conf", "[Manager]\nStatusUnitFormat=name\n"),
    (
        "etc/systemd/system/script.service.d/after-boot.conf",
        "[Unit]\nWants=multi-user.target\nAfter=multi-user.target\n",
    ),
];

/// Enables the managers and the teams.
const ENABLE: &str = "systemctl --quiet enable \
     systemd-networkd networking NetworkManager teamr@team0 teamr && \
     systemctl --quiet add-wants multi-user.target cloud-init.target teamd@team1.service";

/// Verifies the order of a boot with systemd.
const VERIFY: &str = "systemd-analyze verify --man=no multi-user.target 2>&1";

/// Returns the position of a text in systemd's log.
fn position(log: &str, text: &str) -> usize {
    log.find(text).unwrap_or_else(|| panic!("no \"{text}\" in the log:\n{log}"))
}

#[test]
fn teams_start_before_the_network_and_stop_after_it() {
    if let Some(reason) = missing_requirement() {
        return skip(&reason);
    }
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let debian = Debian::copy(lab.folder(), "bookworm", "managers-and-agents", MANAGERS);
    let [deb, _] = packages();
    let deb = debian.take(deb);
    debian.run(&format!("dpkg --install {deb}"));
    for (path, text) in FILES {
        debian.write(path, text);
    }
    debian.write("etc/snmp/snmpd.conf.d/teamr.conf", &settings_of_snmpd());
    debian.write("agents.sh", include_str!("agents.sh"));
    debian.run(ENABLE);

    // systemd reports the effect of a unit with default dependencies.
    let drop_in = "etc/systemd/system/teamr@.service.d/late.conf";
    debian.write(drop_in, "[Unit]\nAfter=sysinit.target\n");
    let warnings = debian.run(VERIFY);
    assert!(warnings.contains("ordering cycle"), "{warnings}");
    assert!(warnings.contains("teamr@team0.service"), "{warnings}");
    fs::remove_file(debian.root.join(drop_in)).expect("remove the planted cycle");
    let warnings = debian.run(VERIFY);
    assert!(!warnings.contains("cycle"), "{warnings}");

    // One daemon drives one device.
    debian.run("systemctl --quiet disable teamr");
    let output = debian.boot(include_str!("boot_order.sh"));
    assert!(output.ends_with("all went well\n"), "{output}");
    let log = debian.run("journalctl --directory=/var/log/journal --output=cat _PID=1");
    assert!(!log.contains("cycle"), "{log}");
    for team in ["teamr@team0.service", "teamd@team1.service"] {
        let ready = position(&log, &format!("Started {team}"));
        let stopping = position(&log, &format!("Stopping {team}"));
        for manager in ["systemd-networkd", "networking", "NetworkManager"] {
            let starting = position(&log, &format!("Starting {manager}.service"));
            let stopped = position(&log, &format!("Stopped {manager}.service"));
            assert!(ready < starting, "{manager} before {team}:\n{log}");
            assert!(stopped < stopping, "{team} before {manager}:\n{log}");
        }
        let unmounted = position(&log, "Unmounted mnt.mount");
        assert!(unmounted < stopping, "{team} before the mount:\n{log}");
    }
}

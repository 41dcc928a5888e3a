//! `teamrctl doctor --bond`, in a guest: what is wrong with a bond of the kernel on its switch.

use integration::{CableKind, Lab, Namespace, Sharing, Site, binary, comes_true, in_virtual_time};
use serde_json::Value;

const PORTS: [&str; 2] = ["eth1", "eth2"];

/// Makes `bond0` of these ports, up, with an address.
fn make_bond(host: &Namespace, ports: [&str; 2], options: &str) {
    host.ip(&format!("link add name bond0 type bond {options}"));
    for port in ports {
        host.ip(&format!("link set dev {port} down"));
        host.ip(&format!("link set dev {port} master bond0"));
    }
    host.up("bond0");
    host.address("bond0", "10.0.0.1/24");
}

/// Returns the ids of the problems.
fn problems(host: &Namespace) -> Vec<String> {
    let args = ["doctor", "--json", "--bond", "bond0"];
    let output = host.command(binary("teamrctl")).args(args).output().expect("start teamrctl");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = found["bond0"].as_array().expect("findings");
    let problems = findings.iter().filter(|finding| finding["problem"] == true);
    let ids: Vec<String> =
        problems.filter_map(|finding| finding["id"].as_str()).map(str::to_owned).collect();
    assert_eq!(output.status.code(), Some(if ids.is_empty() { 0 } else { 2 }), "{found}");
    ids
}

/// Waits until the bond has exactly this problem, or none.
fn assert_problem(host: &Namespace, wanted: Option<&str>) {
    let wanted: Vec<&str> = wanted.into_iter().collect();
    let mut found = Vec::new();
    assert!(
        comes_true(|| {
            found = problems(host);
            found == wanted
        }),
        "wanted {wanted:?}, found {found:?}"
    );
}

#[test]
fn the_doctor_finds_what_is_wrong_with_a_bond() {
    in_virtual_time(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let site = Site::new(&lab, CableKind::Virtual);
        site.plug_unaggregated();
        let host = &site.left;

        // The bond lists its ports in the order in which they join, not by index.
        make_bond(host, ["eth2", "eth1"], "mode active-backup miimon 100");
        assert_problem(host, None);
        host.ip("link delete dev bond0");
        make_bond(host, PORTS, "mode active-backup miimon 100");
        assert_problem(host, None);
        host.ip("link set dev bond0 type bond miimon 0");
        assert_problem(host, Some("bond-unmonitored"));
        host.ip("link set dev bond0 type bond miimon 100");
        host.address("eth2", "10.0.5.1/24");
        assert_problem(host, Some("port-with-address"));
        host.ip("address flush dev eth2");
        site.cable("eth2").pull();
        assert_problem(host, Some("port-without-link"));
        site.cable("eth2").put_back();
        assert_problem(host, None);
        host.ip("link delete dev bond0");

        // A switch without an aggregate.
        make_bond(host, PORTS, "mode balance-xor miimon 100");
        assert_problem(host, Some("plain-switch"));
        host.ip("link add br0 up type bridge");
        host.ip("link set dev bond0 master br0");
        assert_problem(host, Some("guests-on-plain-switch"));
        host.ip("link delete dev br0");
        host.ip("link delete dev bond0");

        // LACP without and with a partner.
        let peer = lab.host("peer");
        let cables =
            ["eth3", "eth4"].map(|port| lab.cable((host, port), (&peer, port), CableKind::Virtual));
        for host in [host, &peer] {
            host.ip("link add name bond0 type bond mode 802.3ad lacp_rate fast miimon 100");
            host.up("bond0");
        }
        host.address("bond0", "10.0.0.1/24");
        for port in ["eth3", "eth4"] {
            host.ip(&format!("link set dev {port} master bond0"));
            peer.up(port);
        }
        assert_problem(host, Some("lacp-no-partner"));
        for port in ["eth3", "eth4"] {
            peer.down(port);
            peer.ip(&format!("link set dev {port} master bond0"));
        }
        assert_problem(host, None);
        drop(cables);

        let output = host.command(binary("teamrctl")).args(["doctor", "--bond", "lo"]).output();
        let output = output.expect("start teamrctl");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr.contains("The kernel has no bond \"lo\"."), "{stderr}");
    });
}

//! Findings of `teamrctl doctor` about a team on a switch without link aggregation.

use integration::{DataPath, Lab, Sharing, wait_until};
use serde_json::Value;

use crate::site::Site;

/// Returns the doctor's first finding; `None` if there is none.
fn first_finding(site: &Site) -> Option<String> {
    let output = site.team.ctl("doctor --json");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let problem = found["team0"][0]["problem"] == true;
    assert_eq!(output.status.code(), Some(if problem { 2 } else { 0 }));
    let id = found["team0"][0]["id"].as_str()?;
    problem.then(|| id.to_owned())
}

#[test]
fn the_doctor_recognizes_a_switch_without_aggregation() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    for (runner, path, first) in [
        ("roundrobin", DataPath::Userspace, Some("guests-on-plain-switch")),
        ("broadcast", DataPath::Userspace, Some("broadcast-one-network")),
        ("activebackup", DataPath::Userspace, None),
        ("slb", DataPath::Userspace, None),
        ("slb", DataPath::Programs, None),
    ] {
        let site = Site::new(&lab, runner, path);
        let reported = || site.team.log().contains("What leaves on \"eth");
        // Unasked, the daemon probes only with runners that need aggregation.
        if ["roundrobin", "broadcast"].contains(&runner) {
            wait_until("the team to find the plain switch by itself", reported);
        } else {
            assert_eq!(site.team.ask("state item get teamr.probe_rounds"), "0\n");
        }
        assert_eq!(first_finding(&site).as_deref(), first, "{runner}");
        if first.is_none() {
            assert!(!reported(), "{runner}: {}", site.team.log());
        }
        if runner != "activebackup" {
            continue;
        }
        // Into a separate network; the guests receive no probes, so only the doctor can report the
        // fault.
        site.switch.unplug(site.cables[1].far_interface());
        site.team.wait_port("eth2", true);
        assert_eq!(first_finding(&site).as_deref(), Some("separate-networks"));
        site.cables[1].pull();
        site.team.wait_port("eth2", false);
        assert_eq!(first_finding(&site).as_deref(), Some("port-without-link"));
        site.host.ip("link set dev team0 down");
        assert_eq!(first_finding(&site).as_deref(), Some("device-down"));
    }
}

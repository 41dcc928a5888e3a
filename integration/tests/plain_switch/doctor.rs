//! What `teamrctl doctor` says of a team on such a switch.

use integration::{DataPath, Lab, Sharing, wait_until};
use serde_json::Value;

use crate::site::Site;

/// What the doctor names first; none if nothing is wrong.
fn first_finding(site: &Site) -> Option<String> {
    let output = site.team.ctl("doctor --json");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let problem = found["team0"][0]["problem"] == true;
    assert_eq!(output.status.code(), Some(if problem { 2 } else { 0 }));
    let id = found["team0"][0]["id"].as_str()?;
    problem.then(|| id.to_owned())
}

#[test]
fn the_doctor_tells_a_plain_switch_by_its_probes() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    for (runner, path, first) in [
        (
            "roundrobin",
            DataPath::Userspace,
            Some("guests-on-plain-switch"),
        ),
        (
            "broadcast",
            DataPath::Userspace,
            Some("broadcast-one-network"),
        ),
        ("activebackup", DataPath::Userspace, None),
        ("slb", DataPath::Userspace, None),
        ("slb", DataPath::Programs, None),
    ] {
        let site = Site::new(&lab, runner, path);
        let told = || site.team.log().contains("What leaves on \"eth");
        // By itself it looks only where a plain switch is wrong.
        if ["roundrobin", "broadcast"].contains(&runner) {
            wait_until("the team to find the plain switch by itself", told);
        } else {
            assert_eq!(site.team.ask("state item get teamr.probe_rounds"), "0\n");
        }
        assert_eq!(first_finding(&site).as_deref(), first, "{runner}");
        if first.is_none() {
            assert!(!told(), "{runner}: {}", site.team.log());
        }
        if runner != "activebackup" {
            continue;
        }
        // Into a network of its own; the guests are asked nothing, so nobody else would tell.
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

//! The units `teamr-agentx` and `teamr-lldp` beside snmpd and lldpd of Debian, under systemd.

use std::fs;
use std::path::Path;
use std::process::Command;

use integration::{Lab, Sharing, binary, repository, skip};

use super::{Debian, missing_requirement, run};

const AGENTS: &str = "lldpd,procps,snmp,snmpd";

/// Returns the lines that the guide adds to snmpd.conf.
fn settings_of_guide() -> String {
    let guide = fs::read_to_string(repository().join("docs/guides/monitoring.md"));
    let guide = guide.expect("read the guide");
    let block = guide.split("```").find(|block| block.contains("# /etc/snmp/snmpd.conf\n"));
    let block = block.expect("the settings of snmpd");
    block.trim_start_matches("text\n").to_owned()
}

#[test]
fn the_units_serve_snmpd_and_lldpd() {
    if let Some(reason) = missing_requirement() {
        return skip(&reason);
    }
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let debian = Debian::copy(lab.folder(), "bookworm", "agents", AGENTS);
    let install = |files: &[&Path], folder: &str| {
        let mut command = Command::new("install");
        command.args(["-D", "--target-directory"]).arg(debian.root.join(folder)).args(files);
        run(&mut command);
    };
    install(&[&binary("teamr"), &binary("teamrctl")], "usr/bin");
    let dist = repository().join("dist");
    for unit in ["teamr@", "teamr-agentx", "teamr-lldp"] {
        install(&[&dist.join(format!("systemd/{unit}.service"))], "usr/lib/systemd/system");
    }
    install(&[&dist.join("sysusers.d/teamr.conf")], "usr/lib/sysusers.d");
    install(&[&dist.join("tmpfiles.d/teamr.conf")], "usr/lib/tmpfiles.d");
    debian.write("etc/snmp/snmpd.conf.d/teamr.conf", &settings_of_guide());
    debian.write(
        "etc/teamr/team0.json",
        r#"{"runner": {"name": "loadbalance"}, "ports": {"eth1": {}, "eth2": {}}}"#,
    );
    let output = debian.boot(include_str!("agents.sh"));
    assert!(output.ends_with("all went well\n"), "{output}");
}

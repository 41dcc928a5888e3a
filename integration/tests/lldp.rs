//! lldpd of a host with a team tells the neighbour which ports carry in an aggregate.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use integration::{
    DataPath, Lab, Namespace, Process, Sharing, Teamr, TwoTeams, binary, skip, team_config,
    wait_until,
};
use serde_json::Value;

const PORTS: [&str; 2] = ["eth1", "eth2"];

/// A host's lldpd; killed when dropped.
struct Lldpd {
    host: Namespace,
    socket: PathBuf,
    _daemon: Process,
}

impl Lldpd {
    fn start(host: &Namespace) -> Lldpd {
        let socket = host.folder().join(format!("{}-lldpd", host.name()));
        let daemon = host.start(&format!("lldpd -d -l -I eth1,eth2 -u {}", socket.display()));
        let lldpd = Lldpd { host: host.clone(), socket, _daemon: daemon };
        wait_until("lldpd to answer", || lldpd.try_ask("show interfaces").is_some());
        lldpd
    }

    fn try_ask(&self, words: &str) -> Option<Value> {
        let line = format!("lldpcli -u {} -f json {words}", self.socket.display());
        let output = self.host.try_run(&line);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    /// Returns the contents of the Link Aggregation TLV that a port receives.
    fn received(&self, port: &str) -> Option<String> {
        let text = self.try_ask(&format!("show neighbors ports {port} details"))?.to_string();
        // lldpcli writes a list of one element as the element itself.
        let (_, tlv) = text.split_once(r#""oui":"00,80,C2","subtype":"7","len":"5","value":""#)?;
        Some(tlv.split('"').next()?.to_owned())
    }
}

#[test]
fn the_neighbour_learns_which_ports_carry_in_an_aggregate() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    if lab.host("other").try_run("lldpd -v").status.code() != Some(0) {
        return skip("no `lldpd` here");
    }
    let hosts = TwoTeams::new(&lab);
    let mut config = team_config("team0", "lacp", DataPath::Programs, &PORTS);
    config["runner"]["fast_rate"] = true.into();
    let left = Teamr::start(&hosts.left, &config);
    let _right = Teamr::start(&hosts.right, &config);
    hosts.set_up_teams();
    wait_until("the ports to carry", || left.carrying().len() == PORTS.len());
    let (near, far) = (Lldpd::start(&hosts.left), Lldpd::start(&hosts.right));

    // A script in place of lldpcli asks the lldpd of this host.
    let folder = lab.folder().join("programs");
    fs::create_dir(&folder).expect("make a folder");
    let script = format!("#!/bin/sh\nexec lldpcli -u {} \"$@\"\n", near.socket.display());
    let path = std::env::var("PATH").unwrap_or_default();
    let script = script.replace("exec lldpcli", &format!("PATH='{path}' exec lldpcli"));
    fs::write(folder.join("lldpcli"), script).expect("write a script");
    fs::set_permissions(folder.join("lldpcli"), Permissions::from_mode(0o755)).expect("a script");
    let mut command = hosts.left.command(binary("teamrctl"));
    command.arg("lldp").env("PATH", format!("{}:{path}", folder.display()));
    let mut client = Process::start("teamrctl-lldp", hosts.left.folder(), command);

    let ifindex = hosts.left.link("team0")["ifindex"].as_u64().expect("an index");
    let octets = u32::try_from(ifindex).expect("an index").to_be_bytes();
    let id = octets.map(|octet| format!("{octet:02X}")).join(",");
    let announces = |port: &str, contents: &str| {
        wait_until(&format!("the TLV {contents} on {port}"), || {
            // Without this request, lldpd sends once in half a minute.
            let _ = near.try_ask("update");
            far.received(port).as_deref() == Some(contents)
        });
    };
    for port in PORTS {
        announces(port, &format!("03,{id}"));
    }
    let drain = left.ctl("port drain eth2");
    assert!(drain.status.success(), "{drain:?}");
    announces("eth2", "01,00,00,00,00");
    announces("eth1", &format!("03,{id}"));
    client.stop();
    wait_until("the TLV to be gone", || {
        let _ = near.try_ask("update");
        far.received("eth1").is_none()
    });
}

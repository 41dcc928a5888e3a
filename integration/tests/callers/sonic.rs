//! SONiC's programs and scripts.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use integration::{DataPath, Process, binary, repository, wait_until};
use runners::Event;
use serde_json::{Value, json};
use teamr::recording::{Recording, What};

use crate::host::Host;

const DIRECTORY: &str = "/run/warmboot/teamd/";

/// Returns teammgrd's command line; `how` is `-r`, or `-w -o` after a warm restart.
fn start(lag: &str, how: &str) -> String {
    let config = json!({
        "device": lag,
        "hwaddr": "02:00:00:00:00:01",
        "runner": {"active": true, "name": "lacp", "min_ports": 1},
    });
    format!(
        "mkdir -p {DIRECTORY}; /usr/bin/teamd {how} -t {lag} -c '{config}' -L {DIRECTORY} -g -d"
    )
}

fn add(lag: &str, port: &str) -> String {
    format!(
        "ip link set dev {port} down
         /usr/bin/teamdctl {lag} port config update {port} \
             '{{\"lacp_key\": 1, \"link_watch\": {{\"name\": \"ethtool\"}}}}'
         /usr/bin/teamdctl {lag} port add {port}"
    )
}

/// teammgrd and others check with signal 0. Here that check would depend on the machine's first
/// process, which may reap late.
fn wait_gone(host: &Host, pid: &str) {
    let alive = format!("grep -qs '^State:.[^Z]' /proc/{pid}/task/*/status");
    host.wait("teamd to be gone", &format!("! {alive}"));
}

/// Stops the daemon by the pid in its file and waits for the end of the process.
fn stop(host: &Host, lag: &str) {
    let pid = host.sh(&format!("cat /var/run/teamd/{lag}.pid"));
    host.sh(&format!("kill -TERM {pid}"));
    wait_gone(host, &pid);
}

pub fn teammgrd(host: &Host) {
    let lag = "PortChannel0001";
    host.sh(&start(lag, "-r"));
    // The parent has returned, so the file is complete and the device exists.
    let pid = host.sh(&format!("cat /var/run/teamd/{lag}.pid"));
    assert_eq!(host.sh(&format!("ps -o comm= -p {pid}")), "teamd");
    assert!(host.pgrep("/usr/bin/teamd").contains(&pid));
    assert_eq!(host.namespace.hwaddr(lag), "02:00:00:00:00:01");
    for port in ["eth1", "eth2"] {
        host.sh(&add(lag, port));
        host.wait_port_up(lag, port);
    }
    host.sh(&format!("/usr/bin/teamdctl {lag} port remove eth2"));
    // `-r` after a crash, and then a final stop.
    host.sh(&format!("kill -KILL {pid}"));
    wait_gone(host, &pid);
    host.sh(&start(lag, "-r"));
    host.sh(&add(lag, "eth2"));
    stop(host, lag);
    host.assert_gone(lag);
    // An ordinary end leaves no state for a warm start.
    let note = host.sh(&format!("cat {DIRECTORY}{lag}"));
    assert_eq!(note.lines().nth(1), Some("0"), "{note}");
}

/// teammgrd starts every LAG of the configuration at the same time.
pub fn many_at_once(host: &Host) {
    let lags: Vec<String> = (0..32).map(|number| format!("PortChannel{number}")).collect();
    let starts: Vec<_> = lags
        .iter()
        .map(|lag| {
            let mut command = host.shell(&start(lag, "-r"));
            command.stdout(Stdio::null()).stderr(Stdio::piped());
            command.spawn().expect("start a shell")
        })
        .collect();
    for (lag, start) in lags.iter().zip(starts) {
        let output = start.wait_with_output().expect("wait for teamd");
        assert!(output.status.success(), "{lag}: {output:?}");
    }
    host.sh("for file in /var/run/teamd/PortChannel*.pid; do
             pid=$(cat $file)
             kill -TERM $pid
             while grep -qs '^State:.[^Z]' /proc/$pid/status; do sleep 0.01; done
         done");
    for lag in &lags {
        host.assert_gone(lag);
    }
}

type HasType = fn(&Value) -> bool;

/// The state items that tlm_teamd reads of every LAG, with the expected type; `P` is a port. One
/// missing item aborts the update of all.
const STATE: [(&str, HasType); 22] = [
    ("/setup/kernel_team_mode_name", Value::is_string),
    ("/setup/pid", Value::is_i64),
    ("/runner/active", Value::is_boolean),
    ("/runner/fallback", Value::is_boolean),
    ("/runner/fast_rate", Value::is_boolean),
    ("/team_device/ifinfo/dev_addr", Value::is_string),
    ("/team_device/ifinfo/ifindex", Value::is_i64),
    ("/ports/eth1/ifinfo/dev_addr", Value::is_string),
    ("/ports/eth1/ifinfo/ifindex", Value::is_i64),
    ("/ports/eth1/link/up", Value::is_boolean),
    ("/ports/eth1/link_watches/list/link_watch_0/up", Value::is_boolean),
    ("/ports/eth1/link_watches/up", Value::is_boolean),
    ("/ports/eth1/runner/actor_lacpdu_info/port", Value::is_i64),
    ("/ports/eth1/runner/actor_lacpdu_info/state", Value::is_i64),
    ("/ports/eth1/runner/actor_lacpdu_info/system", Value::is_string),
    ("/ports/eth1/runner/partner_lacpdu_info/port", Value::is_i64),
    ("/ports/eth1/runner/partner_lacpdu_info/state", Value::is_i64),
    ("/ports/eth1/runner/partner_lacpdu_info/system", Value::is_string),
    ("/ports/eth1/runner/aggregator/id", Value::is_i64),
    ("/ports/eth1/runner/aggregator/selected", Value::is_boolean),
    ("/ports/eth1/runner/selected", Value::is_boolean),
    ("/ports/eth1/runner/state", Value::is_string),
];

/// tlm_teamd queries the state of every LAG every second.
pub fn tlm_teamd(host: &Host) {
    let lags = ["PortChannel1", "PortChannel2"];
    for (lag, port) in lags.into_iter().zip(["eth1", "eth2"]) {
        host.sh(&start(lag, "-r"));
        host.sh(&add(lag, port));
        host.wait_port_up(lag, port);
    }
    for _ in 0..3 {
        for (lag, port) in lags.into_iter().zip(["eth1", "eth2"]) {
            let state = host.json(&format!("/usr/bin/teamdctl {lag} state dump"));
            for (path, has_type) in STATE {
                let path = path.replace("eth1", port);
                assert!(state.pointer(&path).is_some_and(has_type), "{lag}{path}: {state}");
            }
        }
    }
    for lag in lags {
        stop(host, lag);
    }
}

/// teamsyncd finds LAGs by the kind of their device, checks once that the daemon replies, and
/// follows the driver through libteam.
pub fn teamsyncd(host: &Host) {
    let lag = "PortChannel1";
    let kind = |device: &Value| device["linkinfo"]["info_kind"].clone();
    host.bond_far_ends();
    host.sh(&start(lag, "-r"));
    assert_eq!(kind(&host.namespace.link(lag)), "team");
    host.json(&format!("/usr/bin/teamdctl {lag} config dump"));
    let script = repository().join("integration/tests/callers/teamsyncd.py");
    let follow = host.namespace.start(&format!("python3 {} {lag}", script.display()));
    let log = |line: &str| {
        wait_until(&format!("libteam to report {line:?}"), || {
            follow.log().lines().last() == Some(line)
        });
    };
    log("none");
    for port in ["eth1", "eth2"] {
        host.sh(&add(lag, port));
    }
    host.namespace.up(lag);
    log("eth1=on eth2=on");
    host.pull("eth2");
    log("eth1=on eth2=off");
    host.put_back("eth2");
    log("eth1=on eth2=on");
    host.sh(&format!("/usr/bin/teamdctl {lag} port remove eth1"));
    log("eth2=on");
    stop(host, lag);
}

/// Signals a LAG's daemon as the restart scripts do, and waits as they do.
fn leave(host: &Host, lag: &str, signal: &str) {
    let pid = host.sh(&format!("cat /var/run/teamd/{lag}.pid"));
    // The scripts signal every process with teamd's path in its command line; other daemons may run
    // here.
    assert!(host.pgrep("/usr/bin/teamd").contains(&pid));
    host.sh(&format!("kill -{signal} {pid}"));
    wait_gone(host, &pid);
}

/// Returns the driver's `enabled` option of a port.
fn enabled(host: &Host, lag: &str, port: &str) -> String {
    host.sh(&format!("teamnl {lag} getoption enabled --port {port}"))
}

fn wait_carrying(host: &Host, lag: &str, ports: &[&str]) {
    // The driver also enables a port that only collects, and reports the carrier late.
    wait_until("the device to be up", || host.namespace.link(lag)["operstate"] == "UP");
    wait_until(&format!("{ports:?} to carry"), || {
        ports.iter().all(|port| enabled(host, lag, port) == "true")
    });
}

/// Requires that `ip monitor` has reported no lost carrier of the device.
fn assert_no_flap(host: &Host, lag: &str, monitor: &Process) {
    // Reports are in order: this one comes after all others.
    host.sh(&format!("ip link set dev {lag} group 77"));
    wait_until("the monitor", || monitor.log().contains("group 77"));
    let log = monitor.log();
    let mut of_device = log.lines().filter(|line| line.contains(&format!(": {lag}")));
    assert!(of_device.all(|line| !line.contains("NO-CARRIER")), "{log}");
}

/// The device keeps forwarding from one daemon to the next, without a flap.
fn restart(host: &Host, lag: &str, signal: &str) {
    assert_eq!(host.path, DataPath::Kernel);
    host.bond_far_ends();
    host.sh(&start(lag, "-r"));
    for port in ["eth1", "eth2"] {
        host.sh(&add(lag, port));
    }
    host.namespace.up(lag);
    wait_carrying(host, lag, &["eth1", "eth2"]);
    let before = host.namespace.link(lag);
    let monitor = host.namespace.start("ip monitor link");
    leave(host, lag, signal);
    for port in ["eth1", "eth2"] {
        assert_eq!(host.namespace.link(port)["master"], lag);
        assert_eq!(enabled(host, lag, port), "true");
    }
    host.sh(&start(lag, "-w -o"));
    for port in ["eth1", "eth2"] {
        host.sh(&format!("/usr/bin/teamdctl {lag} port present {port}"));
        host.wait_port_up(lag, port);
    }
    wait_carrying(host, lag, &["eth1", "eth2"]);
    let after = host.namespace.link(lag);
    for what in ["ifindex", "address", "operstate"] {
        assert_eq!(after[what], before[what], "{what}");
    }
    assert_no_flap(host, lag, &monitor);
    // The device belongs to the daemon again.
    stop(host, lag);
    host.assert_gone(lag);
}

pub fn warm_restart(host: &Host) {
    restart(host, "PortChannel1", "USR1");
    // The files are those of an ordinary end; repeat for the saved state alone.
    host.sh(&start("PortChannel2", "-r"));
    host.sh(&add("PortChannel2", "eth1"));
    host.namespace.up("PortChannel2");
    wait_carrying(host, "PortChannel2", &["eth1"]);
    leave(host, "PortChannel2", "USR1");
    let note = host.sh(&format!("cat {DIRECTORY}PortChannel2"));
    assert_eq!(note, "1\n1\neth1\n1");
    // teammgrd reads the address of the LAG there.
    let pdu = host.sh(&format!("od -An -v -t x1 {DIRECTORY}eth1 | tr -d ' \\n'"));
    assert_eq!((pdu.len() / 2, &pdu[80..92]), (124, "020000000001"));
    host.sh("ip link delete dev PortChannel2");
}

/// The last LACPDU of a partner in sync with port 1 of the LAG, key 1.
const LAST_PARTNER_PDU: [&str; 4] = [
    "0180c2000002 0200000000bb 8809 0101",
    "0114 ffff 0200000000aa 000f 00ff 0001 3d 000000",
    "0214 ffff 020000000001 0001 00ff 0001 3d 000000",
    "0310 0000 000000000000000000000000",
];

/// The machine was restarted with its kernel: the device is gone, and the partner has received
/// nothing meanwhile.
pub fn reboot(host: &Host) {
    host.sh("ip link set dev eth1 name Ethernet0");
    // On a busy machine the port may come too late for a daemon that waits for 3 s.
    let in_time = (0..5).any(|_| comes_back_in_time(host));
    assert!(in_time, "the machine was too slow each time");
    host.sh("ip link set dev Ethernet0 name eth1");
}

fn comes_back_in_time(host: &Host) -> bool {
    let lag = "PortChannel1";
    let digits = LAST_PARTNER_PDU.concat().replace(' ', "");
    let octets = (0..digits.len()).step_by(2);
    let octet = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits");
    let mut pdu: Vec<u8> = octets.map(octet).collect();
    pdu.resize(124, 0);
    let file = host.folder.join("pdu");
    fs::write(&file, pdu).expect("write a PDU");
    host.sh(&format!(
        "mkdir -p {DIRECTORY}
         printf '1\\n1\\nEthernet0\\n1\\n' > {DIRECTORY}{lag}
         cp {} {DIRECTORY}Ethernet0",
        file.display()
    ));
    host.sh(&start(lag, "-w -o"));
    host.namespace.up(lag);
    let carrier = || host.sh(&format!("cat /sys/class/net/{lag}/carrier"));
    let without_port = carrier();
    host.sh(&add(lag, "Ethernet0"));
    host.wait_port_up(lag, "Ethernet0");
    let state = host.json(&format!("/usr/bin/teamdctl {lag} state dump"));
    let record = host.sh(&format!("{} {lag} record dump", binary("teamrctl").display()));
    let recording: Recording = serde_json::from_str(&record).expect("a recording");
    let in_time = link_came_in_time(&recording);
    if in_time {
        assert_eq!(without_port, "1");
        assert_eq!(carrier(), "1");
        let lost = What::Action("carrier false".to_owned());
        assert!(recording.entries.iter().all(|entry| entry.what != lost), "{record}");
        let port = &state["ports"]["Ethernet0"];
        assert_eq!(port["runner"]["state"], "current", "{port}");
        assert_eq!(port["runner"]["actor_lacpdu_info"]["port"], 1);
        assert_eq!(port["runner"]["partner_lacpdu_info"]["system"], "02:00:00:00:00:aa");
        assert_eq!(port["teamr"]["enabled"], true, "{port}");
    }
    // A returned port is no longer awaited.
    host.sh(&format!("/usr/bin/teamdctl {lag} port remove Ethernet0"));
    wait_until("the carrier to go", || carrier() == "0");
    stop(host, lag);
    host.assert_gone(lag);
    in_time
}

/// Whether the link came in time, by the daemon's clock.
fn link_came_in_time(recording: &Recording) -> bool {
    let mut entries = recording.entries.iter();
    let begin = entries.next().expect("a beginning").at;
    let up = entries.find(
        |entry| matches!(&entry.what, What::Event(Event::LinkChanged { link, .. }) if link.up),
    );
    up.is_some_and(|up| up.at.saturating_since(begin) < Duration::from_secs(3))
}

pub fn fast_restart(host: &Host) {
    restart(host, "PortChannel1", "USR2");
}

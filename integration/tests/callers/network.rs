//! Callers that bring up the network of an ordinary host.

use std::fs;
use std::os::unix::process::CommandExt;

use integration::{DataPath, Process, control, wait_until};
use nix::unistd::Uid;

use crate::host::Host;

const CONFIG: &str = r#"{"runner": {"name": "activebackup"}, "ports": {"eth1": {}, "eth2": {}}}"#;

/// A typical administrator's script.
pub fn script(host: &Host) {
    let file = host.file("team0.conf", CONFIG);
    let file = file.display();
    host.sh(&format!("teamd -d -t team0 -f {file}"));
    // The whole command line matches, and no other process.
    let pid = host.sh("cat /run/teamd/team0.pid");
    assert_eq!(host.pgrep(&format!("teamd -d -t team0 -f {file}")), [pid.as_str()]);
    assert_eq!(host.sh(&format!("ps -o comm= -p {pid}")), "teamd");
    host.sh("teamd -e -t team0");
    for port in ["eth1", "eth2"] {
        host.wait_port_up("team0", port);
    }
    for port in ["eth2", "eth1"] {
        host.sh(&format!("teamdctl team0 state item set runner.active_port {port}"));
        let active = host.sh("teamdctl team0 state item get runner.active_port");
        assert_eq!(active, port);
    }
    host.sh("teamd -k -t team0");
    host.assert_gone("team0");
    host.fails("teamd -e -t team0");
    host.fails("teamd -k -t team0");

    let file = host.file("named.conf", r#"{"device": "team1"}"#);
    let file = file.display();
    host.sh(&format!("teamd -d -f {file}"));
    let pid = host.sh("cat /run/teamd/team1.pid");
    assert_eq!(host.pgrep(&format!("teamd -d -f {file}")), [pid.as_str()]);
    host.sh(&format!("teamd -k -f {file}"));
    host.assert_gone("team1");
}

/// Removes a port from a team through the driver, without the daemon.
pub fn script_with_teamnl(host: &Host) {
    host.sh(r#"teamd -d -t team0 -c '{"ports": {"eth1": {}, "eth2": {}}}'"#);
    host.wait_port_up("team0", "eth2");
    host.sh("teamnl team0 setoption enabled false --port eth2");
    assert_eq!(host.sh("teamnl team0 getoption enabled --port eth2"), "false");
    assert_eq!(host.sh("teamnl team0 getoption enabled --port eth1"), "true");
    host.sh("teamnl team0 setoption enabled true --port eth2");
    host.sh("teamd -k -t team0");
    host.assert_gone("team0");
}

/// linux-system-roles and NetworkManager without `team.config`: no configuration at all.
pub fn without_configuration(host: &Host) {
    host.sh("teamd -d -t team0");
    let runner = host.sh("teamdctl team0 state item get setup.runner_name");
    assert_eq!(runner, "roundrobin");
    host.sh("teamd -k -t team0");
    host.assert_gone("team0");
}

/// ifup-Team, ifup-TeamPort, ifdown-TeamPort and ifdown-Team of hosts without systemd.
pub fn network_scripts(host: &Host) {
    let pid_file = "/var/run/teamd-team0.pid";
    host.sh(&format!(
        "test -x /usr/bin/teamd
         test -x /usr/bin/teamdctl
         TEAMD_CMDLINE=-g
         TEAM_CONFIG='{{\"runner\": {{\"name\": \"activebackup\"}}}}'
         /usr/bin/teamd ${{TEAMD_CMDLINE}} -d -D -t team0 -c \"$TEAM_CONFIG\" -p {pid_file}"
    ));
    let ifup_port = "
        TEAM_PORT_CONFIG='{\"prio\": 100}'
        /usr/bin/teamdctl team0 port present eth1 2>/dev/null && echo present && exit 0
        ip link set dev eth1 down
        /usr/bin/teamdctl team0 port config update eth1 \"$TEAM_PORT_CONFIG\"
        /usr/bin/teamdctl team0 port add eth1";
    assert_eq!(host.sh(ifup_port), "");
    assert_eq!(host.sh(ifup_port), "present");
    let config = host.json("teamdctl team0 port config dump eth1");
    assert_eq!(config["prio"], 100);
    host.sh("/usr/bin/teamdctl team0 port remove eth1");
    host.fails("/usr/bin/teamdctl team0 port present eth1");
    // The script's own line, which fails with teamd too.
    host.sh(&format!("/usr/bin/teamd -k -p {pid_file}"));
    host.assert_gone("team0");
    host.fails(&format!("test -e {pid_file}"));
}

/// wicked writes the configuration, readable by itself alone, and lets systemd run the unit; the
/// folder may belong to another user.
pub fn wicked(host: &Host) {
    host.sh(&format!(
        "umask 077
         mkdir /run/teamd
         echo '{CONFIG}' >/run/teamd/team0.conf.new
         mv /run/teamd/team0.conf.new /run/teamd/team0.conf"
    ));
    if Uid::effective().is_root() {
        host.sh("chown -R 65534:65534 /run/teamd");
    }
    let mut daemon = host.shell("exec /usr/bin/teamd -U -D -o -t team0 -f /run/teamd/team0.conf");
    daemon.current_dir("/");
    let mut daemon = Process::start("teamd", &host.folder, daemon);
    host.wait("teamd to answer", "teamdctl team0 state dump");
    let ctl = "/usr/bin/teamdctl --force-usock --oneline team0";
    host.sh(&format!("{ctl} port remove eth2"));
    host.sh(&format!("ip link set dev eth2 down; {ctl} port add eth2"));
    host.sh(&format!("{ctl} port config update eth2 '{{\"prio\": 5}}'"));
    let config = host.sh(&format!("{ctl} config dump actual"));
    assert_eq!(config.lines().count(), 1, "{config}");
    let config = host.json(&format!("{ctl} config dump actual"));
    assert_eq!(config["runner"]["name"], "activebackup");
    assert_eq!(config["ports"]["eth2"]["prio"], 5);
    host.wait_port_up("team0", "eth2");
    // wicked queries the bus where the unit has a bus name.
    let state = host.json("/usr/bin/teamdctl --force-dbus team0 state dump");
    assert_eq!(state["setup"]["runner_name"], "activebackup");
    assert_eq!(state["ports"]["eth2"]["link_watches"]["up"], true);
    assert!(daemon.stop().success());
    host.assert_gone("team0");
}

/// network-legacy of dracut: a team without ports, which are added as they appear.
pub fn dracut(host: &Host) {
    let file = host.file("team0.conf", CONFIG);
    host.sh(&format!("teamd -d -U -n -N -t team0 -f {}", file.display()));
    host.fails("teamdctl team0 port present eth1");
    let ifup = "
        for slave in eth1 eth2; do
            teamdctl team0 port present $slave 2>/dev/null && continue
            ip link set dev $slave down
            teamdctl team0 port config update $slave '{\"prio\": 1}'
            teamdctl team0 port add $slave
            ip link set dev $slave up
        done";
    host.sh(ifup);
    host.sh(ifup);
    for port in ["eth1", "eth2"] {
        host.wait_port_up("team0", port);
    }
    host.sh("teamd -k -t team0");
    // -N: the device of the initrd stays for the system.
    assert!(host.namespace.has_interface("team0"));
}

/// The commands of a sos report.
pub fn sos(host: &Host) {
    host.sh(&format!("teamd -d -t team0 -c '{CONFIG}'"));
    host.wait_port_up("team0", "eth1");
    host.json("teamdctl team0 config dump");
    host.json("teamdctl team0 state dump");
    let state = host.sh("teamdctl team0 state");
    assert!(state.contains("runner: activebackup"), "{state}");
    match host.path {
        DataPath::Kernel => {
            let options = host.sh("teamnl team0 option");
            assert!(options.contains("enabled (port:eth1) "), "{options}");
            let ports = host.sh("teamnl team0 ports");
            assert!(ports.contains("eth1: up"), "{ports}");
        }
        // sos records failures and continues.
        DataPath::Userspace | DataPath::Programs => {
            host.fails("teamnl team0 option");
            host.fails("teamnl team0 ports");
        }
    }
    host.sh("teamd -k -t team0");
    host.assert_gone("team0");
}

/// NetworkManager without a bus: it makes the device, starts the daemon as its child with a minimal
/// environment, connects when the socket appears, and enslaves the ports itself. A daemon that ends
/// is started again in the same way; the ports and their configuration stay.
pub fn network_manager(host: &Host) {
    let start = || {
        let config = r#"{"runner": {"name": "activebackup"}}"#;
        let mut command = host.namespace.command("env");
        command
            .args(["-i", "TEAM_LOG_OUTPUT=stderr", "/usr/bin/teamd"])
            .args(["-o", "-n", "-U", "-N", "-t", "team0", "-c", config, "-gg"])
            .current_dir("/")
            .process_group(0);
        let daemon = Process::start("teamd", &host.folder, command);
        let socket = format!("/proc/{}/root/run/teamd/team0.sock", daemon.pid());
        wait_until("the control socket to appear", || fs::metadata(&socket).is_ok());
        (daemon, socket)
    };
    // NetworkManager connects at once and never again.
    let ask = |socket: &str, method: &str, args: &[&str]| {
        let answer = control::call_at(socket.as_ref(), method, args).expect("an answer");
        assert!(answer.starts_with("REPLY_SUCCESS\n"), "{method}: {answer}");
        answer
    };
    for round in 0..3 {
        println!("    round {round}");
        host.sh("ip link add name team0 type team");
        host.fails("/usr/bin/teamd -k -t team0");
        let (mut daemon, mut socket) = start();
        for method in ["ConfigDump", "ConfigDump", "ConfigDumpActual", "StateDump"] {
            ask(&socket, method, &[]);
        }
        for port in ["eth1", "eth2"] {
            ask(&socket, "PortConfigUpdate", &[port, r#"{ "prio": 10 }"#]);
            host.sh(&format!("ip link set dev {port} down"));
            host.sh(&format!("ip link set dev {port} master team0"));
            host.sh(&format!("ip link set dev {port} up"));
            host.wait_port_up("team0", port);
        }
        for ended in [false, true] {
            if ended {
                assert!(daemon.stop().success());
                (daemon, socket) = start();
            }
            let actual = ask(&socket, "ConfigDumpActual", &[]);
            assert_eq!(actual.matches("\"prio\": 10").count(), 2, "{actual}");
        }
        host.sh("ip link set dev eth2 nomaster");
        ask(&socket, "PortConfigUpdate", &["eth2", "{}"]);
        host.wait("eth2 to be out", "! teamdctl team0 port present eth2 2>/dev/null");
        assert!(daemon.stop().success());
        // The device, with its port, belongs to NetworkManager.
        assert_eq!(host.namespace.link("eth1")["master"], "team0");
        host.sh("ip link delete dev team0");
        // A new daemon would restore the ports from this file.
        host.sh("rm /run/teamd/team0.memory");
        host.assert_gone("team0");
    }
}

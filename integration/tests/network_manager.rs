//! NetworkManager with its team plugin and teamr in place of teamd, in a guest with the kernel's
//! driver: Debian's NetworkManager and a system bus of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use integration::{
    Lab, Process, Sharing, binary, control, in_virtual_time, repository, wait_until,
};
use serde_json::Value;

const PORTS: [&str; 2] = ["port1", "port2"];
/// Number of times the team goes up and down.
const CYCLES: usize = 50;
/// Seconds within which NetworkManager treats the end of a daemon as a failed start.
const TRIAL: u64 = 5;
/// Seconds that `nmcli` waits for an activation.
const PATIENCE: &str = "20";

/// The daemon that NetworkManager starts.
const TEAMD: &str = "/usr/bin/teamd";

/// NetworkManager manages only our ports and the team.
const CONFIG: &str = "[main]\nplugins=keyfile\nno-auto-default=*\ndns=none\n\
    [keyfile]\nunmanaged-devices=except:interface-name:port*,except:interface-name:team0\n\
    [logging]\nlevel=INFO\ndomains=ALL,TEAM:DEBUG\n";

/// Whether everything that NetworkManager needs is installed.
fn is_possible() -> bool {
    let missing = ["/usr/sbin/NetworkManager", "/usr/bin/nmcli", "/usr/bin/dbus-daemon", TEAMD]
        .into_iter()
        .find(|program| !Path::new(program).exists());
    if let Some(program) = missing {
        integration::skip(&format!("no {program} here"));
    }
    missing.is_none()
}

fn run(line: &str) -> Output {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).stdin(Stdio::null());
    command.output().unwrap_or_else(|error| panic!("start {line}: {error}"))
}

/// Runs a command and returns its output. Panics if the command fails.
fn done(line: &str) -> String {
    let output = run(line);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {}: {stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn nmcli(args: &str) -> String {
    done(&format!("nmcli --wait {PATIENCE} {args}"))
}

fn has_interface(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).exists()
}

/// The bus and NetworkManager; both end on drop.
struct Managed {
    manager: Process,
    _bus: Process,
    _lab: Lab,
}

impl Managed {
    fn new(folder: &Path) -> Managed {
        let policy = repository().join("dist/dbus-1/system.d/teamd.conf");
        for line in [
            // NetworkManager takes a read-only /sys as a sign of a container without udev.
            "mount -o remount,ro /sys",
            "mount -t tmpfs tmpfs /etc/NetworkManager/system-connections",
            "mount -t tmpfs tmpfs /var/lib/NetworkManager",
            "mount -t tmpfs tmpfs /etc/NetworkManager/dispatcher.d",
            &format!("mount --bind {} {TEAMD}", binary("teamr").display()),
            &format!("mount --bind {} /etc/dbus-1/system.d/teamd.conf", policy.display()),
            "mkdir -p /run/dbus /run/NetworkManager",
        ] {
            done(line);
        }
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let peer = lab.host("peer");
        peer.ip("link add name bridge type bridge");
        for port in PORTS {
            let (far, pid) = (format!("far-{port}"), peer.pid());
            done(&format!("ip link add {port} type veth peer name {far} netns {pid}"));
            peer.ip(&format!("link set dev {far} master bridge"));
            peer.up(&far);
        }
        peer.address("bridge", "10.0.0.2/24");
        peer.up("bridge");
        let mut bus = Command::new("dbus-daemon");
        bus.args(["--system", "--nofork", "--nopidfile"]);
        let bus = Process::start("bus", folder, bus);
        wait_until("the bus", || Path::new("/run/dbus/system_bus_socket").exists());
        let config = folder.join("NetworkManager.conf");
        fs::write(&config, CONFIG).expect("write a configuration");
        let mut manager = Command::new("/usr/sbin/NetworkManager");
        manager.arg("--debug").arg("--config").arg(&config);
        let manager = Process::start("NetworkManager", folder, manager);
        wait_until("NetworkManager to run", || {
            run("nmcli --terse --fields RUNNING general").stdout == b"running\n"
        });
        Managed { manager, _bus: bus, _lab: lab }
    }

    /// Waits until the team carries traffic on all its ports, and checks with a ping.
    fn wait_up(&self, when: &str) {
        wait_until(&format!("the team with its ports, {when}"), || {
            let state = control::state("team0").unwrap_or_default();
            PORTS.iter().all(|port| state["ports"][port]["link_watches"]["up"] == true)
        });
        wait_until(&format!("answers, {when}"), || run("ping -c 1 -W 1 10.0.0.2").status.success());
    }

    /// Takes the team down and waits until nothing remains: `nmcli` returns earlier, and
    /// NetworkManager deletes the device before the daemon has ended.
    fn down(&self) {
        nmcli("connection down team0");
        wait_until("the team to be gone", || !has_interface("team0"));
        wait_until("/run/teamd to be empty", || {
            let files = fs::read_dir("/run/teamd").expect("a folder");
            let mut names = files.map(|file| file.expect("a file").file_name());
            // The daemon cannot know that no other program takes its device over.
            names.all(|name| name == "team0.memory")
        });
    }

    fn active(&self) -> String {
        nmcli("--terse --fields GENERAL.STATE connection show team0")
    }
}

fn setup(key: &str) -> Value {
    control::state("team0").expect("a daemon that answers")["setup"][key].clone()
}

/// Returns the seconds since a process started.
fn age(pid: &Value) -> u64 {
    let seconds = done(&format!("ps -o etimes= -p {pid}"));
    seconds.trim().parse().expect("a number of seconds")
}

/// Creates the connections of the team and its ports, and sets the team up.
fn set_up(managed: &Managed) {
    nmcli(
        "connection add type team con-name team0 ifname team0 autoconnect no \
         connection.autoconnect-slaves 1 ipv4.method manual ipv4.addresses 10.0.0.1/24 \
         ipv6.method disabled team.config {\"runner\":{\"name\":\"activebackup\"}}",
    );
    for port in PORTS {
        nmcli(&format!(
            "connection add type ethernet con-name {port} ifname {port} autoconnect no \
             master team0 slave-type team"
        ));
    }
    nmcli("connection up team0");
    managed.wait_up("after up");
    assert_eq!(setup("runner_name"), "activebackup");
    assert_eq!(setup("dbus_enabled"), true);
    assert_eq!(setup("kernel_team_mode_name"), "activebackup");
    let shown = nmcli("--terse --fields TEAM device show team0");
    println!("{shown}");
}

/// Changes the team's runner, and changes it back.
fn modify(managed: &Managed) {
    for (runner, when) in
        [("roundrobin", "after a change"), ("activebackup", "after another change")]
    {
        nmcli(&format!(
            "connection modify team0 team.config {{\"runner\":{{\"name\":\"{runner}\"}}}}"
        ));
        nmcli("connection up team0");
        managed.wait_up(when);
        assert_eq!(setup("runner_name"), runner);
    }
}

/// Takes a port down, and up with another configuration.
fn configure_port(managed: &Managed) {
    let port = PORTS[0];
    nmcli(&format!("connection down {port}"));
    wait_until("the port to leave", || {
        let state = control::state("team0").unwrap_or_default();
        state["ports"].get(port).is_none()
    });
    nmcli(&format!("connection modify {port} team-port.config {{\"prio\":9}}"));
    nmcli(&format!("connection up {port}"));
    managed.wait_up("after a port's return");
    let config = control::call("team0", "PortConfigDump", &[port]).expect("a reply");
    assert!(config.contains("\"prio\": 9"), "{config}");
}

/// Kills the daemon and waits for the next one, which NetworkManager starts.
fn kill_daemon(managed: &Managed) {
    let pid = setup("pid");
    wait_until("a daemon older than a failed start", || age(&pid) > TRIAL);
    done(&format!("kill -KILL {pid}"));
    wait_until("another daemon", || {
        control::state("team0").is_some_and(|state| state["setup"]["pid"] != pid)
    });
    managed.wait_up("with another daemon");
    assert!(managed.active().contains("activated"));
}

#[test]
fn network_manager_drives_a_team() {
    if !is_possible() {
        return;
    }
    in_virtual_time(|folder| {
        let mut managed = Managed::new(folder);
        println!("up");
        set_up(&managed);
        println!("modify the team");
        modify(&managed);
        println!("a port down and up, with settings");
        configure_port(&managed);
        println!("the daemon killed");
        kill_daemon(&managed);

        for cycle in 1..=CYCLES {
            managed.down();
            assert!(managed.manager.ended().is_none(), "cycle {cycle}");
            nmcli("connection up team0");
            managed.wait_up("in a cycle");
        }
        println!("{CYCLES} cycles");
        managed.down();
        for port in PORTS {
            assert!(has_interface(port));
        }
        let count = |words: &str| managed.manager.log().matches(words).count();
        // Three by modifications, one for each cycle.
        wait_until("NetworkManager to notice the end of each daemon", || {
            count("terminated normally with status 0") == CYCLES + 3
        });
        assert_eq!(count("Sending SIGKILL"), 0);
        // The killed daemon, whose ports stayed: NetworkManager notices the end of the process or
        // of the bus name first.
        let killed = count("died with status 9") + count("terminated by signal 9");
        assert_eq!(killed, 1);
        assert_eq!(count("quit unexpectedly"), 0);
    });
}

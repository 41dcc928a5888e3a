//! `teamrctl import --apply` and `--undo` die before each call by which they change the host: the host
//! comes back with the old files or the new ones, and with a network that has read these files.
//!
//! Commands that change a host are replaced by `program.sh`, and the bond by files in place of `/sys`;
//! the files, the records and the program are real. A host comes back in two ways: the timer of the
//! return runs out, or the machine restarts.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use integration::{Lab, Namespace, Preload, Sharing, binary, repository};

/// The programs that `program.sh` stands for.
const PROGRAMS: [&str; 8] =
    ["systemctl", "systemd-run", "ip", "ifdown", "netplan", "teamr", "modprobe", "sum"];
/// The words of `kill.c`.
const PASSING: usize = 0;
const CALLS: usize = 1;
/// The value of [`PASSING`] with which the program lives.
const NONE: i64 = -1;
const TRIAL: &str = "/var/lib/teamr/import/bond0.trial";

/// A host by the program that makes its bond: the files.
const HOSTS: [(&str, &[(&str, &str)]); 5] = [
    (
        "ifupdown",
        &[
            ("/etc/network/interfaces", "iface bond0 inet manual\n bond-slaves eth1 eth2\n"),
            ("/etc/network/interfaces.d/eth1", "iface eth1 inet manual\n bond-master bond0\n"),
        ],
    ),
    (
        "networkd",
        &[
            ("/etc/systemd/network/bond0.netdev", "[NetDev]\nName=bond0\nKind=bond\n"),
            ("/etc/systemd/network/p.network", "[Match]\nName=eth*\n[Network]\nBond=bond0\n"),
        ],
    ),
    (
        "NetworkManager",
        &[
            (
                "/etc/NetworkManager/system-connections/bond0.nmconnection",
                "[connection]\nid=bond0\ntype=bond\ninterface-name=bond0\n",
            ),
            (
                "/etc/NetworkManager/system-connections/eth1.nmconnection",
                "[connection]\nid=eth1\ninterface-name=eth1\nmaster=bond0\nslave-type=bond\n",
            ),
        ],
    ),
    (
        "netplan",
        &[(
            "/etc/netplan/50.yaml",
            "network:\n  ethernets:\n    eth1: {}\n    eth2:\n  bonds:\n    bond0:\n      interfaces: \
             [eth1, eth2]\n",
        )],
    ),
    (
        "netplan with NetworkManager",
        &[
            (
                "/etc/netplan/50.yaml",
                "network:\n  renderer: NetworkManager\n  ethernets:\n    eth1: {}\n    eth2: {}\n  bonds:\n    \
                 bond0: {interfaces: [eth1, eth2]}\n",
            ),
            (
                "/run/NetworkManager/system-connections/netplan-bond0.nmconnection",
                "[connection]\nid=netplan-bond0\ntype=bond\ninterface-name=bond0\n",
            ),
            (
                "/run/NetworkManager/system-connections/netplan-eth1.nmconnection",
                "[connection]\nid=netplan-eth1\ninterface-name=eth1\nmaster=bond0\nslave-type=bond\n",
            ),
        ],
    ),
];

/// A way in which a host comes back after the end of a program.
#[derive(Clone, Copy, Debug)]
enum Return {
    Timer,
    Restart,
}

struct Site {
    host: Namespace,
    kill: Preload,
    files: &'static [(&'static str, &'static str)],
    boots: u32,
    _lab: Lab,
}

impl Site {
    fn new(lab: Lab, files: &'static [(&'static str, &'static str)]) -> Site {
        let host = lab.host("host");
        host.ip("link add name bond0 address 02:00:00:00:00:01 type bridge");
        for line in ["/sys", "/etc", "/var/lib"] {
            host.run(&format!("mount -t tmpfs tmpfs {line}"));
        }
        host.run("mkdir -p /run/host /run/programs /run/systemd/system /etc/systemd/system");
        for unit in ["teamr@", "teamr-return@"] {
            host.write(&format!("/etc/systemd/system/{unit}.service"), "");
        }
        let program = repository().join("integration/tests/import_killed/program.sh");
        for name in PROGRAMS {
            host.run(&format!("install -m 755 {} /run/programs/{name}", program.display()));
        }
        host.run("touch /run/host/boot-id");
        host.run("mount --bind /run/host/boot-id /proc/sys/kernel/random/boot_id");
        let kill = Preload::new(&lab, "tests/import_killed/kill.c", 2);
        Site { host, kill, files, boots: 0, _lab: lab }
    }

    /// Makes the host as before the import.
    fn reset(&mut self) {
        let folders = "/etc/network/interfaces.d /etc/netplan /etc/systemd/network /etc/teamr \
                       /etc/NetworkManager/system-connections /run/NetworkManager/system-connections";
        self.host.run(&format!("rm -rf /var/lib/teamr /run/host/timer /sys/class {folders}"));
        self.host.run(&format!("mkdir -p {folders}"));
        for (path, text) in self.files {
            self.host.write(path, text);
        }
        self.shell("rm -f /run/host/enabled-* /run/host/generated");
        if self.files.iter().any(|(path, _)| path.starts_with("/etc/netplan")) {
            self.shell("sum >/run/host/generated");
        }
        self.shell("sum >/run/host/network");
        self.make_bond();
        self.restart();
    }

    /// Gives the machine the id of another boot.
    fn restart(&mut self) {
        self.boots += 1;
        self.host.write("/run/host/boot-id", &self.boots.to_string());
    }

    fn make_bond(&self) {
        self.host.run("mkdir -p /sys/devices/virtual/net/bond0 /sys/class/net/bond0/bonding");
        for (file, text) in [
            ("address", "02:00:00:00:00:01"),
            ("ifindex", "2"),
            ("mtu", "1500"),
            ("bonding/mode", "active-backup 1"),
            ("bonding/miimon", "100"),
            ("bonding/slaves", "eth1 eth2"),
        ] {
            self.host.write(&format!("/sys/class/net/bond0/{file}"), text);
        }
    }

    /// Returns a command that finds the programs of this test first.
    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = self.host.command(program.as_ref());
        command.env("PATH", "/run/programs:/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// Runs a shell command, which must succeed, and returns its output.
    fn shell(&self, line: &str) -> String {
        let output = self.command("/bin/sh").args(["-c", line]).output().expect("start a shell");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs `teamrctl import`, which dies before call number `at`. Returns whether it died.
    fn import(&self, args: &[&str], at: i64) -> bool {
        self.kill.set(CALLS, 0);
        self.kill.set(PASSING, at);
        let mut command = self.command(binary("teamrctl"));
        self.kill.apply(command.arg("import").args(args).arg("bond0"));
        let output = command.output().expect("start teamrctl");
        let died = output.status.signal() == Some(libc::SIGKILL);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(died || output.status.success(), "{args:?}: {}\n{stderr}", output.status);
        died
    }

    /// Lets the timer run out, or the machine restart.
    fn come_back(&mut self, by: Return) {
        let is_armed = match by {
            Return::Timer => "[ -e /run/host/timer ] && echo yes || true",
            Return::Restart => {
                self.restart();
                self.shell("rm -rf /run/host/timer /run/host/network /sys/class /sys/devices");
                // netplan's generator runs before the units.
                self.shell("netplan generate");
                "[ -e /run/host/enabled-teamr-return@bond0.service ] && echo yes || true"
            }
        };
        let is_armed = self.shell(is_armed) == "yes\n";
        if is_armed && self.shell(&format!("[ -e {TRIAL} ] && echo yes || true")) == "yes\n" {
            assert!(!self.import(&["--undo", "--unless-kept"], NONE));
        }
        if matches!(by, Return::Restart) {
            self.shell("systemctl start manager");
        }
    }

    /// Runs `teamrctl import` with `args` on a host that `prepare` makes, once for each call that it
    /// can die before. Returns the number of hosts that came back with the old files, and with the
    /// new ones.
    fn die_at_each_call(&mut self, args: &[&str], prepare: impl Fn(&mut Site)) -> [usize; 2] {
        prepare(self);
        let before = self.shell("sum");
        assert!(!self.import(args, NONE));
        let calls = self.kill.get(CALLS);
        let after = self.shell("sum");
        assert!(before != after && calls > 10, "{calls} calls");
        let mut counts = [0, 0];
        for (at, by) in (0..calls).flat_map(|at| [(at, Return::Timer), (at, Return::Restart)]) {
            prepare(self);
            assert!(self.import(args, at), "{args:?} lives at call {at}");
            self.come_back(by);
            let place = format!("{args:?}, dead before call {at} of {calls}, {by:?}");
            let files = self.shell("sum");
            let of = [&before, &after].iter().position(|text| **text == files);
            let of = of.unwrap_or_else(|| panic!("{place}: files of neither:\n{files}"));
            counts[of] += 1;
            let network = self.shell("cat /run/host/network");
            assert_eq!(network, files, "{place}: the network has read other files");
            let left = self.shell(&format!("ls {TRIAL} 2>/dev/null || true"));
            assert_eq!(left, "", "{place}: a trial is left");
        }
        counts
    }
}

#[test]
fn a_host_comes_back_after_the_death_of_an_import_at_each_call() {
    for (name, files) in HOSTS {
        let Some(lab) = Lab::open(Sharing::Shared) else {
            return;
        };
        let mut site = Site::new(lab, files);
        let apply = ["--apply", "--until", "true"];
        let counts = site.die_at_each_call(&apply, Site::reset);
        // Only `keep`, near the end, makes the team stay.
        assert!(counts[0] > counts[1] && counts[1] > 0, "{name}: {counts:?}");
        println!("{name}, --apply: {} old, {} new", counts[0], counts[1]);
        let counts = site.die_at_each_call(&["--undo"], |site| {
            site.reset();
            assert!(!site.import(&apply, NONE));
        });
        assert!(counts[1] > counts[0] && counts[0] > 0, "{name}: {counts:?}");
        println!("{name}, --undo: {} team, {} bond", counts[0], counts[1]);
    }
}

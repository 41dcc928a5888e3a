//! A netkit as the team device of the programs (Linux 6.7): what differs from a veth.
//!
//! `TEAMR_KERNEL=7.2` chooses a kernel with netkit; the tests of traffic, of taking over and of the
//! host's stack also run in a guest of that kernel.

use integration::kernel::has_netkit;
use integration::{
    CableKind, DataPath, HostAndPeer, Lab, Namespace, Ping, Process, Sharing, SiteWithTeam, Teamr,
    binary, in_virtual_time, tcx, team_config, teamr_command, wait_until,
};
use serde_json::Value;
use teamr::sys::bpf::Hook;

const PORTS: [&str; 2] = ["eth1", "eth2"];
const TEAM: &str = "team0";
const TRANSMIT: &str = "teamr_transmit";

/// Runs `case` in a guest, if the guest's kernel has netkit.
macro_rules! with_netkit {
    ($($test:ident)*) => {
        mod guest {
            $(#[test]
            fn $test() {
                super::in_virtual_time(|_| {
                    if !super::has_netkit() {
                        println!("  this kernel has no netkit");
                        return;
                    }
                    super::$test(&super::Lab::open(super::Sharing::Shared).expect("a lab"));
                });
            })*
        }
    };
}

with_netkit! {
    a_frame_leaves_in_the_transmit_function_of_the_device
    a_program_that_another_one_detaches_comes_back
    addresses_flags_and_carrier_change_while_frames_pass
    a_veth_of_an_earlier_daemon_stays_a_veth
    the_relay_takes_a_netkit_over_and_gives_it_back
    a_daemon_without_the_right_to_look_programs_up_takes_over
    a_netkit_of_another_program_is_left_alone
    without_programs_no_frame_passes
}

fn kind(host: &Namespace) -> Value {
    host.link(TEAM)["linkinfo"]["info_kind"].clone()
}

fn packets(host: &Namespace, interface: &str, way: &str) -> u64 {
    host.statistics(interface)[way]["packets"].as_u64().expect("a number")
}

fn transmit_programs(host: &Namespace) -> usize {
    let programs = tcx::programs(host, TEAM, Hook::NetkitPrimary).expect("a netkit");
    programs.iter().filter(|name| *name == TRANSMIT).count()
}

/// A host with a team, which pings 10.0.0.2.
struct Site {
    host: Namespace,
    peer: Namespace,
}

impl Site {
    fn new(lab: &Lab) -> Site {
        let HostAndPeer { host, peer } = HostAndPeer::new(lab, &PORTS);
        peer.ip("link add br0 type bridge");
        PORTS.iter().for_each(|port| drop(peer.ip(&format!("link set dev {port} master br0"))));
        peer.up("br0");
        peer.address("br0", "10.0.0.2/24");
        Site { host, peer }
    }

    fn start(&self, data_path: DataPath, args: &[&str]) -> Teamr {
        let config = team_config(TEAM, "activebackup", data_path, &PORTS);
        let team = Teamr::start_args(&self.host, &config, args);
        self.host.up(TEAM);
        team.wait_ports_up(&PORTS);
        team
    }

    fn ping(&self, when: &str) {
        let answered = || Ping::run(&self.host, "10.0.0.2", 1, "").answered == 1;
        wait_until(&format!("the first answer {when}"), answered);
        for (from, to) in [(&self.host, "10.0.0.2"), (&self.peer, "10.0.0.1")] {
            let ping = Ping::run(from, to, 20, "-s 1472");
            assert!(ping.is_exact(), "{when}: {ping:?}");
        }
    }
}

fn a_frame_leaves_in_the_transmit_function_of_the_device(lab: &Lab) {
    let teamed = SiteWithTeam::new(lab, "loadbalance", DataPath::Programs, CableKind::Virtual);
    let (left, right) = (&teamed.site.left, &teamed.site.right);
    assert_eq!(kind(left), "netkit");
    assert_eq!(teamed.team.state()["teamr"]["device_kind"], "netkit");
    assert_eq!(transmit_programs(left), 1);
    left.address(TEAM, "10.0.0.1/24");
    right.address("eth1", "10.0.0.2/24");
    let before = ["tx", "rx"].map(|way| packets(left, TEAM, way));
    assert!(Ping::run(left, "10.0.0.2", 100, "").is_exact());
    let [sent, received] = ["tx", "rx"].map(|way| packets(left, TEAM, way));
    assert!((100..120).contains(&(sent - before[0])), "{sent} sent after {before:?}");
    assert!((100..120).contains(&(received - before[1])), "{received} received after {before:?}");
    assert_eq!(packets(left, "team0-peer", "rx"), 0, "no frame takes the way to the peer");
}

fn a_program_that_another_one_detaches_comes_back(lab: &Lab) {
    let site = Site::new(lab);
    let team = site.start(DataPath::Programs, &[]);
    site.host.address(TEAM, "10.0.0.1/24");
    site.ping("with the first program");
    assert!(tcx::detach(&site.host, TEAM, Hook::NetkitPrimary, "teamr_"));
    wait_until("the program to come back", || transmit_programs(&site.host) == 1);
    let warning = format!("{TEAM}: another program removed filters of the team");
    wait_until("a warning", || team.log().contains(&warning));
    site.ping("with the program back");
    assert!(team.stop().success());
}

fn addresses_flags_and_carrier_change_while_frames_pass(lab: &Lab) {
    let site = Site::new(lab);
    let team = site.start(DataPath::Programs, &[]);
    let host = &site.host;
    host.address(TEAM, "10.0.0.1/24");
    site.ping("at first");
    host.ip("link set dev team0 address 02:00:00:00:00:77");
    site.peer.ip("neighbour flush dev br0");
    site.ping("with another address");
    assert!(site.peer.run("ip neighbour show 10.0.0.1").contains("02:00:00:00:00:77"));
    for (on, off) in [("promisc on", "promisc off"), ("allmulticast on", "allmulticast off")] {
        host.ip(&format!("link set dev team0 {on}"));
        site.ping(on);
        host.ip(&format!("link set dev team0 {off}"));
    }
    host.ip("link set dev team0 mtu 9000");
    PORTS.iter().for_each(|port| drop(site.peer.ip(&format!("link set dev {port} mtu 9000"))));
    site.peer.ip("link set dev br0 mtu 9000");
    wait_until("a large frame", || Ping::run(host, "10.0.0.2", 1, "-s 8972").answered == 1);
    PORTS.iter().for_each(|port| site.peer.down(port));
    wait_until("the loss of the carrier", || host.link(TEAM)["operstate"] != "UP");
    PORTS.iter().for_each(|port| site.peer.up(port));
    wait_until("the carrier", || host.link(TEAM)["operstate"] == "UP");
    site.ping("with the carrier back");
    assert!(team.stop().success());
    assert!(!host.has_interface(TEAM) && !host.has_interface("team0-peer"));
}

fn a_veth_of_an_earlier_daemon_stays_a_veth(lab: &Lab) {
    let site = Site::new(lab);
    // The relay makes a veth for a device that outlives the daemon.
    let relay = site.start(DataPath::Userspace, &["-N"]);
    site.host.address(TEAM, "10.0.0.1/24");
    assert_eq!(kind(&site.host), "veth");
    relay.crash();
    let programs = site.start(DataPath::Programs, &["-N"]);
    assert_eq!(kind(&site.host), "veth");
    assert_eq!(programs.state()["teamr"]["device_kind"], "veth");
    site.ping("with programs at a veth");
}

fn the_relay_takes_a_netkit_over_and_gives_it_back(lab: &Lab) {
    let site = Site::new(lab);
    let first = site.start(DataPath::Programs, &["-N"]);
    site.host.address(TEAM, "10.0.0.1/24");
    let index = site.host.link(TEAM)["ifindex"].clone();
    site.ping("with programs");
    first.crash();
    site.ping("without a daemon");
    let relay = site.start(DataPath::Userspace, &["-N"]);
    assert_eq!(transmit_programs(&site.host), 0);
    site.ping("with the relay");
    for (data_path, programs) in [("programs", 1), ("relay", 0), ("programs", 1)] {
        relay.ask(&format!("state item set teamr.data_path {data_path}"));
        assert_eq!(transmit_programs(&site.host), programs);
        site.ping(data_path);
    }
    assert!(relay.stop().success());
    site.ping("after the end of the daemon");
    let last = site.start(DataPath::Programs, &["-o"]);
    assert_eq!((kind(&site.host), transmit_programs(&site.host)), ("netkit".into(), 1));
    assert_eq!(site.host.link(TEAM)["ifindex"], index);
    site.ping("with the last daemon");
    assert!(last.stop().success());
}

/// The unit of systemd grants no CAP_SYS_ADMIN, without which no program can be opened by its id.
fn a_daemon_without_the_right_to_look_programs_up_takes_over(lab: &Lab) {
    let site = Site::new(lab);
    let config = team_config(TEAM, "activebackup", DataPath::Programs, &PORTS);
    let restricted = || {
        let mut command = site.host.command("setpriv");
        let rights = "-all,+net_admin,+net_raw,+bpf,+dac_override";
        command.arg(format!("--bounding-set={rights}")).arg(binary("teamr"));
        command
    };
    for round in ["first", "second", "third"] {
        let team = Teamr::start_config(&site.host, &config, restricted());
        site.host.up(TEAM);
        if round == "first" {
            site.host.address(TEAM, "10.0.0.1/24");
        }
        team.wait_ports_up(&PORTS);
        assert_eq!(team.state()["teamr"]["data_path"], "programs");
        assert_eq!((kind(&site.host), transmit_programs(&site.host)), ("netkit".into(), 1));
        site.ping(&format!("with the {round} daemon"));
        team.crash();
    }
}

fn a_netkit_of_another_program_is_left_alone(lab: &Lab) {
    let site = Site::new(lab);
    site.host.ip("link add team0 type netkit");
    let index = site.host.link(TEAM)["ifindex"].clone();
    let config = team_config(TEAM, "activebackup", DataPath::Programs, &PORTS);
    for option in ["-o", "-r", "-w"] {
        let mut command = teamr_command(&site.host);
        command.args([option, "-c"]).arg(config.to_string());
        let mut daemon = Process::start("refused", lab.folder(), command);
        assert!(!daemon.wait().success(), "{option}: {}", daemon.log());
        assert!(daemon.log().contains("is no team device; it is left alone"), "{}", daemon.log());
        assert_eq!(site.host.link(TEAM)["ifindex"], index);
    }
}

/// The device of a crashed daemon whose programs another program has detached sends nothing to the
/// host: the filter of the peer drops all frames.
fn without_programs_no_frame_passes(lab: &Lab) {
    let site = Site::new(lab);
    let team = site.start(DataPath::Programs, &[]);
    site.host.address(TEAM, "10.0.0.1/24");
    site.ping("with programs");
    team.crash();
    assert!(tcx::detach(&site.host, TEAM, Hook::NetkitPrimary, "teamr_"));
    let before = PORTS.map(|port| packets(&site.host, port, "tx"));
    assert_eq!(Ping::run(&site.host, "10.0.0.2", 3, "").answered, 0);
    assert_eq!(PORTS.map(|port| packets(&site.host, port, "tx")), before);
    let team = site.start(DataPath::Programs, &[]);
    site.ping("with the next daemon");
    assert!(team.stop().success());
}

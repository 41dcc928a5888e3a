//! Traffic through the kernel's team driver, in a guest, and through eBPF programs in the guest's
//! older kernel.

use std::path::PathBuf;

use integration::drop_in::teamd_is_here;
use integration::kernel::has_netkit;
use integration::{
    CableKind, DataPath, Lab, Ping, Process, RUNNERS, Sharing, SiteWithTeam, binary,
    in_virtual_time, team_config, wait_until,
};

const PACKETS: u32 = 20;

/// Requires a reply to every packet from each link that delivers one of the `copies`.
fn ping(setup: &SiteWithTeam, copies: u32, when: &str) {
    let ping = Ping::run(&setup.site.left, "10.0.0.2", PACKETS, "");
    println!(
        "    {when}: {} of {} answered, {} further answers",
        ping.answered, ping.sent, ping.duplicates
    );
    assert_eq!(ping.answered, PACKETS, "{when}");
    assert_eq!(ping.duplicates > 0, copies > 1, "{when}");
}

#[test]
fn every_runner_carries_traffic_while_a_link_fails_and_returns() {
    in_virtual_time(|_| pull_and_put_back(DataPath::Kernel, "team"));
}

#[test]
fn ebpf_programs_carry_traffic_in_an_older_kernel() {
    in_virtual_time(|_| {
        let kind = if has_netkit() { "netkit" } else { "veth" };
        pull_and_put_back(DataPath::Programs, kind);
    });
}

fn pull_and_put_back(data_path: DataPath, kind: &str) {
    for runner in RUNNERS {
        println!("{runner}");
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let setup = SiteWithTeam::new(&lab, runner, data_path, CableKind::Virtual);
        let (left, right) = (&setup.site.left, &setup.site.right);
        assert_eq!(left.link("team0")["linkinfo"]["info_kind"], kind);
        let mover = setup.team.state()["teamr"]["data_path"].clone();
        assert_eq!(mover, data_path.name());
        left.address("team0", "10.0.0.1/24");
        right.address("eth1", "10.0.0.2/24");
        // The first packet triggers address resolution and is flooded by the switch.
        Ping::run(left, "10.0.0.2", 1, "");
        let copies = if runner == "broadcast" { 2 } else { 1 };
        ping(&setup, copies, "both links up");

        let port = setup.used_port();
        let cable = setup.site.cable(&port);
        cable.pull();
        setup.wait_port(&port, false);
        ping(&setup, 1, &format!("without {port}"));
        cable.put_back();
        setup.wait_port(&port, true);
        if runner == "activebackup" {
            setup.site.switch.wait_forwarding(cable);
        }
        ping(&setup, copies, &format!("with {port} again"));
    }
}

/// A bond of dummies has a link and no known speed.
#[test]
fn an_unknown_speed_is_shown_as_teamd_shows_it() {
    if !teamd_is_here() {
        return;
    }
    in_virtual_time(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let host = lab.host("host");
        host.run("mkdir -p /run/teamd");
        host.ip("link add name bond0 type bond");
        host.ip("link add name dummy0 type dummy");
        host.ip("link set dev dummy0 master bond0");
        host.up("dummy0");
        let config = team_config("team0", "activebackup", DataPath::Kernel, &["bond0"]);
        let shown = |daemon: PathBuf| {
            let mut command = host.command(daemon);
            command.arg("-c").arg(config.to_string());
            let mut daemon = Process::start("daemon", host.folder(), command);
            let item = |path: &str| {
                let line = format!("teamdctl team0 state item get ports.bond0.{path}");
                String::from_utf8_lossy(&host.try_run(&line).stdout).into_owned()
            };
            wait_until("a link", || item("link_watches.up") == "true\n");
            let shown = ["link.up", "link.speed", "link.duplex"].map(item);
            let view = host.run("teamdctl -v team0 state view");
            let link = view.lines().find(|line| line.contains("ethtool link"));
            let link = link.expect("a line on the link").trim().to_owned();
            assert!(daemon.stop().success());
            println!("  {shown:?}, {link}");
            (shown, link)
        };
        let theirs = shown("teamd".into());
        assert_eq!(shown(binary("teamr")), theirs);
    });
}

/// A port priority set in the driver changes the selection at once.
#[test]
fn a_priority_set_in_the_driver_selects_the_port() {
    in_virtual_time(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let kind = CableKind::Virtual;
        let SiteWithTeam { site, team, .. } =
            SiteWithTeam::new(&lab, "activebackup", DataPath::Kernel, kind);
        let set = |port: &str, priority: &str| {
            let mut command = site.left.command(binary("teamrnl"));
            let args = ["-p", port, "team0", "--", "setoption", "priority", priority];
            assert!(command.args(args).status().is_ok_and(|status| status.success()));
        };
        team.wait_active("eth1");
        set("eth2", "5");
        team.wait_active("eth2");
        set("eth2", "-5");
        team.wait_active("eth1");
        // A changed configuration overrides the driver's value.
        team.ask(r#"port config update eth2 {"prio":9}"#);
        team.wait_active("eth2");
    });
}

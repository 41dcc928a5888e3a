//! `teamrnl monitor` beside `teamnl monitor`, both for the same team at the same time.
//!
//! A monitor shows an interface only from the moment at which the driver's event has named the port,
//! and link events come over another socket: a link event that is read before the port is known
//! leaves no line. The daemon sets the address of a new port at once, so the test stops the daemon
//! until both monitors know the port.

use std::process::Command;

use integration::drop_in::teamd_is_here;
use integration::{
    DataPath, HostAndPeer, Lab, Namespace, Process, Sharing, Teamr, binary, in_virtual_time,
    team_config, wait_until,
};
use nix::sys::signal::Signal;

/// An option whose changes mark positions in the output of a monitor.
const MARK: &str = "mcast_rejoin_interval";

/// Starts a monitor that writes each line at once.
fn start(host: &Namespace, program: &str, style: &str) -> Process {
    let mut command: Command = host.command("stdbuf");
    command.args(["-oL", program, "team0", "monitor", style]);
    Process::start("monitor", host.folder(), command)
}

/// Returns the output of a monitor from the first mark to mark number `last`.
fn between_marks(monitor: &Process, last: u32) -> Option<String> {
    let text = monitor.log();
    let from = text.find(&format!("{MARK} 1"))?;
    let end = text.rfind(&format!("{MARK} {last}"))?;
    Some(text[from..end].to_owned())
}

/// Returns the blocks of links and the blocks of the driver's events. The two come over different
/// sockets, so their order is chance.
fn by_source(output: &str) -> [Vec<&str>; 2] {
    let mut sources = [Vec::new(), Vec::new()];
    let mut source = 1;
    for line in output.lines() {
        if !line.starts_with(' ') {
            source = usize::from(line != "ifinfos:");
        }
        sources[source].push(line);
    }
    sources
}

fn watch(style: &str) {
    println!("  monitor {style}");
    let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
    let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &["eth1", "eth2", "eth3"]);
    let config = team_config("team0", "activebackup", DataPath::Kernel, &["eth1", "eth2"]);
    let mut team = Teamr::start(&host, &config);
    team.wait_port("eth1", true);
    team.wait_port("eth2", true);
    let ours = binary("teamrnl");
    let ours = ours.to_str().expect("a path that is text");
    let mut monitors = [start(&host, "teamnl", style), start(&host, ours, style)];
    let set = |option: &str| host.run(&format!("teamnl team0 setoption {option}"));
    // Output before both monitors listen does not count.
    wait_until("both to listen", || {
        set(&format!("{MARK} 0"));
        set(&format!("{MARK} 1"));
        monitors.iter().all(|monitor| monitor.log().contains(&format!("{MARK} 1")))
    });
    let mut mark = 1;
    // Each step is complete in both outputs before the next begins.
    let mut settle = || {
        mark += 1;
        set(&format!("{MARK} {mark}"));
        wait_until("the mark in both outputs", || {
            monitors.iter().all(|monitor| between_marks(monitor, mark).is_some())
        });
        mark
    };
    settle();
    set("notify_peers_count 7");
    settle();
    host.run("teamnl -p eth2 team0 setoption priority 12");
    settle();
    peer.ip("link set dev eth1 down");
    team.wait_active("eth2");
    settle();
    peer.up("eth1");
    team.wait_port("eth1", true);
    settle();
    team.signal(Signal::SIGSTOP);
    host.ip("link set dev eth3 master team0");
    settle();
    team.signal(Signal::SIGCONT);
    team.wait_port("eth3", true);
    settle();
    team.ask("port remove eth3");
    team.wait_no_port("eth3");
    let last = settle();
    let output = |monitor| between_marks(monitor, last).expect("the last mark");
    let [theirs, ours] = monitors.each_ref().map(output);
    for monitor in &mut monitors {
        monitor.signal(Signal::SIGINT);
        assert_eq!(monitor.wait().code(), Some(0), "{}", monitor.log());
    }
    println!("{theirs}");
    assert_eq!(by_source(&ours), by_source(&theirs));
}

#[test]
fn both_monitors_print_the_same() {
    if !teamd_is_here() {
        return;
    }
    in_virtual_time(|_| {
        watch("changed");
        watch("all");
    });
}

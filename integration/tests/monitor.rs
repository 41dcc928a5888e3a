//! `teamrnl monitor` beside `teamnl monitor`, both watching the same team at the same time.

use std::process::Command;

use integration::drop_in::teamd_is_here;
use integration::{
    DataPath, HostAndPeer, Lab, Namespace, Process, Sharing, Teamr, binary, in_guest, team_config,
    wait_until,
};
use nix::sys::signal::Signal;

/// What a monitor has to tell of before it is known to listen.
const SIGN: &str = "mcast_rejoin_interval";

/// A monitor in the background that writes each line at once.
fn start(host: &Namespace, program: &str, style: &str) -> Process {
    let mut command: Command = host.command("stdbuf");
    command.args(["-oL", program, "team0", "monitor", style]);
    Process::start("monitor", host.folder(), command)
}

/// What a monitor told after everybody was known to listen, up to the last sign.
fn told(monitor: &Process, last: u32) -> Option<String> {
    let text = monitor.log();
    let from = text.find(&format!("{SIGN} 1"))?;
    let end = text.rfind(&format!("{SIGN} {last}"))?;
    Some(text[from..end].to_owned())
}

/// The blocks of links, and those of the driver's news. Each comes by a socket of its own, so
/// which of two that come together is told first is chance.
fn by_source(told: &str) -> [Vec<&str>; 2] {
    let mut sources = [Vec::new(), Vec::new()];
    let mut source = 1;
    for line in told.lines() {
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
    let team = Teamr::start(&host, &config);
    team.wait_port("eth1", true);
    team.wait_port("eth2", true);
    let ours = binary("teamrnl");
    let ours = ours.to_str().expect("a path that is text");
    let mut monitors = [start(&host, "teamnl", style), start(&host, ours, style)];
    let set = |option: &str| host.run(&format!("teamnl team0 setoption {option}"));
    // Both begin at some time; what one told before the other listened does not count.
    wait_until("both to listen", || {
        set(&format!("{SIGN} 0"));
        set(&format!("{SIGN} 1"));
        monitors
            .iter()
            .all(|monitor| monitor.log().contains(&format!("{SIGN} 1")))
    });
    let mut sign = 1;
    // Each step has been told of in full before the next begins.
    let mut settle = || {
        sign += 1;
        set(&format!("{SIGN} {sign}"));
        wait_until("both to tell of it", || {
            monitors.iter().all(|monitor| told(monitor, sign).is_some())
        });
        sign
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
    team.ask("port add eth3");
    team.wait_port("eth3", true);
    settle();
    team.ask("port remove eth3");
    team.wait_no_port("eth3");
    let last = settle();
    let told = |monitor| told(monitor, last).expect("it told of the last step");
    let [theirs, ours] = monitors.each_ref().map(told);
    for monitor in &mut monitors {
        monitor.signal(Signal::SIGINT);
        assert_eq!(monitor.wait().code(), Some(0), "{}", monitor.log());
    }
    println!("{theirs}");
    assert_eq!(by_source(&ours), by_source(&theirs));
}

#[test]
fn both_monitors_tell_the_same() {
    if !teamd_is_here() {
        return;
    }
    in_guest(|_| {
        watch("changed");
        watch("all");
    });
}

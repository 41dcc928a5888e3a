//! Another configuration for a running team: changed under traffic, refused, undone, on trial.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use integration::traffic::{Pace, now};
use integration::{
    CableKind, DataPath, HostAndPeer, Lab, Sharing, SiteWithTeam, Teamr, on_own_data_paths,
    team_config, wait_until,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

const PORTS: [&str; 2] = ["eth1", "eth2"];

/// Runs a command of teamrctl and returns its exit status with both outputs.
fn ctl(team: &Teamr, args: &str) -> (Option<i32>, String) {
    let output = team.ctl(args);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// Writes a configuration beside the daemon's own and returns its path.
fn file(host: &integration::Namespace, config: &Value) -> String {
    let path = host.folder().join(format!("{}-other.json", host.name()));
    fs::write(&path, config.to_string()).expect("write a configuration");
    path.display().to_string()
}

#[track_caller]
fn reload(host: &integration::Namespace, team: &Teamr, config: &Value) -> String {
    let (status, text) = ctl(team, &format!("reload {}", file(host, config)));
    assert_eq!(status, Some(0), "{config}: {text}");
    text
}

/// Returns configurations for one team in turn. No change interrupts more than a change of the active
/// port does. The switch has no aggregate, so lacp is not among the runners.
fn live_changes(data_path: DataPath) -> Vec<(&'static str, Value)> {
    let base = || team_config("team0", "activebackup", data_path, &PORTS);
    let with = |path: &str, value: Value| {
        let mut config = base();
        let (above, key) = path.rsplit_once('/').expect("a pointer");
        config.pointer_mut(above).expect("an object")[key] = value;
        config
    };
    let mut changes = vec![
        ("prio", with("/ports/eth2/prio", json!(7))),
        ("sticky", with("/ports/eth2/sticky", json!(true))),
        ("queue_id", with("/ports/eth2/queue_id", json!(1))),
        ("the port's link_watch", with("/ports/eth2/link_watch", json!({"name": "ethtool"}))),
        ("link_watch", with("/link_watch", json!({"name": "ethtool", "delay_up": 10}))),
        ("link_watch_policy", with("/link_watch_policy", json!("all"))),
        ("notify_peers", with("/notify_peers", json!({"count": 2, "interval": 50}))),
        ("mcast_rejoin", with("/mcast_rejoin", json!({"count": 2}))),
        ("damping", with("/damping", json!({"half_life": 100}))),
        ("the port's damping", with("/ports/eth2/damping", json!({"penalty": 7}))),
        ("min_ports", with("/runner/min_ports", json!(2))),
        ("failback", with("/runner/failback", json!("failure"))),
        ("failback_delay", with("/runner/failback_delay", json!(5))),
        ("debug_level", with("/debug_level", json!(1))),
        ("probe", with("/probe", json!(false))),
        ("$schema", with("/$schema", json!("file:schema.json"))),
        ("a port less", {
            let mut config = base();
            config["ports"] = json!({"eth2": {}});
            config
        }),
    ];
    // The driver has another team device than the other two.
    let other = match data_path {
        DataPath::Programs => Some(DataPath::Userspace),
        DataPath::Userspace => Some(DataPath::Programs),
        DataPath::Kernel => None,
    };
    let other = other.map(|other| with("/data_path", json!(other.name())));
    changes.extend(other.map(|config| ("the other data path", config)));
    let runners = [
        json!({"name": "roundrobin"}),
        json!({"name": "roundrobin", "packets_per_port": 3}),
        json!({"name": "broadcast"}),
        json!({"name": "random"}),
        json!({"name": "loadbalance"}),
        json!({"name": "loadbalance", "tx_hash": ["l4"], "tx_balancer": {"name": "basic"}}),
    ];
    let slb = (data_path != DataPath::Kernel).then(|| json!({"name": "slb"}));
    for runner in runners.into_iter().chain(slb) {
        changes.push(("runner", with("/runner", runner)));
    }
    changes.into_iter().flat_map(|change| [change, ("back", base())]).collect()
}

fn live_changes_lose_no_frame(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let setup = SiteWithTeam::new(&lab, "activebackup", data_path, CableKind::Virtual);
    setup.take_precedence();
    let left = &setup.site.left;
    left.address("team0", "10.0.0.1/24");
    setup.site.right.address("eth1", "10.0.0.2/24");
    integration::Ping::run(left, "10.0.0.2", 1, "");
    // The clock of a guest stands still during a change, so a stream there would prove nothing.
    let streams =
        (data_path != DataPath::Kernel).then(|| setup.site.start_streams("team0", Pace::Full));
    let (mut begun, mut interrupted) = (Vec::new(), Vec::new());
    for (what, config) in live_changes(data_path) {
        begun.push((now(), format!("{what}: {config}")));
        let text = reload(left, &setup.team, &config);
        if text.contains("interrupts") {
            interrupted.push(begun.len() - 1);
        }
        let dump: Value = serde_json::from_str(&setup.team.ask("config dump")).expect("JSON");
        assert_eq!(dump["runner"]["name"], config["runner"]["name"], "{what}");
        for port in config["ports"].as_object().expect("ports").keys() {
            setup.team.wait_port(port, true);
            setup.site.switch.wait_forwarding(setup.site.cable(port));
        }
        let (status, again) = ctl(&setup.team, &format!("diff {}", file(left, &config)));
        assert_eq!((status, again.as_str()), (Some(0), "nothing changes\n"), "{what}");
    }
    for stream in streams.into_iter().flatten() {
        let what = stream.what().to_owned();
        let trace = stream.finish();
        assert!(trace.sent.len() > 100, "{what}: {} packets", trace.sent.len());
        let change_of = |number: u64| {
            let sent = trace.sent[usize::try_from(number).expect("a number")];
            begun.iter().rposition(|(at, _)| *at <= sent)
        };
        let lost: Vec<usize> = trace.lost().into_iter().filter_map(change_of).collect();
        let (announced, live): (Vec<usize>, Vec<usize>) =
            lost.iter().partition(|change| interrupted.contains(change));
        let live: Vec<&String> = live.iter().map(|change| &begun[*change].1).collect();
        assert!(live.is_empty(), "{what}, of {} packets: {live:#?}", trace.sent.len());
        // A fraction of a millisecond, at a packet each millisecond.
        let most = 2 * interrupted.len();
        assert!(
            announced.len() <= most,
            "{what}: {} lost in changes with a pause",
            announced.len()
        );
    }
}

fn a_refused_change_leaves_the_team_as_it_was(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &["eth1", "eth2", "eth3"]);
    let base = team_config("team0", "activebackup", data_path, &PORTS);
    let team = Teamr::start(&pair.host, &base);
    team.wait_ports_up(&PORTS);
    let before = (team.ask("config dump"), team.carrying());
    let with = |key: &str, value: Value| {
        let mut config = base.clone();
        config[key] = value;
        config
    };
    pair.host.up("eth3");
    let other = if data_path == DataPath::Kernel { "relay" } else { "kernel" };
    if data_path == DataPath::Kernel {
        let slb = file(&pair.host, &with("runner", json!({"name": "slb"})));
        let (status, text) = ctl(&team, &format!("reload {slb}"));
        assert_eq!(status, Some(1), "{text}");
        assert!(text.contains("slb needs programs"), "{text}");
    }
    let busy = json!({"eth1": {}, "eth2": {"prio": 5}, "eth3": {}});
    for (config, expected) in [
        (with("device", json!("team1")), "device: a running team keeps its device"),
        (with("data_path", json!(other)), "another team device"),
        (with("runner", json!({"name": "roundrobbin"})), "did you mean \"roundrobin\"?"),
        (with("min_port", json!(2)), "min_port"),
        (with("ports", busy), "ports.eth3: is up; set it down first: ip link set dev eth3 down"),
    ] {
        let (status, text) = ctl(&team, &format!("reload {}", file(&pair.host, &config)));
        assert_eq!(status, Some(1), "{text}");
        assert!(text.contains(expected), "{expected}: {text}");
        assert_eq!((team.ask("config dump"), team.carrying()), before, "{expected}");
    }
    let (status, text) = ctl(&team, "reload /nonexistent/team0.json");
    assert_eq!(status, Some(1));
    assert!(text.contains("No such file"), "{text}");
}

fn a_change_with_a_pause_says_so(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &["eth1", "eth2", "eth3"]);
    let team = Teamr::start(&pair.host, &team_config("team0", "activebackup", data_path, &PORTS));
    team.ask("port add eth3");
    pair.host.up("team0");
    let mut config = team_config("team0", "lacp", data_path, &PORTS);
    config["hwaddr"] = json!("02:00:00:00:00:77");
    let text = reload(&pair.host, &team, &config);
    for expected in [
        "interrupts  runner.name: \"activebackup\" -> \"lacp\"",
        "interrupts  hwaddr: absent -> \"02:00:00:00:00:77\"",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    wait_until("the address", || pair.host.link("team0")["address"] == "02:00:00:00:00:77");
    assert_eq!(team.state()["setup"]["runner_name"], "lacp");
    assert!(team.state()["ports"]["eth3"].is_object(), "a port that no configuration names left");
    wait_until("lacp", || team.state()["ports"]["eth1"]["runner"]["state"] != "disabled");
}

fn a_trial_ends_with_the_former_configuration(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let base = team_config("team0", "activebackup", data_path, &PORTS);
    let own = pair.host.folder().join("own.json");
    fs::write(&own, base.to_string()).expect("write a configuration");
    let team = Teamr::start_file(&pair.host, "team0", own.clone());
    let runner = |team: &Teamr| team.state()["setup"]["runner_name"].clone();
    let other = file(&pair.host, &team_config("team0", "broadcast", data_path, &PORTS));

    // Nobody keeps the configuration.
    let (status, text) = ctl(&team, &format!("--for 1 try {other}"));
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("on trial for 1 s; to keep it: teamrctl team0 keep"), "{text}");
    assert_eq!(runner(&team), "broadcast");
    wait_until("the former configuration", || runner(&team) == "activebackup");
    let (status, text) = ctl(&team, "keep");
    assert_eq!(status, Some(1), "no trial: {text}");

    // The operator keeps the configuration.
    ctl(&team, &format!("try {other}"));
    assert_ne!(team.state()["teamr"]["trial_ends_in"], 0);
    assert_eq!(ctl(&team, "keep").0, Some(0));
    assert_eq!(team.state()["teamr"]["trial_ends_in"], 0);
    assert_eq!(runner(&team), "broadcast");
    let saved = pair.host.folder().join("saved.json").display().to_string();
    assert_eq!(ctl(&team, &format!("save {saved}")).0, Some(0));
    assert!(fs::read_to_string(saved).expect("a file").contains("\"broadcast\""));

    // The command of --until keeps the configuration if it succeeds.
    reload(&pair.host, &team, &base);
    let (status, text) = ctl(&team, &format!("--until true try {other}"));
    assert_eq!((status, text.ends_with("kept\n")), (Some(0), true), "{text}");
    reload(&pair.host, &team, &base);
    let (status, text) = ctl(&team, &format!("--for 1 --until false try {other}"));
    assert_eq!(status, Some(1), "{text}");
    wait_until("the former configuration", || runner(&team) == "activebackup");

    // The daemon dies during a trial of its own file.
    fs::copy(&other, &own).expect("copy a configuration");
    let (status, text) = ctl(&team, &format!("try {other}"));
    assert_eq!(status, Some(0), "{text}");
    team.crash();
    let team = start_again(&pair, own);
    assert_eq!(runner(&team), "activebackup");
    assert!(team.log().contains("Nobody kept the configuration on trial"), "{}", team.log());
}

fn start_again(pair: &HostAndPeer, own: PathBuf) -> Teamr {
    let mut command = integration::teamr_command(&pair.host);
    command.arg("-o");
    Teamr::start_command(&pair.host, "team0", command, own)
}

fn sighup_reads_the_file_anew(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let base = team_config("team0", "activebackup", data_path, &PORTS);
    let own = pair.host.folder().join("own.json");
    let write = |config: &str| fs::write(&own, config).expect("write a configuration");
    write(&base.to_string());
    let team = Teamr::start_file(&pair.host, "team0", own.clone());
    let pid = Pid::from_raw(i32::try_from(team.pid()).expect("a pid"));
    let send_sighup = || kill(pid, Signal::SIGHUP).expect("signal the daemon");
    let runner = || team.state()["setup"]["runner_name"].clone();
    // The file is unchanged, so the settings of run time stay.
    team.ask("port config update eth2 {\"prio\":9}");
    send_sighup();
    let mut other = base.clone();
    other["runner"] = json!({"name": "roundrobin"});
    write("{");
    send_sighup();
    wait_until("the error in the log", || {
        team.log().contains("own.json: The team stays as it is: ")
    });
    let dump: Value = serde_json::from_str(&team.ask("config dump")).expect("JSON");
    assert_eq!((&dump["ports"]["eth2"]["prio"], runner()), (&json!(9), json!("activebackup")));
    write(&other.to_string());
    send_sighup();
    wait_until("the other runner", || runner() == "roundrobin");
    write(&base.to_string());
    let (status, text) = ctl(&team, "reload");
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(runner(), "activebackup");
}

/// The configuration file is a link, and a directory above the file of the link is one.
fn what_a_link_names_now_is_read(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let folder = pair.host.folder();
    let write = |path: &str, runner: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("make a folder");
        let config = team_config("team0", runner, data_path, &PORTS);
        fs::write(path, config.to_string()).expect("write a configuration");
    };
    let link = |target: &str, link: &str| {
        let link = folder.join(link);
        let _ = fs::remove_file(&link);
        symlink(folder.join(target), link).expect("make a link");
    };
    write("site/releases/1/team0.json", "activebackup");
    write("site/releases/2/team0.json", "broadcast");
    write("elsewhere/team0.json", "random");
    fs::create_dir(folder.join("config")).expect("make a folder");
    link("site/releases/1", "site/current");
    link("site/current/team0.json", "config/team0.json");
    let team = Teamr::start_file(&pair.host, "team0", folder.join("config/team0.json"));
    let pid = Pid::from_raw(i32::try_from(team.pid()).expect("a pid"));
    let hang_up = || kill(pid, Signal::SIGHUP).expect("signal the daemon");
    let runner = || team.state()["setup"]["runner_name"].clone();

    link("site/releases/2", "site/current");
    let (status, text) = ctl(&team, "diff");
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("runner.name: \"activebackup\" -> \"broadcast\""), "{text}");
    hang_up();
    wait_until("the runner of the other file", || runner() == "broadcast");
    team.ask("port config update eth2 {\"prio\":9}");
    team.ask("save");
    let saved = fs::read_to_string(folder.join("site/releases/2/team0.json")).expect("a file");
    assert!(saved.contains("\"prio\": 9"), "{saved}");
    assert!(folder.join("config/team0.json").is_symlink());

    // The sandbox has no right to a new place.
    link("elsewhere/team0.json", "config/team0.json");
    hang_up();
    wait_until("the remedy in the log", || {
        team.log().contains("\"teamrctl team0 reload\" reads the file for the daemon")
    });
    assert_eq!(runner(), "broadcast");
    for command in ["try", "keep", "diff"] {
        let file = folder.join("config/team0.json").display().to_string();
        let argument = if command == "try" { file } else { String::new() };
        let (status, text) = ctl(&team, &format!("{command} {argument}"));
        assert_eq!(status, Some(0), "{command}: {text}");
    }
    assert_eq!(runner(), "random");
    link("site/releases/1/team0.json", "config/team0.json");
    team.ask("reload");
    assert_eq!(runner(), "activebackup");
}

fn a_plan_names_every_change_of_ports(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &["eth1", "eth2", "eth3", "eth4"]);
    let host = &pair.host;
    let base = team_config("team0", "activebackup", data_path, &PORTS);
    let team = Teamr::start(host, &base);
    let with_ports = |ports: Value| {
        let mut config = base.clone();
        config["ports"] = ports;
        file(host, &config)
    };
    host.up("eth3");
    host.ip("link add br0 type bridge");
    host.ip("link set dev eth4 master br0 up");
    for (port, expected) in [
        ("eth3", "is up; set it down first: ip link set dev eth3 down"),
        ("eth4", "is a port of \"br0\"; free it first: ip link set dev eth4 nomaster"),
        ("lo", "The loopback cannot be a port"),
    ] {
        let other = with_ports(json!({"eth1": {}, "eth2": {}, port: {}}));
        for command in ["diff", "reload", "try"] {
            let (status, text) = ctl(&team, &format!("{command} {other}"));
            assert_eq!(status, Some(1), "{command}: {text}");
            assert!(text.contains(&format!("refused     ports.{port}: ")), "{command}: {text}");
            assert!(text.contains(expected), "{command}: {text}");
        }
    }
    if data_path == DataPath::Programs {
        let peer = with_ports(json!({"eth1": {}, "eth2": {}, "team0-peer": {}}));
        let (status, text) = ctl(&team, &format!("reload {peer}"));
        let why = "is the other end of the team device \"team0\"; take it out of \"ports\"";
        assert!(status == Some(1) && text.contains(why), "{text}");
    }
    let (_, text) = ctl(&team, &format!("diff {}", with_ports(json!({}))));
    assert!(text.contains("interrupts  ports.eth1"), "{text}");
    assert!(text.contains("the carrier of the team goes down"), "{text}");

    // A port that a client removed comes back, and the plan says so.
    team.ask("port remove eth2");
    let same = with_ports(base["ports"].clone());
    let line = "live        ports.eth2: absent -> {}\n";
    assert_eq!(ctl(&team, &format!("diff {same}")), (Some(0), line.to_owned()));
    assert_eq!(ctl(&team, &format!("reload {same}")), (Some(0), line.to_owned()));
    team.wait_port("eth2", true);

    // The team no longer awaits a missing port that the new configuration lacks.
    let missing = json!({"eth1": {}, "eth2": {}, "eth8": {}, "eth9": {}});
    team.ask(&format!("reload {}", with_ports(missing)));
    team.ask(&format!("reload {}", with_ports(json!({"eth1": {}, "eth2": {}, "eth8": {}}))));
    host.ip("link add eth9 type veth peer name peer9");
    host.ip("link add eth8 type veth peer name peer8");
    wait_until("the awaited port", || team.port_up("eth8").is_some());
    assert_eq!(team.port_up("eth9"), None);
}

fn the_client_says_what_is_wrong(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let pair = HostAndPeer::new(&lab, &PORTS);
    let base = team_config("team0", "activebackup", data_path, &PORTS);
    let team = Teamr::start(&pair.host, &base);
    let same = file(&pair.host, &base);
    let fifo = pair.host.folder().join("fifo").display().to_string();
    pair.host.run(&format!("mkfifo {fifo}"));
    let empty = pair.host.folder().join("empty").display().to_string();
    fs::write(&empty, " \n").expect("write a file");
    for (command, expected) in [
        (format!("diff {fifo}"), "not a regular file"),
        (format!("reload {empty}"), "the file is empty; write the configuration into it"),
        (format!("--for 0 try {same}"), "--for 0: expected 1 to 86400 seconds"),
        (format!("--for soon try {same}"), "--for soon: expected 1 to 86400 seconds"),
        ("keep".to_owned(), "No such trial is running"),
    ] {
        let (status, text) = ctl(&team, &command);
        assert_eq!(status, Some(1), "{command}: {text}");
        assert!(text.contains(expected), "{command}: {text}");
    }
    let output = team.ctl(&format!("--json try {same}"));
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON alone");
    assert_eq!(answer["outcome"], "done");
    assert!(answer["trial"].is_string(), "{answer}");
}

on_own_data_paths! {
    what_a_link_names_now_is_read
    a_plan_names_every_change_of_ports
    the_client_says_what_is_wrong
    live_changes_lose_no_frame
    a_refused_change_leaves_the_team_as_it_was
    a_change_with_a_pause_says_so
    a_trial_ends_with_the_former_configuration
    sighup_reads_the_file_anew
}

/// In guests.
mod guest {
    use integration::in_virtual_time;

    use super::*;

    #[test]
    fn with_the_kernels_driver_too() {
        in_virtual_time(|_| {
            live_changes_lose_no_frame(DataPath::Kernel);
            a_refused_change_leaves_the_team_as_it_was(DataPath::Kernel);
            a_plan_names_every_change_of_ports(DataPath::Kernel);
            a_change_with_a_pause_says_so(DataPath::Kernel);
            a_trial_ends_with_the_former_configuration(DataPath::Kernel);
            sighup_reads_the_file_anew(DataPath::Kernel);
        });
    }
}

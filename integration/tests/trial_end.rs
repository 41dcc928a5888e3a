//! The end of a trial: the whole former configuration returns, also after failed changes, crashes and
//! lost ports. Only `keep` or another configuration ends a trial earlier.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use integration::{
    DataPath, HostAndPeer, Lab, Sharing, Teamr, binary, in_virtual_time, on_own_data_paths,
    team_config, teamr_command, wait_until,
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

/// Returns the milliseconds until the trial ends; 0 without one.
fn ends_in(team: &Teamr) -> u64 {
    team.state_at_socket()["teamr"]["trial_ends_in"].as_u64().expect("a number")
}

fn runner(team: &Teamr) -> String {
    team.state_at_socket()["setup"]["runner_name"].as_str().expect("a name").to_owned()
}

/// A host with a team, whose configuration file is `own`.
struct Subject {
    pair: HostAndPeer,
    own: PathBuf,
    base: Value,
}

impl Subject {
    fn new(lab: &Lab, data_path: DataPath) -> Subject {
        let pair = HostAndPeer::new(lab, &["eth1", "eth2", "eth3"]);
        let own = pair.host.folder().join("own.json");
        let base = team_config("team0", "activebackup", data_path, &PORTS);
        fs::write(&own, base.to_string()).expect("write a configuration");
        Subject { pair, own, base }
    }

    fn start(&self) -> Teamr {
        let mut command = teamr_command(&self.pair.host);
        if self.base["data_path"] == "kernel" {
            // As with teamd, a device of the driver is taken over only on request.
            command.arg("-o");
        }
        Teamr::start_command(&self.pair.host, "team0", command, self.own.clone())
    }

    /// Returns the configuration with another value of a key of the team.
    fn with(&self, key: &str, value: Value) -> Value {
        let mut config = self.base.clone();
        config[key] = value;
        config
    }

    fn file(&self, config: &Value) -> String {
        let path = self.pair.host.folder().join("other.json");
        fs::write(&path, config.to_string()).expect("write a configuration");
        path.display().to_string()
    }

    #[track_caller]
    fn try_for(&self, team: &Teamr, seconds: u32, config: &Value) {
        let (status, text) = ctl(team, &format!("--for {seconds} try {}", self.file(config)));
        assert_eq!(status, Some(0), "{config}: {text}");
    }

    /// Tries a configuration, and writes it to the daemon's own file.
    #[track_caller]
    fn try_own(&self, team: &Teamr, config: &Value) {
        self.try_for(team, 600, config);
        fs::write(&self.own, config.to_string()).expect("write a configuration");
    }

    fn record(&self) -> String {
        self.pair.host.run("cat /run/teamd/team0.trial")
    }

    fn has_record(&self) -> bool {
        self.pair.host.try_run("cat /run/teamd/team0.trial").status.success()
    }
}

fn send_sighup(team: &Teamr) {
    let pid = Pid::from_raw(i32::try_from(team.pid()).expect("a pid"));
    kill(pid, Signal::SIGHUP).expect("signal the daemon");
}

fn a_failed_change_leaves_the_trial(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let subject = Subject::new(&lab, data_path);
    let team = subject.start();
    subject.pair.host.up("eth3");
    let tried = subject.with("runner", json!({"name": "broadcast"}));
    subject.try_own(&team, &tried);
    let record = subject.record();
    let mut left = ends_in(&team);
    let mut check = |what: &str| {
        let now = ends_in(&team);
        assert!(now > 0 && now <= left, "{what}: {now} ms of {left}");
        left = now;
        assert_eq!(runner(&team), "broadcast", "{what}");
        assert_eq!(subject.record(), record, "{what}");
    };

    let busy = subject.file(&subject.with("ports", json!({"eth1": {}, "eth3": {}})));
    for command in ["reload", "--for 900 try"] {
        let (status, text) = ctl(&team, &format!("{command} {busy}"));
        assert_eq!(status, Some(1), "{text}");
        check(command);
    }
    // The file has the configuration on trial.
    send_sighup(&team);
    wait_until("the file to be read", || team.log().contains("Nobody has kept this configuration"));
    check("SIGHUP with the configuration on trial");
    fs::write(&subject.own, "{").expect("write a configuration");
    send_sighup(&team);
    wait_until("the error in the log", || team.log().contains("own.json: The team stays as it is"));
    check("SIGHUP with a fault");
    fs::write(&subject.own, subject.base.to_string()).expect("write a configuration");
    send_sighup(&team);
    // The file is as the daemon read it at its start. The daemon handles the signal before it answers.
    ends_in(&team);
    check("SIGHUP with an unchanged file");

    let saved = subject.pair.host.folder().join("saved.json");
    let (status, text) = ctl(&team, &format!("save {}", saved.display()));
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("Keep it first: teamrctl team0 keep"), "{text}");
    assert!(!saved.exists());

    let third = subject.with("runner", json!({"name": "roundrobin"}));
    fs::write(&subject.own, third.to_string()).expect("write a configuration");
    send_sighup(&team);
    wait_until("the third configuration", || runner(&team) == "roundrobin");
    assert_eq!(ends_in(&team), 0);
    assert!(!subject.has_record());
}

fn former_ports_return_when_they_can(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let subject = Subject::new(&lab, data_path);
    let host = &subject.pair.host;
    let team = subject.start();
    let mut fewer = subject.with("runner", json!({"name": "broadcast"}));
    fewer["ports"] = json!({"eth1": {}});

    subject.try_for(&team, 1, &fewer);
    host.up("eth2");
    wait_until("the former runner", || runner(&team) == "activebackup");
    team.wait_port("eth2", true);

    let other = Teamr::start(host, &team_config("team1", "broadcast", data_path, &[]));
    subject.try_for(&team, 1, &fewer);
    other.ask("port add eth2");
    wait_until("the former runner", || runner(&team) == "activebackup");
    assert_eq!(ends_in(&team), 0);
    assert_eq!(team.port_up("eth2"), None);
    other.ask("port remove eth2");
    team.wait_port("eth2", true);
}

fn a_start_after_a_trial_has_the_former_configuration(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let subject = Subject::new(&lab, data_path);
    let host = &subject.pair.host;
    let team = subject.start();
    let (device, hwaddr) = (host.link("team0")["ifindex"].clone(), host.hwaddr("team0"));
    let mut tried = subject.with("runner", json!({"name": "broadcast"}));
    tried["ports"] = json!({"eth1": {}, "eth3": {}});
    tried["hwaddr"] = json!("02:00:00:00:00:77");
    let other = match data_path {
        DataPath::Programs => Some("relay"),
        DataPath::Userspace => Some("programs"),
        DataPath::Kernel => None,
    };
    if let Some(other) = other {
        tried["data_path"] = json!(other);
    }
    subject.try_own(&team, &tried);
    wait_until("the other address", || host.hwaddr("team0") == "02:00:00:00:00:77");
    host.up("eth2");
    team.crash();

    let mut team = subject.start();
    for crash in 0..2 {
        assert_eq!(runner(&team), "activebackup", "{crash}");
        assert_eq!(team.state()["teamr"]["data_path"], data_path.name(), "{crash}");
        team.wait_ports_up(&PORTS);
        team.wait_no_port("eth3");
        wait_until("the former address", || host.hwaddr("team0") == hwaddr);
        assert_eq!(host.link("team0")["ifindex"], device, "{crash}");
        team.crash();
        team = subject.start();
    }
    team.stop();
    let team = subject.start();
    assert_eq!(runner(&team), "activebackup", "after SIGTERM");
    // The operator takes the configuration.
    team.ask("reload");
    assert_eq!(runner(&team), "broadcast");
    assert!(!subject.has_record());
    team.stop();
    assert_eq!(runner(&subject.start()), "broadcast");
}

fn the_address_returns(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let subject = Subject::new(&lab, data_path);
    let host = &subject.pair.host;
    let team = subject.start();
    let before = host.hwaddr("team0");
    subject.try_for(&team, 1, &subject.with("hwaddr", json!("02:00:00:00:00:77")));
    wait_until("the address on trial", || host.hwaddr("team0") == "02:00:00:00:00:77");
    wait_until("the former address", || host.hwaddr("team0") == before);
    let by_active = json!({"name": "activebackup", "hwaddr_policy": "by_active"});
    let mut other = subject.with("runner", by_active);
    other["ports"]["eth2"]["prio"] = json!(9);
    subject.try_for(&team, 1, &other);
    wait_until("the active port's address", || host.hwaddr("team0") != before);
    wait_until("the former address", || host.hwaddr("team0") == before);
}

fn until_keeps_only_its_own_trial(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let subject = Subject::new(&lab, data_path);
    let host = &subject.pair.host;
    let team = subject.start();
    let proof = host.folder().join("proof");
    let first = subject.file(&subject.with("runner", json!({"name": "roundrobin"})));
    let mut client = host.command(binary("teamrctl"));
    let proof_command = format!("test -e {}", proof.display());
    client.args(["team0", "--until", &proof_command, "try", &first]);
    let client = client.stderr(Stdio::piped()).spawn().expect("start teamrctl");
    wait_until("the first trial", || ends_in(&team) > 0);
    subject.try_for(&team, 600, &subject.with("runner", json!({"name": "broadcast"})));
    fs::write(proof, "").expect("write a file");
    let output = client.wait_with_output().expect("the end of teamrctl");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("nothing was kept"), "{text}");
    assert_ne!(ends_in(&team), 0, "the second trial goes on");
}

fn options_override_keys_at_a_reload(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let subject = Subject::new(&lab, data_path);
    let host = &subject.pair.host;
    let other = if data_path == DataPath::Programs { "relay" } else { "programs" };
    let named = subject.with("data_path", json!(other));
    fs::write(&subject.own, named.to_string()).expect("write a configuration");
    let mut command = teamr_command(host);
    command.args(["-t", "team7", "--data-path", data_path.name()]);
    let team = Teamr::start_command(host, "team7", command, subject.own.clone());
    for command in ["diff", "reload"] {
        assert_eq!(ctl(&team, command), (Some(0), "nothing changes\n".to_owned()), "{command}");
    }
    let mut changed = named.clone();
    changed["runner"] = json!({"name": "broadcast"});
    fs::write(&subject.own, changed.to_string()).expect("write a configuration");
    send_sighup(&team);
    wait_until("the other runner", || runner(&team) == "broadcast");
    assert_eq!(team.state()["teamr"]["data_path"], data_path.name());
}

on_own_data_paths! {
    a_failed_change_leaves_the_trial
    former_ports_return_when_they_can
    a_start_after_a_trial_has_the_former_configuration
    the_address_returns
    until_keeps_only_its_own_trial
    options_override_keys_at_a_reload
}

#[test]
fn a_trial_returns_from_every_runner_to_every_other() {
    const RUNNERS: [&str; 9] = [
        "activebackup",
        "broadcast",
        "roundrobin",
        "random",
        "loadbalance",
        "lacp",
        "slb",
        "tlb",
        "alb",
    ];
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let subject = Subject::new(&lab, DataPath::Programs);
    let config = |runner: &str| {
        let mut config = team_config("team0", runner, DataPath::Programs, &PORTS);
        config["data_path"] = json!("auto");
        config
    };
    fs::write(&subject.own, config("activebackup").to_string()).expect("write a configuration");
    let team = subject.start();
    let data_path = || team.state_at_socket()["teamr"]["data_path"].clone();
    for from in RUNNERS {
        for to in RUNNERS {
            team.ask(&format!("reload {}", subject.file(&config(from))));
            assert_eq!(data_path(), "programs", "{from}, before {to}");
            team.ask(&format!("reload {}", subject.file(&config(to))));
            assert_eq!(data_path(), "programs", "{from} to {to}");
        }
    }
    for (from, to) in [("activebackup", "tlb"), ("tlb", "slb"), ("alb", "lacp")] {
        team.ask(&format!("reload {}", subject.file(&config(from))));
        subject.try_for(&team, 1, &config(to));
        wait_until(&format!("{from} after {to}"), || runner(&team) == from);
        assert_eq!(data_path(), "programs", "{from} after {to}");
    }
    assert!(!team.log().contains("cannot return"), "{}", team.log());
}

#[test]
fn with_the_kernels_driver_too() {
    in_virtual_time(|_| {
        a_failed_change_leaves_the_trial(DataPath::Kernel);
        former_ports_return_when_they_can(DataPath::Kernel);
        a_start_after_a_trial_has_the_former_configuration(DataPath::Kernel);
        the_address_returns(DataPath::Kernel);
    });
}

//! A directory of teams that the daemon reads anew after files were added, changed and removed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use integration::{
    DataPath, Lab, Namespace, Process, Sharing, binary, control, in_virtual_time,
    on_own_data_paths, team_config, teamr_command, wait_until,
};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};

/// Number of teams, each with one port.
const TEAMS: usize = 200;
/// Number of teams with the kernel's driver, in a guest.
const TEAMS_IN_A_GUEST: usize = 20;

struct Site {
    lab: Lab,
    host: Namespace,
    directory: PathBuf,
    data_path: DataPath,
}

impl Site {
    fn new(data_path: DataPath, teams: usize) -> Option<Site> {
        let lab = Lab::open(Sharing::Shared)?;
        let host = lab.host("host");
        let directory = lab.folder().join("teams");
        fs::create_dir(&directory).expect("make a directory");
        // Two ports more than the teams at the start have.
        let links = (0..teams + 2)
            .map(|number| format!("link add p{number} type veth peer name q{number}\n"));
        let batch = lab.folder().join("links");
        fs::write(&batch, links.collect::<String>()).expect("write a batch");
        host.ip(&format!("-batch {}", batch.display()));
        let site = Site { lab, host, directory, data_path };
        (0..teams).for_each(|number| site.write(number, &site.config(number)));
        Some(site)
    }

    fn config(&self, number: usize) -> Value {
        let port = format!("p{number}");
        let mut config = team_config(&team(number), "roundrobin", self.data_path, &[port.as_str()]);
        config["probe"] = false.into();
        config
    }

    fn write(&self, number: usize, config: &Value) {
        fs::write(self.file(number), config.to_string()).expect("write a configuration");
    }

    fn file(&self, number: usize) -> PathBuf {
        self.directory.join(format!("{}.json", team(number)))
    }

    fn start(&self) -> Process {
        self.start_with(&[])
    }

    fn start_with(&self, options: &[&str]) -> Process {
        let mut command = teamr_command(&self.host);
        command.args(options).arg("-f").arg(&self.directory);
        let daemon = Process::start("teamr", self.lab.folder(), command);
        wait_until("the daemon to have started", || daemon.log().contains("successfully started"));
        daemon
    }

    fn call(&self, daemon: &Process, number: usize, method: &str) -> Option<String> {
        let name = team(number);
        let path = PathBuf::from(format!("/proc/{}/root/run/teamd/{name}.sock", daemon.pid()));
        let answer = control::call_at(&path, method, &[]).ok()?;
        answer.strip_prefix("REPLY_SUCCESS\n").map(str::to_owned)
    }

    /// Returns the recorded events of these teams.
    fn recordings(&self, daemon: &Process, teams: &[usize]) -> BTreeMap<usize, String> {
        let recording = |number: &usize| {
            let text = self.call(daemon, *number, "RecordingDump");
            (*number, text.unwrap_or_else(|| panic!("no recording of {number}")))
        };
        teams.iter().map(recording).collect()
    }

    fn runner(&self, daemon: &Process, number: usize) -> Option<Value> {
        let state: Value =
            serde_json::from_str(&self.call(daemon, number, "StateDump")?).expect("JSON");
        Some(state["setup"]["runner_name"].clone())
    }

    /// Runs `teamrctl reload` without a device, and returns status and output.
    fn reload(&self) -> (Option<i32>, String) {
        let mut command = self.host.command(binary("teamrctl"));
        let output = command.arg("reload").output().expect("run teamrctl");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }
}

fn team(number: usize) -> String {
    format!("team{number}")
}

fn a_changed_file_changes_only_its_team(data_path: DataPath) {
    let teams = if data_path == DataPath::Kernel { TEAMS_IN_A_GUEST } else { TEAMS };
    let Some(site) = Site::new(data_path, teams) else {
        return;
    };
    let mut daemon = site.start();
    let changed = teams / 2;
    let others: Vec<usize> = (0..teams).filter(|number| *number != changed).collect();
    let mut before = site.recordings(&daemon, &others);
    // Events of the start may still arrive.
    wait_until("quiet teams", || {
        let former = std::mem::replace(&mut before, site.recordings(&daemon, &others));
        former == before
    });

    let mut config = site.config(changed);
    config["runner"] = json!({"name": "broadcast"});
    site.write(changed, &config);
    daemon.signal(Signal::SIGHUP);
    wait_until("the changed team", || site.runner(&daemon, changed) == Some(json!("broadcast")));
    assert_eq!(site.recordings(&daemon, &others), before, "events of other teams");

    // The client prints the outcome of each team, and the faulty file with its error.
    site.write(changed, &site.config(changed));
    fs::write(site.file(0), r#"{"runner": {"name": "nobody"}}"#).expect("write a file");
    site.write(teams, &site.config(teams));
    let (status, text) = site.reload();
    assert_eq!(status, Some(1), "{text}");
    let at = site.file(0).display().to_string();
    for line in [
        format!("{}: done", team(changed)),
        "live        runner.name: \"broadcast\" -> \"roundrobin\"".to_owned(),
        format!("{}: started", team(teams)),
        format!("{at}: refused: runner.name: No runner named \"nobody\" available."),
    ] {
        let known = data_path == DataPath::Kernel && line.starts_with("live");
        assert!(known || text.contains(&line), "{line}: {text}");
    }
    assert_eq!(site.runner(&daemon, teams), Some(json!("roundrobin")));
    assert!(site.host.has_interface(&team(teams)));
    assert_eq!(site.runner(&daemon, 0), Some(json!("roundrobin")), "a bad file changed its team");
    let untouched: Vec<usize> = others.iter().copied().filter(|number| *number != 0).collect();
    before.remove(&0);
    assert_eq!(site.recordings(&daemon, &untouched), before, "events of other teams");

    // A removed file ends its team; its port is free for the team of another file.
    fs::remove_file(site.file(0)).expect("remove a file");
    let mut config = site.config(teams + 1);
    config["ports"] = json!({"p0": {}});
    site.write(teams + 1, &config);
    let (status, text) = site.reload();
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("team0: ended"), "{text}");
    assert!(!site.host.has_interface("team0"));
    assert_eq!(site.runner(&daemon, teams + 1), Some(json!("roundrobin")));
    assert_eq!(site.reload(), (Some(0), "nothing changes\n".to_owned()));
    assert_eq!(site.recordings(&daemon, &untouched), before, "events of other teams");
    assert!(daemon.stop().success());
    assert_eq!(site.host.run("find /run -type f -o -type s"), "");
}

fn teams_exchange_their_ports(data_path: DataPath) {
    let Some(site) = Site::new(data_path, 3) else {
        return;
    };
    let daemon = site.start();
    let port = |number: usize| {
        let state = site.call(&daemon, number, "StateDump").expect("a state");
        let state: Value = serde_json::from_str(&state).expect("JSON");
        let ports = state["ports"].as_object().expect("ports");
        ports.keys().cloned().collect::<Vec<String>>()
    };
    for turn in 1..3 {
        for number in 0..3 {
            let mut config = site.config(number);
            let name = format!("p{}", (number + turn) % 3);
            config["ports"] = json!({name: {}});
            site.write(number, &config);
        }
        let (status, text) = site.reload();
        assert_eq!(status, Some(0), "{text}");
        for number in 0..3 {
            assert_eq!(port(number), [format!("p{}", (number + turn) % 3)], "{text}");
        }
    }
    // One of two teams that exchange ports cannot change: both keep their ports.
    site.host.ip("link set dev p4 up");
    let mut refused = site.config(0);
    refused["ports"] = json!({"p0": {}, "p4": {}});
    site.write(0, &refused);
    let mut waiting = site.config(1);
    waiting["ports"] = json!({"p2": {}});
    site.write(1, &waiting);
    let (status, text) = site.reload();
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("team0: failed: ports."), "{text}");
    assert_eq!((port(0), port(1)), (vec!["p2".to_owned()], vec!["p0".to_owned()]), "{text}");
}

fn exchanged_ports_and_moved_files_are_reported(data_path: DataPath) {
    let Some(site) = Site::new(data_path, 2) else {
        return;
    };
    let daemon = site.start();
    for number in 0..2 {
        let mut config = site.config(number);
        let other = format!("p{}", 1 - number);
        config["ports"] = json!({other: {}});
        site.write(number, &config);
    }
    let (status, text) = site.reload();
    assert_eq!(status, Some(0), "{text}");
    for number in 0..2 {
        let key = format!(" ports.p{number}: ");
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(&key)).collect();
        let joins = lines.iter().filter(|line| line.contains("absent -> ")).count();
        let leaves = lines.iter().filter(|line| line.ends_with(" -> absent")).count();
        assert_eq!((joins, leaves), (1, 1), "{text}");
    }
    // The team of a renamed file goes on.
    let before = site.recordings(&daemon, &[1]);
    let moved = site.directory.join("a.json");
    fs::rename(site.file(1), &moved).expect("rename a file");
    let (status, text) = site.reload();
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(text, format!("team1: done, the file is now {}\n", moved.display()));
    assert_eq!(site.recordings(&daemon, &[1]), before, "events of the team");
}

fn a_fifo_is_a_faulty_file(data_path: DataPath) {
    let Some(site) = Site::new(data_path, 1) else {
        return;
    };
    let daemon = site.start();
    let fifo = site.directory.join("x.json");
    mkfifo(&fifo, Mode::S_IRWXU).expect("make a FIFO");
    let (status, text) = site.reload();
    assert_eq!(status, Some(1), "{text}");
    let fault = format!("{}: refused: not a regular file", fifo.display());
    assert!(text.starts_with(&fault), "{text}");
    assert_eq!(site.runner(&daemon, 0), Some(json!("roundrobin")));
}

fn the_last_file_can_be_removed(data_path: DataPath) {
    let Some(site) = Site::new(data_path, 2) else {
        return;
    };
    let remove = || (0..2).for_each(|number| fs::remove_file(site.file(number)).expect("remove"));
    let mut daemon = site.start();
    remove();
    assert_eq!(site.reload(), (Some(0), "team0: ended\nteam1: ended\n".to_owned()));
    assert!(daemon.wait().success());
    assert!(!site.host.has_interface("team0"));
    assert_eq!(site.host.run("find /run -type f -o -type s"), "");

    // Before a reload, `-k` still finds the daemon.
    (0..2).for_each(|number| site.write(number, &site.config(number)));
    let mut daemon = site.start();
    remove();
    let mut command = teamr_command(&site.host);
    let killed = command.arg("-k").arg("-f").arg(&site.directory).status().expect("run teamr");
    assert!(killed.success());
    assert!(daemon.wait().success());
    assert_eq!(site.host.run("find /run -type f -o -type s"), "");
}

/// With `--watch` the daemon reads a changed directory without a request.
fn a_watched_directory_is_read_without_a_request(data_path: DataPath) {
    let Some(site) = Site::new(data_path, 2) else {
        return;
    };
    let mut daemon = site.start_with(&["--watch"]);
    site.write(2, &site.config(2));
    wait_until("the team of a new file", || site.runner(&daemon, 2) == Some(json!("roundrobin")));
    // An editor writes another file and renames it.
    let mut changed = site.config(0);
    changed["runner"] = json!({"name": "broadcast"});
    let other = site.directory.join(".team0.json.new");
    fs::write(&other, changed.to_string()).expect("write a file");
    fs::rename(&other, site.file(0)).expect("rename a file");
    wait_until("the changed team", || site.runner(&daemon, 0) == Some(json!("broadcast")));
    fs::write(site.file(1), "{").expect("write a file");
    wait_until("the fault in the log", || daemon.log().contains("Failed to parse config"));
    assert_eq!(site.runner(&daemon, 1), Some(json!("roundrobin")));
    fs::remove_file(site.file(1)).expect("remove a file");
    wait_until("the end of a team", || !site.host.has_interface("team1"));

    // Another directory takes the place of the first.
    fs::rename(&site.directory, site.directory.with_extension("old")).expect("rename");
    fs::create_dir(&site.directory).expect("make a directory");
    site.write(0, &site.config(0));
    wait_until("the team of the new directory", || {
        site.runner(&daemon, 0) == Some(json!("roundrobin")) && !site.host.has_interface("team2")
    });
    site.write(1, &site.config(1));
    wait_until("a team of the new directory", || site.host.has_interface("team1"));
    assert!(daemon.stop().success());
}

/// Another inode has the path of the directory.
fn a_directory_that_is_made_again_is_read(data_path: DataPath) {
    let Some(site) = Site::new(data_path, 2) else {
        return;
    };
    let daemon = site.start();
    fs::rename(&site.directory, site.directory.with_extension("old")).expect("rename");
    fs::create_dir(&site.directory).expect("make a directory");
    let mut changed = site.config(0);
    changed["runner"] = json!({"name": "broadcast"});
    site.write(0, &changed);
    site.write(2, &site.config(2));
    let (status, text) = site.reload();
    assert_eq!(status, Some(0), "{text}");
    for line in ["team0: done", "team1: ended", "team2: started"] {
        assert!(text.contains(line), "{text}");
    }
    assert_eq!(site.runner(&daemon, 0), Some(json!("broadcast")));
    // A link in the place of the directory.
    fs::remove_dir_all(&site.directory).expect("remove a directory");
    symlink(site.directory.with_extension("old"), &site.directory).expect("make a link");
    let (status, text) = site.reload();
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(site.runner(&daemon, 0), Some(json!("roundrobin")));
}

on_own_data_paths! {
    a_directory_that_is_made_again_is_read
    a_watched_directory_is_read_without_a_request
    a_changed_file_changes_only_its_team
    teams_exchange_their_ports
    exchanged_ports_and_moved_files_are_reported
    a_fifo_is_a_faulty_file
    the_last_file_can_be_removed
}

#[test]
fn with_the_kernels_driver_too() {
    in_virtual_time(|_| {
        a_changed_file_changes_only_its_team(DataPath::Kernel);
        teams_exchange_their_ports(DataPath::Kernel);
    });
}

//! The former configuration returns after each trial, also if the client, the daemon or both are killed
//! meanwhile. An LACP partner does not notice live changes.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use integration::{
    CableKind, DataPath, Lab, Namespace, Sharing, Teamr, binary, on_own_data_paths, team_config,
    teamr_command, wait_until,
};
use runners::SplitMix64;
use serde_json::{Value, json};

/// Teams that try configurations at the same time.
const TEAMS: u64 = 10;
/// Trials of each team.
const TRIALS: u64 = 10;
const SEED: u64 = 0x7e51_ab1e;
/// Milliseconds from the start of a client within which a process is killed: a client in a debug
/// build needs a part of this time.
const MOMENTS: u64 = 120;

/// A team with a partner, and the files of its configurations.
struct Subject {
    host: Namespace,
    device: String,
    port: String,
    /// The file that the daemon was started with.
    own: PathBuf,
    base: Value,
    tried: Value,
}

impl Subject {
    fn new(host: &Namespace, number: u64, data_path: DataPath) -> Subject {
        let (device, port) = (format!("team{number}"), format!("eth{number}"));
        let base = team_config(&device, "lacp", data_path, &[&port]);
        let mut tried = base.clone();
        tried["runner"]["fast_rate"] = json!(true);
        tried["runner"]["tx_hash"] = json!(["l3"]);
        tried["link_watch"] = json!({"name": "ethtool", "delay_up": 1});
        let own = host.folder().join(format!("{device}.json"));
        fs::write(&own, base.to_string()).expect("write a configuration");
        Subject { host: host.clone(), device, port, own, base, tried }
    }

    fn start(&self) -> Teamr {
        let mut command = teamr_command(&self.host);
        command.arg("-o");
        Teamr::start_command(&self.host, &self.device, command, self.own.clone())
    }

    /// Returns the configuration and whether the port carries.
    fn state(&self, team: &Teamr) -> (Value, Vec<String>) {
        let dump = serde_json::from_str(&team.ask("config dump")).expect("JSON");
        (dump, team.carrying())
    }

    /// Tries a configuration, kills the client, the daemon or both, and waits for the former state.
    fn run(
        &self,
        team: Teamr,
        former: &(Value, Vec<String>),
        random: &mut SplitMix64,
        what: &str,
    ) -> Teamr {
        // Tries either another file, or the daemon's own file after a change.
        let edits_own = random.next_u64() % 2 == 0;
        let file = match edits_own {
            true => self.own.clone(),
            false => self.own.with_extension("tried"),
        };
        fs::write(&file, self.tried.to_string()).expect("write a configuration");
        let mut client = self.host.command(binary("teamrctl"));
        client.args([&self.device, "--for", "1", "try"]).arg(&file);
        client.stdout(Stdio::null()).stderr(Stdio::null());
        let mut client = client.spawn().expect("start teamrctl");
        if edits_own {
            // The daemon has no trial before: its next start would have the edited file.
            wait_until("the trial", || ends_in(&team) != 0);
        }
        thread::sleep(Duration::from_millis(random.next_u64() % MOMENTS));
        let (kills_client, kills_daemon) = match random.next_u64() % 3 {
            0 => (true, false),
            1 => (false, true),
            _ => (true, true),
        };
        if kills_client {
            let _ = client.kill();
        }
        let survivor = match kills_daemon {
            true => {
                team.crash();
                // On a busy machine the kernel closes sockets of a killed process after its end.
                let lock = format!(" @teamr/{}", self.device);
                wait_until("the end of the daemon's lock", || {
                    let sockets = self.host.run("cat /proc/net/unix");
                    !sockets.lines().any(|line| line.ends_with(&lock))
                });
                None
            }
            false => Some(team),
        };
        client.wait().expect("the end of teamrctl");
        let team = survivor.unwrap_or_else(|| self.start());
        let killed = match (kills_client, kills_daemon) {
            (true, true) => "both",
            (true, false) => "the client",
            _ => "the daemon",
        };
        wait_until(&format!("the former state of {what}, {killed} killed"), || {
            ends_in(&team) == 0 && self.state(&team) == *former
        });
        fs::write(&self.own, self.base.to_string()).expect("write a configuration");
        team
    }

    fn run_all(&self, number: u64) {
        let mut random = SplitMix64::new(SEED + number);
        let mut team = self.start();
        self.host.up(&self.device);
        wait_until("the aggregate", || team.carrying() == [self.port.as_str()]);
        let former = self.state(&team);
        for trial in 0..TRIALS {
            let what = format!("trial {trial} of {}", self.device);
            team = self.run(team, &former, &mut random, &what);
        }
    }
}

/// Returns the milliseconds until the trial ends; 0 without one.
fn ends_in(team: &Teamr) -> u64 {
    team.state_at_socket()["teamr"]["trial_ends_in"].as_u64().expect("a number")
}

fn every_trial_ends_with_the_former_configuration(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    println!("{} trials, seed {SEED:#x}", TEAMS * TRIALS);
    let (left, right) = (lab.host("left"), lab.host("right"));
    let subjects: Vec<Subject> =
        (0..TEAMS).map(|number| Subject::new(&left, number, data_path)).collect();
    let partners: Vec<Teamr> = subjects
        .iter()
        .map(|subject| {
            let port = subject.port.as_str();
            lab.cable((&left, port), (&right, port), CableKind::Virtual);
            let partner = Teamr::start(&right, &subject.base);
            right.up(&subject.device);
            partner
        })
        .collect();
    thread::scope(|scope| {
        for (number, subject) in (0..).zip(&subjects) {
            scope.spawn(move || subject.run_all(number));
        }
    });
    for partner in &partners {
        let log = partner.log();
        assert!(log.contains("-> \"current\""), "{log}");
        assert!(!log.contains("\"current\" ->"), "the partner left CURRENT: {log}");
    }
}

on_own_data_paths!(every_trial_ends_with_the_former_configuration);

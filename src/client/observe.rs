//! The commands that look at teams from outside: `doctor`, `watch` and `metrics`.

use std::io::Write;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::command::Command;
use super::error::Error;
use super::options::Options;
use super::{facts, metrics, show_json, teams, watch};
use crate::doctor::{self, Finding, Weight};

/// The pause between two looks at what has happened.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// The doctor's visit to each team.
pub fn examine(named: &[String], options: &Options, shown: &mut String) -> Result<u8, Error> {
    let mut found = Vec::new();
    for device in named {
        let team = teams::connect(device, options)?;
        let facts = facts::of_team(&team).ok_or(Error::NotJson)?;
        found.push((device.clone(), doctor::judge(&facts)));
    }
    Ok(tell_findings(&found, options, shown))
}

/// 2 if something is wrong, 0 if nothing is, but for notices.
pub fn tell_findings(
    found: &[(String, Vec<Finding>)],
    options: &Options,
    shown: &mut String,
) -> u8 {
    if options.json {
        let list = |findings: &[Finding]| findings.iter().map(Finding::to_json).collect();
        let found = found
            .iter()
            .map(|(name, findings)| (name.clone(), list(findings)));
        show_json(&Value::Object(found.collect()), options, shown);
    } else {
        for (name, findings) in found {
            for finding in findings {
                *shown += &format!("{name}: {finding}\n");
            }
            if findings.is_empty() {
                *shown += &format!("{name}: nothing is wrong.\n");
            }
        }
    }
    let mut findings = found.iter().flat_map(|(_, findings)| findings);
    let wrong = findings.any(|finding| finding.weight == Weight::Problem);
    if wrong { 2 } else { 0 }
}

/// News of the teams until the reader has gone away or a team has ended.
pub fn watch_all(named: &[String], options: &Options, out: &mut dyn Write) -> Result<u8, Error> {
    let mut watched = Vec::new();
    for device in named {
        let team = teams::connect(device, options)?;
        watched.push((team, watch::Watcher::default()));
    }
    loop {
        for (team, watcher) in &mut watched {
            let text = team
                .daemon
                .call("RecordingDump", &[])
                .map_err(|e| Error::Call(team.device.clone(), Command::Watch, Box::new(e)))?;
            let recording = serde_json::from_str(&text).map_err(|_| Error::NotJson)?;
            for news in watcher.look(&recording) {
                let line = match options.json {
                    true => json_config::to_line(&news.to_json(&team.device)),
                    false => news.to_line(&team.device),
                };
                let told = writeln!(out, "{line}").and_then(|()| out.flush());
                if told.is_err() {
                    return Ok(0);
                }
            }
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

/// The metrics of these teams.
///
/// # Errors
/// When one of them does not answer.
pub fn expose(named: &[String], options: &Options) -> Result<String, Error> {
    let states: Result<_, Error> = named
        .iter()
        .map(|device| Ok((device.clone(), state(device, options)?)))
        .collect();
    Ok(metrics::write(&states?))
}

/// The metrics of those of these teams that answer: of several, one may have ended just now.
pub fn expose_reachable(named: &[String], options: &Options) -> String {
    let states = named
        .iter()
        .filter_map(|device| Some((device.clone(), state(device, options).ok()?)));
    metrics::write(&states.collect())
}

fn state(device: &str, options: &Options) -> Result<Value, Error> {
    let team = teams::connect(device, options)?;
    let text = team
        .daemon
        .call("StateDump", &[])
        .map_err(|e| Error::Call(team.device.clone(), Command::Metrics, Box::new(e)))?;
    serde_json::from_str(&text).map_err(|_| Error::NotJson)
}

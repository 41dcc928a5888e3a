//! Texts that say what was attempted and what to do.

use std::io;

use super::Error;
use crate::client::command::{Command, GrammarError};
use crate::client::connection::call::CallError;
use crate::client::connection::dbus::DbusError;
use crate::control::config_answer::ChangeOutcome;
use crate::errno::strerror;
use crate::process::run_dir;

impl Error {
    /// Returns a text that says what was attempted and what to do, without the last newline.
    pub(super) fn teamrctl_text(&self, program: &str) -> String {
        match self {
            Error::NoDevice | Error::NoTeam => format!(
                "No team is running: there is no socket in {}.\n\
                 Start one with: teamr -f FILE, or of /etc/teamr/team0.json: \
                 systemctl start teamr@team0",
                run_dir::path().display()
            ),
            Error::SeveralTeams(command, teams) => format!(
                "Several teams are running ({}); \"{command}\" needs one of them.\n\
                 Name it: {program} {} {command}",
                teams.join(", "),
                teams[0]
            ),
            Error::Connect(device, path, e) => format!(
                "Failed to reach the daemon of \"{device}\" at {}: {}.\n{}",
                path.display(),
                strerror(e),
                connect_advice(e)
            ),
            Error::Bus(device, e) => format!(
                "Failed to reach the daemon of \"{device}\" over D-Bus: {e}.\n{}",
                bus_advice(e)
            ),
            Error::FirstCall(device, e) => format!(
                "Failed to ask the daemon of \"{device}\" for its configuration: {e}.\n\
                 See the daemon's log."
            ),
            Error::OtherTeam(device, other) => format!(
                "Failed to use the socket of \"{device}\": the daemon behind it controls \
                 \"{other}\".\nUse that name: {program} {other} ..."
            ),
            Error::Call(device, command, e) => {
                let advice = call_advice(device, command, e, program);
                format!("Failed to do \"{command}\" with \"{device}\": {e}.\n{advice}")
            }
            Error::NotChanged(device, outcome, why) => match outcome {
                ChangeOutcome::Refused => format!("Refused, and nothing was changed: {why}"),
                _ => format!("\"{device}\" stays as it was: {why}"),
            },
            Error::NotDrained(port, why) => format!("\"{port}\" is not drained: {why}."),
            Error::OnTrial(device) => not_saved(device, program),
            Error::NoFile(device) => format!(
                "The daemon of \"{device}\" was started without a configuration file.\n\
                 Name a file."
            ),
            Error::NotKept(device, why) => format!("\"{device}\" is not kept: {why}"),
            Error::NoBond(_, why) => why.clone(),
            Error::NotPresent(device, port) => format!("\"{port}\" is no port of \"{device}\"."),
            Error::NoSuchDevice(_) => format!(
                "{}, and no team of that name is running.\n\
                 Show those that are: {program} state",
                self.teamdctl_text(None)
            ),
            Error::NoKey(problem) => format!("{problem}\nShow the keys with: {program} get"),
            Error::Grammar(GrammarError::Unknown(_, Some(nearest))) => {
                format!("{}\nDid you mean \"{nearest}\"?", self.teamdctl_text(None))
            }
            other => other.argument_text(program),
        }
    }

    /// Returns the text of an error in the arguments or the surroundings of a command, or teamdctl's
    /// text.
    fn argument_text(&self, program: &str) -> String {
        match self {
            Error::Grammar(GrammarError::Surplus { surplus, usage, .. }) => {
                format!("The word \"{surplus}\" is one too many.\nUsage: {program} {usage}")
            }
            Error::Age(text) => {
                format!("\"{text}\" is no age; write seconds, or 90s, 10m, 2h or 1d.")
            }
            Error::Lldp(e) => format!(
                "Failed to hand a TLV to lldpd: {}.\nIs it running? systemctl status lldpd",
                strerror(e)
            ),
            Error::AgentX(address, e) => format!(
                "Failed to serve the MIB through the AgentX master at {address}: {e}.\n\
                 snmpd needs the line \"master agentx\" in snmpd.conf: systemctl status snmpd"
            ),
            Error::Demo(path, e) => format!(
                "Failed to start {path}: {}.\n\
                 The package has the demo; from the sources start it with: cargo demo",
                strerror(e)
            ),
            Error::NoTerminal => {
                format!("top needs a terminal.\nElsewhere use: {program} status")
            }
            Error::DamagedCapture(file, count, why) => {
                let frames = if *count == 1 { "frame" } else { "frames" };
                format!("\"{file}\" is damaged after {count} {frames}: {why}.")
            }
            Error::DumbTerminal => format!(
                "top cannot draw on this terminal: TERM is \"dumb\" or not set.\n\
                 Use instead: {program} status"
            ),
            Error::Terminal(e) => format!("Failed to use the terminal: {}.", strerror(e)),
            Error::Flow(why) => format!("Failed to find the port: {why}."),
            Error::NoFinding(id, nearest) => {
                let near = nearest.map(|near| format!("; did you mean \"{near}\"?"));
                let near = near.unwrap_or_else(|| ".".to_owned());
                format!("There is no finding \"{id}\"{near}\nShow all with: {program} explain")
            }
            other => other.teamdctl_text(None),
        }
    }
}

fn not_saved(device: &str, program: &str) -> String {
    format!(
        "Nothing was saved: a configuration is on trial, and the former one may return.\n\
         Keep it first: {program} {device} keep"
    )
}

fn connect_advice(e: &io::Error) -> &'static str {
    match e.raw_os_error() {
        Some(libc::ENOENT) => "No daemon serves it; start one with: teamr -f FILE",
        Some(libc::ECONNREFUSED) => "Its daemon has died and left the socket; start it again.",
        Some(libc::ETIMEDOUT) => "Its daemon hangs or is stopped: see its process, and its log.",
        Some(libc::EACCES | libc::EPERM) => "Teams are root's to control: try again as root.",
        _ => "See the daemon's log.",
    }
}

fn bus_advice(e: &DbusError) -> &'static str {
    match e {
        DbusError::Name(_) => "Its control socket may be there: leave -D out.",
        DbusError::Bus(_) => "The control socket needs no bus: leave -D out.",
        DbusError::Call(_) => "A daemon is on the bus if it was started with -D.",
    }
}

fn call_advice(device: &str, command: &Command, e: &CallError, program: &str) -> String {
    let code = match e {
        CallError::Refused { code, .. } => code.as_str(),
        CallError::Socket(_) | CallError::Malformed => "",
    };
    match (code, command) {
        ("NoSuchDev", Command::PortRemove(_) | Command::PortDrain(_) | Command::PortUndrain(_)) => {
            format!("Show its ports with: {program} {device} state")
        }
        ("NoSuchDev", _) => "Show the interfaces with: ip link".to_owned(),
        ("PortAddFail", Command::PortAdd(port)) => {
            format!("A port must be down first: ip link set {port} down. The log says more.")
        }
        ("PortDrainFail", _) => {
            "Bring another port up first, or drain this one anyway with: --last".to_owned()
        }
        ("PathDoesNotExist", _) => {
            format!("Show the items with: {program} {device} state dump")
        }
        ("ItemValueGetFail", _) => {
            "A port name with a dot needs quotes: ports.\"eth1.5\".link.up".to_owned()
        }
        ("ItemValueSetFail", _) => {
            format!("Show what each item takes with: {program} schema state. The log says more.")
        }
        ("OpNotSupp", Command::ClearStatistics | Command::ClearPortStatistics(_)) => {
            "Only the runner lacp has statistics.".to_owned()
        }
        ("UnknownMethod", _) => {
            "The daemon is older than this command: start it again to use it.".to_owned()
        }
        ("NoTrial", Command::Keep) => {
            "Try a configuration first: ".to_owned() + program + " " + device + " try FILE"
        }
        ("NoTrial", _) => {
            "The trial has ended, or another one has begun; nothing was kept.".to_owned()
        }
        ("OpNotSupp", _) => "This item can only be read.".to_owned(),
        ("RequestTooLong", _) => "Make the configuration shorter.".to_owned(),
        ("ReplyTooLong", _) => {
            "Without CAP_NET_ADMIN the daemon sends at most net.core.wmem_max bytes: raise this sysctl."
                .to_owned()
        }
        ("ConfigUpdateFail", _) => {
            "The settings must be a JSON object. The log says more.".to_owned()
        }
        _ => "See the daemon's log.".to_owned(),
    }
}

//! teamd's D-Bus service: the methods on the system bus, under a name of the team's own.
//!
//! Owns the names, what a call on the object gets, and the life of the connection: a bus that
//! restarts is found again. Never waits once the team runs: each step takes one call or one
//! helping of bytes, and while an answer waits for room nothing more is read. The bus keeps what
//! a client does not read, so a deaf client never holds us up.
//!
//! [`message`] is the form of messages, [`connection`] the way to the bus; `teamrctl` uses them
//! too. Standard: libteam 1.32's service. One deviation: a method that does not exist is an
//! error, where teamd says that it was done.

pub mod connection;
pub mod message;

use std::fmt::{self, Write};
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;

use super::methods::{self, Failure, METHODS, Outcome, TeamControl};
use super::usock::MAX_REQUEST;
use connection::{BusError, Connection, Filled};
use message::{Kind, Message, Value};

/// The interface of the methods. Names of errors are this and the code, without a dot between.
pub const INTERFACE: &str = "org.libteam.teamd";
/// The only object.
pub const PATH: &str = "/org/libteam/teamd";
/// Name of the error for what does not exist.
pub const UNKNOWN_METHOD: &str = "org.freedesktop.DBus.Error.UnknownMethod";

/// Milliseconds that the bus may be silent during a start; NetworkManager gives the whole start
/// five seconds.
const PATIENCE_MS: u16 = 4000;

/// Answer to RequestName: the name is ours.
const PRIMARY_OWNER: u32 = 1;

/// The bus name of a team, if its device's name can be part of one.
pub fn bus_name(device: &str) -> Option<String> {
    // "Valid Names": no element is empty or begins with a digit.
    let is_element = |element: &str| {
        !element.starts_with(|c: char| c.is_ascii_digit())
            && !element.is_empty()
            && element
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    device
        .split('.')
        .all(is_element)
        .then(|| format!("{INTERFACE}.{device}"))
}

/// The name could not be had.
#[derive(Debug)]
pub enum NameError {
    /// Somebody has it.
    Taken(String),
    /// The bus refuses it; its words.
    Refused(String, String),
    /// The bus failed.
    Bus(BusError),
}

impl NameError {
    /// The cause as an error number.
    pub fn errno(&self) -> Errno {
        match self {
            NameError::Taken(_) => Errno::EBUSY,
            NameError::Refused(..) => Errno::EACCES,
            NameError::Bus(e) => e.errno(),
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::Taken(name) => write!(f, "dbus: name {name} already taken."),
            NameError::Refused(name, words) => write!(
                f,
                "dbus: name {name} refused: {words}\n\
                 The bus's policy file for teamd is missing, or forbids it."
            ),
            NameError::Bus(e) => write!(f, "dbus: {e}"),
        }
    }
}

impl std::error::Error for NameError {}

/// What a bus that cannot be reached means for a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusAbsence {
    /// The start fails, as teamd's does.
    Fatal,
    /// The team starts, and takes its name when the bus comes.
    Awaited,
}

/// The service of one team.
pub struct DbusService {
    name: String,
    registry: Registry,
    token: Token,
    bus: Option<Bus>,
}

struct Bus {
    connection: Connection,
    /// The call for the name, while its answer is awaited.
    name_asked: Option<u32>,
}

/// What is left to do after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There may be more at once.
    More,
    /// An event will tell.
    Wait,
    /// The bus is gone: [`DbusService::reconnect`] is to be tried from time to time.
    Lost,
}

impl DbusService {
    /// Connects to the system bus for the team of this bus name. Nobody knows of us before
    /// [`take_name`](Self::take_name). A bus that cannot be reached fails the start unless
    /// `absence` lets [`reconnect`](Self::reconnect) look for the bus later.
    pub fn connect(
        name: String,
        registry: &Registry,
        token: Token,
        absence: BusAbsence,
    ) -> Result<Self, BusError> {
        let registry = registry.try_clone().map_err(BusError::Broken)?;
        let bus = match (Bus::open(&registry, token), absence) {
            (Ok(bus), _) => Some(bus),
            (Err(error), BusAbsence::Awaited) => {
                log::info!("dbus: No bus yet ({error}), looking for it every second.");
                None
            }
            (Err(error), BusAbsence::Fatal) => return Err(error),
        };
        Ok(DbusService {
            name,
            registry,
            token,
            bus,
        })
    }

    /// Takes the team's name, which tells the world that every method is served. Waits for the
    /// bus if the bus is reached; a [`step`](Self::step) has to follow, since calls may have come
    /// with the answer and an absent bus is looked for.
    pub fn take_name(&mut self) -> Result<(), NameError> {
        let Some(bus) = &mut self.bus else {
            return Ok(());
        };
        let asked = bus.ask_for_name(&self.name);
        let answer = bus.connection.wait_reply(asked, PATIENCE_MS);
        judge(&self.name, &answer.map_err(NameError::Bus)?)
    }

    /// Sends what waits, or answers one call, or reads once.
    pub fn step(&mut self, team: &mut dyn TeamControl) -> Step {
        let Some(bus) = &mut self.bus else {
            return Step::Lost;
        };
        match bus.step(&self.name, team) {
            Ok(step) => step,
            Err(e) => {
                log::warn!("dbus: Lost the bus ({e}), looking for it every second.");
                self.bus = None;
                Step::Lost
            }
        }
    }

    /// Tries to be on the bus again; whether it can be reached. What comes of it is for
    /// [`step`](Self::step).
    pub fn reconnect(&mut self) -> bool {
        match Bus::open(&self.registry, self.token) {
            Ok(mut bus) => {
                bus.name_asked = Some(bus.ask_for_name(&self.name));
                self.bus = Some(bus);
                true
            }
            Err(e) => {
                log::debug!("dbus: {e}");
                false
            }
        }
    }
}

/// What the bus answered to the call for the name.
fn judge(name: &str, answer: &Message) -> Result<(), NameError> {
    match (answer.kind, answer.body.first()) {
        (Kind::Return, Some(Value::Number(PRIMARY_OWNER))) => Ok(()),
        (Kind::Return, _) => Err(NameError::Taken(name.to_owned())),
        _ => {
            let words = answer.text().unwrap_or_default().to_owned();
            Err(NameError::Refused(name.to_owned(), words))
        }
    }
}

impl Bus {
    /// Connects and greets, so that the bus can answer while the team is made.
    fn open(registry: &Registry, token: Token) -> Result<Bus, BusError> {
        let mut connection = Connection::open()?;
        connection.flush()?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let watched = registry.register(&mut SourceFd(&connection.as_raw_fd()), token, interest);
        watched.map_err(BusError::Broken)?;
        Ok(Bus {
            connection,
            name_asked: None,
        })
    }

    /// Without flags, as teamd: a name that is taken comes to us when it is free.
    fn ask_for_name(&mut self, name: &str) -> u32 {
        let body = [Value::Text(name.to_owned()), Value::Number(0)];
        self.connection.call_bus("RequestName", &body)
    }

    fn step(&mut self, name: &str, team: &mut dyn TeamControl) -> Result<Step, BusError> {
        if !self.connection.flush()? {
            return Ok(Step::Wait);
        }
        let Some((message, length)) = self.connection.next_message()? else {
            return Ok(match self.connection.fill()? {
                Filled::Some => Step::More,
                Filled::Nothing => Step::Wait,
            });
        };
        if message.kind == Kind::Call {
            let answer = answer(&message, length, team);
            if !message.no_reply {
                self.connection.queue(answer);
            }
        } else if self.name_asked.is_some() && message.reply_to == self.name_asked {
            self.name_asked = None;
            match judge(name, &message) {
                Ok(()) => log::info!("dbus: Found the bus, name {name} is ours."),
                Err(e) => log::error!("{e}"),
            }
        }
        Ok(Step::More)
    }
}

/// The answer to a call whose message has so many bytes.
fn answer(call: &Message, length: usize, team: &mut dyn TeamControl) -> Message {
    let interface = call.interface.as_deref();
    let member = call.member.as_deref().unwrap_or_default();
    let path = call.path.as_deref().unwrap_or_default();
    match (interface, member) {
        // What the library that teamd uses answers on any path.
        (Some("org.freedesktop.DBus.Peer"), "Ping") => return call.reply(),
        (Some("org.freedesktop.DBus.Introspectable"), "Introspect") => {
            return match (path, child(path)) {
                (PATH, _) => with_text(call.reply(), describe()),
                (_, Some(child)) => with_text(call.reply(), lead_to(child)),
                (_, None) => call.refusal(UNKNOWN_METHOD, Failure::UnknownMethod.text()),
            };
        }
        (Some(INTERFACE) | None, _) if path == PATH => {
            return match call_method(call, member, length, team) {
                Ok(Some(text)) => with_text(call.reply(), text),
                Ok(None) => call.reply(),
                Err(failure) => call.refusal(&error_name(failure.code()), failure.text()),
            };
        }
        _ => {}
    }
    call.refusal(UNKNOWN_METHOD, Failure::UnknownMethod.text())
}

fn call_method(call: &Message, member: &str, length: usize, team: &mut dyn TeamControl) -> Outcome {
    if length > MAX_REQUEST {
        return Err(Failure::RequestTooLong);
    }
    let texts = call.body.iter().map_while(|value| match value {
        Value::Text(text) => Some(text.clone()),
        Value::Number(_) => None,
    });
    methods::call(team, member, &texts.collect::<Vec<String>>())
}

fn with_text(mut answer: Message, text: String) -> Message {
    answer.body.push(Value::Text(text));
    answer
}

/// The name of the error with this code of the control socket.
pub fn error_name(code: &str) -> String {
    match code {
        _ if code == Failure::UnknownMethod.code() => UNKNOWN_METHOD.to_owned(),
        // The bus's own.
        _ if code.contains('.') => code.to_owned(),
        _ => format!("{INTERFACE}{code}"),
    }
}

/// The code of the error of this name; the name itself if it is not ours.
pub fn error_code(name: &str) -> &str {
    match name {
        UNKNOWN_METHOD => Failure::UnknownMethod.code(),
        _ => name.strip_prefix(INTERFACE).unwrap_or(name),
    }
}

/// The next element on the way from `path` to the object.
fn child(path: &str) -> Option<&'static str> {
    let rest = PATH.strip_prefix(path.trim_end_matches('/'))?;
    rest.strip_prefix('/')?.split('/').next()
}

/// The answer to Introspect on the way to the object, by which tools find it.
fn lead_to(child: &str) -> String {
    format!(
        "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n\
         \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n\
         <node>\n  <node name=\"{child}\"/>\n</node>\n"
    )
}

/// The object's answer to Introspect, in teamd's form, on one line. Like teamd's it tells nothing
/// of results.
fn describe() -> String {
    let mut text = format!("<node name='{PATH}'>  <interface name='{INTERFACE}'>");
    for method in &METHODS {
        let _ = write!(text, "    <method name='{}'>", method.name);
        for arg in method.args {
            let _ = write!(text, "      <arg type='s' name='{arg}' direction='in'/>");
        }
        text.push_str("    </method>");
    }
    text + "  </interface></node>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_names_go_on_the_bus() {
        for device in ["team0", "t-0", "_", "a.b", "a.-"] {
            let name = bus_name(device);
            assert_eq!(name, Some(format!("org.libteam.teamd.{device}")));
        }
        for device in ["1", "t.5", ".a", "a.", "a..b", "t:0", "té", ""] {
            assert_eq!(bus_name(device), None, "{device:?}");
        }
    }

    #[test]
    fn the_way_to_the_object() {
        for (path, next) in [
            ("/", Some("org")),
            ("/org", Some("libteam")),
            ("/org/libteam", Some("teamd")),
            (PATH, None),
            ("/org/lib", None),
            ("/other", None),
        ] {
            assert_eq!(child(path), next, "{path}");
        }
    }

    #[test]
    fn codes_survive_the_way() {
        for code in [
            "NoSuchDev",
            "UnknownMethod",
            "org.freedesktop.DBus.Error.NoReply",
        ] {
            assert_eq!(error_code(&error_name(code)), code);
        }
        assert_eq!(error_name("NoSuchDev"), "org.libteam.teamdNoSuchDev");
    }
}

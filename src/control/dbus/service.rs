//! The service of one team: the connection to the bus, its loss and its return.
//!
//! Never waits once the team runs: each step handles one call or one read, and while a reply waits
//! for room nothing more is read. The bus keeps replies that a client does not read, so a slow
//! client never delays the daemon.

use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;

use super::connection::{BusError, Connection};
use super::dispatch;
use super::message::{Kind, Message, Value};
use crate::control::methods::TeamControl;
use crate::control::protocol::MAX_REQUEST;

/// Time limit of the bus during a start, in milliseconds. NetworkManager gives the whole start five
/// seconds.
const TIMEOUT_MS: u16 = 4000;

/// Bytes of the longest message that is received whole; a longer call has an error as its reply.
const LONGEST: usize = MAX_REQUEST;

/// Reply to RequestName: the connection has the name.
const PRIMARY_OWNER: u32 = 1;

/// Why the bus name could not be acquired.
#[derive(Debug)]
pub enum NameError {
    /// Another connection has the name.
    Taken(String),
    /// The bus refused the name, with this text.
    Refused(String, String),
    /// The bus failed.
    Bus(BusError),
}

impl NameError {
    /// Returns the cause as an error number.
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
            NameError::Refused(name, text) => write!(
                f,
                "dbus: name {name} refused: {text}\n\
                 The bus's policy file for teamd is missing, or forbids it."
            ),
            NameError::Bus(e) => write!(f, "dbus: {e}"),
        }
    }
}

impl std::error::Error for NameError {}

/// Whether the start of a team waits for the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusStart {
    /// The start fails if there is no bus or the bus refuses the name, as teamd's start does.
    Required,
    /// If there is no bus, the team starts, and acquires its name when the bus appears.
    WhenPresent,
    /// The start waits neither for a bus nor for its reply: the team acquires its name later.
    Later,
}

/// The service of one team.
pub struct DbusService {
    name: String,
    registry: Rc<Registry>,
    token: Token,
    start: BusStart,
    bus: Option<Bus>,
}

struct Bus {
    connection: Connection,
    /// Serial of the call for the name, until its reply.
    name_call: Option<u32>,
}

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Another step may be possible at once.
    More,
    /// The next step follows an event.
    Wait,
    /// The bus is gone: call [`DbusService::reconnect`] from time to time.
    Lost,
}

impl DbusService {
    /// Connects to the system bus for the team with this bus name, which
    /// [`take_name`](Self::take_name) acquires.
    ///
    /// # Errors
    /// When there is no bus, unless `start` leaves the bus to [`reconnect`](Self::reconnect).
    pub fn connect(
        name: String,
        registry: &Rc<Registry>,
        token: Token,
        start: BusStart,
    ) -> Result<Self, BusError> {
        let registry = Rc::clone(registry);
        let bus = match (Bus::open(&registry, token), start) {
            (Ok(bus), _) => Some(bus),
            (Err(error), BusStart::Required) => return Err(error),
            (Err(error), BusStart::WhenPresent | BusStart::Later) => {
                log::info!("dbus: No bus yet ({error}), looking for it every second.");
                None
            }
        };
        Ok(DbusService { name, registry, token, start, bus })
    }

    /// Acquires the team's name, which shows other programs that every method is served. Waits for
    /// the reply of the bus, but no longer than until `signals` is readable, and not at all under
    /// [`BusStart::Later`]. A [`step`](Self::step) has to follow: calls may have come with the
    /// reply, and the daemon must look for an absent bus.
    pub fn take_name(&mut self, signals: BorrowedFd<'_>) -> Result<(), NameError> {
        let Some(bus) = &mut self.bus else {
            return Ok(());
        };
        let call = bus.request_name(&self.name);
        if self.start == BusStart::Later {
            bus.name_call = Some(call);
            return Ok(());
        }
        let reply = bus.connection.wait_reply_or(call, TIMEOUT_MS, Some(signals));
        match reply.map_err(NameError::Bus)? {
            Some(reply) => check_name_reply(&self.name, &reply),
            None => {
                bus.name_call = Some(call);
                Ok(())
            }
        }
    }

    /// Sends waiting bytes, or replies to one call, or reads once.
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

    /// Connects to the bus again and requests the name, whose reply [`step`](Self::step) reads.
    /// Returns whether the bus was reached.
    pub fn reconnect(&mut self) -> bool {
        match Bus::open(&self.registry, self.token) {
            Ok(mut bus) => {
                bus.name_call = Some(bus.request_name(&self.name));
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

/// Checks the reply of the bus to the call for the name.
fn check_name_reply(name: &str, reply: &Message) -> Result<(), NameError> {
    match (reply.kind, reply.body.first()) {
        (Kind::Return, Some(Value::Number(PRIMARY_OWNER))) => Ok(()),
        (Kind::Return, _) => Err(NameError::Taken(name.to_owned())),
        _ => Err(NameError::Refused(name.to_owned(), reply.text().unwrap_or_default().to_owned())),
    }
}

impl Bus {
    /// Connects and sends the greeting, so that the bus replies while the team is created.
    fn open(registry: &Registry, token: Token) -> Result<Bus, BusError> {
        let mut connection = Connection::open()?;
        connection.set_longest(LONGEST);
        connection.flush()?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let watched = registry.register(&mut SourceFd(&connection.as_raw_fd()), token, interest);
        watched.map_err(BusError::Io)?;
        Ok(Bus { connection, name_call: None })
    }

    /// Queues the call for the name, without flags as teamd: the bus queues the connection for a
    /// name that another connection has.
    fn request_name(&mut self, name: &str) -> u32 {
        let body = [Value::Text(name.to_owned()), Value::Number(0)];
        self.connection.call_bus("RequestName", &body)
    }

    fn step(&mut self, name: &str, team: &mut dyn TeamControl) -> Result<Step, BusError> {
        if !self.connection.flush()? {
            return Ok(Step::Wait);
        }
        let Some((message, length)) = self.connection.next_message()? else {
            return Ok(if self.connection.fill()? { Step::More } else { Step::Wait });
        };
        if message.kind == Kind::Call {
            let reply = dispatch::reply(&message, length, team);
            if !message.no_reply {
                self.connection.queue(reply);
            }
        } else if self.name_call.is_some() && message.reply_to == self.name_call {
            self.name_call = None;
            match check_name_reply(name, &message) {
                Ok(()) => log::info!("dbus: Found the bus, name {name} is ours."),
                Err(e) => log::error!("{e}"),
            }
        }
        Ok(Step::More)
    }
}

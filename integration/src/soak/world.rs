//! The world of a soak: every change that the soak has made, and what must carry traffic in it.
//!
//! The world knows neither a daemon nor a clock. [`World::permits`] says which events have an
//! outcome that the world can foretell, [`World::apply`] executes one, and [`World::check`] is the
//! oracle.

use std::collections::BTreeSet;
use std::fmt;

/// Ports of the team.
pub const PORTS: usize = 4;
/// The first ports are in the configuration file, the others are added at run time.
pub const CONFIGURED: usize = 3;
/// The MTU of a new interface.
pub const MTU: u32 = 1500;

/// How a runner uses its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// One port carries all traffic.
    Best,
    /// Every port with a link carries traffic.
    All,
    /// Every port with a link carries traffic at both ends.
    Aggregate,
}

/// A client that disturbs the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Connects and sends nothing.
    Silent,
    /// Sends the first half of a request.
    Half,
    /// Sends bytes that are no request.
    Garbage,
    /// Sends requests and reads no reply.
    Deaf,
}

/// A change of the world. The numbers are ports, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The far end of the cable is set down.
    Pull(usize),
    /// The far end of the cable is set up.
    PutBack(usize),
    /// An administrator sets the port down.
    SetDown(usize),
    /// An administrator sets the port up.
    SetUp(usize),
    /// The interface is deleted.
    Delete(usize),
    /// An interface of this name is created.
    Create(usize),
    /// The interface moves to another network namespace.
    MoveAway(usize),
    /// The interface moves back.
    MoveBack(usize),
    /// The interface gets another name.
    Rename(usize),
    /// The interface gets its former name.
    RenameBack(usize),
    /// A client removes the port from the team.
    Remove(usize),
    /// A client adds the port to the team.
    Add(usize),
    /// A client forbids the port to carry traffic.
    Forbid(usize),
    /// A client allows the port to carry traffic.
    Allow(usize),
    /// A client sets the priority of the port.
    SetPrio(usize, i32),
    /// A client chooses the active port.
    Choose(usize),
    /// The team device gets the hardware address of this number.
    SetHwaddr(u8),
    /// The team device gets this MTU.
    SetMtu(u32),
    /// The team device gets the IP address of this number.
    SetAddress(u8),
    /// The daemon is killed, and another one takes over.
    Crash,
    /// The daemon is stopped and leaves the device, and another one takes over.
    Restart,
    /// Clients connect that disturb the control socket.
    Disturb(Client),
    /// The disturbing clients close their connections.
    Disconnect,
    /// The partner is replaced by another system.
    ChangePartner,
}

/// The place of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Here,
    Renamed,
    Away,
    Gone,
}

/// One port.
#[derive(Clone, Copy, Debug)]
struct Port {
    place: Place,
    plugged: bool,
    up: bool,
    is_member: bool,
    /// The daemon takes the interface whenever it appears.
    is_expected: bool,
    is_allowed: bool,
    prio: i32,
    /// A client has configured the port.
    has_settings: bool,
}

impl Port {
    fn is_usable(&self) -> bool {
        self.is_member && self.is_allowed && self.plugged && self.up
    }
}

/// The port that a client chose as the active one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chosen {
    port: usize,
    /// The port was usable ever since.
    stands: bool,
}

/// The changes so far.
#[derive(Clone, Debug)]
pub struct World {
    usage: Use,
    ports: [Port; PORTS],
    /// The active port; `None` if events since the last look may have changed it.
    active: Option<usize>,
    chosen: Option<Chosen>,
    mtu: u32,
    disturbed: bool,
}

/// What a look at the daemon, the kernel and the partner shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Names of the team's ports.
    pub members: BTreeSet<String>,
    /// Names of the ports that carry traffic.
    pub carrying: BTreeSet<String>,
    /// Names of the partner's ports that carry traffic, if the partner has any say.
    pub partner: Option<BTreeSet<String>>,
    /// MTUs of the team's ports.
    pub mtus: BTreeSet<u32>,
    /// Names of the ports whose hardware address differs from the team device's.
    pub strangers: BTreeSet<String>,
}

/// Returns the name of the interface of a port.
pub fn name(port: usize) -> String {
    format!("eth{}", port + 1)
}

/// Returns the name of the interface of a renamed port.
pub fn other_name(port: usize) -> String {
    format!("wan{}", port + 1)
}

impl World {
    /// Creates the world at the start of the daemon: the configured ports are in the team, every
    /// cable is plugged.
    pub fn new(usage: Use) -> World {
        let port = |number| Port {
            place: Place::Here,
            plugged: true,
            up: true,
            is_member: number < CONFIGURED,
            is_expected: number < CONFIGURED,
            is_allowed: true,
            prio: 0,
            has_settings: false,
        };
        World {
            usage,
            ports: std::array::from_fn(port),
            active: None,
            chosen: None,
            mtu: MTU,
            disturbed: false,
        }
    }

    /// Whether clients disturb the control socket.
    pub fn is_disturbed(&self) -> bool {
        self.disturbed
    }

    /// Whether any port must carry traffic.
    pub fn carries(&self) -> bool {
        self.ports.iter().any(Port::is_usable)
    }

    /// Returns the names of the team's ports.
    pub fn members(&self) -> BTreeSet<String> {
        self.names(|port| port.is_member)
    }

    /// Whether the outcome of an event is certain now.
    ///
    /// A renamed port and a port that an administrator set down are not taken over: the next
    /// daemon decides by its own configuration what they become.
    pub fn permits(&self, event: Event) -> bool {
        let port = |number: usize| &self.ports[number];
        let is_ordinary = |number| port(number).place == Place::Here && port(number).up;
        match event {
            Event::Pull(number) => port(number).place != Place::Gone && port(number).plugged,
            Event::PutBack(number) => port(number).place != Place::Gone && !port(number).plugged,
            Event::SetDown(number) => is_ordinary(number) && port(number).is_member,
            Event::SetUp(number) => !port(number).up,
            Event::Delete(number) | Event::MoveAway(number) => is_ordinary(number),
            Event::Create(number) => port(number).place == Place::Gone,
            Event::MoveBack(number) => port(number).place == Place::Away,
            // The team lets go of a port that loses its name before it had a link.
            Event::Rename(number) => {
                is_ordinary(number) && port(number).is_member && port(number).plugged
            }
            Event::RenameBack(number) => port(number).place == Place::Renamed,
            Event::Remove(number) => is_ordinary(number) && port(number).is_member,
            Event::Add(number) => port(number).place == Place::Here && !port(number).is_member,
            Event::Forbid(number) => is_ordinary(number) && port(number).is_usable(),
            Event::Allow(number) => is_ordinary(number) && !port(number).is_allowed,
            Event::SetPrio(number, prio) => {
                self.usage == Use::Best
                    && is_ordinary(number)
                    && port(number).is_member
                    && port(number).prio != prio
            }
            Event::Choose(number) => {
                self.usage == Use::Best && is_ordinary(number) && port(number).is_usable()
            }
            Event::SetMtu(mtu) => self.mtu != mtu,
            Event::Crash | Event::Restart => {
                self.ports.iter().all(|port| port.up && port.place != Place::Renamed)
            }
            Event::Disconnect => self.disturbed,
            Event::SetHwaddr(_)
            | Event::SetAddress(_)
            | Event::Disturb(_)
            | Event::ChangePartner => true,
        }
    }

    /// Executes an event that the world permits.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Pull(number) => self.ports[number].plugged = false,
            Event::PutBack(number) => self.ports[number].plugged = true,
            Event::SetDown(number) => self.ports[number].up = false,
            Event::SetUp(number) => self.ports[number].up = true,
            Event::Delete(number) => self.vanish(number, Place::Gone),
            Event::MoveAway(number) => self.vanish(number, Place::Away),
            Event::Create(number) => {
                self.ports[number].plugged = true;
                self.appear(number);
            }
            Event::MoveBack(number) => self.appear(number),
            // The interface is down while its name changes.
            Event::Rename(number) => self.flap(number, Place::Renamed),
            Event::RenameBack(number) => self.flap(number, Place::Here),
            Event::Remove(number) => {
                self.leave(number);
                self.ports[number].is_expected = false;
            }
            Event::Add(number) => {
                self.ports[number].is_member = true;
                self.ports[number].is_expected = true;
            }
            Event::Forbid(number) => self.ports[number].is_allowed = false,
            Event::Allow(number) => self.ports[number].is_allowed = true,
            Event::SetPrio(number, prio) => {
                self.ports[number].prio = prio;
                self.ports[number].has_settings = true;
            }
            Event::Choose(number) => self.chosen = Some(Chosen { port: number, stands: true }),
            Event::SetMtu(mtu) => self.mtu = mtu,
            Event::Crash | Event::Restart => self.take_over(),
            Event::Disturb(_) => self.disturbed = true,
            Event::Disconnect => self.disturbed = false,
            Event::SetHwaddr(_) | Event::SetAddress(_) | Event::ChangePartner => {}
        }
        self.forget_the_past();
    }

    /// Sets the interface down and up again under another name.
    fn flap(&mut self, number: usize, place: Place) {
        self.ports[number].up = false;
        self.forget_the_past();
        let port = &mut self.ports[number];
        (port.up, port.place) = (true, place);
    }

    fn vanish(&mut self, number: usize, place: Place) {
        self.leave(number);
        self.ports[number].place = place;
    }

    fn leave(&mut self, number: usize) {
        let port = &mut self.ports[number];
        (port.is_member, port.is_allowed) = (false, true);
    }

    fn appear(&mut self, number: usize) {
        let port = &mut self.ports[number];
        port.place = Place::Here;
        port.is_member = port.is_expected;
    }

    /// The next daemon reads the configuration file, keeps the ports that it finds in the team, and
    /// adds the run-time settings of the ports that the file does not name to the configuration.
    fn take_over(&mut self) {
        for (number, port) in self.ports.iter_mut().enumerate() {
            let is_configured = number < CONFIGURED;
            port.is_allowed = true;
            port.is_member |= is_configured && port.place == Place::Here;
            if is_configured || !port.is_member {
                (port.prio, port.has_settings) = (0, false);
            }
            port.is_expected = is_configured || port.has_settings;
        }
        self.chosen = None;
        self.disturbed = false;
    }

    /// Drops what a daemon that saw every event would have changed; a daemon may miss an event that
    /// the next one undoes.
    fn forget_the_past(&mut self) {
        if let Some(chosen) = &mut self.chosen {
            chosen.stands &= self.ports[chosen.port].is_usable();
        }
        let candidates = self.candidates();
        self.active = self.active.filter(|active| candidates.contains(active));
    }

    /// Returns the ports of which any may be the active one.
    fn candidates(&self) -> Vec<usize> {
        let usable = |number: &usize| self.ports[*number].is_usable();
        let chosen = self.chosen.filter(|chosen| usable(&chosen.port));
        if let Some(chosen) = chosen.filter(|chosen| chosen.stands) {
            return vec![chosen.port];
        }
        let best = (0..PORTS).filter(usable).map(|number| self.ports[number].prio).max();
        let is_best = |number: &usize| Some(self.ports[*number].prio) == best;
        let mut candidates: Vec<usize> = (0..PORTS).filter(usable).filter(is_best).collect();
        candidates.extend(chosen.map(|chosen| chosen.port));
        candidates
    }

    fn names(&self, wanted: impl Fn(&Port) -> bool) -> BTreeSet<String> {
        let ports = self.ports.iter().enumerate().filter(|(_, port)| wanted(port));
        ports.map(|(number, port)| self.name_of(number, port)).collect()
    }

    fn name_of(&self, number: usize, port: &Port) -> String {
        match port.place {
            Place::Renamed => other_name(number),
            Place::Here | Place::Away | Place::Gone => name(number),
        }
    }

    /// Compares what a settled team shows with what must be.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self, seen: &Observed) -> Result<(), String> {
        expect("ports of the team", &seen.members, &self.members())?;
        if seen.mtus.iter().any(|mtu| *mtu != self.mtu) {
            return Err(format!("MTUs of the ports {:?}, not {}", seen.mtus, self.mtu));
        }
        expect("ports with another hardware address", &seen.strangers, &BTreeSet::new())?;
        let usable = self.names(Port::is_usable);
        match self.usage {
            Use::All => expect("carrying ports", &seen.carrying, &usable)?,
            Use::Best => self.check_active(seen)?,
            Use::Aggregate => {
                expect("carrying ports", &seen.carrying, &usable)?;
                // The far end of a cable keeps its name.
                let far = (0..PORTS).filter(|number| self.ports[*number].is_usable()).map(name);
                if let Some(partner) = &seen.partner {
                    expect("carrying ports of the partner", partner, &far.collect())?;
                }
            }
        }
        Ok(())
    }

    fn check_active(&self, seen: &Observed) -> Result<(), String> {
        let candidates = match self.active {
            Some(active) => vec![active],
            None => self.candidates(),
        };
        let names = candidates.iter().map(|number| self.name_of(*number, &self.ports[*number]));
        let names: BTreeSet<String> = names.collect();
        let one = seen.carrying.len() == usize::from(!names.is_empty());
        match one && seen.carrying.is_subset(&names) {
            true => Ok(()),
            false => Err(format!("active {:?}, not one of {names:?}", seen.carrying)),
        }
    }

    /// Takes over what a look shows that passed [`check`](World::check).
    pub fn settle(&mut self, seen: &Observed) {
        let is_seen =
            |number: &usize| seen.carrying.contains(&self.name_of(*number, &self.ports[*number]));
        self.active = (0..PORTS).find(is_seen).filter(|_| self.usage == Use::Best);
        if let Some(chosen) = self.chosen {
            let holds = self.active == Some(chosen.port);
            self.chosen = (holds && chosen.stands).then_some(chosen);
        }
    }
}

fn expect(what: &str, seen: &BTreeSet<String>, wanted: &BTreeSet<String>) -> Result<(), String> {
    match seen == wanted {
        true => Ok(()),
        false => Err(format!("{what}: {seen:?}, not {wanted:?}")),
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(numbers: &[usize]) -> BTreeSet<String> {
        numbers.iter().map(|number| name(*number)).collect()
    }

    /// Returns a look at a team of these ports.
    fn seen(members: &[usize], carrying: &[usize]) -> Observed {
        Observed {
            members: names(members),
            carrying: names(carrying),
            mtus: BTreeSet::from([MTU]),
            ..Observed::default()
        }
    }

    /// Returns a world after these events, each of which must be permitted.
    fn world(usage: Use, events: &[Event]) -> World {
        let mut world = World::new(usage);
        for event in events {
            assert!(world.permits(*event), "{event}");
            world.apply(*event);
        }
        world
    }

    #[test]
    fn only_ports_with_a_link_must_carry() {
        let world = world(Use::All, &[Event::Pull(1)]);
        assert_eq!(world.check(&seen(&[0, 1, 2], &[0, 2])), Ok(()));
        for wrong in [seen(&[0, 1, 2], &[0, 1, 2]), seen(&[0, 1, 2], &[0]), seen(&[0, 2], &[0, 2])]
        {
            assert!(world.check(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_wrong_mtu_and_a_wrong_address_are_found() {
        let world = world(Use::All, &[]);
        let right = seen(&[0, 1, 2], &[0, 1, 2]);
        assert_eq!(world.check(&right), Ok(()));
        assert!(world.check(&Observed { mtus: BTreeSet::from([1400]), ..right.clone() }).is_err());
        assert!(world.check(&Observed { strangers: names(&[1]), ..right }).is_err());
    }

    #[test]
    fn the_partner_must_carry_too() {
        let world = world(Use::Aggregate, &[Event::Pull(2)]);
        let both = Observed { partner: Some(names(&[0, 1])), ..seen(&[0, 1, 2], &[0, 1]) };
        assert_eq!(world.check(&both), Ok(()));
        assert!(world.check(&Observed { partner: Some(names(&[0])), ..both }).is_err());
    }

    #[test]
    fn an_active_port_stays_active_among_equals() {
        let mut world = world(Use::Best, &[]);
        let all = |active| seen(&[0, 1, 2], &[active]);
        assert_eq!(world.check(&all(0)), Ok(()));
        assert_eq!(world.check(&all(1)), Ok(()));
        world.settle(&all(1));
        assert!(world.check(&all(0)).is_err());
        world.apply(Event::Pull(1));
        world.apply(Event::PutBack(1));
        // The daemon may have seen both events or neither.
        assert_eq!(world.check(&all(0)), Ok(()));
        assert_eq!(world.check(&all(1)), Ok(()));
    }

    #[test]
    fn the_highest_priority_is_active_unless_a_client_chose() {
        let mut world = world(Use::Best, &[Event::SetPrio(2, 50)]);
        let all = |active| seen(&[0, 1, 2], &[active]);
        assert_eq!(world.check(&all(2)), Ok(()));
        assert!(world.check(&all(0)).is_err());
        world.apply(Event::Choose(0));
        assert_eq!(world.check(&all(0)), Ok(()));
        assert!(world.check(&all(2)).is_err());
        world.settle(&all(0));
        world.apply(Event::Pull(0));
        assert!(world.check(&all(0)).is_err());
        world.settle(&all(2));
        world.apply(Event::PutBack(0));
        assert_eq!(world.check(&all(2)), Ok(()));
        assert!(world.check(&all(0)).is_err());
    }

    #[test]
    fn nothing_carries_without_a_usable_port() {
        let events = [Event::Pull(0), Event::Forbid(1), Event::SetDown(2)];
        for usage in [Use::Best, Use::All, Use::Aggregate] {
            let world = world(usage, &events);
            assert!(!world.carries());
            assert_eq!(world.check(&seen(&[0, 1, 2], &[])), Ok(()));
            assert!(world.check(&seen(&[0, 1, 2], &[0])).is_err());
        }
    }

    #[test]
    fn a_removed_port_returns_only_when_added_or_configured() {
        let removed = [Event::Remove(0), Event::Delete(0), Event::Create(0)];
        let mut world = world(Use::All, &removed);
        assert_eq!(world.members(), names(&[1, 2]));
        world.apply(Event::Crash);
        assert_eq!(world.members(), names(&[0, 1, 2]));
    }

    #[test]
    fn a_port_added_at_run_time_survives_a_crash_but_is_expected_no_more() {
        let mut world = world(Use::All, &[Event::Add(3), Event::MoveAway(3), Event::MoveBack(3)]);
        assert_eq!(world.members(), names(&[0, 1, 2, 3]));
        world.apply(Event::Crash);
        assert_eq!(world.members(), names(&[0, 1, 2, 3]));
        world.apply(Event::MoveAway(3));
        world.apply(Event::MoveBack(3));
        assert_eq!(world.members(), names(&[0, 1, 2]));
    }

    #[test]
    fn a_port_configured_at_run_time_is_expected_after_a_crash() {
        let mut world = world(Use::Best, &[Event::Add(3), Event::SetPrio(3, 10), Event::Crash]);
        world.apply(Event::MoveAway(3));
        world.apply(Event::MoveBack(3));
        assert_eq!(world.members(), names(&[0, 1, 2, 3]));
        world.apply(Event::MoveAway(3));
        world.apply(Event::Crash);
        world.apply(Event::MoveBack(3));
        assert_eq!(world.members(), names(&[0, 1, 2]));
    }

    #[test]
    fn a_renamed_port_counts_under_its_name_and_forbids_a_crash() {
        let world = world(Use::All, &[Event::Rename(0)]);
        assert!(world.members().contains("wan1") && !world.members().contains("eth1"));
        assert!(!world.permits(Event::Crash) && !world.permits(Event::Delete(0)));
    }
}

//! The BFD sessions of a team's ports, one for each watch bfd. They run beside the core, which learns
//! of their verdicts alone.

use std::collections::BTreeMap;

use runners::wire::bfd;
use runners::{BfdSession, BfdSettings, BfdStatus, Event, Instant, PortId, Team, Verdict};

use super::ManagedTeam;
use crate::daemon::kernel::Kernel;
use crate::errno::strerror;

/// A frame to send on a port.
type PortFrame = (PortId, Vec<u8>);

/// A session, and the verdict that the core knows.
#[derive(Debug)]
struct Entry {
    session: BfdSession,
    told: Verdict,
}

/// The sessions, by port and place of the watch.
#[derive(Debug, Default)]
pub struct BfdSessions {
    entries: BTreeMap<(PortId, usize), Entry>,
}

impl BfdSessions {
    /// Begins and ends sessions as the watches of the team ask. Returns the last frames of the sessions
    /// that end, and the events about verdicts that the core does not know.
    fn update(&mut self, now: Instant, team: &Team) -> (Vec<PortFrame>, Vec<Event>) {
        let mut wanted: BTreeMap<(PortId, usize), BfdSettings> = BTreeMap::new();
        for port in team.ports() {
            let watches = port.watches().iter().enumerate();
            let sessions = watches.filter_map(|(at, watch)| Some((at, *watch.bfd_settings()?)));
            wanted.extend(sessions.map(|(at, settings)| ((port.id(), at), settings)));
        }
        let mut last_frames = Vec::new();
        self.entries.retain(|key, entry| {
            let stays = wanted.get(key) == Some(entry.session.settings());
            if !stays {
                last_frames.extend(entry.session.hold_down(now).map(|frame| (key.0, frame)));
            }
            stays
        });
        let mut events = Vec::new();
        for ((id, at), settings) in wanted {
            let Some(port) = team.port(id) else { continue };
            let entry = self.entries.entry((id, at)).or_insert_with(|| Entry {
                session: BfdSession::new(settings, (port.original_hwaddr(), at), now),
                told: Verdict::Unknown,
            });
            let hwaddr = team.request_hwaddr(id).unwrap_or_default();
            entry.session.port_changed(now, port.link().up, hwaddr);
            let verdict = entry.session.verdict();
            let is_new = std::mem::replace(&mut entry.told, verdict) != verdict;
            if is_new && verdict != Verdict::Unknown {
                let up = verdict == Verdict::Up;
                events.push(Event::PathChanged { port: id, settings, up });
            }
        }
        (last_frames, events)
    }

    /// Returns when the next session has a deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.entries.values().filter_map(|entry| entry.session.next_deadline()).min()
    }

    /// Returns the state of the session of a watch.
    pub fn status(&self, port: PortId, watch: usize) -> Option<BfdStatus> {
        Some(self.entries.get(&(port, watch))?.session.status())
    }

    /// Whether a verdict has changed since the core learned of it.
    fn has_news(&self) -> bool {
        self.entries.values().any(|entry| entry.session.verdict() != entry.told)
    }
}

/// Whether a frame carries a BFD packet, which only the sessions read.
pub fn is_packet(frame: &[u8]) -> bool {
    bfd::parse(frame).is_some()
}

impl ManagedTeam {
    /// Begins and ends sessions after the core handled an event, and hands the core their verdicts.
    pub(super) fn update_bfd(&mut self, kernel: &mut Kernel, now: Instant) {
        let (last_frames, events) = self.bfd.update(now, &self.core);
        last_frames.iter().for_each(|(port, frame)| self.send_bfd(*port, frame));
        if !events.is_empty() {
            self.handle_all(kernel, now, events);
        }
    }

    /// Hands a frame to the sessions of its port.
    pub(super) fn receive_bfd(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        port: PortId,
        frame: &[u8],
    ) {
        let of_port = self.bfd.entries.range_mut((port, 0)..=(port, usize::MAX));
        let answers: Vec<_> =
            of_port.filter_map(|(_, entry)| entry.session.receive(now, frame)).collect();
        answers.iter().for_each(|answer| self.send_bfd(port, answer));
        self.tell_verdicts(kernel, now);
    }

    /// Ends the timers of the sessions that are due at `now`.
    pub(super) fn expire_bfd(&mut self, kernel: &mut Kernel, now: Instant) {
        let mut frames = Vec::new();
        for ((port, _), entry) in &mut self.bfd.entries {
            if let Some(due) = entry.session.next_deadline().filter(|due| *due <= now) {
                frames.extend(entry.session.expire(due, now).map(|frame| (*port, frame)));
            }
        }
        frames.iter().for_each(|(port, frame)| self.send_bfd(*port, frame));
        self.tell_verdicts(kernel, now);
    }

    /// Tells all peers that the sessions end, so that no path counts as lost while no daemon runs.
    pub(super) fn hold_bfd_down(&mut self, now: Instant) {
        let sessions = self.bfd.entries.iter_mut();
        let frames: Vec<_> = sessions
            .filter_map(|((port, _), entry)| Some((*port, entry.session.hold_down(now)?)))
            .collect();
        frames.iter().for_each(|(port, frame)| self.send_bfd(*port, frame));
    }

    fn tell_verdicts(&mut self, kernel: &mut Kernel, now: Instant) {
        if self.bfd.has_news() {
            self.update_bfd(kernel, now);
        }
    }

    /// Sends a frame of a session. A frame that is not sent is lost, as on the wire.
    fn send_bfd(&self, port: PortId, frame: &[u8]) {
        if let Err(error) = self.port_sockets.send(port, frame) {
            log::debug!("Failed to send a BFD packet ({}).", strerror(&error));
        }
    }
}

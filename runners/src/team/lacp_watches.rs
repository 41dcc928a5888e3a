//! The watch lacp: each port runs LACP in an aggregate of its own, as a health check of the path to
//! the switch.
//!
//! A session is the runner lacp with one port, so that every machine, the answers to markers and the
//! diagnosis are those of the runner. The port of the session has the port's link and nothing else
//! of it: the watch tests the path, whether the port carries traffic or not. Port and aggregate are
//! the session's own: the key is the port number, so that no two ports of a team aggregate. The System
//! ID is the team's address, which a restart keeps. If the team takes the address of its active port,
//! the System ID is the port's own address, which no failover changes.
//!
//! The watch is up while both ends collect and distribute. A partner that is another port of this
//! team does not count: its LACPDUs have come through a cable or a switch that speaks no LACP.

use std::collections::{BTreeMap, VecDeque};

use super::Team;
use super::links::push_watch_actions;
use crate::action::Action;
use crate::ident::{HwAddr, PortId};
use crate::keep_alive::KeepAlive;
use crate::lacp_status::LacpPortStatus;
use crate::port::Port;
use crate::runner::Runner;
use crate::runner::lacp::Lacp;
use crate::settings::lacp::{LacpPortSettings, LacpSettings};
use crate::settings::{HwAddrPolicy, LinkWatchPolicy, PortSettings, RunnerSettings};
use crate::time::Instant;
use crate::wire::lacpdu::{STANDARD_RETRIES, StateBits};

/// The sessions of a team.
#[derive(Clone, Debug, Default)]
pub(super) struct LacpSessions {
    by_port: BTreeMap<PortId, LacpSession>,
    /// Actions that the team must still take.
    actions: VecDeque<Action>,
}

/// The session of one port.
#[derive(Clone, Debug)]
struct LacpSession {
    settings: LacpSettings,
    system: HwAddr,
    lacp: Lacp,
    /// The port as the session sees it: no watch and no exclusion.
    port: Port,
    /// Until this time the watch stays up without a partner: the watch began up, because a former
    /// daemon had a partner.
    assumed_until: Option<Instant>,
}

impl LacpSession {
    fn new(now: Instant, port: &Port, settings: &LacpSettings, up: bool) -> Self {
        let number = port.settings().lacp.number;
        let own = PortSettings {
            lacp: LacpPortSettings { key: number, number, ..LacpPortSettings::default() },
            ..PortSettings::default()
        };
        let (name, hwaddr) = (port.name().to_owned(), port.original_hwaddr());
        LacpSession {
            settings: settings.clone(),
            system: hwaddr,
            lacp: Lacp::new(settings),
            port: Port::new(port.id(), name, hwaddr, own, LinkWatchPolicy::Any, now),
            assumed_until: up.then(|| now + settings.fast_period * u32::from(STANDARD_RETRIES)),
        }
    }

    /// Takes in name, link, System ID and settings, and runs the machines.
    fn update(&mut self, now: Instant, port: &Port, system: HwAddr, settings: &LacpSettings) {
        self.system = system;
        self.lacp.team_changed(system, true);
        port.name().clone_into(&mut self.port.name);
        self.port.link_adopted(port.link());
        // The rate in force differs from the configured one after LeftInPlace.
        if self.settings != *settings {
            self.settings = settings.clone();
            self.lacp.settings_changed(now, &RunnerSettings::Lacp(settings.clone()));
        }
        self.lacp.decide(now, std::slice::from_ref(&self.port));
    }

    /// Returns the status of the session in a team with the System IDs `own`. Without a
    /// cause both ends collect and distribute.
    fn status(&self, now: Instant, own: &[HwAddr]) -> Option<LacpPortStatus> {
        let mut status = self.lacp.lacp_status(now)?.ports.into_iter().next()?;
        let distributes = status.partner.state.has(StateBits::DISTRIBUTING);
        let cause = match own.contains(&status.partner.system) {
            true => Some(
                "its partner is another port of this team: a cable leads back to this host, or a \
                 switch forwards LACPDUs; enable LACP on the switch",
            ),
            false if !distributes => Some(
                "the partner does not distribute on this link: check why its port is not forwarding",
            ),
            false => None,
        };
        status.cause = status.cause.or(cause.map(str::to_owned));
        Some(status)
    }

    /// Returns whether the watch is up.
    fn is_up(&mut self, now: Instant, own: &[HwAddr]) -> bool {
        let has_partner = self.status(now, own).is_some_and(|status| status.cause.is_none());
        let assumed = self.assumed_until.filter(|until| *until > now && self.port.link().up);
        self.assumed_until = assumed.filter(|_| !has_partner);
        has_partner || assumed.is_some()
    }

    fn next_deadline(&self) -> Option<Instant> {
        [self.lacp.next_deadline(), self.assumed_until].into_iter().flatten().min()
    }
}

impl LacpSessions {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.by_port.values().filter_map(LacpSession::next_deadline).min()
    }

    pub(super) fn frame_received(&mut self, now: Instant, port: PortId, frame: &[u8]) {
        if let Some(session) = self.by_port.get_mut(&port) {
            session.lacp.frame_received(now, &session.port, frame);
        }
    }

    pub(super) fn left_in_place(&mut self) {
        self.by_port.values_mut().for_each(|session| session.lacp.left_in_place());
    }

    pub(super) fn resumed(&mut self, now: Instant) {
        self.by_port.values_mut().for_each(|session| session.lacp.resumed(now));
    }

    pub(super) fn clear_statistics(&mut self, now: Instant, port: Option<PortId>) {
        let sessions = self.by_port.values_mut();
        sessions.for_each(|session| session.lacp.clear_statistics(now, port));
    }

    /// Ends the time in which the watch of a port stays up without a partner.
    pub(super) fn assume_no_partner(&mut self, port: PortId) {
        if let Some(session) = self.by_port.get_mut(&port) {
            session.assumed_until = None;
        }
    }

    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(super) fn keep_alive(&self, port: PortId) -> Option<KeepAlive> {
        let session = self.by_port.get(&port)?;
        session.lacp.keep_alive(&session.port)
    }

    /// Returns the settings of a port's session.
    pub(super) fn settings(&self, port: PortId) -> Option<&LacpSettings> {
        Some(&self.by_port.get(&port)?.settings)
    }

    /// Returns the System IDs of the sessions.
    fn systems(&self) -> Vec<HwAddr> {
        self.by_port.values().map(|session| session.system).collect()
    }

    /// Begins, continues and ends sessions according to the watches of the ports, and runs the
    /// machines. `system` is the System ID of all sessions; with `None` each port has its own.
    fn update(&mut self, now: Instant, ports: &[Port], system: Option<HwAddr>) {
        let mut former = std::mem::take(&mut self.by_port);
        for port in ports {
            if let Some((settings, up)) = port.lacp_watch() {
                let mut session = match former.remove(&port.id()) {
                    Some(session) => session,
                    None => LacpSession::new(now, port, settings, up),
                };
                let system = system.unwrap_or(port.original_hwaddr());
                session.update(now, port, system, settings);
                self.actions.extend(std::iter::from_fn(|| session.lacp.poll_action()));
                self.by_port.insert(port.id(), session);
            }
        }
        for mut session in former.into_values() {
            // Without its port the session sends the last LACPDU.
            session.lacp.decide(now, &[]);
            self.actions.extend(std::iter::from_fn(|| session.lacp.poll_action()));
        }
    }
}

impl Team {
    /// Returns the status of the watch lacp of a port at the time `now`; `None` without such a watch.
    pub fn lacp_watch_status(&self, now: Instant, port: PortId) -> Option<LacpPortStatus> {
        let sessions = &self.lacp_sessions;
        sessions.by_port.get(&port)?.status(now, &sessions.systems())
    }

    /// Runs the sessions, and sets the watches by their verdicts. With the runner lacp there are no
    /// sessions: the runner speaks LACP on every port.
    pub(super) fn update_lacp_watches(&mut self, now: Instant) {
        let has_runner = self.runner.lacp_settings().is_some();
        let system = match &self.settings.runner {
            RunnerSettings::ActiveBackup { hwaddr_policy: HwAddrPolicy::ByActive, .. } => None,
            _ => Some(self.hwaddr.current()),
        };
        let sessions = &mut self.lacp_sessions;
        sessions.update(now, if has_runner { &[] } else { &self.ports }, system);
        let own = sessions.systems();
        for port in &mut self.ports {
            if let Some(session) = sessions.by_port.get_mut(&port.id()) {
                let up = session.is_up(now, &own);
                let actions = port.partner_changed(now, up);
                push_watch_actions(&mut self.actions, port, actions);
            }
        }
    }
}

//! Events about links: the carrier, and what link watches learn from outside.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

use super::Team;
use crate::action::{Action, Report};
use crate::ident::{IpFamily, Link, PortId};
use crate::link_watch::{TeamContext, WatchAction, WatchActions};
use crate::port::Port;
use crate::receive_errors::{ErrorsStatus, ReceiveCounters};
use crate::settings::BfdSettings;
use crate::time::Instant;

impl Team {
    pub(super) fn link_changed(&mut self, now: Instant, port: PortId, link: Link) {
        let context = self.context();
        if let Some(at) = self.position(port) {
            let forwarding = self.forwarding.as_ref();
            self.failovers.link_changed(now, port, link.up, forwarding);
            if link != self.ports[at].link() {
                self.retry_hwaddr(at);
            }
            let actions = self.ports[at].link_changed(now, link, context);
            push_watch_actions(&mut self.actions, &self.ports[at], actions);
        }
    }

    pub(super) fn host_resolved(
        &mut self,
        now: Instant,
        host: &str,
        family: IpFamily,
        address: Option<IpAddr>,
    ) {
        let context = self.context();
        self.each_port(|port| port.host_resolved(now, host, family, address, context));
    }

    pub(super) fn bearers_changed(&mut self, now: Instant, linked: Option<&BTreeSet<String>>) {
        self.each_port(|port| port.bearers_changed(now, linked));
    }

    pub(super) fn path_changed(
        &mut self,
        now: Instant,
        port: PortId,
        settings: &BfdSettings,
        up: bool,
    ) {
        if let Some(at) = self.position(port) {
            let actions = self.ports[at].path_changed(now, settings, up);
            push_watch_actions(&mut self.actions, &self.ports[at], actions);
        }
    }

    pub(super) fn counters_read(&mut self, now: Instant, ports: &[(PortId, ReceiveCounters)]) {
        for (port, counters) in ports {
            if let Some(at) = self.position(*port) {
                let actions = self.ports[at].counters_read(now, *counters);
                push_watch_actions(&mut self.actions, &self.ports[at], actions);
            }
        }
    }

    pub(super) fn restore_errors(&mut self, port: PortId, status: ErrorsStatus) {
        if let Some(at) = self.position(port) {
            let actions = self.ports[at].restore_errors(status);
            push_watch_actions(&mut self.actions, &self.ports[at], actions);
        }
    }

    pub(super) fn take_watch_down(&mut self, port: PortId, place: usize) {
        if let Some(at) = self.position(port) {
            let actions = self.ports[at].take_watch_down(place);
            push_watch_actions(&mut self.actions, &self.ports[at], actions);
        }
    }

    /// Handles an event on each port and queues the actions of its link watches.
    pub(super) fn each_port(&mut self, mut handle: impl FnMut(&mut Port) -> WatchActions) {
        for port in &mut self.ports {
            let actions = handle(port);
            push_watch_actions(&mut self.actions, port, actions);
        }
    }

    /// Returns the facts about the team that link watches need.
    pub(super) fn context(&self) -> TeamContext {
        TeamContext {
            someone_enabled: self.ports.iter().any(|port| port.enabled),
            usable_ports: self.ports.iter().filter(|port| port.is_usable()).count(),
            answered_ports: self.ports.iter().filter(|port| port.is_answered()).count(),
            hwaddr: self.hwaddr.current(),
            link_local: self.link_local,
        }
    }
}

/// Queues the actions of a port's link watches. One reading of the counters serves all ports.
pub(super) fn push_watch_actions(
    actions: &mut VecDeque<Action>,
    port: &Port,
    watch_actions: WatchActions,
) {
    for action in watch_actions {
        let action = match action {
            WatchAction::Report { watch, up } => {
                let port = port.name().to_owned();
                Action::Report(Report::WatchChanged { port, watch, up })
            }
            WatchAction::Send(frame) => Action::SendFrame { port: port.id(), frame },
            WatchAction::Resolve { host, family } => Action::ResolveHost { host, family },
            WatchAction::ReadCounters if actions.contains(&Action::ReadPortCounters) => continue,
            WatchAction::ReadCounters => Action::ReadPortCounters,
        };
        actions.push_back(action);
    }
}

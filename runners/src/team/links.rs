//! Events about links: the carrier, and what link watches learn from outside.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

use super::Team;
use crate::action::{Action, Report};
use crate::ident::{IpFamily, Link, PortId};
use crate::link_watch::{TeamContext, WatchAction, WatchActions};
use crate::port::Port;
use crate::time::Instant;

impl Team {
    pub(super) fn link_changed(&mut self, now: Instant, port: PortId, link: Link) {
        let context = self.context();
        if let Some(at) = self.position(port) {
            let forwarding = self.forwarding.as_ref();
            self.failovers.link_changed(now, port, link.up, forwarding);
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

    pub(super) fn bearers_changed(&mut self, linked: Option<&BTreeSet<String>>) {
        self.each_port(|port| port.bearers_changed(linked));
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
            hwaddr: self.hwaddr.current(),
            link_local: self.link_local,
        }
    }
}

/// Queues the actions of a port's link watches.
pub(super) fn push_watch_actions(
    actions: &mut VecDeque<Action>,
    port: &Port,
    watch_actions: WatchActions,
) {
    actions.extend(watch_actions.into_iter().map(|action| match action {
        WatchAction::Report { watch, up } => {
            let port = port.name().to_owned();
            Action::Report(Report::WatchChanged { port, watch, up })
        }
        WatchAction::Send(frame) => {
            let port = port.id();
            Action::SendFrame { port, frame }
        }
        WatchAction::Resolve { host, family } => Action::ResolveHost { host, family },
    }));
}

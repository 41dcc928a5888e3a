//! The traffic of the team after a plan: what a copy of the team does with the other configuration,
//! and what the LACP partner does.

use json_config::{Config, Difference, KeyPath};
use nix::net::if_::if_nametoindex;
use runners::wire::lacpdu::StateBits;
use runners::{
    Event, Link, Port, PortId, RunnerSettings, Team, TeamSettings, interface_name_bytes,
};
use serde_json::Value;

use super::effect::{Effect, MOVES, effect_on_partner};
use super::plan::ReloadPlan;
use crate::daemon::team::ManagedTeam;

const ENDS: [&str; 3] = [
    "none of the configured ports exists: the carrier of the team goes down, and no frame passes",
    "fewer than \"min_ports\" ports carry after the change: the carrier of the team goes down, and no \
     frame passes",
    "no port carries after the change: the carrier of the team goes down, and no frame passes",
];

impl ManagedTeam {
    /// Corrects the effects of a plan that starts from the running team.
    pub(super) fn examine_traffic(&self, plan: &mut ReloadPlan) {
        self.examine_partner(plan);
        self.examine_active_port(plan);
        self.examine_carrier(plan);
    }

    /// Marks changes after which the LACP partner ends the aggregation.
    fn examine_partner(&self, plan: &mut ReloadPlan) {
        let RunnerSettings::Lacp(before) = &self.core.settings().runner else {
            return;
        };
        let status = self.core.lacp_status(self.core.time());
        let ports = status.into_iter().flat_map(|status| status.ports);
        let partners: Vec<StateBits> =
            ports.filter(|port| port.state == "current").map(|port| port.partner.state).collect();
        if partners.is_empty() {
            return;
        }
        for (difference, effect) in &mut plan.changes {
            let path = difference.path();
            if let Some(why) = effect_on_partner(&path, before, &plan.settings.runner, &partners) {
                effect.interrupt(why);
            }
        }
    }

    /// Marks changes of ranks as live if the active port stays.
    fn examine_active_port(&self, plan: &mut ReloadPlan) {
        let RunnerSettings::ActiveBackup { failback, .. } = &plan.settings.runner else {
            return;
        };
        let is_rank = |difference: &Difference| difference.path() != ["runner", "name"];
        let moves = |effect: &Effect| *effect == Effect::Interrupts(MOVES);
        if !plan.changes.iter().any(|(difference, effect)| is_rank(difference) && moves(effect)) {
            return;
        }
        let mut after = self.team_after(plan, &plan.config, &plan.settings);
        after.handle(self.core.time() + failback.delay, Event::DeadlineReached);
        if after.waiting_port().is_some() || after.active_port() != self.core.active_port() {
            return;
        }
        for (difference, effect) in &mut plan.changes {
            if is_rank(difference) && moves(effect) {
                *effect = Effect::Live;
            }
        }
    }

    /// Marks the changes that take the carrier of the team, or its last port.
    fn examine_carrier(&self, plan: &mut ReloadPlan) {
        let after = self.team_after(plan, &plan.config, &plan.settings);
        if !carries(&self.core) || carries(&after) {
            return;
        }
        let [absent, too_few, none] = ENDS;
        let why = match (after.ports().next(), after.settings().min_ports) {
            (None, _) => absent,
            (_, 2..) => too_few,
            _ => none,
        };
        let of_ports = |difference: &Difference| difference.path()[0] == "ports";
        let may_end = |difference: &Difference| {
            let path = difference.path();
            matches!(path[0], "runner" | "link_watch" | "link_watch_policy" | "hwaddr")
        };
        let changes = plan.changes.iter().map(|(difference, _)| difference);
        let mut causes: Vec<String> = changes
            .clone()
            .filter(|difference| may_end(difference) && self.carries_without(plan, difference))
            .map(Difference::key)
            .collect();
        if causes.is_empty() {
            causes.extend(changes.clone().filter(|it| of_ports(it)).map(Difference::key));
        }
        if causes.is_empty() {
            causes.extend(changes.filter(|it| may_end(it)).map(Difference::key));
        }
        for (difference, effect) in &mut plan.changes {
            if causes.contains(&difference.key()) {
                effect.interrupt(why);
            }
        }
    }

    /// Returns whether the team carries after the plan without this change.
    fn carries_without(&self, plan: &ReloadPlan, difference: &Difference) -> bool {
        let before = difference.before.clone().unwrap_or(Value::Null);
        let path = KeyPath::parse(&difference.key()).ok();
        let config = path.and_then(|path| plan.config.with_value(&path, before).ok());
        config.is_some_and(|mut config| {
            let settings = self.settings_of(&mut config, self.core.settings());
            settings.is_ok_and(|settings| carries(&self.team_after(plan, &config, &settings)))
        })
    }

    /// Returns a copy of the team with another configuration. New ports that exist get a link at once.
    fn team_after(&self, plan: &ReloadPlan, config: &Config, settings: &TeamSettings) -> Team {
        let exists = |name: &str| if_nametoindex(&*interface_name_bytes(name)).is_ok();
        let is_new = |name: &&String| {
            self.core.find_port(name).is_none() && !self.ports.is_expected(name) && exists(name)
        };
        let ids = (self.ports.next_id().0..).map(PortId);
        let added =
            plan.ports.iter().filter(is_new).zip(ids).map(|(name, port)| Event::PortAdded {
                port,
                name: name.clone(),
                hwaddr: self.device.hwaddr,
                link: Link { up: true, ..Link::default() },
                settings: config.port(name).unwrap_or_default(),
                adopted: false,
            });
        let is_configured = |port: &Port| config.port_names().any(|name| name == port.name());
        let leaves = |port: &&Port| {
            !is_configured(port) && self.config.port_names().any(|name| name == port.name())
        };
        let staying = self.core.ports().filter(|port| is_configured(port));
        let ports = staying.filter_map(|port| {
            Some((port.id(), self.numbered(port.id(), config.port(port.name()).ok()?)))
        });
        let replaced = Event::SettingsReplaced {
            settings: Box::new(settings.clone()),
            ports: ports.collect(),
        };
        let left =
            self.core.ports().filter(leaves).map(|port| Event::PortRemoved { port: port.id() });
        let mut team = Team::clone(&self.core);
        team.handle_all(self.core.time(), added.chain([replaced]).chain(left));
        team
    }
}

/// Returns whether the team has a carrier and a port that sends.
fn carries(team: &Team) -> bool {
    team.carrier() && team.ports().any(|port| port.is_enabled() && port.is_linked())
}

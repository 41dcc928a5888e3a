//! Other settings for a running team: the runner and the link watches that continue, and those that
//! begin anew.

use super::Team;
use super::announcements::Announcements;
use super::links::push_watch_actions;
use crate::ident::PortId;
use crate::runner::factory;
use crate::settings::{PortSettings, TeamSettings};
use crate::time::Instant;

impl Team {
    /// Replaces the settings of the team and of the named ports.
    ///
    /// A runner continues with other settings of its own kind. A runner of another kind begins with
    /// the present ports, after the former runner has sent its last frames. A link watch with the
    /// same settings continues.
    pub(super) fn replace_settings(
        &mut self,
        now: Instant,
        settings: TeamSettings,
        ports: Vec<(PortId, PortSettings)>,
    ) {
        if !self.runner.settings_changed(now, &settings.runner) {
            self.runner.decide(now, &[]);
            self.actions.extend(std::iter::from_fn(|| self.runner.poll_action()));
            self.runner = factory::runner(&settings.runner);
            // The switch may have learned the addresses on a port that receives no more.
            self.announcement_due = true;
        }
        if settings.notify_peers != self.settings.notify_peers {
            self.notify_peers = Announcements::new(settings.notify_peers);
        }
        if settings.mcast_rejoin != self.settings.mcast_rejoin {
            self.mcast_rejoin = Announcements::new(settings.mcast_rejoin);
        }
        self.replace_hwaddr(&settings);
        self.settings = settings;
        for (port, settings) in ports {
            self.set_port_settings(now, port, settings);
        }
        let policy = self.settings.link_watch_policy;
        for at in 0..self.ports.len() {
            let actions = self.ports[at].replace_watches(now, policy);
            push_watch_actions(&mut self.actions, &self.ports[at], actions);
            self.retry_hwaddr(at);
        }
    }
}

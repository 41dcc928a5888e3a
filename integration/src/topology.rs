//! The standard site: a host with a team, a switch, a host without a team.
//!
//! A switch without link aggregation sends each flooded frame down both cables, which suits
//! activebackup only. For the runners that use all ports at once the switch aggregates too: a
//! second teamr runs on the switch, and its team device is one switch port.

use crate::cable::{Cable, CableKind};
use crate::daemon::Teamr;
use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::switch::Switch;
use crate::team::{DataPath, team_config};
use crate::traffic::{End, Pace, Stream};
use crate::wait::wait_until;

/// The ports of the left host's team, each with the switch end of its cable.
const PORTS: [(&str, &str); 2] = [("eth1", "left1"), ("eth2", "left2")];
/// The team device on the switch.
const PARTNER: &str = "lag0";

/// Hosts, switch and cables, without a team.
///
/// ```text
/// left ── eth1 ════ left1 ── switch ── right1 ════ eth1 ── right
///    └─── eth2 ════ left2 ─────┘
/// ```
pub struct Site {
    /// The host whose ports `eth1` and `eth2` become a team; both are down.
    pub left: Namespace,
    /// The host without a team, connected by `eth1`, which is up.
    pub right: Namespace,
    /// The switch between the hosts.
    pub switch: Switch,
    cables: [Cable; 2],
}

impl Site {
    /// Builds the site; `kind` is the kind of the left host's cables.
    pub fn new(lab: &Lab, kind: CableKind) -> Site {
        let (left, right, switch) = (lab.host("left"), lab.host("right"), lab.switch("switch"));
        let cables =
            PORTS.map(|(near, far)| lab.cable((&left, near), (switch.namespace(), far), kind));
        let cable = lab.cable((&right, "eth1"), (switch.namespace(), "right1"), CableKind::Virtual);
        right.up("eth1");
        switch.plug("right1");
        switch.wait_forwarding(&cable);
        Site { left, right, switch, cables }
    }

    /// Returns the cable of a port of the left host.
    pub fn cable(&self, port: &str) -> &Cable {
        let index = PORTS.iter().position(|(near, _)| *near == port);
        &self.cables[index.unwrap_or_else(|| panic!("no cable at {port}"))]
    }

    /// Starts a stream in each direction between 10.0.0.1 on the left host's `device` and 10.0.0.2 on
    /// the right host.
    pub fn start_streams(&self, device: &str, pace: Pace) -> [Stream; 2] {
        let left = End::new(&self.left, device, "10.0.0.1:7000");
        let right = End::new(&self.right, "eth1", "10.0.0.2:7000");
        [(&left, &right), (&right, &left)]
            .map(|(from, to)| Stream::start_at(pace, from, to, None, 100))
    }

    /// Plugs both cables of the left host into the switch as separate ports.
    pub fn plug_unaggregated(&self) {
        for cable in &self.cables {
            self.switch.plug(cable.far_interface());
        }
    }
}

/// A site whose left host has `team0`, up, without an address, with both port links up.
pub struct SiteWithTeam {
    /// Hosts, switch and cables.
    pub site: Site,
    /// The daemon on the left host.
    pub team: Teamr,
    partner: Option<Teamr>,
}

impl SiteWithTeam {
    /// Builds the site and starts the daemons.
    pub fn new(lab: &Lab, runner: &str, data_path: DataPath, kind: CableKind) -> SiteWithTeam {
        let site = Site::new(lab, kind);
        let near = PORTS.map(|(near, _)| near);
        let far = PORTS.map(|(_, far)| far);
        let partner = if runner == "activebackup" {
            site.plug_unaggregated();
            None
        } else {
            let config = team_config(PARTNER, runner, data_path, &far);
            let partner = Teamr::start(site.switch.namespace(), &config);
            site.switch.plug(PARTNER);
            Some(partner)
        };
        let team = Teamr::start(&site.left, &team_config("team0", runner, data_path, &near));
        let setup = SiteWithTeam { site, team, partner };
        setup.site.left.up("team0");
        for port in near {
            setup.wait_port(port, true);
        }
        for cable in &setup.site.cables {
            if setup.partner.is_none() {
                setup.site.switch.wait_forwarding(cable);
            }
        }
        setup
    }

    /// Replaces the daemon on the left host: `replace` ends the old daemon and starts the new one.
    pub fn replace_team(self, replace: impl FnOnce(Teamr) -> Teamr) -> SiteWithTeam {
        SiteWithTeam { team: replace(self.team), ..self }
    }

    /// Gives all daemons real-time priority; see [`Teamr::take_precedence`].
    pub fn take_precedence(&self) {
        self.team.take_precedence();
        self.partner.iter().for_each(Teamr::take_precedence);
    }

    /// Returns the port that carries traffic: the active port, or the first port of a runner
    /// without an active port.
    pub fn used_port(&self) -> String {
        match self.team.active_port() {
            Some(port) if !port.is_empty() => port,
            _ => PORTS[0].0.to_owned(),
        }
    }

    /// Waits until all daemons at the port's cable report the port up or down.
    pub fn wait_port(&self, port: &str, up: bool) {
        self.team.wait_port(port, up);
        if let Some(partner) = &self.partner {
            partner.wait_port(self.site.cable(port).far_interface(), up);
        }
    }

    /// Sets the MTU of every interface on the path; ports follow the MTU of the team device.
    pub fn set_mtu(&self, mtu: u32) {
        let Site { left, right, switch, .. } = &self.site;
        let switch = switch.namespace();
        let set = |host: &Namespace, interface: &str| {
            host.ip(&format!("link set dev {interface} mtu {mtu}"));
        };
        set(right, "eth1");
        set(switch, "right1");
        set(left, "team0");
        if self.partner.is_some() {
            set(switch, PARTNER);
        } else {
            PORTS.iter().for_each(|(_, far)| set(switch, far));
        }
        for (near, far) in PORTS {
            for (host, interface) in [(left, near), (switch, far)] {
                wait_until(&format!("{interface} to have the MTU of its team"), || {
                    host.link(interface)["mtu"] == mtu
                });
            }
        }
    }
}

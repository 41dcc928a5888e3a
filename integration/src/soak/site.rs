//! The site of a soak: a host with the team, its partner, and a namespace to which interfaces move.

use std::collections::BTreeSet;

use runners::HwAddr;
use serde_json::{Value, json};
use socket2::Socket;
use teamr::netlink::link;

use super::clients;
use super::world::{CONFIGURED, Event, Observed, PORTS, Use, name, other_name};
use crate::cable::CableKind;
use crate::control;
use crate::daemon::Teamr;
use crate::lab::Lab;
use crate::links;
use crate::namespace::Namespace;
use crate::ping::Ping;
use crate::switch::Switch;
use crate::team::{DataPath, team_config};

/// The team device of both ends.
const TEAM: &str = "team0";
/// Leaves the device in place at the end, and takes it over at the start.
const KEEP_DEVICE: [&str; 2] = ["-N", "-o"];
/// The partner's address.
const PARTNER: &str = "10.0.0.2";

/// The far ends of the cables.
enum Partner {
    /// A bridge, whose ports do not forward to each other.
    Bridge(Switch),
    /// A team with the runner lacp.
    Team { host: Namespace, team: Option<Teamr>, data_path: DataPath },
}

/// The hosts and daemons.
pub(super) struct Site<'a> {
    lab: &'a Lab,
    host: Namespace,
    shelf: Namespace,
    partner: Partner,
    config: Value,
    team: Option<Teamr>,
    clients: Vec<Socket>,
    plugged: [bool; PORTS],
    address: u8,
    partners: u8,
}

impl<'a> Site<'a> {
    /// Builds the site and starts the daemons.
    pub(super) fn new(lab: &'a Lab, runner: &str, usage: Use, data_path: DataPath) -> Site<'a> {
        let configured: Vec<String> = (0..CONFIGURED).map(name).collect();
        let configured: Vec<&str> = configured.iter().map(String::as_str).collect();
        let mut config = team_config(TEAM, runner, data_path, &configured);
        let partner = match usage {
            Use::Best | Use::All => Partner::Bridge(lab.switch("partner")),
            Use::Aggregate => {
                config["runner"]["fast_rate"] = json!(true);
                Partner::Team { host: lab.host("partner"), team: None, data_path }
            }
        };
        let mut site = Site {
            lab,
            host: lab.host("host"),
            shelf: lab.host("shelf"),
            partner,
            config,
            team: None,
            clients: Vec::new(),
            plugged: [true; PORTS],
            address: 1,
            partners: 0,
        };
        for port in 0..PORTS {
            site.create(port);
        }
        site.change_partner();
        if let Partner::Bridge(switch) = &site.partner {
            switch.namespace().address("br0", &format!("{PARTNER}/24"));
        }
        site.start();
        site.host.up(TEAM);
        site.host.address(TEAM, "10.0.0.1/24");
        site
    }

    /// Returns the daemon under test.
    pub(super) fn team(&self) -> &Teamr {
        self.team.as_ref().expect("the daemon runs between two events")
    }

    fn start(&mut self) {
        self.team = Some(Teamr::start_args(&self.host, &self.config, &KEEP_DEVICE));
    }

    fn far(&self) -> &Namespace {
        match &self.partner {
            Partner::Bridge(switch) => switch.namespace(),
            Partner::Team { host, .. } => host,
        }
    }

    /// Executes an event. Panics if the system or the daemon refuses.
    pub(super) fn execute(&mut self, event: Event) {
        match event {
            Event::Pull(port) => self.plug(port, false),
            Event::PutBack(port) => self.plug(port, true),
            Event::SetDown(port) => self.host.down(&name(port)),
            Event::SetUp(port) => self.host.up(&name(port)),
            Event::Delete(port) => {
                // Both ends are gone; the next cable is plugged.
                self.plugged[port] = true;
                let delete = |route: &mut _, ifindex| link::delete(route, ifindex);
                change(&self.host, &name(port), delete);
            }
            Event::Create(port) => self.create(port),
            Event::MoveAway(port) => move_between(&self.host, &self.shelf, &name(port)),
            Event::MoveBack(port) => move_between(&self.shelf, &self.host, &name(port)),
            Event::Rename(port) => self.rename(&name(port), &other_name(port)),
            Event::RenameBack(port) => self.rename(&other_name(port), &name(port)),
            Event::Remove(port) => self.request("PortRemove", &[&name(port)]),
            Event::Add(port) => self.request("PortAdd", &[&name(port)]),
            Event::Forbid(port) => self.set_item(&allowed(port), "false"),
            Event::Allow(port) => self.set_item(&allowed(port), "true"),
            Event::SetPrio(port, prio) => {
                let config = json!({ "prio": prio }).to_string();
                self.request("PortConfigUpdate", &[&name(port), &config]);
            }
            Event::Choose(port) => self.set_item("runner.active_port", &name(port)),
            Event::SetHwaddr(number) => self.set_hwaddr(number),
            Event::SetMtu(mtu) => {
                change(&self.host, TEAM, |route, ifindex| link::set_mtu(route, ifindex, mtu));
            }
            Event::SetAddress(number) => self.set_address(number),
            Event::Crash | Event::Restart => self.replace(event),
            Event::Disturb(client) => {
                let path = self.team().control_socket();
                let group = clients::connect(&path, client).expect("connect clients");
                self.clients.extend(group);
            }
            Event::Disconnect => self.clients.clear(),
            Event::ChangePartner => self.change_partner(),
        }
    }

    fn plug(&mut self, port: usize, plugged: bool) {
        self.plugged[port] = plugged;
        match plugged {
            true => self.far().up(&name(port)),
            false => self.far().down(&name(port)),
        }
    }

    /// Makes the cable of a port. The partner takes its end.
    fn create(&mut self, port: usize) {
        let name = name(port);
        self.plugged[port] = true;
        self.lab.cable((&self.host, &name), (self.far(), &name), CableKind::Virtual);
        if let Partner::Bridge(switch) = &self.partner {
            switch.plug(&name);
            let isolated = format!("/sys/class/net/{name}/brport/isolated");
            switch.namespace().write(&isolated, "1");
        }
    }

    fn rename(&self, from: &str, to: &str) {
        self.host.down(from);
        change(&self.host, from, |route, ifindex| links::rename(route, ifindex, to));
        self.host.up(to);
    }

    /// Calls a method that must succeed.
    fn request(&self, method: &str, args: &[&str]) {
        let answer = control::call_at(&self.team().control_socket(), method, args);
        let done = matches!(&answer, Ok(text) if text.starts_with("REPLY_SUCCESS"));
        assert!(done, "{method} {args:?}: {answer:?}");
    }

    fn set_item(&self, path: &str, value: &str) {
        self.request("StateItemValueSet", &[path, value]);
    }

    fn set_hwaddr(&self, number: u8) {
        let hwaddr = HwAddr([2, 0, 0, 0, 1, number]);
        change(&self.host, TEAM, |route, ifindex| link::set_hwaddr(route, ifindex, hwaddr));
        self.far().ip("neigh flush all");
    }

    fn set_address(&mut self, number: u8) {
        if number != self.address {
            self.host.ip(&format!("address del 10.0.0.{}/24 dev {TEAM}", self.address));
            self.host.address(TEAM, &format!("10.0.0.{number}/24"));
            self.address = number;
        }
    }

    /// Replaces the daemon; the next one takes the device over.
    fn replace(&mut self, how: Event) {
        self.clients.clear();
        let team = self.team.take().expect("the daemon runs between two events");
        match how {
            Event::Crash => team.crash(),
            _ => assert!(team.stop().success(), "the daemon did not stop"),
        }
        self.start();
    }

    /// Replaces the partner by one with another hardware address and another priority.
    fn change_partner(&mut self) {
        self.partners = self.partners.wrapping_add(1);
        let number = self.partners;
        match &mut self.partner {
            Partner::Bridge(switch) => {
                let hwaddr = HwAddr([2, 0, 0, 0, 2, number]);
                let set = |route: &mut _, ifindex| link::set_hwaddr(route, ifindex, hwaddr);
                change(switch.namespace(), "br0", set);
                self.host.ip("neigh flush all");
            }
            Partner::Team { host, team, data_path } => {
                if let Some(team) = team.take() {
                    assert!(team.stop().success(), "the partner did not stop");
                }
                let names: Vec<String> = (0..PORTS).map(name).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let mut config = team_config(TEAM, "lacp", *data_path, &names);
                config["runner"]["fast_rate"] = json!(true);
                config["runner"]["sys_prio"] = json!(100 + u32::from(number));
                config["hwaddr"] = json!(format!("02:00:00:00:02:{number:02x}"));
                *team = Some(Teamr::start(host, &config));
                host.up(TEAM);
                host.address(TEAM, &format!("{PARTNER}/24"));
                // The new daemon sets its ports up.
                for port in (0..PORTS).filter(|port| !self.plugged[*port]) {
                    host.down(&name(port));
                }
                if self.host.has_interface(TEAM) {
                    self.host.ip("neigh flush all");
                }
            }
        }
    }

    /// Looks at the daemon, the kernel and the partner.
    pub(super) fn look(&self) -> Result<Observed, String> {
        let state = control::state_at(&self.team().control_socket()).ok_or("no state")?;
        let ports = state["ports"].as_object().into_iter().flatten();
        let members: BTreeSet<String> = ports.map(|(name, _)| name.clone()).collect();
        let links = self.host.links("list the links", link::all);
        let team = links.iter().find(|link| link.name == TEAM).ok_or("no team device")?;
        let ports = || links.iter().filter(|link| members.contains(&link.name));
        let strangers = ports().filter(|link| link.hwaddr != team.hwaddr);
        Ok(Observed {
            carrying: carrying(&state),
            partner: match &self.partner {
                Partner::Bridge(_) => None,
                Partner::Team { team, .. } => {
                    let path = team.as_ref().ok_or("no partner")?.control_socket();
                    Some(carrying(&control::state_at(&path).ok_or("no state of the partner")?))
                }
            },
            mtus: ports().map(|link| link.mtu).collect(),
            strangers: strangers.map(|link| link.name.clone()).collect(),
            members,
        })
    }

    /// Whether the partner answers at least one of three pings.
    pub(super) fn reaches_partner(&self) -> bool {
        Ping::run(&self.host, PARTNER, 3, "").answered > 0
    }
}

fn allowed(port: usize) -> String {
    format!("ports.{}.teamr.allowed", name(port))
}

/// Returns the ports with a link that the daemon has enabled.
fn carrying(state: &Value) -> BTreeSet<String> {
    let ports = state["ports"].as_object().into_iter().flatten();
    let carries =
        |port: &Value| port["teamr"]["enabled"] == true && port["link_watches"]["up"] == true;
    ports.filter(|(_, port)| carries(port)).map(|(name, _)| name.clone()).collect()
}

/// Changes an interface by its index.
fn change(
    host: &Namespace,
    interface: &str,
    act: impl FnOnce(&mut teamr::netlink::RouteSocket, u32) -> std::io::Result<()>,
) {
    host.links(&format!("change {interface}"), |route| {
        let ifindex = link::find(route, interface)?.ifindex;
        act(route, ifindex)
    });
}

fn move_between(from: &Namespace, to: &Namespace, interface: &str) {
    let pid = to.pid();
    change(from, interface, |route, ifindex| links::move_to(route, ifindex, pid));
}

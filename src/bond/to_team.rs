//! Translates the modes and options of a bond to the configuration of a team.
//!
//! Standard: Linux's bonding driver, and teamd.conf(5) with teamr's own keys. An option without an
//! exact counterpart becomes a [`Note`](super::Note).

mod watches;

use serde_json::{Map, Value, json};
use watches::{targets, watches};

use super::model::{Bond, BondPort, Notes};
use super::options::Opt;

/// Distance of the primary's prio from the highest prio of the other ports.
const PRIMARY_PRIO: i32 = 100;

/// Interval at which the driver rebalances the flows of balance-tlb and balance-alb, in tenths of a
/// second.
const BALANCING_INTERVAL: u32 = 100;

/// Interval between two membership reports of the bonding driver, in milliseconds.
const IGMP_INTERVAL: u32 = 200;

/// The configuration of a team.
#[derive(Clone, Debug, PartialEq)]
pub struct TeamConfig(Map<String, Value>);

impl TeamConfig {
    /// Returns a configuration that files of a team contain.
    pub fn of(team: Map<String, Value>) -> TeamConfig {
        TeamConfig(team)
    }

    /// Returns the whole configuration, with the last newline.
    pub fn text(&self) -> String {
        json_config::to_text(&Value::Object(self.0.clone())) + "\n"
    }

    /// Returns the configuration on one line, without device and ports, which the file around it
    /// names.
    pub fn line(&self) -> String {
        let mut team = self.0.clone();
        team.retain(|key, _| key != "device" && key != "ports");
        json_config::to_line(&Value::Object(team))
    }

    /// Returns the entry of a port on one line; `None` if the entry is empty.
    pub fn port_line(&self, port: &str) -> Option<String> {
        let entry = self.0.get("ports")?.get(port)?;
        let empty = entry.as_object().is_none_or(Map::is_empty);
        (!empty).then(|| json_config::to_line(entry))
    }
}

/// Returns the team that behaves as `bond` does.
pub fn to_team(bond: &Bond, notes: &mut Notes) -> TeamConfig {
    let mut team = Map::new();
    team.insert("device".to_owned(), bond.name.as_str().into());
    let system = match bond.options.is_changed(Opt::AdActorSystem) {
        true => {
            notes.approximated(
                show(bond, Opt::AdActorSystem),
                "the team carries this address, not only its LACPDUs",
            );
            Some(bond.options.get(Opt::AdActorSystem))
        }
        false => bond.network.hwaddr.as_deref(),
    };
    if let Some(hwaddr) = system {
        team.insert("hwaddr".to_owned(), hwaddr.into());
    }
    team.insert("runner".to_owned(), runner(bond, notes).into());
    watches(bond, &mut team, notes);
    announcements(bond, &mut team);
    let ports: Map<String, Value> =
        bond.ports.iter().map(|port| (port.name.clone(), port_entry(bond, port).into())).collect();
    team.insert("ports".to_owned(), ports.into());
    note_lost_options(bond, notes);
    TeamConfig(team)
}

/// Returns the option as `name=value`, for notes.
fn show(bond: &Bond, opt: Opt) -> String {
    format!("{}={}", opt.row().name, bond.options.get(opt))
}

/// Returns the `runner` object.
fn runner(bond: &Bond, notes: &mut Notes) -> Map<String, Value> {
    let options = &bond.options;
    let hash = || tx_hash(options.get(Opt::XmitHashPolicy)).into();
    let mut runner = Map::new();
    let mut put = |key: &str, value: Value| drop(runner.insert(key.to_owned(), value));
    match options.mode() {
        0 => match options.number(Opt::PacketsPerSlave) {
            0 => put("name", "random".into()),
            1 => put("name", "roundrobin".into()),
            packets => {
                put("name", "roundrobin".into());
                put("packets_per_port", packets.into());
            }
        },
        1 => active_backup(bond, put, notes),
        2 if options.is_changed(Opt::BalanceSlb) => put("name", "slb".into()),
        2 => {
            put("name", "loadbalance".into());
            put("tx_hash", hash());
        }
        3 => put("name", "broadcast".into()),
        4 => {
            put("name", "lacp".into());
            put("tx_hash", hash());
            lacp(bond, put, notes);
        }
        mode => {
            put("name", if mode == 5 { "tlb" } else { "alb" }.into());
            tlb(bond, put, notes);
        }
    }
    runner
}

/// Puts the keys of the runner activebackup.
fn active_backup(bond: &Bond, mut put: impl FnMut(&str, Value), notes: &mut Notes) {
    let options = &bond.options;
    put("name", "activebackup".into());
    match options.get(Opt::FailOverMac) {
        "active" => put("hwaddr_policy", "by_active".into()),
        "follow" => {
            put("hwaddr_policy", "only_active".into());
            notes.approximated(
                show(bond, Opt::FailOverMac),
                "a port that ceases to be active gets its own address back, not the new \
                 one's",
            );
        }
        _ => {}
    }
    // Without a primary and prios, the driver keeps the active port while it works.
    let ranked = bond.primary().is_some() || bond.ports.iter().any(|port| port.prio != 0);
    let failback = match options.get(Opt::PrimaryReselect) {
        _ if !ranked => "failure",
        reselect => reselect,
    };
    if failback != "always" {
        put("failback", failback.into());
    }
    // Neither updelay nor failback_delay delays a port while no port is active.
    if options.is_changed(Opt::UpDelay) {
        match failback {
            "failure" => notes.approximated(
                show(bond, Opt::UpDelay),
                "a port that has just come up may take over from one that fails",
            ),
            _ => put("failback_delay", options.number(Opt::UpDelay).into()),
        }
    }
}

/// Puts the keys of the runner lacp.
fn lacp(bond: &Bond, mut put: impl FnMut(&str, Value), notes: &mut Notes) {
    let options = &bond.options;
    if options.get(Opt::LacpRate) == "fast" {
        put("fast_rate", true.into());
    }
    if options.get(Opt::LacpActive) == "off" {
        put("active", false.into());
    }
    if options.get(Opt::BroadcastNeighbor) == "on" {
        put("broadcast_neighbor", true.into());
    }
    if options.is_changed(Opt::AdActorSysPrio) {
        put("sys_prio", options.number(Opt::AdActorSysPrio).into());
    }
    let links = options.number(Opt::MinLinks);
    if links > 1 {
        put("min_ports", links.min(1024).into());
    }
    let policy = match options.get(Opt::AdSelect) {
        "bandwidth" => "bandwidth",
        "count" => "count",
        "actor_port_prio" => {
            if bond.ports.iter().all(|port| port.actor_port_prio.is_none()) {
                notes.approximated(
                    show(bond, Opt::AdSelect),
                    "no port is known to have an actor_port_prio other than 255, which only netlink \
                     shows; set lacp_prio of each port",
                );
            }
            "actor_port_prio"
        }
        _ => "lacp_prio_stable",
    };
    put("agg_select_policy", policy.into());
}

/// Puts the keys of the runners tlb and alb.
fn tlb(bond: &Bond, mut put: impl FnMut(&str, Value), notes: &mut Notes) {
    let options = &bond.options;
    if options.get(Opt::TlbDynamicLb) == "1" {
        let every = json!({"name": "basic", "balancing_interval": BALANCING_INTERVAL});
        put("tx_balancer", every);
    }
    if options.is_changed(Opt::LpInterval) {
        put("lp_interval", options.number(Opt::LpInterval).into());
    }
    if bond.primary().is_some() && options.get(Opt::PrimaryReselect) != "failure" {
        notes.approximated(
            show(bond, Opt::PrimaryReselect),
            "the designated port stays until it fails",
        );
    }
}

/// Returns the `tx_hash` for a hash policy.
pub fn tx_hash(policy: &str) -> &'static [&'static str] {
    match policy {
        "layer2+3" => &["eth", "l3"],
        "layer3+4" => &["l3", "l4"],
        "encap2+3" => &["eth", "l3", "encap"],
        "encap3+4" => &["l3", "l4", "encap"],
        "vlan+srcmac" => &["srcmac", "vlan"],
        _ => &["eth"],
    }
}

/// Adds `notify_peers` and `mcast_rejoin` where the bond differs from the default of the runner.
fn announcements(bond: &Bond, team: &mut Map<String, Value>) {
    let options = &bond.options;
    // The default is one announcement for the bond and for the runner.
    if options.is_changed(Opt::NumGratArp) || options.is_changed(Opt::PeerNotifDelay) {
        let count = options.number(Opt::NumGratArp);
        let mut burst = json!({"count": count});
        // Without peer_notif_delay, the driver sends one announcement each tick of its monitor.
        let intervals = [Opt::PeerNotifDelay, Opt::Miimon, Opt::ArpInterval];
        let mut intervals = intervals.into_iter().map(|opt| options.number(opt));
        if let Some(interval) = intervals.find(|interval| count > 1 && *interval > 0) {
            burst["interval"] = interval.into();
        }
        team.insert("notify_peers".to_owned(), burst);
    }
    let resend = options.number(Opt::ResendIgmp);
    if options.mode() == 1 && resend != 1 {
        let mut burst = json!({"count": resend});
        if resend > 1 {
            burst["interval"] = IGMP_INTERVAL.into();
        }
        team.insert("mcast_rejoin".to_owned(), burst);
    }
}

fn port_entry(bond: &Bond, port: &BondPort) -> Map<String, Value> {
    let options = &bond.options;
    let mut entry = Map::new();
    let primary = bond.primary() == Some(&port.name);
    let highest = bond.ports.iter().map(|port| port.prio).max().unwrap_or(0);
    let prio = match primary {
        true => highest.max(0).saturating_add(PRIMARY_PRIO),
        false => port.prio,
    };
    if prio != 0 {
        entry.insert("prio".to_owned(), prio.into());
    }
    if port.queue_id != 0 {
        entry.insert("queue_id".to_owned(), port.queue_id.into());
    }
    if let Some(prio) = port.actor_port_prio.filter(|_| options.mode() == 4) {
        entry.insert("lacp_prio".to_owned(), prio.into());
    }
    if options.is_changed(Opt::AdUserPortKey) {
        let key = options.number(Opt::AdUserPortKey);
        entry.insert("lacp_key".to_owned(), key.into());
    }
    entry
}

/// Adds a note for each option that has no counterpart in the mode of the bond.
fn note_lost_options(bond: &Bond, notes: &mut Notes) {
    let options = &bond.options;
    let mut lost = |opt: Opt, reason: &str| {
        if options.is_changed(opt) {
            notes.lost(show(bond, opt), reason);
        }
    };
    lost(
        Opt::AllSlavesActive,
        "a port that does not carry receives nothing; frames would come twice",
    );
    lost(Opt::UseCarrier, "the carrier is what the kernel says, drivers are not asked by ioctl");
    let mode = options.mode();
    if mode > 4 {
        lost(
            Opt::XmitHashPolicy,
            "the runner spreads by its own rule, not by a hash that can be chosen",
        );
    }
    if mode != 1 && mode != 4 {
        lost(
            Opt::ResendIgmp,
            "only activebackup moves the receiving port, so only there are groups joined anew",
        );
    }
    if targets(bond).is_empty() {
        lost(Opt::ArpInterval, "there is no target to ask");
    } else {
        lost(Opt::Miimon, "arp_interval excludes it");
        lost(Opt::UpDelay, "it belongs to miimon, which arp_interval excludes");
        lost(Opt::DownDelay, "it belongs to miimon, which arp_interval excludes");
    }
    if bond.primary().is_none() {
        lost(Opt::Primary, "it is no port of this bond");
    }
}

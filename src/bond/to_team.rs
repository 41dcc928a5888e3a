//! From a bond to a team: what each mode and option comes to.
//!
//! Standard: Linux's bonding driver and teamd.conf(5) with teamr's own keys. A row of the driver's
//! table that has no counterpart, or only a near one, becomes a [`Note`](super::Note).

mod watches;

use serde_json::{Map, Value, json};
use watches::{targets, watches};

use super::model::{Bond, BondPort, Notes};
use super::options::Opt;

/// Added to the prio of the primary, so that it is above the others whatever they have.
const PRIMARY_PRIO: i32 = 100;

/// How often the driver deals the flows of balance-tlb and balance-alb anew, in tenths of a second.
const REBALANCING: u32 = 100;

/// The pause between two membership reports of the bonding driver, in milliseconds.
const IGMP_PAUSE: u32 = 200;

/// A team's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct TeamConfig(Map<String, Value>);

impl TeamConfig {
    /// The whole, with the last newline.
    pub fn text(&self) -> String {
        json_config::to_text(&Value::Object(self.0.clone())) + "\n"
    }

    /// On one line, without device and ports: what a file that names both need not repeat.
    pub fn line(&self) -> String {
        let mut team = self.0.clone();
        team.retain(|key, _| key != "device" && key != "ports");
        json_config::to_line(&Value::Object(team))
    }

    /// A port's entry, on one line; none if it is empty.
    pub fn port_line(&self, port: &str) -> Option<String> {
        let entry = self.0.get("ports")?.get(port)?;
        let empty = entry.as_object().is_none_or(Map::is_empty);
        (!empty).then(|| json_config::to_line(entry))
    }
}

/// The team that does what `bond` does.
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
    let ports: Map<String, Value> = bond
        .ports
        .iter()
        .map(|port| (port.name.clone(), port_entry(bond, port).into()))
        .collect();
    team.insert("ports".to_owned(), ports.into());
    gone(bond, notes);
    TeamConfig(team)
}

/// `name=value`, for notes.
fn show(bond: &Bond, opt: Opt) -> String {
    format!("{}={}", opt.row().name, bond.options.get(opt))
}

fn runner(bond: &Bond, notes: &mut Notes) -> Map<String, Value> {
    let options = &bond.options;
    let mut runner = Map::new();
    let mut put = |key: &str, value: Value| runner.insert(key.to_owned(), value);
    match options.mode() {
        0 => match options.number(Opt::PacketsPerSlave) {
            0 => drop(put("name", "random".into())),
            1 => drop(put("name", "roundrobin".into())),
            packets => {
                put("name", "roundrobin".into());
                put("packets_per_port", packets.into());
            }
        },
        1 => {
            put("name", "activebackup".into());
            match options.get(Opt::FailOverMac) {
                "active" => drop(put("hwaddr_policy", "by_active".into())),
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
            // Without a primary and prios the driver never leaves a port that works.
            let ranked = bond.primary().is_some() || bond.ports.iter().any(|port| port.prio != 0);
            let failback = match options.get(Opt::PrimaryReselect) {
                _ if !ranked => "failure",
                reselect => reselect,
            };
            if failback != "always" {
                put("failback", failback.into());
            }
            // updelay does not hold up a port while none is active, nor does this.
            if options.is_changed(Opt::UpDelay) {
                match failback {
                    "failure" => notes.approximated(
                        show(bond, Opt::UpDelay),
                        "a port that has just come up may take over from one that fails",
                    ),
                    _ => drop(put("failback_delay", options.number(Opt::UpDelay).into())),
                }
            }
        }
        2 if options.is_changed(Opt::BalanceSlb) => drop(put("name", "slb".into())),
        2 => {
            put("name", "loadbalance".into());
            put("tx_hash", tx_hash(options.get(Opt::XmitHashPolicy)).into());
        }
        3 => drop(put("name", "broadcast".into())),
        4 => {
            put("name", "lacp".into());
            put("tx_hash", tx_hash(options.get(Opt::XmitHashPolicy)).into());
            if options.get(Opt::LacpRate) == "fast" {
                put("fast_rate", true.into());
            }
            if options.get(Opt::LacpActive) == "off" {
                put("active", false.into());
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
                "prio" => {
                    notes.approximated(
                        show(bond, Opt::AdSelect),
                        "lacp_prio takes the aggregator with the best port, not the best sum",
                    );
                    "lacp_prio"
                }
                _ => "lacp_prio_stable",
            };
            put("agg_select_policy", policy.into());
        }
        mode => {
            put("name", if mode == 5 { "tlb" } else { "alb" }.into());
            if options.get(Opt::TlbDynamicLb) == "1" {
                let every = json!({"name": "basic", "balancing_interval": REBALANCING});
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
    }
    runner
}

/// The words for a hash policy.
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

/// Only where the bond differs from what the runner does unasked.
fn announcements(bond: &Bond, team: &mut Map<String, Value>) {
    let options = &bond.options;
    // activebackup begins with one of each; the others leave it to the driver's default of one.
    if options.is_changed(Opt::NumGratArp) || options.is_changed(Opt::PeerNotifDelay) {
        let count = options.number(Opt::NumGratArp);
        let mut burst = json!({"count": count});
        // One a tick of the monitor, unless said otherwise.
        let pauses = [Opt::PeerNotifDelay, Opt::Miimon, Opt::ArpInterval];
        let mut pauses = pauses.into_iter().map(|opt| options.number(opt));
        if let Some(pause) = pauses.find(|pause| count > 1 && *pause > 0) {
            burst["interval"] = pause.into();
        }
        team.insert("notify_peers".to_owned(), burst);
    }
    let resend = options.number(Opt::ResendIgmp);
    if options.mode() == 1 && resend != 1 {
        let mut burst = json!({"count": resend});
        if resend > 1 {
            burst["interval"] = IGMP_PAUSE.into();
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
    if options.is_changed(Opt::AdUserPortKey) {
        let key = options.number(Opt::AdUserPortKey);
        entry.insert("lacp_key".to_owned(), key.into());
    }
    entry
}

/// What has no counterpart in the mode of this bond.
fn gone(bond: &Bond, notes: &mut Notes) {
    let options = &bond.options;
    let mut lost = |opt: Opt, why: &str| {
        if options.is_changed(opt) {
            notes.lost(show(bond, opt), why);
        }
    };
    lost(
        Opt::AllSlavesActive,
        "a port that does not carry receives nothing; frames would come twice",
    );
    lost(
        Opt::UseCarrier,
        "the carrier is what the kernel says, drivers are not asked by ioctl",
    );
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
        lost(
            Opt::UpDelay,
            "it belongs to miimon, which arp_interval excludes",
        );
        lost(
            Opt::DownDelay,
            "it belongs to miimon, which arp_interval excludes",
        );
    }
    if bond.primary().is_none() {
        lost(Opt::Primary, "it is no port of this bond");
    }
}

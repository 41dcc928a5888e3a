//! Translates the configuration of a team to a bond, the reverse of [`to_team`](super::to_team), with
//! a note for each key that a bond does not have.
//!
//! Reads the JSON by the table of keys, not as typed settings, so that the export also works for a
//! runner that this version can check but not run.

mod monitor;
mod ports;

use json_config::keys::{Object, Preset};
use runners::HashFields;
use serde_json::{Map, Value};

use super::model::{Bond, BondPort, Notes};
use super::options::{Opt, Options};
use super::to_team::tx_hash;
use monitor::monitor;
use ports::ports;

/// The `miimon` of an exported bond, in milliseconds. A team needs no such interval.
const MIIMON: u32 = 100;
/// The driver's maximum of `num_grat_arp` and `resend_igmp`.
const MOST_ANNOUNCEMENTS: i64 = 255;
/// The driver's maximum of `peer_notif_delay`, in milliseconds.
const LONGEST_PEER_NOTIF_DELAY: i64 = 300_000;

/// The members of an object of the configuration, with the kind of the object. An absent object has
/// the defaults.
#[derive(Clone, Copy)]
struct Members<'a>(Object, Option<&'a Map<String, Value>>);

impl<'a> Members<'a> {
    fn value(self, key: &str) -> Option<&'a Value> {
        self.1?.get(key)
    }

    fn object(self, key: &str, object: Object) -> Members<'a> {
        Members(object, self.value(key).and_then(Value::as_object))
    }

    fn text(self, key: &str) -> Option<&'a str> {
        let default = || match self.0.find(key)?.default {
            Preset::Word(word) => Some(word),
            _ => None,
        };
        self.value(key).and_then(Value::as_str).or_else(default)
    }

    fn number(self, key: &str) -> i64 {
        let default = || match self.0.find(key)?.default {
            Preset::Integer(number) => Some(number),
            _ => None,
        };
        let given = self.value(key).and_then(Value::as_i64);
        given.or_else(default).unwrap_or(0)
    }

    fn flag(self, key: &str) -> bool {
        let default = || self.0.find(key).map(|key| key.default) == Some(Preset::Boolean(true));
        self.value(key).and_then(Value::as_bool).unwrap_or_else(default)
    }

    /// Returns the elements of `link_watch`, which is an object or an array of objects.
    fn watches(self) -> Vec<Members<'a>> {
        let watches = match self.value("link_watch") {
            None => return Vec::new(),
            Some(Value::Array(elements)) => elements.as_slice(),
            Some(single) => std::slice::from_ref(single),
        };
        let watches = watches.iter();
        watches.map(|watch| Members(Object::LinkWatch, watch.as_object())).collect()
    }
}

/// Returns the bond that behaves as the team `name` does, without network settings except the
/// hardware address.
pub fn from_team(name: &str, team: &Map<String, Value>, notes: &mut Notes) -> Bond {
    let mut bond = Bond { name: name.to_owned(), ..Bond::default() };
    let team = Members(Object::Team, Some(team));
    if let Some(ports) = team.value("ports").and_then(Value::as_object) {
        bond.ports = ports.keys().map(|name| BondPort::new(name)).collect();
        bond.drop_unsafe_names(notes);
    }
    match team.text("hwaddr") {
        Some(hwaddr) if super::is_hwaddr(hwaddr) => bond.network.hwaddr = Some(hwaddr.to_owned()),
        Some(hwaddr) => notes
            .lost(format_args!("hwaddr={hwaddr:?}"), "it is not six pairs of hexadecimal digits"),
        None => {}
    }
    let runner = team.object("runner", Object::Runner);
    let options = &mut bond.options;
    mode(runner, options, notes);
    monitor(team, options, notes);
    announcements(team, options, notes);
    ports(team, runner, &mut bond, notes);
    bond
}

/// Sets the mode and the options that belong to the runner.
fn mode(runner: Members<'_>, options: &mut Options, notes: &mut Notes) {
    let name = runner.text("name").unwrap_or_default();
    let mode = match name {
        "activebackup" => "active-backup",
        "loadbalance" | "slb" => "balance-xor",
        "broadcast" => "broadcast",
        "lacp" => "802.3ad",
        "tlb" => "balance-tlb",
        "alb" => "balance-alb",
        _ => "balance-rr",
    };
    options.put(Opt::Mode, mode);
    match name {
        "random" => options.put(Opt::PacketsPerSlave, 0),
        "roundrobin" => options.put(Opt::PacketsPerSlave, runner.number("packets_per_port")),
        "activebackup" => {
            let policy = match runner.text("hwaddr_policy") {
                Some("by_active") => "active",
                Some("only_active") => {
                    notes.approximated(
                        "runner.hwaddr_policy=only_active",
                        "ports swap addresses at a failover, none gets its own back",
                    );
                    "follow"
                }
                _ => "none",
            };
            options.put(Opt::FailOverMac, policy);
        }
        "loadbalance" | "lacp" => hash_policy(runner, options, notes),
        "slb" => {
            options.put(Opt::XmitHashPolicy, "vlan+srcmac");
            options.put(Opt::BalanceSlb, 1);
        }
        _ => {}
    }
    if name == "lacp" {
        lacp(runner, options, notes);
    } else if runner.number("min_ports") > 1 {
        notes.lost(
            format_args!("runner.min_ports={}", runner.number("min_ports")),
            "a bond has min_links with 802.3ad only",
        );
    }
    balancing(name, runner, options, notes);
}

/// Sets the options of the transmit balancer and the learning packets.
fn balancing(name: &str, runner: Members<'_>, options: &mut Options, notes: &mut Notes) {
    let balancer = runner.object("tx_balancer", Object::TxBalancer);
    let balanced = balancer.text("name") == Some("basic");
    match name {
        "tlb" | "alb" => {
            options.put(Opt::TlbDynamicLb, u8::from(balanced));
            match runner.number("lp_interval") {
                0 => notes.lost("runner.lp_interval=0", "a bond always sends learning packets"),
                seconds => options.put(Opt::LpInterval, seconds),
            }
        }
        "loadbalance" | "lacp" | "slb" if balanced => {
            notes.lost("runner.tx_balancer", "a bond does not move flows by load");
        }
        _ => {}
    }
}

fn hash_policy(runner: Members<'_>, options: &mut Options, notes: &mut Notes) {
    let given = runner.value("tx_hash").and_then(Value::as_array);
    let words: Vec<&str> = match given {
        Some(words) => words.iter().filter_map(Value::as_str).collect(),
        None => match Object::Runner.find("tx_hash").map(|key| key.default) {
            Some(Preset::Words(words)) => words.to_vec(),
            _ => Vec::new(),
        },
    };
    let fields = fields(&words);
    let (l3, l4) = (fields_of("l3"), fields_of("l4"));
    let has_l3 = fields.intersects(l3);
    let policy = if fields.contains(HashFields::ENCAP) && fields.intersects(l4) {
        "encap3+4"
    } else if fields.contains(HashFields::ENCAP) && has_l3 {
        "encap2+3"
    } else if fields.intersects(l4) {
        "layer3+4"
    } else if has_l3 {
        "layer2+3"
    } else if fields.contains(HashFields::SRC_MAC) && !fields.contains(HashFields::ETH) {
        "vlan+srcmac"
    } else {
        "layer2"
    };
    options.put(Opt::XmitHashPolicy, policy);
    let same = self::fields(tx_hash(policy));
    if fields != same {
        notes.approximated(
            format_args!("runner.tx_hash={}", words.join(" ")),
            format_args!("{policy} hashes {}", tx_hash(policy).join(" ")),
        );
    }
}

fn fields(words: &[&str]) -> HashFields {
    let fields = words.iter().map(|word| fields_of(word));
    fields.fold(HashFields::NONE, |all, field| all | field)
}

fn fields_of(word: &str) -> HashFields {
    HashFields::from_name(word).unwrap_or(HashFields::NONE)
}

fn lacp(runner: Members<'_>, options: &mut Options, notes: &mut Notes) {
    if runner.flag("fast_rate") {
        options.put(Opt::LacpRate, "fast");
    }
    if !runner.flag("active") {
        options.put(Opt::LacpActive, "off");
    }
    if runner.flag("broadcast_neighbor") {
        options.put(Opt::BroadcastNeighbor, "on");
    }
    if runner.number("sys_prio") == 0 {
        notes.approximated("runner.sys_prio=0", "1 is the least that a bond takes");
    }
    options.put(Opt::AdActorSysPrio, runner.number("sys_prio").max(1));
    if runner.number("min_ports") > 1 {
        options.put(Opt::MinLinks, runner.number("min_ports"));
    }
    let policy = runner.text("agg_select_policy").unwrap_or_default();
    let (select, reason) = match policy {
        "bandwidth" => ("bandwidth", None),
        "count" => ("count", None),
        "actor_port_prio" => ("count", Some("no file of a bond has actor_port_prio of a port")),
        "lacp_prio_stable" => ("stable", None),
        "port_config" => ("stable", Some("a bond does not choose by prio and sticky")),
        _ => ("stable", Some("the aggregator in use stays while it works")),
    };
    options.put(Opt::AdSelect, select);
    if let Some(reason) = reason {
        notes.approximated(format_args!("runner.agg_select_policy={policy}"), reason);
    }
}

/// Rounds a delay in milliseconds up to a multiple of the driver's tick, since the driver rounds
/// down; adds a note about a changed delay.
fn in_ticks(key: &str, delay: i64, notes: &mut Notes) -> i64 {
    let tick = i64::from(MIIMON);
    let rounded = (delay + tick - 1) / tick * tick;
    if rounded != delay {
        notes.approximated(
            format_args!("{key}={delay}"),
            format_args!("{rounded}: a bond counts in ticks of {tick} ms"),
        );
    }
    rounded
}

fn announcements(team: Members<'_>, options: &mut Options, notes: &mut Notes) {
    let mode = options.mode();
    let default = i64::from(mode == 1);
    let count = |key: &str| {
        let burst = team.object(key, Object::Burst);
        let count = burst.value("count").and_then(Value::as_i64);
        (count, burst.number("interval"))
    };
    let (peers, pause) = count("notify_peers");
    let peers = peers.unwrap_or(if mode > 4 { 1 } else { default });
    if [1, 5, 6].contains(&mode) {
        options.put(Opt::NumGratArp, peers.min(MOST_ANNOUNCEMENTS));
        if peers > 1 && pause > 0 && options.number(Opt::Miimon) > 0 && pause != i64::from(MIIMON) {
            let pause = in_ticks("notify_peers.interval", pause, notes);
            options.put(Opt::PeerNotifDelay, pause.min(LONGEST_PEER_NOTIF_DELAY));
        }
    } else if peers > 0 {
        notes.lost(
            format_args!("notify_peers.count={peers}"),
            "a bond announces with active-backup, balance-tlb and balance-alb only",
        );
    }
    let (groups, pause) = count("mcast_rejoin");
    let groups = groups.unwrap_or(if [0, 5, 6].contains(&mode) { 1 } else { default });
    if [0, 1, 5, 6].contains(&mode) {
        options.put(Opt::ResendIgmp, groups.min(MOST_ANNOUNCEMENTS));
        if groups > 1 && pause != 200 {
            notes.approximated(
                format_args!("mcast_rejoin.interval={pause}"),
                "a bond pauses 200 ms",
            );
        }
    } else if groups > 0 {
        notes.lost(
            format_args!("mcast_rejoin.count={groups}"),
            "a bond does not resend memberships in this mode",
        );
    }
}

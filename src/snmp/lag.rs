//! The tables of IEEE8023-LAG-MIB, made of the states of teams (IEEE 802.1AX-2014, annex D).
//!
//! A team is an aggregator, and its ports are aggregation ports; the index of a row is the index of the
//! interface. Each port has selected the team as its aggregator, so that a manager that reads
//! dot3adAggPortSelectedAggID also finds the ports that are down. A team of another runner than lacp is
//! a static aggregate: every port is attached, and ActorOperState says which ports carry traffic.

use std::collections::BTreeMap;

use runners::HwAddr;
use runners::wire::lacpdu::StateBits;

use super::columns::{agg, agg_port, debug, port_list, stats};
use super::pdu::{Oid, Value};
use super::tree::Tree;
use crate::state::{Age, OrEmpty, Port, State};

/// lagMIB: iso, member-body, us, ieee802dot3, snmpmibs, 43.
pub const LAG_MIB: [u32; 6] = [1, 2, 840, 10006, 300, 43];

/// dot3adAggTable below [`LAG_MIB`], with its entry.
const AGG_TABLE: [u32; 4] = [1, 1, 1, 1];
/// dot3adAggPortListTable.
const PORT_LIST_TABLE: [u32; 4] = [1, 1, 2, 1];
/// dot3adAggPortTable.
const PORT_TABLE: [u32; 4] = [1, 2, 1, 1];
/// dot3adAggPortStatsTable.
const STATS_TABLE: [u32; 4] = [1, 2, 2, 1];
/// dot3adAggPortDebugTable.
const DEBUG_TABLE: [u32; 4] = [1, 2, 3, 1];
/// dot3adTablesLastChanged, with its index 0.
const LAST_CHANGED: [u32; 3] = [1, 3, 0];

/// Greatest interface index that dot3adAggPortListPorts lists: the list is a bitmap, of 1 KiB at most.
const MOST_LISTED: u32 = 8192;

/// Returns the name of lagMIB, below which all tables are.
pub fn subtree() -> Oid {
    Oid(LAG_MIB.to_vec())
}

/// The tables of all teams.
#[derive(Debug, Default)]
pub struct Tables {
    /// Rows of the tables whose changes dot3adTablesLastChanged dates: dot3adAggTable,
    /// dot3adAggPortListTable and dot3adAggPortTable.
    dated: Rows,
    /// All tables, and dot3adTablesLastChanged.
    tree: Tree,
    /// sysUpTime of the master agent at the last change of `dated`, in 1/100 s.
    changed: u32,
}

impl Tables {
    /// Replaces the tables by those of `states`. `uptime` is sysUpTime of the master agent, in 1/100 s.
    pub fn update(&mut self, states: &[State], uptime: u32) {
        let mut dated = Rows::default();
        let mut counters = Rows::default();
        for state in states {
            dated.add_team(state);
            counters.add_counters(state, uptime);
        }
        if dated != self.dated {
            (self.dated, self.changed) = (dated, uptime);
        }
        let changed = Oid([&LAG_MIB[..], &LAST_CHANGED].concat());
        let all = self.dated.0.clone().into_iter().chain(counters.0);
        self.tree = Tree(all.chain([(changed, Value::Ticks(self.changed))]).collect());
    }

    /// Returns the object instances of all tables.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }
}

/// Cells of tables by name.
#[derive(Debug, Default, PartialEq)]
struct Rows(BTreeMap<Oid, Value>);

impl Rows {
    /// Adds to `table` the row `index` with these columns.
    fn add<const N: usize>(&mut self, table: [u32; 4], index: u32, columns: [(u32, Value); N]) {
        for (column, value) in columns {
            let name = [&LAG_MIB[..], &table, &[column, index]].concat();
            self.0.insert(Oid(name), value);
        }
    }

    /// Adds the aggregator and the ports of a team; nothing for a team without an interface index.
    fn add_team(&mut self, state: &State) {
        let info = state.team_device.or_empty().ifinfo.or_empty();
        let Some(team) = index(info.ifindex) else {
            return;
        };
        let ports = ports(state, team);
        let runner = state.runner.or_empty();
        // The port whose LACPDU information the aggregator shows.
        let leader = ports.iter().find(|port| port.attached != 0).or(ports.first());
        let (actor, partner) = leader.map(|port| port.ends()).unwrap_or_default();
        let hwaddr = address(info.dev_addr.as_deref());
        let is_individual = leader.is_some_and(|it| !it.state.has(StateBits::AGGREGATION));
        self.add(
            AGG_TABLE,
            team,
            [
                (agg::MAC_ADDRESS, octets(hwaddr)),
                (agg::ACTOR_SYSTEM_PRIORITY, number(runner.sys_prio)),
                (agg::ACTOR_SYSTEM_ID, octets(actor.system.unwrap_or(hwaddr))),
                (agg::AGGREGATE_OR_INDIVIDUAL, truth(!is_individual)),
                (
                    agg::ACTOR_ADMIN_KEY,
                    number(leader.and_then(|port| port.port.runner.or_empty().key)),
                ),
                (agg::ACTOR_OPER_KEY, number(actor.key)),
                (agg::PARTNER_SYSTEM_ID, octets(partner.system.unwrap_or_default())),
                (agg::PARTNER_SYSTEM_PRIORITY, number(partner.system_priority)),
                (agg::PARTNER_OPER_KEY, number(partner.key)),
                // The LACPDUs have 0, too.
                (agg::COLLECTOR_MAX_DELAY, Value::Integer(0)),
            ],
        );
        let attached = ports.iter().filter(|port| port.attached == team);
        let members = bitmap(attached.map(|port| port.index));
        self.add(PORT_LIST_TABLE, team, [(port_list::PORTS, Value::Octets(members))]);
        for port in &ports {
            self.add_port(port, state, hwaddr);
        }
    }

    fn add_port(&mut self, port: &AggregationPort, state: &State, hwaddr: HwAddr) {
        let (own, runner) = (port.port.runner.or_empty(), state.runner.or_empty());
        let (actor, partner) = port.ends();
        let admin_state = StateBits::default()
            .with(StateBits::ACTIVITY, runner.active == Some(true))
            .with(StateBits::TIMEOUT, runner.fast_rate == Some(true))
            .with(StateBits::AGGREGATION, true);
        let none = || Value::Integer(0);
        self.add(
            PORT_TABLE,
            port.index,
            [
                (agg_port::ACTOR_SYSTEM_PRIORITY, number(runner.sys_prio)),
                (agg_port::ACTOR_SYSTEM_ID, octets(actor.system.unwrap_or(hwaddr))),
                (agg_port::ACTOR_ADMIN_KEY, number(own.key)),
                (agg_port::ACTOR_OPER_KEY, number(actor.key)),
                (agg_port::PARTNER_ADMIN_SYSTEM_PRIORITY, none()),
                (agg_port::PARTNER_OPER_SYSTEM_PRIORITY, number(partner.system_priority)),
                (agg_port::PARTNER_ADMIN_SYSTEM_ID, octets(HwAddr::default())),
                (agg_port::PARTNER_OPER_SYSTEM_ID, octets(partner.system.unwrap_or_default())),
                (agg_port::PARTNER_ADMIN_KEY, none()),
                (agg_port::PARTNER_OPER_KEY, number(partner.key)),
                (agg_port::SELECTED_AGG_ID, index_value(port.team)),
                (agg_port::ATTACHED_AGG_ID, index_value(port.attached)),
                (agg_port::ACTOR_PORT, number(actor.port.or(Some(port.index.into())))),
                (agg_port::ACTOR_PORT_PRIORITY, number(own.prio)),
                (agg_port::PARTNER_ADMIN_PORT, none()),
                (agg_port::PARTNER_OPER_PORT, number(partner.port)),
                (agg_port::PARTNER_ADMIN_PORT_PRIORITY, none()),
                (agg_port::PARTNER_OPER_PORT_PRIORITY, number(partner.port_priority)),
                (agg_port::ACTOR_ADMIN_STATE, bits(admin_state)),
                (agg_port::ACTOR_OPER_STATE, bits(port.state)),
                (agg_port::PARTNER_ADMIN_STATE, bits(StateBits::default())),
                (
                    agg_port::PARTNER_OPER_STATE,
                    bits(port.port.teamr.or_empty().lacp.or_empty().partner.unwrap_or_default()),
                ),
                (agg_port::AGGREGATE_OR_INDIVIDUAL, truth(port.state.has(StateBits::AGGREGATION))),
            ],
        );
    }

    /// Adds the statistics and the machines of the ports under runner lacp.
    fn add_counters(&mut self, state: &State, uptime: u32) {
        for (_, port) in state.ports() {
            let (Some(index), Some(lacp)) =
                (index(port.ifinfo.or_empty().ifindex), &port.teamr.or_empty().lacp)
            else {
                continue;
            };
            let (pdus, machines) = (lacp.pdus.or_empty(), lacp.machines.or_empty());
            self.add(
                STATS_TABLE,
                index,
                [
                    (stats::LACPDUS_RX, counter(pdus.received)),
                    (stats::MARKER_PDUS_RX, counter(pdus.markers)),
                    (stats::MARKER_RESPONSE_PDUS_RX, counter(pdus.own_marker_responses)),
                    (stats::ILLEGAL_RX, counter(pdus.malformed)),
                    (stats::LACPDUS_TX, counter(pdus.sent)),
                    (stats::MARKER_PDUS_TX, counter(pdus.own_markers)),
                    (stats::MARKER_RESPONSE_PDUS_TX, counter(pdus.marker_responses)),
                ],
            );
            let received = pdus.heard_ago.and_then(|Age(age)| age).map(|age| age / 10);
            let received = received.and_then(|age| u32::try_from(age).ok());
            let churns = lacp.churns.or_empty();
            self.add(
                DEBUG_TABLE,
                index,
                [
                    (debug::RX_STATE, word(machines.receive.as_deref(), &RECEIVE_STATES)),
                    (
                        debug::LAST_RX_TIME,
                        Value::Ticks(received.map_or(0, |age| uptime.wrapping_sub(age))),
                    ),
                    (debug::MUX_STATE, word(machines.mux.as_deref(), &MUX_STATES)),
                    (
                        debug::MUX_REASON,
                        Value::Octets(lacp.why.clone().unwrap_or_default().into_bytes()),
                    ),
                    (
                        debug::ACTOR_CHURN_STATE,
                        word(machines.actor_churn.as_deref(), &CHURN_STATES),
                    ),
                    (
                        debug::PARTNER_CHURN_STATE,
                        word(machines.partner_churn.as_deref(), &CHURN_STATES),
                    ),
                    (debug::ACTOR_CHURN_COUNT, counter(churns.actor)),
                    (debug::PARTNER_CHURN_COUNT, counter(churns.partner)),
                ],
            );
        }
    }
}

/// The states of dot3adAggPortDebugRxState, numbered from 1.
const RECEIVE_STATES: [&str; 6] =
    ["CURRENT", "EXPIRED", "DEFAULTED", "INITIALIZE", "LACP_DISABLED", "PORT_DISABLED"];
/// The states of dot3adAggPortDebugMuxState, numbered from 1.
const MUX_STATES: [&str; 5] = ["DETACHED", "WAITING", "ATTACHED", "COLLECTING", "DISTRIBUTING"];
/// The states of dot3adAggPortDebugActorChurnState, numbered from 1.
const CHURN_STATES: [&str; 3] = ["no churn", "churn", "monitor"];

/// A port with its place in the team.
struct AggregationPort<'a> {
    port: &'a Port,
    index: u32,
    /// Index of the team's interface: the aggregator that the port has selected.
    team: u32,
    /// Index of the aggregator that the port is attached to; 0 for none.
    attached: u32,
    /// Actor_State.
    state: StateBits,
}

/// LACPDU information of one end of a link; empty without LACP.
#[derive(Default)]
struct End {
    system: Option<HwAddr>,
    system_priority: Option<i64>,
    key: Option<i64>,
    port: Option<i64>,
    port_priority: Option<i64>,
}

impl AggregationPort<'_> {
    /// Returns the Actor and the Partner.
    fn ends(&self) -> (End, End) {
        let runner = self.port.runner.or_empty();
        let ends = [&runner.actor_lacpdu_info, &runner.partner_lacpdu_info].map(|info| {
            info.as_ref().map_or_else(End::default, |info| End {
                system: info.system.as_deref().and_then(|text| text.parse().ok()),
                system_priority: info.system_priority,
                key: info.key,
                port: info.port,
                port_priority: info.port_priority,
            })
        });
        ends.into()
    }
}

/// Returns the ports of a team whose device has the index `team`, in the order of the state.
fn ports(state: &State, team: u32) -> Vec<AggregationPort<'_>> {
    let is_lacp = state.setup.or_empty().runner_name.as_deref() == Some("lacp");
    let ports = state.ports().filter_map(|(_, port)| {
        let index = index(port.ifinfo.or_empty().ifindex)?;
        let (may_join, state) = match is_lacp {
            true => lacp_place(port),
            false => (true, static_state(port)),
        };
        let is_attached = may_join && state.has(StateBits::SYNCHRONIZATION);
        let attached = if is_attached { team } else { 0 };
        Some(AggregationPort { port, index, team, attached, state })
    });
    ports.collect()
}

/// Returns whether the team has selected the LACP aggregator of the port, and Actor_State. The port is
/// attached when Actor_State also has Synchronization (IEEE 802.1AX-2014, 6.4.15).
fn lacp_place(port: &Port) -> (bool, StateBits) {
    let carries = port.runner.or_empty().aggregator.or_empty().selected == Some(true);
    (carries, port.teamr.or_empty().lacp.or_empty().actor.unwrap_or_default())
}

/// Returns Actor_State of a port without LACP: with Synchronization, and with Collecting and
/// Distributing while the port carries traffic.
fn static_state(port: &Port) -> StateBits {
    let carries = port.teamr.or_empty().enabled.or(port.link.or_empty().up) == Some(true);
    let carrying = StateBits::COLLECTING | StateBits::DISTRIBUTING;
    (StateBits::AGGREGATION | StateBits::SYNCHRONIZATION).with(carrying, carries)
}

/// Returns an interface index; `None` for 0 and for a number that no u32 holds.
fn index(ifindex: Option<i64>) -> Option<u32> {
    ifindex.and_then(|ifindex| u32::try_from(ifindex).ok()).filter(|ifindex| *ifindex != 0)
}

fn index_value(index: u32) -> Value {
    number(Some(index.into()))
}

/// Returns the list of the ports with these indexes: a bit for each index from 1, the first one in the
/// highest bit of the first octet.
fn bitmap(indexes: impl Iterator<Item = u32>) -> Vec<u8> {
    let mut octets = Vec::new();
    for place in indexes.filter(|index| *index <= MOST_LISTED).map(|index| index - 1) {
        let octet = place as usize / 8;
        octets.resize(octets.len().max(octet + 1), 0);
        octets[octet] |= 0x80 >> (place % 8);
    }
    octets
}

fn address(text: Option<&str>) -> HwAddr {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn octets(hwaddr: HwAddr) -> Value {
    Value::Octets(hwaddr.0.to_vec())
}

/// Returns a number; 0 without one.
fn number(number: Option<i64>) -> Value {
    Value::Integer(number.and_then(|number| i32::try_from(number).ok()).unwrap_or(0))
}

/// Returns the number of the word among `words`, from 1; 0 for another word.
fn word(word: Option<&str>, words: &[&str]) -> Value {
    let place = words.iter().position(|known| Some(*known) == word);
    number(place.and_then(|place| i64::try_from(place + 1).ok()))
}

/// Returns a Counter32, which wraps to 0 at 2^32.
fn counter(count: Option<u64>) -> Value {
    Value::Counter(count.unwrap_or(0) as u32)
}

/// Returns a TruthValue of RFC 2579.
fn truth(holds: bool) -> Value {
    Value::Integer(if holds { 1 } else { 2 })
}

/// Returns the state as BITS, whose first bit is the highest of the octet.
fn bits(state: StateBits) -> Value {
    Value::Octets(vec![state.0.reverse_bits()])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::state::Part;

    fn tables(state: &Json) -> Tables {
        let mut tables = Tables::default();
        tables.update(&[State::read(state).expect("a state")], 700);
        tables
    }

    fn get(tables: &Tables, table: [u32; 4], column: u32, index: u32) -> Option<Value> {
        let name = [&LAG_MIB[..], &table, &[column, index]].concat();
        tables.tree.0.get(&Oid(name)).cloned()
    }

    fn team(runner: &str, ports: Json) -> Json {
        json!({
            "setup": {"runner_name": runner},
            "team_device": {"ifinfo": {"ifindex": 4, "dev_addr": "02:00:00:00:00:04"}},
            "runner": {"sys_prio": 65535, "active": true, "fast_rate": true},
            "ports": ports,
        })
    }

    #[test]
    fn a_port_of_lacp_has_both_ends_and_its_aggregator() {
        let end = |key: u64, state: u64| {
            json!({"key": key, "port": 2, "port_priority": 255, "state": state,
                "system": format!("02:00:00:00:00:0{key}"), "system_priority": 100})
        };
        let bits = |names: &[&str]| {
            let set = names.iter().map(|name| ((*name).to_owned(), Json::Bool(true)));
            Json::Object(set.collect())
        };
        let sync = bits(&["activity", "aggregation", "synchronization"]);
        let ports = json!({"eth1": {
            "ifinfo": {"ifindex": 9},
            "runner": {"aggregator": {"id": 9, "selected": true}, "key": 5, "prio": 255,
                "actor_lacpdu_info": end(5, 13), "partner_lacpdu_info": end(7, 61)},
            "teamr": {"lacp": {"actor": sync, "partner": bits(&["expired"]), "why": "so",
                "machines": {"receive": "CURRENT", "mux": "ATTACHED", "actor_churn": "monitor"},
                "pdus": {"received": (1_u64 << 32) + 3, "sent": 4, "heard_ago": 1000}}},
        }});
        let tables = tables(&team("lacp", ports));
        let integer = |table, column, index| match get(&tables, table, column, index) {
            Some(Value::Integer(number)) => number,
            other => panic!("{column}: {other:?}"),
        };
        assert_eq!(
            [3, 6, 7, 9, 10].map(|column| integer(AGG_TABLE, column, 4)),
            [65535, 5, 5, 100, 7]
        );
        assert_eq!([12, 13, 14, 17].map(|column| integer(PORT_TABLE, column, 9)), [4, 4, 2, 2]);
        assert_eq!(get(&tables, AGG_TABLE, 8, 4), Some(Value::Octets(vec![2, 0, 0, 0, 0, 7])));
        // Port 9 is the first bit of the second octet.
        assert_eq!(get(&tables, PORT_LIST_TABLE, 1, 4), Some(Value::Octets(vec![0, 0x80])));
        // BITS: activity, aggregation and synchronization; expired.
        assert_eq!(get(&tables, PORT_TABLE, 21, 9), Some(Value::Octets(vec![0b1011_0000])));
        assert_eq!(get(&tables, PORT_TABLE, 23, 9), Some(Value::Octets(vec![1])));
        assert_eq!(get(&tables, STATS_TABLE, 1, 9), Some(Value::Counter(3)));
        assert_eq!([1, 3, 5].map(|column| integer(DEBUG_TABLE, column, 9)), [1, 3, 3]);
        assert_eq!(get(&tables, DEBUG_TABLE, 2, 9), Some(Value::Ticks(600)));
    }

    #[test]
    fn a_port_out_of_the_aggregate_is_attached_to_none() {
        let ports = json!({"eth1": {
            "ifinfo": {"ifindex": 9},
            "runner": {"aggregator": {"id": 9, "selected": false}},
            "teamr": {"lacp": {"actor": {"synchronization": true}}},
        }});
        let tables = tables(&team("lacp", ports));
        assert_eq!(get(&tables, PORT_TABLE, 12, 9), Some(Value::Integer(4)));
        assert_eq!(get(&tables, PORT_TABLE, 13, 9), Some(Value::Integer(0)));
        assert_eq!(get(&tables, PORT_LIST_TABLE, 1, 4), Some(Value::Octets(vec![])));
    }

    #[test]
    fn every_port_of_another_runner_is_attached_and_says_whether_it_carries() {
        let port = |index: u32, enabled: bool| {
            let (ifinfo, teamr) = (json!({"ifindex": index}), json!({"enabled": enabled}));
            json!({"ifinfo": ifinfo, "link": {"up": true}, "teamr": teamr})
        };
        let ports = json!({"eth1": port(2, true), "eth2": port(3, false)});
        let tables = tables(&team("activebackup", ports));
        for (index, state) in [(2, 0b0011_1100), (3, 0b0011_0000)] {
            assert_eq!(get(&tables, PORT_TABLE, 13, index), Some(Value::Integer(4)));
            assert_eq!(get(&tables, PORT_TABLE, 21, index), Some(Value::Octets(vec![state])));
            assert_eq!(get(&tables, STATS_TABLE, 1, index), None);
        }
        assert_eq!(get(&tables, PORT_LIST_TABLE, 1, 4), Some(Value::Octets(vec![0b0110_0000])));
    }

    #[test]
    fn a_change_of_a_port_or_team_sets_the_time_of_the_last_change() {
        let changed = |tables: &Tables| {
            let name = Oid([&LAG_MIB[..], &LAST_CHANGED].concat());
            tables.tree.0.get(&name).cloned()
        };
        let state = |speed: u32| {
            let link = json!({"up": speed != 0, "speed": speed});
            let ports = json!({"eth1": {"ifinfo": {"ifindex": 9}, "link": link}});
            State::read(&team("roundrobin", ports)).expect("a state")
        };
        let mut tables = Tables::default();
        tables.update(&[state(1000)], 700);
        tables.update(&[state(100)], 800);
        assert_eq!(changed(&tables), Some(Value::Ticks(700)));
        tables.update(&[state(0)], 900);
        assert_eq!(changed(&tables), Some(Value::Ticks(900)));
        tables.update(&[], 950);
        assert_eq!(changed(&tables), Some(Value::Ticks(950)));
    }

    #[test]
    fn an_index_beyond_the_limit_has_a_row_and_no_bit() {
        let port = |index: i64| json!({"ifinfo": {"ifindex": index}});
        let ports = json!({"eth1": port(4_000_000), "eth2": port(-1)});
        let tables = tables(&team("roundrobin", ports));
        assert_eq!(get(&tables, PORT_TABLE, 13, 4_000_000), Some(Value::Integer(4)));
        assert_eq!(get(&tables, PORT_LIST_TABLE, 1, 4), Some(Value::Octets(vec![])));
    }
}

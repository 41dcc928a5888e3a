//! JSON to the settings of the core.
//!
//! An unusable value counts as absent. [`inspect`](crate::inspect) reports unusable values and
//! decides whether a run may continue with them.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use runners::{
    AggSelectPolicy, ArpPingSettings, BfdSettings, Burst, DampingSettings, ErrorsSettings,
    Failback, FailbackPolicy, FallbackMethod, Follower, HashFields, Host, HostTraffic,
    HwAddrPolicy, LacpPortSettings, LacpSettings, LinkWatchPolicy, LinkWatchSettings,
    NsnaPingSettings, PortSettings, ProbeSettings, Probing, RunnerSettings, TeamSettings,
};
use serde_json::{Map, Value};

use crate::data_path::DataPathChoice;
use crate::form::{check_form, parse_hwaddr};
use crate::keys::{Form, Key, Kind, Object, Preset};
use crate::lenient::{integer, known_word, runner_name, watch_name};

/// The members of one object, read by the table of keys; `None` reads as an empty object.
struct Members<'a> {
    object: Object,
    members: Option<&'a Map<String, Value>>,
}

impl<'a> Members<'a> {
    fn new(object: Object, members: Option<&'a Map<String, Value>>) -> Self {
        Members { object, members }
    }

    fn nested(&self, name: &str, object: Object) -> Members<'a> {
        Members::new(object, self.value(name).and_then(Value::as_object))
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        self.members.and_then(|members| members.get(name))
    }

    fn key(&self, name: &str) -> Option<&'static Key> {
        let key = self.object.find(name);
        debug_assert!(key.is_some(), "{name} is not in the table of keys");
        key
    }

    /// Returns the value if it is within the key's range.
    fn given_integer(&self, name: &str) -> Option<i64> {
        let Kind::Integer { min, max, .. } = self.key(name)?.kind else {
            return None;
        };
        integer(self.value(name)?).filter(|number| (min..=max).contains(number))
    }

    /// Returns the value or the default. The range of the key must fit into `T`; other values read
    /// as 0.
    fn integer<T: TryFrom<i64> + Default>(&self, name: &str) -> T {
        let default = || match self.key(name)?.default {
            Preset::Integer(number) => Some(number),
            _ => None,
        };
        self.given_integer(name)
            .or_else(default)
            .and_then(|number| T::try_from(number).ok())
            .unwrap_or_default()
    }

    fn milliseconds(&self, name: &str) -> Duration {
        Duration::from_millis(self.integer(name))
    }

    fn boolean(&self, name: &str) -> bool {
        let default = || self.key(name).map(|key| key.default) == Some(Preset::Boolean(true));
        self.value(name).and_then(Value::as_bool).unwrap_or_else(default)
    }

    /// Returns the value or the default; empty without both.
    fn word(&self, name: &str) -> &'static str {
        let given = || match self.key(name)?.kind {
            Kind::Word(words) => known_word(words, self.value(name)?.as_str()?),
            _ => None,
        };
        let default = || match self.key(name)?.default {
            Preset::Word(word) => Some(word),
            _ => None,
        };
        given().or_else(default).unwrap_or_default()
    }

    fn text(&self, name: &str, form: Form) -> Option<&'a str> {
        let text = self.value(name)?.as_str()?;
        check_form(form, text).is_ok().then_some(text)
    }
}

/// Returns `debug_level`.
pub(crate) fn read_debug_level(team: &Map<String, Value>) -> u32 {
    Members::new(Object::Team, Some(team)).integer("debug_level")
}

/// Returns `data_path`.
pub(crate) fn read_data_path(team: &Map<String, Value>) -> DataPathChoice {
    let word = Members::new(Object::Team, Some(team)).word("data_path");
    DataPathChoice::from_word(word).unwrap_or_default()
}

/// Returns `probe`; `None` if absent or not a boolean.
pub(crate) fn read_probe(team: &Map<String, Value>) -> Option<bool> {
    team.get("probe").and_then(Value::as_bool)
}

/// Reads the keys of the team as a whole; `seed` is for the runner `random`.
pub(crate) fn read_team(team: &Map<String, Value>, seed: u64) -> TeamSettings {
    let members = Members::new(Object::Team, Some(team));
    let runner = members.nested("runner", Object::Runner);
    let runner_settings = read_runner(&runner, seed);
    let (notified, rejoined) = match &runner_settings {
        RunnerSettings::ActiveBackup { .. } => (1, 1),
        // Each of the two switches learns from the announcement on its own ports.
        RunnerSettings::Lacp(lacp) if lacp.broadcast_neighbor => (1, 0),
        _ => (0, 0),
    };
    let hwaddr = members.value("hwaddr").and_then(Value::as_str);
    TeamSettings {
        runner: runner_settings,
        hwaddr: hwaddr.and_then(|text| parse_hwaddr(text).ok()),
        link_watch_policy: match members.word("link_watch_policy") {
            "all" => LinkWatchPolicy::All,
            _ => LinkWatchPolicy::Any,
        },
        notify_peers: read_burst(&members.nested("notify_peers", Object::Burst), notified),
        mcast_rejoin: read_burst(&members.nested("mcast_rejoin", Object::Burst), rejoined),
        min_ports: runner.integer("min_ports"),
        probe: read_probe(team).unwrap_or(true),
        follow: read_followers(&members),
    }
}

fn read_followers(members: &Members<'_>) -> Vec<Follower> {
    let list = members.value("follow").and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.filter_map(|text| text.parse().ok()).collect()
}

fn read_burst(burst: &Members<'_>, default_count: u32) -> Burst {
    Burst {
        count: burst
            .given_integer("count")
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(default_count),
        interval: burst.milliseconds("interval"),
    }
}

fn read_runner(runner: &Members<'_>, seed: u64) -> RunnerSettings {
    match runner.word("name") {
        "broadcast" => RunnerSettings::Broadcast,
        "random" => RunnerSettings::Random { seed },
        "activebackup" => RunnerSettings::ActiveBackup {
            hwaddr_policy: match runner.word("hwaddr_policy") {
                "by_active" => HwAddrPolicy::ByActive,
                "only_active" => HwAddrPolicy::OnlyActive,
                _ => HwAddrPolicy::SameAll,
            },
            failback: Failback {
                policy: match runner.word("failback") {
                    "better" => FailbackPolicy::Better,
                    "failure" => FailbackPolicy::Failure,
                    _ => FailbackPolicy::Always,
                },
                delay: runner.milliseconds("failback_delay"),
                probe: runner.boolean("failback_probe"),
            },
        },
        "loadbalance" => RunnerSettings::LoadBalance {
            tx_hash: read_tx_hash(runner),
            balancing_interval: read_balancing_interval(runner),
        },
        "lacp" => RunnerSettings::Lacp(read_lacp(runner)),
        name @ ("slb" | "tlb" | "alb") => RunnerSettings::Slb {
            host: match name {
                "tlb" => HostTraffic::Sent,
                "alb" => HostTraffic::Both,
                _ => HostTraffic::OnePort,
            },
            balancing_interval: read_balancing_interval(runner),
            learning_interval: Some(Duration::from_secs(runner.integer("lp_interval")))
                .filter(|interval| name != "slb" && !interval.is_zero()),
        },
        _ => RunnerSettings::RoundRobin {
            packets_per_port: NonZeroU32::new(runner.integer("packets_per_port"))
                .unwrap_or(NonZeroU32::MIN),
        },
    }
}

fn read_lacp(runner: &Members<'_>) -> LacpSettings {
    LacpSettings {
        active: runner.boolean("active"),
        fast_rate: runner.boolean("fast_rate"),
        fast_period: runner.milliseconds("fast_period"),
        sys_prio: runner.integer("sys_prio"),
        agg_select_policy: AggSelectPolicy::from_name(runner.word("agg_select_policy"))
            .unwrap_or_default(),
        fallback: runner.boolean("fallback"),
        fallback_method: FallbackMethod::from_name(runner.word("fallback_method"))
            .unwrap_or_default(),
        fallback_delay: runner.milliseconds("fallback_delay"),
        enable_retry_count: runner.boolean("enable_retry_count"),
        retry_count: runner.integer("retry_count"),
        marker_timeout: runner.boolean("marker").then(|| runner.milliseconds("marker_timeout")),
        broadcast_neighbor: runner.boolean("broadcast_neighbor"),
        keepalive: Duration::from_secs(runner.integer("keepalive")),
        tx_hash: read_tx_hash(runner),
        balancing_interval: read_balancing_interval(runner),
    }
}

fn read_tx_hash(runner: &Members<'_>) -> HashFields {
    let given: Option<Vec<&str>> = runner
        .value("tx_hash")
        .and_then(Value::as_array)
        .map(|words| words.iter().filter_map(Value::as_str).collect());
    let words = given.unwrap_or_else(|| default_tx_hash().to_vec());
    words
        .into_iter()
        .filter_map(HashFields::from_name)
        .fold(HashFields::NONE, |fields, field| fields | field)
}

fn read_balancing_interval(runner: &Members<'_>) -> Option<Duration> {
    let balancer = runner.nested("tx_balancer", Object::TxBalancer);
    let bare_name = runner.value("tx_balancer").and_then(Value::as_str);
    let on = balancer.word("name") == "basic" || bare_name == Some("basic");
    Some(balancer.integer("balancing_interval"))
        .filter(|tenths: &u64| on && *tenths > 0)
        .map(|tenths| Duration::from_millis(tenths * 100))
}

/// Returns the default words of `runner.tx_hash`.
pub(crate) fn default_tx_hash() -> &'static [&'static str] {
    match Object::Runner.find("tx_hash").map(|key| key.default) {
        Some(Preset::Words(words)) => words,
        _ => &[],
    }
}

/// Reads a port of `team`, whose link watches follow the port's own. The list may be empty.
pub(crate) fn read_port(
    team: &Map<String, Value>,
    port: Option<&Map<String, Value>>,
) -> PortSettings {
    let damping = read_damping(team, port);
    let port = Members::new(Object::Port, port);
    let watches = team.get("link_watch");
    let own = port.value("link_watch");
    // The runner is the only one to speak LACP on its ports.
    let runs_lacp = runner_name(team) == "lacp";
    PortSettings {
        prio: port.integer("prio"),
        sticky: port.boolean("sticky"),
        queue_id: port.given_integer("queue_id").and_then(|queue| u32::try_from(queue).ok()),
        lacp: LacpPortSettings {
            prio: port.integer("lacp_prio"),
            key: port.integer("lacp_key"),
            ..LacpPortSettings::default()
        },
        gate: port.boolean("gate"),
        follow: read_followers(&port),
        damping: damping.filter(|damping| damping.penalty > 0 && damping.reuse < damping.suppress),
        link_watches: own
            .into_iter()
            .chain(watches)
            .flat_map(|watches| match watches {
                Value::Array(elements) => elements.as_slice(),
                single => std::slice::from_ref(single),
            })
            .filter_map(|watch| read_watch(watch.as_object()?))
            .filter(|watch| !runs_lacp || !is_for_other_runners(watch))
            .collect(),
    }
}

/// Whether a link watch has no meaning with the runner lacp.
fn is_for_other_runners(watch: &LinkWatchSettings) -> bool {
    matches!(watch, LinkWatchSettings::Lacp(_) | LinkWatchSettings::Probe(_))
}

/// Reads the damping of a port, by default the one of `team`; `None` without the key.
pub(crate) fn read_damping(
    team: &Map<String, Value>,
    port: Option<&Map<String, Value>>,
) -> Option<DampingSettings> {
    let own = port.and_then(|port| port.get("damping")?.as_object());
    let general = team.get("damping").and_then(Value::as_object);
    own.or(general)?;
    let [own, general] = [own, general].map(|members| Members::new(Object::Damping, members));
    let number = |name: &str| -> u32 {
        let number = own.given_integer(name).and_then(|number| u32::try_from(number).ok());
        number.unwrap_or_else(|| general.integer(name))
    };
    let milliseconds = |name| Duration::from_millis(number(name).into());
    Some(DampingSettings {
        penalty: number("penalty"),
        suppress: number("suppress"),
        reuse: number("reuse"),
        half_life: milliseconds("half_life"),
        max_suppress: milliseconds("max_suppress"),
    })
}

fn read_watch(watch: &Map<String, Value>) -> Option<LinkWatchSettings> {
    let name = watch_name(watch)?;
    let watch = Members::new(Object::LinkWatch, Some(watch));
    let probing = || Probing {
        interval: watch.milliseconds("interval"),
        init_wait: watch.milliseconds("init_wait"),
        missed_max: watch.integer("missed_max"),
        retry_interval: Some(watch.milliseconds("retry_interval")).filter(|pause| !pause.is_zero()),
    };
    let vlanid = || watch.given_integer("vlanid").and_then(|id| u16::try_from(id).ok());
    Some(match name {
        "arp_ping" => LinkWatchSettings::ArpPing(ArpPingSettings {
            probing: probing(),
            target_host: host(watch.text("target_host", Form::Host)?),
            source_host: watch.text("source_host", Form::Host).map(host),
            vlanid: vlanid(),
            validate_active: watch.boolean("validate_active"),
            validate_inactive: watch.boolean("validate_inactive"),
            send_always: watch.boolean("send_always"),
        }),
        "nsna_ping" => LinkWatchSettings::NsnaPing(NsnaPingSettings {
            probing: probing(),
            target_host: host(watch.text("target_host", Form::Host)?),
        }),
        "probe" => LinkWatchSettings::Probe(ProbeSettings {
            probing: Probing { retry_interval: None, ..probing() },
            group: watch.integer("group"),
            vlanid: vlanid(),
        }),
        "tipc" => {
            LinkWatchSettings::Tipc { bearer: watch.text("tipc_bearer", Form::Bearer)?.to_owned() }
        }
        "bfd" => LinkWatchSettings::Bfd(BfdSettings {
            single_hop: watch.boolean("single_hop"),
            local: watch.text("local_address", Form::IpAddress)?.parse().ok()?,
            peer: watch.text("peer_address", Form::IpAddress)?.parse().ok()?,
            interval: watch.milliseconds("interval"),
            multiplier: watch.integer("multiplier"),
        }),
        "lacp" => LinkWatchSettings::Lacp(LacpSettings {
            active: watch.boolean("active"),
            fast_rate: watch.boolean("fast_rate"),
            fast_period: watch.milliseconds("fast_period"),
            sys_prio: watch.integer("sys_prio"),
            keepalive: Duration::from_secs(watch.integer("keepalive")),
            ..LacpSettings::default()
        }),
        "errors" => LinkWatchSettings::Errors(ErrorsSettings {
            interval: watch.milliseconds("interval"),
            error_ratio: watch.integer("error_ratio"),
            min_errors: watch.integer("min_errors"),
            hold_time: watch.milliseconds("hold_time"),
        }),
        _ => LinkWatchSettings::Ethtool {
            delay_up: watch.milliseconds("delay_up"),
            delay_down: watch.milliseconds("delay_down"),
        },
    })
}

/// Returns a host with its address, or a name to resolve. The interface behind `%` is dropped: a
/// watch sends on its own port only.
fn host<A: FromStr>(text: &str) -> Host<A> {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    Host { name: text.to_owned(), address: address.parse().ok() }
}

//! JSON to [`model`](crate::model) types.
//!
//! Reads leniently: whatever cannot be used counts as absent. What is odd about a value, and
//! whether a run may go on with it, [`inspect`](crate::inspect) has said before.

use std::num::NonZeroU32;
use std::time::Duration;

use runners::{
    AggSelectPolicy, Burst, Failback, FailbackPolicy, FallbackMethod, HashFields, HostTraffic,
    HwAddrPolicy, LacpSettings, LinkWatchPolicy, Probing,
};
use serde_json::{Map, Value};

use crate::form::{check_form, parse_hwaddr};
use crate::inspect::{integer, known_word, watch_name};
use crate::keys::{Form, Key, Kind, Object, Preset};
use crate::model::{ArpPing, DataPathChoice, Hashing, NsnaPing, Port, Runner, Team, Watch};

/// The members of one object, looked up by the table of keys; none reads as an empty object.
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

    /// The value if it is in the key's range.
    fn given_integer(&self, name: &str) -> Option<i64> {
        let Kind::Integer { min, max, .. } = self.key(name)?.kind else {
            return None;
        };
        integer(self.value(name)?).filter(|number| (min..=max).contains(number))
    }

    /// The value or the default. The range of the key must fit `T`; zero would be read else.
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
        self.value(name)
            .and_then(Value::as_bool)
            .unwrap_or_else(default)
    }

    /// The value or the default; empty if there is neither.
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

/// Reads what concerns the team as a whole.
pub(crate) fn read_team(team: &Map<String, Value>) -> Team {
    let team = Members::new(Object::Team, Some(team));
    let runner = team.nested("runner", Object::Runner);
    let kind = read_runner(&runner);
    let count = match kind {
        Runner::ActiveBackup { .. } => 1,
        _ => 0,
    };
    Team {
        device: team
            .value("device")
            .and_then(Value::as_str)
            .map(str::to_owned),
        debug_level: team.integer("debug_level"),
        data_path: DataPathChoice::from_word(team.word("data_path")).unwrap_or_default(),
        probe: team.value("probe").and_then(Value::as_bool),
        hwaddr: team
            .value("hwaddr")
            .and_then(Value::as_str)
            .and_then(|text| parse_hwaddr(text).ok()),
        link_watch_policy: match team.word("link_watch_policy") {
            "all" => LinkWatchPolicy::All,
            _ => LinkWatchPolicy::Any,
        },
        notify_peers: read_burst(&team.nested("notify_peers", Object::Burst), count),
        mcast_rejoin: read_burst(&team.nested("mcast_rejoin", Object::Burst), count),
        min_ports: runner.integer("min_ports"),
        runner: kind,
    }
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

fn read_runner(runner: &Members<'_>) -> Runner {
    match runner.word("name") {
        "broadcast" => Runner::Broadcast,
        "random" => Runner::Random,
        "activebackup" => Runner::ActiveBackup {
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
            },
        },
        "loadbalance" => Runner::LoadBalance(read_hashing(runner)),
        "lacp" => Runner::Lacp(read_lacp(runner)),
        name @ ("slb" | "tlb" | "alb") => Runner::Slb {
            host: match name {
                "tlb" => HostTraffic::Sent,
                "alb" => HostTraffic::Both,
                _ => HostTraffic::OnePort,
            },
            balancing_interval: read_balancing_interval(runner),
            learning_interval: Some(Duration::from_secs(runner.integer("lp_interval")))
                .filter(|interval| name != "slb" && !interval.is_zero()),
        },
        _ => Runner::RoundRobin {
            packets_per_port: NonZeroU32::new(runner.integer("packets_per_port"))
                .unwrap_or(NonZeroU32::MIN),
        },
    }
}

fn read_lacp(runner: &Members<'_>) -> LacpSettings {
    let hashing = read_hashing(runner);
    LacpSettings {
        active: runner.boolean("active"),
        fast_rate: runner.boolean("fast_rate"),
        fast_period: runner.milliseconds("fast_period"),
        sys_prio: runner.integer("sys_prio"),
        agg_select_policy: AggSelectPolicy::from_name(runner.word("agg_select_policy"))
            .unwrap_or_default(),
        fallback: runner.boolean("fallback"),
        fallback_method: match runner.word("fallback_method") {
            "all" => FallbackMethod::All,
            _ => FallbackMethod::Single,
        },
        fallback_delay: runner.milliseconds("fallback_delay"),
        enable_retry_count: runner.boolean("enable_retry_count"),
        retry_count: runner.integer("retry_count"),
        marker_timeout: runner
            .boolean("marker")
            .then(|| runner.milliseconds("marker_timeout")),
        tx_hash: hashing.tx_hash,
        balancing_interval: hashing.balancing_interval,
    }
}

fn read_hashing(runner: &Members<'_>) -> Hashing {
    let given: Option<Vec<&str>> = runner
        .value("tx_hash")
        .and_then(Value::as_array)
        .map(|words| words.iter().filter_map(Value::as_str).collect());
    let words = given.unwrap_or_else(|| default_tx_hash().to_vec());
    Hashing {
        tx_hash: words
            .into_iter()
            .filter_map(HashFields::from_name)
            .fold(HashFields::NONE, |fields, field| fields | field),
        balancing_interval: read_balancing_interval(runner),
    }
}

fn read_balancing_interval(runner: &Members<'_>) -> Option<Duration> {
    let balancer = runner.nested("tx_balancer", Object::TxBalancer);
    let bare_name = runner.value("tx_balancer").and_then(Value::as_str);
    let on = balancer.word("name") == "basic" || bare_name == Some("basic");
    Some(balancer.integer("balancing_interval"))
        .filter(|tenths: &u64| on && *tenths > 0)
        .map(|tenths| Duration::from_millis(tenths * 100))
}

/// The words that stand for an absent `runner.tx_hash`.
pub(crate) fn default_tx_hash() -> &'static [&'static str] {
    match Object::Runner.find("tx_hash").map(|key| key.default) {
        Some(Preset::Words(words)) => words,
        _ => &[],
    }
}

/// Reads a port; `watches` of the team follow the port's own. No watch at all is left so.
pub(crate) fn read_port(port: Option<&Map<String, Value>>, watches: Option<&Value>) -> Port {
    let port = Members::new(Object::Port, port);
    let own = port.value("link_watch");
    Port {
        prio: port.integer("prio"),
        sticky: port.boolean("sticky"),
        queue_id: port
            .given_integer("queue_id")
            .and_then(|queue| u32::try_from(queue).ok()),
        lacp_prio: port.integer("lacp_prio"),
        lacp_key: port.integer("lacp_key"),
        link_watches: own
            .into_iter()
            .chain(watches)
            .flat_map(|watches| match watches {
                Value::Array(elements) => elements.as_slice(),
                single => std::slice::from_ref(single),
            })
            .filter_map(|watch| read_watch(watch.as_object()?))
            .collect(),
    }
}

fn read_watch(watch: &Map<String, Value>) -> Option<Watch> {
    let name = watch_name(watch)?;
    let watch = Members::new(Object::LinkWatch, Some(watch));
    let probing = || Probing {
        interval: watch.milliseconds("interval"),
        init_wait: watch.milliseconds("init_wait"),
        missed_max: watch.integer("missed_max"),
    };
    Some(match name {
        "arp_ping" => Watch::ArpPing(ArpPing {
            probing: probing(),
            target_host: watch.text("target_host", Form::Host)?.to_owned(),
            source_host: watch.text("source_host", Form::Host).map(str::to_owned),
            vlanid: watch
                .given_integer("vlanid")
                .and_then(|id| u16::try_from(id).ok()),
            validate_active: watch.boolean("validate_active"),
            validate_inactive: watch.boolean("validate_inactive"),
            send_always: watch.boolean("send_always"),
        }),
        "nsna_ping" => Watch::NsnaPing(NsnaPing {
            probing: probing(),
            target_host: watch.text("target_host", Form::Host)?.to_owned(),
        }),
        "tipc" => Watch::Tipc {
            bearer: watch.text("tipc_bearer", Form::Bearer)?.to_owned(),
        },
        _ => Watch::Ethtool {
            delay_up: watch.milliseconds("delay_up"),
            delay_down: watch.milliseconds("delay_down"),
        },
    })
}

//! Faults of several keys together, and of values beyond their type; only the strict check reports
//! them.
//!
//! Owns what a single row of the [table of keys](crate::keys) cannot say: the team as its own port,
//! too few ports, a team that follows itself, two speakers of LACP on one port, thresholds of damping
//! that contradict each other, a data path that cannot serve the runner, a host of the wrong address
//! family.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value};

use crate::data_path::DataPathChoice;
use crate::finding::{Weight, Words};
use crate::inspect::Walk;
use crate::lenient::integer;
use crate::problem::shortened;
use crate::read::read_damping;
use crate::text::quoted;

impl Walk<'_> {
    /// Inspects the keys of the team together.
    pub(crate) fn combinations(&mut self, team: &Map<String, Value>) {
        let ports = team.get("ports").and_then(Value::as_object);
        let device = team.get("device").and_then(Value::as_str);
        if let Some(device) = device.filter(|device| ports.is_some_and(|p| p.contains_key(*device)))
        {
            self.step("ports", |walk| {
                walk.step(device, |walk| {
                    let mend = "name an interface below the team".to_owned();
                    walk.add_at_key(|| ("the team is its own port".to_owned(), mend));
                });
            });
        }
        let runner = team.get("runner").and_then(Value::as_object);
        let min_ports = runner.and_then(|runner| integer(runner.get("min_ports")?));
        let count = ports.map_or(0, Map::len);
        if let Some(min_ports) = min_ports.filter(|min| count > 0 && *min > count as i64) {
            self.step("runner", |walk| {
                walk.fault("min_ports", || Words {
                    message: format!("expected at most {count}, the ports, found {min_ports}"),
                    mend: "lower it, or add ports: the team never gets a carrier".to_owned(),
                    ..Words::default()
                });
            });
        }
        self.followers(team, device, ports);
        self.lacp_watches(team, ports);
        self.damping(team, None);
        for (name, port) in ports.into_iter().flatten() {
            if let Some(port) = port.as_object().filter(|port| port.contains_key("damping")) {
                self.step("ports", |walk| walk.step(name, |walk| walk.damping(team, Some(port))));
            }
        }
        self.data_path(team, runner);
    }

    /// Inspects the lists `follow` of the team and of its ports for the team device and its ports: a
    /// port that is down because the team has no carrier could never give the team a carrier again.
    fn followers(
        &mut self,
        team: &Map<String, Value>,
        device: Option<&str>,
        ports: Option<&Map<String, Value>>,
    ) {
        let inspect = |walk: &mut Self, object: &Map<String, Value>| {
            let Some(elements) = object.get("follow").and_then(Value::as_array) else { return };
            walk.step("follow", |walk| {
                walk.each(elements, |walk, element| {
                    let what = match element.as_str() {
                        Some(name) if ports.is_some_and(|it| it.contains_key(name)) => "a port",
                        Some(name) if device == Some(name) => "the device",
                        _ => return,
                    };
                    walk.add(Weight::Strict, || Words {
                        message: format!("{what} of the team cannot follow the team"),
                        mend: "name an interface beyond the team".to_owned(),
                        ..Words::default()
                    });
                });
            });
        };
        inspect(self, team);
        for (name, port) in ports.into_iter().flatten() {
            if let Some(port) = port.as_object() {
                self.step("ports", |walk| walk.step(name, |walk| inspect(walk, port)));
            }
        }
    }

    /// Inspects the link watches of the team and of each port for a second watch lacp.
    fn lacp_watches(&mut self, team: &Map<String, Value>, ports: Option<&Map<String, Value>>) {
        let count = |object: &Map<String, Value>| match object.get("link_watch") {
            Some(Value::Array(watches)) => watches.iter().filter(|watch| is_lacp(watch)).count(),
            watch => watch.into_iter().filter(|watch| is_lacp(watch)).count(),
        };
        let report = |walk: &mut Self, count: usize| {
            if count > 1 {
                walk.fault("link_watch", || Words {
                    message: format!("expected one watch \"lacp\" for a port, found {count}"),
                    mend: "remove the others: only the first runs LACP".to_owned(),
                    ..Words::default()
                });
            }
        };
        let general = count(team);
        report(self, general);
        for (name, port) in ports.into_iter().flatten() {
            let own = port.as_object().map_or(0, count);
            if own > 0 {
                self.step("ports", |walk| walk.step(name, |walk| report(walk, own + general)));
            }
        }
    }

    /// Inspects a link watch that has no meaning on a port of the runner lacp.
    pub(crate) fn watch_beside_lacp(&mut self, name: Option<&str>) {
        let (why, mend) = match name {
            Some("lacp") => {
                ("which speaks LACP on every port", "remove the watch, or choose another runner")
            }
            Some("probe") => (
                "whose switch may send a reply on another port of the aggregate",
                "choose the watch \"bfd\", or another runner",
            ),
            _ => return,
        };
        if self.runner() == "lacp" {
            self.step("name", |walk| {
                walk.add(Weight::Fallback, || Words {
                    message: format!("no effect with runner \"lacp\", {why}"),
                    mend: mend.to_owned(),
                    instead: "the watch is left out".to_owned(),
                    ..Words::default()
                });
            });
        }
    }

    /// Inspects the thresholds of damping of the team, or of one port.
    fn damping(&mut self, team: &Map<String, Value>, port: Option<&Map<String, Value>>) {
        let Some(damping) = read_damping(team, port).filter(|damping| damping.penalty > 0) else {
            return;
        };
        let (suppress, reuse) = (damping.suppress, damping.reuse);
        if reuse >= suppress {
            return self.step("damping", |walk| {
                walk.add(Weight::Fallback, || Words {
                    message: format!("expected reuse below suppress, {suppress}, found {reuse}"),
                    mend: "lower reuse, or raise suppress".to_owned(),
                    instead: "damping is off".to_owned(),
                    ..Words::default()
                });
            });
        }
        let most = damping.penalty_ceiling();
        if most <= f64::from(suppress) {
            self.fault("damping", || Words {
                message: format!(
                    "expected suppress below {most:.0}, the most that the penalty reaches with \
                     reuse, half_life and max_suppress, found {suppress}"
                ),
                mend: "raise max_suppress, or lower half_life or suppress: no port is ever \
                       suppressed"
                    .to_owned(),
                ..Words::default()
            });
        }
    }

    fn data_path(&mut self, team: &Map<String, Value>, runner: Option<&Map<String, Value>>) {
        let word = team.get("data_path").and_then(Value::as_str);
        let Some(choice) = word.and_then(DataPathChoice::from_word) else {
            return;
        };
        let marker = runner.and_then(|runner| runner.get("marker")) == Some(&Value::Bool(true));
        let user = match (self.runner(), choice) {
            ("tlb" | "alb", DataPathChoice::Kernel) => {
                format!("runner {}", quoted(self.runner()))
            }
            ("lacp", DataPathChoice::Kernel) if marker => "\"marker\"".to_owned(),
            _ => return,
        };
        self.fault("data_path", || Words {
            message: format!("{} cannot serve {user}", quoted(choice.word())),
            mend: "remove the key, or write \"programs\" or \"relay\"".to_owned(),
            ..Words::default()
        });
    }

    /// Inspects the hosts of the link watch `name`.
    pub(crate) fn hosts(&mut self, watch: &Map<String, Value>, name: Option<&str>) {
        if name == Some("bfd") {
            self.bfd_addresses(watch);
        }
        for key in ["target_host", "source_host"] {
            let Some(host) = watch.get(key).and_then(Value::as_str) else {
                continue;
            };
            let expected = match name {
                Some("arp_ping") => misfit_of_arp(key, host),
                Some("nsna_ping") if key == "target_host" => misfit_of_nsna(host),
                _ => None,
            };
            if let Some(expected) = expected {
                self.fault(key, || Words {
                    message: format!("expected {expected}, found {}", quoted(&shortened(host))),
                    ..Words::default()
                });
            }
        }
    }

    /// Inspects the two addresses of a session together.
    fn bfd_addresses(&mut self, watch: &Map<String, Value>) {
        let address = |key| watch.get(key)?.as_str()?.parse::<IpAddr>().ok();
        let (Some(local), Some(peer)) = (address("local_address"), address("peer_address")) else {
            return;
        };
        let single_hop = watch.get("single_hop") == Some(&Value::Bool(true));
        let expected = match local {
            IpAddr::V6(_) if single_hop => "IPv4 address with \"single_hop\"",
            _ if local == peer => "address other than \"peer_address\"",
            _ if local.is_ipv4() != peer.is_ipv4() => "address of the family of \"peer_address\"",
            _ => return,
        };
        self.fault("local_address", || Words {
            message: format!("expected {expected}, found {}", quoted(&local.to_string())),
            ..Words::default()
        });
    }

    /// Reports the value of `key` to the strict check.
    fn fault(&mut self, key: &str, say: impl FnOnce() -> Words) {
        self.step(key, |walk| walk.add(Weight::Strict, say));
    }
}

/// Whether a link watch is the watch lacp.
fn is_lacp(watch: &Value) -> bool {
    watch.get("name").and_then(Value::as_str) == Some("lacp")
}

/// Returns the expectation that a host of arp_ping does not meet.
fn misfit_of_arp(key: &str, host: &str) -> Option<&'static str> {
    match host.parse::<Ipv4Addr>() {
        Ok(address) if key == "target_host" => {
            let answers = !address.is_multicast() && !address.is_broadcast();
            (!answers || address.is_unspecified()).then_some("address of one host")
        }
        Ok(_) => None,
        Err(_) if host.contains(':') => Some("IPv4 address or host name"),
        Err(_) => (is_number(host) && !is_short_ipv4(host)).then_some("IPv4 address or host name"),
    }
}

/// Returns the expectation that a host of nsna_ping does not meet.
fn misfit_of_nsna(host: &str) -> Option<&'static str> {
    let address = host.split_once('%').map_or(host, |(address, _)| address);
    match address.parse::<Ipv6Addr>() {
        Ok(address) => {
            (address.is_multicast() || address.is_unspecified()).then_some("address of one host")
        }
        Err(_) => (address.contains(':') || is_number(host)).then_some("IPv6 address or host name"),
    }
}

/// Whether the last label of a host is a number, which no name ends in (RFC 3696, section 2).
fn is_number(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the host is an IPv4 address with fewer than four numbers, as inet_aton(3) reads it:
/// the last number fills the bytes that are left.
fn is_short_ipv4(host: &str) -> bool {
    let numbers: Vec<&str> = host.split('.').collect();
    let Some((last, first)) = numbers.split_last() else {
        return false;
    };
    let fits = |number: &str, most: u64| number.parse::<u64>().is_ok_and(|found| found <= most);
    first.len() < 3
        && first.iter().all(|number| fits(number, 255))
        && fits(last, u64::from(u32::MAX) >> (8 * first.len()))
}

//! Every key of the table of keys, changed on a running team under a stream of packets. A live change
//! loses no packet, and another change loses no more than its plan announces. A refused change leaves
//! the team as it was. The cases come from the table, so each new key has a case.

use std::fs;

use integration::traffic::{Pace, Stream, Trace, now};
use integration::{
    CableKind, DataPath, Lab, Namespace, Ping, Sharing, SiteWithTeam, Teamr, TwoTeams,
    in_virtual_time, team_config, wait_until,
};
use json_config::keys::{Form, KEYS, Key, Kind, Object, Preset};
use serde_json::{Map, Value, json};

const PORTS: [&str; 2] = ["eth1", "eth2"];

/// One change of one key.
struct Case {
    /// The configuration before.
    base: Value,
    /// The key as `teamrctl set` takes it.
    path: String,
    value: Value,
}

/// Returns values that differ from the default, all words of a key with words.
fn values(key: &Key) -> Vec<Value> {
    match (key.kind, key.default) {
        (Kind::Boolean, Preset::Boolean(default)) => vec![json!(!default)],
        (Kind::Boolean, _) => vec![json!(true), json!(false)],
        (Kind::Integer { max, .. }, Preset::Integer(default)) if default < max => {
            vec![json!(default + 1)]
        }
        (Kind::Integer { .. }, Preset::Integer(default)) => vec![json!(default - 1)],
        (Kind::Integer { min, .. }, _) => vec![json!(min)],
        (Kind::Text(form), _) => vec![text(key, form)],
        (Kind::Word(words), default) => {
            let others = words.iter().filter(|word| default != Preset::Word(word));
            others.map(|word| json!(word)).collect()
        }
        (Kind::Words(words), _) => vec![json!([words[0]]), json!(words)],
        (Kind::Texts(form), _) => vec![json!([text(key, form)])],
        (Kind::Object(object), _) => vec![members(object)],
        (Kind::Watches, _) => vec![json!({"name": "ethtool", "delay_up": 1}), json!([])],
        (Kind::Ports, _) => vec![json!({"eth2": {}})],
    }
}

/// Returns an object with the first key of an object that has a value.
fn members(object: Object) -> Value {
    let key = object.keys().next().expect("a key");
    Value::Object(Map::from_iter([(key.name.to_owned(), values(key)[0].clone())]))
}

fn text(key: &Key, form: Form) -> Value {
    json!(match (form, key.name) {
        (Form::Any, _) => "file:schema.json",
        (Form::InterfaceName, _) => "other0",
        (Form::Follower, _) => "vf:eth9/3",
        (Form::HwAddr, _) => "02:00:00:00:00:77",
        // The second address of the neighbour.
        (Form::Host, "target_host") => "10.0.0.3",
        (Form::Host, _) => "10.0.0.1",
        (Form::IpAddress, "local_address") => "10.0.0.1",
        (Form::IpAddress, _) => "10.0.0.3",
        (Form::Bearer, _) => "eth2",
    })
}

/// Returns a link watch that reads the key.
fn watch(key: &Key) -> Value {
    let name = key.read_by.first().copied().unwrap_or("ethtool");
    let mut watch = json!({"name": name});
    for required in Object::LinkWatch.keys() {
        if required.required.is_some() && required.is_read_by(name) && required.name != "name" {
            watch[required.name] = match required.name {
                "target_host" => json!("10.0.0.2"),
                "tipc_bearer" => json!("eth1"),
                "local_address" => json!("10.0.0.9"),
                "peer_address" => json!("10.0.0.2"),
                other => panic!("no value for the required key {other}"),
            };
        }
    }
    watch
}

/// Returns the cases of a key.
fn cases(key: &'static Key, data_path: DataPath) -> Vec<Case> {
    let runner = match key.object {
        Object::Runner | Object::Port => key.read_by.first().copied(),
        Object::TxBalancer => Some("loadbalance"),
        _ => None,
    };
    let runner = runner.unwrap_or("activebackup");
    let mut base = team_config("team0", runner, data_path, &PORTS);
    if runner == "tlb" && data_path == DataPath::Kernel {
        // The daemon takes another data path.
        base.as_object_mut().expect("an object").remove("data_path");
    }
    if runner == "loadbalance" {
        base["runner"]["tx_balancer"] = json!({"name": "basic"});
    }
    let places = match key.object {
        Object::Team => vec![key.name.to_owned()],
        Object::Runner => vec![format!("runner.{}", key.name)],
        Object::TxBalancer => vec![format!("runner.tx_balancer.{}", key.name)],
        Object::Burst => {
            ["notify_peers", "mcast_rejoin"].map(|burst| format!("{burst}.{}", key.name)).into()
        }
        Object::Port => vec![format!("ports.eth2.{}", key.name)],
        Object::Damping => {
            ["", "ports.eth2."].map(|above| format!("{above}damping.{}", key.name)).into()
        }
        Object::LinkWatch => {
            let watch = watch(key);
            // Watches of the team and of the port add up, but LACP runs once on a port.
            let is_single = watch["name"] == "lacp";
            base["link_watch"] = watch.clone();
            let mut above = vec![""];
            if !is_single {
                base["ports"]["eth2"]["link_watch"] = watch;
                above.push("ports.eth2.");
            }
            above.iter().map(|above| format!("{above}link_watch.{}", key.name)).collect()
        }
    };
    let change =
        |path: String, value: &Value| Case { base: base.clone(), path, value: value.clone() };
    let values = values(key);
    places.iter().flat_map(|path| values.iter().map(|value| change(path.clone(), value))).collect()
}

/// A change that was made: its time, its description, and the seconds in which packets may be lost;
/// `None` for a change to the base of a case.
type Made = (u64, String, Option<f64>);

/// Returns the seconds in which changes may lose packets, according to the texts of the plan.
fn allowed(changes: &Value) -> f64 {
    let pauses = changes.as_array().expect("changes").iter().map(|change| {
        match (change["effect"].as_str(), change["why"].as_str().unwrap_or_default()) {
            (Some("live"), _) => 0.0,
            (_, why) if why.contains("a fraction of a millisecond") => 0.001,
            (_, why) if why.contains("a port whose gate closes") => 0.001,
            (_, why) if why.contains("the new hardware address") => 0.010,
            (_, why) if why.contains("two seconds") => 2.1,
            (_, why) if why.contains("no frame passes meanwhile") => 2.1,
            (_, why) => panic!("no limit for: {why}"),
        }
    });
    pauses.sum()
}

/// A team under test.
struct Subject<'a> {
    host: &'a Namespace,
    team: &'a Teamr,
    /// Waits until the team carries its traffic with a configuration.
    settled: &'a dyn Fn(&Value),
    made: Vec<Made>,
}

impl Subject<'_> {
    fn ctl(&self, args: &[&str]) -> Value {
        let mut command = self.host.command(integration::binary("teamrctl"));
        let output = command.args(["--json", "team0"]).args(args).output().expect("run teamrctl");
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{args:?}: {output:?}"))
    }

    /// Reloads a configuration; returns false if the daemon refuses it.
    fn reload(&mut self, what: String, config: &Value, allowed: Option<f64>) -> bool {
        let file = self.host.folder().join("changed.json");
        fs::write(&file, config.to_string()).expect("write a configuration");
        let before = self.untouched();
        self.made.push((now(), what.clone(), allowed));
        let answer = self.ctl(&["reload", &file.display().to_string()]);
        if answer["outcome"] == "refused" {
            assert_eq!(self.untouched(), before, "{what} is refused");
            return false;
        }
        assert_eq!(answer["outcome"], "done", "{what}: {answer}");
        (self.settled)(config);
        true
    }

    /// Returns the configuration and the carrying ports, which a refused change must not alter.
    fn untouched(&self) -> (String, Vec<String>) {
        (self.team.ask("config dump"), self.team.carrying())
    }

    fn change(&mut self, case: &Case) {
        let what = format!("{} = {}", case.path, case.value);
        if !self.reload(format!("the base of {what}"), &case.base, None) {
            // The kernel's driver has no tlb.
            assert_eq!(case.base["runner"]["name"], "tlb", "{what}");
            return;
        }
        let before = self.untouched();
        let text = case.value.as_str().map_or_else(|| case.value.to_string(), str::to_owned);
        // A team whose only watch lacks TIPC or a peer carries nothing, so no packet can be lost.
        let carries = has_neighbour(&case.base);
        self.made.push((now(), what.clone(), carries.then_some(0.0)));
        let answer = self.ctl(&["set", &case.path, &text]);
        let changes = &answer["changes"];
        if answer["outcome"] == "done" {
            assert_eq!(allowed(changes), 0.0, "{what}: {answer}");
            assert_eq!(self.ctl(&["get", &case.path]), case.value, "{what}");
            (self.settled)(&case.base);
            return;
        }
        assert_eq!(answer["outcome"], "refused", "{what}: {answer}");
        assert!(answer["error"].as_str().is_some_and(|why| why.len() > 10), "{what}: {answer}");
        assert_eq!(self.untouched(), before, "{what} is refused");
        let effects = changes.as_array().expect("changes").iter();
        let mut effects = effects.map(|change| &change["effect"]);
        let pauses = !changes.as_array().expect("changes").is_empty()
            && effects.all(|effect| effect != "refused");
        // The neighbour has no aggregate for another runner than the present one.
        if pauses && case.value != "lacp" {
            let mut config = case.base.clone();
            put(&mut config, &case.path, &case.value);
            assert!(self.reload(format!("{what}, with a pause"), &config, Some(allowed(changes))));
        }
    }

    /// Checks the streams, and prints their rate.
    fn check(&self, streams: impl IntoIterator<Item = Stream>) {
        for stream in streams {
            let what = stream.what().to_owned();
            let trace = stream.finish();
            let span = trace.sent.last().expect("a packet") - trace.sent[0];
            let rate = trace.sent.len() as f64 * 1e9 / span as f64;
            println!("{what}: {} changes, {rate:.0} packets/s", self.made.len());
            self.check_trace(&what, &trace, rate);
        }
    }

    fn check_trace(&self, what: &str, trace: &Trace, rate: f64) {
        let mut lost = vec![0_u32; self.made.len()];
        for number in trace.lost() {
            let sent = trace.sent[usize::try_from(number).expect("a number")];
            if let Some(change) = self.made.iter().rposition(|(at, ..)| *at <= sent) {
                lost[change] += 1;
            }
        }
        let surplus = self.made.iter().zip(&lost).filter(|((_, _, allowed), lost)| {
            allowed.is_some_and(|seconds| match seconds {
                0.0 => **lost > 0,
                seconds => f64::from(**lost) > seconds * rate + 1.0,
            })
        });
        let surplus: Vec<String> =
            surplus.map(|((_, what, _), lost)| format!("{what}: {lost} lost")).collect();
        assert!(surplus.is_empty(), "{what} at {rate:.0} packets/s: {surplus:#?}");
    }
}

/// Sets the value at a path without quotes and brackets.
fn put(config: &mut Value, path: &str, value: &Value) {
    let pointer = format!("/{}", path.replace('.', "/"));
    let (above, key) = pointer.rsplit_once('/').expect("a path");
    if config.pointer(above).is_none_or(|value| !value.is_object()) {
        put(config, &path[..path.rfind('.').expect("an object")], &json!({}));
    }
    config.pointer_mut(above).expect("an object")[key] = value.clone();
}

/// Whether the watch of a configuration goes up here: the kernel may have no TIPC, and the neighbour
/// speaks neither BFD nor LACP.
fn has_neighbour(config: &Value) -> bool {
    !["tipc", "bfd", "lacp"].contains(&config["link_watch"]["name"].as_str().unwrap_or_default())
}

fn is_lacp(case: &Case) -> bool {
    case.base["runner"]["name"] == "lacp"
}

fn all_cases(data_path: DataPath) -> Vec<Case> {
    let all: Vec<Case> = KEYS
        .iter()
        .flat_map(|key| {
            let cases = cases(key, data_path);
            assert!(!cases.is_empty(), "no case for {} {}", key.object.place(), key.name);
            cases
        })
        .collect();
    assert!(all.len() > KEYS.len());
    all
}

fn every_key_without_a_partner(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let setup = SiteWithTeam::new(&lab, "activebackup", data_path, CableKind::Virtual);
    setup.take_precedence();
    let (site, team) = (&setup.site, &setup.team);
    site.left.address("team0", "10.0.0.1/24");
    site.right.address("eth1", "10.0.0.2/24");
    site.right.address("eth1", "10.0.0.3/24");
    Ping::run(&site.left, "10.0.0.2", 1, "");
    let settled = |config: &Value| {
        if has_neighbour(config) {
            for port in config["ports"].as_object().expect("ports").keys() {
                let gone = team.port_up(port).is_none();
                if !gone {
                    team.wait_port(port, true);
                    site.switch.wait_forwarding(site.cable(port));
                }
            }
            // A runner for aggregates doubles replies here.
            wait_until("a reply", || Ping::run(&site.left, "10.0.0.2", 1, "").answered > 0);
        }
    };
    let streams = site.start_streams("team0", Pace::Dense);
    let mut subject = Subject { host: &site.left, team, settled: &settled, made: Vec::new() };
    for case in all_cases(data_path).iter().filter(|case| !is_lacp(case)) {
        subject.change(case);
    }
    subject.check(streams);
}

fn every_key_of_lacp(data_path: DataPath) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let hosts = TwoTeams::new(&lab);
    let config = team_config("team0", "lacp", data_path, &PORTS);
    let teams = [&hosts.left, &hosts.right].map(|host| Teamr::start(host, &config));
    hosts.set_up_teams();
    teams.iter().for_each(Teamr::take_precedence);
    let states = |team: &Teamr| {
        let state = team.state_at_socket();
        PORTS.map(|port| state["ports"][port]["runner"]["state"].clone())
    };
    let settled = |config: &Value| {
        // Ports of another key are no part of the aggregate.
        let apart = config["ports"]["eth2"]["lacp_key"].is_number();
        let carrying = if apart { &PORTS[..1] } else { &PORTS[..] };
        wait_until("the ports of the aggregate to carry", || {
            teams.iter().all(|team| team.carrying() == carrying)
        });
    };
    settled(&config);
    let [left, right] = hosts.ends(7000);
    let streams = [(&left, &right), (&right, &left)]
        .map(|(from, to)| Stream::start_at(Pace::Dense, from, to, None, 100));
    let team = &teams[0];
    let mut subject = Subject { host: &hosts.left, team, settled: &settled, made: Vec::new() };
    for case in all_cases(data_path).iter().filter(|case| is_lacp(case)) {
        subject.change(case);
        let live = subject.made.last().is_some_and(|(_, _, allowed)| *allowed == Some(0.0));
        // The partner of a live change never leaves CURRENT.
        if live {
            assert_eq!(
                teams.each_ref().map(states),
                [[json!("current"), json!("current")], [json!("current"), json!("current"),]]
            );
        }
    }
    subject.check(streams);
}

// In virtual time no data path is ever late: each forwards the dense stream anywhere.

#[test]
fn every_key_without_a_partner_on_programs() {
    in_virtual_time(|_| every_key_without_a_partner(DataPath::Programs));
}

#[test]
fn every_key_of_lacp_on_programs() {
    in_virtual_time(|_| every_key_of_lacp(DataPath::Programs));
}

#[test]
fn every_key_without_a_partner_on_the_relay() {
    in_virtual_time(|_| every_key_without_a_partner(DataPath::Userspace));
}

#[test]
fn every_key_of_lacp_on_the_relay() {
    in_virtual_time(|_| every_key_of_lacp(DataPath::Userspace));
}

#[test]
fn every_key_without_a_partner_with_the_kernels_driver() {
    in_virtual_time(|_| every_key_without_a_partner(DataPath::Kernel));
}

#[test]
fn every_key_of_lacp_with_the_kernels_driver() {
    in_virtual_time(|_| every_key_of_lacp(DataPath::Kernel));
}

//! From text to settings: defaults, replaced values, refused values.
#![allow(clippy::unwrap_used, reason = "a test fails by its panic")]

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use json_config::{Config, DataPathChoice};
use runners::{
    AggSelectPolicy, ArpPingSettings, BfdSettings, Burst, DampingSettings, ErrorsSettings,
    Failback, FailbackPolicy, FallbackMethod, HashFields, Host, HwAddr, HwAddrPolicy,
    LacpPortSettings, LacpSettings, LinkWatchPolicy, LinkWatchSettings, NsnaPingSettings,
    PortSettings, ProbeSettings, Probing, RunnerSettings, TeamSettings,
};

fn config(text: &str) -> Config {
    Config::parse(text.as_bytes()).unwrap()
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn each_runner_has_teamds_defaults() {
    let settings = |name: &str| {
        let text = format!("{{\"runner\": {{\"name\": \"{name}\"}}}}");
        let settings = config(&text).team_settings(7).unwrap();
        assert!(settings.probe, "{name}");
        TeamSettings { probe: false, ..settings }
    };
    assert_eq!(
        settings("roundrobin"),
        TeamSettings::new(RunnerSettings::RoundRobin { packets_per_port: NonZeroU32::MIN })
    );
    assert_eq!(settings("broadcast"), TeamSettings::new(RunnerSettings::Broadcast));
    let random = RunnerSettings::Random { seed: 7 };
    assert_eq!(settings("random"), TeamSettings::new(random));
    let loadbalance = RunnerSettings::LoadBalance {
        tx_hash: HashFields::ETH | HashFields::IPV4 | HashFields::IPV6,
        balancing_interval: None,
    };
    assert_eq!(settings("loadbalance"), TeamSettings::new(loadbalance));
    let once = Burst { count: 1, interval: Duration::ZERO };
    let activebackup = RunnerSettings::ActiveBackup {
        hwaddr_policy: HwAddrPolicy::SameAll,
        failback: Failback { probe: true, ..Failback::default() },
    };
    let expected =
        TeamSettings { notify_peers: once, mcast_rejoin: once, ..TeamSettings::new(activebackup) };
    assert_eq!(settings("activebackup"), expected);
}

#[test]
fn every_team_key_is_read() {
    let mut all = config(
        r#"{"device": "team0", "debug_level": 2, "data_path": "userspace",
            "hwaddr": "2:10:20:30:40:50", "link_watch_policy": "all",
            "notify_peers": {"count": 3, "interval": 100},
            "mcast_rejoin": {"count": 2, "interval": 50},
            "probe": false, "follow": ["eth5", "", 1, "vf:eth1/3"],
            "runner": {"name": "activebackup", "hwaddr_policy": "only_active", "min_ports": 2,
                       "failback": "better", "failback_delay": 3000,
                       "failback_probe": false}}"#,
    );
    assert_eq!(all.device(), Ok(Some("team0")));
    assert_eq!(all.debug_level(), 2);
    assert_eq!(all.data_path(), DataPathChoice::Relay);
    let expected = TeamSettings {
        runner: RunnerSettings::ActiveBackup {
            hwaddr_policy: HwAddrPolicy::OnlyActive,
            failback: Failback {
                policy: FailbackPolicy::Better,
                delay: milliseconds(3000),
                probe: false,
            },
        },
        hwaddr: Some(HwAddr([2, 0x10, 0x20, 0x30, 0x40, 0x50])),
        link_watch_policy: LinkWatchPolicy::All,
        notify_peers: Burst { count: 3, interval: milliseconds(100) },
        mcast_rejoin: Burst { count: 2, interval: milliseconds(50) },
        min_ports: 2,
        probe: false,
        follow: vec!["eth5".parse().unwrap(), "vf:eth1/3".parse().unwrap()],
    };
    assert_eq!(all.team_settings(0).unwrap(), expected);
}

#[test]
fn keys_of_the_plain_runners_are_read() {
    let mut config = config(r#"{"runner": {"packets_per_port": 65535}}"#);
    let expected = RunnerSettings::RoundRobin { packets_per_port: NonZeroU32::new(65535).unwrap() };
    assert_eq!(config.team_settings(0).unwrap().runner, expected);
}

#[test]
fn lp_interval_is_read_for_tlb_and_alb() {
    let interval = |runner: &str| {
        let mut config = config(&format!("{{\"runner\": {{{runner}}}}}"));
        match config.team_settings(0).unwrap().runner {
            RunnerSettings::Slb { learning_interval, .. } => learning_interval,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(interval(r#""name": "tlb""#), Some(milliseconds(1000)));
    let given = r#""name": "alb", "lp_interval": 30"#;
    assert_eq!(interval(given), Some(milliseconds(30_000)));
    assert_eq!(interval(r#""name": "alb", "lp_interval": 0"#), None);
    assert_eq!(interval(r#""name": "slb""#), None);
}

#[test]
fn probe_is_on_by_default() {
    assert_eq!(config("{}").probe(), None);
    assert!(config("{}").team_settings(0).unwrap().probe);
    assert_eq!(config(r#"{"probe": true}"#).probe(), Some(true));
    assert_eq!(config(r#"{"probe": 0}"#).probe(), None);
}

#[test]
fn every_lacp_key_is_read() {
    let text = |runner: &str| config(&format!("{{\"runner\": {{\"name\": \"lacp\"{runner}}}}}"));
    let read = |runner: &str| text(runner).team_settings(0).unwrap().runner;
    assert_eq!(read(""), RunnerSettings::Lacp(LacpSettings::default()));
    let expected = LacpSettings {
        active: false,
        fast_rate: true,
        fast_period: milliseconds(100),
        sys_prio: 4096,
        agg_select_policy: AggSelectPolicy::Count,
        fallback: true,
        fallback_method: FallbackMethod::All,
        fallback_delay: milliseconds(250),
        enable_retry_count: false,
        retry_count: 5,
        marker_timeout: Some(milliseconds(20)),
        keepalive: milliseconds(30_000),
        broadcast_neighbor: true,
        tx_hash: HashFields::TCP | HashFields::UDP | HashFields::SCTP | HashFields::VLAN,
        balancing_interval: Some(milliseconds(5000)),
    };
    let given = r#", "active": false, "fast_rate": true, "sys_prio": 4096, "fast_period": 100,
           "agg_select_policy": "count", "fallback": true, "fallback_method": "all",
           "fallback_delay": 250, "enable_retry_count": false, "retry_count": 5,
           "marker": true, "marker_timeout": 20, "keepalive": 30, "broadcast_neighbor": true,
           "tx_hash": ["l4", "vlan"], "tx_balancer": {"name": "basic"}"#;
    assert_eq!(read(given), RunnerSettings::Lacp(expected));
    let port = |text: &str| config(text).port_settings("p").unwrap().lacp;
    let given = port(r#"{"ports": {"p": {"lacp_prio": 7, "lacp_key": 8}}}"#);
    assert_eq!((given.prio, given.key), (7, 8));
    assert_eq!(port("{}"), LacpPortSettings::default());
}

#[test]
fn a_port_has_its_own_keys_of_damping_before_the_teams() {
    let damping = |text: &str| config(text).port("p").unwrap().damping;
    assert_eq!(damping("{}"), None);
    let defaults = DampingSettings {
        penalty: 1000,
        suppress: 2000,
        reuse: 1000,
        half_life: milliseconds(5000),
        max_suppress: milliseconds(20_000),
    };
    assert_eq!(damping(r#"{"damping": {}}"#), Some(defaults));
    assert_eq!(damping(r#"{"ports": {"p": {"damping": {}}}}"#), Some(defaults));
    let both = r#"{"damping": {"reuse": 500, "half_life": 9}, "ports": {"p": {"damping": {"half_life": 7}}}}"#;
    let expected = DampingSettings { reuse: 500, half_life: milliseconds(7), ..defaults };
    assert_eq!(damping(both), Some(expected));
    for off in [
        r#"{"damping": {}, "ports": {"p": {"damping": {"penalty": 0}}}}"#,
        r#"{"damping": {"reuse": 2000}}"#,
        r#"{"damping": true}"#,
    ] {
        assert_eq!(damping(off), None, "{off}");
    }
    let warnings = config(r#"{"damping": {"reuse": 2000}}"#).warnings();
    assert!(warnings[0].to_string().contains("damping is off"), "{warnings:?}");
}

#[test]
fn every_port_key_is_read() {
    let text = r#"{"link_watch": {"name": "ethtool", "delay_down": 9},
        "ports": {"p": {"prio": -10, "sticky": true, "queue_id": 3, "lacp_prio": 1, "lacp_key": 2,
                        "gate": false, "damping": {"penalty": 5}, "follow": ["vf:p/0"],
                        "link_watch": [{"name": "ethtool", "delay_up": 7}]}, "q": {}}}"#;
    let mut config = config(text);
    let own = LinkWatchSettings::Ethtool { delay_up: milliseconds(7), delay_down: Duration::ZERO };
    let team = LinkWatchSettings::Ethtool { delay_up: Duration::ZERO, delay_down: milliseconds(9) };
    let expected = PortSettings {
        prio: -10,
        sticky: true,
        queue_id: Some(3),
        lacp: LacpPortSettings { prio: 1, key: 2, ..LacpPortSettings::default() },
        gate: false,
        damping: Some(DampingSettings {
            penalty: 5,
            suppress: 2000,
            reuse: 1000,
            half_life: milliseconds(5000),
            max_suppress: milliseconds(20_000),
        }),
        link_watches: vec![own, team.clone()],
        follow: vec!["vf:p/0".parse().unwrap()],
    };
    assert_eq!(config.port_settings("p").unwrap(), expected);
    let port = config.port("p").unwrap();
    assert_eq!((port.lacp.prio, port.lacp.key), (1, 2));
    let expected = PortSettings { link_watches: vec![team], ..PortSettings::default() };
    assert_eq!(config.port_settings("q").unwrap(), expected);
    assert_eq!(config.port("q").unwrap().lacp.prio, 255);
    let implicit =
        LinkWatchSettings::Ethtool { delay_up: Duration::ZERO, delay_down: Duration::ZERO };
    let bare = Config::empty().port_settings("p").unwrap();
    assert_eq!(bare.link_watches, [implicit]);
}

#[test]
fn every_key_of_watches_with_requests_is_read() {
    let mut config = config(
        r#"{"link_watch": [
            {"name": "arp_ping", "target_host": "192.0.2.1", "source_host": "192.0.2.10",
             "interval": 500, "missed_max": 4, "retry_interval": 12, "init_wait": 1000,
             "validate_active": true, "validate_inactive": true, "send_always": true, "vlanid": 30},
            {"name": "nsna_ping", "target_host": "fe80::1%p"},
            {"name": "tipc", "tipc_bearer": "p"}]}"#,
    );
    let address = |text: &str| Host { name: text.to_owned(), address: text.parse().ok() };
    let arp = ArpPingSettings {
        probing: Probing {
            interval: milliseconds(500),
            init_wait: milliseconds(1000),
            missed_max: 4,
            retry_interval: Some(milliseconds(12)),
        },
        target_host: address("192.0.2.1"),
        source_host: Some(address("192.0.2.10")),
        vlanid: Some(30),
        validate_active: true,
        validate_inactive: true,
        send_always: true,
    };
    let nsna = NsnaPingSettings {
        probing: Probing {
            interval: milliseconds(1000),
            init_wait: Duration::ZERO,
            missed_max: 3,
            retry_interval: None,
        },
        target_host: Host { name: "fe80::1%p".into(), address: "fe80::1".parse().ok() },
    };
    let watches = [
        LinkWatchSettings::ArpPing(arp),
        LinkWatchSettings::NsnaPing(nsna),
        LinkWatchSettings::Tipc { bearer: "p".into() },
    ];
    assert_eq!(config.port("p").unwrap().link_watches, watches);
    assert_eq!(config.port_settings("p").unwrap().link_watches, watches);
    assert_eq!(config.dump_port("p"), "{}", "no watch was written");
}

#[test]
fn every_key_of_the_watch_probe_is_read_and_the_runner_lacp_has_no_such_watch() {
    let json = |runner: &str| {
        let watch = r#""link_watch": {"name": "probe", "interval": 20, "init_wait": 30, "missed_max": 4,
            "retry_interval": 5, "group": 6, "vlanid": 7}"#;
        format!(r#"{{"runner": {{"name": "{runner}"}}, {watch}}}"#)
    };
    let watches = |runner| config(&json(runner)).port_settings("p").unwrap().link_watches;
    let probe = LinkWatchSettings::Probe(ProbeSettings {
        probing: Probing {
            interval: milliseconds(20),
            init_wait: milliseconds(30),
            missed_max: 4,
            retry_interval: None,
        },
        group: 6,
        vlanid: Some(7),
    });
    assert_eq!(watches("activebackup"), [probe]);
    let implicit =
        LinkWatchSettings::Ethtool { delay_up: Duration::ZERO, delay_down: Duration::ZERO };
    assert_eq!(watches("lacp"), [implicit]);
}

#[test]
fn every_key_of_errors_and_bfd_is_read_and_errors_alone_is_no_link() {
    let mut config = config(
        r#"{"link_watch": [{"name": "errors", "interval": 500, "error_ratio": 5, "min_errors": 7,
                           "hold_time": 9000}],
            "ports": {"q": {"link_watch": {"name": "bfd", "single_hop": true, "interval": 10,
                "local_address": "10.0.0.1", "peer_address": "10.0.0.2", "multiplier": 4}}}}"#,
    );
    let errors = LinkWatchSettings::Errors(ErrorsSettings {
        interval: milliseconds(500),
        error_ratio: 5,
        min_errors: 7,
        hold_time: milliseconds(9000),
    });
    let bfd = LinkWatchSettings::Bfd(BfdSettings {
        single_hop: true,
        local: "10.0.0.1".parse().unwrap(),
        peer: "10.0.0.2".parse().unwrap(),
        interval: milliseconds(10),
        multiplier: 4,
    });
    let implicit =
        LinkWatchSettings::Ethtool { delay_up: Duration::ZERO, delay_down: Duration::ZERO };
    assert_eq!(config.port_settings("p").unwrap().link_watches, [errors.clone(), implicit]);
    assert_eq!(config.port_settings("q").unwrap().link_watches, [bfd, errors]);
    assert_eq!(config.dump_port("p"), "{}", "no watch was written");
}

#[test]
fn every_key_of_the_watch_lacp_is_read_and_the_runner_lacp_has_no_such_watch() {
    let watches = |json: &str| config(json).port_settings("p").unwrap().link_watches;
    let fast = LacpSettings { fast_rate: true, ..LacpSettings::default() };
    assert_eq!(
        watches(r#"{"link_watch": {"name": "lacp"}}"#),
        [LinkWatchSettings::Lacp(fast.clone())]
    );
    let given = r#"{"link_watch": {"name": "lacp", "active": false, "fast_rate": false,
        "fast_period": 200, "sys_prio": 7, "keepalive": 9}}"#;
    let expected = LacpSettings {
        active: false,
        fast_rate: false,
        fast_period: milliseconds(200),
        sys_prio: 7,
        keepalive: Duration::from_secs(9),
        ..fast
    };
    assert_eq!(watches(given), [LinkWatchSettings::Lacp(expected)]);
    let implicit =
        LinkWatchSettings::Ethtool { delay_up: Duration::ZERO, delay_down: Duration::ZERO };
    let beside = r#"{"runner": {"name": "lacp"}, "link_watch": {"name": "lacp"}}"#;
    assert_eq!(watches(beside), [implicit]);
}

#[test]
fn a_host_is_an_address_or_a_name() {
    let mut config = config(
        r#"{"link_watch": [
            {"name": "arp_ping", "target_host": "192.0.2.1", "source_host": "me.example"},
            {"name": "arp_ping", "target_host": "2001:db8::1"},
            {"name": "nsna_ping", "target_host": "fe80::1%p"},
            {"name": "nsna_ping", "target_host": "gw.example"}]}"#,
    );
    let watches = config.port_settings("p").unwrap().link_watches;
    let hosts = watches.iter().map(|watch| match watch {
        LinkWatchSettings::ArpPing(ping) => {
            let source = ping.source_host.as_ref().and_then(|host| host.address);
            assert_eq!(source, None);
            ping.target_host.address.map(IpAddr::V4)
        }
        LinkWatchSettings::NsnaPing(ping) => ping.target_host.address.map(IpAddr::V6),
        other => panic!("{other:?}"),
    });
    let expected = ["192.0.2.1", "", "fe80::1", ""].map(|text| text.parse().ok());
    assert_eq!(hosts.collect::<Vec<_>>(), expected);
    assert_eq!(config.dump_port("p"), "{}", "no watch was written");
}

fn warnings(text: &str) -> Vec<String> {
    let warnings = config(text).warnings();
    warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn wrong_types_are_replaced_with_a_warning() {
    for (text, expected) in [
        (
            r#"{"debug_level": -1}"#,
            "debug_level: expected integer from 0 to 2147483647, found -1; using the default, 0",
        ),
        (
            r#"{"data_path": "fast"}"#,
            "data_path: expected one of \"auto\", \"kernel\", \"programs\", \"relay\", \"userspace\", found \"fast\"; \
             using the default, \"auto\"",
        ),
        (
            r#"{"link_watch": {"name": "ethtool"}, "ports": {"eth1": null}}"#,
            "ports.eth1: expected object, found null; read as {}",
        ),
        (r#"{"hwaddr": 5}"#, "hwaddr: expected string, found integer; ignored"),
        (
            r#"{"ports": {"eth1.5": {"prio": 4294967296}}}"#,
            "ports.\"eth1.5\".prio: expected integer from -2147483648 to 2147483647, \
             found 4294967296; using the default, 0",
        ),
        (
            r#"{"ports": {"eth1": {"prio": "10"}}}"#,
            "ports.eth1.prio: expected integer, found string; read as 10",
        ),
        (
            r#"{"runner": {"name": "loadbalance", "tx_hash": ["eth", "foo"]}}"#,
            "runner.tx_hash[1]: Hash frag named \"foo\" not found. (expected one of \"eth\", \
             \"srcmac\", \"vlan\", \"ipv4\", \"ipv6\", \"ip\", \"l3\", \"tcp\", \"udp\", \"sctp\", \
             \"l4\", \"encap\", \"socket\", found \"foo\"); left out of tx_hash",
        ),
        (
            r#"{"runner": {"min_ports": "0"}}"#,
            "runner.min_ports: expected integer, found string; using the default, 1",
        ),
        (
            r#"{"runner": {"name": "activebackup"}, "notify_peers": {"count": true}}"#,
            "notify_peers.count: expected integer, found boolean; ignored",
        ),
        (r#"{"ports": []}"#, "ports: expected object, found array; ignored"),
        (r#"{"notify_peers": 5}"#, "notify_peers: expected object, found integer; ignored"),
    ] {
        assert_eq!(warnings(text), [expected]);
        let mut config = config(text);
        config.team_settings(0).unwrap();
        config.port_settings("eth1").unwrap();
    }
}

#[test]
fn keys_without_effect_cause_no_warning() {
    for text in [
        r#"{"colour": "red", "runner": {"foo": 1, "sys_prio": 99999}}"#,
        r#"{"ports": {"a": {"lacp_prio": 99999, "sticky": 5}}}"#,
    ] {
        assert_eq!(warnings(text), [""; 0]);
        let mut config = config(text);
        config.team_settings(0).unwrap();
        config.port_settings("a").unwrap();
    }
}

#[test]
fn warnings_of_a_port_name_replaced_values_and_ignored_keys() {
    let text = r#"{"runner": {"name": "lacp"}, "colour": 1, "link_watch": {"nam": 1},
        "ports": {"eth1": {"lacp_prio": "high", "colour": 1}, "eth2": {"prio": "x"}}}"#;
    let warnings = config(text).port_warnings("eth1");
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "ports.eth1.lacp_prio: expected integer, found string; using the default, 255",
            "ports.eth1.colour: unknown key; known here: prio, sticky, queue_id, lacp_prio, \
             lacp_key, gate, damping, link_watch, follow",
        ]
    );
    assert_eq!(config(text).port_warnings("eth3"), []);
}

/// Cockpit writes numbers in quotes, hyphens for underscores, and the balancer as a string.
#[test]
fn the_forms_that_cockpit_writes_are_read() {
    let mut config = config(
        r#"{"runner": {"name": "loadbalance", "tx_balancer": "basic"},
            "link_watch": {"name": "arp-ping", "interval": "500", "target_host": "192.0.2.1"}}"#,
    );
    let balanced = Some(milliseconds(5000));
    let RunnerSettings::LoadBalance { balancing_interval, .. } =
        config.team_settings(0).unwrap().runner
    else {
        panic!("another runner");
    };
    assert_eq!(balancing_interval, balanced);
    let watches = config.port("p").unwrap().link_watches;
    assert!(
        matches!(&watches[..], [LinkWatchSettings::ArpPing(arp)] if arp.probing.interval == milliseconds(500))
    );
    assert_eq!(config.warnings().len(), 3);
}

#[test]
fn invalid_hash_and_balancer_values_are_replaced() {
    for (runner, fields, interval) in [
        (r#""tx_hash": []"#, HashFields::NONE, None),
        (r#""tx_hash": ["foo", 5]"#, HashFields::NONE, None),
        (
            r#""tx_hash": "eth", "tx_balancer": {}"#,
            HashFields::ETH | HashFields::IPV4 | HashFields::IPV6,
            None,
        ),
        (
            r#""tx_hash": ["eth"], "tx_balancer": {"name": "basic", "balancing_interval": -3}"#,
            HashFields::ETH,
            Some(milliseconds(5000)),
        ),
        (
            r#""tx_hash": ["eth"], "tx_balancer": {"name": "basic", "balancing_interval": 0}"#,
            HashFields::ETH,
            None,
        ),
        (
            r#""tx_hash": ["eth"], "tx_balancer": {"name": "other", "balancing_interval": 3}"#,
            HashFields::ETH,
            None,
        ),
    ] {
        let text = format!("{{\"runner\": {{\"name\": \"loadbalance\", {runner}}}}}");
        let expected =
            RunnerSettings::LoadBalance { tx_hash: fields, balancing_interval: interval };
        assert_eq!(config(&text).team_settings(0).unwrap().runner, expected, "{text}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn teams_that_teamd_refuses_are_refused_with_its_log_line() {
    for (text, expected) in [
        (
            r#"{"runner": "activebackup"}"#,
            "runner: Failed to get value from config: Wrong path format",
        ),
        (
            r#"{"runner": {"name": 5}}"#,
            "runner.name: Failed to set default team runner name in config. \
             (expected string, found integer)",
        ),
        (
            r#"{"device": 5}"#,
            "device: Failed to set team device name in config. (expected string, found integer)",
        ),
        (r#"{"runner": {"name": "foo"}}"#, "runner.name: No runner named \"foo\" available."),
        (
            r#"{"runner": {"name": "activebackup", "hwaddr_policy": "foo"}}"#,
            "runner.hwaddr_policy: Unknown \"hwaddr_policy\" named \"foo\" passed.",
        ),
        (
            r#"{"runner": {"name": "activebackup", "failback": "never"}}"#,
            "runner.failback: Unknown \"failback\" named \"never\" passed.",
        ),
        (
            r#"{"runner": {"packets_per_port": 0}}"#,
            "runner.packets_per_port: \"packets_per_port\" value is out of its limits.",
        ),
        (
            r#"{"runner": {"name": "activebackup"}, "mcast_rejoin": 5}"#,
            "mcast_rejoin: Failed to get value from config: Wrong path format",
        ),
        (
            r#"{"runner": {"min_ports": 0}}"#,
            "runner.min_ports: \"min_ports\" value is out of its limits.",
        ),
        (
            r#"{"runner": {"name": "lacp", "sys_prio": 65536}}"#,
            "runner.sys_prio: \"sys_prio\" value is out of its limits.",
        ),
        (
            r#"{"runner": {"name": "lacp", "agg_select_policy": "x"}}"#,
            "runner.agg_select_policy: Unknown \"agg_select_policy\" named \"x\" passed.",
        ),
        (
            r#"{"link_watch_policy": "both"}"#,
            "link_watch_policy: Unrecognized value for link_watch_policy. Only \"any\" or \"all\" \
             are allowed but \"both\" found in config.",
        ),
        (r#"{"hwaddr": "x"}"#, "hwaddr: Failed to parse hardware address."),
        (
            r#"{"hwaddr": "02:00"}"#,
            "hwaddr: Passed hardware address has different length (2) than team device has (6).",
        ),
        (
            r#"{"notify_peers": {"count": -1}}"#,
            "notify_peers.count: \"count\" must not be negative number.",
        ),
        (
            r#"{"mcast_rejoin": {"interval": -1}}"#,
            "mcast_rejoin.interval: \"interval\" must not be negative number.",
        ),
    ] {
        let mut config = config(text);
        let before = config.clone();
        let found = config.team_settings(0).unwrap_err().to_string();
        assert!(found.starts_with(expected), "{found}");
        assert_eq!(config, before);
    }
}

#[test]
fn ports_that_teamd_refuses_are_refused_with_its_log_line() {
    for (port, expected) in [
        ("5", "ports.p: Failed to get value from config: Wrong path format"),
        (r#"{"queue_id": -1}"#, "ports.p.queue_id: \"queue_id\" must not be negative number."),
        (r#"{"lacp_prio": -1}"#, "ports.p.lacp_prio: \"lacp_prio\" value is out of its limits."),
        (r#"{"link_watch": {}}"#, "ports.p.link_watch: Failed to get link watch name."),
        (
            r#"{"link_watch": [{"name": "ethtool"}, {"name": "foo"}]}"#,
            "ports.p.link_watch[1].name: No link_watch named \"foo\" available.",
        ),
        (
            r#"{"link_watch": {"name": "ethtool", "delay_up": -1}}"#,
            "ports.p.link_watch.delay_up: \"delay_up\" must not be negative number.",
        ),
        (
            r#"{"link_watch": {"name": "arp_ping"}}"#,
            "ports.p.link_watch: Failed to get \"target_host\" link-watch option.",
        ),
        (
            r#"{"link_watch": {"name": "arp_ping", "target_host": "a", "vlanid": 4096}}"#,
            "ports.p.link_watch.vlanid: Wrong \"vlanid\" option value.",
        ),
        (r#"{"link_watch": {"name": "tipc"}}"#, "ports.p.link_watch: tipc: Failed to load options"),
    ] {
        let text = format!("{{\"runner\": {{\"name\": \"lacp\"}}, \"ports\": {{\"p\": {port}}}}}");
        let mut config = config(&text);
        let before = config.clone();
        let found = config.port_settings("p").unwrap_err().to_string();
        assert!(found.starts_with(expected), "{found}");
        assert_eq!(config, before);
        config.port_settings("other").unwrap();
    }
    for (team, expected) in [
        (r#"{"link_watch": {"name": "foo"}}"#, "link_watch.name: No link_watch named \"foo\""),
        (
            r#"{"link_watch": 5}"#,
            "link_watch: Failed to get link watch name. (expected object or array, found integer)",
        ),
        (
            r#"{"link_watch": [], "ports": {"p": 5}}"#,
            "ports.p: Failed to get value from config: Wrong path format",
        ),
    ] {
        let found = config(team).port_settings("p").unwrap_err().to_string();
        assert!(found.starts_with(expected), "{found}");
    }
}

/// Values of each type at the places whose type teamd looks at: refused are those with which
/// teamd 1.31 does not start or does not take the port.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn wrong_types_stop_where_teamd_stops() {
    const VALUES: [&str; 6] = ["null", "true", "5", "1.5", "[]", "{}"];
    let runs = |text: &str| {
        let mut config = config(text);
        config.device().is_ok()
            && config.team_settings(0).is_ok()
            && config.port_settings("p").is_ok()
    };
    let check = |place: &str, expected: bool, values: &[&str]| {
        for value in values {
            let text = place.replace('?', value);
            assert_eq!(runs(&text), expected, "{text}");
        }
    };
    for place in [
        r#"{"device": ?}"#,
        r#"{"runner": {"name": ?}}"#,
        r#"{"link_watch": {"name": ?}}"#,
        r#"{"ports": {"p": {"link_watch": {"name": ?}}}}"#,
        r#"{"link_watch": {"name": "arp_ping", "target_host": ?}}"#,
        r#"{"link_watch": {"name": "nsna_ping", "target_host": ?}}"#,
        r#"{"link_watch": {"name": "tipc", "tipc_bearer": ?}}"#,
    ] {
        check(place, false, &VALUES);
    }
    for place in [
        r#"{"runner": ?}"#,
        r#"{"runner": {"name": "activebackup"}, "notify_peers": ?}"#,
        r#"{"runner": {"name": "activebackup"}, "mcast_rejoin": ?}"#,
        r#"{"ports": {"p": ?}}"#,
    ] {
        check(place, false, &["null", "true", "5", "1.5", "[]", "\"x\""]);
    }
    for place in [
        r#"{"link_watch": ?}"#,
        r#"{"ports": {"p": {"link_watch": ?}}}"#,
        r#"{"link_watch": {"name": "ethtool"}, "ports": {"p": {"link_watch": ?}}}"#,
    ] {
        check(place, false, &["null", "true", "5", "1.5", "\"ethtool\"", "{}"]);
    }
    check(r#"{"link_watch": ?}"#, true, &["[]"]);
    for place in [
        r#"{"ports": ?}"#,
        r#"{"notify_peers": ?}"#,
        r#"{"mcast_rejoin": ?}"#,
        r#"{"link_watch": {"name": "ethtool"}, "ports": {"p": ?}}"#,
        r#"{"runner": {"name": "loadbalance", "tx_hash": ?}}"#,
        r#"{"runner": {"name": "loadbalance", "tx_balancer": ?}}"#,
        r#"{"runner": {"name": "loadbalance", "tx_balancer": {"name": ?}}}"#,
        r#"{"hwaddr": ?}"#,
        r#"{"link_watch_policy": ?}"#,
        r#"{"runner": {"name": "activebackup", "hwaddr_policy": ?}}"#,
        r#"{"runner": {"name": "lacp", "agg_select_policy": ?}}"#,
        r#"{"link_watch": {"name": "arp_ping", "target_host": "a", "source_host": ?}}"#,
    ] {
        check(place, true, &VALUES);
    }
    for place in [
        r#"{"debug_level": ?}"#,
        r#"{"notify_peers": {"count": ?}}"#,
        r#"{"runner": {"name": "activebackup"}, "notify_peers": {"count": ?}}"#,
        r#"{"mcast_rejoin": {"interval": ?}}"#,
        r#"{"runner": {"name": "lacp", "sys_prio": ?}}"#,
        r#"{"runner": {"name": "lacp", "min_ports": ?}}"#,
        r#"{"ports": {"p": {"prio": ?}}}"#,
        r#"{"ports": {"p": {"queue_id": ?}}}"#,
        r#"{"runner": {"name": "lacp"}, "ports": {"p": {"lacp_prio": ?}}}"#,
        r#"{"runner": {"name": "lacp"}, "ports": {"p": {"lacp_key": ?}}}"#,
        r#"{"link_watch": {"name": "ethtool", "delay_up": ?}}"#,
        r#"{"link_watch": {"name": "arp_ping", "target_host": "a", "interval": ?}}"#,
        r#"{"link_watch": {"name": "arp_ping", "target_host": "a", "vlanid": ?}}"#,
    ] {
        check(place, true, &["null", "true", "1.5", "[]", "{}", "\"x\""]);
    }
    for place in [
        r#"{"runner": {"name": "lacp", "active": ?}}"#,
        r#"{"runner": {"name": "lacp", "fast_rate": ?}}"#,
        r#"{"runner": {"name": "activebackup"}, "ports": {"p": {"sticky": ?}}}"#,
        r#"{"link_watch": {"name": "arp_ping", "target_host": "a", "send_always": ?}}"#,
    ] {
        check(place, true, &["null", "0", "1.5", "[]", "{}", "\"true\""]);
    }
}

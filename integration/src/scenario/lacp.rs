//! Scenarios of the lacp runner, alone and with the kernel's bond as partner.
//!
//! Each scenario ends in a stable state: Defaulted, or collecting and distributing at both ends.

use super::Step::{Alone, Ask, Bond, Do, Ports, Pull, Start, Together, Up};
use super::{BOTH_UP, Scenario};

const BOTH: &[&str] = &["eth1", "eth2"];

/// Scenarios for each way of configuring lacp in teamd.
pub const LACP_SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lacp, never set up",
        config: r#"{"runner": {"name": "lacp"}, "ports": {"eth1": {}, "eth2": {}}}"#,
        steps: &[Start, BOTH_UP],
    },
    Scenario {
        name: "lacp, alone",
        config: r#"{"runner": {"name": "lacp"}, "ports": {"eth1": {}, "eth2": {}}}"#,
        steps: &[Start, BOTH_UP, Up, Alone(BOTH)],
    },
    Scenario {
        name: "lacp, alone, every key",
        config: r#"{"runner": {"name": "lacp", "active": false, "fast_rate": true,
            "sys_prio": 7, "min_ports": 2, "agg_select_policy": "bandwidth",
            "tx_hash": ["eth", "ipv4", "ipv6"]},
            "link_watch": {"name": "ethtool"},
            "ports": {"eth1": {"lacp_prio": 10, "lacp_key": 5},
                "eth2": {"lacp_prio": 20, "lacp_key": 5}}}"#,
        steps: &[Start, BOTH_UP, Up, Alone(BOTH)],
    },
    Scenario {
        name: "lacp, partner",
        config: r#"{"runner": {"name": "lacp"}, "ports": {"eth1": {}, "eth2": {}}}"#,
        steps: &[
            Bond("lacp_rate slow"),
            Start,
            BOTH_UP,
            Up,
            Together(BOTH),
            Ask("teamdctl team0 state item get runner.active"),
            Ask("teamdctl team0 state item get runner.select_policy"),
            Ask("teamdctl team0 state item get ports.eth2.runner.aggregator.id"),
            Ask("teamdctl team0 state item get ports.eth1.runner.actor_lacpdu_info.state"),
            Ask("teamdctl team0 state item set ports.eth1.runner.aggregator.selected false"),
            Do("teamdctl team0 state item set ports.eth1.runner.aggregator.selected true"),
        ],
    },
    Scenario {
        name: "lacp, partner, fast_rate",
        config: r#"{"runner": {"name": "lacp", "fast_rate": true, "sys_prio": 100,
            "agg_select_policy": "count"}, "ports": {"eth1": {}, "eth2": {}}}"#,
        steps: &[Bond("lacp_rate fast"), Start, BOTH_UP, Up, Together(BOTH)],
    },
    Scenario {
        name: "lacp, partner, active false",
        config: r#"{"runner": {"name": "lacp", "active": false,
            "agg_select_policy": "lacp_prio_stable"}, "ports": {"eth1": {}, "eth2": {}}}"#,
        steps: &[Bond("lacp_rate slow"), Start, BOTH_UP, Up, Together(BOTH)],
    },
    Scenario {
        name: "lacp, partner, min_ports, one port down",
        config: r#"{"runner": {"name": "lacp", "fast_rate": true, "min_ports": 2,
            "agg_select_policy": "port_config"},
            "ports": {"eth1": {"prio": 10, "sticky": true}, "eth2": {"lacp_prio": 3}}}"#,
        steps: &[
            Bond("lacp_rate fast"),
            Start,
            BOTH_UP,
            Up,
            Together(BOTH),
            Pull("eth2"),
            Ports(&[("eth1", true), ("eth2", false)]),
            Together(&["eth1"]),
        ],
    },
];

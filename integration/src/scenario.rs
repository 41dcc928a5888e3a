//! Scenarios as data: a configuration and the steps that follow.
//!
//! A scenario does not depend on the daemon or the data path, so several daemons can run the same
//! scenario and their answers can be compared. The host has the ports [`PORTS`], down, each with a
//! connected cable; the team device is [`TEAM`].

mod lacp;

pub use lacp::LACP_SCENARIOS;

/// The team device of every scenario.
pub const TEAM: &str = "team0";

/// The interfaces of every scenario's host.
pub const PORTS: [&str; 3] = ["eth1", "eth2", "eth3"];

/// One scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// A short description.
    pub name: &'static str,
    /// The configuration, without its device.
    pub config: &'static str,
    /// The steps in order.
    pub steps: &'static [Step],
}

impl Scenario {
    /// Whether the scenario needs the kernel's team device.
    pub fn needs_kernel(&self) -> bool {
        let needs = |step: &Step| matches!(step, Enslave(_) | Release(_));
        self.steps.iter().any(needs)
    }
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A port loses its carrier.
    Pull(&'static str),
    /// A port gets its carrier back.
    PutBack(&'static str),
    /// All cables lead to one switch, which gets this address.
    Join(&'static str),
    /// All cables lead to a kernel bond of mode 802.3ad with these options.
    Bond(&'static str),
    /// The daemon starts.
    Start,
    /// The team device is set up.
    Up,
    /// Waits until the team has exactly these ports and every link watch of a port reports this
    /// state.
    Ports(&'static [(&'static str, bool)]),
    /// Waits until this port, or none if empty, is the active port.
    Active(&'static str),
    /// Waits until LACP is in the Defaulted state on these ports.
    Alone(&'static [&'static str]),
    /// Waits until Actor and Partner collect and distribute on these ports.
    Together(&'static [&'static str]),
    /// Another program makes this a port of the kernel's team device.
    Enslave(&'static str),
    /// Another program removes this port from the kernel's team device.
    Release(&'static str),
    /// Runs a client that changes something. The command line is split at blanks; `''` is an empty
    /// argument.
    Do(&'static str),
    /// Runs a client that changes nothing when repeated, often with an error; or starts a second
    /// daemon with a command line that ends soon.
    Ask(&'static str),
}

use Step::{Active, Ask, Do, Enslave, Join, Ports, Pull, PutBack, Release, Start};

const BOTH_UP: Step = Ports(&[("eth1", true), ("eth2", true)]);
const BOTH_DOWN: Step = Ports(&[("eth1", false), ("eth2", false)]);

/// Scenarios for each way of configuring and using the runners without a partner.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "no configuration but ports",
        config: r#"{"ports": {"eth1": {}, "eth2": {}}}"#,
        steps: &[Start, BOTH_UP],
    },
    Scenario {
        name: "no port",
        config: r#"{"runner": {"name": "activebackup"}}"#,
        steps: &[
            Start,
            Ports(&[]),
            Ask("teamdctl team0 port present eth1"),
            Ask("teamdctl team0 port config dump eth1"),
            Ask("teamdctl team0 state item get runner.active_port"),
        ],
    },
    Scenario {
        name: "broadcast",
        config: r#"{"runner": {"name": "broadcast"}, "link_watch": {"name": "ethtool"},
            "ports": {"eth1": {}, "eth2": {}}}"#,
        steps: &[Start, BOTH_UP],
    },
    Scenario {
        name: "roundrobin, one port down",
        config: r#"{"runner": {"name": "roundrobin"}, "link_watch": {"name": "ethtool"},
            "ports": {"eth1": {"queue_id": 2}, "eth2": {"prio": -3}}}"#,
        steps: &[Start, BOTH_UP, Pull("eth2"), Ports(&[("eth1", true), ("eth2", false)])],
    },
    Scenario {
        name: "random, unknown keys",
        config: r#"{"runner": {"name": "random", "zest": 1.5}, "é": ["\u001b", {}, []],
            "ports": {"eth1": {"x": null}, "eth2": {}}}"#,
        steps: &[Start, BOTH_UP],
    },
    Scenario {
        name: "activebackup, no link watch",
        config: r#"{"runner": {"name": "activebackup"}, "ports": {"eth1": {}, "eth2": {}}}"#,
        steps: &[Start, BOTH_UP],
    },
    Scenario {
        name: "activebackup, same_all, prio",
        config: r#"{"runner": {"name": "activebackup", "hwaddr_policy": "same_all"},
            "link_watch": {"name": "ethtool"},
            "ports": {"eth1": {"prio": -10}, "eth2": {"prio": 100}}}"#,
        steps: &[Start, BOTH_UP, Active("eth2")],
    },
    Scenario {
        name: "activebackup, by_active, the active port fails",
        config: r#"{"runner": {"name": "activebackup", "hwaddr_policy": "by_active"},
            "link_watch": {"name": "ethtool"},
            "ports": {"eth1": {"prio": 10}, "eth2": {}}}"#,
        steps: &[
            Start,
            BOTH_UP,
            Active("eth1"),
            Pull("eth1"),
            Ports(&[("eth1", false), ("eth2", true)]),
            Active("eth2"),
        ],
    },
    Scenario {
        name: "activebackup, only_active, the active port fails and returns",
        config: r#"{"runner": {"name": "activebackup", "hwaddr_policy": "only_active"},
            "link_watch": {"name": "ethtool"},
            "ports": {"eth1": {"prio": 10}, "eth2": {}}}"#,
        steps: &[
            Start,
            BOTH_UP,
            Active("eth1"),
            Pull("eth1"),
            Active("eth2"),
            PutBack("eth1"),
            BOTH_UP,
            Active("eth1"),
        ],
    },
    Scenario {
        name: "activebackup, a sticky port keeps its place",
        config: r#"{"runner": {"name": "activebackup"},
            "ports": {"eth1": {"prio": 10}, "eth2": {"sticky": true}}}"#,
        steps: &[
            Start,
            BOTH_UP,
            Active("eth1"),
            Pull("eth1"),
            Active("eth2"),
            PutBack("eth1"),
            BOTH_UP,
            Active("eth2"),
        ],
    },
    Scenario {
        name: "activebackup, all ports down",
        config: r#"{"runner": {"name": "activebackup"}, "ports": {"eth1": {}, "eth2": {}}}"#,
        steps: &[
            Start,
            BOTH_UP,
            Active("eth1"),
            Pull("eth2"),
            Ports(&[("eth1", true), ("eth2", false)]),
            Pull("eth1"),
            Ports(&[("eth1", false), ("eth2", false)]),
            Active(""),
        ],
    },
    Scenario {
        name: "activebackup, delays",
        config: r#"{"runner": {"name": "activebackup"},
            "link_watch": {"name": "ethtool", "delay_up": 300, "delay_down": 200},
            "ports": {"eth1": {"prio": 1}, "eth2": {}}}"#,
        steps: &[
            Start,
            BOTH_UP,
            Active("eth1"),
            Pull("eth1"),
            Active("eth2"),
            PutBack("eth1"),
            BOTH_UP,
            Active("eth1"),
        ],
    },
    Scenario {
        name: "activebackup, a watch for each port",
        config: r#"{"runner": {"name": "activebackup"}, "ports": {
            "eth1": {"link_watch": {"name": "ethtool", "delay_up": 100}},
            "eth2": {"link_watch": {"name": "ethtool", "delay_down": 50}}}}"#,
        steps: &[Start, BOTH_UP],
    },
    Scenario {
        name: "activebackup, two watches at each port",
        config: r#"{"runner": {"name": "activebackup"},
            "link_watch": [{"name": "ethtool"}, {"name": "ethtool", "delay_up": 150}],
            "ports": {"eth1": {"link_watch": {"name": "ethtool", "delay_down": 100}}, "eth2": {}}}"#,
        steps: &[Start, BOTH_UP, Pull("eth2"), Ports(&[("eth1", true), ("eth2", false)])],
    },
    Scenario {
        name: "activebackup, peer notifications",
        config: r#"{"debug_level": 0, "runner": {"name": "activebackup"},
            "notify_peers": {"count": 3, "interval": 100},
            "mcast_rejoin": {"count": 2, "interval": 50},
            "hwaddr": "02:00:00:00:01:50",
            "ports": {"eth1": {}, "eth2": {}}}"#,
        steps: &[Start, BOTH_UP],
    },
    Scenario {
        name: "loadbalance",
        config: r#"{"runner": {"name": "loadbalance"}, "link_watch": {"name": "ethtool"},
            "ports": {"eth1": {}, "eth2": {}}}"#,
        steps: &[Start, BOTH_UP],
    },
    Scenario {
        name: "loadbalance, tx_hash, one port down",
        config: r#"{"runner": {"name": "loadbalance", "tx_hash": ["eth", "vlan", "l3", "l4"]},
            "ports": {"eth1": {}, "eth2": {}}}"#,
        steps: &[Start, BOTH_UP, Pull("eth1"), Ports(&[("eth1", false), ("eth2", true)])],
    },
    Scenario {
        name: "loadbalance, balanced",
        config: r#"{"runner": {"name": "loadbalance", "tx_hash": ["ip", "tcp", "udp"],
            "tx_balancer": {"name": "basic", "balancing_interval": 20}},
            "ports": {"eth1": {}, "eth2": {}}}"#,
        steps: &[Start, BOTH_UP],
    },
    Scenario {
        name: "arp_ping, answered",
        config: r#"{"runner": {"name": "activebackup"},
            "link_watch": {"name": "arp_ping", "target_host": "192.0.2.1", "interval": 300},
            "ports": {"eth1": {"prio": 10}, "eth2": {}}}"#,
        steps: &[Join("192.0.2.1/24"), Start, BOTH_UP, Active("eth1")],
    },
    Scenario {
        name: "arp_ping, answered and validated",
        config: r#"{"runner": {"name": "loadbalance"},
            "link_watch": {"name": "arp_ping", "target_host": "192.0.2.1", "interval": 300,
                "source_host": "192.0.2.10", "validate_active": true, "validate_inactive": true,
                "send_always": true, "missed_max": 7},
            "ports": {"eth1": {}, "eth2": {}}}"#,
        steps: &[Join("192.0.2.1/24"), Start, BOTH_UP],
    },
    Scenario {
        name: "arp_ping, silent",
        config: r#"{"runner": {"name": "activebackup"},
            "link_watch": {"name": "arp_ping", "target_host": "192.0.2.1", "interval": 60000},
            "ports": {"eth1": {"prio": 10}, "eth2": {}}}"#,
        steps: &[Start, BOTH_DOWN, Active("")],
    },
    Scenario {
        name: "arp_ping, silent, every key",
        config: r#"{"runner": {"name": "roundrobin"},
            "link_watch": {"name": "arp_ping", "target_host": "192.0.2.1",
                "source_host": "192.0.2.10", "interval": 60000, "init_wait": 1,
                "missed_max": 5, "vlanid": 7, "validate_active": true},
            "ports": {"eth1": {}, "eth2": {"link_watch": {"name": "arp_ping",
                "target_host": "192.0.2.2", "interval": 50000, "validate_inactive": true,
                "send_always": true}}}}"#,
        steps: &[Start, BOTH_DOWN],
    },
    Scenario {
        name: "nsna_ping, answered",
        config: r#"{"runner": {"name": "activebackup"},
            "link_watch": {"name": "nsna_ping", "target_host": "fd00::1", "interval": 300},
            "ports": {"eth1": {}}}"#,
        steps: &[Join("fd00::1/64"), Start, Ports(&[("eth1", true)]), Active("eth1")],
    },
    Scenario {
        name: "nsna_ping, silent",
        config: r#"{"runner": {"name": "broadcast"},
            "link_watch": {"name": "nsna_ping", "target_host": "fe80::1%eth1",
                "interval": 60000, "init_wait": 1, "missed_max": 9},
            "ports": {"eth1": {}, "eth2": {}}}"#,
        steps: &[Start, BOTH_DOWN],
    },
    Scenario {
        name: "several watches that agree",
        config: r#"{"runner": {"name": "activebackup"},
            "link_watch": [{"name": "ethtool"},
                {"name": "arp_ping", "target_host": "192.0.2.1", "interval": 300}],
            "ports": {"eth1": {"prio": 10}, "eth2": {"link_watch":
                {"name": "ethtool", "delay_up": 100}}}}"#,
        steps: &[Join("192.0.2.1/24"), Start, BOTH_UP, Active("eth1")],
    },
    Scenario {
        name: "ports come and go by command",
        config: r#"{"runner": {"name": "activebackup"}, "ports": {"eth1": {}, "eth2": {}}}"#,
        steps: &[
            Start,
            BOTH_UP,
            Do(r#"teamdctl team0 port config update eth3 {"prio":7,"sticky":true}"#),
            Do("teamdctl team0 port add eth3"),
            Ports(&[("eth1", true), ("eth2", true), ("eth3", true)]),
            Active("eth3"),
            Do("teamdctl team0 port add eth3"),
            Do("teamdctl team0 port remove eth1"),
            Ports(&[("eth2", true), ("eth3", true)]),
            Do("teamdctl team0 port remove eth1"),
            Ask("teamdctl team0 port config dump eth1"),
            Ask("teamdctl team0 port present eth1"),
            Do(r#"teamdctl team0 port config update eth2 {"prio":90}"#),
            Do("teamdctl team0 port remove eth3"),
            Active("eth2"),
        ],
    },
    Scenario {
        name: "ports come and go without a command",
        config: r#"{"runner": {"name": "activebackup"}, "ports": {"eth1": {"prio": 5}}}"#,
        steps: &[
            Start,
            Ports(&[("eth1", true)]),
            Enslave("eth2"),
            BOTH_UP,
            Release("eth1"),
            Ports(&[("eth2", true)]),
            Active("eth2"),
        ],
    },
    Scenario {
        name: "items of the state are set",
        config: r#"{"runner": {"name": "activebackup"},
            "ports": {"eth1": {"sticky": true}, "eth2": {"sticky": true}}}"#,
        steps: &[
            Start,
            BOTH_UP,
            Do("teamdctl team0 state item set runner.active_port eth2"),
            Active("eth2"),
            Do("teamdctl team0 state item set runner.active_port eth1"),
            Active("eth1"),
            Ask("teamdctl team0 state item get runner.active_port"),
            Ask("teamdctl team0 state item get setup.daemonized"),
            Ask("teamdctl team0 state item get setup.debug_level"),
            Ask("teamdctl team0 state item get ports.eth1.link.speed"),
            Ask("teamdctl team0 state item get ports.eth2.ifinfo.dev_addr"),
            Ask(r#"teamdctl team0 state item get ports."eth2".link_watches.list.link_watch_0.up"#),
            Do("teamdctl team0 state item set setup.debug_level 2"),
            Ask("teamdctl team0 state item get setup.debug_level"),
        ],
    },
    Scenario {
        name: "requests that fail",
        config: r#"{"runner": {"name": "activebackup"},
            "ports": {"eth1": {"sticky": true}, "eth2": {}}}"#,
        steps: &[
            Start,
            BOTH_UP,
            Ask("teamdctl team0 state item get nothing"),
            Ask("teamdctl team0 state item get setup"),
            Ask("teamdctl team0 state item get ports.eth9.link.up"),
            Ask("teamdctl team0 state item get ports.eth1"),
            Ask("teamdctl team0 state item get ports.eth1.link"),
            Ask(r#"teamdctl team0 state item get ports."eth1.link.up"#),
            Ask("teamdctl team0 state item get link.up"),
            Ask("teamdctl team0 state item get ''"),
            Ask("teamdctl team0 state item set setup.pid 5"),
            Ask("teamdctl team0 state item set nothing 5"),
            Ask("teamdctl team0 state item set setup.debug_level 0x2"),
            Ask("teamdctl team0 state item set setup.debug_level 99999999999"),
            Ask("teamdctl team0 state item set setup.debug_level ''"),
            Ask("teamdctl team0 state item set runner.active_port eth9"),
            Ask("teamdctl team0 state item set ports.eth1.link.up true"),
            Ask("teamdctl team0 port add nowhere"),
            Ask("teamdctl team0 port add lo"),
            Ask("teamdctl team0 port add team0"),
            Ask("teamdctl team0 port remove nowhere"),
            Ask("teamdctl team0 port remove lo"),
            Ask("teamdctl team0 port remove eth3"),
            Ask("teamdctl team0 port present nowhere"),
            Ask("teamdctl team0 port present lo"),
            Ask("teamdctl team0 port config dump nowhere"),
            Ask("teamdctl team0 port config dump lo"),
            Ask("teamdctl team0 port config update nowhere {}"),
            Ask("teamdctl team0 port config update eth3 {"),
            Ask("teamdctl team0 port config update eth3 5"),
            Ask(r#"teamdctl team0 port config update eth3 {"a":1,"a":2}"#),
            Ask("teamdctl team0 port config update eth3 []"),
            Ask("teamdctl team0 port config update eth2 {}"),
            Ask(r#"teamdctl team0 port config update eth2 {"prio":"x"}"#),
        ],
    },
    Scenario {
        name: "command lines that fail",
        config: r#"{"ports": {"eth1": {}}}"#,
        steps: &[
            Start,
            Ports(&[("eth1", true)]),
            Ask("teamdctl team0"),
            Ask("teamdctl team0 foo"),
            Ask("teamdctl team0 config"),
            Ask("teamdctl team0 config dump foo"),
            Ask("teamdctl team0 state dump foo"),
            Ask("teamdctl team0 state item"),
            Ask("teamdctl team0 state item get"),
            Ask("teamdctl team0 state item set setup.pid"),
            Ask("teamdctl team0 port add"),
            Ask("teamdctl team0 port present"),
            Ask("teamdctl team0 port config update eth1"),
            Ask("teamdctl team0 port add eth2 eth3"),
            Ask("teamdctl -x team0 state"),
            Ask("teamdctl --force team0 state"),
            Ask("teamdctl --nothing team0 state"),
            Ask("teamdctl -D -U team0 state"),
            Ask("teamdctl -U -o team0 c d"),
            Ask("teamdctl team0 s d -o"),
            Ask("teamdctl team0 p c d eth1"),
            Ask("teamdctl team0 ''"),
            Ask("teamdctl not-team0 state"),
            Ask("teamdctl lo state"),
            Ask("teamdctl -U lo state"),
        ],
    },
    Scenario {
        name: "a second daemon",
        config: r#"{"ports": {"eth1": {}}}"#,
        steps: &[
            Start,
            Ports(&[("eth1", true)]),
            Ask("teamd --version"),
            Ask("teamd -h"),
            Ask("teamd -e -t team0"),
            Ask("teamd --check -t team1"),
            Ask("teamd -e"),
            Ask("teamd -k -t team1"),
            Ask("teamd -k"),
            Ask("teamd -t team0"),
            Ask("teamd -d -t team0"),
            Ask("teamd -x"),
            Ask("teamd --nothing"),
            Ask("teamd -t"),
            Ask("teamd --team-dev"),
            Ask("teamd -t team1 operand"),
            Ask("teamd -f /nowhere"),
            Ask("teamd -f /nowhere -v"),
            Ask("teamd -t far-eth1"),
            Ask("teamd -t a-name-that-is-too-long"),
            Ask("teamd -t ''"),
            Ask(r#"teamd -t team1 -c {"runner":{"name":"nothing"}}"#),
            Ask(r#"teamd -t team1 -c {"runner":{"name":"activebackup","hwaddr_policy":"none"}}"#),
            Ask(r#"teamd -t team1 -c {"hwaddr":"02:00"}"#),
            Ask(r#"teamd -t team1 -c {"hwaddr":"nothing"}"#),
            Ask(r#"teamd -t team1 -c {"notify_peers":{"count":-1}}"#),
            Ask(r#"teamd -t team1 -c {"ports":{"lo":{}}}"#),
            Ask("teamd -t team1 -c {"),
            Ask("teamd -t team1 -c ''"),
            Ask("teamd -t team1 -c []"),
            Ask("teamd -Z tcp://127.0.0.1:1 -t team1"),
        ],
    },
    Scenario {
        name: "questions to the team driver",
        config: r#"{"runner": {"name": "loadbalance"}, "ports": {"eth1": {}, "eth2": {}}}"#,
        steps: &[
            Start,
            BOTH_UP,
            Ask("teamnl team0 getoption mode"),
            Ask("teamnl team0 getoption notify_peers_count"),
            Ask("teamnl -p eth1 team0 getoption enabled"),
            Ask("teamnl -p eth1 team0 getoption priority"),
            Ask("teamnl -a 3 team0 getoption lb_hash_stats"),
            Ask("teamnl -p eth1 team0 setoption priority 12"),
            Ask("teamnl -p eth1 team0 getoption priority"),
            Ask("teamnl team0 setoption mcast_rejoin_count 4"),
            Ask("teamnl team0 o"),
            Ask("teamnl team0 getoption nothing"),
            Ask("teamnl team0 getoption"),
            Ask("teamnl team0 setoption mcast_rejoin_count"),
            Ask("teamnl team0 setoption mcast_rejoin_count 0x5"),
            Ask("teamnl team0 setoption mcast_rejoin_count 99999999999"),
            Ask("teamnl team0 setoption mode roundrobin"),
            Ask("teamnl -p lo team0 getoption enabled"),
            Ask("teamnl -p nowhere team0 getoption enabled"),
            Ask("teamnl -p eth1 team0 setoption enabled yes"),
            Ask("teamnl -a x team0 getoption lb_hash_stats"),
            Ask("teamnl -a 99999999999 team0 getoption lb_hash_stats"),
            Ask("teamnl team0 monitor nothing"),
            Ask("teamnl team0"),
            Ask("teamnl team0 foo"),
            Ask("teamnl nowhere ports"),
            Ask("teamnl lo ports"),
            Ask("teamnl -x team0 ports"),
        ],
    },
];

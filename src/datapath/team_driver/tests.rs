//! The data path against a driver of our own making: what is written, in which order, and what
//! comes of the driver's odd answers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::num::NonZeroU32;

use runners::{
    Burst, Failback, HashFields, HostTraffic, HwAddr, HwAddrPolicy, LacpSettings, PortForwarding,
    RunnerSettings, SourceBalance,
};

use super::*;

const ON: Value = Value::Bool(true);

fn roundrobin() -> RunnerSettings {
    RunnerSettings::RoundRobin {
        packets_per_port: NonZeroU32::MIN,
    }
}

/// Keeps options as the driver does; a port has index 10 above its number.
#[derive(Debug, Default)]
struct FakeDriver {
    options: BTreeMap<OptionId, Value>,
    news: VecDeque<TeamOption>,
    ports: BTreeSet<u32>,
    /// Every item carried out since the last look, as `name[port]=value`.
    log: Vec<String>,
    /// Answers to come instead of success: carry out so many items, then fail so.
    failures: VecDeque<(usize, i32)>,
    overflow: bool,
    /// It tells receive and transmit apart.
    apart: bool,
}

impl FakeDriver {
    fn change(&mut self, id: OptionId, value: Value) {
        let (id_, value_) = (id.clone(), value.clone());
        self.news.push_back(TeamOption {
            id: id_,
            value: value_,
            changed: true,
            removed: false,
        });
        self.options.insert(id, value);
    }

    /// `enabled` reads as both parts together.
    fn join_parts(&mut self, id: &OptionId) {
        if let (name::RX_ENABLED | name::TX_ENABLED, Some(port)) = (&*id.name, id.port) {
            let on = |name| self.options.get(&OptionId::port(name, port)) == Some(&ON);
            let both = on(name::RX_ENABLED) && on(name::TX_ENABLED);
            self.change(OptionId::port(name::ENABLED, port), Value::Bool(both));
        }
    }

    fn leave(&mut self, ifindex: u32) {
        self.ports.remove(&ifindex);
        let gone: Vec<OptionId> = self.options.keys().cloned().collect();
        for id in gone.into_iter().filter(|id| id.port == Some(ifindex)) {
            if let Some(value) = self.options.remove(&id) {
                self.news.push_back(TeamOption {
                    id,
                    value,
                    changed: true,
                    removed: true,
                });
            }
        }
    }

    fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}

impl Driver for FakeDriver {
    fn set(&mut self, options: &[(OptionId, Value)]) -> io::Result<()> {
        let error = |errno| Err(io::Error::from_raw_os_error(errno));
        let failure = self.failures.pop_front();
        for (place, (id, value)) in options.iter().enumerate() {
            if let Some((at, errno)) = failure {
                if at == place {
                    return error(errno);
                }
            }
            if id.port.is_some_and(|port| !self.ports.contains(&port)) {
                return error(libc::ENOENT);
            }
            let port = id.port.map_or(String::new(), |port| format!("[{port}]"));
            let shown = match value {
                Value::U32(number) => number.to_string(),
                Value::S32(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                Value::Text(text) => text.clone(),
                Value::Binary(bytes) => format!("{} bytes", bytes.len()),
            };
            self.log.push(format!("{}{port}={shown}", id.name));
            self.change(id.clone(), value.clone());
            self.join_parts(id);
        }
        Ok(())
    }

    fn options(&mut self) -> io::Result<Vec<TeamOption>> {
        let all = self.options.iter().map(|(id, value)| TeamOption {
            id: id.clone(),
            value: value.clone(),
            changed: false,
            removed: false,
        });
        Ok(all.collect())
    }

    fn news(&mut self, each: &mut dyn FnMut(TeamOption)) -> io::Result<Received> {
        if std::mem::take(&mut self.overflow) {
            self.news.clear();
            return Ok(Received::Overflow);
        }
        self.news.drain(..).for_each(each);
        Ok(Received::All)
    }

    fn enslave(&mut self, ifindex: u32) -> io::Result<()> {
        if self.ports.insert(ifindex) {
            let fresh = [
                (name::ENABLED, Value::Bool(true)),
                (name::USER_LINKUP, Value::Bool(false)),
                (name::USER_LINKUP_ENABLED, Value::Bool(false)),
                (name::PRIORITY, Value::S32(0)),
                (name::QUEUE_ID, Value::U32(0)),
            ];
            for (name, value) in fresh {
                self.change(OptionId::port(name, ifindex), value);
            }
            if self.apart {
                for name in [name::RX_ENABLED, name::TX_ENABLED] {
                    self.change(OptionId::port(name, ifindex), ON);
                }
            }
        }
        Ok(())
    }

    fn clear_port(&mut self, _ifindex: u32) -> io::Result<()> {
        Ok(())
    }

    fn release(&mut self, ifindex: u32) -> io::Result<()> {
        self.leave(ifindex);
        Ok(())
    }
}

fn opened(runner: RunnerSettings) -> KernelTeam<FakeDriver> {
    opened_on(FakeDriver::default(), runner)
}

/// A driver that tells receive and transmit apart.
fn opened_apart(runner: RunnerSettings) -> KernelTeam<FakeDriver> {
    let driver = FakeDriver {
        apart: true,
        ..FakeDriver::default()
    };
    opened_on(driver, runner)
}

fn opened_on(driver: FakeDriver, runner: RunnerSettings) -> KernelTeam<FakeDriver> {
    let mut team = KernelTeam::with(driver, &TeamSettings::new(runner)).expect("opened");
    for number in [1, 2] {
        let interface = PortInterface {
            ifindex: 10 + number,
            name: format!("eth{number}"),
            hwaddr: HwAddr::default(),
            mtu: 1500,
            ipv6: true,
            promiscuous: false,
        };
        team.attach_port(PortId(number), &interface)
            .expect("attached");
    }
    team.driver.take_log();
    team
}

fn activebackup() -> RunnerSettings {
    let hwaddr_policy = HwAddrPolicy::SameAll;
    RunnerSettings::ActiveBackup {
        hwaddr_policy,
        failback: Failback::default(),
    }
}

fn ports(enabled: &[u32], linked: &[u32]) -> Vec<PortForwarding> {
    let port = |number| PortForwarding {
        port: PortId(number),
        collecting: enabled.contains(&number),
        distributing: enabled.contains(&number),
        linked: linked.contains(&number),
        link_from_watch: false,
    };
    vec![port(1), port(2)]
}

fn active(number: u32, linked: &[u32]) -> Forwarding {
    Forwarding {
        policy: TxPolicy::ActiveBackup {
            active: Some(PortId(number)),
        },
        ports: ports(&[number], linked),
    }
}

fn balanced(even: u32, odd: u32) -> Forwarding {
    let buckets =
        std::array::from_fn(|bucket| Some(PortId(if bucket % 2 == 0 { even } else { odd })));
    Forwarding {
        policy: TxPolicy::LoadBalance {
            fields: HashFields::ETH,
            buckets: Box::new(buckets),
            balanced: true,
        },
        ports: ports(&[even, odd], &[1, 2]),
    }
}

#[test]
fn the_mode_comes_first_and_announcements_are_the_drivers() {
    let mut settings = TeamSettings::new(activebackup());
    settings.notify_peers = Burst {
        count: 3,
        interval: std::time::Duration::from_millis(50),
    };
    let mut team = KernelTeam::with(FakeDriver::default(), &settings).expect("opened");
    assert_eq!(
        team.driver.take_log(),
        [
            "mode=activebackup",
            "notify_peers_count=3",
            "notify_peers_interval=50",
            "mcast_rejoin_count=0",
            "mcast_rejoin_interval=0",
        ]
    );
}

#[test]
fn a_failover_is_one_message_that_enables_before_it_disables() {
    let mut team = opened(activebackup());
    team.apply_forwarding(&active(1, &[1, 2])).expect("applied");
    assert_eq!(
        team.driver.take_log(),
        [
            "activeport=11",
            "enabled[12]=false",
            "user_linkup[11]=true",
            "user_linkup[12]=true",
        ]
    );
    // One failure to come would strike the second message, had there been one.
    team.apply_forwarding(&active(2, &[2])).expect("applied");
    assert_eq!(
        team.driver.take_log(),
        [
            "enabled[12]=true",
            "activeport=12",
            "enabled[11]=false",
            "user_linkup[11]=false",
        ]
    );
}

#[test]
fn the_word_of_watches_is_there_before_the_driver_heeds_it() {
    let mut team = opened(roundrobin());
    let link_from_watch = |link_from_watch: bool, linked: &[u32]| Forwarding {
        policy: TxPolicy::Broadcast,
        ports: ports(&[1, 2], linked)
            .into_iter()
            .map(|port| PortForwarding {
                link_from_watch,
                ..port
            })
            .collect(),
    };
    team.apply_forwarding(&link_from_watch(true, &[1]))
        .expect("applied");
    assert_eq!(
        team.driver.take_log(),
        [
            "user_linkup[11]=true",
            "user_linkup_enabled[11]=true",
            "user_linkup_enabled[12]=true",
        ]
    );
    team.apply_forwarding(&link_from_watch(false, &[2]))
        .expect("applied");
    assert_eq!(
        team.driver.take_log(),
        [
            "user_linkup_enabled[11]=false",
            "user_linkup[11]=false",
            "user_linkup_enabled[12]=false",
            "user_linkup[12]=true",
        ]
    );
}

#[test]
fn what_is_so_already_is_not_written() {
    let mut team = opened(activebackup());
    team.apply_forwarding(&active(1, &[1])).expect("applied");
    team.driver.take_log();
    team.driver.failures.push_back((0, libc::EPERM));
    team.apply_forwarding(&active(1, &[1]))
        .expect("nothing to do");
    assert!(team.driver.log.is_empty());
}

#[test]
fn a_set_whose_news_nobody_heard_is_finished_after_a_fresh_reading() {
    for errno in [libc::ESRCH, libc::ENOBUFS] {
        let mut team = opened(activebackup());
        team.driver.overflow = true;
        team.driver.failures.push_back((1, errno));
        team.apply_forwarding(&active(1, &[1, 2])).expect("applied");
        let log = team.driver.take_log();
        assert_eq!(log[..2], ["activeport=11", "enabled[12]=false"]);
        assert_eq!(log.len(), 4, "nothing twice: {log:?}");
        assert!(team.counters().resyncs > 0);
    }
}

#[test]
fn a_port_that_is_leaving_holds_nothing_up() {
    let mut team = opened(activebackup());
    team.apply_forwarding(&active(1, &[1, 2])).expect("applied");
    team.driver.take_log();
    team.driver.leave(11);
    // Told of port 1 as if it were there still.
    team.apply_forwarding(&active(2, &[2])).expect("applied");
    assert_eq!(
        team.driver.take_log()[..2],
        ["enabled[12]=true", "activeport=12"]
    );
    assert!(
        team.apply_forwarding(&active(1, &[1])).is_ok(),
        "the driver knows of no such port, and so does the next event"
    );
}

#[test]
fn an_error_that_is_about_no_port_is_reported() {
    let mut team = opened(activebackup());
    team.driver.failures.push_back((0, libc::EPERM));
    let error = team.apply_forwarding(&active(1, &[])).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
}

#[test]
fn a_choice_of_the_runner_is_put_back_and_one_of_the_user_is_kept() {
    let foreign = || (OptionId::port(name::ENABLED, 11), Value::Bool(false));
    let drained = |team: &mut KernelTeam<FakeDriver>| {
        let (id, value) = foreign();
        team.driver.take_log();
        team.driver.change(id, value);
        team.drain_ready(Token(0), 1).expect("drained");
        team.driver.take_log()
    };
    let mut team = opened(activebackup());
    team.apply_forwarding(&active(1, &[1])).expect("applied");
    assert_eq!(drained(&mut team), ["enabled[11]=true"]);

    let plain = |linked: &[u32]| Forwarding {
        policy: TxPolicy::RoundRobin {
            packets_per_port: NonZeroU32::MIN,
        },
        ports: ports(&[1, 2], linked),
    };
    let mut team = opened(roundrobin());
    team.apply_forwarding(&plain(&[1])).expect("applied");
    assert!(drained(&mut team).is_empty());
    team.apply_forwarding(&plain(&[1, 2])).expect("applied");
    assert_eq!(team.driver.take_log(), ["user_linkup[12]=true"]);
}

#[test]
fn buckets_are_mapped_and_only_those_that_moved_are_written() {
    let mut team = opened(RunnerSettings::LoadBalance {
        tx_hash: HashFields::ETH,
        balancing_interval: Some(std::time::Duration::from_secs(5)),
    });
    team.apply_forwarding(&balanced(1, 2)).expect("applied");
    let log = team.driver.take_log();
    assert!(log[0].starts_with("bpf_hash_func="));
    assert_eq!(log[1], "lb_tx_method=hash_to_port_mapping");
    let mapped = log
        .iter()
        .filter(|item| item.starts_with("lb_tx_hash_to_port_mapping="))
        .count();
    assert_eq!(mapped, 256);
    team.apply_forwarding(&balanced(1, 1)).expect("applied");
    let log = team.driver.take_log();
    // 128 buckets, and port 2 disabled.
    assert_eq!(log.len(), 129);
    assert_eq!(log[0], "enabled[12]=false");
}

#[test]
fn slb_is_the_drivers_loadbalance_with_a_bucket_for_the_designated_port() {
    let slb = |host| RunnerSettings::Slb {
        host,
        balancing_interval: None,
        learning_interval: None,
    };
    assert_eq!(mode(&slb(HostTraffic::OnePort)), Some("loadbalance"));
    assert_eq!(mode(&slb(HostTraffic::Sent)), None);
    assert_eq!(mode(&slb(HostTraffic::Both)), None);
    let mut team = opened(slb(HostTraffic::OnePort));
    let forwarding = Forwarding {
        policy: TxPolicy::SourceBalance {
            ports: SourceBalance {
                buckets: Box::new([Some(PortId(2)); BUCKETS]),
                previous: Box::new([None; BUCKETS]),
                designated: Some(PortId(1)),
                hwaddr: HwAddr::default(),
                host: None,
            },
            balanced: false,
        },
        ports: ports(&[1, 2], &[1, 2]),
    };
    team.apply_forwarding(&forwarding).expect("applied");
    let log = team.driver.take_log();
    assert_eq!(log[1], "lb_tx_method=hash_to_port_mapping");
    let to = |ifindex: u32| {
        let item = format!("lb_tx_hash_to_port_mapping={ifindex}");
        log.iter().filter(|found| **found == item).count()
    };
    assert_eq!((to(12), to(11)), (255, 1));
}

#[test]
fn bytes_by_bucket_come_from_the_drivers_news() {
    let mut team = opened(roundrobin());
    let bytes = Value::Binary(7_000_u64.to_ne_bytes().to_vec());
    let id = OptionId::element(name::LB_HASH_STATS, 3);
    team.driver.change(id, bytes);
    team.drain_ready(Token(0), 1).expect("drained");
    assert_eq!(team.bucket_bytes()[3], 7_000);
    assert_eq!(team.bucket_bytes()[4], 0);
}

#[test]
fn lost_news_lead_to_a_fresh_reading_that_is_counted() {
    let mut team = opened(activebackup());
    team.apply_forwarding(&active(1, &[1])).expect("applied");
    team.driver.take_log();
    let id = OptionId::team(name::ACTIVEPORT);
    team.driver.change(id, Value::U32(12));
    team.driver.overflow = true;
    team.drain_ready(Token(0), 1).expect("drained");
    assert_eq!(team.driver.take_log(), ["activeport=11"]);
    assert_eq!(team.counters().resyncs, 1);
}

#[test]
fn parts_are_told_apart_where_the_driver_does() {
    let mut team = opened_apart(activebackup());
    team.apply_forwarding(&active(1, &[1, 2])).expect("applied");
    assert_eq!(
        team.driver.take_log()[..3],
        [
            "activeport=11",
            "tx_enabled[12]=false",
            "rx_enabled[12]=false"
        ]
    );
    team.apply_forwarding(&active(2, &[1, 2])).expect("applied");
    assert_eq!(
        team.driver.take_log(),
        [
            "rx_enabled[12]=true",
            "tx_enabled[12]=true",
            "activeport=12",
            "tx_enabled[11]=false",
            "rx_enabled[11]=false",
        ]
    );
    assert!(team.drain_ready(Token(0), 1).is_ok());
    assert!(
        team.driver.take_log().is_empty(),
        "its own news is no surprise"
    );
}

#[test]
fn a_port_may_collect_alone() {
    let forwarding = |distributing| Forwarding {
        policy: TxPolicy::Broadcast,
        ports: vec![PortForwarding {
            port: PortId(1),
            collecting: true,
            distributing,
            linked: true,
            link_from_watch: false,
        }],
    };
    let mut team = opened_apart(RunnerSettings::Broadcast);
    team.apply_forwarding(&forwarding(false)).expect("applied");
    assert_eq!(team.driver.take_log()[0], "tx_enabled[11]=false");
    team.apply_forwarding(&forwarding(true)).expect("applied");
    assert_eq!(team.driver.take_log(), ["tx_enabled[11]=true"]);

    let mut team = opened(RunnerSettings::Broadcast);
    team.apply_forwarding(&forwarding(false)).expect("applied");
    assert_eq!(team.driver.take_log()[0], "enabled[11]=false");

    // Enabled, as it came: without a bucket nothing is sent on it.
    let lacp = RunnerSettings::Lacp(LacpSettings::default());
    let mut team = opened(lacp);
    let policy = TxPolicy::LoadBalance {
        fields: HashFields::ETH,
        buckets: Box::new([None; BUCKETS]),
        balanced: true,
    };
    let collects = Forwarding {
        policy,
        ..forwarding(false)
    };
    team.apply_forwarding(&collects).expect("applied");
    let log = team.driver.take_log();
    let expected = ["lb_tx_method=hash_to_port_mapping", "user_linkup[11]=true"];
    assert_eq!(log[1..], expected);
}

#[test]
fn loadbalance_hears_a_partner_that_knows_first_that_a_link_is_back() {
    let runner = || RunnerSettings::LoadBalance {
        tx_hash: HashFields::ETH,
        balancing_interval: None,
    };
    let mut forwarding = balanced(1, 1);
    forwarding.ports = ports(&[1], &[1]);
    // The runner's word: it collects on a port without a link.
    forwarding.ports[1].collecting = true;
    let mut team = opened_apart(runner());
    team.apply_forwarding(&forwarding).expect("applied");
    let log = team.driver.take_log();
    assert!(log.contains(&"tx_enabled[12]=false".to_owned()), "{log:?}");
    assert!(!log.contains(&"rx_enabled[12]=false".to_owned()), "{log:?}");
}

#[test]
fn who_sets_both_parts_by_one_option_is_noticed() {
    let mut team = opened_apart(activebackup());
    team.apply_forwarding(&active(1, &[1])).expect("applied");
    team.driver.take_log();
    // The driver tells of the one option only.
    for name in [name::RX_ENABLED, name::TX_ENABLED] {
        let id = OptionId::port(name, 11);
        team.driver.options.insert(id, Value::Bool(false));
    }
    team.driver
        .change(OptionId::port(name::ENABLED, 11), Value::Bool(false));
    team.drain_ready(Token(0), 1).expect("drained");
    assert_eq!(
        team.driver.take_log(),
        ["rx_enabled[11]=true", "tx_enabled[11]=true"]
    );
}

#[test]
fn the_priority_is_the_drivers() {
    let mut team = opened(activebackup());
    assert_eq!(team.priority(PortId(1)), Some(0));
    let id = OptionId::port(name::PRIORITY, 11);
    team.driver.change(id, Value::S32(-5));
    team.drain_ready(Token(0), 1).expect("drained");
    assert_eq!(team.priority(PortId(1)), Some(-5));
    assert_eq!(team.priority(PortId(9)), None);
}

#[test]
fn what_the_driver_cannot_do_is_said() {
    let said = |runner| options::shortfalls(&TeamSettings::new(runner)).concat();
    assert_eq!(said(roundrobin()), "");
    let packets_per_port = NonZeroU32::new(2).expect("not zero");
    let in_rows = said(RunnerSettings::RoundRobin { packets_per_port });
    assert!(in_rows.starts_with("runner.packets_per_port: "));
    let hashing = |tx_hash| RunnerSettings::LoadBalance {
        tx_hash,
        balancing_interval: None,
    };
    assert_eq!(said(hashing(HashFields::SRC_MAC)), "");
    let inside = said(hashing(HashFields::IPV4 | HashFields::ENCAP));
    assert!(inside.starts_with("runner.tx_hash: "));
}

//! The data path with a fake driver: which options are written, in which order, and how the data
//! path handles the driver's errors.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use runners::{Burst, HashFields, HostBalance, HwAddr, PortForwarding, SourceBalance};

use super::*;

const ON: Value = Value::Bool(true);

fn roundrobin() -> TxPolicy {
    TxPolicy::RoundRobin { packets_per_port: NonZeroU32::MIN }
}

/// Stores options as the driver does; the interface index of a port is 10 above its number.
#[derive(Debug, Default)]
struct FakeDriver {
    options: BTreeMap<OptionId, Value>,
    events: VecDeque<TeamOption>,
    ports: BTreeSet<u32>,
    /// Every item carried out since the last `take_log`, as `name[port]=value`.
    log: Vec<String>,
    /// Failures of the next requests: the number of items carried out before, and the error.
    failures: VecDeque<(usize, i32)>,
    overflow: bool,
    /// Failures of the next readings of events, and of the next releases.
    event_failures: VecDeque<i32>,
    release_failures: VecDeque<i32>,
    /// The driver has an enable option for each direction.
    per_direction: bool,
}

impl FakeDriver {
    fn change(&mut self, id: OptionId, value: Value) {
        self.options.insert(id.clone(), value.clone());
        self.events.push_back(TeamOption { id, value, changed: true, removed: false });
    }

    /// `enabled` reads as both parts together.
    fn join_parts(&mut self, id: &OptionId) {
        if let (name::RX_ENABLED | name::TX_ENABLED, Some(port)) = (&*id.name, id.port) {
            let on = |name| self.options.get(&OptionId::port(name, port)) == Some(&ON);
            let both = on(name::RX_ENABLED) && on(name::TX_ENABLED);
            self.change(OptionId::port(name::ENABLED, port), Value::Bool(both));
        }
    }

    /// `enabled` sets both parts, without an event for them.
    fn set_parts(&mut self, id: &OptionId, value: &Value) {
        if let (name::ENABLED, Some(port), true) = (&*id.name, id.port, self.per_direction) {
            for part in [name::RX_ENABLED, name::TX_ENABLED] {
                self.options.insert(OptionId::port(part, port), value.clone());
            }
        }
    }

    fn leave(&mut self, ifindex: u32) {
        self.ports.remove(&ifindex);
        let gone: Vec<OptionId> = self.options.keys().cloned().collect();
        for id in gone.into_iter().filter(|id| id.port == Some(ifindex)) {
            if let Some(value) = self.options.remove(&id) {
                self.events.push_back(TeamOption { id, value, changed: true, removed: true });
            }
        }
    }

    fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}

fn failing(errno: Option<i32>) -> io::Result<()> {
    errno.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
}

impl Driver for FakeDriver {
    fn ifindex(&self) -> u32 {
        1
    }

    fn set(&mut self, options: &[(OptionId, Value)]) -> io::Result<()> {
        let failure = self.failures.pop_front();
        for (place, (id, value)) in options.iter().enumerate() {
            failing(failure.filter(|(at, _)| *at == place).map(|(_, errno)| errno))?;
            let is_port = id.port.is_none_or(|port| self.ports.contains(&port));
            failing((!is_port).then_some(libc::ENOENT))?;
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
            self.set_parts(id, value);
        }
        Ok(())
    }

    fn options(&mut self) -> io::Result<Vec<TeamOption>> {
        let all = self.options.clone().into_iter();
        let option = |(id, value)| TeamOption { id, value, changed: false, removed: false };
        Ok(all.map(option).collect())
    }

    fn events(&mut self, each: &mut dyn FnMut(TeamOption)) -> io::Result<Received> {
        failing(self.event_failures.pop_front())?;
        if std::mem::take(&mut self.overflow) {
            self.events.clear();
            return Ok(Received::Loss);
        }
        self.events.drain(..).for_each(each);
        Ok(Received::All)
    }

    fn enslave(&mut self, ifindex: u32) -> io::Result<Enslaved> {
        if !self.ports.insert(ifindex) {
            return Ok(Enslaved::Before);
        }
        let mut options = vec![
            (name::ENABLED, ON),
            (name::USER_LINKUP, Value::Bool(false)),
            (name::USER_LINKUP_ENABLED, Value::Bool(false)),
            (name::PRIORITY, Value::S32(0)),
            (name::QUEUE_ID, Value::U32(0)),
        ];
        if self.per_direction {
            options.extend([(name::RX_ENABLED, ON), (name::TX_ENABLED, ON)]);
        }
        for (name, value) in options {
            self.change(OptionId::port(name, ifindex), value);
        }
        Ok(Enslaved::Now)
    }

    fn clear_port(&mut self, _ifindex: u32) -> io::Result<()> {
        Ok(())
    }

    fn release(&mut self, ifindex: u32) -> io::Result<()> {
        failing(self.release_failures.pop_front())?;
        self.leave(ifindex);
        Ok(())
    }
}

fn opened(policy: TxPolicy) -> KernelTeam<FakeDriver> {
    opened_on(FakeDriver::default(), policy)
}

/// Opens a driver that has an enable option for each direction.
fn opened_per_direction(policy: TxPolicy) -> KernelTeam<FakeDriver> {
    let driver = FakeDriver { per_direction: true, ..FakeDriver::default() };
    opened_on(driver, policy)
}

fn opened_on(driver: FakeDriver, policy: TxPolicy) -> KernelTeam<FakeDriver> {
    let mut team = KernelTeam::with(driver, &requirements(policy), shared()).expect("opened");
    for number in [1, 2] {
        team.attach(PortId(number), &interface(number)).expect("attached");
    }
    team.driver.take_log();
    team
}

/// Returns programs that are never loaded.
fn shared() -> Rc<SharedPrograms> {
    let registry = mio::Poll::new().and_then(|poll| poll.registry().try_clone());
    Rc::new(SharedPrograms::new(Rc::new(registry.expect("a poll")), Token(0)))
}

fn requirements(policy: TxPolicy) -> Requirements {
    Requirements {
        policy,
        drops_unmapped: false,
        balancing_interval: None,
        notify_peers: Burst::default(),
        mcast_rejoin: Burst::default(),
    }
}

fn interface(number: u32) -> PortInterface {
    PortInterface {
        ifindex: 10 + number,
        name: format!("eth{number}"),
        hwaddr: HwAddr::default(),
        mtu: 1500,
        ipv6: true,
        promiscuous: false,
        stopped_offloads: Default::default(),
    }
}

fn loadbalance(fields: HashFields) -> TxPolicy {
    TxPolicy::LoadBalance {
        fields,
        buckets: Arc::new([None; BUCKETS]),
        balanced: false,
        neighbours: false,
    }
}

/// Loadbalance by a table of buckets.
fn mapped(port: impl Fn(usize) -> Option<PortId>) -> TxPolicy {
    let buckets = Arc::new(std::array::from_fn(port));
    TxPolicy::LoadBalance { fields: HashFields::ETH, buckets, balanced: true, neighbours: false }
}

fn resyncs(team: &KernelTeam<FakeDriver>) -> u64 {
    team.snapshot(SnapshotPart::Counters).counters.resyncs
}

/// Applies the forwarding, and returns the items that the driver carried out for it.
fn forward(team: &mut KernelTeam<FakeDriver>, forwarding: &Forwarding) -> Vec<String> {
    team.driver.take_log();
    team.forward(forwarding).expect("applied");
    team.driver.take_log()
}

fn poll(team: &mut KernelTeam<FakeDriver>) -> Polled {
    team.poll(Instant::ZERO, Token(0), 1).expect("polled")
}

fn activebackup() -> TxPolicy {
    TxPolicy::ActiveBackup { active: None }
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
        policy: TxPolicy::ActiveBackup { active: Some(PortId(number)) },
        ports: ports(&[number], linked),
    }
}

fn balanced(even: u32, odd: u32) -> Forwarding {
    let port = |bucket| Some(PortId(if bucket % 2 == 0 { even } else { odd }));
    Forwarding { policy: mapped(port), ports: ports(&[even, odd], &[1, 2]) }
}

#[test]
fn the_mode_is_written_first_and_the_driver_announces() {
    let requirements = Requirements {
        notify_peers: Burst { count: 3, interval: Duration::from_millis(50) },
        ..requirements(activebackup())
    };
    let mut team =
        KernelTeam::with(FakeDriver::default(), &requirements, shared()).expect("opened");
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
    assert_eq!(
        forward(&mut team, &active(1, &[1, 2])),
        ["activeport=11", "enabled[12]=false", "user_linkup[11]=true", "user_linkup[12]=true",]
    );
    assert_eq!(
        forward(&mut team, &active(2, &[2])),
        ["enabled[12]=true", "activeport=12", "enabled[11]=false", "user_linkup[11]=false",]
    );
}

#[test]
fn the_link_of_watches_is_written_before_the_driver_follows_it() {
    let mut team = opened(roundrobin());
    let link_from_watch = |link_from_watch: bool, linked: &[u32]| Forwarding {
        policy: TxPolicy::Broadcast,
        ports: ports(&[1, 2], linked)
            .into_iter()
            .map(|port| PortForwarding { link_from_watch, ..port })
            .collect(),
    };
    assert_eq!(
        forward(&mut team, &link_from_watch(true, &[1])),
        ["user_linkup[11]=true", "user_linkup_enabled[11]=true", "user_linkup_enabled[12]=true",]
    );
    assert_eq!(
        forward(&mut team, &link_from_watch(false, &[2])),
        [
            "user_linkup_enabled[11]=false",
            "user_linkup[11]=false",
            "user_linkup_enabled[12]=false",
            "user_linkup[12]=true",
        ]
    );
}

#[test]
fn unchanged_options_are_not_written() {
    let mut team = opened(activebackup());
    forward(&mut team, &active(1, &[1]));
    team.driver.failures.push_back((0, libc::EPERM));
    team.forward(&active(1, &[1])).expect("nothing to do");
    assert!(team.driver.log.is_empty());
}

#[test]
fn a_request_without_a_listener_is_finished_after_a_fresh_reading() {
    for errno in [libc::ESRCH, libc::ENOBUFS] {
        let mut team = opened(activebackup());
        team.driver.overflow = true;
        team.driver.failures.push_back((1, errno));
        let log = forward(&mut team, &active(1, &[1, 2]));
        assert_eq!(log[..2], ["activeport=11", "enabled[12]=false"]);
        assert_eq!(log.len(), 4, "nothing twice: {log:?}");
        assert!(resyncs(&team) > 0);
    }
}

#[test]
fn a_leaving_port_does_not_block_other_options() {
    let mut team = opened(activebackup());
    forward(&mut team, &active(1, &[1, 2]));
    team.driver.leave(11);
    // The data path still has port 1.
    assert_eq!(forward(&mut team, &active(2, &[2]))[..2], ["enabled[12]=true", "activeport=12"]);
    assert!(
        team.forward(&active(1, &[1])).is_ok(),
        "the driver knows of no such port, and so does the next event"
    );
}

#[test]
fn an_error_that_concerns_no_port_is_reported() {
    let mut team = opened(activebackup());
    team.driver.failures.push_back((0, libc::EPERM));
    let error = team.forward(&active(1, &[])).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
}

#[test]
fn a_port_of_the_runner_is_enabled_again_and_a_port_of_the_user_is_not() {
    let foreign = || (OptionId::port(name::ENABLED, 11), Value::Bool(false));
    let written = |team: &mut KernelTeam<FakeDriver>| {
        let (id, value) = foreign();
        team.driver.take_log();
        team.driver.change(id, value);
        poll(team);
        team.driver.take_log()
    };
    let mut team = opened(activebackup());
    forward(&mut team, &active(1, &[1]));
    assert_eq!(written(&mut team), ["enabled[11]=true"]);

    let plain = |linked: &[u32]| Forwarding { policy: roundrobin(), ports: ports(&[1, 2], linked) };
    let mut team = opened(roundrobin());
    forward(&mut team, &plain(&[1]));
    assert!(written(&mut team).is_empty());
    assert_eq!(forward(&mut team, &plain(&[1, 2])), ["user_linkup[12]=true"]);
}

#[test]
fn buckets_are_mapped_and_only_those_that_moved_are_written() {
    let mut team = opened(loadbalance(HashFields::ETH));
    let log = forward(&mut team, &balanced(1, 2));
    assert!(log[0].starts_with("bpf_hash_func="));
    assert_eq!(log[1], "lb_tx_method=hash_to_port_mapping");
    let is_mapping = |item: &&String| item.starts_with("lb_tx_hash_to_port_mapping=");
    assert_eq!(log.iter().filter(is_mapping).count(), 256);
    let log = forward(&mut team, &balanced(1, 1));
    // 128 buckets, and port 2 disabled.
    assert_eq!(log.len(), 129);
    assert_eq!(log[0], "enabled[12]=false");
}

#[test]
fn slb_is_the_drivers_loadbalance_with_a_bucket_for_the_designated_port() {
    let slb = |host| TxPolicy::SourceBalance {
        ports: SourceBalance {
            buckets: Box::new([Some(PortId(2)); BUCKETS]),
            previous: Box::new([None; BUCKETS]),
            designated: Some(PortId(1)),
            hwaddr: HwAddr::default(),
            host,
        },
        balanced: false,
    };
    let spread = |receive| HostBalance { addresses: Vec::new(), receive };
    assert_eq!(mode(&slb(None)), Some("loadbalance"));
    assert_eq!(mode(&slb(Some(spread(false)))), None);
    assert_eq!(mode(&slb(Some(spread(true)))), None);
    let mut team = opened(slb(None));
    let forwarding = Forwarding { policy: slb(None), ports: ports(&[1, 2], &[1, 2]) };
    let log = forward(&mut team, &forwarding);
    assert_eq!(log[1], "lb_tx_method=hash_to_port_mapping");
    let to = |ifindex: u32| {
        let item = format!("lb_tx_hash_to_port_mapping={ifindex}");
        log.iter().filter(|found| **found == item).count()
    };
    assert_eq!((to(12), to(11)), (255, 1));
}

#[test]
fn bytes_by_bucket_are_read_from_events() {
    let mut team = opened(roundrobin());
    let bytes = Value::Binary(7_000_u64.to_ne_bytes().to_vec());
    let id = OptionId::element(name::LB_HASH_STATS, 3);
    team.driver.change(id, bytes);
    poll(&mut team);
    assert_eq!(team.bucket_bytes()[3], 7_000);
    assert_eq!(team.bucket_bytes()[4], 0);
}

#[test]
fn lost_events_lead_to_a_fresh_reading_that_is_counted() {
    let mut team = opened(activebackup());
    forward(&mut team, &active(1, &[1]));
    let id = OptionId::team(name::ACTIVEPORT);
    team.driver.change(id, Value::U32(12));
    team.driver.overflow = true;
    poll(&mut team);
    assert_eq!(team.driver.take_log(), ["activeport=11"]);
    assert_eq!(resyncs(&team), 1);
}

#[test]
fn one_option_enables_both_directions_so_the_driver_announces_once() {
    let mut team = opened_per_direction(activebackup());
    assert_eq!(
        forward(&mut team, &active(1, &[1, 2]))[..2],
        ["activeport=11", "enabled[12]=false"]
    );
    assert_eq!(
        forward(&mut team, &active(2, &[1, 2])),
        ["enabled[12]=true", "activeport=12", "enabled[11]=false"]
    );
    poll(&mut team);
    assert!(team.driver.take_log().is_empty(), "events of its own writes change nothing");
}

#[test]
fn a_port_may_collect_alone() {
    let forwarding = |distributing| Forwarding {
        policy: TxPolicy::Broadcast,
        ports: vec![PortForwarding { distributing, ..ports(&[1], &[1])[0] }],
    };
    let mut team = opened_per_direction(TxPolicy::Broadcast);
    assert_eq!(forward(&mut team, &forwarding(false))[0], "tx_enabled[11]=false");
    assert_eq!(forward(&mut team, &forwarding(true)), ["tx_enabled[11]=true"]);

    let mut team = opened(TxPolicy::Broadcast);
    assert_eq!(forward(&mut team, &forwarding(false))[0], "enabled[11]=false");

    // The port stays enabled: without a bucket the driver sends nothing on it.
    let mut team = opened(loadbalance(HashFields::ETH));
    let collects = Forwarding { policy: mapped(|_| None), ..forwarding(false) };
    let log = forward(&mut team, &collects);
    let expected = ["lb_tx_method=hash_to_port_mapping", "user_linkup[11]=true"];
    assert_eq!(log[1..], expected);
}

#[test]
fn loadbalance_receives_on_a_port_that_has_no_link_yet() {
    let mut forwarding = balanced(1, 1);
    forwarding.ports = ports(&[1], &[1]);
    // The partner may see first that the link is back.
    forwarding.ports[1].collecting = true;
    let mut team = opened_per_direction(loadbalance(HashFields::ETH));
    let log = forward(&mut team, &forwarding);
    assert!(log.contains(&"tx_enabled[12]=false".to_owned()), "{log:?}");
    assert!(!log.contains(&"rx_enabled[12]=false".to_owned()), "{log:?}");
}

#[test]
fn both_directions_set_by_the_joint_option_are_enabled_again() {
    let mut team = opened_per_direction(activebackup());
    forward(&mut team, &active(1, &[1]));
    // The driver sends an event of the joint option only.
    for name in [name::RX_ENABLED, name::TX_ENABLED] {
        let id = OptionId::port(name, 11);
        team.driver.options.insert(id, Value::Bool(false));
    }
    team.driver.change(OptionId::port(name::ENABLED, 11), Value::Bool(false));
    poll(&mut team);
    assert_eq!(team.driver.take_log(), ["enabled[11]=true"]);
}

#[test]
fn a_poll_returns_the_priorities_of_the_driver() {
    let mut team = opened(activebackup());
    assert!(poll(&mut team).priorities.contains(&(PortId(1), 0)));
    let id = OptionId::port(name::PRIORITY, 11);
    team.driver.change(id, Value::S32(-5));
    let expected = [(PortId(1), -5), (PortId(2), 0)];
    assert_eq!(poll(&mut team).priorities, expected);
}

#[test]
fn a_policy_that_the_driver_has_in_part_gives_a_warning() {
    let warning = |policy| options::shortfall(&policy).unwrap_or_default();
    assert_eq!(warning(roundrobin()), "");
    let packets_per_port = NonZeroU32::new(2).expect("not zero");
    let in_rows = warning(TxPolicy::RoundRobin { packets_per_port });
    assert!(in_rows.starts_with("runner.packets_per_port: "));
    assert_eq!(warning(loadbalance(HashFields::SRC_MAC)), "");
    let inside = warning(loadbalance(HashFields::IPV4 | HashFields::ENCAP));
    assert!(inside.starts_with("runner.tx_hash: "));
}

#[test]
fn a_failed_attach_leaves_the_interface_as_it_was() {
    let mut team = opened(activebackup());
    let attach = |team: &mut KernelTeam<FakeDriver>| {
        team.driver.event_failures.push_back(libc::ENOMEM);
        let error = team.attach(PortId(3), &interface(3)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
    };
    attach(&mut team);
    assert!(!team.driver.ports.contains(&13), "still enslaved");
    // An interface that was a port before the daemon stays one.
    team.driver.ports.insert(13);
    attach(&mut team);
    assert!(team.driver.ports.contains(&13), "released");
    assert!(!team.ports.contains_key(&PortId(3)));
}

#[test]
fn a_port_is_no_longer_served_after_a_failed_detach() {
    let mut team = opened(activebackup());
    forward(&mut team, &active(1, &[1, 2]));
    team.driver.release_failures.push_back(libc::EBUSY);
    let error = team.detach(PortId(1)).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
    team.driver.take_log();
    // A port that is served would be disabled.
    let log = forward(&mut team, &active(2, &[2]));
    assert!(!log.iter().any(|item| item.contains("[11]")), "{log:?}");
    assert!(team.detach(PortId(1)).is_ok(), "already detached");
}

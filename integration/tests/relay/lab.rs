//! Data paths in hosts of a lab: driven by a loop, or polled by the test.
#![allow(clippy::disallowed_methods, reason = "a test waits for and measures real daemons")]

use std::any::Any;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use integration::{CableKind, LIMIT, Lab, Namespace, Sharing};
use mio::{Events, Poll, Registry, Token, Waker};
use nix::sched::{CloneFlags, setns};
use runners::{BUCKETS, Forwarding, HwAddr, Instant, PortForwarding, PortId, TxPolicy};
use teamr::datapath::device::DeviceOptions;
use teamr::datapath::driverless::DriverlessTeam;
use teamr::datapath::ebpf::SharedPrograms;
use teamr::datapath::port_state::PortStateFile;
use teamr::datapath::{Change, Counters, DataPath, Drained, PortInterface, SnapshotPart};
use teamr::netlink::{RouteSocket, link};

pub const FIRST: PortId = PortId(0);
pub const SECOND: PortId = PortId(1);

/// Token of the programs' wakeups, past those of the data paths.
const WAKEUPS: Token = Token(1000);

/// Returns what the programs of a process share.
pub fn shared(registry: &Rc<Registry>) -> Rc<SharedPrograms> {
    Rc::new(SharedPrograms::new(Rc::clone(registry), WAKEUPS))
}

/// Moves the calling thread into the network of `host`.
pub fn enter(host: &Namespace) {
    let network = File::open(format!("/proc/{}/ns/net", host.pid())).expect("a namespace");
    setns(network, CloneFlags::CLONE_NEWNET).expect("entered");
}

/// Runs `work` on a thread in the network of `host`.
pub fn inside<T: Send>(host: &Namespace, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(host);
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Connects two hosts by a veth; both ends are up.
pub fn connect(lab: &Lab, near: (&Namespace, &str), far: (&Namespace, &str)) {
    lab.cable(near, far, CableKind::Virtual);
    for (host, interface) in [near, far] {
        host.up(interface);
    }
}

/// Returns an interface as a data path wants it described.
pub fn interface(host: &Namespace, name: &str) -> PortInterface {
    let link = inside(host, || {
        let mut route = RouteSocket::open().expect("a route socket");
        link::find(&mut route, name).expect("an interface")
    });
    PortInterface {
        ifindex: link.ifindex,
        name: link.name,
        hwaddr: link.hwaddr,
        mtu: link.mtu,
        ipv6: true,
        promiscuous: link.promiscuous,
        stopped_offloads: Default::default(),
    }
}

/// The path of a port-state file that no other test uses; the file is removed at the end.
pub struct PortStatePath(pub PathBuf);

impl PortStatePath {
    pub fn new(test: &str) -> Self {
        let name = format!("teamr-relay-{}-{test}.ports", std::process::id());
        PortStatePath(std::env::temp_dir().join(name))
    }
}

impl Drop for PortStatePath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Has `path` forward by `forwarding`.
pub fn forward(path: &mut impl DataPath, forwarding: &Forwarding) {
    path.apply(Instant::ZERO, Change::Forwarding(forwarding)).expect("applied");
}

/// Polls one source.
pub fn poll(path: &mut impl DataPath, token: usize, budget: usize) -> io::Result<Drained> {
    let polled = path.poll(Instant::ZERO, Token(token), budget)?;
    Ok(polled.drained)
}

pub fn counters(path: &impl DataPath) -> Counters {
    path.snapshot(SnapshotPart::Counters).counters
}

pub fn bucket_bytes(path: &impl DataPath) -> Box<[u64; BUCKETS]> {
    path.snapshot(SnapshotPart::BucketBytes).bucket_bytes
}

/// Returns a forwarding in which every port is enabled and linked.
pub fn forwarding(policy: TxPolicy, ports: &[PortId]) -> Forwarding {
    let ports = ports.iter().map(|port| PortForwarding {
        port: *port,
        collecting: true,
        distributing: true,
        linked: true,
        link_from_watch: false,
    });
    Forwarding { policy, ports: ports.collect() }
}

pub fn tap(name: &str) -> DeviceOptions {
    let hwaddr = HwAddr([2, 0x7e, 0xa3, 0, 0, 1]);
    DeviceOptions { name: name.to_owned(), hwaddr, persist: false, take_over: false }
}

const WAKE: Token = Token(1000);
const BUDGET: usize = 32;

type Answer = Box<dyn Any + Send>;
type Job = Box<dyn FnOnce(&mut DriverlessTeam) -> Answer + Send>;

/// Moves frames and runs jobs until the sender of jobs is dropped.
fn drive(
    mut poll: Poll,
    mut path: DriverlessTeam,
    jobs: &Receiver<(Job, Sender<Answer>)>,
) -> io::Result<()> {
    let mut events = Events::with_capacity(16);
    let mut ready: Vec<Token> = Vec::new();
    loop {
        let patience = (!ready.is_empty()).then_some(Duration::ZERO);
        match poll.poll(&mut events, patience) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            done => done?,
        }
        for event in &events {
            if event.token() != WAKE && !ready.contains(&event.token()) {
                ready.push(event.token());
            }
        }
        let mut left = Vec::new();
        for token in ready.drain(..) {
            if self::poll(&mut path, token.0, BUDGET)? == Drained::More {
                left.push(token);
            }
        }
        ready = left;
        loop {
            match jobs.try_recv() {
                // The receiver of the answer may have timed out.
                Ok((job, answer)) => drop(answer.send(job(&mut path))),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }
}

/// A team device whose frames a thread moves, as the daemon would.
pub struct Team {
    jobs: Option<Sender<(Job, Sender<Answer>)>>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
    _port_state: PortStatePath,
}

impl Team {
    /// Starts a device `team0` in `host` over `ports`, numbered from 0, under `policy`, and sets it
    /// up.
    pub fn start(host: &Namespace, test: &str, ports: &[&str], policy: TxPolicy) -> Team {
        let port_state = PortStatePath::new(test);
        let path = port_state.0.clone();
        let ports = ports.iter();
        let interfaces: Vec<PortInterface> = ports.map(|port| interface(host, port)).collect();
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), WAKE).expect("a waker");
        let (jobs, todo) = channel::<(Job, Sender<Answer>)>();
        let namespace = host.clone();
        let thread = thread::spawn(move || {
            enter(&namespace);
            let registry = Rc::new(poll.registry().try_clone().expect("a registry"));
            let mut path = DriverlessTeam::with_relay(
                Rc::clone(&registry),
                0..100,
                &tap("team0"),
                PortStateFile::open(path),
                shared(&registry),
                &mut BTreeMap::new(),
            )
            .expect("a team device");
            let ids: Vec<PortId> = (0..interfaces.len() as u32).map(PortId).collect();
            for (id, interface) in ids.iter().zip(&interfaces) {
                path.attach(*id, interface).expect("a port");
            }
            forward(&mut path, &forwarding(policy, &ids));
            drive(poll, path, &todo).expect("a device that stays");
        });
        let team = Team { jobs: Some(jobs), waker, thread: Some(thread), _port_state: port_state };
        team.with(|_| ());
        start(host);
        team
    }

    /// Runs `work` on the data path, between two frames.
    pub fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut DriverlessTeam) -> T + Send + 'static,
    ) -> T {
        let (answer, result) = channel();
        let jobs = self.jobs.as_ref().expect("running");
        jobs.send((Box::new(|path| Box::new(work(path))), answer)).expect("running");
        self.waker.wake().expect("woken");
        let result = result.recv_timeout(LIMIT).expect("an answer");
        *result.downcast().expect("the type that was asked for")
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.jobs = None;
        let _ = self.waker.wake();
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            if !thread::panicking() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

pub fn active(port: PortId) -> TxPolicy {
    TxPolicy::ActiveBackup { active: Some(port) }
}

/// Opens a lab with the host of the team and its neighbour.
pub fn hosts() -> Option<(Lab, Namespace, Namespace)> {
    let lab = Lab::open(Sharing::Shared)?;
    let (host, peer) = (lab.host("host"), lab.host("peer"));
    Some((lab, host, peer))
}

/// As [`hosts`], without IPv6, so that only the test's own frames are under way.
pub fn quiet_hosts() -> Option<(Lab, Namespace, Namespace)> {
    let (lab, host, peer) = hosts()?;
    for host in [&host, &peer] {
        for scope in ["default", "all"] {
            host.write(&format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1");
        }
    }
    Some((lab, host, peer))
}

/// Opens a data path with ports a0, a1, …, which moves frames only when polled. This thread moves
/// into `host`.
pub fn standing(
    lab: &Lab,
    host: &Namespace,
    peer: &Namespace,
    test: &str,
    ports: u32,
) -> (DriverlessTeam, PortStatePath) {
    enter(host);
    let port_state = PortStatePath::new(test);
    let registry = Poll::new().and_then(|poll| poll.registry().try_clone()).expect("a registry");
    let registry = Rc::new(registry);
    let shared = shared(&registry);
    let mut path = DriverlessTeam::with_relay(
        registry,
        0..10,
        &tap("team0"),
        PortStateFile::open(&port_state.0),
        shared,
        &mut BTreeMap::new(),
    )
    .expect("a team device");
    for number in 0..ports {
        let name = format!("a{number}");
        connect(lab, (host, &name), (peer, &format!("b{number}")));
        path.attach(PortId(number), &interface(host, &name)).expect("a port");
    }
    (path, port_state)
}

/// Sets team0 up with a carrier. The carrier comes first: the kernel delays the carrier of a device
/// that is up.
pub fn start(host: &Namespace) {
    host.run("ip link set team0 carrier on");
    host.up("team0");
}

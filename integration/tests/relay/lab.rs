//! Network namespaces of a test's own, and in one of them a data path: driven by a loop, or standing
//! still until it is drained.
#![allow(
    clippy::disallowed_methods,
    reason = "a test waits for and measures real daemons"
)]

use std::any::Any;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, path::PathBuf};

use mio::{Events, Poll, Token, Waker};
use nix::sched::{CloneFlags, setns, unshare};
use runners::{Forwarding, PortForwarding, PortId, TxPolicy};
use teamr::datapath::{DataPath, Drained, PortInterface};
use teamr::datapath::{device::DeviceOptions, port_state::PortStateFile, relay::Userspace};
use teamr::netlink::{RouteSocket, link};

pub const FIRST: PortId = PortId(0);
pub const SECOND: PortId = PortId(1);

/// Long enough for a loaded machine; nothing waits this long when all is well.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A network namespace; it lives as long as this and the threads in it.
pub struct Namespace(File);

impl Namespace {
    /// A fresh one; none, with the reason printed, where that is not permitted.
    pub fn new() -> Option<Self> {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        });
        match made.join().expect("no panic") {
            Ok(file) => {
                let namespace = Namespace(file);
                namespace.command("ip link set lo up");
                Some(namespace)
            }
            Err(error) => {
                println!("skipped: cannot make a network namespace: {error}");
                None
            }
        }
    }

    /// Moves the calling thread in.
    pub fn enter(&self) {
        setns(&self.0, CloneFlags::CLONE_NEWNET).expect("entered");
    }

    /// Runs `work` on a thread inside.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter();
                work()
            });
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a command inside, which must succeed; returns what it printed.
    pub fn command(&self, line: &str) -> String {
        let (ok, output) = self.attempt(line);
        assert!(ok, "{line}: {output}");
        output
    }

    /// Runs a command inside; returns whether it succeeded and what it printed.
    pub fn attempt(&self, line: &str) -> (bool, String) {
        let mut words = line.split_whitespace();
        let program = words.next().expect("a command");
        let output = self
            .inside(|| Command::new(program).args(words).output())
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        (output.status.success(), text)
    }

    /// A veth veth, one end here, the other in `peer`, both up.
    pub fn link_to(&self, here: &str, peer: &Namespace, there: &str) {
        let path = format!("/proc/{}/fd/{}", std::process::id(), peer.0.as_raw_fd());
        self.command(&format!(
            "ip link add {here} type veth peer name {there} netns {path}"
        ));
        self.command(&format!("ip link set {here} up"));
        peer.command(&format!("ip link set {there} up"));
    }

    /// The interface `name`, as a port wants it described.
    pub fn interface(&self, name: &str) -> PortInterface {
        self.inside(|| {
            let mut route = RouteSocket::open().expect("a route socket");
            let link = link::find(&mut route, name).expect("an interface");
            PortInterface {
                ifindex: link.ifindex,
                name: link.name,
                hwaddr: link.hwaddr,
                mtu: link.mtu,
                ipv6: true,
                promiscuous: link.promiscuous,
            }
        })
    }

    /// No autoconfiguration, so that only the test's own frames are under way.
    pub fn quiet(&self) {
        self.command("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
        self.command("sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
    }
}

/// Waits until `done`; whether it was before the deadline.
pub fn wait(mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

/// A journal's path that no other test uses; the file is gone at the end.
pub struct JournalPath(pub PathBuf);

impl JournalPath {
    pub fn new(test: &str) -> Self {
        let name = format!("teamr-relay-{}-{test}.ports", std::process::id());
        JournalPath(std::env::temp_dir().join(name))
    }
}

impl Drop for JournalPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Every port enabled and linked, under `policy`.
pub fn forwarding(policy: TxPolicy, ports: &[PortId]) -> Forwarding {
    let ports = ports.iter().map(|port| PortForwarding {
        port: *port,
        collecting: true,
        distributing: true,
        linked: true,
        link_from_watch: false,
    });
    Forwarding {
        policy,
        ports: ports.collect(),
    }
}

pub fn tap(name: &str) -> DeviceOptions {
    DeviceOptions {
        name: name.to_owned(),
        persist: false,
        take_over: false,
    }
}

const WAKE: Token = Token(1000);
const BUDGET: usize = 32;

type Answer = Box<dyn Any + Send>;
type Job = Box<dyn FnOnce(&mut Userspace) -> Answer + Send>;

/// Moves frames and does jobs until nobody can send jobs any more.
fn drive(
    mut poll: Poll,
    mut path: Userspace,
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
            if path.drain_ready(token, BUDGET)? == Drained::More {
                left.push(token);
            }
        }
        ready = left;
        loop {
            match jobs.try_recv() {
                // Whoever asked may have given up.
                Ok((job, answer)) => drop(answer.send(job(&mut path))),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }
}

/// A team device whose frames a thread of its own moves, as the daemon would.
pub struct Team {
    jobs: Option<Sender<(Job, Sender<Answer>)>>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
    _journal: JournalPath,
}

impl Team {
    /// A device `team0` in `host` over `ports`, numbered from 0, under `policy`; it is up.
    pub fn start(host: &Namespace, test: &str, ports: &[&str], policy: TxPolicy) -> Team {
        let port_state = JournalPath::new(test);
        let path = port_state.0.clone();
        let interfaces: Vec<PortInterface> =
            ports.iter().map(|port| host.interface(port)).collect();
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), WAKE).expect("a waker");
        let (jobs, todo) = channel::<(Job, Sender<Answer>)>();
        let namespace = Namespace(host.0.try_clone().expect("a descriptor"));
        let thread = thread::spawn(move || {
            namespace.enter();
            let registry = poll.registry().try_clone().expect("a registry");
            let mut path =
                Userspace::create(registry, 0..100, &tap("team0"), PortStateFile::open(path))
                    .expect("a team device");
            let ids: Vec<PortId> = (0..interfaces.len() as u32).map(PortId).collect();
            for (id, interface) in ids.iter().zip(&interfaces) {
                path.attach_port(*id, interface).expect("a port");
            }
            path.apply_forwarding(&forwarding(policy, &ids))
                .expect("applied");
            drive(poll, path, &todo).expect("a device that stays");
        });
        let team = Team {
            jobs: Some(jobs),
            waker,
            thread: Some(thread),
            _journal: port_state,
        };
        team.with(|_| ());
        start(host);
        team
    }

    /// Runs `work` on the data path, between two frames.
    pub fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Userspace) -> T + Send + 'static,
    ) -> T {
        let (answer, result) = channel();
        let jobs = self.jobs.as_ref().expect("running");
        jobs.send((Box::new(|path| Box::new(work(path))), answer))
            .expect("running");
        self.waker.wake().expect("woken");
        let result = result.recv_timeout(DEADLINE).expect("an answer");
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

/// The host of the team and its neighbour.
pub fn hosts() -> Option<(Namespace, Namespace)> {
    Some((Namespace::new()?, Namespace::new()?))
}

/// The same without a frame that the test did not send.
pub fn quiet_hosts() -> Option<(Namespace, Namespace)> {
    let (host, peer) = hosts()?;
    host.quiet();
    peer.quiet();
    Some((host, peer))
}

/// A data path over ports a0, a1, … that stands still until it is drained. This thread moves
/// into `host`.
pub fn standing(
    host: &Namespace,
    peer: &Namespace,
    test: &str,
    ports: u32,
) -> (Userspace, JournalPath) {
    host.enter();
    let port_state = JournalPath::new(test);
    let registry = Poll::new()
        .and_then(|poll| poll.registry().try_clone())
        .expect("a registry");
    let mut path = Userspace::create(
        registry,
        0..10,
        &tap("team0"),
        PortStateFile::open(&port_state.0),
    )
    .expect("a team device");
    for number in 0..ports {
        let name = format!("a{number}");
        host.link_to(&name, peer, &format!("b{number}"));
        path.attach_port(PortId(number), &host.interface(&name))
            .expect("a port");
    }
    (path, port_state)
}

/// Sets team0 up with a carrier. The carrier comes first: that of a device which is up takes
/// the kernel a while to believe.
pub fn start(host: &Namespace) {
    host.command("ip link set team0 carrier on");
    host.command("ip link set team0 up");
}

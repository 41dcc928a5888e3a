//! A restart of a relay by the service manager loses no frame: frames queue in the descriptors that
//! the service manager keeps open.

use std::fs;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use integration::traffic::{End, Pace, Stream};
use integration::{
    DataPath, HostAndPeer, Lab, Namespace, Ping, Sharing, Teamr, binary, team_config, teamr_command,
};
use nix::sys::signal::Signal;
use teamr::sys::descriptor;

const PORTS: [&str; 2] = ["eth1", "eth2"];

/// Python program that passes descriptors as a service manager does: the first argument has their
/// numbers.
const LAUNCHER: &str = "import os, sys
numbers = [int(number) for number in sys.argv[1].split()]
for place, number in enumerate(numbers):
    os.dup2(number, 200 + place)
for place in range(len(numbers)):
    os.dup2(200 + place, 3 + place)
os.environ['LISTEN_FDS'] = str(len(numbers))
os.environ['LISTEN_PID'] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])";

/// The socket and the kept descriptors of a service manager.
struct Manager {
    path: PathBuf,
    socket: UnixDatagram,
    kept: Vec<(String, OwnedFd)>,
}

impl Manager {
    fn new(lab: &Lab) -> Manager {
        let path = lab.folder().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a service manager's socket");
        socket.set_nonblocking(true).expect("set a socket up");
        Manager { path, socket, kept: Vec::new() }
    }

    /// Reads the messages of a daemon; returns the names of the descriptors that the daemon removes
    /// from the store.
    fn read(&mut self) -> Vec<String> {
        let mut taken = Vec::new();
        while let Ok((message, descriptor)) = descriptor::receive(&self.socket, 1000) {
            let message = String::from_utf8(message).expect("a text");
            let name = message.lines().find_map(|line| line.strip_prefix("FDNAME="));
            match (name, descriptor) {
                (Some(name), Some(descriptor)) => self.kept.push((name.to_owned(), descriptor)),
                (Some(name), None) => taken.push(name.to_owned()),
                (None, _) => (),
            }
        }
        taken
    }

    /// Starts the next daemon, and passes the kept descriptors to it.
    fn restart(&mut self, host: &Namespace, config: &serde_json::Value, args: &[&str]) -> Teamr {
        let (names, descriptors): (Vec<_>, Vec<_>) = self.kept.drain(..).unzip();
        let numbers = descriptors.iter().map(|it| {
            let copy = nix::unistd::dup(it).expect("a copy that a program inherits");
            copy.into_raw_fd().to_string()
        });
        let numbers: Vec<String> = numbers.collect();
        let mut command = host.command("python3");
        command.args(["-c", LAUNCHER, &numbers.join(" ")]).arg(binary("teamr")).args(args);
        command.env("NOTIFY_SOCKET", &self.path).env("LISTEN_FDNAMES", names.join(":"));
        let team = Teamr::start_config(host, config, command);
        for number in numbers {
            nix::unistd::close(number.parse::<i32>().expect("a number")).expect("close a copy");
        }
        team
    }
}

/// Returns the number of a daemon's descriptors.
fn descriptors(team: &Teamr) -> usize {
    fs::read_dir(format!("/proc/{}/fd", team.pid())).expect("descriptors").count()
}

/// `args` are arguments of the daemon: with `-N` the relay has a veth.
fn a_restart_loses_no_frame(args: &[&str]) {
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let HostAndPeer { host, peer } = HostAndPeer::new(&lab, &PORTS);
    let mut manager = Manager::new(&lab);
    let mut config = team_config("team0", "activebackup", DataPath::Userspace, &PORTS);
    config["ports"]["eth1"]["prio"] = 100.into();
    let mut command = teamr_command(&host);
    command.args(args).env("NOTIFY_SOCKET", &manager.path);
    let mut team = Teamr::start_config(&host, &config, command);
    host.up("team0");
    host.address("team0", "10.0.0.1/24");
    // A debug build starts slowly.
    host.ip("link set dev team0 txqueuelen 10000");
    peer.address("eth1", "10.0.0.2/24");
    team.wait_ports_up(&PORTS);
    team.wait_active("eth1");
    assert!(Ping::run(&host, "10.0.0.2", 3, "").is_exact());
    manager.read();

    let end = |host: &Namespace, interface: &str, address: &str| End {
        host: host.clone(),
        interface: interface.to_owned(),
        address: address.parse().expect("an address"),
    };
    let here = end(&host, "team0", "10.0.0.1:7000");
    let there = end(&peer, "eth1", "10.0.0.2:7000");
    let streams = [
        Stream::start_at(Pace::Steady, &here, &there, None, 100),
        Stream::start_at(Pace::Steady, &there, &here, None, 100),
    ];
    let before = descriptors(&team);
    team.signal(Signal::SIGUSR2);
    assert!(team.wait().success());
    manager.read();
    let mut kept: Vec<String> = manager.kept.iter().map(|(name, _)| name.clone()).collect();
    let args: Vec<&str> = args.iter().copied().chain(["-w"]).collect();
    let team = manager.restart(&host, &config, &args);
    team.wait_active("eth1");
    for stream in streams {
        let what = stream.what().to_owned();
        let trace = stream.finish();
        println!("{what}: {} sent, {} lost", trace.sent.len(), trace.lost().len());
        assert!(trace.is_exact(), "{what}: {:?}", trace.lost());
    }
    let mut taken = manager.read();
    kept.sort();
    taken.sort();
    assert_eq!(kept.len(), 1 + PORTS.len(), "{kept:?}");
    assert_eq!(taken, kept, "the manager closes its copies");
    assert_eq!(descriptors(&team), before, "descriptors");
    assert!(team.stop().success());
}

#[test]
fn a_restart_with_a_tap_loses_no_frame() {
    a_restart_loses_no_frame(&[]);
}

#[test]
fn a_restart_with_a_veth_loses_no_frame() {
    a_restart_loses_no_frame(&["-N"]);
}

//! The host, its guests, the switch and the peers behind it.

use std::net::SocketAddr;

use integration::traffic::End;
use integration::{Cable, CableKind, DataPath, Lab, Namespace, Ping, Switch, Teamr, team_config};
use serde_json::Value;

/// Number of guests, and of hosts behind the switch.
pub const PEERS: u8 = 3;

/// ```text
/// guests ── br0 ── team0 ─┬─ eth1 ══ left1 ── switch ── peers
///                         └─ eth2 ══ left2 ─────┘
/// ```
pub struct Site {
    pub host: Namespace,
    pub switch: Switch,
    pub cables: [Cable; 2],
    pub guests: Vec<Namespace>,
    pub peers: Vec<Namespace>,
    pub team: Teamr,
}

impl Site {
    pub fn new(lab: &Lab, runner: &str, path: DataPath) -> Site {
        Site::configured(lab, &config(runner, path), path)
    }

    pub fn configured(lab: &Lab, config: &Value, path: DataPath) -> Site {
        let (host, switch) = (lab.host("host"), lab.switch("switch"));
        let cables = [("eth1", "left1"), ("eth2", "left2")].map(|(near, far)| {
            let ends = ((&host, near), (switch.namespace(), far));
            lab.cable(ends.0, ends.1, CableKind::Virtual)
        });
        for cable in &cables {
            switch.plug(cable.far_interface());
        }
        let team = Teamr::start(&host, config);
        team.take_precedence();
        assert_eq!(data_path_in_use(&team), path.name());
        // With the address of the team device, as bridges take the lowest address of their ports.
        // The assignment would include any other address, which changes as ports are added, between
        // the guests.
        let hwaddr = host.hwaddr("team0");
        host.ip(&format!("link add name br0 address {hwaddr} type bridge stp_state 0"));
        host.ip("link set dev team0 master br0 up");
        host.up("br0");
        let mut hosts = [Vec::new(), Vec::new()];
        for number in 1..=PEERS {
            let guest = lab.host(&format!("guest{number}"));
            let tap = format!("tap{number}");
            lab.cable((&guest, "eth0"), (&host, &tap), CableKind::Virtual);
            host.ip(&format!("link set dev {tap} master br0 up"));
            settle_in(&guest, number);
            hosts[0].push(guest);

            let peer = lab.host(&format!("peer{number}"));
            let port = format!("peer{number}");
            let cable = lab.cable((&peer, "eth0"), (switch.namespace(), &port), CableKind::Virtual);
            switch.plug(&port);
            settle_in(&peer, 100 + number);
            switch.wait_forwarding(&cable);
            hosts[1].push(peer);
        }
        for cable in &cables {
            switch.wait_forwarding(cable);
        }
        team.wait_ports_up(&["eth1", "eth2"]);
        let [guests, peers] = hosts;
        Site { host, switch, cables, guests, peers, team }
    }

    /// Every guest pings every host behind the switch and starts the exchange. Returns requests
    /// answered, further replies, and requests sent.
    pub fn ping_all(&self, count: u32) -> (u32, u32, u32) {
        let (mut answered, mut twice, mut sent) = (0, 0, 0);
        for guest in &self.guests {
            for number in 1..=PEERS {
                let ping = Ping::run(guest, &format!("10.0.0.{}", 100 + number), count, "");
                answered += ping.answered;
                twice += ping.duplicates;
                sent += ping.sent;
            }
        }
        (answered, twice, sent)
    }

    /// Returns the bytes on each cable in both directions together.
    pub fn bytes(&self) -> [u64; 2] {
        let [sent, received] = self.ways();
        [sent[0] + received[0], sent[1] + received[1]]
    }

    /// Returns the bytes on each cable, sent and received.
    pub fn ways(&self) -> [[u64; 2]; 2] {
        ["tx", "rx"].map(|way| {
            ["eth1", "eth2"].map(|port| {
                let counted = self.host.statistics(port);
                counted[way]["bytes"].as_u64().expect("bytes")
            })
        })
    }

    /// Returns the cable by which the switch reaches a guest.
    pub fn cable_of(&self, guest: usize) -> usize {
        let hwaddr = self.guests[guest].hwaddr("eth0");
        let reached = |cable: &Cable| self.switch.has_learned(&hwaddr, cable.far_interface());
        let found = self.cables.iter().position(reached);
        found.expect("the switch knows a guest that has just spoken")
    }
}

pub fn config(runner: &str, path: DataPath) -> Value {
    let mut config = team_config("team0", runner, path, &["eth1", "eth2"]);
    // A switch may have a carrier before it forwards.
    config["link_watch"]["delay_up"] = 200.into();
    config
}

/// Returns the data path in use.
pub fn data_path_in_use(team: &Teamr) -> String {
    let data_path_in_use = &team.state()["teamr"]["data_path"];
    data_path_in_use.as_str().expect("a data path").to_owned()
}

fn settle_in(host: &Namespace, number: u8) {
    host.up("eth0");
    host.address("eth0", &format!("10.0.0.{number}/24"));
    host.address("eth0", &format!("fd00::{number}/64"));
}

pub fn end(host: &Namespace, number: u8, port: u16) -> End {
    End {
        host: host.clone(),
        interface: "eth0".into(),
        address: SocketAddr::new([10, 0, 0, number].into(), port),
    }
}

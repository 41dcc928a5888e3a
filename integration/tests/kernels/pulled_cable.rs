//! Each runner on one data path: a stream each way while a cable is pulled and put back.

use std::thread::sleep;
use std::time::Duration;

use integration::traffic::Pace;
use integration::{
    CableKind, DataPath, Lab, Namespace, Ping, Site, Teamr, team_config, wait_until,
};

const DEVICE: &str = "team0";
/// The bond of the switch.
const PARTNER: &str = "lag0";
const PORTS: [&str; 2] = ["eth1", "eth2"];
/// The switch ends of the cables.
const FAR: [&str; 2] = ["left1", "left2"];
/// Time that the streams run before, between and after the changes of the cable.
const WINDOW: Duration = Duration::from_millis(500);
/// Packets that a stream of one packet a millisecond may lose.
const MOST_LOST: usize = 20;
/// Packets that a stream of the bonding driver's LACP may lose in addition: the driver chooses its
/// ports each 100 ms.
const MOST_LOST_BY_BONDING: usize = 100;
const PACKETS: u32 = 20;

/// A runner of the table.
pub struct Runner {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Options of the switch's bond; `None` for a switch without link aggregation.
    partner: Option<&'static str>,
    /// The data paths of the runner.
    pub data_paths: &'static [DataPath],
}

const ALL: &[DataPath] = &[DataPath::Kernel, DataPath::Programs, DataPath::Userspace];
/// Data paths without the kernel's driver.
const DRIVERLESS: &[DataPath] = &[DataPath::Programs, DataPath::Userspace];

const fn runner(
    name: &'static str,
    partner: Option<&'static str>,
    data_paths: &'static [DataPath],
) -> Runner {
    Runner { name, partner, data_paths }
}

/// The runners in the order of the table.
pub const RUNNERS: [Runner; 9] = [
    runner("broadcast", Some("mode broadcast"), ALL),
    runner("roundrobin", Some("mode balance-xor"), ALL),
    runner("random", Some("mode balance-xor"), ALL),
    runner("activebackup", None, ALL),
    runner("loadbalance", Some("mode balance-xor"), ALL),
    runner("lacp", Some("mode 802.3ad lacp_rate fast"), ALL),
    runner("slb", None, ALL),
    runner("tlb", None, DRIVERLESS),
    runner("alb", None, DRIVERLESS),
];

impl Runner {
    /// Returns `yes`. Panics if the runner loses a ping with one link or both, or more of a stream
    /// than a failover may.
    pub fn keeps_its_streams(&self, lab: &Lab, data_path: DataPath) -> &'static str {
        let [sent, received] = self.pull_a_cable(lab, data_path);
        println!(
            "  {}, {}: {sent} packets lost of the team's stream, {received} of its partner's",
            data_path.name(),
            self.name
        );
        let by_bonding = if self.name == "lacp" { MOST_LOST_BY_BONDING } else { 0 };
        let most = [MOST_LOST, MOST_LOST + by_bonding];
        let few = sent <= most[0] && received <= most[1];
        assert!(few, "{}: more than a failover may lose", self.name);
        "yes"
    }

    /// Returns the packets lost, sent and received by the team, while the cable of a port in use is
    /// pulled and put back.
    fn pull_a_cable(&self, lab: &Lab, data_path: DataPath) -> [usize; 2] {
        let site = Site::new(lab, CableKind::Virtual);
        match self.partner {
            Some(options) => bond(&site, options),
            None => site.plug_unaggregated(),
        }
        let mut config = team_config(DEVICE, self.name, data_path, &PORTS);
        if self.name == "lacp" {
            config["runner"]["fast_rate"] = true.into();
        }
        let team = Teamr::start(&site.left, &config);
        assert_eq!(team.state_at_socket()["teamr"]["data_path"], data_path.name());
        site.left.up(DEVICE);
        site.left.address(DEVICE, "10.0.0.1/24");
        site.right.address("eth1", "10.0.0.2/24");
        PORTS.iter().for_each(|port| self.wait_for_both_ends(&site, &team, port));
        self.ping(&site, "with both links");

        let streams = site.start_streams(DEVICE, Pace::Full);
        sleep(WINDOW);
        let port = team.active_port().filter(|port| !port.is_empty());
        let port = port.as_deref().unwrap_or(PORTS[0]);
        site.cable(port).pull();
        team.wait_port(port, false);
        sleep(WINDOW);
        self.ping(&site, "with one link");
        site.cable(port).put_back();
        self.wait_for_both_ends(&site, &team, port);
        sleep(WINDOW);
        let lost = streams.map(|stream| stream.finish().lost().len());
        self.ping(&site, "with both links again");
        assert!(team.stop().success());
        lost
    }

    fn wait_for_both_ends(&self, site: &Site, team: &Teamr, port: &str) {
        team.wait_port(port, true);
        let cable = site.cable(port);
        if self.partner.is_none() {
            return site.switch.wait_forwarding(cable);
        }
        let far = cable.far_interface();
        wait_until(&format!("{port} to carry at both ends"), || {
            let carries = self.name != "lacp" || team.carrying().iter().any(|each| each == port);
            carries && bond_port_carries(site.switch.namespace(), far)
        });
    }

    fn ping(&self, site: &Site, when: &str) {
        Ping::run(&site.left, "10.0.0.2", 1, "");
        for (from, to) in [(&site.left, "10.0.0.2"), (&site.right, "10.0.0.1")] {
            let ping = Ping::run(from, to, PACKETS, "");
            assert_eq!(ping.answered, PACKETS, "{} {when}: to {to}", self.name);
        }
    }
}

/// Makes a bond of the switch's cables to the team, and a switch port of the bond.
fn bond(site: &Site, options: &str) {
    let switch = site.switch.namespace();
    switch.ip(&format!("link add name {PARTNER} type bond miimon 1 {options}"));
    for port in FAR {
        switch.ip(&format!("link set dev {port} down"));
        switch.ip(&format!("link set dev {port} master {PARTNER}"));
    }
    switch.up(PARTNER);
    site.switch.plug(PARTNER);
}

/// Whether a bond's port has its link and, with LACP, distributes.
fn bond_port_carries(host: &Namespace, port: &str) -> bool {
    let link = host.link(port);
    let port = &link["linkinfo"]["info_slave_data"];
    let states = port["ad_actor_oper_port_state_str"].as_array();
    let carries = states.is_none_or(|states| states.iter().any(|state| state == "distributing"));
    port["mii_status"] == "UP" && carries
}

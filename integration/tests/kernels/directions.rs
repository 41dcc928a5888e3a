//! The driver's options of the two directions of a port, where it has them (Linux 7.1 and later).

use std::time::Duration;

use integration::kernel::{release, version};
use integration::traffic::Wire;
use integration::{
    DataPath, HostAndPeer, Lab, Namespace, Sharing, Teamr, binary, in_virtual_time, team_config,
};
use runners::wire::lacpdu::{Lacpdu, StateBits};

use crate::partner::{CARRIES, Partner};

const PORT: &str = "eth1";
/// The first kernel whose driver has the options.
const FIRST: [u32; 2] = [7, 1];
/// Longest time that two ends need to agree.
const WHILE: Duration = Duration::from_secs(10);

/// Returns an option of the port; `None` if the driver lacks it.
fn option(host: &Namespace, name: &str) -> Option<bool> {
    let mut command = host.command(binary("teamrnl"));
    let output = command.args(["-p", PORT, "team0", "getoption", name]).output();
    let output = output.expect("start teamrnl");
    let value = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| value.trim().parse().expect("true or false"))
}

/// Returns `enabled`, `rx_enabled` and `tx_enabled` of the port.
fn options(host: &Namespace) -> [Option<bool>; 3] {
    ["enabled", "rx_enabled", "tx_enabled"].map(|name| option(host, name))
}

/// Returns whether the team receives pings of the peer, and whether the peer receives an answer.
fn received_and_answered(pair: &HostAndPeer) -> (bool, bool) {
    let packets = || pair.host.statistics("team0")["rx"]["packets"].as_u64().expect("a counter");
    let before = packets();
    let ping = pair.peer.try_run("ping -q -c 10 -i 0.1 -W 0.1 10.0.0.1");
    (packets() > before, ping.status.success())
}

#[test]
fn a_port_that_only_collects_receives_and_sends_nothing() {
    in_virtual_time(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let pair = HostAndPeer::new(&lab, &[PORT]);
        let mut config = team_config("team0", "lacp", DataPath::Kernel, &[PORT]);
        config["runner"]["fast_rate"] = true.into();
        let _team = Teamr::start(&pair.host, &config);
        pair.host.up("team0");
        pair.host.address("team0", "10.0.0.1/24");
        pair.peer.address(PORT, "10.0.0.2/24");
        let mut partner = Partner::new(Wire::open(&pair.peer, PORT));
        let has_options = version(&release()) >= FIRST;
        let direction = |on: bool| has_options.then_some(on);
        assert_eq!(options(&pair.host), [Some(false), direction(false), direction(false)]);

        // Synchronization alone: the partner is attached, and does not collect yet.
        partner.actor.state =
            CARRIES.with(StateBits::COLLECTING, false).with(StateBits::DISTRIBUTING, false);
        let collects = |pdu: &Lacpdu| pdu.actor.state.has(StateBits::COLLECTING);
        assert!(partner.talk(WHILE, collects).last().is_some_and(|heard| collects(&heard.pdu)));
        // The joint option enables the port; no bucket of the hash sends on it.
        let expected = [Some(!has_options), direction(true), direction(false)];
        assert_eq!(options(&pair.host), expected);
        assert_eq!(received_and_answered(&pair), (true, false));

        assert!(partner.establish());
        assert_eq!(options(&pair.host), [Some(true), direction(true), direction(true)]);
        assert_eq!(received_and_answered(&pair), (true, true));
    });
}

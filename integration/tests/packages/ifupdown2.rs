//! The addon of ifupdown2: a stanza is a team, and its address is on the device.

use integration::{Lab, Sharing, skip};

use super::migration::IFUPDOWN2;
use super::{Debian, missing_requirement, packages};

const INTERFACES: &str = "\
auto lo
iface lo inet loopback

auto team0
iface team0
    address 192.0.2.10/24
    team-ports eth1 eth2
    team-runner activebackup

iface team1
    team-ports none
    team-prio 5
";

#[test]
fn a_stanza_of_ifupdown2_is_a_team() {
    if let Some(reason) = missing_requirement() {
        return skip(&reason);
    }
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let debian = Debian::copy(lab.folder(), "bookworm", "ifupdown2", IFUPDOWN2);
    let deb = debian.take(&packages()[0]);
    debian.run(&format!("dpkg --install {deb}"));
    debian.write("etc/network/interfaces", INTERFACES);
    debian.run("systemctl --quiet disable networking");
    debian.run("sed -i '/^pre-up,address$/i pre-up,team' /etc/network/ifupdown2/addons.conf");
    let output = debian.boot(include_str!("ifupdown2.sh"));
    assert!(output.ends_with("all went well\n"), "{output}");
}

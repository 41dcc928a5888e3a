//! The unit `teamr.service` with hundreds of teams under systemd: readiness, watchdog, status.

use integration::{Lab, Sharing, skip};

use super::{Debian, missing_requirement, packages};

#[test]
fn many_teams() {
    if let Some(reason) = missing_requirement() {
        return skip(&reason);
    }
    let Some(lab) = Lab::open(Sharing::Alone) else {
        return;
    };
    let debian = Debian::copy(lab.folder(), "bookworm", "iproute", "iproute2");
    let [deb, _] = packages();
    let deb = debian.take(deb);
    debian.run(&format!("dpkg --install {deb}"));
    let output = debian.boot(include_str!("many_teams.sh"));
    assert!(output.ends_with("all went well\n"), "{output}");
}

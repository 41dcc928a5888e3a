//! Programs and scripts written for teamd, each run with its own command lines: the caller starts
//! the daemon, queries it, stops it. A caller that works without the kernel's team driver runs on
//! both data paths.
//!
//! Callers of the units, which need a booted system, are in `packages`; a real NetworkManager is in
//! `network_manager`.

mod host;
mod network;
mod sonic;

use integration::{DataPath, Lab, Sharing, in_virtual_time};

use host::Host;

type Case = (&'static str, fn(&Host));

/// The callers that work without the kernel's driver.
const ANYWHERE: [Case; 9] = [
    ("a script", network::script),
    ("a call without a configuration", network::without_configuration),
    ("network-scripts", network::network_scripts),
    ("wicked", network::wicked),
    ("dracut", network::dracut),
    ("sos", network::sos),
    ("teammgrd", sonic::teammgrd),
    ("tlm_teamd", sonic::tlm_teamd),
    ("a warm restart of the machine", sonic::reboot),
];

/// The callers that use the driver themselves or depend on it.
const WITH_DRIVER: [Case; 5] = [
    ("NetworkManager", network::network_manager),
    ("a script with teamnl", network::script_with_teamnl),
    ("teamsyncd", sonic::teamsyncd),
    ("a warm restart", sonic::warm_restart),
    ("a fast restart", sonic::fast_restart),
];

fn play(path: DataPath, cases: &[Case]) {
    for (caller, case) in cases {
        println!("{caller}");
        let Some(lab) = Lab::open(Sharing::Shared) else {
            return;
        };
        case(&Host::new(&lab, path));
    }
}

#[test]
fn without_the_driver() {
    play(DataPath::Userspace, &ANYWHERE);
}

#[test]
fn with_the_driver() {
    in_virtual_time(|_| {
        play(DataPath::Kernel, &ANYWHERE);
        play(DataPath::Kernel, &WITH_DRIVER);
    });
}

#[test]
fn teammgrd_starts_many_teams_at_once() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    sonic::many_at_once(&Host::new(&lab, DataPath::Userspace));
}

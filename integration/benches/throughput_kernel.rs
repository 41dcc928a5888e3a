//! Compares teams on the kernel's driver, with teamr and with teamd, kernel bonding, and teamr's
//! other data paths, with a bare veth pair, in one guest, as `throughput` does on the machine
//! itself.
//!
//! A guest has one processor and is slower than its host: the ratios compare, the absolute figures
//! mean little. Nothing has real-time priority: the one processor also runs the kernel's own
//! threads. For the same reason streams of one packet a millisecond cannot measure silence here;
//! `beside_teamd` measures failover. teamd is left out where not installed.
//!
//! `cargo bench --package integration --bench throughput_kernel`

mod paths;

use integration::{Lab, Sharing, in_guest};
use paths::{Hosts, build_paths, table};

const PATHS: [&str; 5] = ["driver", "teamd", "bonding", "programs", "relay"];
/// A guest runs for a limited time.
const PAIRS: usize = 5;

fn main() {
    in_guest(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let hosts = Hosts::new(&lab);
        let (direct, paths) = build_paths(&lab, &hosts, &PATHS);
        table::print(&hosts, &direct, &paths, PAIRS, 0);
    });
}

//! Teams on the kernel's driver, with teamr and with teamd, kernel bonding, and teamr's other data
//! paths, beside a bare veth pair, measured in one guest as `throughput` does it on the machine
//! itself.
//!
//! A guest has one processor and is slower than its host: the ratios compare, the figures by
//! themselves say little. Nothing has precedence: the one processor is the kernel's own threads',
//! too. For the same reason streams of a packet a millisecond are no measure of silence here; what a
//! failover costs is told by `beside_teamd`. teamd is left out where it is not installed.
//!
//! `cargo bench --package integration --bench throughput_kernel`

mod paths;

use integration::{Lab, Sharing, in_guest};
use paths::{Hosts, stand, table};

const PATHS: [&str; 5] = ["driver", "teamd", "bonding", "programs", "relay"];
/// A guest lives for a limited time.
const PAIRS: usize = 5;

fn main() {
    in_guest(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        let hosts = Hosts::new(&lab);
        let (direct, paths) = stand(&lab, &hosts, &PATHS);
        table::print(&hosts, &direct, &paths, PAIRS, 0);
    });
}

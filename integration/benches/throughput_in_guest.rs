//! The kernel's team driver under teamr and under teamd, kernel bonding, and teamr's own data paths,
//! beside a bare veth pair in one guest.
//!
//! A guest has one processor and is slower than its host: the columns compare, the figures by
//! themselves say little.
//!
//! `cargo bench --package integration --bench throughput_in_guest`

mod paths;

use integration::{Lab, Sharing, in_guest};

const PATHS: [&str; 5] = ["kernel", "teamd", "bonding", "programs", "relay"];
const PAIRS: usize = 5;

fn main() {
    in_guest(|_| {
        let lab = Lab::open(Sharing::Shared).expect("a guest can have a lab");
        paths::compare(&lab, &PATHS, PAIRS);
    });
}

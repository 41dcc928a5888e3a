//! Two LACP ends on two links, one of which loses all frames although both ends see a carrier, as
//! behind a defective media converter.
//!
//! `current_while_timer` expires three seconds after the last LACPDU; both ends then move all
//! traffic to the other link. The first LACPDU that arrives again brings the link back.
//!
//! `cargo run --package runners --example failover`

mod ends;

use std::time::Duration;

/// Returns the events of both ends.
pub fn events() -> Vec<String> {
    let mut ends = ends::Ends::new();
    ends.add_link(1);
    ends.add_link(2);
    ends.run(Duration::from_secs(5));
    ends.cut.insert(2);
    ends.run(Duration::from_secs(4));
    ends.cut.clear();
    ends.run(Duration::from_secs(5));
    ends.events
}

fn main() {
    println!("{}", events().join("\n"));
}

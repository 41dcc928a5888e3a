//! Two LACP ends on one link, from the first LACPDU until both distribute.
//!
//! `cargo run --package runners --example lacp_pair`

mod ends;

use std::time::Duration;

/// Returns the events of both ends in their first three seconds.
pub fn events() -> Vec<String> {
    let mut ends = ends::Ends::new();
    ends.add_link(1);
    // wait_while_timer runs for two seconds; one more shows that the ends stay as they are.
    ends.run(Duration::from_secs(3));
    ends.events
}

fn main() {
    println!("{}", events().join("\n"));
}

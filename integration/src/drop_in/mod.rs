//! Whether teamr can stand in for teamd: the same scenario played with both, what each answered
//! laid side by side.
//!
//! A [`Suite`] is a daemon with its clients. [`Suite::play`] gives all questions of a scenario
//! with their answers, masked where chance has a say. [`compare_daemons`] lays those of two
//! daemons side by side, [`compare_clients`] what two clients said of the same daemon, and both
//! know which differences are meant.

mod answer;
mod compare;
mod differences;
mod over_bus;
mod suite;

pub use answer::Answer;
pub use compare::{Comparison, compare_clients, compare_daemons};
pub use differences::{CLIENT_DIFFERENCES, DIFFERENCES, Difference, What};
pub use over_bus::{OVER_BUS, PERMISSIVE};
pub use suite::{Played, Programs, Suite, teamd_is_here};

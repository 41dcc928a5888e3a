//! Whether teamr can stand in for teamd: the same scenario played with both, what each answered
//! laid side by side.
//!
//! A [`Suite`] is a daemon with its clients. [`Suite::play`] gives all questions of a scenario
//! with their answers, masked where chance has a say. [`compare`] lays those of two daemons side
//! by side, and knows which [`DIFFERENCES`] are meant.

mod answer;
mod compare;
mod differences;
mod suite;

pub use answer::Answer;
pub use compare::{Comparison, compare};
pub use differences::{DIFFERENCES, Difference, What};
pub use suite::{Clients, Played, Suite};

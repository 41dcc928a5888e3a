//! Compares teamr with teamd: both run the same scenario, and their answers are compared.
//!
//! A [`Suite`] is a daemon with its clients. [`Suite::run`] returns all questions of a scenario
//! with their answers; values that differ between two runs are masked. [`compare_daemons`] compares
//! the answers of two daemons, [`compare_clients`] the output of two clients about the same daemon;
//! both accept the listed differences only.

mod answer;
mod compare;
mod differences;
mod over_bus;
mod suite;

pub use answer::Answer;
pub use compare::{Comparison, compare_clients, compare_daemons};
pub use differences::{CLIENT_DIFFERENCES, DIFFERENCES, Difference, What};
pub use over_bus::{OVER_BUS, PERMISSIVE};
pub use suite::{Programs, Suite, Transcript, teamd_is_here};

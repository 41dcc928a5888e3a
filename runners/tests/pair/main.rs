//! Two teams with the runner lacp in one process, under virtual time, over links that lose,
//! duplicate, reorder and delay frames.

mod arbitrary_pdus;
mod every_history;
mod examples;
mod invariants;
mod keep_alive;
mod marker_generator;
mod network;
mod policies;
mod scenarios;
mod seeded_walk;

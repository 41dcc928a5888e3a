//! Two teams with lacp in one process, under virtual time, over wires that lose, double,
//! reorder and delay.

mod arbitrary_pdus;
mod every_history;
mod invariants;
mod marker_generator;
mod network;
mod policies;
mod scenarios;
mod seeded_walk;

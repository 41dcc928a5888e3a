//! Two teams with lacp in one process, under virtual time, over wires that lose, double,
//! reorder and delay.

mod conversations;
mod explore;
mod generated;
mod invariants;
mod lossy;
mod policies;
mod steps;
mod wires;

//! `teamr`, the daemon.

fn main() {}

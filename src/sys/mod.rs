//! What no safe crate offers; the only place with unsafe code. Knows nothing of teams.
#![allow(unsafe_code)]

pub mod local_time;
pub mod process;

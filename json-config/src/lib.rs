//! teamd's JSON configuration: parsed, checked and dumped back.
//!
//! [`Config`] is the live configuration of one team, read as tolerantly as teamd reads it;
//! [`check`] is the strict reading, which finds every problem with its place. Both follow one
//! table, [`keys`]. [`to_text`] prints JSON as teamd does, the state document too.
//!
//! Pure: no file, socket or clock. Bytes from outside give an error, never a panic.
//!
//! # Where teamr reads differently from teamd
//!
//! | Text | teamd | teamr |
//! |---|---|---|
//! | integer beyond signed 32 bits | truncated | out of range: the key's error, or its default with a warning |
//! | `ports."eth1.5"` | settings not found, dump polluted | exact names |
//! | `debug_level` negative | the highest level | the default with a warning |
//! | `tx_hash` not an array | everything in one flow | the default with a warning |
//! | integer in quotes | the default | the integer, with a warning |
//! | `arp-ping`, `nsna-ping` and other hyphens | refused | read with `_`, with a warning |
//! | `tx_balancer` a string | off | read as its name, with a warning |
//! | `interval` 0 of a link watch | one probe, then none | refused |
//! | `notify_peers.count` of a wrong type with activebackup | 0 | 1, the default |
//! | `hwaddr` with an empty byte | zero | refused |
//! | `runner.min_ports` | lacp alone | every runner |
//! | port update with an array | entry emptied, error | error, entry unchanged |
//! | port update without `prio` | stored, yet an error | stored |
//! | `ports` not an object, a port is written | error | becomes an object |
//! | nesting | 2048 levels | 127 levels |
#![forbid(unsafe_code)]

mod check;
mod config;
mod form;
mod inspect;
pub mod keys;
mod locate;
pub mod model;
mod parse;
mod problem;
mod read;
mod suggest;
mod text;

pub use check::check;
pub use config::Config;
pub use model::DataPathChoice;
pub use parse::ParseError;
pub use problem::{Position, Problem};
pub use text::{to_line, to_text};

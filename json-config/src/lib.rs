//! teamd's JSON configuration: parsed, checked and dumped back.
//!
//! [`Config`] is the live configuration of one team, read as tolerantly as teamd reads it.
//! [`check()`] reads strictly and reports every problem with its position. Both follow one table of
//! keys, [`keys`]; so does `schema.json`, the JSON Schema for editors. [`to_text`] writes JSON in
//! teamd's layout, for the state document too.
//!
//! The crate opens no file or socket and reads no clock. Input of any bytes gives an error, never a
//! panic. docs/differences-from-teamd.md lists where the reading differs from teamd's.
//!
//! ```
//! use json_config::{Config, check};
//!
//! let text = br#"{"runner": {"name": "activebackup"}, "ports": {"eth1": {"prio": "10"}}}"#;
//! let config = Config::parse(text)?;
//! assert_eq!(config.runner_name(), "activebackup");
//! assert_eq!(config.port("eth1")?.prio, 10);
//! let problems = check(text);
//! assert_eq!(
//!     problems[0].to_string(),
//!     "1:65: ports.eth1.prio: expected integer, found string; remove the quotes"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

/// Bytes of the largest configuration; a configuration of a thousand ports has a tenth.
pub const LARGEST: u64 = 1 << 20;

mod check;
mod combinations;
mod config;
mod data_path;
mod difference;
mod finding;
mod form;
mod inspect;
mod key_path;
pub mod keys;
mod lenient;
mod locate;
mod parse;
mod problem;
mod read;
mod suggest;
mod text;

pub use check::{check, new_problems};
pub use config::Config;
pub use data_path::DataPathChoice;
pub use difference::{Difference, differences};
pub use key_path::{Item, KeyPath};
pub use parse::ParseError;
pub use problem::{Position, Problem};
pub use suggest::nearest;
pub use text::{WriteJson, to_line, to_text, write_elements, write_members};

//! teamd's JSON configuration: parsed, checked and dumped back.
//!
//! [`Config`] is the live configuration of one team, read as tolerantly as teamd reads it;
//! [`check`] is the strict reading, which finds every problem with its place. Both follow one
//! table, [`keys`], and so does `schema.json`, the JSON Schema for editors. [`to_text`] prints
//! JSON as teamd does, the state document too.
//!
//! Pure: no file, socket or clock. Bytes from outside give an error, never a panic.
//!
//! Where the reading departs from teamd's stands in docs/differences-from-teamd.md, in the one table of all such
//! decisions.
#![forbid(unsafe_code)]

mod check;
mod config;
mod finding;
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

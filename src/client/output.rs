//! The output of one run: results for stdout, errors for stderr.

use serde_json::Value;

use super::called_as::CalledAs;
use super::error::Error;
use super::options::{self, Options};
use crate::args::getopt;

/// The output so far.
#[derive(Debug, Default)]
pub struct Output {
    /// For stdout.
    pub results: String,
    /// For stderr.
    pub errors: String,
}

impl Output {
    /// Adds a result in JSON, in the layout of the options.
    pub fn add_json(&mut self, value: &Value, options: &Options) {
        self.results += &match options.oneline {
            true => json_config::to_line(value),
            false => json_config::to_text(value),
        };
        self.results.push('\n');
    }

    /// Adds what follows a usage error: a hint, or teamdctl's whole help.
    pub fn add_usage(&mut self, options: &Options) {
        match options.called_as {
            CalledAs::Teamdctl => self.results = options::help(&options.program),
            CalledAs::Teamrctl => self.errors += &(getopt::hint(&options.program) + "\n"),
        }
    }

    /// Adds an error and returns its exit status.
    pub fn add_error(&mut self, e: &Error, options: &Options) -> u8 {
        self.errors += &e.text(options);
        self.errors.push('\n');
        1
    }
}

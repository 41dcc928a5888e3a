//! Prometheus' text format 0.0.4.
//!
//! Every reader has this format: Prometheus and its like read it from a scrape, and node_exporter
//! reads no other from a file. OpenMetrics differs in the type `info`, in counters whose family
//! lacks `_total`, and in the line `# EOF`.

use std::fmt::{Display, Write};

use crate::text::printable;

/// Content type of an exposition over HTTP.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns the lines that open a family.
pub(super) fn head(name: &str, kind: &str, help: &str) -> String {
    format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")
}

/// Appends the line of a sample to `text`. The name consists of the family's name and a suffix.
pub(super) fn add_sample(
    text: &mut String,
    (name, suffix): (&str, &str),
    labels: &Labels,
    value: impl Display,
) {
    text.extend([name, suffix, "{", &labels.0, "} "]);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{value}");
}

/// Labels of a sample.
#[derive(Clone, Debug)]
pub(super) struct Labels(String);

impl Labels {
    pub(super) fn team(team: &str) -> Self {
        Labels(format!("team={}", quoted(team)))
    }

    pub(super) fn port(team: &str, port: &str) -> Self {
        Labels::team(team).with("port", port)
    }

    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        Labels(format!("{},{name}={}", self.0, quoted(value)))
    }
}

/// Returns the value of a label, with quotes.
fn quoted(value: &str) -> String {
    let value = printable(value);
    if !value.contains(['\\', '"', '\n']) {
        return format!("\"{value}\"");
    }
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

//! What teamdctl's view lacks of lacp: one table with a column for each port.
//!
//! Owns its layout alone. What stands in `ports.P.teamr.lacp` is shown as it comes, so a counter
//! or timer that is new there needs nothing here; a document without it, such as teamd's, shows
//! nothing.

use runners::wire::lacpdu::StateBits;
use serde_json::Value;

use super::{Page, members, yes};

/// Blanks between two columns.
const GAP: usize = 3;
/// In place of what a port does not have at the moment.
const NOTHING: &str = "-";
/// Parts of the item and their headings.
const PARTS: [(&str, &str); 4] = [
    ("machines", "machine"),
    ("timers", "time left"),
    ("pdus", "PDUs"),
    ("churns", "churns found"),
];

/// A heading has no cells; else there is one for each port.
struct Row {
    label: String,
    cells: Vec<String>,
}

/// Writes the table below what [`write`](super::write) has written; `level` is the depth of its
/// heading.
pub fn write(out: &mut String, state: &Value, level: usize) {
    let ports = state.get("ports").into_iter().flat_map(members);
    let ports: Vec<(&str, &Value)> = ports
        .filter_map(|(name, port)| Some((name.as_str(), port.pointer("/teamr/lacp")?)))
        .collect();
    if ports.is_empty() {
        return;
    }
    let mut page = Page {
        out,
        level,
        verbose: true,
    };
    page.heading("lacp");
    page.indented(|page| {
        for line in aligned(&rows(&ports)) {
            page.bare(line);
        }
        for (name, lacp) in &ports {
            match lacp.get("why").and_then(Value::as_str) {
                Some("") | None => {}
                Some(why) => page.line(&format!("{name} does not carry"), why),
            }
        }
    });
}

fn rows(ports: &[(&str, &Value)]) -> Vec<Row> {
    let mut rows = vec![Row {
        label: "actor / partner".to_owned(),
        cells: ports.iter().map(|(name, _)| (*name).to_owned()).collect(),
    }];
    for (_, bit) in StateBits::NAMED {
        let cell = |(_, lacp): &(&str, &Value)| {
            let ends = ["actor", "partner"].map(|end| cell(lacp, end, bit));
            ends.join(" / ")
        };
        rows.push(Row {
            label: format!("  {bit}"),
            cells: ports.iter().map(cell).collect(),
        });
    }
    for (part, heading) in PARTS {
        rows.push(Row {
            label: heading.to_owned(),
            cells: Vec::new(),
        });
        rows.extend(names(ports, part).into_iter().map(|name| {
            Row {
                label: format!("  {name}"),
                cells: ports
                    .iter()
                    .map(|(_, lacp)| cell(lacp, part, name))
                    .collect(),
            }
        }));
    }
    rows
}

/// The names in a part that any port has, in the order in which they are met.
fn names<'a>(ports: &[(&str, &'a Value)], part: &str) -> Vec<&'a str> {
    let mut names = Vec::new();
    let parts = ports.iter().filter_map(|(_, lacp)| lacp.get(part));
    for (name, _) in parts.flat_map(members) {
        if !names.contains(&name.as_str()) {
            names.push(name.as_str());
        }
    }
    names
}

fn cell(lacp: &Value, part: &str, name: &str) -> String {
    let is_time = part == "timers" || name.ends_with("_ago");
    match &lacp[part][name] {
        Value::Null => NOTHING.to_owned(),
        Value::Bool(flag) => yes(*flag).to_owned(),
        Value::String(word) => word.clone(),
        Value::Number(millis) if is_time => {
            format!("{:.1} s", millis.as_f64().unwrap_or_default() / 1000.0)
        }
        other => other.to_string(),
    }
}

/// One line for each row, columns below each other.
fn aligned(rows: &[Row]) -> Vec<String> {
    let width = |text: &str| text.chars().count();
    let labels = rows.iter().map(|row| width(&row.label)).max();
    let columns = rows.iter().map(|row| row.cells.len()).max();
    let widths: Vec<usize> = (0..columns.unwrap_or_default())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.cells.get(column));
            cells.map(|cell| width(cell)).max().unwrap_or_default()
        })
        .collect();
    let line = |row: &Row| {
        let label = labels.unwrap_or_default();
        let mut line = format!("{:label$}", row.label);
        for (cell, width) in row.cells.iter().zip(&widths) {
            line += &format!("{:GAP$}{cell:width$}", "");
        }
        line.truncate(line.trim_end().len());
        line
    };
    rows.iter().map(line).collect()
}

//! The table of runner lacp with a column for each port, which teamdctl lacks.
//!
//! Owns the layout: as many ports as fit the columns of a terminal side by side, the next ones below. The rows are the items of `ports.P.teamr.lacp` that a port has; a state
//! without them, such as teamd's, has no table.

use runners::wire::lacpdu::StateBits;
use serde_json::Value;

use super::page::{Page, yes};
use crate::client::style::COLUMNS;
use crate::state::definition::{Object, Unit};
use crate::state::lacp::{Churns, Machines, Pdus, PortLacp, Timers};
use crate::state::{OrEmpty, Part as _, State};

/// Blanks between two columns.
const GAP: usize = 3;
/// The cell of an item that a port does not have.
const NOTHING: &str = "-";

/// A part of the table: its heading, the definition and the items of a port.
type Part = (&'static str, &'static Object, fn(&PortLacp) -> Value);

const PARTS: [Part; 4] = [
    ("machine", &Machines::OBJECT, |lacp| lacp.machines.or_empty().to_json()),
    ("time left", &Timers::OBJECT, |lacp| lacp.timers.or_empty().to_json()),
    ("PDUs", &Pdus::OBJECT, |lacp| lacp.pdus.or_empty().to_json()),
    ("churns found", &Churns::OBJECT, |lacp| lacp.churns.or_empty().to_json()),
];

/// A row with one cell for each port; a heading has no cells.
struct Row {
    label: String,
    cells: Vec<String>,
}

/// Adds the table to `text`; `level` is the level of the heading.
pub fn write(text: &mut String, state: &State, level: usize) {
    let ports = state.ports();
    let ports: Vec<(&str, &PortLacp)> = ports
        .filter_map(|(name, port)| Some((name, port.teamr.as_ref()?.lacp.as_ref()?)))
        .collect();
    if ports.is_empty() {
        return;
    }
    let mut page = Page { text, level, verbose: true };
    page.heading("lacp");
    page.indented(|page| {
        let mut rest = &ports[..];
        while !rest.is_empty() {
            let (lines, count) = widest(rest, COLUMNS - 2 * (level + 1));
            lines.iter().for_each(|line| page.bare(line));
            rest = &rest[count..];
        }
        for (name, lacp) in &ports {
            match lacp.why.as_deref() {
                Some("") | None => {}
                Some(why) => page.line(&format!("{name} does not carry"), why),
            }
        }
    });
}

/// Returns a table of as many of the first ports as fit `columns`, at least one, and their number.
fn widest(ports: &[(&str, &PortLacp)], columns: usize) -> (Vec<String>, usize) {
    let mut widest = (aligned(&rows(&ports[..1])), 1);
    for count in 2..=ports.len() {
        let lines = aligned(&rows(&ports[..count]));
        if lines.iter().any(|line| line.chars().count() > columns) {
            break;
        }
        widest = (lines, count);
    }
    widest
}

fn rows(ports: &[(&str, &PortLacp)]) -> Vec<Row> {
    let mut rows = vec![Row {
        label: "actor / partner".to_owned(),
        cells: ports.iter().map(|(name, _)| (*name).to_owned()).collect(),
    }];
    for (bit, name) in StateBits::NAMED {
        let cell = |end: Option<StateBits>| end.map_or(NOTHING, |state| yes(state.has(bit)));
        let cells = ports.iter();
        let cells = cells.map(|(_, lacp)| format!("{} / {}", cell(lacp.actor), cell(lacp.partner)));
        rows.push(Row { label: format!("  {name}"), cells: cells.collect() });
    }
    for (heading, object, part) in PARTS {
        let ports: Vec<Value> = ports.iter().map(|(_, lacp)| part(lacp)).collect();
        rows.push(Row { label: heading.to_owned(), cells: Vec::new() });
        let fields = object.fields.iter();
        let present =
            fields.filter(|field| ports.iter().any(|port| port.get(field.name).is_some()));
        rows.extend(present.map(|field| {
            let cells = ports.iter().map(|port| cell(&port[field.name], field.unit));
            Row { label: format!("  {}", field.name), cells: cells.collect() }
        }));
    }
    rows
}

fn cell(value: &Value, unit: Option<Unit>) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::String(word) => word.clone(),
        Value::Number(millis) if unit == Some(Unit::Milliseconds) => {
            format!("{:.1} s", millis.as_f64().unwrap_or_default() / 1000.0)
        }
        other => other.to_string(),
    }
}

/// Returns one line for each row, with aligned columns.
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

//! The families of single items of the state, as their definitions name them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::text::{Labels, add_sample, head};
use crate::state::definition::Unit;
use crate::state::items::{self, Item};
use crate::state::{Member, MetricKind, Part, Port, State, watch::Watch};

/// Returns all families with their samples.
pub(super) fn write(states: &BTreeMap<String, State>) -> String {
    let states: Vec<(Labels, Value)> =
        states.iter().map(|(team, state)| (Labels::team(team), state.to_json())).collect();
    let mut families: BTreeMap<&str, Vec<Item>> = BTreeMap::new();
    for item in items::all() {
        if let Some(metric) = item.field.metric {
            families.entry(metric.name).or_default().push(item);
        }
    }
    let families = families.iter();
    families.fold(String::new(), |text, (name, items)| family(text, name, items, &states))
}

/// Appends a family to `text`.
fn family(mut text: String, name: &str, items: &[Item], states: &[(Labels, Value)]) -> String {
    for (place, item) in items.iter().enumerate() {
        let Some(metric) = item.field.metric else {
            continue;
        };
        let shared = items.len() > 1;
        let (kind, suffix) = match metric.kind {
            MetricKind::Gauge => ("gauge", ""),
            MetricKind::Counter => ("counter", ""),
            MetricKind::SummaryCount => ("summary", "_count"),
            MetricKind::SummarySum => ("summary", "_sum"),
        };
        if place == 0 {
            let about = if shared { item.object.about } else { item.field.about };
            text += &head(name, kind, about);
        }
        let sample_name = format!("{name}{suffix}");
        let label = item.object.label.filter(|_| shared);
        for (team, state) in states {
            each_value(&item.keys, state, team, &mut |labels, value| {
                let Some(value) = in_base_unit(value, item.field.unit) else { return };
                match label {
                    Some(label) => {
                        let labels = labels.with(label, item.field.name);
                        add_sample(&mut text, &sample_name, &labels, value);
                    }
                    None => add_sample(&mut text, &sample_name, labels, value),
                }
            });
        }
    }
    text
}

/// Calls `each` with the values at a path below `at`, one for each port or watch, and their labels.
fn each_value(keys: &[&str], at: &Value, labels: &Labels, each: &mut dyn FnMut(&Labels, &Value)) {
    let Some((key, rest)) = keys.split_first() else {
        return each(labels, at);
    };
    let members = || at.as_object().into_iter().flatten();
    if *key == Port::PLACEHOLDER {
        for (port, below) in members() {
            each_value(rest, below, &labels.with("port", port), each);
        }
    } else if *key == Watch::PLACEHOLDER {
        for (id, below) in members() {
            let name = below["name"].as_str().unwrap_or_default();
            each_value(rest, below, &labels.with("watch", name).with("id", id), each);
        }
    } else if let Some(below) = at.get(key) {
        each_value(rest, below, labels, each);
    }
}

/// Returns a value in Prometheus' base unit; `None` for a negative number, which stands for an
/// unknown value.
fn in_base_unit(value: &Value, unit: Option<Unit>) -> Option<String> {
    const BYTES_IN_MEGABIT: u64 = 125_000;
    let number = match value {
        Value::Bool(flag) => u64::from(*flag),
        other => other.as_u64()?,
    };
    Some(match unit {
        Some(Unit::Microseconds | Unit::Millionths) => (number as f64 / 1e6).to_string(),
        Some(Unit::Milliseconds) => (number as f64 / 1e3).to_string(),
        Some(Unit::MegabitsPerSecond) => number.saturating_mul(BYTES_IN_MEGABIT).to_string(),
        Some(Unit::BitsPerSecond | Unit::Bytes | Unit::Frames) | None => number.to_string(),
    })
}

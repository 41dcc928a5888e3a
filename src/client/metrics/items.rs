//! The families of single items of the state, as their definitions name them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::text::{Labels, head, sample};
use crate::state::definition::Unit;
use crate::state::items::{self, Item};
use crate::state::{Member, MetricKind, Part, Port, State, watch::Watch};

/// Returns all families with their samples.
pub(super) fn write(states: &BTreeMap<String, State>) -> String {
    let states: Vec<(&str, Value)> =
        states.iter().map(|(team, state)| (team.as_str(), state.to_json())).collect();
    let mut families: BTreeMap<&str, Vec<Item>> = BTreeMap::new();
    for item in items::all() {
        if let Some(metric) = item.field.metric {
            families.entry(metric.name).or_default().push(item);
        }
    }
    let families = families.iter();
    families.map(|(name, items)| family(name, items, &states)).collect()
}

fn family(name: &str, items: &[Item], states: &[(&str, Value)]) -> String {
    let mut text = String::new();
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
        for (team, state) in states {
            for (labels, value) in samples(&item.keys, state, Labels::team(team)) {
                let labels = match item.object.label.filter(|_| shared) {
                    Some(label) => labels.with(label, item.field.name),
                    None => labels,
                };
                if let Some(value) = in_base_unit(value, item.field.unit) {
                    text += &sample(&format!("{name}{suffix}"), &labels, value);
                }
            }
        }
    }
    text
}

/// Returns the values at a path below `at`, one for each port or watch, with their labels.
fn samples<'a>(keys: &[&str], at: &'a Value, labels: Labels) -> Vec<(Labels, &'a Value)> {
    let Some((key, rest)) = keys.split_first() else {
        return vec![(labels, at)];
    };
    let members = at.as_object().into_iter().flatten();
    if *key == Port::PLACEHOLDER {
        members.flat_map(|(port, below)| samples(rest, below, labels.with("port", port))).collect()
    } else if *key == Watch::PLACEHOLDER {
        members
            .flat_map(|(id, below)| {
                let name = below["name"].as_str().unwrap_or_default();
                samples(rest, below, labels.with("watch", name).with("id", id))
            })
            .collect()
    } else {
        let below = at.get(key).into_iter();
        below.flat_map(|below| samples(rest, below, labels.clone())).collect()
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

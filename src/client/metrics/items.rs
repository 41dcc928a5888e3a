//! The families of single items of the state, as their definitions name them.

use std::collections::BTreeMap;

use super::text::{Labels, add_sample, head};
use crate::state::definition::{At, InMembers, Numbers, Unit};
use crate::state::{Member, MetricKind, Port, State, items};

/// The samples of a family.
#[derive(Default)]
struct Family {
    /// Kind of the samples.
    kind: &'static str,
    /// Doc lines of the items, or of the object that the items share.
    about: &'static str,
    /// Number of items.
    items: usize,
    /// The lines.
    samples: String,
}

/// Returns all families with their samples.
pub(super) fn write(states: &BTreeMap<String, State>) -> String {
    let mut samples = Samples { families: families(), labels: Vec::new() };
    for (team, state) in states {
        samples.labels = vec![Labels::team(team)];
        state.numbers(&mut samples);
    }
    let families = samples.families.iter();
    families.fold(String::new(), |text, (name, family)| {
        text + &head(name, family.kind, family.about) + &family.samples
    })
}

/// Returns the families without samples, by name.
fn families() -> BTreeMap<&'static str, Family> {
    let mut families: BTreeMap<_, Family> = BTreeMap::new();
    for item in items::all() {
        let Some(metric) = item.field.metric else { continue };
        let family = families.entry(metric.name).or_default();
        family.about = if family.items == 0 { item.field.about } else { item.object.about };
        family.kind = prometheus_kind(metric.kind).0;
        family.items += 1;
    }
    families
}

/// Returns the type of a metric's family, and what its samples' names have behind the family's name.
fn prometheus_kind(kind: MetricKind) -> (&'static str, &'static str) {
    match kind {
        MetricKind::Gauge => ("gauge", ""),
        MetricKind::Counter => ("counter", ""),
        MetricKind::SummaryCount => ("summary", "_count"),
        MetricKind::SummarySum => ("summary", "_sum"),
    }
}

/// Makes samples of the numbers of a state.
struct Samples {
    families: BTreeMap<&'static str, Family>,
    /// Labels of the team, and of each member inside the former one.
    labels: Vec<Labels>,
}

impl Numbers for Samples {
    fn enter(&mut self, member: InMembers<'_>) {
        let Some(outer) = self.labels.last() else { return };
        let labels = match member.placeholder == Port::PLACEHOLDER {
            true => outer.with("port", member.key),
            false => outer.with("watch", member.kind.unwrap_or_default()).with("id", member.key),
        };
        self.labels.push(labels);
    }

    fn leave(&mut self) {
        self.labels.pop();
    }

    fn number(&mut self, at: At, number: u64) {
        let At { object, field } = at;
        let Some(metric) = field.metric else { return };
        let (Some(family), Some(labels)) = (self.families.get_mut(metric.name), self.labels.last())
        else {
            return;
        };
        let (_, suffix) = prometheus_kind(metric.kind);
        let value = in_base_unit(number, field.unit);
        match object.label.filter(|_| family.items > 1) {
            Some(label) => {
                let labels = labels.with(label, field.name);
                add_sample(&mut family.samples, (metric.name, suffix), &labels, value);
            }
            None => add_sample(&mut family.samples, (metric.name, suffix), labels, value),
        }
    }
}

/// Returns a number in Prometheus' base unit.
fn in_base_unit(number: u64, unit: Option<Unit>) -> String {
    const BYTES_IN_MEGABIT: u64 = 125_000;
    match unit {
        Some(Unit::Microseconds | Unit::Millionths) => (number as f64 / 1e6).to_string(),
        Some(Unit::Milliseconds) => (number as f64 / 1e3).to_string(),
        Some(Unit::MegabitsPerSecond) => number.saturating_mul(BYTES_IN_MEGABIT).to_string(),
        Some(Unit::BitsPerSecond | Unit::Bytes | Unit::Frames) | None => number.to_string(),
    }
}

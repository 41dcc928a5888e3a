//! Positions of findings in the text.
//!
//! One pass over the text for each level of the paths, whatever the number of findings.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::finding::Finding;
use crate::problem::{Position, Step};

/// Returns the position of each finding, in their order; `None` if the text lacks the path.
pub(crate) fn locate(text: &str, findings: &[Finding]) -> Vec<Option<Position>> {
    let mut offsets: Vec<Option<usize>> = vec![None; findings.len()];
    if let Ok(root) = serde_json::from_str::<&RawValue>(text) {
        let wanted: Vec<usize> = (0..findings.len()).collect();
        let mut search = Search { text, findings, offsets: &mut offsets };
        search.descend(root, 0, &wanted);
    }
    positions(text, &offsets)
}

/// Converts offsets to positions in one pass, in the order of the text.
fn positions(text: &str, offsets: &[Option<usize>]) -> Vec<Option<Position>> {
    let mut order: Vec<(usize, usize)> = offsets
        .iter()
        .enumerate()
        .filter_map(|(index, offset)| offset.map(|offset| (offset, index)))
        .collect();
    order.sort_unstable();
    let mut result = vec![None; offsets.len()];
    let mut reached = (0, Position::START);
    for (offset, index) in order {
        reached = (offset, reached.1.after(&text.as_bytes()[reached.0..offset]));
        result[index] = Some(reached.1);
    }
    result
}

struct Search<'a> {
    text: &'a str,
    findings: &'a [Finding],
    offsets: &'a mut [Option<usize>],
}

impl Search<'_> {
    /// Searches `value`, which the first `depth` steps of all `wanted` paths lead to.
    fn descend(&mut self, value: &RawValue, depth: usize, wanted: &[usize]) {
        let mut below: BTreeMap<&Step, Vec<usize>> = BTreeMap::new();
        for index in wanted {
            match self.findings[*index].path.get(depth) {
                Some(step) => below.entry(step).or_default().push(*index),
                None => self.offsets[*index] = Some(self.offset(value)),
            }
        }
        if below.is_empty() {
            return;
        }
        if let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(value.get()) {
            for (step, wanted) in below {
                let Step::Index(index) = step else {
                    continue;
                };
                if let Some(element) = elements.get(*index) {
                    self.descend(element, depth + 1, &wanted);
                }
            }
        } else if let Ok(Members(members)) = serde_json::from_str(value.get()) {
            for (key, member) in members {
                let Ok(name) = serde_json::from_str(key.get()) else {
                    continue;
                };
                if let Some(wanted) = below.get(&Step::Key(name)) {
                    let (at_key, inside): (Vec<usize>, Vec<usize>) =
                        wanted.iter().partition(|index| {
                            let finding = &self.findings[**index];
                            finding.at_key && finding.path.len() == depth + 1
                        });
                    for index in at_key {
                        self.offsets[index] = Some(self.offset(key));
                    }
                    self.descend(member, depth + 1, &inside);
                }
            }
        }
    }

    /// Returns the offset of `value`, a part of the text.
    fn offset(&self, value: &RawValue) -> usize {
        value.get().as_ptr() as usize - self.text.as_ptr() as usize
    }
}

/// The members of an object as parts of the text.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = access.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

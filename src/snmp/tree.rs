//! Object instances in the order of a walk, and the answers to requests for these instances (RFC 2741,
//! 7.2).

use std::collections::BTreeMap;
use std::ops::Bound;

use super::pdu::{Binding, Oid, Range, Request, Value};

/// Most bindings of the repeated ranges in the answer to a GetBulk.
const MOST_BINDINGS: usize = 1024;

/// An error code of a response (RFC 2741, 6.2.16).
pub type ErrorCode = u16;

/// parseError: the PDU is malformed.
pub const PARSE_ERROR: ErrorCode = 266;
/// commitFailed: nothing can be committed, because each TestSet fails.
const COMMIT_FAILED: ErrorCode = 14;
/// undoFailed: nothing was committed.
const UNDO_FAILED: ErrorCode = 15;
/// notWritable: no object can be set.
const NOT_WRITABLE: ErrorCode = 17;

/// Object instances by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<Oid, Value>);

impl Tree {
    /// Returns the answer to a request; `None` for a request without an answer.
    pub fn answer(&self, request: &Request) -> Option<Result<Vec<Binding>, ErrorCode>> {
        Some(match request {
            Request::Get(ranges) => Ok(ranges.iter().map(|range| self.get(&range.start)).collect()),
            Request::GetNext(ranges) => Ok(ranges.iter().map(|range| self.next(range)).collect()),
            Request::GetBulk { once, repetitions, ranges } => {
                Ok(self.bulk(*once, *repetitions, ranges))
            }
            Request::TestSet => Err(NOT_WRITABLE),
            Request::CommitSet => Err(COMMIT_FAILED),
            Request::UndoSet => Err(UNDO_FAILED),
            Request::CleanupSet => return None,
        })
    }

    fn get(&self, name: &Oid) -> Binding {
        let value = self.0.get(name).cloned().unwrap_or_else(|| match self.has_object(name) {
            true => Value::NoSuchInstance,
            false => Value::NoSuchObject,
        });
        Binding { name: name.clone(), value }
    }

    /// Returns whether the object of the instance `name` has any instance. The index is the last part of
    /// the name, because each object of this MIB has an index of one part.
    fn has_object(&self, name: &Oid) -> bool {
        let Some((_, object)) = name.0.split_last() else {
            return false;
        };
        let mut from = self.0.range(Oid(object.to_vec())..);
        from.next().is_some_and(|(first, _)| first.0.starts_with(object))
    }

    fn next(&self, range: &Range) -> Binding {
        let start = match range.include {
            true => Bound::Included(&range.start),
            false => Bound::Excluded(&range.start),
        };
        let next = self.0.range((start, Bound::Unbounded)).next();
        let next = next.filter(|(name, _)| range.end.0.is_empty() || *name < &range.end);
        match next {
            Some((name, value)) => Binding { name: name.clone(), value: value.clone() },
            None => Binding { name: range.start.clone(), value: Value::EndOfMibView },
        }
    }

    fn bulk(&self, once: usize, repetitions: usize, ranges: &[Range]) -> Vec<Binding> {
        let (single, repeated) = ranges.split_at(once.min(ranges.len()));
        let mut bindings: Vec<Binding> = single.iter().map(|range| self.next(range)).collect();
        let mut repeated = repeated.to_vec();
        let most = MOST_BINDINGS / repeated.len().max(1);
        for _ in 0..repetitions.min(most) {
            let step: Vec<Binding> = repeated.iter().map(|range| self.next(range)).collect();
            for (range, found) in repeated.iter_mut().zip(&step) {
                (range.start, range.include) = (found.name.clone(), false);
            }
            let has_ended = step.iter().all(|found| found.value == Value::EndOfMibView);
            bindings.extend(step);
            if has_ended {
                break;
            }
        }
        bindings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Objects 1 and 2 with the instances 5 and 7, whose values are their parts.
    fn tree() -> Tree {
        let instances = [[1, 5], [1, 7], [2, 5], [2, 7]];
        let instances = instances.map(|[object, index]| {
            let value = i32::try_from(object * 10 + index).unwrap();
            (Oid(vec![9, object, index]), Value::Integer(value))
        });
        Tree(BTreeMap::from(instances))
    }

    fn range(start: &[u32], include: bool, end: &[u32]) -> Range {
        Range { start: Oid(start.to_vec()), include, end: Oid(end.to_vec()) }
    }

    fn values(request: &Request) -> Vec<Value> {
        let bindings = tree().answer(request).expect("an answer").expect("no error");
        bindings.into_iter().map(|binding| binding.value).collect()
    }

    #[test]
    fn get_tells_an_unknown_instance_from_an_unknown_object() {
        let names = [&[9, 1, 7][..], &[9, 1, 6], &[9, 3, 5], &[]];
        let ranges = names.map(|name| range(name, false, &[])).to_vec();
        let expected =
            [Value::Integer(17), Value::NoSuchInstance, Value::NoSuchObject, Value::NoSuchObject];
        assert_eq!(values(&Request::Get(ranges)), expected);
    }

    #[test]
    fn get_next_stays_before_the_end() {
        let ranges = vec![
            range(&[9], false, &[10]),
            range(&[9, 1, 7], true, &[]),
            range(&[9, 1, 7], false, &[9, 2]),
            range(&[9, 2, 7], false, &[]),
        ];
        let expected =
            [Value::Integer(15), Value::Integer(17), Value::EndOfMibView, Value::EndOfMibView];
        assert_eq!(values(&Request::GetNext(ranges)), expected);
    }

    #[test]
    fn get_bulk_repeats_up_to_the_end_and_the_limit() {
        let ranges = vec![range(&[9], false, &[]), range(&[9, 2], false, &[])];
        let bulk =
            |once, repetitions| Request::GetBulk { once, repetitions, ranges: ranges.clone() };
        let numbers = |request: &Request| {
            let number = |value| if let Value::Integer(number) = value { number } else { 0 };
            values(request).into_iter().map(number).collect::<Vec<i32>>()
        };
        assert_eq!(numbers(&bulk(1, 2)), [15, 25, 27]);
        assert_eq!(numbers(&bulk(0, usize::MAX)), [15, 25, 17, 27, 25, 0, 27, 0, 0, 0]);
        assert_eq!(numbers(&bulk(9, 5)), [15, 25]);
        let many = vec![range(&[9], false, &[]); 2 * MOST_BINDINGS];
        let bulk = Request::GetBulk { once: 0, repetitions: 9, ranges: many };
        assert_eq!(values(&bulk), []);
    }

    #[test]
    fn nothing_can_be_set() {
        for (request, code) in [
            (Request::TestSet, NOT_WRITABLE),
            (Request::CommitSet, COMMIT_FAILED),
            (Request::UndoSet, UNDO_FAILED),
        ] {
            assert_eq!(tree().answer(&request), Some(Err(code)));
        }
        assert_eq!(tree().answer(&Request::CleanupSet), None);
    }
}

//! Entries of a recording as text, one after the other.

use runners::{Event, Instant};
use serde::Serialize;

use crate::recording::Entry;

/// Least bytes by which the allocation of the text grows.
const STEP: usize = 1 << 10;

/// Entries, oldest first, each a JSON document.
#[derive(Debug, Default)]
pub(super) struct Packed {
    text: Vec<u8>,
    count: u64,
}

/// A place between two entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    bytes: usize,
    count: u64,
}

/// An [`Entry`] of an event, with the event borrowed.
#[derive(Serialize)]
struct EventEntry<'a> {
    at: Instant,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    joined: bool,
    event: &'a Event,
}

impl Packed {
    /// Returns the length of the text in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Returns the size of the allocation in bytes.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    /// Returns the number of entries.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the place after the last entry.
    pub(super) fn mark(&self) -> Mark {
        Mark { bytes: self.text.len(), count: self.count }
    }

    /// Removes the entries after a mark and returns their text.
    pub(super) fn cut(&mut self, mark: Mark) -> Box<[u8]> {
        self.count = mark.count;
        self.text.split_off(mark.bytes).into_boxed_slice()
    }

    /// Adds an entry.
    pub(super) fn push(&mut self, entry: &Entry) {
        self.add(entry);
    }

    /// Adds the entry of an event; `joined` as in [`Entry`].
    pub(super) fn push_event(&mut self, at: Instant, joined: bool, event: &Event) {
        self.add(&EventEntry { at, joined, event });
    }

    fn add(&mut self, entry: &impl Serialize) {
        let mark = self.mark();
        if self.text.capacity() - self.text.len() < STEP / 2 {
            self.text.reserve_exact(STEP.max(self.text.len() / 4));
        }
        match serde_json::to_writer(&mut self.text, entry) {
            Ok(()) => self.count += 1,
            Err(error) => {
                log::debug!("an entry is missing in the recording: {error}");
                self.text.truncate(mark.bytes);
            }
        }
    }

    /// Returns the entries.
    pub(super) fn entries(&self) -> Vec<Entry> {
        read(&self.text).collect()
    }
}

/// Returns the entries of a text, up to the first one that cannot be read.
pub(super) fn read(text: &[u8]) -> impl Iterator<Item = Entry> {
    serde_json::Deserializer::from_slice(text).into_iter().map_while(Result::ok)
}

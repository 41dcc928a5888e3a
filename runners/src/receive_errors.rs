//! Counters of received frames, and the judgement of a port by them.

use std::time::Duration;

use crate::time::Instant;

/// Frames that an interface has received since some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ReceiveCounters {
    /// Frames without an error.
    pub good: u64,
    /// Frames that were damaged on the way.
    pub corrupted: u64,
}

impl ReceiveCounters {
    /// Returns the frames since `before`; `None` if a counter has begun anew.
    pub(crate) fn since(self, before: ReceiveCounters) -> Option<ReceiveCounters> {
        Some(ReceiveCounters {
            good: self.good.checked_sub(before.good)?,
            corrupted: self.corrupted.checked_sub(before.corrupted)?,
        })
    }

    /// Returns the share of corrupted frames, in millionths.
    pub(crate) fn ratio(self) -> u32 {
        let all = u128::from(self.good) + u128::from(self.corrupted);
        let millionths = u128::from(self.corrupted) * 1_000_000;
        millionths.checked_div(all).and_then(|ratio| u32::try_from(ratio).ok()).unwrap_or_default()
    }

    /// Returns the share that `corrupted` frames would be of all frames here, in millionths.
    pub(crate) fn ratio_of(self, corrupted: u32) -> u32 {
        let all = self.good.saturating_add(self.corrupted);
        let corrupted = u64::from(corrupted);
        ReceiveCounters { good: all.saturating_sub(corrupted), corrupted }.ratio()
    }
}

/// The judgement of a port by its corrupted frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ErrorsStatus {
    /// Share of corrupted frames in the last whole window, in millionths.
    pub ratio: u32,
    /// When the watch goes up, if no other bad window ends before; `None` while the watch is up.
    pub held_until: Option<Instant>,
    /// The last hold time; zero before the first.
    pub hold: Duration,
    /// When the watch went up last.
    pub up_since: Instant,
    /// Counters at the last reading.
    pub last: Option<ReceiveCounters>,
    /// Frames of the present window.
    pub window: ReceiveCounters,
}

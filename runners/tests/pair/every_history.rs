//! Every treatment of the first frames of a link, one history after the other.
//!
//! Each frame arrives, is lost or is late, and one end may lose its link after any frame. In every
//! history the invariants hold, and both ends distribute in the end.

use crate::invariants::{assert_ends_agree, assert_safe};
use crate::network::{Pair, Treatment, fast, seconds};

/// Number of frames with a scripted treatment.
const FRAMES: u32 = 8;
const TREATMENTS: u64 = Treatment::ALL.len() as u64;

/// Runs one history. After `flap_after` frames, one end loses its link for a moment.
fn run_history(history: u64, flap_after: Option<u64>) {
    let mut pair = Pair::new([fast(), fast()], 1).with_history(history, FRAMES);
    pair = pair.with_ports(1);
    let end = pair.now + seconds(6);
    let mut flapped = false;
    while pair.step(end) {
        assert_safe(&pair);
        if !flapped && flap_after.is_some_and(|frames| pair.frames_sent() >= frames) {
            flapped = true;
            pair.link_down((0, 0));
            assert_safe(&pair);
            pair.link_up((0, 0));
        }
    }
    let end = end + seconds(5);
    while pair.step(end) {
        assert_safe(&pair);
    }
    assert_ends_agree(&pair);
    let both = [pair.distributing(0), pair.distributing(1)];
    assert_eq!(both, [[0], [0]], "history {history}, flap {flap_after:?}");
}

#[test]
fn both_ends_distribute_after_every_history() {
    for history in 0..TREATMENTS.pow(FRAMES) {
        run_history(history, None);
    }
}

#[test]
fn both_ends_distribute_after_every_history_with_a_flap() {
    for history in 0..TREATMENTS.pow(FRAMES - 2) {
        for frame in 1..u64::from(FRAMES) {
            run_history(history, Some(frame));
        }
    }
}

//! Every way in which a wire can treat the first frames of a link, one after the other.
//!
//! Bounded and exhaustive: three things may happen to each of the first frames, and at any of
//! them an end may lose its link. Whatever the history, nothing is forwarded on a port that is
//! not attached, and a wire that has been mended leads to both ends forwarding.

use crate::invariants;
use crate::network::{Pair, fast, seconds};

/// Frames whose fate is explored.
const FRAMES: u32 = 8;
/// What may happen to a frame: it arrives, is lost, or comes after its successors.
const FATES: u64 = 3;

/// The fates of the first frames, as the digits of `history`.
fn live(history: u64, flap: Option<u64>) {
    let mut pair = Pair::new([fast(), fast()], 1).with_script(history, FATES, FRAMES);
    pair = pair.with_ports(1);
    let end = pair.now + seconds(6);
    let mut flapped = false;
    while pair.step(end) {
        invariants::hold(&pair);
        if !flapped && flap.is_some_and(|frame| pair.frames_sent() >= frame) {
            flapped = true;
            pair.link((0, 0), false);
            invariants::hold(&pair);
            pair.link((0, 0), true);
        }
    }
    let end = end + seconds(5);
    while pair.step(end) {
        invariants::hold(&pair);
    }
    invariants::agree(&pair);
    let both = [pair.distributing(0), pair.distributing(1)];
    assert_eq!(both, [[0], [0]], "history {history}, link lost at {flap:?}");
}

#[test]
fn no_history_of_a_wire_leads_astray() {
    for history in 0..FATES.pow(FRAMES) {
        live(history, None);
    }
}

#[test]
fn nor_does_a_link_that_is_lost_on_the_way() {
    for history in 0..FATES.pow(FRAMES - 2) {
        for frame in 1..u64::from(FRAMES) {
            live(history, Some(frame));
        }
    }
}

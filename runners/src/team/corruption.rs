//! Ports that corrupt frames: the watch errors judges each port, and the team decides which leave.
//!
//! The rule is CorrOpt's (Zhuo et al., SIGCOMM 2017): a corrupting link leaves only while enough others
//! carry, here `min_ports`, and the worst ones first. When another port is lost, the least bad one
//! returns at once: a link with losses is better than none.

use std::cmp::Reverse;

use super::Team;
use crate::port::Port;

/// A port that is out counts as this many times as bad, so that two ports with about the same share
/// of corrupted frames do not take turns.
const HYSTERESIS: u64 = 2;

impl Team {
    /// Takes corrupting ports out of traffic and lets others in again. Returns whether a port changed.
    ///
    /// A port leaves when the others already carry: the port that returns in place of a worse one is
    /// in before the worse one is out.
    pub(super) fn update_corrupting_ports(&mut self) -> bool {
        let mut corrupting: Vec<(Reverse<u64>, usize)> = Vec::new();
        for (at, port) in self.ports.iter().enumerate() {
            if let Some(ratio) = port.corruption() {
                let weight = if port.is_out_for_corruption { HYSTERESIS } else { 1 };
                corrupting.push((Reverse(u64::from(ratio) * weight), at));
            }
        }
        corrupting.sort();
        let needed = self.settings.min_ports as usize;
        let mut should_leave = vec![false; self.ports.len()];
        let mut leaves = should_leave.clone();
        for (_, at) in corrupting {
            let others = |out: &[bool], counts: &dyn Fn(&Port) -> bool| -> usize {
                let others = self.ports.iter().enumerate();
                others.filter(|(other, port)| *other != at && !out[*other] && counts(port)).count()
            };
            should_leave[at] = others(&should_leave, &Port::could_carry) >= needed;
            let carry = others(&leaves, &|port| self.runner.carries(port));
            leaves[at] = should_leave[at] && carry >= needed;
        }
        let mut changed = false;
        for (port, leaves) in self.ports.iter_mut().zip(leaves) {
            changed |= std::mem::replace(&mut port.is_out_for_corruption, leaves) != leaves;
        }
        changed
    }
}

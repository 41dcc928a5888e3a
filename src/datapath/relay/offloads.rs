//! Offloads that are switched off because of frames that a virtio-net header cannot describe.
//!
//! A packet socket loses such a frame, and the reading fails with `EINVAL`: segments of UDP before
//! Linux 6.2, segments of SCTP on every kernel. The version of the kernel does not show whether
//! frames are lost, so the relay waits for the first lost frame. When the interface leaves the
//! team, the relay switches on again each offload that was on. The port-state file records the
//! offloads of the ports, so that the next daemon can switch them on after a crash.

use std::io;

use serde::{Deserialize, Serialize};

use crate::errno::strerror;

/// Offloads that merge received datagrams, in the order in which the relay switches them off: first
/// those of UDP alone. `rx-gro` merges datagrams if a program of the host takes merged ones.
pub const MERGING: [&[&str]; 2] = [&["rx-udp-gro-forwarding", "rx-gro-list"], &["rx-gro"]];

/// Offloads of a port that the relay has switched off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>")]
pub struct StoppedOffloads(pub Vec<&'static str>);

impl From<Vec<String>> for StoppedOffloads {
    /// Ignores names that the relay does not switch.
    fn from(names: Vec<String>) -> Self {
        let is_named = |known: &&str| names.iter().any(|name| name == known);
        StoppedOffloads(MERGING.concat().into_iter().filter(is_named).collect())
    }
}

impl StoppedOffloads {
    /// Returns whether the relay has switched off no offload.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The offloads that a switch on or off has changed.
type Switched = io::Result<Vec<&'static str>>;

/// The offloads of one interface.
#[derive(Debug, Default)]
pub struct Offloads {
    /// Offloads that were on.
    stopped: Vec<&'static str>,
    /// Frames from before the last change may be queued.
    is_settling: bool,
    /// No offload is left to switch off.
    is_exhausted: bool,
}

impl Offloads {
    /// Returns offloads of which `stopped` are off already.
    pub fn without(stopped: StoppedOffloads) -> Self {
        Offloads { stopped: stopped.0, ..Offloads::default() }
    }

    /// Returns the offloads that were on before the relay switched them off.
    pub fn stopped(&self) -> StoppedOffloads {
        StoppedOffloads(self.stopped.clone())
    }

    /// Records offloads that the caller has switched off before the first frame.
    pub fn begin_without(&mut self, switched: Switched) {
        match switched {
            Ok(changed) => self.stopped = changed,
            Err(error) => log::warn!("Failed to switch offloads off ({}).", strerror(&error)),
        }
    }

    /// Switches off the first of `steps` that has an offload which is on. Does nothing while frames
    /// of an earlier call may be queued.
    pub fn stop(
        &mut self,
        steps: &[&[&'static str]],
        switch: impl Fn(&[&'static str], bool) -> Switched,
    ) {
        if self.is_settling || self.is_exhausted {
            return;
        }
        for step in steps {
            match switch(step, false) {
                Ok(changed) if changed.is_empty() => (),
                Ok(changed) => {
                    log::info!(
                        "The kernel cannot describe frames of an offload to the relay; off now: {}.",
                        changed.join(", ")
                    );
                    self.stopped.extend(changed);
                    self.is_settling = true;
                    return;
                }
                Err(error) => log::warn!("Failed to switch {step:?} off ({}).", strerror(&error)),
            }
        }
        self.is_exhausted = true;
    }

    /// Expects no more frames from before the last change.
    pub fn queue_emptied(&mut self) {
        self.is_settling = false;
    }

    /// Switches all offloads on again that were on.
    pub fn resume(&mut self, switch: impl Fn(&[&'static str], bool) -> Switched) {
        let stopped = std::mem::take(&mut self.stopped);
        if !stopped.is_empty() {
            // The interface may be gone.
            if let Err(error) = switch(&stopped, true) {
                log::debug!("cannot switch {stopped:?} on again: {error}");
            }
        }
        *self = Offloads::default();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn offloads_go_step_by_step_and_come_back() {
        let on = RefCell::new(vec!["b", "c", "d"]);
        let switch = |features: &[&'static str], to: bool| {
            let mut on = on.borrow_mut();
            let changed: Vec<&str> =
                features.iter().copied().filter(|it| on.contains(it) != to).collect();
            on.retain(|it| !changed.contains(it));
            on.extend(changed.iter().filter(|_| to));
            Ok(changed)
        };
        let steps: [&[&str]; 3] = [&["a"], &["b", "c"], &["d"]];
        let mut offloads = Offloads::default();
        offloads.stop(&steps, switch);
        offloads.stop(&steps, switch);
        assert_eq!(*on.borrow(), ["d"], "queued frames are no reason for the next step");
        offloads.queue_emptied();
        offloads.stop(&steps, switch);
        assert!(on.borrow().is_empty());
        offloads.queue_emptied();
        offloads.stop(&steps, switch);
        offloads.stop(&steps, |_, _| panic!("nothing is left to switch off"));
        let stopped = offloads.stopped();
        assert_eq!(stopped.0, ["b", "c", "d"]);
        offloads.resume(switch);
        assert_eq!(*on.borrow(), ["b", "c", "d"]);

        // After a crash, the next daemon reads the offloads from the file.
        on.borrow_mut().clear();
        Offloads::without(stopped).resume(switch);
        assert_eq!(*on.borrow(), ["b", "c", "d"]);
    }

    #[test]
    fn a_file_names_offloads_of_the_relay_only() {
        let read = |text: &str| serde_json::from_str::<StoppedOffloads>(text);
        let text = r#"["rx-gro", "tx-checksum-ipv4", "rx-gro", "rx-gro-list", ""]"#;
        let stopped = read(text).expect("a list of names");
        assert_eq!(stopped.0, ["rx-gro-list", "rx-gro"]);
        let written = serde_json::to_string(&stopped).expect("text");
        assert_eq!(read(&written).expect("a list"), stopped);
        assert!(read("[1]").is_err() && read("{}").is_err());
    }
}

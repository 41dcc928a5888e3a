//! Memory and descriptors of a daemon: read, and judged to be flat.

use std::collections::BTreeMap;
use std::{fs, io};

/// Growth of the memory that is no leak, in kB: buffers grow to the largest message.
const SLACK: u64 = 256;
/// Descriptors beyond the fewest that are no leak: programs and maps of the present forwarding.
const SPREAD: usize = 4;
/// Fewer samples prove nothing about memory.
const FEW: usize = 30;

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Open descriptors.
    pub descriptors: usize,
    /// Private memory in kB.
    pub memory: u64,
}

impl Usage {
    /// Reads the usage of a process.
    ///
    /// # Errors
    /// Errors of `/proc`, and a status without the field.
    pub fn of(pid: u32) -> io::Result<Usage> {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let field = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let memory = field.and_then(|text| text.trim().strip_suffix(" kB")?.trim().parse().ok());
        let memory = memory.ok_or_else(|| io::Error::other("no RssAnon in the status"))?;
        Ok(Usage { descriptors, memory })
    }
}

/// The samples of one daemon.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// The fewest descriptors seen by the number of ports.
    descriptors: BTreeMap<usize, usize>,
    memory: Vec<u64>,
}

impl Samples {
    /// Adds a sample of a daemon with so many ports and no disturbing client.
    ///
    /// # Errors
    /// [`SPREAD`] more descriptors than in an earlier sample with as many ports.
    pub fn add(&mut self, ports: usize, usage: Usage) -> Result<(), String> {
        let fewest = self.descriptors.entry(ports).or_insert(usage.descriptors);
        if usage.descriptors > *fewest + SPREAD {
            return Err(format!(
                "{} descriptors with {ports} ports, {fewest} before",
                usage.descriptors
            ));
        }
        *fewest = usage.descriptors.min(*fewest);
        self.memory.push(usage.memory);
        Ok(())
    }

    /// Returns the least memory of the second and of the last quarter, in kB; `None` with too few
    /// samples. The first quarter fills caches, and a single sample may catch a large message.
    pub fn growth(&self) -> Option<(u64, u64)> {
        let quarter = self.memory.len() / 4;
        if self.memory.len() < FEW {
            return None;
        }
        let least = |part: &[u64]| part.iter().copied().min();
        let second = least(&self.memory[quarter..2 * quarter])?;
        Some((second, least(&self.memory[3 * quarter..])?))
    }

    /// Checks that the memory did not grow.
    ///
    /// # Errors
    /// Both figures.
    pub fn check_memory(&self) -> Result<(), String> {
        match self.growth() {
            Some((early, late)) if late > early + SLACK => {
                Err(format!("private memory grew from {early} kB to {late} kB"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(memory: impl Iterator<Item = u64>) -> Samples {
        let mut samples = Samples::default();
        for memory in memory {
            samples.add(2, Usage { descriptors: 20, memory }).expect("as many descriptors");
        }
        samples
    }

    #[test]
    fn a_lost_descriptor_is_found() {
        let mut samples = Samples::default();
        let seen = [(2, 22, true), (3, 25, true), (2, 20, true), (2, 24, true), (2, 25, false)];
        for (ports, descriptors, is_flat) in seen {
            let added = samples.add(ports, Usage { descriptors, memory: 1000 });
            assert_eq!(added.is_ok(), is_flat, "{added:?}");
        }
    }

    #[test]
    fn a_leak_is_found_and_a_full_cache_is_none() {
        assert!(samples((0..100).map(|at| 1000 + 10 * at)).check_memory().is_err());
        assert!(samples((0..100).map(|at| 1000 + 40 * at.min(20))).check_memory().is_ok());
        assert!(samples((0..100).map(|at| 1000 + at % 3 * 400)).check_memory().is_ok());
    }

    #[test]
    fn few_samples_are_not_judged() {
        assert_eq!(samples((0..10).map(|at| 1000 * at)).growth(), None);
    }

    #[test]
    fn the_own_process_has_descriptors_and_memory() {
        let usage = Usage::of(std::process::id()).expect("read /proc");
        assert!(usage.descriptors >= 3 && usage.memory > 0, "{usage:?}");
    }
}

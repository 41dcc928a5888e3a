//! Programs: loading, opening by id, reading their description, running on a test frame. `hook`
//! attaches them.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use caps::{CapSet, Capability, CapsHashSet};

use super::call::{
    Load, PROG_BY_ID, PROG_LOAD, PROG_TEST_RUN, ProgInfo, Test, address, address_mut, bpf,
    bpf_descriptor, describe, name_field, name_of, open_by_id, raw,
};

/// `BPF_PROG_TYPE_SCHED_CLS`.
const TRAFFIC_CONTROL: u32 = 3;
/// Levels of the verifier's log: each step; errors and statistics alone.
const LOG_STEPS: u32 = 1;
const LOG_ERRORS: u32 = 4;
/// Beginnings of the lines behind the reason of a refusal.
const STATISTICS: [&str; 3] = ["verification time", "stack depth", "processed"];
/// Bytes of the verifier's log; the verifier keeps the end of a longer log.
const VERIFIER_LOG: usize = 256 * 1024;
/// Most maps of one program that are read.
const MOST_MAPS: usize = 64;

/// A loaded program.
#[derive(Debug)]
pub struct Program(pub(super) OwnedFd);

/// The kernel's description of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramInfo {
    /// Id, unique while the program is loaded.
    pub id: u32,
    /// Name.
    pub name: String,
    /// Ids of the maps that the program uses.
    pub maps: Vec<u32>,
    /// Instructions that the verifier has followed, of a million at most; 0 before Linux 5.16.
    pub verified: u32,
}

/// The outcome of a test run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// Result of the program.
    pub result: u32,
    /// The frame as the program has left it.
    pub frame: Vec<u8>,
    /// Mean duration of one run in nanoseconds.
    pub nanoseconds: u32,
}

impl Program {
    /// Loads a program for traffic control, without CAP_PERFMON: a daemon whose programs load at its
    /// start can load them in its sandbox, too.
    ///
    /// # Errors
    /// `EPERM` without CAP_BPF and CAP_NET_ADMIN; an error with the last line of the verifier's log
    /// for a program that the verifier refuses.
    pub fn load(instructions: &[u64], name: &str) -> io::Result<Program> {
        without_perfmon(|| Program::load_with_all_rights(instructions, name))
    }

    /// As [`load`](Self::load), for a program that the verifier accepts only with CAP_PERFMON.
    ///
    /// # Errors
    /// As [`load`](Self::load); `E2BIG` without CAP_PERFMON.
    pub fn load_with_all_rights(instructions: &[u64], name: &str) -> io::Result<Program> {
        let license = CString::default();
        let mut attributes = Load {
            kind: TRAFFIC_CONTROL,
            count: instructions.len() as u32,
            instructions: address(instructions),
            license: license.as_ptr() as u64,
            name: name_field(name),
            ..Load::default()
        };
        // SAFETY: the kernel reads `count` instructions and a string with its ending zero, and
        // opens a descriptor.
        let refused = match unsafe { bpf_descriptor(PROG_LOAD, &mut attributes) } {
            Ok(fd) => return Ok(Program(fd)),
            Err(error) => error,
        };
        // Load again, with the verifier's log.
        attributes.log_level = match refused.raw_os_error() {
            Some(libc::EINVAL | libc::EACCES) => LOG_STEPS,
            // The verifier has taken a million steps.
            Some(libc::E2BIG) => LOG_ERRORS,
            _ => return Err(refused),
        };
        let mut log = vec![0_u8; VERIFIER_LOG];
        attributes.log_size = log.len() as u32;
        attributes.log = address_mut(&mut log);
        // SAFETY: as before; the kernel writes at most `log_size` bytes to `log`.
        if let Ok(fd) = unsafe { bpf_descriptor(PROG_LOAD, &mut attributes) } {
            return Ok(Program(fd));
        }
        let log = name_of(&log);
        log::debug!("verifier on {name}:\n{log}");
        let text = format!("the kernel's verifier refuses {name}: {}", reason(&log));
        Err(io::Error::other(text))
    }

    /// Opens the program with this id.
    ///
    /// # Errors
    /// `EPERM` without CAP_SYS_ADMIN, `ENOENT` if there is none.
    pub fn by_id(id: u32) -> io::Result<Program> {
        open_by_id(PROG_BY_ID, id).map(Program)
    }

    /// Reads the kernel's description of the program.
    pub fn info(&self) -> io::Result<ProgramInfo> {
        let mut maps = [0_u32; MOST_MAPS];
        let map_count = maps.len() as u32;
        let wanted = ProgInfo { map_count, maps: address_mut(&mut maps), ..ProgInfo::default() };
        // SAFETY: a program's description begins like this; the kernel writes at most `map_count`
        // numbers to `maps`.
        let info = unsafe { describe(&self.0, wanted)? };
        let count = maps.len().min(info.map_count as usize);
        Ok(ProgramInfo {
            id: info.id,
            name: name_of(&info.name),
            maps: maps[..count].to_vec(),
            verified: info.verified,
        })
    }

    /// Runs the program `repeat` times on a frame, of an Ethernet header at least. `context` is the
    /// head of the `struct __sk_buff` that the program gets.
    ///
    /// # Errors
    /// `EINVAL` for a frame that is too short, or a context with fields that may not be set; `ENOSPC`
    /// for a program that lengthens the frame by more than a VLAN tag.
    pub fn test(&self, frame: &[u8], context: &[u8], repeat: u32) -> io::Result<TestRun> {
        const TAG: usize = 4;
        let mut left = vec![0_u8; frame.len() + TAG];
        let mut attributes = Test {
            program: raw(&self.0),
            data_out_size: left.len() as u32,
            data_out: address_mut(&mut left),
            data_size: frame.len() as u32,
            data: address(frame),
            repeat,
            context_size: context.len() as u32,
            context: if context.is_empty() { 0 } else { address(context) },
            ..Test::default()
        };
        // SAFETY: the kernel reads `frame` and `context` with their sizes, and writes to
        // `attributes` and at most `data_out_size` bytes to `left`.
        unsafe { bpf(PROG_TEST_RUN, &mut attributes)? };
        left.truncate(attributes.data_out_size as usize);
        let Test { result, nanoseconds, .. } = attributes;
        Ok(TestRun { result, frame: left, nanoseconds })
    }
}

/// Calls `act` without the rights by which a program may read all memory of the kernel.
fn without_perfmon<T>(act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    // CAP_SYS_ADMIN includes CAP_PERFMON.
    const RIGHTS: [Capability; 2] = [Capability::CAP_PERFMON, Capability::CAP_SYS_ADMIN];
    let before = caps::read(None, CapSet::Effective).map_err(io::Error::other)?;
    let set =
        |wanted: &CapsHashSet| caps::set(None, CapSet::Effective, wanted).map_err(io::Error::other);
    if RIGHTS.iter().all(|right| !before.contains(right)) {
        return act();
    }
    set(&before.iter().filter(|right| !RIGHTS.contains(right)).copied().collect())?;
    let outcome = act();
    set(&before)?;
    outcome
}

impl AsRawFd for Program {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Returns the line of the verifier's log that says why it refuses a program.
fn reason(log: &str) -> &str {
    let is_statistic = |line: &str| STATISTICS.iter().any(|begin| line.starts_with(begin));
    let mut lines = log.lines().rev().filter(|line| !line.is_empty() && !is_statistic(line));
    lines.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_refusal_is_before_the_statistics() {
        let log = "BPF program is too large. Processed 1000001 insn\n\
                   verification time 1309956 usec\nstack depth 112\n\
                   processed 1000001 insns (limit 1000000) max_states_per_insn 17\n\n";
        assert_eq!(reason(log), "BPF program is too large. Processed 1000001 insn");
        assert_eq!(reason(""), "");
    }
}

//! Programs: how they are loaded, found by their numbers, asked about and tried on a frame. Where
//! they run is in `hook`.

use std::ffi::CString;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::call::{
    ById, INFO_BY_FD, Info, Load, PROG_BY_ID, PROG_LOAD, PROG_TEST_RUN, ProgInfo, Test, address,
    address_mut, bpf, bpf_descriptor, name_field, name_of, raw,
};

/// `BPF_PROG_TYPE_SCHED_CLS`.
const TRAFFIC_CONTROL: u32 = 3;
/// Room for the verifier's words on a refusal, in bytes; it keeps the last of them.
const VERIFIER_LOG: usize = 256 * 1024;
/// More maps of one program than that are not told of.
const MOST_MAPS: usize = 64;

/// A loaded program.
#[derive(Debug)]
pub struct Program(pub(super) OwnedFd);

/// What the kernel tells of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramInfo {
    /// Its number; unique while it lives.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// The maps that it uses.
    pub maps: Vec<u32>,
}

/// The outcome of a test run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// What the program returned.
    pub result: u32,
    /// Mean duration of one run in nanoseconds.
    pub nanoseconds: u32,
}

impl Program {
    /// Loads a program for traffic control, after the kernel has proved it harmless.
    ///
    /// # Errors
    /// `EPERM` without CAP_BPF and CAP_NET_ADMIN; an error with the last words of the kernel's
    /// verifier for a program that it does not accept.
    pub fn load(instructions: &[u64], name: &str) -> io::Result<Program> {
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
        if !matches!(refused.raw_os_error(), Some(libc::EINVAL | libc::EACCES)) {
            return Err(refused);
        }
        // Once more, to hear why.
        let mut log = vec![0_u8; VERIFIER_LOG];
        attributes.log_level = 1;
        attributes.log_size = log.len() as u32;
        attributes.log = address_mut(&mut log);
        // SAFETY: as before; the kernel writes at most `log_size` bytes to `log`.
        if let Ok(fd) = unsafe { bpf_descriptor(PROG_LOAD, &mut attributes) } {
            return Ok(Program(fd));
        }
        let log = name_of(&log);
        log::debug!("verifier on {name}:\n{log}");
        let mut lines = log
            .lines()
            .rev()
            .filter(|line| !line.starts_with("processed"));
        let reason = lines.find(|line| !line.is_empty()).unwrap_or_default();
        let text = format!("the kernel's verifier refuses {name}: {reason}");
        Err(io::Error::other(text))
    }

    /// The program with this number.
    ///
    /// # Errors
    /// `EPERM` without CAP_SYS_ADMIN, `ENOENT` if there is none.
    pub fn by_id(id: u32) -> io::Result<Program> {
        let mut attributes = ById {
            id,
            ..ById::default()
        };
        // SAFETY: PROG_BY_ID reads these attributes, which point nowhere, and opens a descriptor.
        let fd = unsafe { bpf_descriptor(PROG_BY_ID, &mut attributes)? };
        Ok(Program(fd))
    }

    /// What the kernel tells of it.
    pub fn info(&self) -> io::Result<ProgramInfo> {
        let mut maps = [0_u32; MOST_MAPS];
        let mut info = [ProgInfo {
            map_count: maps.len() as u32,
            maps: address_mut(&mut maps),
            ..ProgInfo::default()
        }];
        let mut attributes = Info {
            fd: raw(&self.0),
            size: mem::size_of::<ProgInfo>() as u32,
            info: address_mut(&mut info),
        };
        // SAFETY: the kernel writes at most `size` bytes to `info`, which is that long, and at
        // most `map_count` numbers to `maps`.
        unsafe { bpf(INFO_BY_FD, &mut attributes)? };
        let [info] = info;
        let count = maps.len().min(info.map_count as usize);
        Ok(ProgramInfo {
            id: info.id,
            name: name_of(&info.name),
            maps: maps[..count].to_vec(),
        })
    }

    /// Runs it `repeat` times on a frame, of an Ethernet header at least. `context` is the head
    /// of `struct __sk_buff` as the program is to find it.
    ///
    /// # Errors
    /// `EINVAL` for a frame too short or a context with fields that cannot be given.
    pub fn test(&self, frame: &[u8], context: &[u8], repeat: u32) -> io::Result<TestRun> {
        let mut attributes = Test {
            program: raw(&self.0),
            data_size: frame.len() as u32,
            data: address(frame),
            repeat,
            context_size: context.len() as u32,
            context: if context.is_empty() {
                0
            } else {
                address(context)
            },
            ..Test::default()
        };
        // SAFETY: the kernel reads `frame` and `context` with their sizes and writes to
        // `attributes` alone.
        unsafe { bpf(PROG_TEST_RUN, &mut attributes)? };
        Ok(TestRun {
            result: attributes.result,
            nanoseconds: attributes.nanoseconds,
        })
    }
}

impl AsRawFd for Program {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

//! Programs: loading, opening by id, reading their description, running on a test frame. `hook`
//! attaches them.

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
}

/// The outcome of a test run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// Result of the program.
    pub result: u32,
    /// Mean duration of one run in nanoseconds.
    pub nanoseconds: u32,
}

impl Program {
    /// Loads a program for traffic control.
    ///
    /// # Errors
    /// `EPERM` without CAP_BPF and CAP_NET_ADMIN; an error with the last line of the verifier's log
    /// for a program that the verifier refuses.
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
        // Load again, with the verifier's log.
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

    /// Opens the program with this id.
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

    /// Reads the kernel's description of the program.
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

    /// Runs the program `repeat` times on a frame, of an Ethernet header at least. `context` is the
    /// head of the `struct __sk_buff` that the program gets.
    ///
    /// # Errors
    /// `EINVAL` for a frame that is too short, or a context with fields that may not be set.
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

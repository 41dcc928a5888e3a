//! Extended BPF: maps, programs and the hooks of traffic control that need no qdisc (bpf(2),
//! `linux/bpf.h`).

mod table;

use std::ffi::CString;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub use table::Table;

const MAP_CREATE: u32 = 0;
const MAP_LOOKUP: u32 = 1;
const MAP_UPDATE: u32 = 2;
const PROG_LOAD: u32 = 5;
const PROG_ATTACH: u32 = 8;
const PROG_DETACH: u32 = 9;
const PROG_TEST_RUN: u32 = 10;
const PROG_BY_ID: u32 = 13;
const MAP_BY_ID: u32 = 14;
const INFO_BY_FD: u32 = 15;
const PROG_QUERY: u32 = 16;
const MAP_LOOKUP_BATCH: u32 = 24;

/// The commands that a running daemon gives.
pub const COMMANDS: [u32; 11] = [
    MAP_CREATE,
    MAP_LOOKUP,
    MAP_UPDATE,
    MAP_LOOKUP_BATCH,
    PROG_LOAD,
    PROG_ATTACH,
    PROG_DETACH,
    PROG_BY_ID,
    MAP_BY_ID,
    INFO_BY_FD,
    PROG_QUERY,
];

/// `BPF_MAP_TYPE_ARRAY`, `BPF_MAP_TYPE_LRU_HASH`.
const ARRAY: u32 = 2;
const LRU_HASH: u32 = 9;
/// `BPF_PROG_TYPE_SCHED_CLS`.
const TRAFFIC_CONTROL: u32 = 3;
/// Before the others, after another, in the place of another; the other is named by its number
/// (`BPF_F_BEFORE`, `BPF_F_AFTER`, `BPF_F_REPLACE`, `BPF_F_ID`).
const BEFORE: u32 = 1 << 3;
const AFTER: u32 = 1 << 4;
const REPLACE: u32 = 1 << 2;
const BY_NUMBER: u32 = 1 << 5;
/// Characters of the name of a map or a program (`BPF_OBJ_NAME_LEN` less the ending zero).
const NAME: usize = 15;
/// Room for the verifier's words on a refusal, in bytes; it keeps the last of them.
const VERIFIER_LOG: usize = 256 * 1024;
/// More programs than that on one hook are not looked at.
const MOST_ON_HOOK: usize = 64;
/// The most processors a kernel can be built for.
const MOST_PROCESSORS: usize = 8192;

/// What a map is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// One value for each key.
    Array,
    /// One value for each key and processor.
    PerCpuArray,
}

/// A map with keys from 0 on.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    kind: MapKind,
    value_size: usize,
}

/// A queue that programs put notes in and whose descriptor becomes readable by them
/// (`BPF_MAP_TYPE_RINGBUF`). The notes themselves are not read.
#[derive(Debug)]
pub struct Bell {
    fd: OwnedFd,
    /// Page with the place that was read up to, which we write.
    consumer: NonNull<AtomicUsize>,
    /// Page with the place that was written up to.
    producer: NonNull<AtomicUsize>,
    page: usize,
}

/// A loaded program.
#[derive(Debug)]
pub struct Program(OwnedFd);

/// A place where programs see frames without a qdisc (TCX, kernel 6.6 and later).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Frames that arrive on the interface.
    Ingress = 46,
    /// Frames that leave it.
    Egress = 47,
}

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

#[repr(C)]
#[derive(Default)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
    flags: u32,
    inner: u32,
    numa_node: u32,
    name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct MapElement {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct Attach {
    ifindex: u32,
    program: u32,
    hook: u32,
    flags: u32,
    replaces: u32,
    relative: u32,
    revision: u64,
}

#[repr(C)]
#[derive(Default)]
struct Test {
    program: u32,
    result: u32,
    data_size: u32,
    data_out_size: u32,
    data: u64,
    data_out: u64,
    repeat: u32,
    nanoseconds: u32,
    context_size: u32,
    context_out_size: u32,
    context: u64,
    context_out: u64,
    flags: u32,
    processor: u32,
    batch: u32,
    pad: u32,
}

#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct Info {
    fd: u32,
    size: u32,
    info: u64,
}

#[repr(C)]
#[derive(Default)]
struct Query {
    ifindex: u32,
    hook: u32,
    query_flags: u32,
    attach_flags: u32,
    programs: u64,
    count: u32,
    pad: u32,
    program_flags: u64,
    links: u64,
    link_flags: u64,
    revision: u64,
}

/// The head of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Default)]
struct ProgInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_length: u32,
    xlated_length: u32,
    jited: u64,
    xlated: u64,
    load_time: u64,
    created_by: u32,
    map_count: u32,
    maps: u64,
    name: [u8; 16],
}

/// The head of `struct bpf_map_info`.
#[repr(C)]
#[derive(Default)]
struct MapInfo {
    kind: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
    flags: u32,
    name: [u8; 16],
}

const _: () = assert!(mem::size_of::<MapCreate>() == 44);
const _: () = assert!(mem::size_of::<MapElement>() == 32);
const _: () = assert!(mem::size_of::<Load>() == 64);
const _: () = assert!(mem::size_of::<Attach>() == 32);
const _: () = assert!(mem::size_of::<Test>() == 80);
const _: () = assert!(mem::size_of::<Query>() == 64);
const _: () = assert!(mem::size_of::<ProgInfo>() == 80);
const _: () = assert!(mem::size_of::<MapInfo>() == 40);

/// # Safety
/// `attributes` must be what `command` reads and writes, and so must all that it points to.
unsafe fn bpf<T>(command: u32, attributes: &mut T) -> io::Result<libc::c_int> {
    let size = mem::size_of::<T>();
    // SAFETY: the kernel reads and writes `size` bytes; the caller answers for the rest.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            libc::c_long::from(command),
            std::ptr::from_mut(attributes),
            size as libc::c_uint,
        )
    };
    super::check(result as libc::c_int)
}

/// # Safety
/// As for [`bpf`], and `command` must be one that returns a descriptor.
unsafe fn bpf_descriptor<T>(command: u32, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let fd = unsafe { bpf(command, attributes)? };
    // SAFETY: the kernel has just opened it, for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn raw(fd: &OwnedFd) -> u32 {
    fd.as_raw_fd() as u32
}

fn address<T>(slice: &[T]) -> u64 {
    slice.as_ptr() as u64
}

fn address_mut<T>(slice: &mut [T]) -> u64 {
    slice.as_mut_ptr() as u64
}

fn name_field(name: &str) -> [u8; 16] {
    let mut field = [0; 16];
    let length = name.len().min(NAME);
    field[..length].copy_from_slice(&name.as_bytes()[..length]);
    field
}

fn name_of(field: &[u8]) -> String {
    let length = field.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&field[..length.unwrap_or(field.len())]).into_owned()
}

impl Map {
    /// Makes a map with `entries` values of `value_size` bytes, all zero.
    ///
    /// # Errors
    /// `EPERM` without CAP_BPF, `EINVAL` for a size of 0 or one that the kernel does not take.
    pub fn create(kind: MapKind, value_size: usize, entries: u32, name: &str) -> io::Result<Map> {
        let mut attributes = MapCreate {
            kind: match kind {
                MapKind::Array => ARRAY,
                MapKind::PerCpuArray => 6,
            },
            key_size: mem::size_of::<u32>() as u32,
            value_size: value_size as u32,
            entries,
            name: name_field(name),
            ..MapCreate::default()
        };
        // SAFETY: MAP_CREATE reads these attributes, which point nowhere, and opens a descriptor.
        let fd = unsafe { bpf_descriptor(MAP_CREATE, &mut attributes)? };
        Ok(Map {
            fd,
            kind,
            value_size,
        })
    }

    /// The map with this number, if it is an array named `name`.
    ///
    /// # Errors
    /// `EPERM` without CAP_SYS_ADMIN, `ENOENT` if there is none or it is another one.
    pub fn by_id(id: u32, name: &str) -> io::Result<Map> {
        let (fd, info) = map_by_id(id, ARRAY, name)?;
        Ok(Map {
            fd,
            kind: MapKind::Array,
            value_size: info.value_size as usize,
        })
    }

    /// Writes the value of a key of an array.
    ///
    /// # Errors
    /// `EINVAL` for a value of another size or a map for each processor, `E2BIG` for a key past
    /// the end.
    pub fn write(&self, key: u32, value: &[u8]) -> io::Result<()> {
        if self.kind != MapKind::Array || value.len() != self.value_size {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let key = [key];
        let mut attributes = MapElement {
            map: raw(&self.fd),
            key: address(&key),
            value: address(value),
            ..MapElement::default()
        };
        // SAFETY: the kernel reads a key of 4 bytes and a value of the size just checked.
        unsafe { bpf(MAP_UPDATE, &mut attributes)? };
        Ok(())
    }

    /// Reads the value of a key; of a map for each processor, the values of all, each padded to
    /// a multiple of 8 bytes.
    ///
    /// # Errors
    /// `ENOENT` for a key past the end.
    pub fn read(&self, key: u32) -> io::Result<Vec<u8>> {
        let mut value = match self.kind {
            MapKind::Array => vec![0; self.value_size],
            MapKind::PerCpuArray => vec![0; self.value_size.next_multiple_of(8) * processors()],
        };
        let key = [key];
        let mut attributes = MapElement {
            map: raw(&self.fd),
            key: address(&key),
            value: address_mut(&mut value),
            ..MapElement::default()
        };
        // SAFETY: the kernel reads a key of 4 bytes and writes a value, or one for each
        // processor that there can be; `value` has that length.
        unsafe { bpf(MAP_LOOKUP, &mut attributes)? };
        Ok(value)
    }
}

/// The map with this number and what it is like, if it is of this kind and name.
fn map_by_id(id: u32, kind: u32, name: &str) -> io::Result<(OwnedFd, MapInfo)> {
    let mut attributes = ById {
        id,
        ..ById::default()
    };
    // SAFETY: MAP_BY_ID reads these attributes, which point nowhere, and opens a descriptor.
    let fd = unsafe { bpf_descriptor(MAP_BY_ID, &mut attributes)? };
    let mut info = [MapInfo::default()];
    let mut attributes = Info {
        fd: raw(&fd),
        size: mem::size_of::<MapInfo>() as u32,
        info: address_mut(&mut info),
    };
    // SAFETY: the kernel writes at most `size` bytes to `info`, which is that long.
    unsafe { bpf(INFO_BY_FD, &mut attributes)? };
    let [info] = info;
    match info.kind == kind && name_of(&info.name) == name {
        true => Ok((fd, info)),
        false => Err(io::Error::from_raw_os_error(libc::ENOENT)),
    }
}

/// How many processors there can be: what a map for each processor has values for.
fn processors() -> usize {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = text.trim().rsplit([',', '-']).next().unwrap_or_default();
    // Too many do no harm, too few would.
    last.parse::<usize>().map_or(MOST_PROCESSORS, |last| {
        last.saturating_add(1).min(MOST_PROCESSORS)
    })
}

impl AsRawFd for Map {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Bell {
    /// A new one.
    ///
    /// # Errors
    /// `EINVAL` where the kernel has no such queues (before 5.8), `EPERM` without CAP_BPF.
    pub fn create(name: &str) -> io::Result<Bell> {
        const RING_BUFFER: u32 = 27;
        // SAFETY: sysconf takes a number and no memory of ours.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).map_err(io::Error::other)?;
        let mut attributes = MapCreate {
            kind: RING_BUFFER,
            entries: page as u32,
            name: name_field(name),
            ..MapCreate::default()
        };
        // SAFETY: MAP_CREATE reads these attributes, which point nowhere, and opens a descriptor.
        let fd = unsafe { bpf_descriptor(MAP_CREATE, &mut attributes)? };
        let consumer = map_page(&fd, page, 0, libc::PROT_READ | libc::PROT_WRITE)?;
        match map_page(&fd, page, page, libc::PROT_READ) {
            Ok(producer) => Ok(Bell {
                fd,
                consumer,
                producer,
                page,
            }),
            Err(error) => {
                unmap_page(consumer, page);
                Err(error)
            }
        }
    }

    /// Takes all notes away.
    pub fn silence(&self) {
        // SAFETY: both pages are mapped as long as this lives and begin with a counter that the
        // kernel, too, only uses atomically.
        let (consumer, producer) = unsafe { (self.consumer.as_ref(), self.producer.as_ref()) };
        consumer.store(producer.load(Ordering::Acquire), Ordering::Release);
    }
}

fn map_page(
    fd: &OwnedFd,
    page: usize,
    offset: usize,
    protection: libc::c_int,
) -> io::Result<NonNull<AtomicUsize>> {
    let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
    let (none, shared) = (std::ptr::null_mut(), libc::MAP_SHARED);
    // SAFETY: the kernel chooses where, so no memory in use is replaced.
    let address = unsafe { libc::mmap(none, page, protection, shared, fd.as_raw_fd(), offset) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(address.cast()).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

fn unmap_page(page: NonNull<AtomicUsize>, length: usize) {
    // SAFETY: the page was mapped with this length, and nobody uses it any more.
    unsafe { libc::munmap(page.as_ptr().cast(), length) };
}

impl Drop for Bell {
    fn drop(&mut self) {
        unmap_page(self.consumer, self.page);
        unmap_page(self.producer, self.page);
    }
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
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
        let mut maps = [0_u32; MOST_ON_HOOK];
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

    /// Puts it on a hook, in the place of `replaces` or else before all others there.
    ///
    /// # Errors
    /// `EINVAL` where the kernel has no such hooks, `ENOENT` if `replaces` is not there,
    /// `ENODEV` without such an interface.
    pub fn attach(&self, ifindex: u32, hook: Hook, replaces: Option<&Program>) -> io::Result<()> {
        let mut attributes = Attach {
            ifindex,
            program: raw(&self.0),
            hook: hook as u32,
            flags: if replaces.is_some() { REPLACE } else { BEFORE },
            replaces: replaces.map_or(0, |program| raw(&program.0)),
            ..Attach::default()
        };
        // SAFETY: PROG_ATTACH reads these attributes, which point nowhere.
        unsafe { bpf(PROG_ATTACH, &mut attributes)? };
        Ok(())
    }

    /// Takes it off a hook.
    ///
    /// # Errors
    /// `ENOENT` if it is not there, `ENODEV` without such an interface.
    pub fn detach(&self, ifindex: u32, hook: Hook) -> io::Result<()> {
        let mut attributes = Attach {
            ifindex,
            program: raw(&self.0),
            hook: hook as u32,
            ..Attach::default()
        };
        // SAFETY: PROG_DETACH reads these attributes, which point nowhere.
        unsafe { bpf(PROG_DETACH, &mut attributes)? };
        Ok(())
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

/// The programs on a hook, in the order in which they run.
///
/// # Errors
/// `EINVAL` where the kernel has no such hooks, `ENODEV` without such an interface.
pub fn programs_on(ifindex: u32, hook: Hook) -> io::Result<Vec<u32>> {
    let mut ids = [0_u32; MOST_ON_HOOK];
    let mut attributes = Query {
        ifindex,
        hook: hook as u32,
        programs: address_mut(&mut ids),
        count: ids.len() as u32,
        ..Query::default()
    };
    // SAFETY: the kernel writes at most `count` numbers to `ids`.
    match unsafe { bpf(PROG_QUERY, &mut attributes) } {
        Ok(_) => Ok(ids[..ids.len().min(attributes.count as usize)].to_vec()),
        // No program was ever there.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Takes the program with this number off a hook. Its number suffices, where a descriptor of it
/// would take CAP_SYS_ADMIN. No error if it is not there, or the interface or the hook is not.
///
/// # Errors
/// `EPERM` without CAP_NET_ADMIN.
pub fn take_off(ifindex: u32, hook: Hook, id: u32) -> io::Result<()> {
    let ids = programs_on(ifindex, hook).unwrap_or_default();
    let Some(place) = ids.iter().position(|on_hook| *on_hook == id) else {
        return Ok(());
    };
    // A place is named by who is next to it.
    let (flags, relative) = match place.checked_sub(1) {
        None => (BEFORE, 0),
        Some(earlier) => (AFTER | BY_NUMBER, ids[earlier]),
    };
    let mut attributes = Attach {
        ifindex,
        hook: hook as u32,
        flags,
        relative,
        ..Attach::default()
    };
    // SAFETY: PROG_DETACH reads these attributes, which point nowhere.
    unsafe { bpf(PROG_DETACH, &mut attributes)? };
    Ok(())
}

/// The time that programs read (`bpf_ktime_get_ns`).
///
/// # Errors
/// None on a kernel that has programs.
pub fn time() -> io::Result<Duration> {
    use nix::time::{ClockId, clock_gettime};
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}

//! Traffic control: the filters that keep the host's own stack off a port, and programs of ours
//! that run before the filters.
//!
//! Without the team driver a port is an ordinary interface to the kernel: the host would answer ARP
//! on it and receive every frame a second time. Packet sockets receive a frame before traffic
//! control, so that a drop at the `clsact` hook hides the frame from the stack only. The filters
//! are classic BPF and need no bpf(2).
//!
//! Link-local control frames (01:80:C2:00:00:0X, IEEE 802.1Q table 8-1) pass both ways: LLDP and
//! 802.1X belong to the port itself, as under the kernel's team driver.

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;

use super::bpf::{AND, Instruction, JUMP_EQUAL, LOAD_HALF, LOAD_WORD, MARK, RETURN, encode};
use super::message::{Attributes, Request, read_u32};
use super::socket::RouteSocket;
use crate::sys::bpf::{Hook, Program};

/// Preferences of our programs, which run before the filters.
const PROGRAM_PREFERENCES: RangeInclusive<u32> = 1..=6;
/// Handle of our programs on a `clsact` that existed before, and on one that we added.
const HANDLE_PROGRAM: u32 = 0x7ea0_0003;
const HANDLE_PROGRAM_MADE: u32 = 0x7ea0_0004;
/// Preferences of our filters: the first free one; low numbers run early. A filter of another kind
/// may have a preference already.
const PREFERENCES: RangeInclusive<u32> = 7..=39;
/// Handle of our filters on a `clsact` that existed before …
const HANDLE_FOUND: u32 = 0x7ea0_0001;
/// … and on one that we added and remove again. The handle stays with the filter, so that the next
/// start can distinguish the two after a crash.
const HANDLE_MADE: u32 = 0x7ea0_0002;

/// `TC_H_CLSACT`, and its two hooks.
const CLSACT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_OPS_LEN: u16 = 4;
const TCA_BPF_OPS: u16 = 5;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_ID: u16 = 11;
/// Flag: the program's result is the verdict.
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;

/// Verdicts of a direct-action program.
const NEXT_FILTER: u32 = u32::MAX;
const DROP: u32 = 2;

/// Bytes of `struct tcmsg`: family and padding, i32 index, u32 handle, u32 parent, u32 info.
const BODY: usize = 20;

fn body(ifindex: u32, handle: u32, parent: u32, info: u32) -> [u8; BODY] {
    let mut body = [0; BODY];
    for (place, value) in [ifindex, handle, parent, info].into_iter().enumerate() {
        let start = 4 + place * 4;
        body[start..start + 4].copy_from_slice(&value.to_ne_bytes());
    }
    body
}

/// `tcm_info` of a filter: preference and protocol (`ETH_P_ALL`, network order).
fn info(preference: u32) -> u32 {
    preference << 16 | u32::from((libc::ETH_P_ALL as u16).to_be())
}

/// Passes link-local control frames to the next filter, drops others.
const LINK_LOCAL_ONLY: [Instruction; 7] = [
    (LOAD_WORD, 0, 0, 0),
    (JUMP_EQUAL, 0, 4, 0x0180_c200),
    (LOAD_HALF, 0, 0, 4),
    (AND, 0, 0, 0xfff0),
    (JUMP_EQUAL, 0, 1, 0),
    (RETURN, 0, 0, NEXT_FILTER),
    (RETURN, 0, 0, DROP),
];

fn egress_program(mark: u32) -> Vec<Instruction> {
    let mut program = vec![
        (LOAD_WORD, 0, 0, MARK),
        (JUMP_EQUAL, 0, 1, mark),
        (RETURN, 0, 0, NEXT_FILTER),
    ];
    program.extend(LINK_LOCAL_ONLY);
    program
}

/// Keeps the host's stack from receiving on an interface, and from sending frames without the
/// socket mark `mark`. Repeating the call replaces the filters without a gap.
///
/// # Errors
/// `EOPNOTSUPP` or `ENOENT` where the kernel lacks `clsact` or `cls_bpf`.
pub fn block_host(route: &mut RouteSocket, ifindex: u32, mark: u32) -> io::Result<()> {
    let filters = [
        (INGRESS, LINK_LOCAL_ONLY.to_vec()),
        (EGRESS, egress_program(mark)),
    ];
    block(route, ifindex, &filters)
}

/// Keeps the host's stack from receiving on an interface; otherwise as [`block_host`].
pub fn block_receiving(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    block(route, ifindex, &[(INGRESS, LINK_LOCAL_ONLY.to_vec())])
}

/// Whether [`block_receiving`] was called for an interface, and not [`block_host`].
pub fn is_receiving_blocked(route: &mut RouteSocket, ifindex: u32) -> io::Result<bool> {
    Ok(blocks(route, ifindex, INGRESS)? && !blocks(route, ifindex, EGRESS)?)
}

/// Whether [`block_host`] was called for an interface.
pub fn is_host_blocked(route: &mut RouteSocket, ifindex: u32) -> io::Result<bool> {
    Ok(blocks(route, ifindex, INGRESS)? && blocks(route, ifindex, EGRESS)?)
}

fn blocks(route: &mut RouteSocket, ifindex: u32, hook: u32) -> io::Result<bool> {
    let filters = filters_on(route, ifindex, hook)?;
    Ok(filters.iter().any(Filter::blocks))
}

fn block(
    route: &mut RouteSocket,
    ifindex: u32,
    filters: &[(u32, Vec<Instruction>)],
) -> io::Result<()> {
    let handle = match add_clsact(route, ifindex) {
        Ok(()) => HANDLE_MADE,
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => HANDLE_FOUND,
        Err(error) => return Err(error),
    };
    for (hook, program) in filters {
        let existing = filters_on(route, ifindex, *hook)?;
        let existing = existing.into_iter().find(Filter::blocks);
        let length = program.len() as u16;
        let set = set_filter(
            route,
            ifindex,
            *hook,
            handle,
            PREFERENCES,
            existing,
            &|options| {
                options
                    .attribute(TCA_BPF_OPS_LEN, &length.to_ne_bytes())
                    .attribute(TCA_BPF_OPS, &encode(program))
                    .attribute_u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT)
            },
        );
        if let Err(error) = set {
            unblock_host(route, ifindex)?;
            return Err(error);
        }
    }
    Ok(())
}

/// Attaches `program` to a hook, in place of an earlier program of ours.
///
/// # Errors
/// `EOPNOTSUPP` or `ENOENT` where the kernel lacks `clsact` or `cls_bpf`.
pub fn set_program(
    route: &mut RouteSocket,
    ifindex: u32,
    hook: Hook,
    program: &Program,
    name: &str,
) -> io::Result<()> {
    let handle = match add_clsact(route, ifindex) {
        Ok(()) => HANDLE_PROGRAM_MADE,
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => HANDLE_PROGRAM,
        Err(error) => return Err(error),
    };
    let existing = filters_on(route, ifindex, parent(hook))?;
    let existing = existing.into_iter().find(Filter::is_program);
    set_filter(
        route,
        ifindex,
        parent(hook),
        handle,
        PROGRAM_PREFERENCES,
        existing,
        &|options| {
            options
                .attribute_u32(TCA_BPF_FD, program.as_raw_fd() as u32)
                .attribute_str(TCA_BPF_NAME, name)
                .attribute_u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT)
        },
    )
}

/// Returns the id of our program on a hook.
pub fn program_on(route: &mut RouteSocket, ifindex: u32, hook: Hook) -> io::Result<Option<u32>> {
    let filters = filters_on(route, ifindex, parent(hook))?;
    let ours = filters.iter().find(|filter| filter.is_program());
    Ok(ours.and_then(|filter| filter.program))
}

/// Detaches our program from a hook, and removes the `clsact` if we added it and nobody else uses
/// it. Success if there is no program, or no interface.
pub fn remove_program(route: &mut RouteSocket, ifindex: u32, hook: Hook) -> io::Result<()> {
    let ours = |on, filter: &Filter| on == parent(hook) && filter.is_program();
    remove_filters(route, ifindex, ours)
}

fn parent(hook: Hook) -> u32 {
    match hook {
        Hook::Ingress => INGRESS,
        Hook::Egress => EGRESS,
    }
}

/// Removes our filters and programs, and the `clsact` if we added it and nobody else uses it.
/// Success if there are none, or no interface.
pub fn unblock_host(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    remove_filters(route, ifindex, |_, filter| {
        filter.blocks() || filter.is_program()
    })
}

/// Removes the filters that are `ours`, and with the last of all filters the `clsact`, if it was
/// added for one of ours.
fn remove_filters(
    route: &mut RouteSocket,
    ifindex: u32,
    ours: impl Fn(u32, &Filter) -> bool,
) -> io::Result<()> {
    let mut made = false;
    let mut others = false;
    for hook in [INGRESS, EGRESS] {
        for filter in filters_on(route, ifindex, hook)? {
            if ours(hook, &filter) {
                made |= [HANDLE_MADE, HANDLE_PROGRAM_MADE].contains(&filter.handle);
                remove(route, ifindex, hook, &filter)?;
            } else {
                others = true;
            }
        }
    }
    if made && !others {
        let request = Request::new(
            libc::RTM_DELQDISC,
            0,
            &body(ifindex, CLSACT_HANDLE, CLSACT, 0),
        );
        route.execute(request.attribute_str(TCA_KIND, "clsact"))?;
    }
    Ok(())
}

fn remove(route: &mut RouteSocket, ifindex: u32, hook: u32, filter: &Filter) -> io::Result<()> {
    let body = body(ifindex, filter.handle, hook, filter.info);
    let request = Request::new(libc::RTM_DELTFILTER, 0, &body);
    route.execute(request.attribute_str(TCA_KIND, "bpf"))
}

/// Adds a `clsact` to an interface for good, while the interface is down. Adding or removing a
/// `clsact` stops the queues of a device for a moment, and the frames sent meanwhile are lost.
///
/// # Errors
/// `EOPNOTSUPP` or `ENOENT` where the kernel lacks `clsact`.
pub fn prepare_hooks(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    match add_clsact(route, ifindex) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        added => added,
    }
}

fn add_clsact(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    let flags = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
    let request = Request::new(
        libc::RTM_NEWQDISC,
        flags,
        &body(ifindex, CLSACT_HANDLE, CLSACT, 0),
    );
    route.execute(request.attribute_str(TCA_KIND, "clsact"))
}

/// Adds a filter with the options that `fill` appends, or replaces `existing`.
fn set_filter(
    route: &mut RouteSocket,
    ifindex: u32,
    hook: u32,
    handle: u32,
    preferences: RangeInclusive<u32>,
    existing: Option<Filter>,
    fill: &dyn Fn(Request) -> Request,
) -> io::Result<()> {
    let mut put = |flags: libc::c_int, handle, info| {
        let body = body(ifindex, handle, hook, info);
        let request = Request::new(libc::RTM_NEWTFILTER, flags as u16, &body);
        let request = request.attribute_str(TCA_KIND, "bpf");
        route.execute(request.nest(TCA_OPTIONS, fill))
    };
    if let Some(existing) = existing {
        return put(libc::NLM_F_CREATE, existing.handle, existing.info);
    }
    let mut added = Ok(());
    for preference in preferences {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        added = put(flags, handle, info(preference));
        // A filter of another kind has this preference.
        if added.as_ref().err().and_then(io::Error::raw_os_error) != Some(libc::EINVAL) {
            break;
        }
    }
    added
}

/// A filter on a hook.
struct Filter {
    handle: u32,
    /// `tcm_info`.
    info: u32,
    /// Id of its program, if it is extended BPF.
    program: Option<u32>,
}

impl Filter {
    fn blocks(&self) -> bool {
        self.handle == HANDLE_MADE || self.handle == HANDLE_FOUND
    }

    fn is_program(&self) -> bool {
        self.handle == HANDLE_PROGRAM || self.handle == HANDLE_PROGRAM_MADE
    }
}

/// Reads the filters on a hook. An entry with handle 0 is a filter chain.
fn filters_on(route: &mut RouteSocket, ifindex: u32, hook: u32) -> io::Result<Vec<Filter>> {
    let mut filters = Vec::new();
    let request = Request::new(
        libc::RTM_GETTFILTER,
        libc::NLM_F_DUMP as u16,
        &body(ifindex, 0, hook, 0),
    );
    let answer = route.query(request, &mut |message| {
        let is_filter = message.kind == libc::RTM_NEWTFILTER;
        let handle = read_u32(message.payload, 8).filter(|handle| *handle != 0);
        let attributes = || Attributes(message.payload.get(BODY..).unwrap_or_default());
        let has_kind = attributes().any(|(kind, _)| kind == TCA_KIND);
        let options = attributes().find(|(kind, _)| *kind == TCA_OPTIONS);
        let program = options.and_then(|(_, options)| {
            let (_, id) = Attributes(options).find(|(kind, _)| *kind == TCA_BPF_ID)?;
            read_u32(id, 0)
        });
        let info = read_u32(message.payload, 16);
        if let (true, true, Some(handle), Some(info)) = (is_filter, has_kind, handle, info) {
            filters.push(Filter {
                handle,
                info,
                program,
            });
        }
    });
    match answer {
        Ok(()) => Ok(filters),
        // The interface has no clsact, or does not exist.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EINVAL | libc::ENODEV | libc::ENOENT)
            ) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

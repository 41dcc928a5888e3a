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
//!
//! An `ingress` qdisc that was there before takes the place of `clsact` and has no egress hook: the
//! filters then keep the host only from receiving on the port.

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;

use super::bpf::{AND, Instruction, JUMP_EQUAL, LOAD_HALF, LOAD_WORD, MARK, RETURN, encode};
use super::message::{Message, Request, attribute, read_str, read_u32};
use super::socket::{RouteSocket, is_own_event};
use crate::sys::bpf::{Hook, Program};

/// Preferences of our programs, which run before the filters.
const PROGRAM_PREFERENCES: RangeInclusive<u32> = 1..=6;
/// Handles of our program that moves frames: on a `clsact` that existed before, and on a `clsact`
/// that we added.
const HANDLES_FRAMES: [u32; 2] = [0x7ea0_0003, 0x7ea0_0004];
/// Handles of our program that answers LACPDUs, in the same order.
const HANDLES_KEEP_ALIVE: [u32; 2] = [0x7ea0_0006, 0x7ea0_0007];
/// Preferences of our filters: the first free one; low numbers run early. A filter of another kind
/// may have a preference already.
const PREFERENCES: RangeInclusive<u32> = 7..=39;
/// Handle of our filters on a `clsact` that existed before …
const HANDLE_FOUND: u32 = 0x7ea0_0001;
/// … and on one that we added and remove again. The handle stays with the filter, so that the next
/// start can distinguish the two after a crash.
const HANDLE_MADE: u32 = 0x7ea0_0002;
/// Handle of our filter on an `ingress` qdisc. The kernel lists the filters of such a qdisc for the
/// egress hook, too.
const HANDLE_INGRESS_ONLY: u32 = 0x7ea0_0005;

/// The role of a program of ours; a hook has one program of each role at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The program moves frames.
    Frames,
    /// The program answers LACPDUs while the daemon is away.
    KeepAlive,
}

impl Role {
    /// Returns the handles on a `clsact` that existed before, and on a `clsact` that we added.
    fn handles(self) -> [u32; 2] {
        match self {
            Role::Frames => HANDLES_FRAMES,
            Role::KeepAlive => HANDLES_KEEP_ALIVE,
        }
    }
}

/// `TC_H_CLSACT`, and its two hooks.
const CLSACT: u32 = 0xffff_fff1;
/// `TC_H_ROOT`.
const ROOT: u32 = u32::MAX;
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

fn body(ifindex: u32, handle: u32, parent: u32, info: u32) -> Vec<u8> {
    [0, ifindex, handle, parent, info].map(u32::to_ne_bytes).concat()
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

/// Drops every frame.
const NOTHING: [Instruction; 1] = [(RETURN, 0, 0, DROP)];

/// Passes frames with the mark to the next filter; `others` decides on others.
fn unless_marked(mark: u32, others: &[Instruction]) -> Vec<Instruction> {
    let marked = [(LOAD_WORD, 0, 0, MARK), (JUMP_EQUAL, 0, 1, mark), (RETURN, 0, 0, NEXT_FILTER)];
    [&marked, others].concat()
}

/// Keeps the host's stack from receiving on an interface, and from sending frames without the
/// socket mark `mark`. With an `ingress` qdisc the host can still send. Repeating the call replaces
/// the filters without a gap.
///
/// # Errors
/// `EOPNOTSUPP` or `ENOENT` where the kernel lacks `clsact` or `cls_bpf`.
pub fn block_host(route: &mut RouteSocket, ifindex: u32, mark: u32) -> io::Result<()> {
    let egress = unless_marked(mark, &LINK_LOCAL_ONLY);
    block(route, ifindex, &[(INGRESS, LINK_LOCAL_ONLY.to_vec()), (EGRESS, egress)])
}

/// As [`block_host`], for an interface without a use of its own: link-local control frames do not
/// pass either.
pub fn isolate(route: &mut RouteSocket, ifindex: u32, mark: u32) -> io::Result<()> {
    let egress = unless_marked(mark, &NOTHING);
    block(route, ifindex, &[(INGRESS, NOTHING.to_vec()), (EGRESS, egress)])
}

/// Keeps the host's stack from receiving on an interface, as [`isolate`] does.
pub fn block_receiving(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    block(route, ifindex, &[(INGRESS, NOTHING.to_vec())])
}

/// Returns whether only [`block_receiving`] was called for an interface.
pub fn is_receiving_blocked(route: &mut RouteSocket, ifindex: u32) -> io::Result<bool> {
    Ok(blocks(route, ifindex, INGRESS)? && !blocks(route, ifindex, EGRESS)?)
}

/// Whether [`block_host`] or [`isolate`] was called for an interface.
pub fn is_host_blocked(route: &mut RouteSocket, ifindex: u32) -> io::Result<bool> {
    let on_ingress = filters_on(route, ifindex, INGRESS)?;
    Ok(on_ingress.iter().any(|filter| filter.handle == HANDLE_INGRESS_ONLY)
        || on_ingress.iter().any(Filter::blocks) && blocks(route, ifindex, EGRESS)?)
}

/// A filter of another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignFilter {
    /// Kind, such as `flower` or `bpf`.
    pub kind: String,
    /// Preference; low numbers run early.
    pub preference: u32,
}

/// Returns the filters of other programs that run before ours, on ingress and then on egress; none
/// where we have no filter.
pub fn foreign_before_ours(
    route: &mut RouteSocket,
    ifindex: u32,
) -> io::Result<Vec<ForeignFilter>> {
    let mut foreign = Vec::new();
    for hook in [INGRESS, EGRESS] {
        let filters = filters_on(route, ifindex, hook)?;
        let ours = filters.iter().rposition(Filter::is_ours).unwrap_or(0);
        let before = filters.into_iter().take(ours).filter(|filter| !filter.is_ours());
        foreign.extend(
            before.map(|filter| ForeignFilter { preference: filter.info >> 16, kind: filter.kind }),
        );
    }
    Ok(foreign)
}

/// Returns the index of the interface whose qdiscs or filters have changed; `None` for other messages,
/// and for a filter of this process itself.
pub fn changed(message: &Message<'_>) -> Option<u32> {
    let is_change = match message.kind {
        libc::RTM_NEWTFILTER => !is_own_event(message),
        // A team may wait until another team of the process releases an interface.
        libc::RTM_DELQDISC | libc::RTM_DELTFILTER => true,
        _ => false,
    };
    read_u32(message.payload, 4).filter(|_| is_change)
}

fn blocks(route: &mut RouteSocket, ifindex: u32, hook: u32) -> io::Result<bool> {
    Ok(filters_on(route, ifindex, hook)?.iter().any(Filter::blocks))
}

fn block(
    route: &mut RouteSocket,
    ifindex: u32,
    filters: &[(u32, Vec<Instruction>)],
) -> io::Result<()> {
    let (qdisc, [ingress, egress]) = hooks(route, ifindex)?;
    let handle = match qdisc {
        HookQdisc::Ours => HANDLE_MADE,
        HookQdisc::Found => HANDLE_FOUND,
        HookQdisc::IngressOnly => HANDLE_INGRESS_ONLY,
    };
    for (hook, program) in filters {
        if handle == HANDLE_INGRESS_ONLY && *hook == EGRESS {
            continue;
        }
        let existing = if *hook == EGRESS { &egress } else { &ingress };
        let existing = existing.iter().find(|filter| filter.blocks());
        let length = program.len() as u16;
        let set = set_filter(route, ifindex, *hook, handle, PREFERENCES, existing, &|options| {
            options
                .attribute(TCA_BPF_OPS_LEN, &length.to_ne_bytes())
                .attribute(TCA_BPF_OPS, &encode(program))
                .attribute_u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT)
        });
        if let Err(error) = set {
            unblock_host(route, ifindex)?;
            return Err(error);
        }
    }
    Ok(())
}

/// Attaches `program` to a hook, in place of an earlier program of ours with this role.
///
/// # Errors
/// `EOPNOTSUPP` or `ENOENT` where the kernel lacks `clsact` or `cls_bpf`, `EBUSY` for the egress
/// hook of an interface with an `ingress` qdisc.
pub fn set_program(
    route: &mut RouteSocket,
    ifindex: u32,
    hook: Hook,
    role: Role,
    program: &Program,
    name: &str,
) -> io::Result<()> {
    let parent = parent(hook).ok_or_else(|| io::Error::from_raw_os_error(libc::EOPNOTSUPP))?;
    let [found, made] = role.handles();
    let on_hook = filters_on(route, ifindex, parent)?;
    let handle = match (hook_qdisc(route, ifindex, &on_hook, parent)?, hook) {
        (HookQdisc::Ours, _) => made,
        (HookQdisc::Found, _) | (HookQdisc::IngressOnly, Hook::Ingress) => found,
        (HookQdisc::IngressOnly, _) => {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
    };
    let existing = on_hook.iter().find(|filter| filter.has_role(role));
    set_filter(route, ifindex, parent, handle, PROGRAM_PREFERENCES, existing, &|options| {
        options
            .attribute_u32(TCA_BPF_FD, program.as_raw_fd() as u32)
            .attribute_str(TCA_BPF_NAME, name)
            .attribute_u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT)
    })
}

/// Returns the id of our program with this role on a hook of a qdisc.
pub fn program_on(
    route: &mut RouteSocket,
    ifindex: u32,
    hook: Hook,
    role: Role,
) -> io::Result<Option<u32>> {
    let Some(parent) = parent(hook) else { return Ok(None) };
    Ok(program_filter(route, ifindex, parent, role)?.and_then(|filter| filter.program))
}

/// Returns the filter with our program of this role.
fn program_filter(
    route: &mut RouteSocket,
    ifindex: u32,
    parent: u32,
    role: Role,
) -> io::Result<Option<Filter>> {
    let filters = filters_on(route, ifindex, parent)?;
    Ok(filters.into_iter().find(|filter| filter.has_role(role)))
}

/// Detaches our program with this role from a hook, and removes the `clsact` if we added it and
/// nobody else uses it. Success if there is no program, or no interface.
pub fn remove_program(
    route: &mut RouteSocket,
    ifindex: u32,
    hook: Hook,
    role: Role,
) -> io::Result<()> {
    let Some(parent) = parent(hook) else { return Ok(()) };
    let on_hook = filters_on(route, ifindex, parent)?;
    match on_hook.iter().any(|filter| filter.has_role(role)) {
        true => {
            let other = if parent == EGRESS { INGRESS } else { EGRESS };
            let of_other = filters_on(route, ifindex, other)?;
            let found = [(parent, on_hook), (other, of_other)];
            remove_filters(route, ifindex, found, |on, filter| {
                on == parent && filter.has_role(role)
            })
        }
        false => Ok(()),
    }
}

/// Returns the parent of the filters of a hook; `None` if no qdisc has the hook.
fn parent(hook: Hook) -> Option<u32> {
    match hook {
        Hook::Ingress => Some(INGRESS),
        Hook::Egress => Some(EGRESS),
        Hook::NetkitPrimary => None,
    }
}

/// Removes our filters and programs, and the `clsact` if we added it and nobody else uses it.
/// Success if there are none, or no interface.
pub fn unblock_host(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    let found = [
        (INGRESS, filters_on(route, ifindex, INGRESS)?),
        (EGRESS, filters_on(route, ifindex, EGRESS)?),
    ];
    remove_filters(route, ifindex, found, |_, filter| filter.is_ours())
}

/// Removes the filters that are `ours` of those on both hooks. If these are all filters of a `clsact` that
/// was added for one of them, the `clsact` is removed, and the kernel removes the filters with it.
fn remove_filters(
    route: &mut RouteSocket,
    ifindex: u32,
    on_hooks: [(u32, Vec<Filter>); 2],
    ours: impl Fn(u32, &Filter) -> bool,
) -> io::Result<()> {
    let mut found = Vec::new();
    for (hook, filters) in on_hooks {
        found.extend(filters.into_iter().map(|filter| (hook, filter)));
    }
    let count = found.len();
    found.retain(|(hook, filter)| ours(*hook, filter));
    if found.len() == count && found.iter().any(|(_, filter)| filter.made_clsact()) {
        return remove_hooks(route, ifindex);
    }
    for (hook, filter) in found {
        let body = body(ifindex, filter.handle, hook, filter.info);
        let request = Request::new(libc::RTM_DELTFILTER, 0, &body);
        route.execute(request.attribute_str(TCA_KIND, "bpf"))?;
    }
    Ok(())
}

/// Adds a `clsact` to an interface for good, while the interface is down. Adding or removing a
/// `clsact` stops the queues of a device for a moment, and the frames sent meanwhile are lost.
///
/// # Errors
/// `EOPNOTSUPP` or `ENOENT` where the kernel lacks `clsact`.
pub fn prepare_hooks(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    add_clsact(route, ifindex).map(drop)
}

/// Removes the `clsact` of an interface of ours, with all filters. Success if there is none, or no
/// interface.
///
/// # Errors
/// `EPERM` without CAP_NET_ADMIN.
pub fn remove_hooks(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    remove_all_hooks(route, &[ifindex])
}

/// Calls [`remove_hooks`] for each interface, with few system calls.
///
/// # Errors
/// The first error; the other interfaces lose their hooks all the same.
pub fn remove_all_hooks(route: &mut RouteSocket, ifindexes: &[u32]) -> io::Result<()> {
    let removal = |ifindex: &u32| {
        let request =
            Request::new(libc::RTM_DELQDISC, 0, &body(*ifindex, CLSACT_HANDLE, CLSACT, 0));
        request.attribute_str(TCA_KIND, "clsact")
    };
    let outcomes = route.execute_all(ifindexes.iter().map(removal))?.into_iter();
    let is_absent = |error: &io::Error| {
        matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENODEV | libc::ENOENT))
    };
    outcomes.filter(|outcome| !outcome.as_ref().is_err_and(is_absent)).collect()
}

/// The qdisc of an interface that has the hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HookQdisc {
    /// A `clsact` that we added.
    Ours,
    /// A `clsact` of before.
    Found,
    /// An `ingress` qdisc of before.
    IngressOnly,
}

/// Returns the qdisc that has the hooks, and the filters on its ingress and on its egress hook. Adds a
/// `clsact` unless there is a qdisc in its place: the kernel is asked for the filters only if there is
/// one.
fn hooks(route: &mut RouteSocket, ifindex: u32) -> io::Result<(HookQdisc, [Vec<Filter>; 2])> {
    if add_clsact(route, ifindex)? {
        return Ok((HookQdisc::Ours, Default::default()));
    }
    let filters = [filters_on(route, ifindex, INGRESS)?, filters_on(route, ifindex, EGRESS)?];
    let qdisc = match qdisc_of(filters.iter().flatten()) {
        Some(qdisc) => qdisc,
        None => found_qdisc(route, ifindex)?,
    };
    Ok((qdisc, filters))
}

/// Returns the qdisc that has the hook `parent` with the filters `on_hook`; adds a `clsact` unless there
/// is a qdisc in its place. The filters of the other hook are read if those of this one do not tell.
fn hook_qdisc(
    route: &mut RouteSocket,
    ifindex: u32,
    on_hook: &[Filter],
    parent: u32,
) -> io::Result<HookQdisc> {
    if let Some(qdisc) = qdisc_of(on_hook) {
        return Ok(qdisc);
    }
    let other = if parent == EGRESS { INGRESS } else { EGRESS };
    if let Some(qdisc) = qdisc_of(&filters_on(route, ifindex, other)?) {
        return Ok(qdisc);
    }
    match add_clsact(route, ifindex)? {
        true => Ok(HookQdisc::Ours),
        false => found_qdisc(route, ifindex),
    }
}

/// Returns the qdisc of these filters, as the handles of our filters say; `None` without one of ours.
fn qdisc_of<'a>(filters: impl IntoIterator<Item = &'a Filter>) -> Option<HookQdisc> {
    let mut qdisc = None;
    for filter in filters {
        if filter.made_clsact() {
            return Some(HookQdisc::Ours);
        }
        qdisc = match filter.handle {
            HANDLE_INGRESS_ONLY => Some(HookQdisc::IngressOnly),
            HANDLE_FOUND => qdisc.or(Some(HookQdisc::Found)),
            _ => qdisc,
        };
    }
    qdisc
}

/// Returns the kind of a qdisc that was there before. The kernel lists the qdiscs of all interfaces.
fn found_qdisc(route: &mut RouteSocket, ifindex: u32) -> io::Result<HookQdisc> {
    match is_ingress_qdisc(route, ifindex)? {
        true => Ok(HookQdisc::IngressOnly),
        false => Ok(HookQdisc::Found),
    }
}

/// Adds a `clsact`. Returns whether there was no qdisc in its place.
fn add_clsact(route: &mut RouteSocket, ifindex: u32) -> io::Result<bool> {
    let flags = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
    let request = Request::new(libc::RTM_NEWQDISC, flags, &body(ifindex, CLSACT_HANDLE, CLSACT, 0));
    match route.execute(request.attribute_str(TCA_KIND, "clsact")) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether the qdisc in the place of a `clsact` is an `ingress`.
pub fn is_ingress_qdisc(route: &mut RouteSocket, ifindex: u32) -> io::Result<bool> {
    Ok(qdiscs(route, ifindex)?.iter().any(|(_, kind)| kind == "ingress"))
}

/// Returns the kind of the qdisc for the frames that an interface sends.
pub fn root_qdisc(route: &mut RouteSocket, ifindex: u32) -> io::Result<Option<String>> {
    let mut qdiscs = qdiscs(route, ifindex)?.into_iter();
    Ok(qdiscs.find(|(parent, _)| *parent == ROOT).map(|(_, kind)| kind))
}

/// Returns parent and kind of each qdisc of an interface. The answer to a request for one qdisc goes
/// to all listeners, so all qdiscs are read.
fn qdiscs(route: &mut RouteSocket, ifindex: u32) -> io::Result<Vec<(u32, String)>> {
    let mut found = Vec::new();
    let request =
        Request::new(libc::RTM_GETQDISC, libc::NLM_F_DUMP as u16, &body(ifindex, 0, 0, 0));
    route.query(request, &mut |message| {
        let attributes = message.payload.get(BODY..).unwrap_or_default();
        let kind = attribute(attributes, TCA_KIND).and_then(read_str);
        let is_ours = read_u32(message.payload, 4) == Some(ifindex);
        let parent = read_u32(message.payload, 12).filter(|_| is_ours);
        found.extend(parent.zip(kind.map(str::to_owned)));
    })?;
    Ok(found)
}

/// Adds a filter with the options that `fill` appends, or replaces `existing`.
fn set_filter(
    route: &mut RouteSocket,
    ifindex: u32,
    hook: u32,
    handle: u32,
    preferences: RangeInclusive<u32>,
    existing: Option<&Filter>,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    handle: u32,
    /// `tcm_info`.
    info: u32,
    /// Such as `bpf`.
    kind: String,
    /// Id of its program, if it is extended BPF.
    program: Option<u32>,
}

impl Filter {
    /// Parses a filter; `None` for other messages. An entry with handle 0 is a filter chain.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let is_filter = message.kind == libc::RTM_NEWTFILTER;
        let handle = read_u32(message.payload, 8).filter(|handle| is_filter && *handle != 0)?;
        let attributes = message.payload.get(BODY..)?;
        let program = attribute(attributes, TCA_OPTIONS)
            .and_then(|options| read_u32(attribute(options, TCA_BPF_ID)?, 0));
        Some(Filter {
            handle,
            info: read_u32(message.payload, 16)?,
            kind: attribute(attributes, TCA_KIND).and_then(read_str)?.to_owned(),
            program,
        })
    }

    fn blocks(&self) -> bool {
        [HANDLE_MADE, HANDLE_FOUND, HANDLE_INGRESS_ONLY].contains(&self.handle)
    }

    fn made_clsact(&self) -> bool {
        let programs = [Role::Frames, Role::KeepAlive].map(|role| role.handles()[1]);
        self.handle == HANDLE_MADE || programs.contains(&self.handle)
    }

    fn is_ours(&self) -> bool {
        let roles = [Role::Frames, Role::KeepAlive];
        self.kind == "bpf" && (self.blocks() || roles.into_iter().any(|role| self.has_role(role)))
    }

    fn has_role(&self, role: Role) -> bool {
        role.handles().contains(&self.handle)
    }
}

/// Reads the filters on a hook, in the order in which they run.
fn filters_on(route: &mut RouteSocket, ifindex: u32, hook: u32) -> io::Result<Vec<Filter>> {
    let mut filters = Vec::new();
    let request =
        Request::new(libc::RTM_GETTFILTER, libc::NLM_F_DUMP as u16, &body(ifindex, 0, hook, 0));
    let answer = route.query(request, &mut |message| {
        filters.extend(Filter::parse(&message));
    });
    match answer {
        Ok(()) if hook == EGRESS => {
            let is_ingress = |filter: &Filter| filter.handle == HANDLE_INGRESS_ONLY;
            Ok(if filters.iter().any(is_ingress) { Vec::new() } else { filters })
        }
        Ok(()) => Ok(filters),
        // The interface has no clsact, or does not exist.
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENODEV | libc::ENOENT)) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

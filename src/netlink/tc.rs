//! The filters that keep the host's own stack off a port.
//!
//! A port of the userspace data path is an ordinary interface to the kernel: without help the
//! host would answer ARP on it and see every frame a second time. Packet sockets look at a
//! frame before traffic control does, so a drop on the `clsact` hook silences the stack and
//! leaves the frames to us. Classic BPF suffices and needs no bpf(2).
//!
//! Link-local control frames (01:80:C2:00:00:0X, IEEE 802.1Q table 8-1) pass both ways: LLDP
//! and 802.1X belong to the port itself, as under the kernel's team driver.

use std::io;

use super::bpf::{AND, Instruction, JUMP_EQUAL, LOAD_HALF, LOAD_WORD, MARK, RETURN, encode};
use super::message::{Attributes, Request, read_u32};
use super::socket::RouteSocket;

/// Place of our filters among others on the same hook; a low number runs early.
const PREFERENCE: u32 = 7;
/// Handle of our filters on a `clsact` that was there before us …
const HANDLE_FOUND: u32 = 0x7ea0_0001;
/// … and on one that we made and take away again. The filter itself remembers which, so the
/// next start knows it even after a crash.
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
const TCA_BPF_FLAGS: u16 = 8;
/// The program's result is the verdict.
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
fn info() -> u32 {
    PREFERENCE << 16 | u32::from((libc::ETH_P_ALL as u16).to_be())
}

/// Lets link-local control frames go on, drops the rest.
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

/// Keeps the host's stack from receiving on an interface, and from sending on it anything but
/// frames that carry the socket mark `mark`. May be repeated.
///
/// # Errors
/// `EOPNOTSUPP` or `ENOENT` where the kernel lacks `clsact` or `cls_bpf`.
pub fn block_host(route: &mut RouteSocket, ifindex: u32, mark: u32) -> io::Result<()> {
    unblock_host(route, ifindex)?;
    let handle = match add_clsact(route, ifindex) {
        Ok(()) => HANDLE_MADE,
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => HANDLE_FOUND,
        Err(error) => return Err(error),
    };
    let filters = [
        (INGRESS, LINK_LOCAL_ONLY.to_vec()),
        (EGRESS, egress_program(mark)),
    ];
    for (hook, program) in filters {
        if let Err(error) = add_filter(route, ifindex, handle, hook, &program) {
            unblock_host(route, ifindex)?;
            return Err(error);
        }
    }
    Ok(())
}

/// Takes our filters away, and the `clsact` if we made it and nobody else uses it by now.
/// Nothing to take away is no error, nor is an interface that is gone.
pub fn unblock_host(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    let mut made = false;
    let mut others = false;
    for hook in [INGRESS, EGRESS] {
        for handle in filters_on(route, ifindex, hook)? {
            if handle == HANDLE_MADE || handle == HANDLE_FOUND {
                made |= handle == HANDLE_MADE;
                let request = Request::new(
                    libc::RTM_DELTFILTER,
                    0,
                    &body(ifindex, handle, hook, info()),
                );
                route.execute(request.attribute_str(TCA_KIND, "bpf"))?;
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

fn add_clsact(route: &mut RouteSocket, ifindex: u32) -> io::Result<()> {
    let flags = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
    let request = Request::new(
        libc::RTM_NEWQDISC,
        flags,
        &body(ifindex, CLSACT_HANDLE, CLSACT, 0),
    );
    route.execute(request.attribute_str(TCA_KIND, "clsact"))
}

fn add_filter(
    route: &mut RouteSocket,
    ifindex: u32,
    handle: u32,
    hook: u32,
    program: &[Instruction],
) -> io::Result<()> {
    let flags = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
    let request = Request::new(
        libc::RTM_NEWTFILTER,
        flags,
        &body(ifindex, handle, hook, info()),
    );
    let length = program.len() as u16;
    route.execute(
        request
            .attribute_str(TCA_KIND, "bpf")
            .nest(TCA_OPTIONS, |options| {
                options
                    .attribute(TCA_BPF_OPS_LEN, &length.to_ne_bytes())
                    .attribute(TCA_BPF_OPS, &encode(program))
                    .attribute_u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT)
            }),
    )
}

/// Handles of the filters on a hook, ours and others'. A filter chain announces itself with
/// handle 0; that is no filter.
fn filters_on(route: &mut RouteSocket, ifindex: u32, hook: u32) -> io::Result<Vec<u32>> {
    let mut handles = Vec::new();
    let request = Request::new(
        libc::RTM_GETTFILTER,
        libc::NLM_F_DUMP as u16,
        &body(ifindex, 0, hook, 0),
    );
    let answer = route.query(request, &mut |message| {
        let is_filter = message.kind == libc::RTM_NEWTFILTER;
        let handle = read_u32(message.payload, 8).filter(|handle| *handle != 0);
        let has_kind = message
            .payload
            .get(BODY..)
            .is_some_and(|tail| Attributes(tail).any(|(kind, _)| kind == TCA_KIND));
        if let Some(handle) = handle.filter(|_| is_filter && has_kind) {
            handles.push(handle);
        }
    });
    match answer {
        Ok(()) => Ok(handles),
        // No clsact there, or no such interface.
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

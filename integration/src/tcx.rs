//! Programs at the TCX hooks of an interface (Linux 6.6), as another program of the host sees them.

use std::fs::File;
use std::{io, thread};

use nix::sched::{CloneFlags, setns};
use teamr::sys::bpf::{self, Hook, Program};

use crate::{Namespace, skip};

/// Calls `act` in the network namespace of a host, with the index of an interface there.
pub fn on<T: Send + 'static>(
    host: &Namespace,
    interface: &str,
    act: impl FnOnce(u32) -> T + Send + 'static,
) -> T {
    let ifindex = host.link(interface)["ifindex"].as_u64().expect("an interface index") as u32;
    let namespace = File::open(format!("/proc/{}/ns/net", host.pid())).expect("a namespace");
    let thread = thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("enter the namespace");
        act(ifindex)
    });
    thread.join().expect("the thread ends")
}

/// Returns the names of the programs at a hook, in their order.
///
/// # Errors
/// `EINVAL` on a kernel without TCX.
pub fn programs(host: &Namespace, interface: &str, hook: Hook) -> io::Result<Vec<String>> {
    on(host, interface, move |ifindex| {
        let ids = bpf::programs_on(ifindex, hook)?;
        let info = |id| Program::by_id(id).and_then(|program| program.info());
        ids.into_iter().map(|id| info(id).map(|info| info.name)).collect()
    })
}

/// Returns whether this kernel has TCX. Skips the test if not, or panics when `CI=true`.
pub fn is_here(host: &Namespace) -> bool {
    let answer = programs(host, "lo", Hook::Ingress);
    if let Err(error) = &answer {
        skip(&format!("no TCX: {error}"));
    }
    answer.is_ok()
}

/// Detaches the first program whose name begins with `start` from a hook; returns whether there was
/// one.
pub fn detach(host: &Namespace, interface: &str, hook: Hook, start: &'static str) -> bool {
    on(host, interface, move |ifindex| {
        let ids = bpf::programs_on(ifindex, hook).expect("TCX");
        let first = ids
            .into_iter()
            .filter_map(|id| Program::by_id(id).ok())
            .find(|program| program.info().is_ok_and(|info| info.name.starts_with(start)));
        first.is_some_and(|program| program.detach(ifindex, hook).is_ok())
    })
}

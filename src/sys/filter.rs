//! What a socket receives, chosen by a classic BPF program.

use std::io;
use std::os::fd::AsFd;

use socket2::{SockFilter, SockRef};

/// Has `socket` receive from now on only what the program accepts; what waits already stays.
///
/// # Errors
/// `EINVAL` for a program that the kernel does not accept.
pub fn attach_filter(socket: &impl AsFd, program: &[(u16, u8, u8, u32)]) -> io::Result<()> {
    let program: Vec<SockFilter> = program
        .iter()
        .map(|&(code, jt, jf, k)| SockFilter::new(code, jt, jf, k))
        .collect();
    SockRef::from(socket).attach_filter(&program)
}

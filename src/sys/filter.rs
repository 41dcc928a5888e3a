//! Classic BPF programs that filter the messages of a socket.

use std::io;
use std::os::fd::AsFd;

use socket2::{SockFilter, SockRef};

/// Has `socket` receive only messages that the program accepts; queued messages stay.
///
/// # Errors
/// `EINVAL` for a program that the kernel refuses.
pub fn attach_filter(socket: &impl AsFd, program: &[(u16, u8, u8, u32)]) -> io::Result<()> {
    let program: Vec<SockFilter> = program
        .iter()
        .map(|&(code, jt, jf, k)| SockFilter::new(code, jt, jf, k))
        .collect();
    SockRef::from(socket).attach_filter(&program)
}

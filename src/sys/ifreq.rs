//! `struct ifreq`, the argument of the older interface ioctls (netdevice(7)).

use std::os::fd::BorrowedFd;
use std::{io, mem};

use super::ioctl;
use runners::{interface_name, interface_name_bytes};

/// Returns a request for the interface `name`, zero elsewhere.
///
/// # Errors
/// `InvalidInput` for a name that is too long, or has a NUL.
pub fn named(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all fields are integers, pointers or unions of them; zero is a value of each.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    let bytes = interface_name_bytes(name);
    if bytes.len() >= request.ifr_name.len() || bytes.contains(&0) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("no interface can be named {name:?}"),
        ));
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(&*bytes) {
        *place = *byte as libc::c_char;
    }
    Ok(request)
}

/// Returns the name in a request that the kernel filled in and ended with a zero.
pub fn name(request: &libc::ifreq) -> String {
    let bytes: Vec<u8> =
        request.ifr_name.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0).collect();
    interface_name(&bytes)
}

/// Returns the name of the interface `ifindex`, asked through a socket.
///
/// # Errors
/// `ENODEV` if there is no such interface.
pub fn interface(socket: BorrowedFd<'_>, ifindex: u32) -> io::Result<String> {
    let mut request = named("")?;
    request.ifr_ifru.ifru_ifindex = ifindex as libc::c_int;
    // SAFETY: the request reads and writes one ifreq.
    unsafe { ioctl(socket, libc::SIOCGIFNAME as libc::Ioctl, &mut request)? };
    Ok(name(&request))
}

/// Returns the MTU of the interface `ifindex` in bytes, asked through a socket.
///
/// # Errors
/// `ENODEV` if there is no such interface.
pub fn mtu(socket: BorrowedFd<'_>, ifindex: u32) -> io::Result<u32> {
    let mut request = named("")?;
    request.ifr_ifru.ifru_ifindex = ifindex as libc::c_int;
    // SAFETY: both requests read and write one ifreq, the second with the name that the first
    // wrote.
    let mtu = unsafe {
        ioctl(socket, libc::SIOCGIFNAME as libc::Ioctl, &mut request)?;
        ioctl(socket, libc::SIOCGIFMTU as libc::Ioctl, &mut request)?;
        request.ifr_ifru.ifru_mtu
    };
    Ok(mtu as u32)
}

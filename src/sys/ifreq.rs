//! `struct ifreq`, the argument of the older interface ioctls (netdevice(7)).

use std::{io, mem};

/// Returns a request for the interface `name`, zero elsewhere.
///
/// # Errors
/// `InvalidInput` for a name that is too long, or has a NUL.
pub fn named(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all fields are integers, pointers or unions of them; zero is a value of each.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if name.len() >= request.ifr_name.len() || name.contains('\0') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("no interface can be named {name:?}"),
        ));
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte as libc::c_char;
    }
    Ok(request)
}

/// Returns the name in a request that the kernel filled in and ended with a zero.
pub fn name(request: &libc::ifreq) -> String {
    let bytes: Vec<u8> = request
        .ifr_name
        .iter()
        .map(|byte| *byte as u8)
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

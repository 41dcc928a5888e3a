//! The users of unix sockets, by sock_diag(7).

use std::io;

use super::message::{Attributes, Message, Request, read_u32};
use super::socket::DiagSocket;

/// Type of a request and of its answers.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// States of a socket that is bound, and of one that also listens. A connection that was accepted
/// has the name of its listener, too.
const BOUND_OR_LISTENING: u32 = 1 << 7 | 1 << 10;
/// Parts of the answers: the name and the user.
const SHOW_NAME: u32 = 0x01;
const SHOW_UID: u32 = 0x40;
/// Attributes with these parts.
const NAME: u16 = 0;
const UID: u16 = 7;
/// Bytes of `struct unix_diag_msg`: family, type, state, padding, inode, cookie.
const BODY: usize = 16;

/// Returns the user who opened the stream socket with an abstract name, in the network namespace of
/// this process; `None` without such a socket, and on kernels before 5.3.
pub fn user_of_abstract_stream(name: &str) -> io::Result<Option<u32>> {
    let mut body = [0; 24];
    body[0] = libc::AF_UNIX as u8;
    body[4..8].copy_from_slice(&BOUND_OR_LISTENING.to_ne_bytes());
    body[12..16].copy_from_slice(&(SHOW_NAME | SHOW_UID).to_ne_bytes());
    let request = Request::new(SOCK_DIAG_BY_FAMILY, libc::NLM_F_DUMP as u16, &body);
    let mut user = None;
    DiagSocket::open()?.query(request, &mut |message| {
        user = user.or(user_if_named(&message, name.as_bytes()));
    })?;
    Ok(user)
}

/// Returns the user of a stream socket, if the socket has the abstract name `wanted`.
pub fn user_if_named(message: &Message<'_>, wanted: &[u8]) -> Option<u32> {
    if i32::from(*message.payload.get(1)?) != libc::SOCK_STREAM {
        return None;
    }
    let (mut is_named, mut user) = (false, None);
    for (kind, value) in Attributes(message.payload.get(BODY..)?) {
        match kind {
            NAME => is_named = value.strip_prefix(b"\0") == Some(wanted),
            UID => user = read_u32(value, 0),
            _ => {}
        }
    }
    user.filter(|_| is_named)
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};

    use nix::unistd::Uid;

    use super::*;

    #[test]
    fn the_user_of_a_name_is_found() {
        let name = format!("teamr-diag-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _other_type = UnixDatagram::bind_addr(&address).unwrap();
        assert_eq!(user_of_abstract_stream(&name).unwrap(), None);
        let _listener = UnixListener::bind_addr(&address).unwrap();
        let own = Uid::effective().as_raw();
        assert_eq!(user_of_abstract_stream(&name).unwrap(), Some(own));
        assert_eq!(user_of_abstract_stream(&format!("{name}x")).unwrap(), None);
    }
}

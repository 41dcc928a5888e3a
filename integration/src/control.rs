//! Requests on teamd's control socket, without a client program.

use std::io::{self, Read, Write};
use std::path::Path;

use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::wait::LIMIT;

/// Largest reply in bytes.
const LARGEST: usize = 1 << 20;

/// Sends a request to the daemon of `device` on this host and returns the reply unchanged.
pub fn call(device: &str, method: &str, args: &[&str]) -> io::Result<String> {
    call_at(format!("/run/teamd/{device}.sock").as_ref(), method, args)
}

/// As [`call`], for the socket at `path`.
pub fn call_at(path: &Path, method: &str, args: &[&str]) -> io::Result<String> {
    let mut socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.connect(&SockAddr::unix(path)?)?;
    let mut request = format!("REQUEST\n{method}\n");
    for arg in args {
        request += &arg.replace('\\', "\\\\").replace('\n', "\\n");
        request.push('\n');
    }
    socket.write_all(request.as_bytes())?;
    let mut answer = vec![0; LARGEST];
    let length = socket.read(&mut answer)?;
    answer.truncate(length);
    String::from_utf8(answer).map_err(io::Error::other)
}

/// Returns the state of a team; `None` without a reply.
pub fn state(device: &str) -> Option<Value> {
    parse(&call(device, "StateDump", &[]).ok()?)
}

/// As [`state`], for the socket at `path`.
pub fn state_at(path: &Path) -> Option<Value> {
    parse(&call_at(path, "StateDump", &[]).ok()?)
}

fn parse(answer: &str) -> Option<Value> {
    serde_json::from_str(answer.strip_prefix("REPLY_SUCCESS\n")?).ok()
}

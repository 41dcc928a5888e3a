//! Closing a packet socket without waiting for it.
//!
//! The kernel lets a closing packet socket wait until no processor can still be handing it a frame
//! (an RCU grace period, 10 to 20 ms). Each socket closes on a thread of its own, so that the loop
//! does not wait and the waits overlap.

use std::thread;

/// Bytes of the thread's stack: enough for one system call.
const STACK: usize = 64 * 1024;

/// Closes a socket, or what owns one, without waiting.
pub fn close<T: Send + 'static>(socket: T) {
    let closing = thread::Builder::new().stack_size(STACK);
    // Without a thread the closure is dropped right here, and the socket with it.
    if let Err(error) = closing.spawn(move || drop(socket)) {
        log::debug!("closed a socket while the loop waited: {error}");
    }
}

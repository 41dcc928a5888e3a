//! Closing a packet socket without waiting for it.
//!
//! The kernel lets a closing packet socket wait until no processor can still be handing it a
//! frame (an RCU grace period, 10 to 20 ms). The loop has no time for that, and the ports of a
//! team that ends would wait one after the other. So each closes on a thread that does nothing
//! else; their waits overlap.

use std::thread;

/// Enough for one system call.
const STACK: usize = 64 * 1024;

/// Closes a port's socket, or what holds one, at once or soon; it hears and sends nothing more
/// through us.
pub fn close<T: Send + 'static>(port: T) {
    let closing = thread::Builder::new().stack_size(STACK);
    // Without a thread the closure is dropped right here, and the socket with it.
    if let Err(error) = closing.spawn(move || drop(port)) {
        log::debug!("closed a port while the loop waited: {error}");
    }
}

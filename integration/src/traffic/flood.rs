//! A flood of frames at a fixed rate, without waiting for replies.

use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use serde_json::{Value, json};
use teamr::sys::packet::PacketSocket;

use super::stream::end_of_input;
use super::tool::{Tool, announce_ready};
use super::{now, usage};
use crate::namespace::Namespace;

/// Frames due are sent in bursts: a sleep for one frame would be too short.
const BURSTS_PER_SECOND: u32 = 1000;

/// A running flood.
pub struct Flood {
    remote: Tool,
}

impl Flood {
    /// Sends `frames` in turn, `per_second` of them, or fewer on a slow machine.
    pub fn start(host: &Namespace, interface: &str, per_second: u32, frames: &[Vec<u8>]) -> Flood {
        let args = [
            "flood".to_owned(),
            interface.to_owned(),
            per_second.to_string(),
            json!(frames).to_string(),
        ];
        Flood { remote: Tool::start_patient(host, &args) }
    }

    /// Ends the flood and returns the frames sent per second.
    pub fn finish(self) -> f64 {
        let report: Value = self.remote.finish();
        report["per_second"].as_f64().expect("a pace")
    }
}

/// `flood INTERFACE PER_SECOND FRAMES`: sends the frames, a list of lists of bytes, in turn until
/// standard input ends, then writes the frames sent per second.
pub fn run_flood(args: &[String]) -> io::Result<()> {
    let [interface, per_second, frames] = args else {
        return Err(usage("flood INTERFACE PER_SECOND FRAMES"));
    };
    let per_second: u32 = per_second.parse().map_err(io::Error::other)?;
    let frames: Vec<Vec<u8>> = serde_json::from_str(frames)?;
    let socket = PacketSocket::sender(if_nametoindex(interface.as_str())?, 0)?;
    let stop = end_of_input();
    announce_ready();

    let burst = (per_second / BURSTS_PER_SECOND).max(1);
    let pause = Duration::from_secs(1) * burst / per_second;
    let mut turn = frames.iter().cycle();
    let mut sent: u32 = 0;
    let start = now();
    let since = || Duration::from_nanos(now() - start);
    for bursts in 1.. {
        for frame in turn.by_ref().take(burst as usize) {
            // A frame without buffer space is lost, as on any wire.
            sent += u32::from(socket.send(frame).is_ok());
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        thread::sleep((pause * bursts).saturating_sub(since()));
    }
    println!("{}", json!({ "per_second": f64::from(sent) / since().as_secs_f64() }));
    Ok(())
}

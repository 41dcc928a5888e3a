//! Traffic of the guests while the team changes.

use std::time::Duration;

use integration::traffic::{Pace, Stream, Trace, Transfer};

use crate::site::{Site, end};

/// Streams and connections between each guest and one host each, in both directions.
pub struct Load {
    streams: Vec<Stream>,
    transfers: Vec<Transfer>,
}

impl Load {
    pub fn start(site: &Site, pace: Pace) -> Load {
        let mut load = Load { streams: Vec::new(), transfers: Vec::new() };
        for ((number, guest), peer) in (1..).zip(&site.guests).zip(&site.peers) {
            let guest = |port| end(guest, number, port);
            let peer = |port| end(peer, 100 + number, port);
            let group = Some([239, 1, 1, number].into());
            for (from, to, group, size) in [
                (guest(7000), peer(7000), None, 900),
                // A guest that only receives.
                (peer(7001), guest(7001), None, 900),
                (peer(7002), guest(7002), group, 64),
            ] {
                load.streams.push(Stream::start_at(pace, &from, &to, group, size));
            }
            load.transfers.push(Transfer::start_at(pace, &guest(7003), &peer(7003)));
        }
        load
    }

    pub fn finish(self) -> Vec<(String, Trace)> {
        for transfer in self.transfers {
            let transferred = transfer.finish();
            assert!(transferred.is_complete(), "{transferred:?}");
        }
        let streams = self.streams.into_iter();
        streams.map(|stream| (stream.what().to_owned(), stream.finish())).collect()
    }
}

/// Returns the length of the run without changes: longer for a run that produces figures.
pub fn quiet() -> Duration {
    let seconds = std::env::var("TEAMR_LONG").map_or(3, |_| 60);
    Duration::from_secs(seconds)
}

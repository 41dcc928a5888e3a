//! Streams of a packet a millisecond through a team, one each way, while something happens.

use std::thread::sleep;
use std::time::Duration;

use integration::traffic::{End, Stream, Trace};
use integration::{Namespace, Ping, Teamed};

/// How long the streams run before the event, and at least after it.
const WINDOW: Duration = Duration::from_millis(300);

/// Gives both hosts their addresses.
pub fn address(teamed: &Teamed) {
    teamed.site.left.address("team0", "10.0.0.1/24");
    teamed.site.right.address("eth1", "10.0.0.2/24");
}

/// What became of the packets, sending and receiving, while `event` happened to the used port,
/// whose name it is told.
pub fn traces(teamed: &Teamed, event: impl FnOnce(&str)) -> [Trace; 2] {
    let end = |host: &Namespace, interface: &str, address: &str| End {
        host: host.clone(),
        interface: interface.to_owned(),
        address: address.parse().expect("an address"),
    };
    let left = end(&teamed.site.left, "team0", "10.0.0.1:7000");
    let right = end(&teamed.site.right, "eth1", "10.0.0.2:7000");
    // So that both know each other before the stream begins.
    Ping::run(&teamed.site.left, "10.0.0.2", 3, "");
    let streams = [
        Stream::start(&left, &right, None, 100),
        Stream::start(&right, &left, None, 100),
    ];
    sleep(WINDOW);
    event(&teamed.used_port());
    sleep(WINDOW);
    streams.map(Stream::finish)
}

/// A port loses its carrier, and the team notices.
pub fn pull(teamed: &Teamed, port: &str) {
    teamed.site.cable(port).pull();
    teamed.wait_port(port, false);
}

/// It gets it back, and carries.
pub fn put_back(teamed: &Teamed, port: &str) {
    let cable = teamed.site.cable(port);
    cable.put_back();
    teamed.wait_port(port, true);
    teamed.site.switch.wait_forwarding(cable);
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

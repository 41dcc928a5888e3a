//! The corpus of the fuzz targets, replayed through the same functions.

#[path = "../fuzz/src/lib.rs"]
mod decoders;

use std::fs;
use std::path::Path;

/// Passes every file of a target's corpus to its function.
fn replay(target: &str, decode: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut replayed = 0;
    for entry in fs::read_dir(&corpus).expect("a corpus") {
        let path = entry.expect("an entry of the corpus").path();
        println!("{}", path.display());
        let bytes = fs::read(path).expect("a file of the corpus");
        decode(&bytes);
        // A prefix of any length must be refused without a panic.
        for end in 0..bytes.len().min(512) {
            decode(&bytes[..end]);
        }
        replayed += 1;
    }
    assert!(replayed > 5, "{} is all but empty", corpus.display());
}

#[test]
fn configurations() {
    replay("config", decoders::config);
}

#[test]
fn control_requests() {
    replay("control", decoders::control);
}

#[test]
fn frames() {
    replay("frame", decoders::frame);
}

#[test]
fn slow_protocols() {
    replay("lacp", decoders::lacp);
}

#[test]
fn netlink_messages() {
    replay("netlink", decoders::netlink);
}

//! The version of the running kernel.

use std::fs;

/// Returns the release, such as `6.12.95`.
pub fn release() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").expect("read the release");
    text.trim().to_owned()
}

/// Returns the first two numbers of a release.
pub fn version(release: &str) -> [u32; 2] {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    [(); 2].map(|()| numbers.next().and_then(|number| number.parse().ok()).expect("a release"))
}

/// Returns whether a team device of the programs is a netkit: Linux 6.7 and later. Every guest is
/// built with netkit.
pub fn has_netkit() -> bool {
    version(&release()) >= [6, 7]
}

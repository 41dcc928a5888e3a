//! The command line part of the daemon: what it is told at its start.
//!
//! Nothing here knows what a team is.

pub mod configs;
pub mod getopt;
pub mod options;

use std::path::Path;

/// Version of this package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The libteam release whose behaviour is kept.
pub const TEAMD_VERSION: &str = "1.32";

/// The bare name under which a program was started.
pub fn program_name(argv0: &str) -> &str {
    Path::new(argv0)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("teamr")
}

/// What `--version` prints. Installed as `teamd`, the second word is the release of teamd whose
/// behaviour is kept, because scripts compare it.
pub fn version_line(program: &str) -> String {
    match program {
        "teamd" | "teamdctl" | "teamnl" => format!("{program} {TEAMD_VERSION} (teamr {VERSION})"),
        _ => format!("{program} {VERSION}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_find_a_release_of_teamd_in_the_second_word() {
        assert_eq!(version_line("teamr"), format!("teamr {VERSION}"));
        let words = version_line(program_name("/usr/bin/teamd"));
        assert!(words.starts_with("teamd 1.32 "), "{words}");
    }
}

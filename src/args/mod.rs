//! The command line of the daemon: getopt, options, configurations.
//!
//! Owns the parsing, not the work: no module here starts or changes a team.

pub mod configs;
pub mod getopt;
pub mod options;

use std::path::Path;

/// Version of this package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The libteam release that teamr is compatible with.
pub const TEAMD_VERSION: &str = "1.32";

/// Returns the file name in `argv0`; `teamr` if there is none.
pub fn program_name(argv0: &str) -> &str {
    Path::new(argv0).file_name().and_then(|name| name.to_str()).unwrap_or("teamr")
}

/// Returns the line that `--version` prints. For a program started under a name of libteam's, the
/// second word is libteam's release, because scripts compare it.
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
    fn the_second_word_of_teamds_version_is_a_libteam_release() {
        assert_eq!(version_line("teamr"), format!("teamr {VERSION}"));
        let words = version_line(program_name("/usr/bin/teamd"));
        assert!(words.starts_with("teamd 1.32 "), "{words}");
    }
}

//! `Cargo.toml`, `CHANGELOG.md` and the changelog of the Debian package name the same version and date
//! of the newest release.

use std::fs;
use std::path::Path;

/// Sections of a release, in their order.
const SECTIONS: [&str; 4] = ["Added", "Changed", "Fixed", "Removed"];

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the releases of the changelog, newest first: the heading and the lines. The first one is
/// `Unreleased`, which may be empty.
fn releases(changelog: &str) -> Vec<(&str, Vec<&str>)> {
    let mut releases: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in changelog.lines() {
        match (line.strip_prefix("## "), releases.last_mut()) {
            (Some(heading), _) => releases.push((heading, Vec::new())),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    releases
}

/// Returns the date of the newest entry of a Debian changelog, such as `2026-11-30`.
fn date(debian: &str) -> Option<String> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let signature = debian.lines().find(|line| line.starts_with(" -- "))?;
    let (_, date) = signature.split_once(">  ")?;
    let words: Vec<&str> = date.split(' ').collect();
    let month = MONTHS.iter().position(|month| words.get(2) == Some(month))? + 1;
    Some(format!("{}-{month:02}-{}", words.get(3)?, words.get(1)?))
}

#[test]
fn the_newest_release_is_the_version_everywhere() {
    let version = env!("CARGO_PKG_VERSION");
    let manifest = read("Cargo.toml");
    let versions =
        manifest.lines().filter(|line| line.contains(&format!("version = \"{version}\"")));
    assert_eq!(versions.count(), 3, "the workspace and its two libraries");
    let debian = read("dist/debian/changelog");
    assert!(debian.starts_with(&format!("teamr ({version}-1) ")), "{debian}");
    let changelog = read("CHANGELOG.md");
    let releases = releases(&changelog);
    assert_eq!(releases[0].0, "Unreleased");
    let date = date(&debian).expect("a date");
    assert_eq!(releases[1].0, format!("{version} - {date}"));
}

#[test]
fn each_release_has_each_section_once_and_in_order() {
    let changelog = read("CHANGELOG.md");
    for (release, lines) in releases(&changelog) {
        let sections: Vec<&str> =
            lines.iter().filter_map(|line| line.strip_prefix("### ")).collect();
        let known: Vec<&str> =
            SECTIONS.into_iter().filter(|section| sections.contains(section)).collect();
        assert_eq!(sections, known, "{release}");
        for pair in lines.windows(2) {
            assert!(
                !pair[0].starts_with("### ") || pair[1].starts_with("- "),
                "{release}: {pair:?}"
            );
        }
        let mut entries: Vec<&str> =
            lines.iter().copied().filter(|line| line.starts_with("- ")).collect();
        let count = entries.len();
        entries.sort_unstable();
        entries.dedup();
        assert_eq!(entries.len(), count, "{release}: an entry stands twice");
    }
}

//! The kernel's own selftests of the team driver, unmodified, with teamr's programs in place of
//! teamd's. `integration/selftests PATH` runs them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use integration::{binary, in_guest};

/// Environment variable: the source tree of a kernel.
const SOURCE: &str = "TEAMR_SELFTESTS";
const TESTS: &str = "tools/testing/selftests/drivers/net/team";
/// A script that names one of teamd's programs as a requirement.
const USES_TEAMD: &str = "require_command team";
const PROGRAMS: [(&str, &str); 3] =
    [("teamd", "teamr"), ("teamdctl", "teamrctl"), ("teamnl", "teamrnl")];

/// Returns the scripts that run teamd's programs, by name.
fn scripts(folder: &Path) -> Vec<PathBuf> {
    let files =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut scripts: Vec<PathBuf> = files.flatten().map(|file| file.path()).collect();
    scripts.retain(|path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        path.extension().is_some_and(|ending| ending == "sh") && text.contains(USES_TEAMD)
    });
    scripts.sort();
    scripts
}

#[test]
#[ignore = "needs a kernel's source: integration/selftests PATH"]
fn the_kernels_selftests_pass() {
    in_guest(|_| {
        let source = std::env::var(SOURCE).expect(SOURCE);
        let folder = Path::new(&source).join(TESTS);
        let programs = Path::new("/run/programs");
        fs::create_dir(programs).expect("a folder for programs");
        for (theirs, ours) in PROGRAMS {
            symlink(binary(ours), programs.join(theirs)).expect("a link to a program");
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", programs.display());
        let scripts = scripts(&folder);
        assert!(!scripts.is_empty(), "no script in {} runs teamd's programs", folder.display());
        let mut failed = Vec::new();
        for script in scripts {
            println!("{}", script.display());
            let status = Command::new("bash").arg(&script).env("PATH", &path).status();
            let status = status.expect("start bash");
            println!("{}: {status}", script.display());
            if !status.success() {
                failed.push(script);
            }
        }
        assert!(failed.is_empty(), "failed: {failed:?}");
    });
}

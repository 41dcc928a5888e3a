//! The files that a running daemon reaches (landlock(7)).
//!
//! The rules name directories, since most files are replaced while the daemon runs. A kernel without
//! Landlock, or with an older one, applies the rules that it has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};

/// The newest rights that the rules know: Linux 6.10.
const RIGHTS: ABI = ABI::V5;

/// Directories of the resolver's files; `/etc/resolv.conf` is often a link into `/run`.
const RESOLVER: [&str; 2] = ["/etc", "/run"];
/// Directories of the multicast groups, of the number of processors, and of the carrier changes of
/// each interface.
const FACTS: [&str; 2] = ["/proc/self/net", "/sys/devices"];
/// Directory of the IPv6 settings of each interface.
const SETTINGS: &str = "/proc/sys/net";
/// The clone device of TAP devices.
const TUN: &str = "/dev/net/tun";

/// Most symbolic links that lead from one to the next: the kernel's own limit.
const MOST_LINKS: usize = 40;

/// The directories of a daemon's own files.
#[derive(Clone, Debug, Default)]
pub struct OwnFiles {
    /// Directories of files that the daemon creates, replaces and removes.
    pub written: Vec<PathBuf>,
    /// Directories of files that the daemon only removes at its end.
    pub removed: Vec<PathBuf>,
    /// Directories whose files the daemon reads anew.
    pub listed: Vec<PathBuf>,
    /// Whether the daemon may start teams later, and create their control sockets.
    pub starts_teams: bool,
    /// Files that the daemon reads anew; other programs replace these, also with symbolic links.
    pub read: Vec<PathBuf>,
}

/// The open directories of the rules. A rule holds for one inode. The kernel drops an inode of `/proc`
/// that nobody has open, and no rule would hold for the inode that it makes later for the same path.
#[derive(Debug, Default)]
pub(super) struct Pinned(#[expect(dead_code, reason = "held open")] Vec<PathFd>);

/// Denies the calling thread all files except `own` and the constants above, irrevocably. Returns
/// `None` on a kernel without Landlock. A directory that does not exist gives no right.
///
/// # Errors
/// The kernel refused the rules; access is then as before.
pub(super) fn restrict(own: &OwnFiles) -> Result<Option<Pinned>, RulesetError> {
    use AccessFs::{
        IoctlDev, MakeReg, MakeSock, ReadDir, ReadFile, RemoveFile, Truncate, WriteFile,
    };
    let mut written = ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile;
    if own.starts_teams {
        written |= MakeSock;
    }
    let written = own.written.iter().filter_map(|path| Some((existing(path)?, written)));
    let removed = own.removed.iter().map(|path| (path.as_path(), RemoveFile.into()));
    let read: Vec<PathBuf> = own.read.iter().flat_map(|file| directories(file)).collect();
    let listed: Vec<PathBuf> = own.listed.iter().flat_map(|path| with_directories(path)).collect();
    let readable = RESOLVER.into_iter().chain(FACTS).map(Path::new);
    let readable = readable.chain(read.iter().map(PathBuf::as_path));
    let readable = readable.map(|path| (path, ReadFile.into()));
    let listed = listed.iter().map(|path| (path.as_path(), ReadFile | ReadDir));
    let others = [
        (Path::new(SETTINGS), ReadFile | WriteFile | Truncate),
        (Path::new(TUN), ReadFile | WriteFile | IoctlDev),
    ];
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RIGHTS))?
        .create()?;
    let mut pinned = Vec::new();
    for (path, rights) in written.chain(removed).chain(readable).chain(listed).chain(others) {
        let Ok(directory) = PathFd::new(path) else { continue };
        rules = rules.add_rule(PathBeneath::new(&directory, rights))?;
        pinned.push(directory);
    }
    Ok(is_enforced(rules.restrict_self()?.ruleset).then_some(Pinned(pinned)))
}

/// Returns the directory of a file, and the directories of each symbolic link in its path and of the
/// link's target: a link that is replaced often leads to a neighbour of its former target. The root
/// directory is not among them.
fn directories(file: &Path) -> BTreeSet<PathBuf> {
    let mut found: Vec<PathBuf> = file.parent().map(Path::to_owned).into_iter().collect();
    let mut path = file.to_owned();
    for _ in 0..MOST_LINKS {
        let link =
            |part: &Path| Some((part.to_owned(), part.parent()?.join(part.read_link().ok()?)));
        let Some((link, target)) = path.ancestors().find_map(link) else { break };
        found.extend([&link, &target].into_iter().filter_map(|it| it.parent()).map(Path::to_owned));
        path = match path.strip_prefix(&link) {
            Ok(rest) if rest.as_os_str().is_empty() => target,
            Ok(rest) => target.join(rest),
            Err(_) => break,
        };
        found.extend(path.parent().map(Path::to_owned));
    }
    let real = found.into_iter().filter_map(|path| path.canonicalize().ok());
    real.filter(|path| path.parent().is_some()).collect()
}

/// Returns a directory and its [`directories`]: a directory that is removed and made again is
/// another inode.
fn with_directories(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = directories(directory);
    found.extend(directory.canonicalize());
    found
}

/// Returns the directory, or the nearest one above, which exists while the directory does not.
fn existing(directory: &Path) -> Option<&Path> {
    directory.ancestors().find(|path| path.is_dir())
}

/// Denies the calling thread to create, change or remove any file. Fails if the kernel refuses the
/// rules.
pub(super) fn deny_writing() -> Result<(), RulesetError> {
    let rules = Ruleset::default().handle_access(AccessFs::from_write(RIGHTS))?.create()?;
    rules.restrict_self().map(drop)
}

fn is_enforced(status: RulesetStatus) -> bool {
    status != RulesetStatus::NotEnforced
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_directories_of_links_and_of_their_targets_are_readable() {
        let template = std::env::temp_dir().join("teamr-links.XXXXXX");
        let root = nix::unistd::mkdtemp(&template).expect("a folder");
        let root = root.canonicalize().expect("a path");
        for folder in ["config", "releases/1", "elsewhere"] {
            fs::create_dir_all(root.join(folder)).expect("a folder");
        }
        fs::write(root.join("releases/1/team0.json"), "{}").expect("a file");
        symlink("releases/1", root.join("current")).expect("a link");
        symlink(root.join("current/team0.json"), root.join("config/team0.json")).expect("a link");
        let of = |path: &str| directories(&root.join(path));
        let in_root = |paths: &[&str]| paths.iter().map(|path| root.join(path)).collect();
        let expected: BTreeSet<PathBuf> = in_root(&["", "config", "releases", "releases/1"]);
        assert_eq!(of("config/team0.json"), expected);
        let expected: BTreeSet<PathBuf> = in_root(&["", "releases", "releases/1"]);
        assert_eq!(of("current/team0.json"), expected);
        let expected: BTreeSet<PathBuf> = in_root(&["elsewhere"]);
        assert_eq!(of("elsewhere/team0.json"), expected);
        symlink("loop", root.join("loop")).expect("a link");
        let expected: BTreeSet<PathBuf> = in_root(&[""]);
        assert_eq!(of("loop"), expected);
        assert_eq!(directories(Path::new("/team0.json")), BTreeSet::new());
        fs::remove_dir_all(&root).expect("a removed folder");
    }
}

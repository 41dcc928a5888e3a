//! The packages: built, installed in a clean Debian, booted there with its own systemd, removed.

mod boot_order;
mod ifupdown2;
mod many_teams;
mod migration;

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use integration::{Lab, Sharing, programs, repository, skip};
use nix::unistd::Uid;

/// teamd's names for our programs.
const OLD_NAMES: [&str; 4] = ["teamd", "teamdctl", "teamnl", "bond2team"];

/// Runs a command and returns its standard output. Panics if the command fails.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{stdout}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    stdout
}

fn lines(text: &str) -> Vec<PathBuf> {
    text.lines().map(PathBuf::from).collect()
}

/// Returns the .deb and the .rpm of the programs under test, built once.
fn packages() -> &'static [PathBuf; 2] {
    static PACKAGES: OnceLock<[PathBuf; 2]> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        let profile = match programs().file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(profile) => profile,
        };
        let target = programs().parent().expect("cargo's target folder");
        let mut command = Command::new(repository().join("dist/packages"));
        let built = lines(&run(command.arg(profile).env("CARGO_TARGET_DIR", target)));
        <[PathBuf; 2]>::try_from(built).expect("two packages")
    })
}

/// Returns the folder of a system that `make` makes once.
fn kept(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // Tests of one program run side by side.
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if !kept.exists() {
        let partial = kept.with_extension("partial");
        let _ = fs::remove_dir_all(&partial);
        make(&partial);
        fs::rename(&partial, &kept).expect("keep the new system");
    }
    kept
}

fn copy_system(from: &Path, to: &Path) {
    run(Command::new("cp").args(["--archive", "--reflink=auto"]).args([from, to]));
}

/// Installs packages, separated by spaces, in the Debian at `root`, and starts none of their daemons.
fn install(root: &Path, packages: &str) {
    let policy = root.join("usr/sbin/policy-rc.d");
    fs::write(&policy, "#!/bin/sh\nexit 101\n").expect("write into the new system");
    fs::set_permissions(&policy, Permissions::from_mode(0o755)).expect("make a script");
    let mut mount = OsString::from("--mount-proc=");
    mount.push(root.join("proc"));
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--pid", "--fork", "--kill-child"])
        .args([mount.as_os_str(), "chroot".as_ref(), root.as_os_str()])
        .args(["apt-get", "-qq", "--yes", "--no-install-recommends", "install"])
        .args(packages.split(' '))
        .env("DEBIAN_FRONTEND", "noninteractive");
    run(&mut command);
    fs::remove_file(policy).expect("remove a script");
}

/// A Debian in a folder.
struct Debian {
    root: PathBuf,
}

impl Debian {
    /// Returns a copy, in `folder`, of the release `suite` of Debian with additional packages. The
    /// copied system is installed once and kept as `SUITE-with-NAME`.
    fn copy(folder: &Path, suite: &str, name: &str, packages: &str) -> Debian {
        let bare = kept(suite, |root| {
            let mut command = Command::new("mmdebstrap");
            command
                // Its lists of packages serve the additional packages.
                .args(["--quiet", "--variant=essential", "--skip=cleanup/apt"])
                .args(["--dpkgopt=force-unsafe-io"])
                .arg("--include=apt,dbus,iproute2,systemd,systemd-sysv")
                .args([suite.as_ref(), root.as_os_str()]);
            run(&mut command);
        });
        let complete = kept(&format!("{suite}-with-{name}"), |root| {
            copy_system(&bare, root);
            install(root, packages);
        });
        let root = folder.join("debian");
        copy_system(&complete, &root);
        Debian { root }
    }

    fn container(&self) -> Command {
        let mut command = Command::new("systemd-nspawn");
        command
            // The boot needs no login manager or bus of the outer system.
            .args(["--quiet", "--register=no", "--keep-unit", "--console=pipe"])
            .args(["--private-network", "--bind=/dev/net/tun"])
            .args(["--capability=CAP_NET_ADMIN,CAP_NET_RAW", "--directory"])
            .arg(&self.root);
        command
    }

    /// Runs a command line in the Debian, which must succeed.
    fn run(&self, line: &str) -> String {
        run(self.container().args(["/bin/sh", "-c", line]))
    }

    /// Boots the Debian, runs `script` as a unit, and returns its output.
    fn boot(&self, script: &str) -> String {
        self.write("script", script);
        self.write(
            "etc/systemd/system/script.service",
            "[Service]\n\
             Type=oneshot\n\
             ExecStart=/bin/sh /script\n\
             ExecStopPost=/bin/systemctl exit 0 --no-block\n\
             StandardOutput=append:/script.log\n\
             StandardError=append:/script.log\n\
             [Unit]\n\
             Wants=dbus.service\n\
             After=basic.target dbus.service\n",
        );
        let mut command = Command::new("timeout");
        command.args(["--kill-after=10", "300"]);
        let container = self.container();
        command.arg(container.get_program()).args(container.get_args());
        let outer = run(command.args(["--boot", "systemd.unit=script.service"]));
        fs::read_to_string(self.root.join("script.log"))
            .unwrap_or_else(|error| panic!("the script did not begin ({error}): {outer}"))
    }

    /// Writes a file and creates its folder if absent.
    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        let folder = path.parent().expect("a folder");
        fs::create_dir_all(folder).expect("make a folder in the new system");
        fs::write(path, text).expect("write into the new system");
    }

    /// Copies a file into the Debian and returns its path there.
    fn take(&self, file: &Path) -> String {
        let name = file.file_name().expect("a file");
        fs::copy(file, self.root.join(name)).expect("copy a file");
        format!("/{}", name.to_string_lossy())
    }

    /// Requires that all of these files exist, or that none does.
    fn assert_files(&self, files: &[PathBuf], there: bool) {
        for file in files {
            let path = self.root.join(file.strip_prefix("/").expect("an absolute path"));
            let found = path.symlink_metadata().is_ok_and(|about| !about.is_dir());
            assert_eq!(found, there, "{}", file.display());
        }
    }

    fn assert_old_names_are_ours(&self) {
        for name in &OLD_NAMES[..3] {
            let version = self.run(&format!("{name} --version"));
            assert!(version.contains("1.32 (teamr "), "{name}: {version}");
        }
        self.assert_files(&OLD_NAMES.map(|name| Path::new("/usr/bin").join(name)), true);
    }
}

/// Returns the missing requirement of such a system, if any.
fn missing_requirement() -> Option<String> {
    if !Uid::effective().is_root() {
        return Some("only root can install packages".to_owned());
    }
    let missing = ["mmdebstrap", "systemd-nspawn", "apt-get", "rpm"];
    let missing = missing.into_iter().find(|tool| {
        let started = Command::new(tool).arg("--version").stdout(Stdio::null()).status();
        started.is_err()
    })?;
    Some(format!("no `{missing}` here"))
}

/// One unit cannot include another.
#[test]
fn both_units_are_equal() {
    let rest = |unit: &str| {
        let unit = repository().join("dist/systemd").join(unit);
        let text = fs::read_to_string(unit).expect("read a unit");
        let own = [
            "#",
            "Description=",
            "ExecStart=",
            "ExecReload=",
            "SuccessExitStatus=",
            "LimitNOFILE=",
        ];
        let lines = text.lines();
        let lines = lines.filter(|line| !own.iter().any(|own| line.starts_with(own)));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(rest("teamr.service"), rest("teamr@.service"));
}

/// systemd's own measure: 10 is no protection at all.
#[test]
fn the_units_have_an_exposure_of_2_3_at_most() {
    let started = Command::new("systemd-analyze").arg("--version").stdout(Stdio::null()).status();
    if started.is_err() {
        return skip("no `systemd-analyze` here");
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("units");
    fs::create_dir_all(&folder).expect("make a folder");
    for unit in ["teamr@", "teamr", "teamd@"] {
        let file = repository().join("dist/systemd").join(format!("{unit}.service"));
        // Only an instance of a template is measured.
        let copy = folder.join(format!("{}.service", unit.replace('@', "@team0")));
        fs::copy(file, &copy).expect("copy a unit");
        let mut command = Command::new("systemd-analyze");
        run(command.args(["security", "--offline=true", "--threshold=23"]).arg(copy));
    }
}

/// Returns whether a tool is there; prints which test is skipped otherwise.
fn has(tool: &str) -> bool {
    let there = Command::new(tool).arg("--version").output().is_ok();
    if !there {
        skip(&format!("no `{tool}` here"));
    }
    there
}

/// The files of `dist` override the findings that have a reason.
#[test]
fn lintian_and_rpmlint_find_nothing() {
    let [deb, rpm] = packages();
    if has("lintian") {
        let mut lintian = Command::new("lintian");
        run(lintian.args(["--allow-root", "--fail-on", "error,warning"]).arg(deb));
    }
    if has("rpmlint") {
        let mut rpmlint = Command::new("rpmlint");
        rpmlint.arg("-c").arg(repository().join("dist/rpm/rpmlint.toml"));
        let found = run(rpmlint.arg(rpm));
        let lines = found.lines().filter(|line| line.contains(": E: ") || line.contains(": W: "));
        // The programs of a debug build have symbols in this package.
        let lines: Vec<&str> =
            lines.filter(|line| !line.contains("unstripped-binary-or-object")).collect();
        assert!(lines.is_empty(), "{lines:#?}");
    }
}

/// The README, and the documents below `docs`, lead to each other where the package installs them.
#[test]
fn the_links_of_the_installed_pages_lead_to_files() {
    if !has("dpkg-deb") {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("documents");
    let _ = fs::remove_dir_all(&folder);
    run(Command::new("dpkg-deb").arg("--extract").arg(&packages()[0]).arg(&folder));
    let documents = folder.join("usr/share/doc/teamr");
    let found = run(Command::new("find").arg(&documents).args(["-name", "*.md"]));
    let pages = lines(&found);
    assert!(pages.len() > 20, "{pages:?}");
    for page in pages {
        let text = fs::read_to_string(&page).expect("a page");
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        let links = links.map(|(link, _)| link.split('#').next().unwrap_or_default());
        // The manual, the licence and the scripts have folders of their own, and the changelog has the name
        // that Debian gives it; the sources are not installed.
        let others = ["://", "man/", "dist/", "LICENSE-", "CHANGELOG", "src/", "tests/"];
        for link in links.filter(|link| !others.iter().any(|other| link.contains(other))) {
            let target = page.parent().expect("a folder").join(link);
            assert!(target.exists(), "{}: {link}", page.display());
        }
    }
}

#[test]
fn the_packages_have_both_licences() {
    let read = |file: &str| {
        let path = repository().join(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let copyright = read("dist/copyright");
    let mit = copyright.split("\nLicense: ").find(|part| part.starts_with("MIT\n"));
    let mit = mit.expect("the licence MIT").trim_start_matches("MIT\n").replace("\n .\n", "\n");
    assert_eq!(words(&mit), words(&read("LICENSE-MIT")));
    assert!(copyright.contains("License: MIT or Apache-2.0\n"), "{copyright}");
    assert!(copyright.contains("/usr/share/common-licenses/Apache-2.0"), "{copyright}");
}

/// The parsers of AppArmor and of SELinux accept the profiles.
#[test]
fn the_profiles_are_valid() {
    // Fedora has no AppArmor.
    if Path::new("/etc/debian_version").exists() && has("apparmor_parser") {
        let profile = repository().join("dist/apparmor/teamr");
        let mut parser = Command::new("apparmor_parser");
        run(parser.args(["--skip-kernel-load", "--skip-cache"]).arg(profile));
    }
    if Command::new("secilc").arg("--help").output().is_err() {
        return skip("no `secilc` here");
    }
    // The statements of a policy that the module names.
    let base = "(handleunknown allow)(mls true)(policycap open_perms)\
                (class bpf (map_create map_read map_write prog_load prog_run))\
                (class capability2 (bpf perfmon))(class process (transition))\
                (classorder (bpf capability2 process))(sid kernel)(sidorder (kernel))\
                (user system_u)(role object_r)(userrole system_u object_r)\
                (sensitivity s0)(sensitivityorder (s0))(userlevel system_u (s0))\
                (userrange system_u ((s0) (s0)))(type NetworkManager_t)\
                (type NetworkManager_exec_t)(roletype object_r NetworkManager_t)\
                (roletype object_r NetworkManager_exec_t)\
                (sidcontext kernel (system_u object_r NetworkManager_t ((s0) (s0))))";
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("policy");
    fs::create_dir_all(&folder).expect("make a folder");
    fs::write(folder.join("base.cil"), base).expect("write a policy");
    let mut compiler = Command::new("secilc");
    compiler.args(["--output", "policy", "--filecontext", "contexts", "base.cil"]);
    run(compiler.arg(repository().join("dist/selinux/teamr.cil")).current_dir(&folder));
    let contexts = fs::read_to_string(folder.join("contexts")).expect("the contexts");
    assert!(contexts.contains("/usr/bin/teamr"), "{contexts}");
}

#[test]
fn the_initial_ram_file_system_has_the_team() {
    if let Some(reason) = missing_requirement() {
        return skip(&reason);
    }
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let tools = "busybox dracut-core initramfs-tools kmod";
    let debian = Debian::copy(lab.folder(), "bookworm", "initrd", tools);
    let deb = debian.take(&packages()[0]);
    debian.run(&format!("dpkg --install {deb}"));
    debian.write("initrd.sh", include_str!("initrd.sh"));
    let output = debian.run("sh /initrd.sh");
    assert!(output.ends_with("all went well\n"), "{output}");
}

#[test]
fn a_host_migrates_from_teamd_to_teamr_and_back() {
    if let Some(reason) = missing_requirement() {
        return skip(&reason);
    }
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let [deb, rpm] = packages();
    let debian = Debian::copy(lab.folder(), "bookworm", "teamd", "iputils-ping libteam-utils");
    let deb = debian.take(deb);

    // Installed in place of teamd, booted, and removed at the end by the script.
    debian.run(&format!("dpkg --install {deb}"));
    debian.assert_old_names_are_ours();
    let listed = lines(&debian.run("dpkg --listfiles teamr"));
    let files: Vec<PathBuf> = listed
        .into_iter()
        .filter(|path| !debian.root.join(path.strip_prefix("/").unwrap_or(path)).is_dir())
        .collect();
    assert!(files.len() > 20, "{files:?}");
    debian.assert_files(&files, true);
    let output = debian.boot(include_str!("booted.sh"));
    assert!(output.ends_with("all went well\n"), "{output}");
    let (settings, files): (Vec<PathBuf>, Vec<PathBuf>) =
        files.into_iter().partition(|path| path.starts_with("/etc"));
    debian.assert_files(&files, false);
    debian.assert_files(&settings, true);
    debian.run("dpkg --purge teamr");
    debian.assert_files(&settings, false);
    // Debian's own library stays.
    let left = debian.run(
        "find /etc /run /var/lib -name '*team[dr]*' -not -name 'libteam*' -not -path '/var/lib/apt/*'",
    );
    assert_eq!(left, "", "purged");
    debian.run("! getent passwd teamr");

    // And back.
    debian.run(&format!("dpkg --install {deb}"));
    run(Command::new("apt-get")
        .args(["--quiet", "download", "libteam-utils"])
        .current_dir(&debian.root));
    debian.run("apt-get --yes install /libteam-utils_*.deb && dpkg --purge teamr");
    let version = debian.run("teamd --version");
    assert!(version.starts_with("teamd 1.31"), "{version}");
    debian.run("dpkg --purge libteam-utils");

    // The other package has the same files, except for the links, which its script makes.
    let with_rpm = |args: &[&str]| {
        let mut command = Command::new("rpm");
        run(command.arg("--root").arg(&debian.root).args(args));
    };
    let rpm = rpm.to_str().expect("a plain path");
    with_rpm(&["--install", "--nodeps", rpm]);
    debian.assert_old_names_are_ours();
    for page in ["man8/teamd.8.gz", "man8/teamdctl.8.gz", "man5/teamd.conf.5.gz"] {
        let page = debian.root.join("usr/share/man").join(page);
        assert!(page.is_file(), "{}", page.display());
    }
    with_rpm(&["--erase", "teamr"]);
    let names = OLD_NAMES.into_iter().chain(["teamr", "teamrctl", "teamrnl"]);
    let programs: Vec<PathBuf> = names.map(|name| Path::new("/usr/bin").join(name)).collect();
    debian.assert_files(&programs, false);
}

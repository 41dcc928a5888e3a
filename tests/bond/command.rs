//! Runs the programs `teamrctl import`, `teamrctl export` and `bond2team` on files.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const SCRIPTS: &str = "etc/sysconfig/network-scripts";

/// A root directory with the ifcfg files of a bond, removed on drop.
struct Root(PathBuf);

impl Root {
    fn new(name: &str, options: &str) -> Root {
        let root = std::env::temp_dir().join(format!("teamr-bond-{name}-{}", std::process::id()));
        let folder = root.join(SCRIPTS);
        fs::create_dir_all(&folder).unwrap();
        let bond = format!(
            "DEVICE=bond0\nBONDING_OPTS=\"{options}\"\nIPADDR=192.0.2.10\nPREFIX=24\nZONE=inside\n"
        );
        fs::write(folder.join("ifcfg-bond0"), bond).unwrap();
        for port in ["eth1", "eth2"] {
            let text = format!("DEVICE={port}\nMASTER=bond0\nSLAVE=yes\nONBOOT=yes\n");
            fs::write(folder.join(format!("ifcfg-{port}")), text).unwrap();
        }
        Root(root)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Returns exit status, stdout and stderr.
    fn run(&self, program: &str, args: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_teamrctl"))
            .arg0(program)
            .args(args)
            .env("TEAMR_RUN_DIR", &self.0)
            .env("TMPDIR", &self.0)
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_bond_is_imported_and_exported_again() {
    let root = Root::new("way", "mode=1 miimon=100 primary=eth2");
    let (out, back) = (root.path("out"), root.path("back"));
    let (status, shown, told) =
        root.run("teamrctl", &["import", "--root", &root.path(""), "--output", &out, "bond0"]);
    assert_eq!((status, shown.as_str(), told.as_str()), (0, "", ""));
    let team = fs::read_to_string(Path::new(&out).join("bond0.json")).unwrap();
    assert!(team.contains("\"prio\": 100"), "{team}");

    let config = format!("{out}/bond0.json");
    // The ifcfg files of the team replace those of the bond.
    for file in ["ifcfg-bond0", "ifcfg-eth1", "ifcfg-eth2"] {
        let text = fs::read(Path::new(&out).join(file)).unwrap();
        fs::write(root.0.join(SCRIPTS).join(file), text).unwrap();
    }
    let (status, _, told) = root.run(
        "teamrctl",
        &["export", "--root", &root.path(""), "--to", "ifcfg", "--output", &back, &config],
    );
    assert_eq!((status, told.as_str()), (0, ""));
    let bond = fs::read_to_string(Path::new(&back).join("ifcfg-bond0")).unwrap();
    assert!(bond.contains("BONDING_OPTS='mode=active-backup miimon=100 primary=eth2'"), "{bond}");
    assert!(bond.contains("IPADDR=192.0.2.10\nPREFIX=24\n"), "{bond}");
    assert!(bond.contains("ZONE=inside\n"), "{bond}");
}

#[test]
fn a_loss_is_printed_and_has_its_own_exit_status() {
    let root = Root::new("loss", "mode=2 all_slaves_active=1");
    let args = ["import", "--json", "--root", &root.path(""), "bond0"];
    let (status, shown, told) = root.run("teamrctl", &args);
    assert_eq!(status, 2);
    assert!(told.starts_with("lost: all_slaves_active=1: "), "{told}");
    assert!(shown.starts_with("{\n    \"device\": \"bond0\","), "{shown}");
}

#[test]
fn a_failure_is_printed_and_writes_nothing() {
    let root = Root::new("fail", "mode=2");
    let at = root.path("");
    for (args, start) in [
        (vec!["import", "--root", &at, "bond1"], "Failed to find the bond \"bond1\" in netplan"),
        (vec!["import", "--root", &at, "../x"], "\"../x\" cannot be the name of a device."),
        (vec!["import", "--from", "x", "bond0"], "Unknown source \"x\""),
        (vec!["import", "--root", &at, "--to", "x", "bond0"], "Unknown target \"x\""),
        (vec!["import", "bond0", "bond1"], "One word too many: \"bond1\"."),
        (
            vec!["import"],
            "The bond is missing: name its interface.\nTry \"teamrctl import --help\".",
        ),
        (
            vec!["export", "--x"],
            "export: unrecognized option '--x'\nTry \"teamrctl export --help\".",
        ),
        (vec!["export", "--root", &at, "/nonexistent/x.json"], "/nonexistent/x.json: "),
        (vec!["export", "/dev/null"], "/dev/null: not a regular file"),
        (vec!["import", "--root", &at, "--rename", "eth1", "bond0"], "--rename eth1: the name is"),
        (vec!["import", "--dry-run", "bond0"], "--dry-run goes with --apply only."),
        (vec!["import", "--for", "9", "bond0"], "--for goes with --apply only."),
        (vec!["import", "--until", "true", "bond0"], "--until goes with --apply only."),
        (vec!["import", "--accept-losses", "bond0"], "--accept-losses goes with --apply only."),
        (vec!["import", "--undo", "--dry-run", "bond0"], "--dry-run goes with --apply only."),
        (vec!["import", "--apply", "--unless-kept", "bond0"], "--unless-kept goes with --undo"),
        (vec!["import", "--apply", "--undo", "bond0"], "--apply and --undo exclude each other."),
    ] {
        let (status, shown, told) = root.run("teamrctl", &args);
        assert_eq!((status, shown.as_str()), (1, ""), "{args:?}");
        assert!(told.starts_with(start), "{args:?}: {told}");
    }
    let (status, shown, told) = root.run("teamrctl", &["export", "--help"]);
    assert_eq!((status, told.as_str()), (0, ""));
    assert!(shown.contains("--rename NAME"), "{shown}");
}

#[test]
fn a_file_that_denies_to_be_a_port_is_named() {
    let root = Root::new("denies", "mode=2");
    let folder = root.0.join(SCRIPTS);
    fs::write(folder.join("ifcfg-eth3"), "DEVICE=eth3\nMASTER=bond0\nSLAVE=no\n").unwrap();
    let args = ["import", "--json", "--root", &root.path(""), "bond0"];
    let (status, shown, told) = root.run("teamrctl", &args);
    assert_eq!(status, 2);
    assert!(!shown.contains("eth3"), "{shown}");
    assert!(told.contains("ifcfg-eth3: port eth3: SLAVE=no"), "{told}");
}

/// script(1) of util-linux gives the program a terminal.
#[test]
fn control_characters_of_a_file_do_not_reach_a_terminal() {
    let root = Root::new("escape", "mode=2");
    let file = root.0.join(SCRIPTS).join("ifcfg-bond0");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}NAME=\"\x1b[2Jgone\"\n")).unwrap();
    let at = root.path("");
    let (status, shown, _) = root.run("teamrctl", &["import", "--root", &at, "bond0"]);
    assert!(status == 0 && shown.contains('\x1b'), "{shown:?}");
    let program = env!("CARGO_BIN_EXE_teamrctl");
    let command = format!("{program} import --root {at} bond0");
    let Ok(output) = Command::new("script").args(["-qec", &command, "/dev/null"]).output() else {
        let missing = "there is no script(1) here";
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{missing}");
        // Not captured by the test harness, so that the skip is counted.
        let _ = writeln!(std::io::stderr(), "SKIPPED bond: {missing}");
        return;
    };
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("\\x1b[2Jgone") && !shown.contains('\x1b'), "{shown:?}");
}

#[test]
fn bond2team_accepts_the_command_line_of_the_script() {
    let root = Root::new("old", "mode=active-backup miimon=100 primary=eth1");
    let config = root.path(SCRIPTS);
    let run = |args: &[&str]| root.run("/usr/bin/bond2team", args);

    let (status, shown, told) =
        run(&["--master", "bond0", "--configdir", &config, "--rename", "team0", "--stdout"]);
    assert_eq!(status, 0, "{told}");
    assert!(told.starts_with("") && !told.contains("ERROR"), "{told}");
    let frame = "---8<--- ifcfg-team0 ---8<---\n";
    assert_eq!(shown.matches(frame).count(), 2, "{shown}");
    assert!(shown.contains("DEVICETYPE=Team\nTEAM_CONFIG='{"), "{shown}");
    assert!(shown.contains("DEVICETYPE=TeamPort\nTEAM_MASTER=team0\n"), "{shown}");
    assert!(shown.contains("TEAM_PORT_CONFIG='{\"prio\": 100}'\n"), "{shown}");
    assert!(!shown.contains("SLAVE") && !shown.contains("BONDING_OPTS"), "{shown}");

    let (status, shown, _) = run(&[
        "--bonding_opts",
        "mode=1 miimon=500",
        "--port",
        "eth1",
        "--port",
        "eth2",
        "--json",
        "--stdout",
    ]);
    assert_eq!(status, 0);
    let text: String =
        shown.lines().filter(|line| !line.starts_with("---8<--- teamd.conf")).collect();
    assert_eq!(json_config::check(text.as_bytes()), []);
    assert!(text.contains("\"device\": \"team0\""), "{text}");

    let absent = root.path("absent");
    let args =
        ["--master", "bond0", "--bonding_opts", "mode=1", "--configdir", &absent, "--stdout"];
    let (status, _, told) = run(&args);
    assert_eq!(status, 0, "{told}");

    let (status, shown, told) = run(&["--bonding_opts", "mode=4 colour=1", "--json", "--stdout"]);
    assert_eq!((status, shown.as_str()), (1, ""));
    assert!(told.contains("ERROR:  cannot convert colour=1: "), "{told}");

    let (status, shown, _) = run(&["--version"]);
    assert_eq!(status, 0);
    assert!(shown.starts_with("bond2team 0.97"), "{shown}");
    assert_eq!(run(&["--examples"]).0, 0);
    assert_eq!(run(&["--rename", "a", "--rename", "b", "--master", "bond0"]).0, 1);
    assert_eq!(run(&["--colour"]).0, 1);
}

#[test]
fn bond2team_writes_to_the_given_directory() {
    let root = Root::new("files", "mode=0");
    let config = root.path(SCRIPTS);
    let (status, shown, told) =
        root.run("bond2team", &["--master", "bond0", "--configdir", &config]);
    assert_eq!(status, 0, "{told}");
    let paths: Vec<&str> = shown.lines().skip(2).map(str::trim).collect();
    assert!(shown.starts_with("\nResulted files:\n  "), "{shown}");
    assert_eq!(paths.len(), 3);
    for path in &paths {
        assert!(path.contains("/bond2team."), "{path}");
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o022, 0);
    }
    let missing = root.path("missing");
    let ifcfg = format!("{config}/ifcfg-bond0");
    let args = ["--master", &ifcfg, "--outputdir", &missing];
    assert_eq!(root.run("bond2team", &args).0, 1);
    fs::create_dir(&missing).unwrap();
    let (status, shown, _) = root.run("bond2team", &args);
    assert_eq!((status, shown.as_str()), (0, ""));
    assert!(Path::new(&missing).join("ifcfg-eth2").is_file());
}

#[test]
fn a_team_of_files_is_exported_without_a_daemon() {
    let root = Root::new("team", "mode=1");
    let files = [
        (
            "ifcfg-team0",
            "DEVICE=team0\nDEVICETYPE=Team\nTEAM_CONFIG='{\"runner\": {\"name\": \"broadcast\"}}'\n",
        ),
        ("ifcfg-p1", "DEVICE=p1\nDEVICETYPE=TeamPort\nTEAM_MASTER=team0\n"),
    ];
    for (name, text) in files {
        fs::write(root.0.join(SCRIPTS).join(name), text).unwrap();
    }
    let at = root.path("");
    let (status, shown, told) =
        root.run("teamrctl", &["export", "--root", &at, "--to", "interfaces", "team0"]);
    assert_eq!((status, told.as_str()), (0, ""));
    let stanza =
        "auto team0\niface team0 inet manual\n    bond-slaves p1\n    bond-mode broadcast\n";
    assert!(shown.contains(stanza), "{shown}");
    fs::write(root.0.join(SCRIPTS).join("ifcfg-team0"), "DEVICE=team0\nTEAM_CONFIG='{'\n").unwrap();
    let (status, shown, told) = root.run("teamrctl", &["import", "--root", &at, "team0"]);
    assert_eq!((status, shown.as_str()), (1, ""));
    assert!(told.starts_with("team0 of the initscripts: "), "{told}");
}

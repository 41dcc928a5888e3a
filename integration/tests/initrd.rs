//! The scripts of the initial RAM file system start a team and leave it in place; the daemon of the
//! host takes the team over without the loss of a frame.

use std::fs;
use std::path::Path;
use std::process::Output;

use integration::traffic::Pace;
use integration::{
    CableKind, DataPath, Lab, Namespace, Sharing, Site, Teamr, programs, repository, team_config,
    teamr_command, wait_until,
};

/// Runs a script of the initial RAM file system on a host whose `/etc/teamr` is `folder`.
fn run(host: &Namespace, script: &str, folder: &Path, argument: &str) -> Output {
    let text = fs::read_to_string(repository().join("dist/initrd").join(script));
    let text = text.expect("a script").replace("/etc/teamr", folder.to_str().expect("UTF-8"));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = host.command("sh");
    shell.args(["-c", &text, script, argument]);
    shell.env("PATH", format!("{}:{path}", programs().display()));
    shell.output().expect("start a shell")
}

#[test]
fn the_host_takes_over_the_team_of_the_initial_ram_file_system() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let site = Site::new(&lab, CableKind::Virtual);
    site.plug_unaggregated();
    site.right.address("eth1", "10.0.0.2/24");
    let folder = lab.folder().join("initrd");
    fs::create_dir(&folder).expect("make a folder");
    let config = team_config("team0", "activebackup", DataPath::Programs, &["eth1", "eth2"]);
    let file = folder.join("team0.json");
    fs::write(&file, config.to_string()).expect("write a configuration");

    let output = run(&site.left, "start", &folder, "");
    assert!(output.status.success(), "{output:?}");
    site.left.up("team0");
    site.left.address("team0", "10.0.0.1/24");
    for port in ["eth1", "eth2"] {
        site.switch.wait_forwarding(site.cable(port));
    }
    wait_until("the right host to answer", || {
        site.left.try_run("ping -c 1 -W 1 10.0.0.2").status.success()
    });

    let streams = site.start_streams("team0", Pace::Full);
    let output = run(&site.left, "stop", &folder, "");
    assert!(output.status.success(), "{output:?}");
    let daemon = site.left.try_run("test -e /run/teamd/team0.pid").status;
    assert_eq!(daemon.code(), Some(1), "the daemon of the initial RAM file system has not ended");
    let mut command = teamr_command(&site.left);
    command.arg("-w");
    let team = Teamr::start_command(&site.left, "team0", command, file);
    team.wait_active("eth1");
    for stream in streams {
        let trace = stream.finish();
        assert!(trace.is_exact(), "lost {:?} of {}", trace.lost(), trace.sent.len());
    }
    team.stop();
}

/// initramfs-tools first asks each script for the scripts that must run before.
#[test]
fn the_scripts_name_their_prerequisites() {
    let Some(lab) = Lab::open(Sharing::Shared) else {
        return;
    };
    let host = lab.host("host");
    for (script, before) in [("start", "udev\n"), ("stop", "\n"), ("hook", "\n")] {
        let output = run(&host, script, host.folder(), "prereqs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), before, "{script}");
    }
}

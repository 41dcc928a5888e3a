//! Errors: their texts, their advice and their exit status.

use super::*;

#[test]
fn a_socket_left_behind_is_no_running_team() {
    let run_dir = RunDir::new("stale");
    let stale = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    let path = run_dir.dir.join("team9.sock");
    stale.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    let path = path.display();
    run_dir.teamrctl(&["state"]).fails(&format!(
        "No team is running: there is no socket in {}.\nStart one with: teamr -f FILE, or of \
         /etc/teamr/team0.json: systemctl start teamr@team0\n",
        run_dir.dir.display()
    ));
    run_dir.teamrctl(&["team9", "state"]).fails(&format!(
        "Failed to reach the daemon of \"team9\" at {path}: Connection refused.\n\
         Its daemon has died and left the socket; start it again.\n"
    ));
}

/// A stopped daemon takes no connection: clients fill the queue of its socket.
#[test]
fn a_socket_with_a_full_queue_is_a_team_that_hangs() {
    let run_dir = RunDir::new("full");
    let stopped = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    let path = run_dir.dir.join("team8.sock");
    let address = SockAddr::unix(&path).unwrap();
    stopped.bind(&address).unwrap();
    stopped.listen(1).unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = Socket::new(Domain::UNIX, Type::SEQPACKET.nonblocking(), None).unwrap();
        match client.connect(&address) {
            Ok(()) => waiting.push(client),
            Err(e) => break assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
        }
    }
    run_dir.teamrctl(&["keep"]).fails(&format!(
        "Failed to reach the daemon of \"team8\" at {}: Connection timed out.\n\
         Its daemon hangs or is stopped: see its process, and its log.\n",
        path.display()
    ));
}

/// teamdctl prints nothing, so only teamrctl warns.
#[test]
fn keys_and_values_of_a_port_that_the_daemon_ignores_are_named() {
    let run_dir = RunDir::new("ignored");
    let _requests = run_dir.team("lo", LACP);
    let config = r#"{"lacp_prio": "high", "stiky": true, "prio": 5}"#;
    let update = ["lo", "port", "config", "update", "p0", config];
    let answer = run_dir.teamrctl(&update);
    assert_eq!((answer.out.as_str(), answer.status), ("", 0));
    assert_eq!(
        answer.err,
        "warning: ports.p0.lacp_prio: expected integer, found string; using the default, 255\n\
         warning: ports.p0.stiky: unknown key; did you mean \"sticky\"?\n"
    );
    run_dir.teamdctl(&update).shows("");
}

#[test]
fn teamdctl_prints_teamdctls_texts() {
    let run_dir = RunDir::new("scripts");
    let cannot = "libteamdctl: teamdctl_connect: Failed to connect using all CLIs.\n\
                  teamdctl_connect failed (Invalid argument)\n";
    run_dir.teamdctl(&["lo", "state"]).fails(cannot);
    run_dir.teamdctl(&["-U", "lo", "state"]).fails(&format!(
        "libteamdctl: cli_usock_init: usock: Failed to connect socket ({}).\n\
         libteamdctl: teamdctl_connect: Failed to connect using CLI \"usock\".\n\
         teamdctl_connect failed (No such file or directory)\n",
        run_dir.dir.join("lo.sock").display()
    ));
    run_dir.teamdctl(&["-D", "lo", "state"]).fails(
        "libteamdctl: cli_dbus_init: dbus: Could not acquire the system bus: \
         org.freedesktop.DBus.Error.FileNotFound - \
         Failed to connect to socket /nonexistent: No such file or directory\n\
         libteamdctl: teamdctl_connect: Failed to connect using CLI \"dbus\".\n\
         teamdctl_connect failed (Invalid argument)\n",
    );
    let _requests = run_dir.team("lo", ACTIVEBACKUP);
    run_dir.teamdctl(&["lo", "port", "add", "p0"]).fails(
        "libteamdctl: cli_usock_process_msg: usock: Error message received: \"NoSuchDev\"\n\
         libteamdctl: cli_usock_process_msg: usock: Error message content: \"No such device.\"\n\
         command call failed (Invalid argument)\n",
    );
    run_dir
        .teamdctl(&["lo", "port", "present", "p"])
        .fails("command call failed (No such device)\n");
    run_dir.teamdctl(&["lo", "port", "present", "p2"]).shows("");
    run_dir.teamdctl(&["nodev", "state"]).fails("Device \"nodev\" does not exist\n");
    for (args, err) in [
        (&["state"][..], "None or incomplete command\n"),
        (&[], "No team device specified.\n"),
        (&["lo", "stats"], "Unknown command \"stats\".\n"),
        (&["lo", "port", "add"], "Command line parameter \"PORTDEV\" expected.\n"),
        (&["--xx", "lo"], "teamdctl: unrecognized option '--xx'\nunknown option.\n"),
        (
            &["-U", "-D", "lo"],
            "Only one interface could be forced at a time (UNIX domain socket, D-Bus, ZMQ).\n",
        ),
    ] {
        let answer = run_dir.teamdctl(args);
        assert!(answer.out.starts_with("Usage: "), "{args:?}");
        answer.fails(err);
    }
}

#[test]
fn teamrctl_prints_a_usage_error_and_where_the_help_is() {
    let run_dir = RunDir::new("usage");
    for (args, err) in [
        (&["stats"][..], "Unknown command \"stats\".\nDid you mean \"state\"?\n"),
        (&["port", "add"], "Command line parameter \"PORTDEV\" expected.\n"),
        (&["--last", "state"], "--last goes with \"port drain\", not with \"state\".\n"),
        (&["--for", "9", "reload"], "--for goes with \"try\", not with \"reload\".\n"),
        (&["--until", "true", "keep"], "--until goes with \"try\", not with \"keep\".\n"),
        (&["--since", "9", "state"], "--since goes with \"watch\", not with \"state\".\n"),
        (&["--config", "f", "state"], "--config goes with \"doctor\", not with \"state\".\n"),
        (&["--xx", "state"], "teamrctl: unrecognized option '--xx'\n"),
        (
            &["-U", "-D", "state"],
            "Only one interface could be forced at a time (UNIX domain socket, D-Bus, ZMQ).\n",
        ),
    ] {
        let answer = run_dir.teamrctl(args);
        assert_eq!(answer.out, "", "{args:?}");
        answer.fails(&format!("{err}Try \"teamrctl --help\".\n"));
    }
}

#[test]
fn a_daemon_that_does_not_reply_times_out() {
    let run_dir = RunDir::new("silent");
    let silent = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    let path = run_dir.dir.join("lo.sock");
    silent.bind(&SockAddr::unix(path).unwrap()).unwrap();
    silent.listen(10).unwrap();
    run_dir.teamdctl(&["lo", "state"]).fails("teamdctl_connect failed (Connection timed out)\n");
}

#[test]
fn another_teams_socket_is_refused() {
    let run_dir = RunDir::new("other");
    let _requests = run_dir.team("other", LACP);
    fs::rename(run_dir.dir.join("other.sock"), run_dir.dir.join("lo.sock")).unwrap();
    run_dir.teamdctl(&["lo", "state"]).fails(
        "Unable to access to lo through connected teamd daemon because it controls other.\n",
    );
}

#[test]
fn teamrctl_prints_advice() {
    let run_dir = RunDir::new("advice");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    run_dir.teamrctl(&["port", "add", "p9"]).fails(
        "Failed to do \"port add p9\" with \"team0\": No such device (NoSuchDev).\n\
         Show the interfaces with: ip link\n",
    );
    run_dir.teamrctl(&["state", "item", "set", "a.b", "99"]).fails(
        "Failed to do \"state item set a.b 99\" with \"team0\": \
         Failed to set item value: expected 0 to 9, found \"99\" (ItemValueSetFail).\n\
         Show what each item takes with: teamrctl schema state. The log says more.\n",
    );
    run_dir.teamrctl(&["nodev", "state"]).fails(
        "Device \"nodev\" does not exist, and no team of that name is running.\n\
         Show those that are: teamrctl state\n",
    );
    run_dir.teamrctl(&["-D", "team0", "state"]).fails(
        "Failed to reach the daemon of \"team0\" over D-Bus: \
         Failed to connect to socket /nonexistent: No such file or directory.\n\
         The control socket needs no bus: leave -D out.\n",
    );
    run_dir.teamrctl(&["-Z", "tcp://*:1", "state"]).fails(
        "ZeroMQ support is not compiled-in. \
         Leave the option out: the control socket needs none.\n",
    );
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let run_dir = RunDir::new("pipe");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    let (reader, writer) = nix::unistd::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_teamrctl"))
        .args(["state", "dump"])
        .env("TEAMR_RUN_DIR", &run_dir.dir)
        .stdout(Stdio::from(writer))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
}

#[test]
fn a_full_disk_is_an_error() {
    let run_dir = RunDir::new("full");
    let _requests = run_dir.team("recorded", ACTIVEBACKUP);
    for args in [
        &["state"][..],
        &["state", "dump"],
        &["metrics"],
        &["--help"],
        &["export", "--help"],
        &["watch", "--since", "99999d"],
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_teamrctl"))
            .args(args)
            .env("TEAMR_RUN_DIR", &run_dir.dir)
            .stdout(full)
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        let object = if args[0] == "watch" { "\"standard output\"" } else { "the results" };
        let expected = format!("Failed to write {object}: No space left on device.\n");
        assert_eq!(complaint, expected, "{args:?}");
        assert_eq!(output.status.code(), Some(1), "{args:?}");
    }
}

#[test]
fn names_reach_the_terminal_without_control_characters() {
    const NAME: &str = "p\u{1b}[2J";
    let run_dir = RunDir::new("control");
    let state = ACTIVEBACKUP.replace("p10", &NAME.replace('\u{1b}', "\\u001b"));
    let _requests = run_dir.team("team0", &state);
    let calls: [&[&str]; 6] = [
        &["state"],
        &["-v", "state"],
        &["metrics"],
        &["doctor"],
        &["state", "item", "get", "runner.active_port"],
        &["port", "add", NAME],
    ];
    for args in calls {
        let Answer { out, err, .. } = run_dir.teamrctl(args);
        assert!(!out.contains('\u{1b}') && !err.contains('\u{1b}'), "{args:?}: {out} {err}");
        let shown = out + &err;
        assert!(shown.contains("x1b[2J") || args[0] == "doctor", "{args:?}: {shown}");
    }
}

#[test]
fn the_nearest_command_is_suggested() {
    let run_dir = RunDir::new("near");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    for (args, near) in [
        (&["stauts"][..], "status"),
        (&["team0", "dcotor"], "doctor"),
        (&["port", "drian", "p0"], "drain"),
    ] {
        let answer = run_dir.teamrctl(args);
        let suggestion = format!("Did you mean \"{near}\"?\n");
        assert!(answer.err.contains(&suggestion), "{args:?}: {}", answer.err);
        assert_eq!(answer.status, 1);
    }
    assert!(!run_dir.teamrctl(&["qqqqqq"]).err.contains("Did you mean"));
    assert!(!run_dir.teamdctl(&["team0", "stauts"]).err.contains("Did you mean"));
}

/// The programs alone, without the demo that the package has beside them.
#[test]
fn the_demo_names_the_package_that_has_it() {
    let run_dir = RunDir::new("demo");
    let answer = run_dir.teamrctl(&["demo", "slb"]);
    assert!(answer.err.starts_with("Failed to start "), "{answer:?}");
    assert!(answer.err.contains("libexec/teamr/demo: No such file or directory.\n"), "{answer:?}");
    assert!(answer.err.ends_with("start it with: cargo demo\n"), "{answer:?}");
    assert_eq!(answer.status, 1);
}

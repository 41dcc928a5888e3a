//! The commands for people: status, hash, watch, draw.

use super::*;

#[test]
fn the_status_is_one_screen_and_its_schema_describes_it() {
    let run_dir = RunDir::new("status");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    let answer = run_dir.teamrctl(&["status"]);
    assert_eq!((answer.err.as_str(), answer.status), ("", 0));
    assert!(
        answer.out.starts_with("team0\n  runner     activebackup, active port p10\n"),
        "{answer:?}"
    );
    assert!(answer.out.contains("\n  PORT  LINK"), "{answer:?}");
    assert!(answer.out.contains("\n  p10   10 Gbit/s  active"), "{answer:?}");
    assert!(!answer.out.contains('\x1b'), "colours without a terminal: {answer:?}");
    let longest = answer.out.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(80), "{}", answer.out);

    let json = |args: &[&str]| -> Value {
        serde_json::from_str(&run_dir.teamrctl(&[args, &["--json"]].concat()).out).unwrap()
    };
    let (status, schema) = (json(&["status"]), json(&["schema", "status"]));
    assert_eq!(status["ports"]["p10"]["role"], "active");
    assert_eq!(json(&["ports"]).as_object().unwrap().len(), 2);
    assert!(is_described(&status, &schema), "{status}");
    assert!(!is_described(&json!({"other": 1}), &schema));
    let _second = run_dir.team("team1", LACP);
    assert_eq!(json(&["status"])["team1"]["runner"], "lacp");
    let both = run_dir.teamrctl(&["ports"]).out;
    assert!(both.starts_with("team0\n  PORT") && both.contains("\n\nteam1\n  PORT"), "{both}");
}

#[test]
fn the_port_of_a_flow_comes_with_its_reason() {
    let run_dir = RunDir::new("hash");
    let requests = run_dir.team("team0", ACTIVEBACKUP);
    let flow = ["hash", "192.0.2.1:1000", "02:00:00:00:00:02/192.0.2.2:53", "udp"];
    run_dir.teamrctl(&flow).shows(
        "udp 192.0.2.1:1000 > 192.0.2.2:53 leaves on p0: the active port carries every frame\n",
    );
    let frame = requests.try_iter().find(|(method, _)| method == "FramePorts").unwrap().1;
    assert!(frame[0].starts_with("020000000002"), "{frame:?}");
    assert!(frame[0].contains("c0000201c000020203e80035"), "{frame:?}");
    let json = |args: &[&str]| -> Value {
        serde_json::from_str(&run_dir.teamrctl(&[args, &["--json"]].concat()).out).unwrap()
    };
    let schema = json(&["schema", "hash"]);
    let choice = json(&flow);
    assert_eq!(choice["ports"], "p0");
    assert!(is_described(&choice, &schema), "{choice}");

    let file = run_dir.dir.join("frames.pcap");
    let mut pcap = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
    pcap.extend([0; 16]);
    pcap.extend(1_u32.to_le_bytes());
    for _ in 0..200 {
        pcap.extend([0; 8]);
        pcap.extend(1500_u32.to_le_bytes().repeat(2));
        pcap.extend([7; 1500]);
    }
    fs::write(&file, pcap).unwrap();
    let file = file.to_str().unwrap();
    let answer = run_dir.teamrctl(&["hash", file]).out;
    let line = "0x0707 07:07:07:07:07:07 > 07:07:07:07:07:07 leaves on p0: \
                the active port carries every frame\n";
    assert_eq!(answer, line.repeat(200));
    assert_eq!(json(&["hash", file]).as_array().unwrap().len(), 200);
    let whole = fs::read(file).unwrap();
    fs::write(file, &whole[..24 + 2 * 1516 + 99]).unwrap();
    let cut = run_dir.teamrctl(&["hash", file]);
    assert_eq!(cut.out, line.repeat(2));
    let damaged = format!("\"{file}\" is damaged after 2 frames: the file ends within record 3.\n");
    assert_eq!((cut.err, cut.status), (damaged.clone(), 1));
    run_dir.teamrctl(&["hash", file, "--json"]).fails(&damaged);
    fs::write(file, "text").unwrap();
    run_dir.teamrctl(&["hash", file]).fails(&format!(
        "Failed to find the port: \"{file}\": expected a capture file, pcap or pcapng.\n"
    ));
}

#[test]
fn the_past_is_shown_as_a_timeline() {
    let run_dir = RunDir::new("timeline");
    let _requests = run_dir.team("recorded", ACTIVEBACKUP);
    let since = |age: &str| run_dir.teamrctl(&["watch", "--since", age]);
    let all = since("99999d");
    assert_eq!((all.err.as_str(), all.status), ("", 0));
    let mut lines = all.out.lines();
    let day = lines.next().unwrap();
    assert!(day.len() == 10 && day.matches('-').count() == 2, "{all:?}");
    assert!(
        lines.clone().count() > 3 && lines.all(|line| line.contains("Z recorded: ")),
        "{all:?}"
    );
    assert!(all.out.contains(" lost its link\n"), "{all:?}");
    since("0").shows("");
    since("soon").fails("\"soon\" is no age; write seconds, or 90s, 10m, 2h or 1d.\n");
    let json = run_dir.teamrctl(&["watch", "--since", "99999d", "--json"]).out;
    assert!(json.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{json}");
}

#[test]
fn colours_are_for_a_terminal_that_wants_them() {
    let run_dir = RunDir::new("colours");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    for (no_color, term, coloured) in
        [("", "xterm", true), ("1", "xterm", false), ("", "dumb", false), ("", "", false)]
    {
        let pty = openpty(None, None).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_teamrctl"));
        command.args(["team0", "status"]).env("TEAMR_RUN_DIR", &run_dir.dir);
        command.env("NO_COLOR", no_color).env("TERM", term).stdout(pty.slave);
        let mut child = command.spawn().unwrap();
        // The terminal ends when the last process closes it.
        drop(command);
        let mut shown = Vec::new();
        // A terminal that has ended gives an error.
        let _ = fs::File::from(pty.master).read_to_end(&mut shown);
        assert!(child.wait().unwrap().success());
        let shown = String::from_utf8_lossy(&shown);
        assert!(shown.contains("activebackup"), "{shown}");
        assert_eq!(shown.contains('\x1b'), coloured, "NO_COLOR={no_color} TERM={term}: {shown}");
    }
    assert!(!run_dir.teamrctl(&["status"]).out.contains('\x1b'));
}

#[test]
fn a_team_is_drawn() {
    let run_dir = RunDir::new("draw");
    let _requests = run_dir.team("team0", ACTIVEBACKUP);
    let answer = run_dir.teamrctl(&["draw"]);
    assert_eq!((answer.err.as_str(), answer.status), ("", 0));
    assert!(answer.out.starts_with("<svg ") && answer.out.contains(">p10, active<"), "{answer:?}");
}

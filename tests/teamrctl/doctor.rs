//! `doctor --config` and `explain`.

use super::*;

#[test]
fn the_doctor_examines_a_configuration_without_a_daemon() {
    let run_dir = RunDir::new("doctor");
    let file = run_dir.dir.join("team.json");
    let name = file.to_str().unwrap();
    for (text, status, line) in [
        (
            r#"{"runner": {"name": "loadbalance", "min_ports": 3}, "ports": {"a": {}, "b": {}}}"#,
            2,
            "problem: \"runner.min_ports\" asks for 3 ports, and there are 2",
        ),
        (r#"{"runer": {}, "ports": {"a": {}, "b": {}}}"#, 2, "problem: The configuration says 1:2"),
        (
            r#"{"runner": {"name": "activebackup"}, "ports": {"a": {}, "b": {}}}"#,
            0,
            "nothing is wrong.",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let answer = run_dir.run("teamrctl", &["doctor", "--config", name]);
        assert_eq!((answer.status, answer.err.as_str()), (status, ""), "{text}");
        assert!(answer.out.starts_with(&format!("{name}: {line}")), "{}", answer.out);
    }
    fs::remove_file(&file).unwrap();
    let answer = run_dir.run("teamrctl", &["doctor", "--config", name]);
    assert_eq!(answer.status, 1);
    assert!(answer.err.starts_with("Failed to read"), "{}", answer.err);
}

#[test]
fn a_finding_is_explained() {
    let run_dir = RunDir::new("explain");
    let answer = run_dir.teamrctl(&["explain", "link-flaps"]);
    assert!(answer.out.starts_with("link-flaps\n  A link went down"), "{answer:?}");
    assert!(run_dir.teamrctl(&["explain"]).out.contains("\nplain-switch\n"));
    run_dir.teamrctl(&["explain", "link-flap"]).fails(
        "There is no finding \"link-flap\"; did you mean \"link-flaps\"?\n\
         Show all with: teamrctl explain\n",
    );
    run_dir.teamrctl(&["explain", "no-link", "link-flaps"]).fails(
        "The word \"link-flaps\" is one too many.\nUsage: teamrctl explain FINDING\n\
         Try \"teamrctl --help\".\n",
    );
    let one: Value =
        serde_json::from_str(&run_dir.teamrctl(&["--json", "explain", "no-link"]).out).unwrap();
    assert_eq!(one["id"], "no-link");
}

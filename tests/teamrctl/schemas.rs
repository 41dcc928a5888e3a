//! The JSON Schemas, and the answers that they describe.

use super::*;

#[test]
fn the_schema_of_the_state_needs_no_team() {
    let run_dir = RunDir::new("schema");
    let schema = include_str!("../../dist/state-schema.json");
    run_dir.teamrctl(&["schema", "state"]).shows(schema);
    let answer = run_dir.teamdctl(&["lo", "schema", "state"]);
    answer.fails("Unknown command \"schema\".\n");
}

#[test]
fn each_schema_describes_its_answer() {
    let run_dir = RunDir::new("schemas");
    let _requests = run_dir.team("recorded", ACTIVEBACKUP);
    let json = |args: &[&str]| run_dir.teamrctl(&[args, &["--json"]].concat()).out;
    let file = run_dir.dir.join("new.json");
    fs::write(&file, "{}").unwrap();
    for (name, args) in [
        ("doctor", &["doctor"][..]),
        ("explain", &["explain", "port-without-link"]),
        ("watch", &["watch", "--since", "99999d"]),
        ("changes", &["diff", file.to_str().unwrap()]),
    ] {
        let schema = run_dir.teamrctl(&["schema", name]);
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("dist");
        let installed = folder.join(format!("{name}-schema.json"));
        assert_eq!(schema.out, fs::read_to_string(installed).unwrap());
        let schema: Value = serde_json::from_str(&schema.out).unwrap();
        let answers = json(args);
        let answers = match name {
            "watch" => answers.lines().map(str::to_owned).collect(),
            _ => vec![answers],
        };
        for answer in answers {
            let answer: Value = serde_json::from_str(&answer).unwrap();
            assert!(is_described(&answer, &schema), "{name}: {answer}");
        }
    }
}

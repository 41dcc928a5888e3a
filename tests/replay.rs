//! Recordings of running daemons, replayed: the core must decide the same.
//!
//! `teamrctl record dump > tests/recordings/NAME.json` adds a recording. `TEAMR_REWRITE=1` writes the
//! core's present decisions; read the difference before committing it.

use std::fs;
use std::path::Path;

use teamr::recording::Recording;

#[test]
fn recordings_are_replayed_exactly() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let mut replayed = 0;
    for file in fs::read_dir(folder).expect("the folder of the recordings") {
        let path = file.expect("a file").path();
        let text = fs::read_to_string(&path).expect("a text");
        let recording: Recording = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(recording.whole, "{}: has no beginning", path.display());
        let replay = recording.replay();
        if std::env::var_os("TEAMR_REWRITE").is_some() {
            let value = serde_json::to_value(&replay).expect("a value");
            fs::write(&path, json_config::to_text(&value) + "\n").expect("written");
            continue;
        }
        for (decided, now) in recording.entries.iter().zip(&replay.entries) {
            assert_eq!(decided, now, "{}", path.display());
        }
        assert_eq!(recording.entries.len(), replay.entries.len());
        replayed += 1;
    }
    assert!(replayed > 0 || std::env::var_os("TEAMR_REWRITE").is_some());
}

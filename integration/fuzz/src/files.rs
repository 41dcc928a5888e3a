//! Properties of files: those that a former daemon left, recordings, and the files of bonds.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use json_config::Config;
use runners::Instant;
use teamr::bond::{Export, Import, Manager, Target, Tree, export, import};
use teamr::client::pcapng;
use teamr::daemon::{PartnerStateFile, WarmStart};
use teamr::datapath::port_state::PortStateFile;
use teamr::recording::Recording;

/// Longest frame in a file of a warm restart.
const PDU_FRAME: usize = 124;

/// A folder of this thread, deleted with the thread.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Checks the files that a former daemon left in the run directory or for a warm restart: each one
/// is read or counts as missing, and what was read is written and read again.
pub fn state_files(bytes: &[u8]) {
    thread_local! {
        static FOLDER: RefCell<Option<Folder>> = const { RefCell::new(None) };
    }
    FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(|| {
            let thread = std::thread::current().id();
            let name = format!("teamr-fuzz-{}-{thread:?}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            fs::create_dir_all(&folder).expect("a folder");
            Folder(folder)
        });
        let path = folder.0.join("team0");
        fs::write(&path, bytes).expect("a file");
        check_port_states(&path);
        check_partner_state(&path);
        fs::write(&path, bytes).expect("a file");
        let mut warm = WarmStart::read(&folder.0, "team0", Instant::ZERO);
        let pdu = warm.take_pdu("team0", Instant::ZERO);
        assert!(pdu.is_none_or(|pdu| pdu.len() <= PDU_FRAME));
    });
}

fn check_port_states(path: &Path) {
    let mut file = PortStateFile::open(path);
    let found = file.ports().to_vec();
    for port in &found {
        file.record(port).expect("a file");
    }
    let again = PortStateFile::open(path);
    assert_eq!(again.ports(), file.ports());
    assert_eq!(again.persisted_state(), file.persisted_state());
    for port in &found {
        file.forget(port.ifindex).expect("a file");
    }
    assert_eq!(file.ports(), []);
}

fn check_partner_state(path: &Path) {
    const INDEX: u32 = 7;
    let mut file = PartnerStateFile::open(path.to_owned(), INDEX);
    if let Some(text) = file.config("eth1") {
        let _ = Config::empty().update_port("eth1", text.as_bytes());
    }
    file.keep_pdu("eth2", Some(&[1, 2])).expect("a file");
    let again = PartnerStateFile::open(path.to_owned(), INDEX);
    assert_eq!(again.pdu("eth2"), Some(vec![1, 2]));
    assert_eq!((again.pdu("eth1"), again.config("eth1")), (file.pdu("eth1"), file.config("eth1")));
    file.forget().expect("a file");
    assert!(!path.exists());
}

/// Checks a recording: it replays to a recording that replays to itself, and its frames become a
/// capture file.
pub fn recording(bytes: &[u8]) {
    let Ok(recording) = serde_json::from_slice::<Recording>(bytes) else {
        return;
    };
    let _ = pcapng::write(&recording);
    let replayed = recording.replay();
    assert_eq!(replayed.replay(), replayed);
}

/// Checks the files of a bond, each after a line `=== PATH`: the imported team is a configuration,
/// and is exported in every format.
pub fn bond(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut tree = Tree::default();
    for file in text.split("=== ").skip(1) {
        let (path, content) = file.split_once('\n').unwrap_or((file, ""));
        tree.insert(path, content);
    }
    for from in Manager::ALL {
        let request = Import { bond: "bond0".to_owned(), from: Some(from), ..Import::default() };
        let Ok(imported) = import(&tree, &request) else {
            continue;
        };
        let team = imported.files.first().expect("the team's configuration");
        let config = Config::parse(team.text.as_bytes()).expect("a configuration");
        assert!(config.team(0).is_ok(), "{}", team.text);
        for to in Target::ALL {
            let team = config.clone().into_object();
            let device = "bond0".to_owned();
            let request = Export { team, device, from: None, to, rename: None };
            export(&tree, &request).expect("no manager is required");
        }
    }
}

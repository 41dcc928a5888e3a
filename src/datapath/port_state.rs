//! The port-state file of a team: each port as it was before it became one, so that the next start
//! can restore the ports after a crash, and the programs of the ports, so that the next start can
//! take them over.
//!
//! A JSON file with one object for each attached port. The file is written before a port is changed
//! and replaced in one step, so that a reader finds the old file or the new one. The file is not
//! flushed to the disk: a machine that crashed has lost its interfaces' state too.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use runners::is_interface_name;
use serde_json::{Value, json};

use crate::datapath::PortInterface;
use crate::datapath::ebpf::PersistedState;
use crate::files::{self, Durability};

/// More than a team of a thousand ports needs.
const LONGEST_FILE: u64 = 256 * 1024;

/// The port-state file of one team device.
#[derive(Debug)]
pub struct PortStateFile {
    path: PathBuf,
    ports: Vec<PortInterface>,
    /// Holds these ports only.
    persisted_state: PersistedState,
}

impl PortStateFile {
    /// Opens the file at `path`, with the ports that a previous daemon recorded.
    ///
    /// A file that cannot be read, or is not valid, counts as empty, with a warning.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let (ports, persisted_state) = match files::read(&path, LONGEST_FILE) {
            Ok(text) => parse(&text).unwrap_or_else(|what| {
                log::warn!("{}: {what}; ports stay as they are", path.display());
                Default::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Default::default(),
            Err(error) => {
                log::warn!("{}: cannot read: {error}", path.display());
                Default::default()
            }
        };
        PortStateFile {
            path,
            ports,
            persisted_state,
        }
    }

    /// Ports as they were before, oldest first. Right after [`open`](Self::open) these are the
    /// ports of a previous daemon: an index may belong to another interface by now, so compare
    /// the name before restoring anything.
    pub fn ports(&self) -> &[PortInterface] {
        &self.ports
    }

    /// The programs of the ports.
    pub fn persisted_state(&self) -> &PersistedState {
        &self.persisted_state
    }

    /// Id of a port's program, if it is known.
    pub fn program(&self, ifindex: u32) -> Option<u32> {
        self.persisted_state.programs.get(&ifindex).copied()
    }

    /// Records the programs of recorded ports.
    ///
    /// # Errors
    /// If the file cannot be written; the state is then as before.
    pub fn save_persisted_state(&mut self, mut persisted_state: PersistedState) -> io::Result<()> {
        let recorded = |ifindex: u32| self.ports.iter().any(|port| port.ifindex == ifindex);
        persisted_state
            .programs
            .retain(|ifindex, _| recorded(*ifindex));
        persisted_state.active = persisted_state.active.filter(|ifindex| recorded(*ifindex));
        if persisted_state == self.persisted_state {
            return Ok(());
        }
        self.replace(self.ports.clone(), persisted_state)
    }

    /// Records a port as it is, in place of an older record of the same interface.
    ///
    /// # Errors
    /// If the file cannot be written; the state is then as before.
    pub fn record(&mut self, found: &PortInterface) -> io::Result<()> {
        let mut ports = self.without(found.ifindex);
        ports.push(found.clone());
        self.replace(ports, self.persisted_state.clone())
    }

    /// Removes the record of an interface that was given back, and the file with the last record.
    ///
    /// # Errors
    /// If the file cannot be written; the state is then as before.
    pub fn forget(&mut self, ifindex: u32) -> io::Result<()> {
        let ports = self.without(ifindex);
        if ports.len() == self.ports.len() {
            return Ok(());
        }
        let mut persisted_state = self.persisted_state.clone();
        persisted_state.programs.remove(&ifindex);
        persisted_state.active = persisted_state.active.filter(|active| *active != ifindex);
        self.replace(ports, persisted_state)
    }

    fn without(&self, ifindex: u32) -> Vec<PortInterface> {
        let others = self.ports.iter().filter(|port| port.ifindex != ifindex);
        others.cloned().collect()
    }

    fn replace(
        &mut self,
        ports: Vec<PortInterface>,
        persisted_state: PersistedState,
    ) -> io::Result<()> {
        if ports.is_empty() {
            files::remove(&self.path)?;
        } else {
            let text = to_text(&ports, &persisted_state);
            files::save(&self.path, text.as_bytes(), 0o600, Durability::Process)?;
        }
        self.ports = ports;
        self.persisted_state = persisted_state;
        Ok(())
    }
}

fn to_text(ports: &[PortInterface], persisted_state: &PersistedState) -> String {
    let list: Vec<Value> = ports
        .iter()
        .map(|port| {
            let mut entry = json!({
                "ifindex": port.ifindex,
                "name": port.name,
                "hwaddr": port.hwaddr.to_string(),
                "mtu": port.mtu,
                "ipv6": port.ipv6,
                "promiscuous": port.promiscuous,
            });
            if let Some(program) = persisted_state.programs.get(&port.ifindex) {
                entry["program"] = (*program).into();
            }
            if persisted_state.active == Some(port.ifindex) {
                entry["active"] = true.into();
            }
            entry
        })
        .collect();
    format!("{:#}\n", Value::Array(list))
}

/// Returns the ports in `text`, and their programs. One invalid entry makes the whole file invalid:
/// half of it must not be applied as if it were whole.
fn parse(text: &[u8]) -> Result<(Vec<PortInterface>, PersistedState), String> {
    let value: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let list = value.as_array().ok_or("expected a list of ports")?;
    let mut ports = Vec::new();
    let mut programs = BTreeMap::new();
    let mut active = None;
    for (place, entry) in list.iter().enumerate() {
        let port = port(entry).ok_or(format!("entry {place} is no port"))?;
        let program = entry.get("program").and_then(Value::as_u64);
        programs.extend(program.and_then(|id| Some((port.ifindex, u32::try_from(id).ok()?))));
        if entry.get("active") == Some(&Value::Bool(true)) {
            active = Some(port.ifindex);
        }
        ports.push(port);
    }
    Ok((ports, PersistedState { programs, active }))
}

fn port(entry: &Value) -> Option<PortInterface> {
    let number = |key: &str| {
        let number = u32::try_from(entry.get(key)?.as_u64()?).ok()?;
        // Both are signed in the kernel.
        (number > 0 && i32::try_from(number).is_ok()).then_some(number)
    };
    let name = entry.get("name")?.as_str()?;
    Some(PortInterface {
        ifindex: number("ifindex")?,
        name: is_interface_name(name).then(|| name.to_owned())?,
        hwaddr: entry.get("hwaddr")?.as_str()?.parse().ok()?,
        mtu: number("mtu")?,
        ipv6: entry.get("ipv6")?.as_bool()?,
        promiscuous: entry.get("promiscuous")?.as_bool()?,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use runners::HwAddr;

    use super::*;

    fn found(ifindex: u32) -> PortInterface {
        PortInterface {
            ifindex,
            name: format!("eth{ifindex}"),
            hwaddr: HwAddr([2, 0x10, 0x20, 0, 0xff, ifindex as u8]),
            mtu: 1500,
            ipv6: true,
            promiscuous: false,
        }
    }

    /// A directory of one test, removed at its end.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("teamr-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a temporary directory");
            Place(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("team0.ports")
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn recorded_ports_are_read_by_the_next_start_and_removed_one_by_one() {
        let place = Place::new("port-state");
        let mut port_state = PortStateFile::open(place.file());
        assert!(port_state.ports().is_empty());
        port_state.record(&found(3)).expect("written");
        port_state.record(&found(4)).expect("written");

        let mut next = PortStateFile::open(place.file());
        assert_eq!(next.ports(), [found(3), found(4)]);
        let moved = PortInterface {
            mtu: 9000,
            ..found(3)
        };
        next.record(&moved).expect("written");
        assert_eq!(PortStateFile::open(place.file()).ports(), [found(4), moved]);
        let mut persisted_state = PersistedState {
            programs: BTreeMap::from([(3, 71), (4, 72), (5, 73)]),
            active: Some(4),
        };
        next.save_persisted_state(persisted_state.clone())
            .expect("written");
        // Programs of unrecorded ports are not kept.
        persisted_state.programs.remove(&5);
        assert_eq!(
            PortStateFile::open(place.file()).persisted_state(),
            &persisted_state
        );
        next.forget(4).expect("written");
        persisted_state.programs.remove(&4);
        persisted_state.active = None;
        assert_eq!(
            PortStateFile::open(place.file()).persisted_state(),
            &persisted_state
        );
        next.forget(4).expect("nothing to do");
        next.forget(3).expect("removed");
        assert_eq!(fs::read_dir(&place.0).expect("still there").count(), 0);
    }

    #[test]
    fn a_file_that_cannot_be_written_changes_nothing() {
        let place = Place::new("port-state-unwritable");
        let mut port_state = PortStateFile::open(place.0.join("missing").join("team0.ports"));
        assert!(port_state.record(&found(3)).is_err());
        assert!(port_state.ports().is_empty());
    }

    #[test]
    fn invalid_files_count_as_empty() {
        let place = Place::new("port-state-invalid");
        let good = r#"{"ifindex": 3, "name": "eth3", "hwaddr": "02:10:20:00:ff:03", "mtu": 1500,
            "ipv6": true, "promiscuous": false}"#;
        fs::write(place.file(), format!("[{good}]")).expect("written");
        assert_eq!(PortStateFile::open(place.file()).ports(), [found(3)]);
        for (what, with) in [
            ("\"ifindex\": 3", "\"ifindex\": 0"),
            ("\"ifindex\": 3", "\"ifindex\": 2147483648"),
            ("\"ifindex\": 3", "\"ifindex\": \"3\""),
            ("eth3", ""),
            ("eth3", "../eth3"),
            ("eth3", "sixteen-bytes-16"),
            ("02:10", "02:+1"),
            ("02:10", "02:010"),
            ("ff:03", "ff"),
            ("ff:03", "ff:03:04"),
            ("1500", "-1"),
            ("1500", "1e99"),
            ("true", "1"),
            ("false", "0"),
            ("}", ""),
        ] {
            fs::write(
                place.file(),
                format!("[{good}, {}]", good.replace(what, with)),
            )
            .expect("written");
            assert!(
                PortStateFile::open(place.file()).ports().is_empty(),
                "{with:?}"
            );
        }
        for text in ["", "{}", "null", "[1]", "\u{feff}[]"] {
            fs::write(place.file(), text).expect("written");
            assert!(
                PortStateFile::open(place.file()).ports().is_empty(),
                "{text:?}"
            );
        }
        fs::write(place.file(), "[".repeat(100_000)).expect("written");
        assert!(PortStateFile::open(place.file()).ports().is_empty());
        fs::write(place.file(), vec![b' '; 10 << 20]).expect("written");
        assert!(PortStateFile::open(place.file()).ports().is_empty());
    }

    #[test]
    fn neither_symbolic_links_nor_pipes_are_read() {
        let place = Place::new("port-state-special");
        fs::write(place.0.join("elsewhere"), "[]").expect("written");
        std::os::unix::fs::symlink("elsewhere", place.file()).expect("linked");
        assert!(files::read(&place.file(), LONGEST_FILE).is_err());
        fs::remove_file(place.file()).expect("removed");
        let mode = nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR;
        nix::unistd::mkfifo(&place.file(), mode).expect("a pipe");
        assert!(files::read(&place.file(), LONGEST_FILE).is_err());
    }
}

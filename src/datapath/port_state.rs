//! The port-state file of a team: each port as it was before it became one, so that the next start
//! can restore the ports after a crash, and the programs of the ports, so that the next start can
//! take them over.
//!
//! The file also names the team device and the network namespace, because other namespaces may have
//! the same run directory.
//!
//! A JSON file with one object for each attached port. The file is written before a port is changed
//! and replaced in one step, so that a reader finds the old file or the new one. The file is not
//! flushed to the disk: a machine that crashed has lost its interfaces' state too.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use runners::is_interface_name;
use serde::{Deserialize, Serialize};

use crate::datapath::PortInterface;
use crate::datapath::ebpf::PersistedState;
use crate::datapath::relay::StoppedOffloads;
use crate::files::{self, Durability};

/// More than a team of a thousand ports needs.
const LONGEST_FILE: u64 = 256 * 1024;

/// The team device of the ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordedDevice {
    /// Interface index.
    pub ifindex: Option<u32>,
    /// Number of the network namespace.
    netns: Option<u64>,
}

impl RecordedDevice {
    /// Returns whether the device and its ports are in the network namespace of this process, as
    /// far as known.
    pub fn is_here(&self) -> bool {
        self.netns.is_none() || self.netns == own_netns()
    }
}

/// Returns the number of the network namespace of this process.
pub fn own_netns() -> Option<u64> {
    Some(fs::metadata("/proc/thread-self/ns/net").ok()?.ino())
}

/// Returns the ports in the port-state file of any team of this network namespace; none if the file
/// cannot be read.
pub fn recorded(path: &Path) -> Vec<PortInterface> {
    let text = files::read(path, LONGEST_FILE).unwrap_or_default();
    let (ports, _, device) = parse(&text).unwrap_or_default();
    if device.is_here() { ports } else { Vec::new() }
}

/// Returns the teams of the run directory whose port-state file has the interface `ifindex`.
pub fn teams_with_port(run_dir: &Path, ifindex: u32) -> impl Iterator<Item = String> {
    let files = fs::read_dir(run_dir).into_iter().flatten().filter_map(Result::ok);
    files.map(|file| file.path()).filter_map(move |path| {
        let team = path.file_name()?.to_str()?.strip_suffix(".ports")?;
        let is_port = recorded(&path).iter().any(|port| port.ifindex == ifindex);
        is_port.then(|| team.to_owned())
    })
}

/// The port-state file of one team device. After a failed write the state is as before.
#[derive(Debug)]
pub struct PortStateFile {
    path: PathBuf,
    device: RecordedDevice,
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
        let (ports, persisted_state, device) = match files::read(&path, LONGEST_FILE) {
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
        PortStateFile { path, device, ports, persisted_state }
    }

    /// Returns the team device of the ports that a previous daemon recorded.
    pub fn device(&self) -> RecordedDevice {
        self.device
    }

    /// Records the ports as those of the device with this index from now on.
    pub fn set_device(&mut self, ifindex: u32) {
        self.device = RecordedDevice { ifindex: Some(ifindex), netns: own_netns() };
    }

    /// Returns the ports as they were before, oldest first. Right after [`open`](Self::open) these
    /// are the ports of a previous daemon: an index may belong to another interface by now, so
    /// compare the name before restoring anything.
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
    pub fn save_persisted_state(&mut self, mut persisted_state: PersistedState) -> io::Result<()> {
        let recorded = |ifindex: u32| self.ports.iter().any(|port| port.ifindex == ifindex);
        persisted_state.programs.retain(|ifindex, _| recorded(*ifindex));
        persisted_state.active = persisted_state.active.filter(|ifindex| recorded(*ifindex));
        if persisted_state == self.persisted_state {
            return Ok(());
        }
        self.replace(self.ports.clone(), persisted_state)
    }

    /// Records which offloads of the recorded ports the relay has switched off, by interface index;
    /// a port that `stopped` lacks has none.
    pub fn save_stopped_offloads(
        &mut self,
        mut stopped: BTreeMap<u32, StoppedOffloads>,
    ) -> io::Result<()> {
        let mut ports = self.ports.clone();
        for port in &mut ports {
            port.stopped_offloads = stopped.remove(&port.ifindex).unwrap_or_default();
        }
        if ports == self.ports {
            return Ok(());
        }
        self.replace(ports, self.persisted_state.clone())
    }

    /// Records a port as it is, in place of an older record of the same interface.
    pub fn record(&mut self, found: &PortInterface) -> io::Result<()> {
        let mut ports = self.without(found.ifindex);
        ports.push(found.clone());
        self.replace(ports, self.persisted_state.clone())
    }

    /// Removes the record of an interface that was given back, and the file with the last record.
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
            let text = to_text(&ports, &persisted_state, self.device)?;
            files::save(&self.path, text.as_bytes(), 0o600, Durability::Process)?;
        }
        self.ports = ports;
        self.persisted_state = persisted_state;
        Ok(())
    }
}

/// A port of the file.
#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    found: PortInterface,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    program: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    netns: Option<u64>,
}

fn to_text(
    ports: &[PortInterface],
    persisted_state: &PersistedState,
    device: RecordedDevice,
) -> io::Result<String> {
    let entry = |found: &PortInterface| Entry {
        found: found.clone(),
        program: persisted_state.programs.get(&found.ifindex).copied(),
        active: (persisted_state.active == Some(found.ifindex)).then_some(true),
        device: device.ifindex,
        netns: device.netns,
    };
    Ok(serde_json::to_string_pretty(&ports.iter().map(entry).collect::<Vec<_>>())? + "\n")
}

/// Returns the ports in `text`, their programs and their device. One invalid entry makes the whole
/// file invalid: a part of the file must not be applied as if it were whole.
fn parse(text: &[u8]) -> Result<(Vec<PortInterface>, PersistedState, RecordedDevice), String> {
    let entries: Vec<Entry> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    // Both are signed in the kernel.
    let is_positive = |number: u32| number > 0 && i32::try_from(number).is_ok();
    let mut persisted_state = PersistedState::default();
    let mut recorded_device = RecordedDevice::default();
    let mut ports = Vec::new();
    for (place, Entry { found, program, active, device, netns }) in entries.into_iter().enumerate()
    {
        let numbers_hold = is_positive(found.ifindex) && is_positive(found.mtu);
        if !numbers_hold || !is_interface_name(&found.name) {
            return Err(format!("entry {place} is no port"));
        }
        persisted_state.programs.extend(program.map(|id| (found.ifindex, id)));
        if active == Some(true) {
            persisted_state.active = Some(found.ifindex);
        }
        recorded_device = RecordedDevice { ifindex: device, netns };
        ports.push(found);
    }
    Ok((ports, persisted_state, recorded_device))
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
            stopped_offloads: Default::default(),
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
        assert_eq!(next.device(), RecordedDevice::default());
        next.set_device(7);
        next.record(&found(4)).expect("written");
        let device = PortStateFile::open(place.file()).device();
        assert_eq!(device, next.device());
        assert!(device.is_here() && !RecordedDevice { netns: Some(1), ..device }.is_here());
        let moved = PortInterface { mtu: 9000, ..found(3) };
        next.record(&moved).expect("written");
        assert_eq!(PortStateFile::open(place.file()).ports(), [found(4), moved]);
        let mut persisted_state = PersistedState {
            programs: BTreeMap::from([(3, 71), (4, 72), (5, 73)]),
            active: Some(4),
        };
        next.save_persisted_state(persisted_state.clone()).expect("written");
        // Offloads and programs of unrecorded ports are not kept.
        let off = || StoppedOffloads::from(vec!["rx-gro".to_owned()]);
        next.save_stopped_offloads(BTreeMap::from([(4, off()), (5, off())])).expect("written");
        let recorded = PortStateFile::open(place.file());
        let recorded: Vec<_> = recorded.ports().iter().map(|it| &it.stopped_offloads).collect();
        assert_eq!(recorded, [&off(), &StoppedOffloads::default()]);
        next.save_stopped_offloads(BTreeMap::new()).expect("written");
        assert!(!fs::read_to_string(place.file()).expect("a file").contains("offloads"));
        persisted_state.programs.remove(&5);
        assert_eq!(PortStateFile::open(place.file()).persisted_state(), &persisted_state);
        next.forget(4).expect("written");
        persisted_state.programs.remove(&4);
        persisted_state.active = None;
        assert_eq!(PortStateFile::open(place.file()).persisted_state(), &persisted_state);
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
            fs::write(place.file(), format!("[{good}, {}]", good.replace(what, with)))
                .expect("written");
            assert!(PortStateFile::open(place.file()).ports().is_empty(), "{with:?}");
        }
        let (deep, long) = ("[".repeat(100_000), " ".repeat(10 << 20));
        for text in ["", "{}", "null", "[1]", "\u{feff}[]", &deep, &long] {
            fs::write(place.file(), text).expect("written");
            assert!(PortStateFile::open(place.file()).ports().is_empty(), "{:.9}", text);
        }
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

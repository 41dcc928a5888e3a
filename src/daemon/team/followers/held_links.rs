//! The links that the daemon holds down, recorded so that the next daemon sets them up again after a
//! crash.
//!
//! A record is written before the link goes down, and removed after the link is up again. The file in
//! the run directory is not flushed to the disk: after a reboot no link is held down.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use runners::Follower;
use serde::{Deserialize, Serialize};

use crate::datapath::port_state::own_netns;
use crate::errno::strerror;
use crate::files::{self, Durability};
use crate::netlink::RouteSocket;
use crate::netlink::link::{self, LinkInfo};
use crate::netlink::link_state::{self, VF_DISABLED};

/// Longest file that is read, in bytes; a thousand links need far fewer.
const LONGEST_FILE: u64 = 256 * 1024;

/// How the daemon holds a link down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// The interface is administratively down.
    AdminDown,
    /// The interface has no carrier (`IFLA_PROTO_DOWN`).
    ProtoDown,
    /// The virtual function is disabled; the value is its former link state.
    VfDisabled(u32),
}

/// A link that the daemon holds down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLink {
    /// Index of the interface, or of the physical function.
    pub ifindex: u32,
    /// How the link is held down.
    pub hold: Hold,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    /// Inode number of the network namespace; `None` if it was unknown.
    netns: Option<u64>,
    links: Vec<(Follower, HeldLink)>,
}

/// The held links of one team device, and the file that records them.
#[derive(Debug)]
pub struct HeldLinks {
    path: PathBuf,
    links: BTreeMap<Follower, HeldLink>,
}

impl HeldLinks {
    /// Reads the file that an earlier daemon left at `path`; empty if the file cannot be read or is of
    /// another network namespace.
    pub fn open(path: PathBuf) -> Self {
        let text = files::read(&path, LONGEST_FILE);
        let record = text.ok().and_then(|text| serde_json::from_slice::<Record>(&text).ok());
        let links = record.filter(|record| record.netns == own_netns());
        let links = links.into_iter().flat_map(|record| record.links).collect();
        HeldLinks { path, links }
    }

    /// Returns how a link is held down; `None` for a link that is not.
    pub fn get(&self, follower: &Follower) -> Option<HeldLink> {
        self.links.get(follower).copied()
    }

    /// Returns the followers whose links are held down.
    pub fn followers(&self) -> impl Iterator<Item = &Follower> {
        self.links.keys()
    }

    /// Forgets each link whose index no longer belongs to the named interface.
    pub fn keep_present(&mut self, route: &mut RouteSocket) {
        let present = |(follower, held): (&Follower, &HeldLink)| {
            let found = link::fetch(route, held.ifindex).ok();
            found.is_some_and(|found| is_named(&found, follower.interface()))
        };
        let is_present: Vec<bool> = self.links.iter().map(present).collect();
        let mut is_present = is_present.into_iter();
        self.links.retain(|_, _| is_present.next() == Some(true));
        self.save();
    }

    /// Records that a link is held down from now on.
    pub fn insert(&mut self, follower: &Follower, held: HeldLink) {
        if self.links.insert(follower.clone(), held) != Some(held) {
            self.save();
        }
    }

    /// Records that a link is no longer held down.
    pub fn remove(&mut self, follower: &Follower) {
        if self.links.remove(follower).is_some() {
            self.save();
        }
    }

    /// Gives a link its former state back and removes the record. No error if the link is not held
    /// down, or if its interface is gone.
    ///
    /// # Errors
    /// The kernel refuses the change; the record stays.
    pub fn restore(&mut self, route: &mut RouteSocket, follower: &Follower) -> io::Result<()> {
        if let Some(held) = self.get(follower) {
            match restore(route, follower, held) {
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => (),
                restored => restored?,
            }
            self.remove(follower);
        }
        Ok(())
    }

    /// Gives all links their former states back; logs the errors.
    pub fn restore_all(&mut self, route: &mut RouteSocket) {
        for follower in self.links.keys().cloned().collect::<Vec<_>>() {
            if let Err(error) = self.restore(route, &follower) {
                log::warn!("{follower}: Failed to set the link up again ({}).", strerror(&error));
            }
        }
    }

    fn save(&self) {
        let saved = match self.links.is_empty() {
            true => files::remove(&self.path),
            false => {
                let links = self.links.iter().map(|(follower, held)| (follower.clone(), *held));
                let record = Record { netns: own_netns(), links: links.collect() };
                serde_json::to_vec(&record)
                    .map_err(io::Error::from)
                    .and_then(|text| files::save(&self.path, &text, 0o600, Durability::Process))
            }
        };
        if let Err(error) = saved {
            log::warn!("Failed to record the links that are held down ({}).", strerror(&error));
        }
    }
}

/// Returns whether an interface has this name or alternative name.
fn is_named(interface: &LinkInfo, name: &str) -> bool {
    interface.name == name || interface.altnames.iter().any(|altname| altname == name)
}

fn restore(route: &mut RouteSocket, follower: &Follower, held: HeldLink) -> io::Result<()> {
    let ifindex = held.ifindex;
    match (held.hold, follower) {
        (Hold::VfDisabled(state), Follower::Vf { number, .. }) => {
            match link_state::vf_state(route, ifindex, *number)? {
                VF_DISABLED => link_state::set_vf_state(route, ifindex, *number, state),
                _ => Ok(()),
            }
        }
        (Hold::ProtoDown, Follower::Interface(_)) => {
            match link_state::set_proto_down(route, ifindex, false) {
                // The record is older than the driver's answer: a daemon crashed between the two.
                Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
                restored => restored,
            }
        }
        (Hold::AdminDown, Follower::Interface(_)) => link::set_admin_up(route, ifindex, true),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use super::*;

    #[test]
    fn the_links_survive_the_daemon_and_no_other_file_counts() {
        let name = format!("teamr-held_links-{}.follow", std::process::id());
        let path = env::temp_dir().join(name);
        let mut links = HeldLinks::open(path.clone());
        let vf = Follower::Vf { pf: "eth1".to_owned(), number: 3 };
        let held = HeldLink { ifindex: 7, hold: Hold::VfDisabled(1) };
        links.insert(&vf, held);
        let eth5 = Follower::Interface("eth5".to_owned());
        links.insert(&eth5, HeldLink { ifindex: 8, hold: Hold::ProtoDown });
        let next = HeldLinks::open(path.clone());
        assert_eq!((next.get(&vf), next.followers().count()), (Some(held), 2));

        let text = fs::read_to_string(&path).unwrap();
        let netns = own_netns().unwrap();
        let elsewhere = text.replace(&netns.to_string(), &(netns + 1).to_string());
        for other in
            [elsewhere, text.replace(':', "]"), text.replace("eth1", "\\ud800"), "".to_owned()]
        {
            fs::write(&path, &other).unwrap();
            assert_eq!(HeldLinks::open(path.clone()).followers().count(), 0, "{other}");
        }
        links.remove(&vf);
        links.remove(&eth5);
        assert!(!path.exists(), "no link is held down");
    }
}

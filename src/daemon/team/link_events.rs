//! Link events of a team: the named interfaces are read anew.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use runners::{Instant, Port, PortId};

use super::{DeviceState, ManagedTeam};
use crate::daemon::kernel::Kernel;
use crate::datapath::Change;
use crate::errno::strerror;
use crate::netlink::link::LinkInfo;

/// Time by which a restoration of filters and programs is postponed.
const HOOKS_PAUSE: Duration = Duration::from_secs(1);

/// How an interface left the network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Another program deleted it, or its driver did.
    Deleted,
    /// Another program moved it to another network namespace.
    Moved,
}

/// The link and address events that concern a team and wait for it. Several events of an interface are
/// one: the interface is read anew.
#[derive(Debug, Default)]
pub struct TeamLinkEvents {
    /// Events were lost, so that the others name everything of the team.
    pub were_lost: bool,
    /// Indices of the device and of ports that changed.
    pub changed: BTreeSet<u32>,
    /// The changed interfaces that left the network namespace, by index.
    pub left: BTreeMap<u32, Departure>,
    /// Indices of interfaces whose master is the device.
    pub enslaved: BTreeSet<u32>,
    /// Names of interfaces that exist, and that the team takes as ports or whose links follow.
    pub appeared: BTreeSet<String>,
    /// The addresses of the device or of a port changed.
    pub addresses: bool,
    /// Indices of the device, of its peer, of ports, and of ports of another team that the team
    /// awaits, whose traffic control changed.
    pub hooks: BTreeSet<u32>,
}

impl TeamLinkEvents {
    /// Adds later events.
    pub fn merge(&mut self, later: TeamLinkEvents) {
        self.were_lost |= later.were_lost;
        self.changed.extend(later.changed);
        self.left.extend(later.left);
        self.enslaved.extend(later.enslaved);
        self.appeared.extend(later.appeared);
        self.addresses |= later.addresses;
        self.hooks.extend(later.hooks);
    }
}

/// All interfaces, as a team needs them after events were lost.
#[derive(Debug)]
pub struct PresentLinks {
    present: BTreeSet<u32>,
    /// Interfaces by the index of their master.
    by_master: BTreeMap<u32, Vec<u32>>,
}

impl PresentLinks {
    /// Returns the index of `links`, which are all that there are.
    pub fn new(links: &[LinkInfo]) -> Self {
        let mut by_master: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for link in links {
            if let Some(master) = link.master {
                by_master.entry(master).or_default().push(link.ifindex);
            }
        }
        PresentLinks { present: links.iter().map(|link| link.ifindex).collect(), by_master }
    }
}

impl ManagedTeam {
    /// Reads the interfaces anew that the events name.
    pub fn links_changed(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        events: &TeamLinkEvents,
    ) -> DeviceState {
        self.resyncs += u64::from(events.were_lost);
        if events.changed.contains(&self.device.ifindex)
            && self.refresh_device(kernel, now) == DeviceState::Deleted
        {
            return DeviceState::Deleted;
        }
        if let Some(peer) = self.peer().filter(|peer| events.changed.contains(peer)) {
            self.refresh_peer(kernel, now, peer, events.left.get(&peer).copied());
        }
        for port in self.ports.ids() {
            let Some(ifindex) = self.ifindex(port).filter(|it| events.changed.contains(it)) else {
                continue;
            };
            match events.left.get(&ifindex) {
                Some(departure) => self.interface_left(kernel, now, port, *departure),
                None => self.refresh_port(kernel, now, port),
            }
        }
        if !self.daemon_owns_ports() {
            for ifindex in &events.enslaved {
                self.adopt(kernel, now, *ifindex);
            }
        }
        for name in &events.appeared {
            if self.ports.is_expected(name) {
                self.take_appeared_port(kernel, now, name);
            }
        }
        self.follower_links_changed(kernel, now, events);
        if events.addresses {
            self.refresh_link_locals(kernel, now);
        }
        for ifindex in &events.hooks {
            match self.ports.owned_elsewhere(*ifindex) {
                Some(name) => self.take_appeared_port(kernel, now, &name),
                None => self.restore_hooks(now, *ifindex),
            }
        }
        if events.were_lost {
            self.refresh_tipc(kernel, now);
        }
        DeviceState::Present
    }

    /// Restores filters and programs of an interface; postpones the restoration if another program
    /// removes them again and again.
    fn restore_hooks(&mut self, now: Instant, ifindex: u32) {
        match self.data_path.apply(now, Change::HooksChanged(ifindex)) {
            // The interface is gone, and its own event comes next.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => (),
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {
                self.hooks_due.entry(ifindex).or_insert(now + HOOKS_PAUSE);
            }
            outcome => log_failed_restoration(outcome),
        }
    }

    /// Attaches again the programs that another program of the host has detached without an event
    /// of the kernel.
    pub fn check_hooks(&mut self, now: Instant) {
        log_failed_restoration(self.data_path.apply(now, Change::CheckHooks));
    }

    /// Returns the number of interfaces that [`check_hooks`](Self::check_hooks) asks the kernel
    /// about; 0 if the kernel reports each removal.
    pub fn silent_hooks(&self) -> usize {
        match self.data_path.capabilities().silent_hooks {
            true => self.interfaces().count(),
            false => 0,
        }
    }

    /// Restores filters and programs whose postponed restoration is due at `now`.
    pub(super) fn restore_due_hooks(&mut self, now: Instant) {
        let due: Vec<u32> = self
            .hooks_due
            .iter()
            .filter(|(_, due)| **due <= now)
            .map(|(ifindex, _)| *ifindex)
            .collect();
        for ifindex in due {
            self.hooks_due.remove(&ifindex);
            self.restore_hooks(now, ifindex);
        }
    }

    /// Returns events after which the team reads everything anew, because events were lost.
    pub fn everything(&self, links: &PresentLinks) -> TeamLinkEvents {
        let enslaved = links.by_master.get(&self.device.ifindex).into_iter().flatten();
        let absent = self.interfaces().filter(|ifindex| !links.present.contains(ifindex));
        TeamLinkEvents {
            were_lost: true,
            changed: self.interfaces().chain(self.followers.ifindexes()).collect(),
            left: absent.map(|ifindex| (ifindex, Departure::Deleted)).collect(),
            enslaved: enslaved.copied().collect(),
            appeared: self.expected_names().map(str::to_owned).collect(),
            addresses: true,
            hooks: self.interfaces().collect(),
        }
    }

    /// Returns the indices of the device, of the device's peer, and of the ports.
    pub fn interfaces(&self) -> impl Iterator<Item = u32> {
        self.ports.ifindexes().chain([self.device.ifindex]).chain(self.peer())
    }

    /// Returns the index of the team device's peer.
    pub fn peer(&self) -> Option<u32> {
        self.device.peer()
    }

    /// Returns the indices of the interfaces whose events concern the team: [its own](Self::interfaces),
    /// those that the team awaits from another device, and those whose links follow.
    pub fn watched(&self) -> impl Iterator<Item = u32> {
        let others = self.ports.all_owned_elsewhere().chain(self.followers.ifindexes());
        self.interfaces().chain(others)
    }

    /// Returns the names of the interfaces that concern the team when they appear: those that become
    /// ports, and those whose links follow.
    pub fn expected_names(&self) -> impl Iterator<Item = &str> {
        self.ports.expected().chain(self.followers.names())
    }

    /// Returns whether the ports or the expected ports changed since the last call; true at first.
    pub fn take_interfaces_changed(&mut self) -> bool {
        self.ports.take_changed()
    }

    /// Returns whether the daemon polls the carriers of the ports: the kernel never delays the link
    /// events of the team driver's ports, nor those of interfaces that are stacked on another one.
    pub fn polls_carriers(&self) -> bool {
        self.data_path.capabilities().late_link_events
            && self.ports.iter().any(|(_, attached)| attached.carrier_changes.is_some())
    }

    /// Returns the ports whose carrier differs from that of the last link event. Asks the driver of a
    /// port only if the carrier may have changed since the last call.
    pub fn differing_carriers(&self, kernel: &Kernel) -> Vec<PortId> {
        let changed = self.ports.iter().filter(|(_, attached)| attached.may_have_other_carrier());
        let differing = changed.filter(|(id, attached)| {
            let link = self.core.port(*id).map(Port::link);
            let carrier = kernel.carrier(&attached.name);
            link.is_some_and(|link| carrier.is_ok_and(|carrier| carrier != link.up))
        });
        differing.map(|(id, _)| id).collect()
    }

    /// Reads ports anew, because the kernel may deliver their link events later.
    pub fn refresh_ports(&mut self, kernel: &mut Kernel, now: Instant, ports: &[PortId]) {
        ports.iter().for_each(|port| self.refresh_port(kernel, now, *port));
    }

    /// Polls the carriers. If the polling ends soon, also has the next frame wake
    /// the daemon.
    pub(super) fn poll_carriers(&mut self, kernel: &mut Kernel, now: Instant) {
        if self.carrier_watch.ends_soon(now) {
            if let Err(error) = self.data_path.apply(now, Change::WakeOnFrame) {
                log::warn!("Failed to ask for frames ({}).", strerror(&error));
            }
        }
        let differing = self.differing_carriers(kernel);
        self.refresh_ports(kernel, now, &differing);
    }
}

fn log_failed_restoration(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        log::error!("Failed to put filters back ({}).", strerror(&error));
    }
}

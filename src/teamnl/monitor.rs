//! Shows changes of a team device until INT or QUIT.
//!
//! The monitor writes one block for each batch of the driver's events, and one for each link event
//! that changed an interface.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::device::Device;
use super::lists::{Interfaces, Options, Ports, Style};
use crate::netlink::link::{self, LinkEvent};
use crate::netlink::team::TeamMessage;
use crate::netlink::{EventSocket, Received};
use crate::process::signals::Signals;

/// The state that the monitor shows.
struct Monitor {
    style: Style,
    links: Interfaces,
    ports: Ports,
    options: Options,
}

/// Writes the changes of `device` to `out` until a signal arrives.
///
/// # Errors
/// Those of the sockets and of `out`.
pub fn run(device: &mut Device, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut signals = Signals::take_interrupts()?;
    let mut link_events = EventSocket::links()?;
    let mut team_events = device.team.events()?;
    let mut monitor = Monitor {
        style,
        links: Interfaces::new(device.links()?),
        ports: Ports::new(device.team.ports()?),
        options: Options::new(device.team.options()?),
    };
    monitor.ports.begin();
    monitor.options.begin();
    loop {
        let mut sources = [
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(link_events.as_fd(), PollFlags::POLLIN),
            PollFd::new(team_events.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut sources, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            polled => polled?,
        };
        if signals.read()?.is_some() {
            return Ok(());
        }
        // Links first: an event of the driver may name a new interface.
        let text = monitor.receive_links(device, &mut link_events)?;
        out.write_all(text.as_bytes())?;
        let text = monitor.receive_driver(device, &mut team_events)?;
        out.write_all(text.as_bytes())?;
        out.flush()?;
    }
}

impl Monitor {
    fn receive_links(
        &mut self,
        device: &mut Device,
        events: &mut EventSocket,
    ) -> io::Result<String> {
        let mut link_events = Vec::new();
        let received =
            events.drain(&mut |message| link_events.extend(LinkEvent::parse(&message)))?;
        if received == Received::Overflow {
            self.links = Interfaces::new(device.links()?);
            return Ok(String::new());
        }
        let mut text = String::new();
        for event in link_events {
            self.links.begin();
            // An event may be older than the known state.
            let link = link::fetch(&mut device.route, event.ifindex).ok();
            if link.is_none() && !event.gone {
                continue;
            }
            if self.links.update(event.ifindex, link) {
                let mut shown: BTreeSet<u32> = self.ports.indices().collect();
                shown.insert(device.ifindex);
                text += &self.links.block(self.style, &shown);
            }
        }
        Ok(text)
    }

    fn receive_driver(
        &mut self,
        device: &mut Device,
        events: &mut EventSocket,
    ) -> io::Result<String> {
        let Monitor {
            style,
            links,
            ports,
            options,
        } = self;
        let mut text = String::new();
        // The kind of entries in the current batch.
        let mut batch = None;
        let received = events.drain(&mut |message| {
            if message.is_done() {
                match batch.take() {
                    Some(Batch::Ports) => text += &ports.block(*style, links),
                    Some(Batch::Options) => text += &options.block(*style, links),
                    None => (),
                }
            }
            match device.team.read(&message) {
                Some(TeamMessage::Ports(news)) => {
                    if batch.replace(Batch::Ports).is_none() {
                        ports.begin();
                    }
                    news.into_iter().for_each(|port| ports.update(port));
                }
                Some(TeamMessage::Options(news)) => {
                    if batch.replace(Batch::Options).is_none() {
                        options.begin();
                    }
                    news.into_iter().for_each(|option| options.update(option));
                }
                None => (),
            }
        })?;
        if received == Received::Overflow {
            self.ports = Ports::new(device.team.ports()?);
            self.options = Options::new(device.team.options()?);
        }
        Ok(text)
    }
}

/// The kind of entries in a batch of the driver's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Batch {
    Ports,
    Options,
}

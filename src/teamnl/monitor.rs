//! Shows changes of a team device until INT or QUIT.
//!
//! The monitor writes one block for each batch of the driver's events, and one for each link event
//! that changed an interface.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::answer;
use super::device::Device;
use super::lists::{Interfaces, Options, Ports, Style};
use crate::netlink::link::{self, LinkEvent};
use crate::netlink::team::TeamMessage;
use crate::netlink::{EventSocket, Received};
use crate::process::signals::Signals;
use crate::text::printable;

/// The state that the monitor shows.
struct Monitor {
    style: Style,
    json: bool,
    links: Interfaces,
    ports: Ports,
    options: Options,
}

/// Writes the changes of `device` to `out` until a signal arrives.
///
/// # Errors
/// When a socket or `out` fails.
pub fn run(device: &mut Device, style: Style, json: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut signals = Signals::take_interrupts()?;
    let mut link_events = EventSocket::links()?;
    let mut team_events = device.team.events()?;
    let mut monitor = Monitor {
        style,
        json,
        links: Interfaces::new(device.links()?),
        ports: Ports(device.team.ports()?),
        options: Options(device.team.options()?),
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
        if signals.read()?.stop.is_some() {
            return Ok(());
        }
        // Links first: an event of the driver may name a new interface.
        let text = monitor.receive_links(device, &mut link_events)?;
        out.write_all(printable(&text).as_bytes())?;
        let text = monitor.receive_driver(device, &mut team_events)?;
        out.write_all(printable(&text).as_bytes())?;
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
        let received = events.drain(&mut |message| link_events.extend(LinkEvent::parse(&message)));
        if received == Received::Loss {
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
                text += &match self.json {
                    true => answer::change(&self.links.answer(self.style, &shown)),
                    false => self.links.block(self.style, &shown),
                };
            }
        }
        Ok(text)
    }

    fn receive_driver(
        &mut self,
        device: &mut Device,
        events: &mut EventSocket,
    ) -> io::Result<String> {
        let Monitor { style, json, links, ports, options } = self;
        let mut text = String::new();
        // The kind of entries in the current batch.
        let mut batch = None;
        let received = events.drain(&mut |message| {
            if message.is_done() {
                match batch.take() {
                    Some(Batch::Ports) if *json => {
                        text += &answer::change(&ports.answer(*style, links))
                    }
                    Some(Batch::Ports) => text += &ports.block(*style, links),
                    Some(Batch::Options) if *json => {
                        text += &answer::change(&options.answer(*style, links))
                    }
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
        });
        if received == Received::Loss {
            self.ports = Ports(device.team.ports()?);
            self.options = Options(device.team.options()?);
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

//! Shows changes as they come, until INT or QUIT.
//!
//! One block for each batch of the driver's news, and one for each link event that changed what
//! is known of any interface.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::device::Device;
use super::lists::{Interfaces, Options, Ports, Style};
use crate::netlink::link::{self, LinkEvent};
use crate::netlink::team::News;
use crate::netlink::{EventSocket, Received};
use crate::process::signals::Signals;

/// What is known, batch by batch.
struct Monitor {
    style: Style,
    links: Interfaces,
    ports: Ports,
    options: Options,
}

/// Shows what happens to `device`.
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
        // Links first: the driver's news may name an interface that has just come.
        let text = monitor.hear_links(device, &mut link_events)?;
        out.write_all(text.as_bytes())?;
        let text = monitor.hear_driver(device, &mut team_events)?;
        out.write_all(text.as_bytes())?;
        out.flush()?;
    }
}

impl Monitor {
    fn hear_links(&mut self, device: &mut Device, events: &mut EventSocket) -> io::Result<String> {
        let mut told = Vec::new();
        let received = events.drain(&mut |message| told.extend(LinkEvent::parse(&message)))?;
        if received == Received::Overflow {
            self.links = Interfaces::new(device.links()?);
            return Ok(String::new());
        }
        let mut text = String::new();
        for event in told {
            self.links.begin();
            // An event may be older than what is known already.
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

    fn hear_driver(&mut self, device: &mut Device, events: &mut EventSocket) -> io::Result<String> {
        let Monitor {
            style,
            links,
            ports,
            options,
        } = self;
        let mut text = String::new();
        // The kind of news that the running batch brings.
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
                Some(News::Ports(news)) => {
                    if batch.replace(Batch::Ports).is_none() {
                        ports.begin();
                    }
                    news.into_iter().for_each(|port| ports.update(port));
                }
                Some(News::Options(news)) => {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Batch {
    Ports,
    Options,
}

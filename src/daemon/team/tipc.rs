//! Tells the core which TIPC bearers have a link, if a watch wants to know.

use std::io;

use mio::{Registry, Token};
use runners::{Event, Instant, LinkWatchSettings, Port};

use super::super::kernel::Kernel;
use super::super::tipc::TipcLinks;
use super::ManagedTeam;
use crate::datapath::Owner;
use crate::errno::strerror;

/// The subscription of a team, made when first needed.
#[derive(Debug)]
pub struct Tipc {
    registry: Registry,
    token: Token,
    links: Option<TipcLinks>,
    /// It has been said that there can be none.
    is_told: bool,
}

impl Tipc {
    /// None yet; news will come under `token`.
    pub fn new(registry: Registry, token: Token) -> Self {
        Tipc {
            registry,
            token,
            links: None,
            is_told: false,
        }
    }

    /// Whether this is the token of its news.
    pub(super) fn owns(&self, token: Token) -> bool {
        self.token == token
    }
}

impl ManagedTeam {
    /// Tells a port that has just come of the links, too, if a watch follows them.
    pub(super) fn refresh_tipc(&mut self, kernel: &mut Kernel, now: Instant) {
        if !self.core.ports().any(follows) {
            return;
        }
        if self.tipc.links.is_none() {
            match TipcLinks::subscribe(&self.tipc.registry, self.tipc.token) {
                Ok(links) => {
                    self.tipc.links = Some(links);
                    self.tipc.is_told = false;
                    if self.data_path.capabilities().ports == Owner::Daemon {
                        log::warn!(
                            "The link watch tipc needs the kernel's team driver: this data path \
                             keeps TIPC's frames off the ports."
                        );
                    }
                }
                Err(error) => self.lose_tipc(kernel, now, &error),
            }
        }
        self.tell_bearers(kernel, now);
    }

    /// Takes in what has become of links.
    pub(super) fn read_tipc(&mut self, kernel: &mut Kernel, now: Instant) {
        if let Some(Err(error)) = self.tipc.links.as_mut().map(TipcLinks::read) {
            self.lose_tipc(kernel, now, &error);
        }
        self.tell_bearers(kernel, now);
    }

    fn tell_bearers(&mut self, kernel: &mut Kernel, now: Instant) {
        let linked = self.tipc.links.as_ref().and_then(TipcLinks::bearers);
        if linked.is_some() {
            self.tell(kernel, now, Event::TipcBearersChanged { linked });
        }
    }

    fn lose_tipc(&mut self, kernel: &mut Kernel, now: Instant, error: &io::Error) {
        self.tipc.links = None;
        match error.raw_os_error() {
            _ if self.tipc.is_told => {}
            Some(libc::EAFNOSUPPORT) => {
                log::error!("Failed to follow TIPC's links: this kernel has no TIPC (module tipc).")
            }
            _ => log::error!("Failed to follow TIPC's links ({}).", strerror(error)),
        }
        self.tipc.is_told = true;
        self.tell(kernel, now, Event::TipcBearersChanged { linked: None });
    }
}

fn follows(port: &Port) -> bool {
    let mut watches = port.watches().iter();
    watches.any(|watch| matches!(watch.settings(), LinkWatchSettings::Tipc { .. }))
}

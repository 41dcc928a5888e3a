//! Hands the core the TIPC bearers that have a link, if a link watch follows them.

use std::io;
use std::rc::Rc;

use mio::{Registry, Token};
use runners::{Event, Instant, LinkWatchSettings};

use super::ManagedTeam;
use crate::daemon::kernel::Kernel;
use crate::daemon::tipc::TipcLinks;
use crate::datapath::Owner;
use crate::errno::strerror;

/// The subscription of a team to TIPC's links, made when first needed.
#[derive(Debug)]
pub struct Tipc {
    registry: Rc<Registry>,
    token: Token,
    links: Option<TipcLinks>,
    /// The log has the reason why there is no subscription.
    is_logged: bool,
}

impl Tipc {
    /// Returns no subscription yet; later events come under `token`.
    pub fn new(registry: Rc<Registry>, token: Token) -> Self {
        Tipc { registry, token, links: None, is_logged: false }
    }
}

impl ManagedTeam {
    /// Subscribes if a link watch needs TIPC, and hands the core the bearers, also for a new port.
    pub(super) fn refresh_tipc(&mut self, kernel: &mut Kernel, now: Instant) {
        if !self.has_watch(|watch| matches!(watch, LinkWatchSettings::Tipc { .. })) {
            return;
        }
        if self.tipc.links.is_none() {
            match TipcLinks::subscribe(&self.tipc.registry, self.tipc.token) {
                Ok(links) => {
                    self.tipc.links = Some(links);
                    self.tipc.is_logged = false;
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
        self.update_bearers(kernel, now);
    }

    /// Reads changes of links.
    pub fn read_tipc(&mut self, kernel: &mut Kernel, now: Instant) {
        if let Some(Err(error)) = self.tipc.links.as_mut().map(TipcLinks::read) {
            self.lose_tipc(kernel, now, &error);
        }
        self.update_bearers(kernel, now);
    }

    fn update_bearers(&mut self, kernel: &mut Kernel, now: Instant) {
        let linked = self.tipc.links.as_ref().and_then(TipcLinks::bearers);
        if linked.is_some() {
            self.handle(kernel, now, Event::TipcBearersChanged { linked });
        }
    }

    fn lose_tipc(&mut self, kernel: &mut Kernel, now: Instant, error: &io::Error) {
        self.tipc.links = None;
        match error.raw_os_error() {
            _ if self.tipc.is_logged => {}
            Some(libc::EAFNOSUPPORT) => {
                log::error!("Failed to follow TIPC's links: this kernel has no TIPC (module tipc).")
            }
            _ => log::error!("Failed to follow TIPC's links ({}).", strerror(error)),
        }
        self.tipc.is_logged = true;
        self.handle(kernel, now, Event::TipcBearersChanged { linked: None });
    }
}

//! `keepalive` of the runner and of the watch lacp: hands the data path the LACPDU with which the
//! kernel answers the partner of a port while the daemon is away.

use std::collections::BTreeMap;
use std::time::Duration;

use runners::{Instant, KeepAlive, PortId};

use super::ManagedTeam;
use crate::datapath::Change;
use crate::datapath::ebpf::Answer;
use crate::errno::strerror;

/// The last change that the data path has received for a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    /// The limit and the keep-alive; without a keep-alive the kernel gives no answers.
    KeepAlive(Duration, Option<KeepAlive>),
    /// The data path refused a keep-alive under this limit; the next attempt waits for another
    /// limit.
    Refused(Duration),
}

/// The last change of each port that the data path has received.
#[derive(Debug, Default)]
pub(super) struct KeepAlives(BTreeMap<PortId, Given>);

impl ManagedTeam {
    /// Hands the data path the keep-alives that have changed. A refusal is logged and costs the
    /// port only the answers while the daemon is away.
    pub(super) fn update_keep_alives(&mut self, now: Instant) {
        let ports = &self.ports;
        self.keep_alives.0.retain(|port, _| ports.get(*port).is_some());
        for port in self.ports.ids() {
            let limit = self.core.keep_alive_limit(port);
            let keep_alive = self.core.keep_alive(port).filter(|_| !limit.is_zero());
            let wanted = Given::KeepAlive(limit, keep_alive);
            let known = self.keep_alives.0.get(&port);
            if known == Some(&wanted) || known == Some(&Given::Refused(limit)) {
                continue;
            }
            let answer = keep_alive.map(|keep_alive| Answer::new(keep_alive, now));
            let change = Change::KeepAlive { port, limit, answer: answer.as_ref() };
            let given = match self.data_path.apply(now, change) {
                Ok(()) => wanted,
                Err(error) => {
                    let name = self.ports.get(port).map_or("", |attached| &attached.name);
                    let level = match limit.is_zero() {
                        true => log::Level::Debug,
                        false => log::Level::Info,
                    };
                    let why = strerror(&error);
                    log::log!(level, "{name}: The kernel cannot answer LACPDUs ({why}).");
                    Given::Refused(limit)
                }
            };
            self.keep_alives.0.insert(port, given);
        }
    }
}

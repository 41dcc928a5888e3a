//! Finds the news in the recordings of a team.
//!
//! Pure. A recording holds the last few hundred entries, so two of them overlap.

use std::collections::BTreeMap;
use std::time::Duration;

use runners::{Event, Instant, PortId};

use super::news::News;
use crate::recording::{Recording, ReportKind, What};

/// The state between two recordings of a team.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    /// The time of the last entry seen, and the number of entries seen with that time.
    seen: Option<(Instant, usize)>,
    names: BTreeMap<PortId, String>,
    /// The port whose link was lost last.
    lost: Option<PortId>,
    /// Time of the failover that ends with the next forwarding.
    failover: Option<Duration>,
    /// Stations announced since the last other entry.
    announced: u32,
}

impl Watcher {
    /// Returns the news since the last recording; none for the first recording.
    pub(super) fn look(&mut self, recording: &Recording) -> Vec<News> {
        let first = self.seen.is_none();
        let mut news = Vec::new();
        let mut place = (Instant::ZERO, 0);
        for entry in &recording.entries {
            place = match place {
                (at, count) if at == entry.at => (at, count + 1),
                _ => (entry.at, 1),
            };
            if self.seen.is_none_or(|seen| place > seen) {
                if !matches!(entry.what, What::Announce(_)) {
                    news.extend(self.take_announced(recording));
                }
                news.extend(self.news_of(&entry.what).map(|(kind, port, text)| News {
                    at: unix_time(recording, entry.at),
                    kind,
                    port,
                    text,
                }));
                self.seen = Some(place);
            }
        }
        news.extend(self.take_announced(recording));
        self.seen.get_or_insert((Instant::ZERO, 0));
        if first {
            news.clear();
        }
        news
    }

    /// Returns kind, port and text of an entry that is news.
    fn news_of(&mut self, what: &What) -> Option<(&'static str, Option<String>, String)> {
        match what {
            What::Event(event) => self.news_of_event(event),
            What::Failover(failover) => {
                self.failover = Some(failover.took);
                None
            }
            What::Forward(forwarding) => {
                let text = match self.failover.take() {
                    Some(took) => {
                        let port = self.lost.and_then(|port| self.names.get(&port));
                        format!(
                            "failover from {} decided {:.1} ms after its link went: {forwarding}",
                            port.map_or("a port", String::as_str),
                            took.as_secs_f64() * 1000.0
                        )
                    }
                    None => format!("forwards by {forwarding}"),
                };
                Some(("forwarding", None, text))
            }
            What::Announce(_) => {
                self.announced += 1;
                None
            }
            // LACP ports change their states often; the forwarding shows the consequence.
            What::Report {
                kind: ReportKind::LacpState,
                ..
            } => None,
            What::Report { text, .. } => {
                let text = text.trim_end_matches('.').to_owned();
                Some(("decision", None, text))
            }
            What::Action(_) | What::Sent { .. } => None,
        }
    }

    fn news_of_event(&mut self, event: &Event) -> Option<(&'static str, Option<String>, String)> {
        let name_of = |port: &PortId| self.names.get(port).cloned().unwrap_or_default();
        match event {
            Event::PortAdded { port, name, .. } => {
                let is_new = self.names.insert(*port, name.clone()).is_none();
                is_new.then(|| ("port", Some(name.clone()), format!("{name} joined")))
            }
            Event::PortRemoved { port } => {
                let name = self.names.remove(port)?;
                Some(("port", Some(name.clone()), format!("{name} left")))
            }
            Event::PortRenamed { port, name } => {
                let before = self.names.insert(*port, name.clone()).unwrap_or_default();
                let text = format!("{before} is called {name} now");
                Some(("port", Some(name.clone()), text))
            }
            Event::LinkChanged { port, link } => {
                let name = name_of(port);
                let text = match link.up {
                    true => format!("{name} has a link, {} Mbit/s", link.speed),
                    false => format!("{name} lost its link"),
                };
                if !link.up {
                    self.lost = Some(*port);
                }
                Some(("link", Some(name), text))
            }
            Event::PortAllowed { port, allowed } => {
                let name = name_of(port);
                let text = match allowed {
                    true => format!("{name} may carry traffic"),
                    false => format!("{name} is kept out of forwarding"),
                };
                Some(("allowed", Some(name), text))
            }
            _ => None,
        }
    }

    /// Returns one news for all stations that were announced one after the other.
    fn take_announced(&mut self, recording: &Recording) -> Option<News> {
        let count = std::mem::take(&mut self.announced);
        (count > 0).then(|| News {
            at: unix_time(recording, self.seen.map_or(Instant::ZERO, |(at, _)| at)),
            kind: "moved",
            port: None,
            text: format!("{count} stations moved and were announced"),
        })
    }
}

/// Returns the Unix time of an instant of the recording, in nanoseconds.
fn unix_time(recording: &Recording, at: Instant) -> u64 {
    recording.origin.saturating_add(at.as_nanos())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use runners::{Duplex, HwAddr, HwAddrPolicy, Link, PortSettings, RunnerSettings, TeamSettings};

    use super::*;
    use crate::recording::Entry;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn link(up: bool) -> Link {
        let duplex = Duplex::Full;
        let speed = if up { 1000 } else { 0 };
        Link { up, speed, duplex }
    }

    fn added(number: u32, prio: i32) -> Event {
        Event::PortAdded {
            port: PortId(number),
            name: format!("eth{number}"),
            hwaddr: HwAddr([2, 0, 0, 0, 0, number as u8]),
            link: link(true),
            settings: PortSettings {
                prio,
                link_watches: vec![runners::LinkWatchSettings::Ethtool {
                    delay_up: Duration::ZERO,
                    delay_down: Duration::from_millis(20),
                }],
                ..PortSettings::default()
            },
            adopted: false,
        }
    }

    #[test]
    fn a_failover_has_the_time_that_the_core_measured() {
        let hwaddr_policy = HwAddrPolicy::SameAll;
        let runner = RunnerSettings::ActiveBackup {
            hwaddr_policy,
            failback: runners::Failback::default(),
        };
        let down = Event::LinkChanged {
            port: PortId(1),
            link: link(false),
        };
        let events = [
            (0, added(1, 5)),
            (1, added(2, 0)),
            (1000, down),
            (1020, Event::DeadlineReached),
        ];
        let mut recording = Recording {
            device: "team0".into(),
            origin: 3_600_000_000_000,
            whole: true,
            settings: TeamSettings::new(runner),
            hwaddr: HwAddr([2, 0, 0, 0, 0, 9]),
            entries: Vec::new(),
        };
        let mut watcher = Watcher::default();
        let mut lines = Vec::new();
        for (millis, event) in events {
            let what = What::Event(event);
            recording.entries.push(Entry::new(at(millis), what));
            recording = recording.replay();
            // A second look at the same recording finds no news.
            lines.extend(watcher.look(&recording));
            assert_eq!(watcher.look(&recording), []);
        }
        let lines: Vec<String> = lines.iter().map(|news| news.to_line("team0")).collect();
        assert_eq!(
            lines,
            [
                "01:00:00.001Z team0: eth2 joined",
                "01:00:00.001Z team0: eth2: ethtool-link went up",
                "01:00:00.001Z team0: forwards by active 1: 1+^ 2-^",
                "01:00:01.000Z team0: eth1 lost its link",
                "01:00:01.000Z team0: forwards by active 1: 1+_ 2-^",
                "01:00:01.020Z team0: eth1: ethtool-link went down",
                "01:00:01.020Z team0: failover from eth1 decided 20.0 ms after its link went: \
                 active 2: 1-_ 2+^",
                "01:00:01.020Z team0: Changed active port to \"eth2\"",
            ]
        );
    }
}

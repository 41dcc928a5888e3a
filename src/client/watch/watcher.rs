//! Finds the news in the recordings of a team.
//!
//! Pure. A recording holds the last few hundred entries, so two of them overlap.

use std::collections::BTreeMap;
use std::time::Duration;

use runners::{Event, Instant, PortId};

use super::news::News;
use crate::recording::{Entry, Recording, ReportKind, What};

/// The state between two recordings of a team.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    /// Number of entries seen since the team began, and the time of the last one.
    seen: Option<(u64, Instant)>,
    names: BTreeMap<PortId, String>,
    /// When the link of each port without one was lost.
    lost: BTreeMap<PortId, Instant>,
    /// Time of the failover that ends with the next forwarding.
    failover: Option<Duration>,
    /// Stations announced since the last other entry.
    announced: u32,
}

impl Watcher {
    /// Returns the news since the last recording; none for the first recording.
    pub(super) fn look(&mut self, recording: &Recording) -> Vec<News> {
        let first = self.seen.is_none();
        let news = self.look_back(recording);
        if first { Vec::new() } else { news }
    }

    /// Returns the news since the last recording; for the first recording all of its news.
    pub(super) fn look_back(&mut self, recording: &Recording) -> Vec<News> {
        let first = self.seen.is_none();
        let opening = recording.opening.min(recording.entries.len());
        let (opening, entries) = recording.entries.split_at(opening);
        if first {
            for entry in opening {
                let _ = self.news_of(entry);
            }
        }
        let (seen, at) = self.seen.unwrap_or((recording.begin, Instant::ZERO));
        self.seen = Some((seen, at));
        let known = usize::try_from(seen.saturating_sub(recording.begin)).unwrap_or(usize::MAX);
        let mut news = Vec::new();
        for entry in entries.iter().skip(known) {
            if !matches!(entry.what, What::Announce(_)) {
                news.extend(self.take_announced(recording));
            }
            news.extend(self.news_of(entry).map(|(kind, port, text)| News {
                at: unix_time(recording, entry.at),
                kind,
                port,
                text,
            }));
            self.seen = self.seen.map(|(seen, _)| (seen.saturating_add(1), entry.at));
        }
        news.extend(self.take_announced(recording));
        news
    }

    /// Returns kind, port and text of an entry that is news.
    fn news_of(&mut self, entry: &Entry) -> Option<(&'static str, Option<String>, String)> {
        match &entry.what {
            What::Event(event) => self.news_of_event(entry.at, event),
            What::Failover(failover) => {
                self.failover = Some(failover.took);
                None
            }
            What::Forward(forwarding) => {
                let text = match self.failover.take() {
                    Some(took) => {
                        let mut lost = self.lost.iter();
                        let lost = lost.find(|(_, since)| **since + took == entry.at);
                        let port = lost.and_then(|(port, _)| self.names.get(port));
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
            // LACP ports change their states often; the forwarding shows the consequence, except for
            // a partner that falls silent.
            What::Report { kind: ReportKind::LacpState, text } if !text.contains(SILENT) => None,
            What::Report { text, .. } => {
                let text = text.trim_end_matches('.').to_owned();
                Some(("decision", None, text))
            }
            What::Action(_) | What::Sent { .. } => None,
        }
    }

    fn news_of_event(
        &mut self,
        at: Instant,
        event: &Event,
    ) -> Option<(&'static str, Option<String>, String)> {
        let name_of = |port: &PortId| self.names.get(port).cloned().unwrap_or_default();
        match event {
            Event::PortAdded { port, name, .. } => {
                let is_new = self.names.insert(*port, name.clone()).is_none();
                is_new.then(|| ("port", Some(name.clone()), format!("{name} joined")))
            }
            Event::PortRemoved { port } => {
                self.lost.remove(port);
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
                match link.up {
                    true => self.lost.remove(port),
                    false => Some(*self.lost.entry(*port).or_insert(at)),
                };
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
            Event::PortMacsecGate { port, open } => {
                let name = name_of(port);
                let verb = if *open { "opens" } else { "closes" };
                let text = format!("the MACsec gate of {name} {verb}");
                Some(("allowed", Some(name), text))
            }
            _ => None,
        }
    }

    /// Returns one news for all stations that were announced one after the other.
    fn take_announced(&mut self, recording: &Recording) -> Option<News> {
        let count = std::mem::take(&mut self.announced);
        (count > 0).then(|| News {
            at: unix_time(recording, self.seen.map_or(Instant::ZERO, |(_, at)| at)),
            kind: "moved",
            port: None,
            text: format!("{count} stations moved and were announced"),
        })
    }
}

/// In the report of an LACP port: no LACPDU came within the timeout.
const SILENT: &str = "\"current\" -> \"expired\"";

/// Returns the Unix time of an instant of the recording, in nanoseconds.
fn unix_time(recording: &Recording, at: Instant) -> u64 {
    recording.origin.saturating_add(at.as_nanos())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use runners::{Duplex, HwAddr, HwAddrPolicy, Link, PortSettings, RunnerSettings, TeamSettings};

    use super::*;

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

    /// Returns the lines about these events of an activebackup team, each at its millisecond.
    fn lines(events: impl IntoIterator<Item = (u64, Event)>) -> Vec<String> {
        let hwaddr_policy = HwAddrPolicy::SameAll;
        let runner =
            RunnerSettings::ActiveBackup { hwaddr_policy, failback: runners::Failback::default() };
        let mut recording = Recording {
            device: "team0".into(),
            origin: 3_600_000_000_000,
            whole: true,
            settings: TeamSettings::new(runner),
            hwaddr: HwAddr([2, 0, 0, 0, 0, 9]),
            opening: 0,
            begin: 0,
            entries: Vec::new(),
            noise: Vec::new(),
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
        lines.iter().map(|news| news.to_line("team0")).collect()
    }

    fn down(number: u32) -> Event {
        Event::LinkChanged { port: PortId(number), link: link(false) }
    }

    #[test]
    fn a_failover_has_the_time_that_the_core_measured() {
        assert_eq!(
            lines([
                (0, added(1, 5)),
                (1, added(2, 0)),
                (1000, down(1)),
                (1020, Event::DeadlineReached),
            ]),
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

    /// A backup loses its link while `delay_down` of the active port passes.
    #[test]
    fn a_failover_has_the_name_of_the_port_that_carried() {
        let lines = lines([
            (0, added(1, 5)),
            (1, added(2, 0)),
            (2, added(3, 0)),
            (1000, down(1)),
            (1010, down(3)),
            (1020, Event::DeadlineReached),
        ]);
        let failovers: Vec<&String> =
            lines.iter().filter(|line| line.contains("failover")).collect();
        let expected = "01:00:01.020Z team0: failover from eth1 decided 20.0 ms after its link \
                        went: active 2: 1-_ 2+^ 3-_";
        assert_eq!(failovers, [expected]);
    }

    #[test]
    fn gates_damping_and_drains_are_news() {
        let drained = |drained| Event::PortDrained { port: PortId(2), drained };
        let closed = Event::PortMacsecGate { port: PortId(2), open: false };
        let lines = lines([
            (0, added(1, 5)),
            (1, added(2, 0)),
            (1000, drained(true)),
            (2000, drained(false)),
            (3000, closed),
        ]);
        let lines: Vec<&str> =
            lines.iter().filter_map(|line| line.strip_prefix("01:00:0")).skip(3).collect();
        let expected = [
            "1.000Z team0: eth2: Carries no traffic: it is drained",
            "2.000Z team0: eth2: May carry traffic again",
            "3.000Z team0: the MACsec gate of eth2 closes",
        ];
        assert_eq!(lines, expected);
    }

    /// The opening of a later recording is no news, also at the time of the last entry seen.
    #[test]
    fn the_opening_of_a_recording_is_no_news() {
        let entry = |event| Entry::new(at(5), What::Event(event));
        let mut recording = Recording {
            device: "team0".into(),
            origin: 0,
            whole: true,
            settings: TeamSettings::new(RunnerSettings::Broadcast),
            hwaddr: HwAddr([2, 0, 0, 0, 0, 9]),
            opening: 0,
            begin: 0,
            entries: vec![entry(added(1, 0))],
            noise: Vec::new(),
        };
        let mut watcher = Watcher::default();
        assert_eq!(watcher.look(&recording), []);
        let forbid = |allowed| entry(Event::PortAllowed { port: PortId(1), allowed });
        recording.entries = vec![entry(added(1, 0)), forbid(false), forbid(true)];
        (recording.opening, recording.begin) = (3, 1);
        assert_eq!(watcher.look(&recording), []);
        recording.entries.push(entry(down(1)));
        let texts: Vec<String> =
            watcher.look(&recording).into_iter().map(|news| news.text).collect();
        assert_eq!(texts, ["eth1 lost its link"]);
    }
}

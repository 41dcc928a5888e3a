//! News of a team, one line each, from its recording.
//!
//! Pure: what has come since the last look. Who looks, and how often, is [`super::run`]'s
//! business.

use std::collections::BTreeMap;

use runners::{Event, Instant, PortId};
use serde_json::{Value, json};

use crate::recording::{Recording, What};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Unix time, in nanoseconds.
    pub at: u64,
    /// Kind, for programs.
    pub kind: &'static str,
    /// The port that it is about.
    pub port: Option<String>,
    /// One line for people.
    pub text: String,
}

impl News {
    /// Time of day in UTC, then the text.
    pub fn to_line(&self, device: &str) -> String {
        let millis = self.at / 1_000_000;
        let (seconds, millis) = (millis / 1000, millis % 1000);
        let [hour, minute, second] = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
        format!(
            "{hour:02}:{minute:02}:{second:02}.{millis:03}Z {device}: {}",
            self.text
        )
    }

    /// For `--json`.
    pub fn to_json(&self, device: &str) -> Value {
        json!({
            "at": self.at as f64 / 1e9,
            "device": device,
            "kind": self.kind,
            "port": self.port,
            "text": self.text,
        })
    }
}

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Watcher {
    /// The time of the last entry seen, and how many of that time were.
    seen: Option<(Instant, usize)>,
    names: BTreeMap<PortId, String>,
    /// When a link was lost last, and whose, until that port carries no more.
    lost: Option<(Instant, PortId)>,
    announced: u32,
}

impl Watcher {
    /// What is new in a recording. The first one only tells how things stand.
    pub fn look(&mut self, recording: &Recording) -> Vec<News> {
        let first = self.seen.is_none();
        let mut fresh = Vec::new();
        let mut of_this_time = (Instant::ZERO, 0);
        for entry in &recording.entries {
            of_this_time = match of_this_time {
                (at, count) if at == entry.at => (at, count + 1),
                _ => (entry.at, 1),
            };
            let known = self.seen.is_some_and(|seen| of_this_time <= seen);
            if !known {
                self.tell(recording, entry.at, &entry.what, &mut fresh);
                self.seen = Some(of_this_time);
            }
        }
        self.flush(recording, &mut fresh);
        self.seen.get_or_insert((Instant::ZERO, 0));
        if first {
            fresh.clear();
        }
        fresh
    }

    fn tell(&mut self, recording: &Recording, at: Instant, what: &What, fresh: &mut Vec<News>) {
        let announces = matches!(what, What::Action(text) if text.starts_with("announce "));
        if !announces {
            self.flush(recording, fresh);
        }
        let mut say = |kind, port: Option<String>, text: String| {
            fresh.push(News {
                at: recording.origin.saturating_add(at.as_nanos()),
                kind,
                port,
                text,
            });
        };
        match what {
            What::Event(Event::PortAdded { port, name, .. }) => {
                if self.names.insert(*port, name.clone()).is_none() {
                    say("port", Some(name.clone()), format!("{name} joined"));
                }
            }
            What::Event(Event::PortRemoved { port }) => {
                if let Some(name) = self.names.remove(port) {
                    say("port", Some(name.clone()), format!("{name} left"));
                }
            }
            What::Event(Event::PortRenamed { port, name }) => {
                let before = self.names.insert(*port, name.clone()).unwrap_or_default();
                say(
                    "port",
                    Some(name.clone()),
                    format!("{before} is called {name} now"),
                );
            }
            What::Event(Event::LinkChanged { port, link }) => {
                let name = self.names.get(port).cloned().unwrap_or_default();
                let text = match link.up {
                    true => format!("{name} has a link, {} Mbit/s", link.speed),
                    false => format!("{name} lost its link"),
                };
                if !link.up {
                    self.lost = Some((at, *port));
                }
                say("link", Some(name), text);
            }
            What::Event(Event::PortAllowed { port, allowed }) => {
                let name = self.names.get(port).cloned().unwrap_or_default();
                let text = match allowed {
                    true => format!("{name} may carry traffic"),
                    false => format!("{name} is kept out of forwarding"),
                };
                say("allowed", Some(name), text);
            }
            What::Action(text) => {
                if announces {
                    self.announced += 1;
                } else if let Some(forwarding) = text.strip_prefix("forward ") {
                    let carries_no_more = |lost: &mut (Instant, PortId)| {
                        forwarding.contains(&format!(" {}-", lost.1))
                    };
                    let text = match self.lost.take_if(carries_no_more) {
                        Some((lost, port)) => format!(
                            "failover from {} decided {:.1} ms after its link went: {forwarding}",
                            self.names.get(&port).map_or("a port", String::as_str),
                            at.saturating_since(lost).as_secs_f64() * 1000.0
                        ),
                        None => format!("forwards by {forwarding}"),
                    };
                    say("forwarding", None, text);
                } else if text.ends_with(".") || text.starts_with("carrier changed") {
                    say("decision", None, text.trim_end_matches('.').to_owned());
                }
            }
            What::Event(_) | What::Sent { .. } => {}
        }
    }

    /// One line for all that were announced one after the other.
    fn flush(&mut self, recording: &Recording, fresh: &mut Vec<News>) {
        if self.announced > 0 {
            let at = self.seen.map_or(Instant::ZERO, |(at, _)| at);
            fresh.push(News {
                at: recording.origin.saturating_add(at.as_nanos()),
                kind: "moved",
                port: None,
                text: format!("{} stations moved and were announced", self.announced),
            });
            self.announced = 0;
        }
    }
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
    fn a_failover_is_told_with_its_time() {
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
            recording.entries.push(Entry {
                at: at(millis),
                what,
            });
            recording = recording.replay();
            // The second look at the same recording has nothing to tell.
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

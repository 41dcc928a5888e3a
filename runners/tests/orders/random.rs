//! Random settings and links.

use std::time::Duration;

use runners::{Burst, Duplex, LacpPortSettings, Link, LinkWatchSettings, PortSettings, SplitMix64};

/// A seeded generator of random values.
pub struct Random(SplitMix64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(SplitMix64::new(seed))
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound)
    }

    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    pub fn link(&mut self) -> Link {
        let up = !self.one_in(3);
        Link {
            up,
            speed: if up { self.pick(&[0, 10, 1000, 10_000]) } else { 0 },
            duplex: self.pick(&[Duplex::Half, Duplex::Full]),
        }
    }

    pub fn settings(&mut self) -> PortSettings {
        let watches = self.pick(&[0, 1, 1, 1, 2, 3]);
        PortSettings {
            prio: self.pick(&[-1, 0, 0, 0, 100]),
            sticky: self.one_in(4),
            queue_id: None,
            lacp: LacpPortSettings::default(),
            link_watches: (0..watches)
                .map(|_| LinkWatchSettings::Ethtool {
                    delay_up: Duration::from_millis(self.pick(&[0, 0, 5, 20])),
                    delay_down: Duration::from_millis(self.pick(&[0, 0, 5, 20])),
                })
                .collect(),
            ..PortSettings::default()
        }
    }

    pub fn burst(&mut self) -> Burst {
        Burst { count: self.pick(&[0, 1, 3]), interval: Duration::from_millis(self.pick(&[0, 7])) }
    }
}

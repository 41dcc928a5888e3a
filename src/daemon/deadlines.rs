//! The deadlines of all teams in one queue, the earliest first.

use std::collections::{BTreeMap, BTreeSet};

use runners::Instant;

use super::source::TeamId;

/// At most one deadline of each team.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    queue: BTreeSet<(Instant, TeamId)>,
    /// The entry of each team in `queue`.
    by_team: BTreeMap<TeamId, Instant>,
}

impl Deadlines {
    /// Replaces the deadline of a team; `None` removes it.
    pub fn set(&mut self, team: TeamId, deadline: Option<Instant>) {
        let before = match deadline {
            Some(deadline) => self.by_team.insert(team, deadline),
            None => self.by_team.remove(&team),
        };
        if before != deadline {
            before.map(|before| self.queue.remove(&(before, team)));
            self.queue.extend(deadline.map(|deadline| (deadline, team)));
        }
    }

    /// Returns the earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(deadline, _)| *deadline)
    }

    /// Returns the teams whose deadline is not after `now`, the earliest deadline first.
    pub fn due(&self, now: Instant) -> Vec<TeamId> {
        let due = self.queue.iter().take_while(|(due, _)| *due <= now);
        due.map(|(_, team)| *team).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_deadline_of_all_teams_is_next() {
        let at = Instant::from_nanos;
        let (first, second) = (TeamId::FIRST, TeamId::FIRST.next());
        let mut deadlines = Deadlines::default();
        assert_eq!(deadlines.next(), None);
        deadlines.set(first, Some(at(30)));
        deadlines.set(second, Some(at(20)));
        assert_eq!(deadlines.next(), Some(at(20)));
        assert_eq!(deadlines.due(at(19)), []);
        assert_eq!(deadlines.due(at(30)), [second, first]);
        deadlines.set(second, Some(at(40)));
        deadlines.set(second, Some(at(40)));
        assert_eq!(deadlines.due(at(30)), [first]);
        deadlines.set(first, None);
        assert_eq!(deadlines.next(), Some(at(40)));
        deadlines.set(second, None);
        assert_eq!(deadlines.next(), None);
    }
}

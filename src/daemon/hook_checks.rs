//! Schedule of the checks of hooks: the kernel has no event for the removal of a TCX program, so
//! the daemon asks for the programs at intervals.
//!
//! Every [`INTERVAL`] the daemon checks all teams, as long as these have at most [`HOOKS`]
//! interfaces together. More teams take turns: a check covers at most [`HOOKS`] interfaces, or one
//! team that has more, which limits the cost.

use std::collections::BTreeMap;
use std::time::Duration;

use runners::Instant;

use super::source::TeamId;

/// Time between two checks. If each check covers all teams, a removed program is attached again
/// within 100 ms.
const INTERVAL: Duration = Duration::from_millis(80);
/// Most interfaces of one check, unless one team has more.
const HOOKS: usize = 64;

/// The teams with hooks that must be checked.
#[derive(Debug, Default)]
pub(super) struct HookChecks {
    /// The number of interfaces with hooks of each team.
    teams: BTreeMap<TeamId, usize>,
    /// The team that was checked last.
    last: Option<TeamId>,
    /// Time of the next check.
    next: Instant,
}

impl HookChecks {
    /// Sets the number of a team's interfaces with hooks to check; 0 removes the team.
    pub fn set(&mut self, team: TeamId, interfaces: usize) {
        match interfaces {
            0 => self.teams.remove(&team),
            _ => self.teams.insert(team, interfaces),
        };
    }

    /// Returns the time of the next check; `None` without a hook to check.
    pub fn deadline(&self) -> Option<Instant> {
        (!self.teams.is_empty()).then_some(self.next)
    }

    /// Returns the teams to check at `now`; the next check is due [`INTERVAL`] later.
    pub fn due(&mut self, now: Instant) -> Vec<TeamId> {
        if self.deadline().is_none_or(|next| next > now) {
            return Vec::new();
        }
        self.next = now + INTERVAL;
        let is_later = |team: &TeamId| self.last.is_none_or(|last| *team > last);
        let (later, earlier): (Vec<_>, Vec<_>) =
            self.teams.iter().map(|(team, hooks)| (*team, *hooks)).partition(|it| is_later(&it.0));
        let mut hooks = 0;
        let checked = later.into_iter().chain(earlier).take_while(|(_, own)| {
            let is_first = hooks == 0;
            hooks += own;
            is_first || hooks <= HOOKS
        });
        let checked: Vec<TeamId> = checked.map(|(team, _)| team).collect();
        self.last = checked.last().copied();
        checked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn teams(count: usize) -> Vec<TeamId> {
        std::iter::successors(Some(TeamId::FIRST), |team| Some(team.next())).take(count).collect()
    }

    #[test]
    fn without_silent_hooks_nothing_is_due() {
        let mut checks = HookChecks::default();
        assert_eq!((checks.deadline(), checks.due(at(5))), (None, vec![]));
        checks.set(TeamId::FIRST, 4);
        assert_eq!(checks.due(at(5)), [TeamId::FIRST]);
        checks.set(TeamId::FIRST, 0);
        assert_eq!((checks.deadline(), checks.due(at(500))), (None, vec![]));
    }

    #[test]
    fn few_teams_are_all_checked_every_80_ms() {
        let mut checks = HookChecks::default();
        let teams = teams(3);
        teams.iter().for_each(|team| checks.set(*team, 4));
        assert_eq!(checks.due(at(1000)), teams);
        assert_eq!((checks.deadline(), checks.due(at(1079))), (Some(at(1080)), vec![]));
        assert_eq!(checks.due(at(1081)), teams[..3]);
    }

    #[test]
    fn many_teams_are_checked_in_turn() {
        let mut checks = HookChecks::default();
        let teams = teams(40);
        teams.iter().for_each(|team| checks.set(*team, 4));
        assert_eq!(checks.due(at(0)), teams[..16]);
        assert_eq!(checks.due(at(80)), teams[16..32]);
        let third = checks.due(at(160));
        assert_eq!(third, [&teams[32..], &teams[..8]].concat());
        // A team with more interfaces than the limit has a turn, too.
        checks.set(teams[8], 100);
        assert_eq!(checks.due(at(240)), [teams[8]]);
        assert_eq!(checks.due(at(320)), teams[9..25]);
    }
}

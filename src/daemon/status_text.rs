//! The status line of the daemon for the service manager.
//!
//! systemd drops a notification of more than 4096 bytes, so the line names all teams only while they
//! are few.

/// Most teams whose summaries are all in the line.
const FEW: usize = 4;
/// Most bytes of the line, without the number of omitted parts.
const LENGTH: usize = 512;

/// A team in the line.
#[derive(Clone, Copy, Debug)]
pub struct TeamStatus<'a> {
    /// The name, the ports that are up, and the active port.
    pub summary: &'a str,
    /// The team device has a carrier.
    pub carries: bool,
}

/// Returns the line. Up to [`FEW`] teams: the configurations that did not start, and every team. More
/// teams: the numbers of teams and of teams that carry traffic, the configurations that did not
/// start, and the teams that carry no traffic.
pub fn status_text<'a>(
    not_started: &[String],
    teams: impl Iterator<Item = TeamStatus<'a>>,
) -> String {
    let teams: Vec<TeamStatus<'_>> = teams.collect();
    let mut parts: Vec<String> =
        not_started.iter().map(|origin| format!("not started: {origin}")).collect();
    let are_few = teams.len() <= FEW;
    if !are_few {
        let carrying = teams.iter().filter(|team| team.carries).count();
        parts.insert(0, format!("{} teams, {carrying} carry", teams.len()));
    }
    let named = teams.iter().filter(|team| are_few || !team.carries);
    parts.extend(named.map(|team| team.summary.to_owned()));
    join(parts)
}

/// Joins the parts that fit into [`LENGTH`], and appends the number of omitted parts.
fn join(parts: Vec<String>) -> String {
    let mut line = String::new();
    let total = parts.len();
    for (before, part) in parts.into_iter().enumerate() {
        let separator = if line.is_empty() { "" } else { "; " };
        if line.len() + separator.len() + part.len() > LENGTH {
            return format!("{line}{separator}and {} more", total - before);
        }
        line += separator;
        line += &part;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(not_started: &[&str], teams: &[(&str, bool)]) -> String {
        let not_started: Vec<String> = not_started.iter().map(ToString::to_string).collect();
        let teams = teams.iter().map(|&(summary, carries)| TeamStatus { summary, carries });
        status_text(&not_started, teams)
    }

    #[test]
    fn each_of_a_few_teams_is_in_the_line() {
        let teams =
            [("team0: 2 of 2 ports up, eth1 active", true), ("team1: 0 of 0 ports up", false)];
        assert_eq!(
            line(&[], &teams),
            "team0: 2 of 2 ports up, eth1 active; team1: 0 of 0 ports up"
        );
        assert_eq!(
            line(&["bad.conf"], &teams[1..]),
            "not started: bad.conf; team1: 0 of 0 ports up"
        );
        assert_eq!(line(&[], &[]), "");
    }

    #[test]
    fn of_many_teams_the_line_names_those_that_do_not_carry() {
        let mut teams = vec![("teamN: 2 of 2 ports up", true); 511];
        teams.insert(7, ("team7: 0 of 2 ports up", false));
        assert_eq!(line(&[], &teams), "512 teams, 511 carry; team7: 0 of 2 ports up");
        assert_eq!(
            line(&["bad.conf"], &teams),
            "512 teams, 511 carry; not started: bad.conf; team7: 0 of 2 ports up"
        );
    }

    #[test]
    fn a_long_line_is_cut() {
        let long = "x".repeat(LENGTH + 1);
        assert_eq!(line(&[&long], &[]), "and 1 more");
        let text = line(&[], &vec![("team7: 0 of 2 ports up", false); 1000]);
        assert!(text.starts_with("1000 teams, 0 carry; team7: 0 of 2 ports up; "), "{text}");
        assert!(text.ends_with("; and 980 more"), "{text}");
        assert!(text.len() < LENGTH + 20);
    }
}

//! One picture of `top`: teams, ports with bars, the last events. Pure.

use crate::client::status::text::{age, carrier, elsewhere, rate};
use crate::client::style::{Style, Tone, wrap};
use crate::state::status::{PortStatus, Status};
use crate::text::{cut, pad, printable};

/// A team in the picture.
#[derive(Debug, Default)]
pub struct Shown {
    /// Name of the team device.
    pub device: String,
    /// The status.
    pub status: Status,
    /// Buckets by port; empty under a runner without buckets.
    pub buckets: Vec<(String, usize)>,
    /// The last events, oldest first, one line each.
    pub news: Vec<String>,
}

/// Narrowest bar that says something.
const NARROWEST: usize = 4;
/// Columns of a name.
const NAME: usize = 10;
/// Columns of a port without its bars: indent, name, role, words and rates.
const FIXED: usize = 2 + NAME + 1 + 10 + 2 * (1 + 3 + 1 + 11);

/// Returns the lines of the picture, none longer than `columns`, and no more than `rows`.
pub fn lines(teams: &[Shown], columns: usize, rows: usize, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    for team in teams {
        lines.push(style.paint(Tone::Head, &cut(&printable(&heading(team)), columns)));
        if let Some(why) = elsewhere(&team.status) {
            let why = wrap(why, 4, columns);
            lines.extend(why.lines().map(|line| cut(line, columns)));
        }
        for (name, port) in team.status.ports() {
            let buckets = team.buckets.iter().find(|(known, _)| known == name);
            lines.push(port_line(name, port, columns, style));
            if let Some(note) = note(port, buckets.map(|(_, count)| *count)) {
                lines.push(cut(&format!("    {note}"), columns));
            }
        }
    }
    lines.push(String::new());
    // The last line says how to leave.
    let room = rows.saturating_sub(lines.len() + 1);
    let news: Vec<&String> = teams.iter().flat_map(|team| &team.news).collect();
    let news = &news[news.len().saturating_sub(room)..];
    lines.extend(news.iter().map(|line| cut(&printable(line), columns)));
    let fitting = rows.saturating_sub(1);
    let last = match lines.len().checked_sub(fitting) {
        Some(hidden @ 1..) => format!("q: quit; {hidden} lines more: teamrctl status"),
        _ => "q: quit".to_owned(),
    };
    lines.truncate(fitting);
    lines.push(cut(&last, columns));
    lines
}

fn heading(team: &Shown) -> String {
    let status = &team.status;
    let mut text = format!("{}  {}", team.device, status.runner.as_deref().unwrap_or_default());
    text += &format!(", {}", carrier(status));
    if let Some((rx, tx)) = status.rx_rate.zip(status.tx_rate) {
        text += &format!(", in {}, out {}", rate(rx), rate(tx));
    }
    let failovers = status.failovers.as_ref().and_then(|failovers| failovers.count);
    if let Some(count) = failovers.filter(|count| *count > 0) {
        let ending = if count == 1 { "" } else { "s" };
        text += &format!(", {count} failover{ending}");
    }
    text
}

fn port_line(name: &str, port: &PortStatus, columns: usize, style: Style) -> String {
    let role = port.role.as_deref().unwrap_or("-");
    let tone = match role {
        "out" => Tone::Bad,
        "backup" | "-" => Tone::Plain,
        _ => Tone::Good,
    };
    let width = columns.saturating_sub(FIXED) / 2;
    let speed = port.speed.and_then(|speed| u64::try_from(speed).ok()).unwrap_or(0);
    let speed = speed.saturating_mul(1_000_000);
    let way = |word: &str, bits: Option<u64>| {
        let shown = bits.map_or_else(|| "-".to_owned(), rate);
        let bar = match width {
            NARROWEST.. => bar(bits.unwrap_or(0), speed, width - 1) + " ",
            _ => String::new(),
        };
        format!(" {word:3} {bar}{shown:<11}")
    };
    let ways = way("in", port.rx_rate) + &way("out", port.tx_rate);
    let name = pad(&cut(&printable(name), NAME), NAME);
    let text = cut(&format!("  {name} {role:10}{ways}"), columns);
    // The role is in the columns that follow the name.
    let before = format!("  {name} ");
    match text.strip_prefix(&*before).and_then(|rest| rest.strip_prefix(role)) {
        Some(rest) => format!("{before}{}{}", style.paint(tone, role), rest.trim_end()),
        None => text,
    }
}

/// Returns a bar of `width` columns, filled by the part that `bits` is of `speed`.
fn bar(bits: u64, speed: u64, width: usize) -> String {
    let filled = match speed {
        0 => 0,
        _ => (u128::from(bits.min(speed)) * width as u128).div_ceil(u128::from(speed)) as usize,
    };
    "#".repeat(filled) + &".".repeat(width - filled)
}

/// Returns what else is to say of a port.
fn note(port: &PortStatus, buckets: Option<usize>) -> Option<String> {
    let lost = port.drops.unwrap_or(0).saturating_add(port.errors.unwrap_or(0));
    let parts = [
        port.why.clone(),
        buckets.map(|count| format!("{count} of 256 buckets")),
        port.partner.as_ref().map(|partner| format!("LACP partner {partner}")),
        (lost > 0).then(|| format!("{lost} frames lost")),
        port.last_change
            .clone()
            .zip(port.changed_ago)
            .map(|(change, ago)| format!("{change}, {} ago", age(ago))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| printable(&parts.join("; ")).into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::state::Part;

    fn shown() -> Shown {
        let port = |role, speed, rx| json!({"role": role, "speed": speed, "rx_rate": rx, "tx_rate": 0, "link": true});
        let status = json!({
            "runner": "loadbalance", "carrier": true, "rx_rate": 500_000_000, "tx_rate": 0,
            "failovers": {"count": 2},
            "ports": {"eth1": port("carries", 1000, 500_000_000), "eth2": port("out", 0, 0)},
        });
        Shown {
            device: "team0".to_owned(),
            status: Status::read(&status).expect("a status"),
            buckets: vec![("eth1".to_owned(), 256)],
            news: (0..100).map(|number| format!("news {number}")).collect(),
        }
    }

    #[test]
    fn a_picture_has_bars_and_the_last_news() {
        let lines = lines(&[shown()], 80, 8, Style::Plain);
        assert_eq!(
            lines,
            [
                "team0  loadbalance, carrier up, in 500 Mbit/s, out 0 bit/s, 2 failovers",
                "  eth1       carries    in  ######..... 500 Mbit/s  out ........... 0 bit/s",
                "    256 of 256 buckets",
                "  eth2       out        in  ........... 0 bit/s     out ........... 0 bit/s",
                "",
                "news 98",
                "news 99",
                "q: quit",
            ]
        );
    }

    #[test]
    fn an_unknown_carrier_has_its_reason() {
        let status = Status { carrier: None, up: None, ..shown().status };
        let team = Shown { status, ..shown() };
        let lines = lines(&[team], 80, 24, Style::Plain);
        assert!(lines[0].starts_with("team0  loadbalance, carrier unknown, in "), "{lines:?}");
        assert!(lines[1].starts_with("    /sys lacks the device. Run teamrctl where"), "{lines:?}");
        assert!(lines[2].ends_with("or in the daemon's container."), "{lines:?}");
    }

    #[test]
    fn a_picture_fits_every_terminal() {
        for (columns, rows) in [(1, 1), (20, 5), (40, 3), (80, 24), (300, 100)] {
            let lines = lines(&[shown(), shown()], columns, rows, Style::Plain);
            assert!(lines.len() <= rows, "{lines:?}");
            let longest = lines.iter().map(|line| crate::text::columns(line)).max();
            assert!(longest <= Some(columns), "{columns}: {lines:?}");
        }
        let lines = lines(&[shown()], 80, 4, Style::Plain);
        assert_eq!(
            lines.last().map(String::as_str),
            Some("q: quit; 2 lines more: teamrctl status")
        );
    }

    /// Names of interfaces from a stranger.
    #[test]
    fn a_name_breaks_no_line() {
        let mut team = shown();
        team.device = "te\u{202e}am".to_owned();
        let names = ["日本語ポート", "out1", "esc\x1b[2J"];
        let port = |name: &&str| (name.to_string(), json!({"role": "out", "why": "no link"}));
        let ports: serde_json::Map<_, _> = names.iter().map(port).collect();
        team.status = Status::read(&json!({"runner": "slb", "ports": ports})).expect("a status");
        for columns in [10, 20, 80, 500] {
            for line in lines(std::slice::from_ref(&team), columns, 40, Style::Plain) {
                assert!(crate::text::columns(&line) <= columns, "{line:?}");
                assert!(!line.contains(|letter: char| letter.is_control()), "{line:?}");
            }
        }
        let coloured = port_line(
            "out1",
            &PortStatus { role: Some("out".to_owned()), ..PortStatus::default() },
            80,
            Style::Coloured,
        );
        assert!(coloured.starts_with("  out1       \x1b[31mout\x1b[0m"), "{coloured:?}");
    }

    #[test]
    fn a_bar_is_full_at_the_speed_of_the_link() {
        assert_eq!(bar(0, 1000, 4), "....");
        assert_eq!(bar(1, 1000, 4), "#...");
        assert_eq!(bar(1000, 1000, 4), "####");
        assert_eq!(bar(u64::MAX, 1000, 4), "####");
        assert_eq!(bar(5, 0, 4), "....");
    }
}

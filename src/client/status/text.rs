//! The status of a team as text of at most [`COLUMNS`] columns.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::client::style::{COLUMNS, Style, Tone, wrap};
use crate::state::OrEmpty;
use crate::state::status::{FindingStatus, PortStatus, Status};
use crate::text::{columns, pad, printable};

/// Blanks before each line below the name of a team.
const INDENT: usize = 2;
/// Blanks between two columns of a table.
const GAP: usize = 2;
/// Width of the labels above the table.
const LABEL: usize = 11;

/// Why the carrier of a device that /sys lacks is unknown, with the remedy.
const ELSEWHERE: &str = "/sys lacks the device. Run teamrctl where the daemon runs: \
                             ip netns exec NAME teamrctl status, or in the daemon's container.";

/// A cell of a table with its colour.
type Cell = (String, Tone);

/// Returns the whole status of a team.
pub fn status(device: &str, status: &Status, style: Style) -> String {
    let mut text = style.paint(Tone::Head, &printable(device)) + "\n";
    for (label, value, tone) in lines(status) {
        let wrapped = wrap(&printable(&value), INDENT + LABEL, COLUMNS);
        let value = wrapped.trim_start();
        let _ = write!(text, "{:INDENT$}{label:LABEL$}{}", "", style.paint(tone, value.trim_end()));
        text.push('\n');
    }
    if status.ports().next().is_some() {
        text.push('\n');
        text += &table(status, style);
    }
    let findings: Vec<&FindingStatus> = status.findings.iter().flat_map(|list| &list.0).collect();
    text += &unexplained(status, &findings);
    for finding in findings {
        text.push('\n');
        text += &self::finding(finding, style);
    }
    text
}

/// Returns the ports of a team, each with the reason that keeps it out.
pub fn ports(device: &str, status: &Status, style: Style) -> String {
    let table = table(status, style);
    style.paint(Tone::Head, &printable(device)) + "\n" + &table + &unexplained(status, &[])
}

/// Returns the carrier of a team in two words.
pub fn carrier(status: &Status) -> &'static str {
    match (status.up, status.carrier) {
        (Some(false), _) => "set down",
        (_, Some(true)) => "carrier up",
        (_, Some(false)) => "carrier down",
        (_, None) => "carrier unknown",
    }
}

/// Returns [`ELSEWHERE`] for a device that /sys lacks.
pub fn elsewhere(status: &Status) -> Option<&'static str> {
    (status.up.is_none() && status.carrier.is_none()).then_some(ELSEWHERE)
}

/// Returns the reason of each port that is out, unless a finding names the port.
fn unexplained(status: &Status, findings: &[&FindingStatus]) -> String {
    let is_named = |name: &str| {
        let causes = findings.iter().filter_map(|finding| finding.cause.as_deref());
        let mut words = causes.flat_map(|cause| cause.split([' ', ',', '.', ':', '"']));
        words.any(|word| word == name)
    };
    let out = status.ports().filter_map(|(name, port)| Some((name, port.why.as_deref()?)));
    let out = out.filter(|(name, _)| !is_named(name));
    out.map(|(name, why)| wrap(&printable(&format!("{name} is out: {why}")), INDENT, COLUMNS))
        .collect()
}

/// Returns the label, the value and the colour of each line above the table.
fn lines(status: &Status) -> Vec<(&'static str, String, Tone)> {
    let mut lines = vec![("runner", runner(status), Tone::Plain)];
    let partners: BTreeSet<&str> =
        status.ports().filter_map(|(_, port)| port.partner.as_deref()).collect();
    if !partners.is_empty() {
        let partners: Vec<&str> = partners.into_iter().collect();
        lines.push(("partner", partners.join(", "), Tone::Plain));
    }
    lines.push(match (status.up, status.carrier) {
        (Some(false), _) => ("carrier", "none, the device is set down".to_owned(), Tone::Bad),
        (_, Some(true)) => ("carrier", "up".to_owned(), Tone::Good),
        (_, Some(false)) => ("carrier", "down".to_owned(), Tone::Bad),
        (Some(true), None) => ("carrier", "unknown".to_owned(), Tone::Notice),
        (None, None) => ("carrier", format!("unknown: {ELSEWHERE}"), Tone::Notice),
    });
    if let Some(data_path) = &status.data_path {
        let refused = status.data_path_refused.or_empty();
        let refused = [("kernel", &refused.kernel), ("programs", &refused.programs)];
        let refused = refused.iter().filter_map(|(kind, why)| Some((kind, why.as_ref()?)));
        let refused: Vec<String> =
            refused.map(|(kind, why)| format!("{kind} fails: {why}")).collect();
        let value = match refused.is_empty() {
            true => data_path.clone(),
            false => format!("{data_path} ({})", refused.join("; ")),
        };
        lines.push(("data path", value, Tone::Plain));
    }
    let parts = [
        status.hwaddr.clone(),
        status.mtu.map(|mtu| format!("MTU {mtu}")),
        status.master.as_ref().map(|master| format!("port of {master}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    lines.push(("device", parts.join(", "), Tone::Plain));
    if let Some((rx, tx)) = status.rx_rate.zip(status.tx_rate) {
        lines.push(("rate", format!("{} in, {} out", rate(rx), rate(tx)), Tone::Plain));
    }
    let failovers = status.failovers.or_empty();
    if let Some(count) = failovers.count.filter(|count| *count > 0) {
        // The state shows a duration below 1 µs as 0.
        let within = failovers.last_us.unwrap_or(0).div_ceil(1000).max(1);
        let value = format!("{count}, the last within {within} ms of the link event");
        lines.push(("failovers", value, Tone::Plain));
    }
    if let Some(left) = status.trial_ends_in.filter(|left| *left > 0) {
        let value = format!("the configuration is on trial for {} more", age(left));
        lines.push(("trial", value, Tone::Notice));
    }
    lines
}

fn runner(status: &Status) -> String {
    let name = status.runner.as_deref().unwrap_or("unknown");
    match (&status.active_port, &status.designated_port) {
        (Some(active), _) if active.is_empty() => format!("{name}, no active port"),
        (Some(active), _) => format!("{name}, active port {active}"),
        (None, Some(designated)) => format!("{name}, designated port {designated}"),
        (None, None) => name.to_owned(),
    }
}

fn finding(finding: &FindingStatus, style: Style) -> String {
    let (word, tone) = match finding.problem {
        Some(true) => ("problem", Tone::Bad),
        _ => ("notice", Tone::Notice),
    };
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    let id = or_empty(&finding.id);
    let cause = format!("{word}: {} [{id}]", printable(&or_empty(&finding.cause)));
    let cause = wrap(&cause, INDENT, COLUMNS);
    let cause = cause.replacen(word, &style.paint(tone, word), 1);
    cause + &wrap(&printable(&or_empty(&finding.cure)), 2 * INDENT + 2, COLUMNS)
}

/// Returns the table of the ports, or a block for each port if a row is too long.
fn table(status: &Status, style: Style) -> String {
    let heads = ["PORT", "LINK", "ROLE", "IN", "OUT", "LOST", "CHANGED"];
    let rows: Vec<[Cell; 7]> = status.ports().map(|(name, port)| row(name, port)).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| columns(&row[column].0));
        cells.chain([heads[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let whole = INDENT + widths.iter().sum::<usize>() + GAP * (heads.len() - 1);
    if whole > COLUMNS {
        return blocks(&heads, &rows, style);
    }
    let line = |cells: &[Cell]| {
        let cells = cells.iter().zip(&widths);
        let cells = cells.map(|((text, tone), width)| style.paint(*tone, &pad(text, *width)));
        let line = cells.collect::<Vec<String>>().join(&" ".repeat(GAP));
        format!("{:INDENT$}{}\n", "", line.trim_end())
    };
    let heads = heads.map(|head| (head.to_owned(), Tone::Head));
    line(&heads) + &rows.iter().map(|row| line(row)).collect::<String>()
}

/// Returns a block of lines for each port.
fn blocks(heads: &[&str; 7], rows: &[[Cell; 7]], style: Style) -> String {
    let mut text = String::new();
    for row in rows {
        let [(name, _), cells @ ..] = row;
        let _ = writeln!(text, "{:INDENT$}{}", "", style.paint(Tone::Head, name));
        for (head, (value, tone)) in heads.iter().skip(1).zip(cells) {
            let label = head.to_lowercase();
            let value = style.paint(*tone, value);
            let _ = writeln!(text, "{:indent$}{label:LABEL$}{value}", "", indent = 2 * INDENT);
        }
    }
    text
}

fn row(name: &str, port: &PortStatus) -> [Cell; 7] {
    const UNKNOWN: &str = "-";
    let plain = |value: Option<String>| (value.unwrap_or_else(|| UNKNOWN.to_owned()), Tone::Plain);
    let role = port.role.clone().unwrap_or_else(|| UNKNOWN.to_owned());
    let role_tone = match role.as_str() {
        "out" => Tone::Bad,
        "backup" | UNKNOWN => Tone::Plain,
        _ => Tone::Good,
    };
    let lost = port.drops.unwrap_or(0).checked_add(port.errors.unwrap_or(0));
    let lost = lost.filter(|_| port.drops.is_some() || port.errors.is_some());
    let lost_tone = if lost > Some(0) { Tone::Notice } else { Tone::Plain };
    [
        (printable(name).into_owned(), Tone::Plain),
        link(port),
        (role, role_tone),
        plain(port.rx_rate.map(rate)),
        plain(port.tx_rate.map(rate)),
        (plain(lost.map(|lost| lost.to_string())).0, lost_tone),
        plain(port.changed_ago.map(|ago| format!("{} ago", age(ago)))),
    ]
}

fn link(port: &PortStatus) -> Cell {
    let (Some(true), speed) = (port.link, port.speed.unwrap_or(-1)) else {
        return match port.link {
            Some(_) => ("down".to_owned(), Tone::Bad),
            None => ("-".to_owned(), Tone::Plain),
        };
    };
    let half = if port.duplex.as_deref() == Some("half") && speed > 0 { " half" } else { "" };
    let tone = if half.is_empty() { Tone::Plain } else { Tone::Bad };
    match u64::try_from(speed) {
        Ok(speed @ 1..) => (rate(speed.saturating_mul(1_000_000)) + half, tone),
        _ => ("up".to_owned(), tone),
    }
}

/// Returns a rate in bit/s with three digits: `1.25 Mbit/s`.
pub fn rate(bits: u64) -> String {
    const UNITS: [&str; 5] = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"];
    let mut value = bits as f64;
    let mut unit = 0;
    // 999.5 would be written as 1000.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = match value {
        _ if unit == 0 || value >= 99.95 => 0,
        9.995.. => 1,
        _ => 2,
    };
    let number = format!("{value:.digits$}");
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => &number,
    };
    format!("{number} {}", UNITS[unit])
}

/// Returns a time in its largest unit: `93 s`, `2 h`.
pub fn age(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::state::Part;

    fn shown(status: &Value) -> String {
        super::status("team0", &Status::read(status).expect("a status"), Style::Plain)
    }

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        for (bits, text) in [
            (0, "0 bit/s"),
            (999, "999 bit/s"),
            (1000, "1 kbit/s"),
            (1250, "1.25 kbit/s"),
            (12_340_000, "12.3 Mbit/s"),
            (123_400_000, "123 Mbit/s"),
            (999_600_000, "1 Gbit/s"),
            (10_000_000_000, "10 Gbit/s"),
            (u64::MAX, "18446744 Tbit/s"),
        ] {
            assert_eq!(rate(bits), text);
        }
        for (millis, text) in
            [(999, "0 s"), (119_999, "119 s"), (120_000, "2 min"), (7_200_000, "2 h")]
        {
            assert_eq!(age(millis), text);
        }
        assert_eq!(age(u64::MAX), "213503982334 days");
    }

    #[test]
    fn a_status_fits_one_screen() {
        let port = json!({
            "link": true, "speed": 10_000, "duplex": "full", "role": "active",
            "rx_rate": 1_234_000, "tx_rate": 0, "drops": 3, "errors": 1, "changed_ago": 200_000,
        });
        let lost = json!({"link": false, "speed": 0, "role": "out", "why": "no link"});
        let status = json!({
            "runner": "activebackup", "active_port": "eth1", "up": true, "carrier": true,
            "data_path": "relay", "data_path_refused": {"kernel": "no driver", "programs": "EPERM"},
            "hwaddr": "02:00:00:00:00:01", "mtu": 1500, "master": "br0",
            "rx_rate": 1_234_000, "tx_rate": 12, "failovers": {"count": 2, "last_us": 1234},
            "trial_ends_in": 93_000,
            "ports": {"eth1": port, "eth2": lost},
            "findings": [{"id": "port-without-link", "problem": true,
                "cause": "eth2 is without a link.", "cure": "Check its cable."}],
        });
        let expected = "\
team0
  runner     activebackup, active port eth1
  carrier    up
  data path  relay (kernel fails: no driver; programs fails: EPERM)
  device     02:00:00:00:00:01, MTU 1500, port of br0
  rate       1.23 Mbit/s in, 12 bit/s out
  failovers  2, the last within 2 ms of the link event
  trial      the configuration is on trial for 93 s more

  PORT  LINK       ROLE    IN           OUT      LOST  CHANGED
  eth1  10 Gbit/s  active  1.23 Mbit/s  0 bit/s  4     3 min ago
  eth2  down       out     -            -        -     -

  problem: eth2 is without a link. [port-without-link]
      Check its cable.
";
        assert_eq!(shown(&status), expected);
    }

    #[test]
    fn a_port_without_a_finding_has_its_reason() {
        let mut status = json!({
            "runner": "lacp", "up": true, "carrier": true,
            "ports": {
                "eth1": {"role": "out", "why": "no link"},
                "eth2": {"role": "out", "why": "its key is 2"},
            },
            "findings": [{"id": "port-without-link", "problem": true,
                "cause": "eth1 is without a link.", "cure": "Check its cable."}],
        });
        let text = shown(&status);
        assert!(text.contains("\n  eth2 is out: its key is 2\n\n  problem: eth1 is"), "{text}");
        assert!(!text.contains("eth1 is out"), "{text}");
        status["findings"] = json!([]);
        assert!(shown(&status).contains("\n  eth1 is out: no link\n"));
    }

    /// teamrctl sees /sys of another network namespace than the daemon's.
    #[test]
    fn an_unknown_carrier_has_its_reason() {
        let text = shown(&json!({"runner": "slb"}));
        assert!(text.contains("carrier    unknown: /sys lacks the device."), "{text}");
        let text = shown(&json!({"runner": "slb", "up": true}));
        assert!(text.contains("carrier    unknown\n"), "{text}");
    }

    #[test]
    fn no_line_is_longer_than_a_terminal() {
        let port = |number: u64| {
            json!({
                "link": true, "speed": 100_000, "duplex": "half", "role": "designated",
                "rx_rate": 123_400_000, "tx_rate": 123_400_000, "drops": number << 40,
                "errors": 0, "changed_ago": 200_000, "why": "long ".repeat(40),
            })
        };
        let long_name = |number: u64| format!("enp130s0f{number}np{number}d");
        for count in [1, 4, 5, 64] {
            let ports = (0..count).map(|number| (long_name(number), port(number)));
            let ports: serde_json::Map<String, Value> = ports.collect();
            let status = json!({
                "runner": "slb", "designated_port": long_name(0), "ports": ports,
                "data_path": "relay", "data_path_refused": {"kernel": "word ".repeat(50)},
                "findings": [{"cause": "word ".repeat(50), "cure": "word ".repeat(50)}],
            });
            let status = Status::read(&status).expect("a status");
            for text in [super::status("team0", &status, Style::Plain), ports_of(&status)] {
                let longest = text.lines().map(|line| line.chars().count()).max();
                assert!(longest <= Some(COLUMNS), "{text}");
            }
        }
    }

    fn ports_of(status: &Status) -> String {
        super::ports("team0", status, Style::Plain)
    }

    #[test]
    fn names_from_outside_cannot_command_the_terminal() {
        let status = json!({"ports": {"\x1b[2J": {"why": "\x1b[2J"}}, "data_path": "\x1b[2J"});
        assert!(!shown(&status).contains('\x1b'));
        let status = Status::read(&status).expect("a status");
        assert!(!ports_of(&status).contains('\x1b'));
    }
}

//! A team as an SVG picture. Pure.

use std::fmt::Write;

use super::Neighbour;
use crate::client::status::text::{carrier, elsewhere, rate};
use crate::client::style::wrap;
use crate::state::status::{PortStatus, Status};
use crate::text::printable;

/// What the picture shows.
#[derive(Debug, Default)]
pub struct Scene {
    /// Name of the team device.
    pub device: String,
    /// The status of the team.
    pub status: Status,
    /// Switch ports at the other ends, by port.
    pub neighbours: Vec<(String, Neighbour)>,
    /// Hardware addresses of guests with the ports that send their frames.
    pub guests: Vec<(String, String)>,
}

/// Height of a port with the gap below.
const ROW: usize = 90;
/// Height of a box of a port.
const BOX: usize = 70;
const MARGIN: usize = 20;
/// Height of a line of text.
const LINE: usize = 18;
/// Left edges and width of the three columns: team, ports, neighbours.
const COLUMNS: [usize; 3] = [20, 320, 640];
const WIDTH: usize = 240;
/// Characters that fit a box.
const LETTERS: usize = 32;

/// Returns the picture.
pub fn draw(scene: &Scene) -> String {
    let ports: Vec<(&str, &PortStatus)> = scene.status.ports().collect();
    let team = team_lines(scene);
    let guests: Vec<String> =
        scene.guests.iter().map(|(hwaddr, port)| format!("{hwaddr} on {port}")).collect();
    let left = (team.len() + guests.len() + 3) * LINE + 2 * MARGIN;
    let height = left.max(ports.len() * ROW) + 2 * MARGIN;
    let width = COLUMNS[2] + WIDTH + MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let team_height = (team.len() + 1) * LINE;
    boxed(&mut svg, [COLUMNS[0], MARGIN, team_height], "black", &team);
    if !guests.is_empty() {
        let top = MARGIN + team_height + MARGIN;
        boxed(&mut svg, [COLUMNS[0], top, (guests.len() + 1) * LINE], "gray", &guests);
        line(
            &mut svg,
            [COLUMNS[0] + WIDTH / 2, MARGIN + team_height],
            [COLUMNS[0] + WIDTH / 2, top],
            "gray",
        );
    }
    let hub = [COLUMNS[0] + WIDTH, MARGIN + team_height / 2];
    for (row, (name, port)) in ports.iter().enumerate() {
        let top = MARGIN + row * ROW;
        let colour = match port.role.as_deref() {
            Some("out") => "red",
            Some("backup") => "gray",
            _ => "green",
        };
        line(&mut svg, hub, [COLUMNS[1], top + BOX / 2], colour);
        boxed(&mut svg, [COLUMNS[1], top, BOX], colour, &port_lines(name, port));
        let neighbour = scene.neighbours.iter().find(|(known, _)| known == name);
        let far = far_lines(port, neighbour.map(|(_, neighbour)| neighbour));
        if !far.is_empty() {
            let middle = top + BOX / 2;
            let link = if port.link == Some(true) { "black" } else { "red" };
            line(&mut svg, [COLUMNS[1] + WIDTH, middle], [COLUMNS[2], middle], link);
            boxed(&mut svg, [COLUMNS[2], top, BOX], "black", &far);
        }
    }
    svg + "</svg>\n"
}

fn team_lines(scene: &Scene) -> Vec<String> {
    let status = &scene.status;
    let why = elsewhere(status).map(|why| wrap(why, 0, LETTERS));
    let why = why.iter().flat_map(|why| why.lines().map(str::to_owned));
    let data_path = status.data_path.as_ref();
    let lines = [
        Some(scene.device.clone()),
        status.runner.clone(),
        Some(carrier(status).to_owned()),
        data_path.map(|data_path| format!("data path {data_path}")),
        status.hwaddr.clone(),
        status.master.as_ref().map(|master| format!("port of {master}")),
    ];
    lines.into_iter().flatten().chain(why).collect()
}

fn port_lines(name: &str, port: &PortStatus) -> Vec<String> {
    let speed = port.speed.and_then(|speed| u64::try_from(speed).ok()).filter(|speed| *speed > 0);
    let link = match (port.link, speed) {
        (Some(true), Some(speed)) => rate(speed.saturating_mul(1_000_000)),
        (Some(true), None) => "link up".to_owned(),
        _ => "no link".to_owned(),
    };
    let role = port.role.as_deref().unwrap_or("unknown");
    let rates = port.rx_rate.zip(port.tx_rate);
    let rates = rates.map(|(rx, tx)| format!("in {}, out {}", rate(rx), rate(tx)));
    [Some(format!("{name}, {role}")), Some(link), rates].into_iter().flatten().collect()
}

fn far_lines(port: &PortStatus, neighbour: Option<&Neighbour>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(Neighbour { system, port }) = neighbour {
        lines.extend([system.clone(), port.clone()]);
    }
    lines.extend(port.partner.as_ref().map(|partner| format!("LACP {partner}")));
    lines
}

/// Adds a box with lines of text; `place` has the left edge, the upper edge and the height.
fn boxed(svg: &mut String, place: [usize; 3], colour: &str, lines: &[String]) {
    let [x, y, height] = place;
    let _ = writeln!(
        svg,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\" fill=\"white\" \
         stroke=\"{colour}\" stroke-width=\"2\"/>"
    );
    for (place, text) in (1..).zip(lines) {
        let (x, y) = (x + 10, y + place * LINE);
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\">{}</text>", escaped(text));
    }
}

fn line(svg: &mut String, from: [usize; 2], to: [usize; 2], colour: &str) {
    let ([x1, y1], [x2, y2]) = (from, to);
    let _ = writeln!(
        svg,
        "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke=\"{colour}\" \
         stroke-width=\"2\"/>"
    );
}

/// Returns the beginning of `text` that fits a box, as XML. A newline becomes a blank.
fn escaped(text: &str) -> String {
    let text = printable(text);
    let fitting = text.chars().take(LETTERS);
    fitting.fold(String::new(), |text, letter| match letter {
        '&' => text + "&amp;",
        '<' => text + "&lt;",
        '>' => text + "&gt;",
        '\n' | '\t' => text + " ",
        other => text + other.encode_utf8(&mut [0; 4]),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::state::Part;

    fn scene(ports: usize) -> Scene {
        let port = json!({"role": "carries", "link": true, "speed": 1000, "rx_rate": 1, "tx_rate": 2,
            "partner": "02:00:00:00:00:07"});
        let ports = (0..ports).map(|number| (format!("eth<{number}>"), port.clone()));
        let ports: serde_json::Map<_, _> = ports.collect();
        let status = json!({"runner": "lacp", "carrier": true, "ports": ports});
        let neighbour =
            Neighbour { system: "switch & co\x1b".to_owned(), port: "Gi1/0/1".to_owned() };
        Scene {
            device: "team0".to_owned(),
            status: Status::read(&status).expect("a status"),
            neighbours: vec![("eth<0>".to_owned(), neighbour)],
            guests: vec![("52:54:00:00:00:01".to_owned(), "eth<1>".to_owned())],
        }
    }

    #[test]
    fn a_picture_shows_team_ports_neighbours_and_guests() {
        let svg = draw(&scene(2));
        for text in [
            ">team0<",
            ">eth&lt;0&gt;, carries<",
            ">switch &amp; co\\x1b<",
            ">Gi1/0/1<",
            ">LACP 02:00:00:00:00:07<",
            ">52:54:00:00:00:01 on eth&lt;1&gt;<",
        ] {
            assert!(svg.contains(text), "{text}\n{svg}");
        }
    }

    #[test]
    fn an_unknown_carrier_has_its_reason() {
        let mut scene = scene(2);
        assert!(!draw(&scene).contains("/sys"), "the carrier is known");
        scene.status.carrier = None;
        let svg = draw(&scene);
        for text in [">carrier unknown<", ">/sys lacks the device. Run<", ">container.<"] {
            assert!(svg.contains(text), "{text}\n{svg}");
        }
    }

    #[test]
    fn every_element_is_closed_and_inside_the_picture() {
        for ports in [0, 1, 64] {
            let svg = draw(&scene(ports));
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
            assert_eq!(svg.matches("<text ").count(), svg.matches("</text>").count());
            assert!(!svg.contains(|letter: char| letter.is_control() && letter != '\n'));
            let number = |text: &str| text.split('"').next().and_then(|text| text.parse().ok());
            let height: usize = svg.split(" height=\"").nth(1).and_then(number).expect("a height");
            let lowest = svg.split(" y=\"").skip(1).filter_map(number).max();
            assert!(lowest < Some(height), "{svg}");
        }
    }
}

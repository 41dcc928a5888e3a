//! `draw`: a team as a picture for a ticket: ports, switch ports, LACP partners, guests.

mod lldp;
mod svg;

use std::thread;

use runners::hex_digits;

use super::command::Command;
use super::error::Error;
use super::facts::guests;
use super::options::Options;
use super::status::{INTERVAL, Observed};
use super::teams;
use svg::Scene;

/// A switch port at the other end of a cable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Name of the switch, or its id without a name.
    system: String,
    /// Its port.
    port: String,
}

/// Guests in the picture at most.
const GUESTS: usize = 40;

/// Returns the picture of a team.
///
/// # Errors
/// When the daemon does not answer.
pub fn execute(device: &str, command: &Command, options: &Options) -> Result<String, Error> {
    let mut team = Observed::begin(teams::connect(device, options)?, command)?;
    thread::sleep(INTERVAL);
    let status = team.status(command)?;
    let mut hwaddrs = guests(device);
    hwaddrs.truncate(GUESTS);
    let guests = match hwaddrs.is_empty() {
        true => Vec::new(),
        false => ports_of(&team, command, &hwaddrs)?,
    };
    let neighbours = lldp::neighbours();
    Ok(svg::draw(&Scene { device: device.to_owned(), status, neighbours, guests }))
}

/// Returns the guests with the names of the ports that send their frames; without those that have no
/// port of their own, as under runners that hash flows.
fn ports_of(
    team: &Observed,
    command: &Command,
    guests: &[[u8; 6]],
) -> Result<Vec<(String, String)>, Error> {
    let frames = guests.iter().map(|hwaddr| {
        // To an address that nobody has, of an EtherType for experiments.
        let frame = [&[2, 0, 0, 0, 0, 0][..], hwaddr, &[0x88, 0xb5]].concat();
        hex_digits::write(&frame)
    });
    let frames = frames.collect::<Vec<String>>().join(" ");
    let answers = team.call_json(command, "FramePorts", &[&frames])?;
    let answers = answers.as_array().ok_or(Error::NotJson)?;
    let of_a_station = guests.iter().zip(answers).filter_map(|(hwaddr, answer)| {
        let by_station = ["station", "active"].contains(&answer["rule"].as_str()?);
        let port = answer["ports"][0].as_str().filter(|_| by_station)?;
        Some((runners::HwAddr(*hwaddr).to_string(), port.to_owned()))
    });
    Ok(of_a_station.collect())
}

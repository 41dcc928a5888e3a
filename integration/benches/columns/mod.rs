//! A table with one column for each daemon.

use std::path::PathBuf;
use std::time::Duration;

use integration::binary;

/// The daemons in the order of the columns.
pub const DAEMONS: [Daemon; 2] = [Daemon::Teamd, Daemon::Teamr];

#[derive(Clone, Copy)]
pub enum Daemon {
    Teamd,
    Teamr,
}

impl Daemon {
    pub fn program(self) -> PathBuf {
        match self {
            Daemon::Teamd => "teamd".into(),
            Daemon::Teamr => binary("teamr"),
        }
    }
}

/// Prints the names of the columns.
pub fn head<const N: usize>(names: [&str; N]) {
    let names = names.map(|name| format!(" {name:>24}"));
    println!("{:>34}{}", "", names.concat());
}

/// Prints a row with one series of figures for each column.
pub fn row<const N: usize>(what: &str, series: [Vec<f64>; N]) {
    let cell = |mut figures: Vec<f64>| {
        figures.sort_by(f64::total_cmp);
        match figures[..] {
            [one] => format!("{one:.1}"),
            _ => format!(
                "{:.1} [{:.1} {:.1}]",
                figures[figures.len() / 2],
                figures[0],
                figures[figures.len() - 1]
            ),
        }
    };
    let cells = series.map(cell).map(|cell| format!(" {cell:>24}"));
    println!("{what:>34}{}", cells.concat());
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

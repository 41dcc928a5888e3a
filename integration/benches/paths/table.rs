//! Runs in pairs, with their medians as a table.
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

use std::time::Instant;

use super::measures::MEASURES;
use super::{Hosts, Path};

/// Measures all paths against the bare pair and prints a line for each row; with `pulls`, also the
/// longest silence when the active port's cable is pulled.
pub fn print(hosts: &Hosts, direct: &Path, paths: &[Path], pairs: usize, pulls: usize) {
    println!("medians of {pairs} pairs; of the paths, the ratio to the bare pair");
    line("", direct.name, paths.iter().map(|path| path.name.to_owned()));
    // Processor seconds of a path's own process, and elapsed seconds.
    let mut own_cpu = vec![(0.0, 0.0); paths.len()];
    for (rows, run) in MEASURES {
        let mut bare = vec![Vec::new(); rows.len()];
        let mut ratios = vec![vec![Vec::new(); paths.len()]; rows.len()];
        for pair in 0..pairs {
            for (column, path) in paths.iter().enumerate() {
                let (mut first, mut second) = (direct, path);
                if pair % 2 == 1 {
                    (first, second) = (second, first);
                }
                let mut figures = Vec::new();
                for it in [first, second] {
                    it.resume();
                    let (begin, before) = (Instant::now(), it.own_seconds());
                    figures.push(run(hosts, it));
                    if let (Some(before), Some(after)) = (before, it.own_seconds()) {
                        own_cpu[column].0 += after - before;
                        own_cpu[column].1 += begin.elapsed().as_secs_f64();
                    }
                    it.pause();
                }
                if pair % 2 == 1 {
                    figures.swap(0, 1);
                }
                for (row, (bare, ratios)) in bare.iter_mut().zip(&mut ratios).enumerate() {
                    bare.push(figures[0][row]);
                    ratios[column].push(figures[1][row] / figures[0][row]);
                }
            }
        }
        for ((row, bare), ratios) in rows.iter().zip(bare).zip(ratios) {
            let cells = ratios.into_iter().map(|ratios| match median(ratios) {
                Some(ratio) => format!("{ratio:.2}"),
                None => "-".to_owned(),
            });
            line(row, &median(bare).map_or("-".to_owned(), short), cells);
        }
    }
    if pulls > 0 {
        let silences = paths.iter().map(|path| {
            let silence = path.silence(hosts, pulls);
            silence.map_or_else(String::new, |silence| format!("{silence:.1}"))
        });
        line("longest silence at a pulled cable, ms", "", silences);
    }
    let own = own_cpu.iter().map(|(worked, went_by)| match went_by {
        0.0 => String::new(),
        _ => format!("{:.1}", worked / went_by * 100.0),
    });
    line("own CPU in all these runs, %", "", own);
}

/// Prints a line of the table.
pub fn line(what: &str, bare: &str, cells: impl IntoIterator<Item = String>) {
    print!("{what:<38} {bare:>10}");
    cells.into_iter().for_each(|cell| print!(" {cell:>9}"));
    println!();
}

/// Formats a figure with at least three digits and no unnecessary decimals.
fn short(figure: f64) -> String {
    match figure {
        100.0.. => format!("{figure:.0}"),
        _ => format!("{figure:.2}"),
    }
}

/// Returns the median of the successful runs; `None` if there is none.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

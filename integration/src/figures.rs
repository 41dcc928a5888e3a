//! The figures of the benchmarks: read from what a benchmark prints, recorded with their spread, and
//! compared with a later measurement.
//!
//! Owns the record file and the table made from it. The program `figures` runs the benchmarks.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Runs at least of a benchmark whose spread is recorded.
pub const RUNS: usize = 3;
/// A figure outside its spread by less than this part of the figure is within its band.
const TOLERANCE: f64 = 0.1;

/// The figures of one run: the label of each row with the numbers of its columns.
pub type Rows = BTreeMap<String, Vec<f64>>;

/// The smallest and the largest value of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest value.
    pub low: f64,
    /// The largest value.
    pub high: f64,
}

/// The recorded figures of one benchmark.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The command that prints the figures.
    pub command: String,
    /// Processor, number of cores and kernel.
    pub machine: String,
    /// The day, as `date +%F` prints it.
    pub date: String,
    /// The number of runs.
    pub runs: usize,
    /// The spread of each column by the label of the row.
    pub figures: BTreeMap<String, Vec<Spread>>,
}

impl Spread {
    /// Whether a value is within the spread, widened by half of it and by the tolerance.
    pub fn admits(&self, value: f64) -> bool {
        let margin = (self.high - self.low) / 2.0;
        let tolerance = |bound: f64| bound.abs() * TOLERANCE;
        value >= self.low - margin - tolerance(self.low)
            && value <= self.high + margin + tolerance(self.high)
    }
}

/// Reads the rows of a benchmark's output: a label, then numbers.
///
/// A median may be followed by `[lowest highest]`, which is skipped. A label that comes again gets a
/// number.
pub fn read(output: &str) -> Rows {
    let mut rows = Rows::new();
    for (label, numbers) in output.lines().filter_map(read_row) {
        let mut name = label.clone();
        for number in 2.. {
            if !rows.contains_key(&name) {
                break;
            }
            name = format!("{label} ({number})");
        }
        rows.insert(name, numbers);
    }
    rows
}

fn read_row(line: &str) -> Option<(String, Vec<f64>)> {
    // All repetitions stand before the median.
    if let Some((repetitions, median)) = line.split_once("; median ") {
        let (label, _) = repetitions.split_once(':')?;
        return Some((label.trim().to_owned(), vec![median.trim().parse().ok()?]));
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_cell = |word: &&&str| {
        let bare = word.trim_start_matches('[').trim_end_matches(']');
        bare == "-" || bare.parse::<f64>().is_ok()
    };
    let cells = words.iter().rev().take_while(is_cell).count();
    let (label, cells) = words.split_at(words.len() - cells);
    let numbers: Vec<f64> = cells.iter().filter_map(|cell| cell.parse().ok()).collect();
    (!label.is_empty() && !numbers.is_empty()).then(|| (label.join(" "), numbers))
}

/// Returns the spread of each figure over several runs; a row that a run lacks is dropped.
pub fn spreads(runs: &[Rows]) -> BTreeMap<String, Vec<Spread>> {
    let Some((first, others)) = runs.split_first() else {
        return BTreeMap::new();
    };
    let over_runs = |(label, numbers): (&String, &Vec<f64>)| {
        let mut spreads: Vec<Spread> =
            numbers.iter().map(|value| Spread { low: *value, high: *value }).collect();
        for run in others {
            let numbers = run.get(label).filter(|numbers| numbers.len() == spreads.len())?;
            for (spread, value) in spreads.iter_mut().zip(numbers) {
                *spread = Spread { low: spread.low.min(*value), high: spread.high.max(*value) };
            }
        }
        Some((label.clone(), spreads))
    };
    first.iter().filter_map(over_runs).collect()
}

/// Returns a line for each figure of a run that left its band, and for each row that is gone.
pub fn departures(record: &Record, run: &Rows) -> Vec<String> {
    let mut found = Vec::new();
    for (label, spreads) in &record.figures {
        let Some(numbers) = run.get(label).filter(|numbers| numbers.len() == spreads.len()) else {
            found.push(format!("{label}: not measured any more"));
            continue;
        };
        for (column, (spread, value)) in (1..).zip(spreads.iter().zip(numbers)) {
            if !spread.admits(*value) {
                let Spread { low, high } = spread;
                found.push(format!("{label}, column {column}: {value}, was {low} to {high}"));
            }
        }
    }
    found
}

/// Reads the record file: an object of benchmarks.
///
/// # Errors
/// The benchmark that is malformed.
pub fn parse(text: &str) -> Result<BTreeMap<String, Record>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let benchmarks = value.as_object().ok_or("expected an object of benchmarks")?;
    let read = |(name, value): (&String, &Value)| {
        let record = parse_record(value).ok_or_else(|| format!("{name}: malformed"))?;
        Ok((name.clone(), record))
    };
    benchmarks.iter().map(read).collect()
}

fn parse_record(value: &Value) -> Option<Record> {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let spread = |value: &Value| {
        let (low, high) = (value.get(0)?.as_f64()?, value.get(1)?.as_f64()?);
        (low <= high).then_some(Spread { low, high })
    };
    let row = |(label, row): (&String, &Value)| {
        let spreads: Option<Vec<Spread>> = row.as_array()?.iter().map(spread).collect();
        Some((label.clone(), spreads?))
    };
    Some(Record {
        command: text("command")?,
        machine: text("machine")?,
        date: text("date")?,
        runs: value["runs"].as_u64()?.try_into().ok()?,
        figures: value["figures"].as_object()?.iter().map(row).collect::<Option<_>>()?,
    })
}

/// Writes the record file.
pub fn format(records: &BTreeMap<String, Record>) -> String {
    let benchmarks = records.iter().map(|(name, record)| {
        let row = |(label, spreads): (&String, &Vec<Spread>)| {
            let spreads = spreads.iter().map(|Spread { low, high }| json!([low, high]));
            (label.clone(), Value::Array(spreads.collect()))
        };
        let record = json!({
            "command": record.command,
            "machine": record.machine,
            "date": record.date,
            "runs": record.runs,
            "figures": record.figures.iter().map(row).collect::<Map<String, Value>>(),
        });
        (name.clone(), record)
    });
    let all = Value::Object(benchmarks.collect());
    format!("{all:#}\n")
}

/// Returns the recorded figures as Markdown.
pub fn document(records: &BTreeMap<String, Record>) -> String {
    let mut text = String::new();
    for (name, Record { command, machine, date, runs, figures }) in records {
        text += &format!("\n### {name}\n\n`{command}`, {runs} runs on {date}, on {machine}:\n\n");
        text += "| figure | lowest to highest, by column |\n|---|---|\n";
        for (label, spreads) in figures {
            let cells = spreads.iter().map(|Spread { low, high }| match low == high {
                true => format!("{low}"),
                false => format!("{low} to {high}"),
            });
            text += &format!("| {label} | {} |\n", cells.collect::<Vec<_>>().join("; "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
1024 frames, 101 repetitions; ns/frame
                                                 min  median
TCP/IPv4, tx_hash l3 l4                         8.17    9.41
TCP, sending, Gbit/s                        29.45      0.91         -
  CPU seconds per GB                         0.45      1.12
TCP, receiving, Gbit/s                      29.55      0.97
  CPU seconds per GB                         0.40      1.05
                 start to ready, ms            274.0 [260.1 299.0]            169.0
   2 ports, start: 6.1 6.9 6.5; median 6.5
   1     2.0 (3)     2.1 (4)
";

    fn record(figures: &[(&str, &[(f64, f64)])]) -> Record {
        let row = |(label, spreads): &(&str, &[(f64, f64)])| {
            let spreads = spreads.iter().map(|(low, high)| Spread { low: *low, high: *high });
            ((*label).to_owned(), spreads.collect())
        };
        Record {
            command: "cargo bench --bench x".into(),
            machine: "a machine".into(),
            date: "2026-01-02".into(),
            runs: 3,
            figures: figures.iter().map(row).collect(),
        }
    }

    #[test]
    fn rows_are_read_with_their_numbers_only() {
        let rows = read(OUTPUT);
        let expected: [(&str, &[f64]); 7] = [
            ("2 ports, start", &[6.5]),
            ("CPU seconds per GB", &[0.45, 1.12]),
            ("CPU seconds per GB (2)", &[0.40, 1.05]),
            ("TCP, receiving, Gbit/s", &[29.55, 0.97]),
            ("TCP, sending, Gbit/s", &[29.45, 0.91]),
            ("TCP/IPv4, tx_hash l3 l4", &[8.17, 9.41]),
            ("start to ready, ms", &[274.0, 169.0]),
        ];
        let found: Vec<(&str, &[f64])> =
            rows.iter().map(|(label, numbers)| (label.as_str(), numbers.as_slice())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn several_runs_give_the_spread() {
        let runs = ["a 1 5\nb 2\n", "a 3 4\nb 2 2\n", "a 2 6\n"].map(read);
        let expected = record(&[("a", &[(1.0, 3.0), (4.0, 6.0)])]).figures;
        assert_eq!(spreads(&runs), expected);
    }

    #[test]
    fn only_figures_outside_their_band_are_named() {
        let record =
            record(&[("a", &[(10.0, 12.0)]), ("b", &[(0.0, 0.0)]), ("gone", &[(1.0, 1.0)])]);
        let found = departures(&record, &read("a 14\nb 0\n"));
        assert_eq!(found, ["gone: not measured any more"]);
        let found = departures(&record, &read("a 20\nb 1\ngone 1\n"));
        assert_eq!(found, ["a, column 1: 20, was 10 to 12", "b, column 1: 1, was 0 to 0"]);
        let found = departures(&record, &read("a 7\nb 0\ngone 1.05\n"));
        assert_eq!(found, ["a, column 1: 7, was 10 to 12"]);
    }

    #[test]
    fn a_record_is_read_as_written() {
        let records = BTreeMap::from([("x".to_owned(), record(&[("a", &[(0.5, 3.0)])]))]);
        assert_eq!(parse(&format(&records)), Ok(records.clone()));
        assert!(document(&records).contains("| a | 0.5 to 3 |"), "{}", document(&records));
        assert_eq!(parse(r#"{"x": {}}"#), Err("x: malformed".to_owned()));
        let reversed = format(&records).replace("0.5", "4.5");
        assert_eq!(parse(&reversed), Err("x: malformed".to_owned()));
    }
}

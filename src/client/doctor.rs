//! `doctor`: finds what is wrong with teams, with a configuration or with a bond.

use std::path::Path;

use serde_json::Value;

use super::error::Error;
use super::options::Options;
use super::output::Output;
use super::{bond_facts, facts, teams};
use crate::doctor::{self, Finding, Weight};
use crate::files;
use crate::text::printable;

/// Examines running teams and returns the exit status.
pub fn examine(devices: &[String], options: &Options, output: &mut Output) -> Result<u8, Error> {
    let mut found = Vec::new();
    for device in devices {
        let team = teams::connect(device, options)?;
        let facts = facts::of_team(&team)?;
        found.push((device.clone(), doctor::diagnose(&facts)));
    }
    Ok(show(&found, options, output))
}

/// Examines the configuration in a file and returns the exit status.
pub fn examine_file(file: &str, options: &Options, output: &mut Output) -> Result<u8, Error> {
    let text = files::read_named(Path::new(file), json_config::LARGEST)
        .map_err(|e| Error::Read(file.to_owned(), e))?;
    let findings = doctor::diagnose_config(&facts::of_config(&text));
    Ok(show(&[(file.to_owned(), findings)], options, output))
}

/// Examines a bond of the kernel and returns the exit status.
pub fn examine_bond(bond: &str, options: &Options, output: &mut Output) -> Result<u8, Error> {
    let findings = doctor::diagnose_bond(&bond_facts::of_bond(bond)?);
    Ok(show(&[(bond.to_owned(), findings)], options, output))
}

/// Adds the findings to the results. Returns 2 if one of them is a problem, else 0.
fn show(found: &[(String, Vec<Finding>)], options: &Options, output: &mut Output) -> u8 {
    if options.json {
        let list = |findings: &[Finding]| findings.iter().map(Finding::to_json).collect();
        let found = found.iter().map(|(name, findings)| (name.clone(), list(findings)));
        output.add_json(&Value::Object(found.collect()), options);
    } else {
        for (name, findings) in found {
            for finding in findings {
                output.results += &printable(&format!("{name}: {finding}\n"));
            }
            if findings.is_empty() {
                output.results += &format!("{name}: nothing is wrong.\n");
            }
        }
    }
    let mut findings = found.iter().flat_map(|(_, findings)| findings);
    let wrong = findings.any(|finding| finding.weight == Weight::Problem);
    if wrong { 2 } else { 0 }
}

//! `teamrctl import --apply`: a team in place of a bond of this host, on trial.
//!
//! Owns the change of the host's own files, the switch from the bond to the team, and the return. The
//! configuration of the team is made of the running bond. Addresses, routes, VLANs, bridges and name
//! servers stay in the files of the host, which name the device. In these files only the definition of
//! the bond changes (`interfaces`, `keyfile`, `netplan`, `networkd`).
//!
//! The return survives the end of the terminal, of this process and of the machine. Before anything
//! changes, all old texts are on the disk (`record`), and a unit is armed that writes them back: a
//! timer for this boot, and at the next boot before the network comes up. `teamrctl keep` disarms the
//! unit. Every step may be repeated.

mod edit;
mod host;
mod ini;
mod interfaces;
mod keyfile;
mod netplan;
mod networkd;
mod plan;
mod record;
mod texts;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::bond::Applying;
use plan::Plan;
use record::{Record, Stage};

/// Seconds of a trial without `--for`.
const TRIAL: u64 = 120;
/// Time after which the unit completes a return of a kept team.
const RETURN: Duration = Duration::from_secs(60);
/// Seconds that a trial may have.
const LONGEST_TRIAL: u64 = 86_400;

/// Replaces the bond that the request names by a team. Writes the plan and the result to `out`.
///
/// # Errors
/// The reason why the bond stays, or is back.
pub fn apply(request: &Applying, out: &mut dyn Write) -> Result<(), String> {
    let bond = &request.bond;
    let seconds = request.seconds.unwrap_or(TRIAL);
    if !(1..=LONGEST_TRIAL).contains(&seconds) {
        return Err(format!("--for {seconds}: expected 1 to {LONGEST_TRIAL} seconds."));
    }
    let plan = Plan::of_host(Path::new("/"), bond)?;
    show(out, &plan.to_string())?;
    if plan.has_losses && !request.accept_losses {
        return Err(format!(
            "\"{bond}\" stays: the team would lack settings. To accept this: --accept-losses."
        ));
    }
    if request.dry_run {
        return Ok(());
    }
    host::require_units()?;
    let lock = record::lock()?;
    let record = Record::new(bond, plan)?;
    // The end of the terminal must not end the change halfway.
    host::ignore_hangup();
    // The unit does nothing without a record.
    host::arm(bond, Duration::from_secs(seconds))?;
    record.save().inspect_err(|_| host::disarm(bond))?;
    let changed = record
        .keeper
        .take_down(bond, &record.ports)
        .and_then(|()| record.write_new())
        .and_then(|()| generate(&record));
    // The start may take minutes, for example for an address by DHCP. The return must not wait for
    // the lock so long.
    drop(lock);
    if let Err(problem) = changed.and_then(|()| record.keeper.bring_up_team(bond)) {
        return Err(match undo(bond, true) {
            Ok(()) => format!("{problem} The bond is back."),
            Err(error) => format!("{problem} On the way back: {error}"),
        });
    }
    let Some(proof) = &request.until else {
        return show(out, &format!("on trial for {seconds} s; to keep it: teamrctl {bond} keep\n"));
    };
    if host::succeeds_within(proof, Duration::from_secs(seconds)) && keep(bond)? {
        return show(out, "kept\n");
    }
    Err(format!("\"{proof}\" did not succeed in {seconds} s; the bond returns."))
}

/// Keeps the team in place of the bond `device`; returns whether a trial of an import ran.
///
/// # Errors
/// The record of the trial cannot be changed, such as without the rights of root.
pub fn keep(device: &str) -> Result<bool, String> {
    if !record::exists(device, Stage::Trial) {
        return Ok(false);
    }
    let _lock = record::lock()?;
    if !record::keep(device)? {
        return Ok(false);
    }
    host::disarm(device);
    Ok(true)
}

/// Returns from the team to the bond `device`: the files and the devices are as before the import.
///
/// # Errors
/// There is no import of the bond, a file was changed since, or a step failed; the return can be
/// repeated.
pub fn undo(device: &str, unless_kept: bool) -> Result<(), String> {
    // Without a record nothing is made, neither the folder of the records.
    if !record::exists(device, Stage::Trial) && !record::exists(device, Stage::Kept) {
        return match unless_kept {
            true => Ok(()),
            false => Err(not_imported(device)),
        };
    }
    let _lock = record::lock()?;
    let record = match Record::read(device, Stage::Trial)? {
        Some(record) => record,
        None if unless_kept => return Ok(()),
        None => {
            let kept = Record::read(device, Stage::Kept)?.ok_or_else(|| not_imported(device))?;
            kept.require_unchanged()?;
            // The unit completes a return that ends halfway.
            host::arm(device, RETURN)?;
            kept.reopen()?
        }
    };
    undo_record(&record)
}

fn not_imported(device: &str) -> String {
    format!("No bond \"{device}\" was imported with --apply.")
}

/// Returns to the bond. Only a file that cannot be written ends the return before its last step: it is
/// then repeated.
fn undo_record(record: &Record) -> Result<(), String> {
    let Record { device, ports, keeper, .. } = record;
    // After a restart of the machine nothing runs yet that must be taken down, and the manager reads
    // the old files when it starts.
    let live = record.is_of_this_boot();
    let mut done = if live { keeper.take_down_team(device, ports) } else { Ok(()) };
    if !live {
        host::cancel_start(device);
    }
    record.write_old()?;
    generate(record)?;
    if live {
        done = done.and(keeper.bring_up_bond());
    }
    record.remove()?;
    host::disarm(device);
    done
}

/// Lets netplan make the files of the program that makes the device.
fn generate(record: &Record) -> Result<(), String> {
    if record.is_of_netplan() { host::run_netplan() } else { Ok(()) }
}

fn show(out: &mut dyn Write, text: &str) -> Result<(), String> {
    // A terminal that is gone stops nothing.
    let _ = out.write_all(crate::text::printable(text).as_bytes()).and_then(|()| out.flush());
    Ok(())
}

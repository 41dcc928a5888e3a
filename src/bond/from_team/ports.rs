//! Translates the settings of each port of a team; a bond has most of them once for all ports.

use json_config::keys::Object;
use serde_json::Value;

use super::{Members, in_ticks};
use crate::bond::model::{Bond, Notes};
use crate::bond::options::Opt;

/// Sets the options of the ports, and those of the bond that follow from its ports.
pub(super) fn ports(team: Members<'_>, runner: Members<'_>, bond: &mut Bond, notes: &mut Notes) {
    let entries = team.object("ports", Object::Team);
    let entry = |name: &str| Members(Object::Port, entries.value(name).and_then(Value::as_object));
    let chooses = [1, 5, 6].contains(&bond.options.mode());
    let mut keys = Vec::new();
    for port in &mut bond.ports {
        let entry = entry(&port.name);
        let queue = entry.number("queue_id");
        port.queue_id = u16::try_from(queue).unwrap_or(0);
        port.prio = i32::try_from(entry.number("prio")).unwrap_or(0);
        if port.prio != 0 && !chooses {
            notes.lost(
                format_args!("ports.{}.prio={}", port.name, port.prio),
                "a bond has no preference among ports in this mode",
            );
            port.prio = 0;
        }
        if entry.number("lacp_prio") != 255 && bond.options.mode() == 4 {
            notes.lost(
                format_args!("ports.{}.lacp_prio={}", port.name, entry.number("lacp_prio")),
                "a bond gives all ports the priority 255",
            );
        }
        keys.push(entry.number("lacp_key"));
    }
    if bond.options.mode() == 4 {
        match keys.first() {
            Some(&key) if keys.iter().all(|other| *other == key) && key < 1024 => {
                bond.options.put(Opt::AdUserPortKey, key);
            }
            _ if keys.iter().any(|key| *key != 0) => {
                notes.lost("ports.lacp_key", "a bond has one key below 1024 for all ports");
            }
            _ => {}
        }
    }
    if chooses {
        primary(bond, notes);
        let sticky: Vec<bool> = bond.ports.iter().map(|p| entry(&p.name).flag("sticky")).collect();
        failback(runner, &sticky, bond, notes);
    }
}

/// Makes a single port of the highest prio the primary. If all other prios are equal, the primary
/// expresses them and no port needs a prio.
fn primary(bond: &mut Bond, notes: &mut Notes) {
    let highest = bond.ports.iter().map(|port| port.prio).max();
    let mut best = bond.ports.iter_mut().filter(|port| Some(port.prio) == highest);
    let (Some(port), None) = (best.next(), best.next()) else {
        return;
    };
    let name = port.name.clone();
    let others: Vec<i32> =
        bond.ports.iter().filter(|port| port.name != name).map(|port| port.prio).collect();
    if others.is_empty() {
        return;
    }
    bond.options.put(Opt::Primary, &name);
    let equal = others.iter().all(|prio| Some(prio) == others.first());
    for port in &mut bond.ports {
        if equal || port.name == name {
            port.prio = 0;
        }
    }
    if !equal {
        notes.approximated(
            "ports.prio",
            "a bond goes by prio only while its primary is down, and on Linux 6.0 and later",
        );
    }
}

/// Sets `primary_reselect` and the delay of a failback.
fn failback(runner: Members<'_>, sticky: &[bool], bond: &mut Bond, notes: &mut Notes) {
    let ranked = bond.primary().is_some() || bond.ports.iter().any(|port| port.prio != 0);
    if bond.options.mode() != 1 {
        // The designated port of tlb and alb stays until it fails.
        if ranked {
            bond.options.put(Opt::PrimaryReselect, "failure");
        }
        return;
    }
    let policy = runner.text("failback").unwrap_or_default();
    let policy = match (sticky.iter().all(|sticky| *sticky), sticky.contains(&true)) {
        (true, true) => "failure",
        (false, true) => {
            notes.lost("ports.sticky", "a bond has one rule for all ports; none is sticky");
            policy
        }
        _ => policy,
    };
    if ranked {
        bond.options.put(Opt::PrimaryReselect, policy);
    } else if policy != "failure" {
        notes.approximated(
            format_args!("runner.failback={policy}"),
            "ports of equal prio are equal to a bond, whatever their speed: the active one stays",
        );
    }
    let delay = runner.number("failback_delay");
    if delay > 0 && bond.options.number(Opt::Miimon) > 0 {
        let delay = in_ticks("runner.failback_delay", delay, notes);
        let delay = delay.max(i64::from(bond.options.number(Opt::UpDelay)));
        bond.options.put(Opt::UpDelay, delay);
    } else if delay > 0 {
        notes.lost(
            format_args!("runner.failback_delay={delay}"),
            "a bond that watches by ARP has no delay",
        );
    }
}

//! Translates the monitor of a bond to link watches.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::show;
use crate::bond::model::{Bond, Notes};
use crate::bond::options::Opt;

/// Adds `link_watch` and `link_watch_policy`.
pub(super) fn watches(bond: &Bond, team: &mut Map<String, Value>, notes: &mut Notes) {
    let options = &bond.options;
    let targets = targets(bond);
    if targets.is_empty() {
        team.insert("link_watch".to_owned(), ethtool(bond, notes).into());
        return;
    }
    if options.is_changed(Opt::ArpAllTargets) && targets.len() > 1 {
        team.insert("link_watch_policy".to_owned(), "all".into());
    }
    let mut watches: Vec<Value> = targets
        .iter()
        .map(|target| probe(bond, *target, notes).into())
        .collect();
    let watches = match watches.len() {
        1 => watches.remove(0),
        _ => watches.into(),
    };
    team.insert("link_watch".to_owned(), watches);
    if options.get(Opt::ArpValidate) == "none" {
        notes.approximated(
            "arp_validate=none",
            "only ARP and neighbour discovery count as a sign of life, not any frame",
        );
    }
}

/// Returns the targets of the ARP monitor; empty without the monitor.
pub(super) fn targets(bond: &Bond) -> Vec<IpAddr> {
    match bond.options.is_changed(Opt::ArpInterval) {
        true => [Opt::ArpIpTarget, Opt::NsIp6Target]
            .map(|opt| bond.options.addresses(opt))
            .concat(),
        false => Vec::new(),
    }
}

fn ethtool(bond: &Bond, notes: &mut Notes) -> Map<String, Value> {
    let options = &bond.options;
    let mut watch = Map::new();
    watch.insert("name".to_owned(), "ethtool".into());
    // The runner activebackup has failback_delay instead.
    if options.is_changed(Opt::UpDelay) && options.mode() != 1 {
        watch.insert("delay_up".to_owned(), options.number(Opt::UpDelay).into());
        notes.approximated(
            show(bond, Opt::UpDelay),
            "also waited for while no port is up",
        );
    }
    if options.is_changed(Opt::DownDelay) {
        let delay = options.number(Opt::DownDelay);
        watch.insert("delay_down".to_owned(), delay.into());
    }
    watch
}

fn probe(bond: &Bond, target: IpAddr, notes: &mut Notes) -> Map<String, Value> {
    let options = &bond.options;
    let mut watch = Map::new();
    let mut put = |key: &str, value: Value| watch.insert(key.to_owned(), value);
    put("interval", options.number(Opt::ArpInterval).into());
    // The driver marks a port down at the first tick after missed_max and a half intervals; a watch is
    // down when more than missed_max probes in a row had no answer.
    let missed = options.number(Opt::ArpMissedMax).saturating_sub(1);
    put("missed_max", missed.into());
    put("target_host", target.to_string().into());
    let IpAddr::V4(target) = target else {
        put("name", "nsna_ping".into());
        return watch;
    };
    put("name", "arp_ping".into());
    let source = source_for(bond, target.into());
    if let Some(source) = source {
        put("source_host", source.to_string().into());
    }
    let (active, inactive) = match options.get(Opt::ArpValidate) {
        "active" | "filter_active" => (true, false),
        "backup" | "filter_backup" => (false, true),
        "all" => (true, true),
        _ => (false, false),
    };
    for (on, key) in [(active, "validate_active"), (inactive, "validate_inactive")] {
        if on {
            put(key, true.into());
        }
    }
    if source.is_none() {
        notes.approximated(
            format_args!("arp_ip_target={target}"),
            "no address of the bond is known to ask from; 0.0.0.0 is used, set \"source_host\"",
        );
    }
    watch
}

/// Returns the address of the bond in the subnet of `target`, or else its first address.
fn source_for(bond: &Bond, target: IpAddr) -> Option<IpAddr> {
    let own: Vec<(IpAddr, u8)> = bond
        .network
        .ipv4
        .addresses
        .iter()
        .filter_map(|text| {
            let (address, prefix) = text.split_once('/')?;
            Some((address.parse().ok()?, prefix.parse().ok()?))
        })
        .collect();
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u64::from(u32::from(address)),
        IpAddr::V6(_) => 0,
    };
    let near = |(address, prefix): &&(IpAddr, u8)| {
        let host = 32 - u32::from((*prefix).min(32));
        bits(*address) >> host == bits(target) >> host
    };
    let found = own.iter().find(near).or(own.first());
    found.map(|(address, _)| *address)
}

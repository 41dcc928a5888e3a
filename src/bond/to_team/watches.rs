//! Translates the monitor of a bond to link watches.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::show;
use crate::bond::model::{Bond, Notes, network_of};
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
    let mut watches: Vec<Value> =
        targets.iter().map(|target| probe(bond, *target, notes).into()).collect();
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
        true => {
            [Opt::ArpIpTarget, Opt::NsIp6Target].map(|opt| bond.options.addresses(opt)).concat()
        }
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
        notes.approximated(show(bond, Opt::UpDelay), "also waited for while no port is up");
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
        if source_for(bond, target).is_some_and(|source| source.vlan.is_some()) {
            notes.lost(
                format_args!("ns_ip6_target={target}"),
                "the target is behind a VLAN of the bond; nsna_ping sends without a tag",
            );
        }
        return watch;
    };
    put("name", "arp_ping".into());
    let source = source_for(bond, target);
    if let Some(Source { address, vlan }) = source {
        put("source_host", address.to_string().into());
        if let Some(vlan) = vlan {
            put("vlanid", vlan.into());
        }
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
    if source.is_none() && bond.uppers.iter().any(|upper| upper.vlan.is_some()) {
        notes.lost(
            format_args!("arp_ip_target={target}"),
            "no address of the bond or of its VLANs has the subnet; set \"source_host\" and \"vlanid\"",
        );
    } else if source.is_none() {
        notes.approximated(
            format_args!("arp_ip_target={target}"),
            "no address of the bond is known to ask from; 0.0.0.0 is used, set \"source_host\"",
        );
    }
    watch
}

/// The source address of a watch's probes, and the VLAN that has the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Source {
    address: IpAddr,
    vlan: Option<u16>,
}

/// Returns the address, of the bond or a device above, in the subnet of `target`, or else the first
/// address of the bond.
fn source_for(bond: &Bond, target: impl Into<IpAddr>) -> Option<Source> {
    let target = target.into();
    let network = &bond.network;
    let own = network.ipv4.addresses.iter().chain(&network.ipv6.addresses);
    let own = own.map(|text| (text, None));
    let above = bond.uppers.iter();
    let above = above.flat_map(|upper| upper.addresses.iter().map(|text| (text, upper.vlan)));
    let parsed = own.chain(above).filter_map(|(text, vlan)| {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        (address.is_ipv4() == target.is_ipv4())
            .then_some((Source { address, vlan }, prefix.parse::<u8>().ok()?))
    });
    let known: Vec<(Source, u8)> = parsed.collect();
    let near = known.iter().find(|(source, prefix)| {
        network_of(source.address, *prefix) == network_of(target, *prefix)
    });
    // The addresses of the bond are first in `known`.
    let has_own = !network.by_family(target).addresses.is_empty();
    near.or(known.first().filter(|_| has_own)).map(|(source, _)| *source)
}

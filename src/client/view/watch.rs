//! The view of a link watch.

use super::MissingItem;
use super::page::{Page, flag, text, up_or_down};
use crate::state::OrEmpty;
use crate::state::watch::Watch;

/// Adds the watch with the key `key`.
pub(super) fn view(page: &mut Page<'_>, key: &str, watch: &Watch) -> Result<(), MissingItem> {
    let missing = MissingItem("port link watch dump.");
    let up = watch.up.ok_or(missing)?;
    let name = watch.name.as_deref().ok_or(missing)?;
    let down_count = watch.down_count.ok_or(missing)?;
    page.heading(format_args!("instance[{key}]"));
    page.indented(|page| {
        page.line("name", name);
        page.line("link", up_or_down(up));
        page.line("down count", down_count);
        match name {
            "ethtool" => ethtool(page, watch),
            "arp_ping" => arp_ping(page, watch),
            "nsna_ping" => nsna_ping(page, watch),
            "probe" => probe(page, watch),
            "tipc" => tipc(page, watch),
            "errors" => errors(page, watch),
            "bfd" => bfd(page, watch),
            "lacp" => lacp(page, watch),
            _ => Err(MissingItem("unknown link watch info dump.")),
        }
    })
}

fn ethtool(page: &mut Page<'_>, watch: &Watch) -> Result<(), MissingItem> {
    page.details(
        MissingItem("ethtool link watch dump."),
        [("link up delay", text(&watch.delay_up)), ("link down delay", text(&watch.delay_down))],
    )
}

fn arp_ping(page: &mut Page<'_>, watch: &Watch) -> Result<(), MissingItem> {
    page.details(
        MissingItem("arp_ping link watch dump."),
        [
            ("source host", watch.source_host.clone()),
            ("target host", watch.target_host.clone()),
            ("interval", text(&watch.interval)),
            ("missed packets", missed(watch)),
            ("validate_active", flag(watch.validate_active)),
            ("validate_inactive", flag(watch.validate_inactive)),
            ("send_always", flag(watch.send_always)),
            ("initial wait", text(&watch.init_wait)),
        ],
    )
}

fn nsna_ping(page: &mut Page<'_>, watch: &Watch) -> Result<(), MissingItem> {
    page.details(
        MissingItem("nsna_ping link watch dump."),
        [
            ("target host", watch.target_host.clone()),
            ("interval", text(&watch.interval)),
            ("missed packets", missed(watch)),
            ("initial wait", text(&watch.init_wait)),
        ],
    )
}

fn probe(page: &mut Page<'_>, watch: &Watch) -> Result<(), MissingItem> {
    let items = watch.teamr.or_empty();
    let requests = items.probe.or_empty();
    let none = || Some("none".to_owned());
    page.details(
        MissingItem("probe link watch dump."),
        [
            ("group", text(&requests.group)),
            ("interval", text(&watch.interval)),
            ("missed packets", missed(watch)),
            ("lost requests in a million", text(&requests.loss_ratio).or_else(none)),
            ("latency in microseconds", text(&requests.latency).or_else(none)),
            ("initial wait", text(&watch.init_wait)),
        ],
    )
}

fn missed(watch: &Watch) -> Option<String> {
    Some(format!("{}/{}", watch.missed?, watch.missed_max?))
}

fn tipc(page: &mut Page<'_>, watch: &Watch) -> Result<(), MissingItem> {
    // teamdctl's text has no full stop here.
    let missing = MissingItem("tipc_bearer link watch dump");
    page.details(missing, [("tipc bearer", watch.tipc_bearer.clone())])
}

fn errors(page: &mut Page<'_>, watch: &Watch) -> Result<(), MissingItem> {
    let items = watch.teamr.or_empty();
    page.details(
        MissingItem("errors link watch dump."),
        [
            ("interval", text(&watch.interval)),
            ("corrupted frames in a million", text(&items.error_ratio)),
            ("hold ends in", text(&items.hold_ends_in)),
        ],
    )
}

fn bfd(page: &mut Page<'_>, watch: &Watch) -> Result<(), MissingItem> {
    let items = watch.teamr.or_empty();
    let session = items.bfd.or_empty();
    page.details(
        MissingItem("bfd link watch dump."),
        [
            ("local address", items.local_address.clone()),
            ("peer address", items.peer_address.clone()),
            ("session", session.state.clone()),
            ("interval", text(&watch.interval)),
        ],
    )
}

fn lacp(page: &mut Page<'_>, watch: &Watch) -> Result<(), MissingItem> {
    let items = watch.teamr.or_empty();
    let none = || Some("none".to_owned());
    page.details(
        MissingItem("lacp link watch dump."),
        [
            ("partner system", items.partner_system.clone().or_else(none)),
            ("partner key", text(&items.partner_key).or_else(none)),
            ("partner port", text(&items.partner_port).or_else(none)),
        ],
    )
}

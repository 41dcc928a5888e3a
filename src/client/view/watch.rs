//! The view of a link watch.

use super::MissingItem;
use super::page::{Page, up_or_down, yes};
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
            "tipc" => tipc(page, watch),
            _ => Err(MissingItem("unknown link watch info dump.")),
        }
    })
}

fn ethtool(page: &mut Page<'_>, watch: &Watch) -> Result<(), MissingItem> {
    let missing = MissingItem("ethtool link watch dump.");
    let delay_up = watch.delay_up.ok_or(missing)?;
    let delay_down = watch.delay_down.ok_or(missing)?;
    page.detail("link up delay", delay_up);
    page.detail("link down delay", delay_down);
    Ok(())
}

fn arp_ping(page: &mut Page<'_>, watch: &Watch) -> Result<(), MissingItem> {
    let missing = MissingItem("arp_ping link watch dump.");
    let source = watch.source_host.as_deref().ok_or(missing)?;
    let target = watch.target_host.as_deref().ok_or(missing)?;
    let interval = watch.interval.ok_or(missing)?;
    let missed_max = watch.missed_max.ok_or(missing)?;
    let missed = watch.missed.ok_or(missing)?;
    let validate_active = watch.validate_active.ok_or(missing)?;
    let validate_inactive = watch.validate_inactive.ok_or(missing)?;
    let send_always = watch.send_always.ok_or(missing)?;
    let init_wait = watch.init_wait.ok_or(missing)?;
    page.detail("source host", source);
    page.detail("target host", target);
    page.detail("interval", interval);
    page.detail("missed packets", format_args!("{missed}/{missed_max}"));
    page.detail("validate_active", yes(validate_active));
    page.detail("validate_inactive", yes(validate_inactive));
    page.detail("send_always", yes(send_always));
    page.detail("initial wait", init_wait);
    Ok(())
}

fn nsna_ping(page: &mut Page<'_>, watch: &Watch) -> Result<(), MissingItem> {
    let missing = MissingItem("nsna_ping link watch dump.");
    let target = watch.target_host.as_deref().ok_or(missing)?;
    let interval = watch.interval.ok_or(missing)?;
    let missed_max = watch.missed_max.ok_or(missing)?;
    let missed = watch.missed.ok_or(missing)?;
    let init_wait = watch.init_wait.ok_or(missing)?;
    page.detail("target host", target);
    page.detail("interval", interval);
    page.detail("missed packets", format_args!("{missed}/{missed_max}"));
    page.detail("initial wait", init_wait);
    Ok(())
}

fn tipc(page: &mut Page<'_>, watch: &Watch) -> Result<(), MissingItem> {
    // teamdctl's text has no full stop here.
    let missing = MissingItem("tipc_bearer link watch dump");
    let bearer = watch.tipc_bearer.as_deref().ok_or(missing)?;
    page.detail("tipc bearer", bearer);
    Ok(())
}

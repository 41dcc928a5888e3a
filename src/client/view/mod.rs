//! `state view`: the state as text.
//!
//! Owns the layout of libteam's teamdctl, line by line, and its strictness: an item that is
//! missing or has another type ends the view with teamdctl's text for the item's object, after
//! the lines so far. Ports and watches come in the order of the document. The module [`lacp`]
//! shows what teamdctl does not.

mod lacp;
mod page;
mod watch;

use std::fmt::{self, Display};

use super::called_as::CalledAs;
use crate::state::lacp::LacpduInfo;
use crate::state::{OrEmpty, Port, RefusedDataPaths, Runner, Setup, State, TeamItems};
use page::{Page, flag, text, up_or_down, yes};

/// Name of the data path of the kernel's driver.
const KERNEL: &str = "kernel";

/// The state lacks an item; displays as teamdctl does. Holds the name of the item's object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingItem(&'static str);

impl Display for MissingItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failed to parse JSON {}", self.0)
    }
}

impl std::error::Error for MissingItem {}

/// Adds the view of `state` to `text`; `level` is the level of the outermost lines. A verbose view
/// of teamrctl has the data path, a kernel team mode only if the kernel's driver is at work, and the
/// table of lacp.
///
/// # Errors
/// When an item is missing; the text then ends before the item.
pub fn write(
    text: &mut String,
    state: &State,
    called_as: CalledAs,
    verbose: bool,
    level: usize,
) -> Result<(), MissingItem> {
    let mut page = Page { text, level, verbose };
    page.heading("setup");
    let own = state.teamr.as_ref().filter(|_| called_as == CalledAs::Teamrctl);
    let runner_name = page.indented(|page| setup(page, state.setup.or_empty(), own))?;
    if state.ports.is_some() {
        page.heading("ports");
        page.indented(|page| {
            let mut ports = state.ports();
            ports.try_for_each(|(name, of)| port(page, name, of, runner_name))
        })?;
    }
    runner(&mut page, runner_name, state.runner.or_empty())?;
    if verbose && called_as == CalledAs::Teamrctl {
        lacp::write(text, state, level);
    }
    Ok(())
}

fn setup<'a>(
    page: &mut Page<'_>,
    setup: &'a Setup,
    own: Option<&TeamItems>,
) -> Result<&'a str, MissingItem> {
    let missing = MissingItem("setup dump.");
    let runner = setup.runner_name.as_deref().ok_or(missing)?;
    let mode = [("kernel team mode", setup.kernel_team_mode_name.clone())];
    let details = [
        ("D-BUS enabled", flag(setup.dbus_enabled)),
        ("ZeroMQ enabled", flag(setup.zmq_enabled)),
        ("debug level", text(&setup.debug_level)),
        ("daemonized", flag(setup.daemonized)),
        ("PID", text(&setup.pid)),
        ("PID file", setup.pid_file.clone()),
    ];
    if mode.iter().chain(&details).all(|(_, item)| item.is_some()) {
        page.line("runner", runner);
    }
    let data_path = own.and_then(|own| own.data_path.as_deref());
    if let (Some(own), Some(data_path)) = (own, data_path) {
        page.detail("data path", data_path);
        refused_data_paths(page, own.data_path_refused.or_empty());
    }
    if data_path.is_none_or(|data_path| data_path == KERNEL) {
        page.details(missing, mode)?;
    }
    page.details(missing, details)?;
    Ok(runner)
}

fn refused_data_paths(page: &mut Page<'_>, refused: &RefusedDataPaths) {
    for (name, why) in [(KERNEL, &refused.kernel), ("programs", &refused.programs)] {
        if let Some(why) = why {
            page.detail(&format!("{name} refused"), why);
        }
    }
}

fn runner(page: &mut Page<'_>, name: &str, runner: &Runner) -> Result<(), MissingItem> {
    let missing = MissingItem("runner dump.");
    match name {
        "activebackup" => {
            page.heading("runner");
            let active = runner.active_port.as_deref().ok_or(missing)?;
            page.indented(|page| page.line("active port", active));
        }
        "lacp" => {
            page.heading("runner");
            let active = runner.active.ok_or(missing)?;
            let sys_prio = runner.sys_prio.ok_or(missing)?;
            let fast_rate = runner.fast_rate.ok_or(missing)?;
            page.indented(|page| {
                page.line("active", yes(active));
                page.line("fast rate", yes(fast_rate));
                page.detail("system priority", sys_prio);
            });
        }
        _ => {}
    }
    Ok(())
}

fn port(page: &mut Page<'_>, name: &str, port: &Port, runner: &str) -> Result<(), MissingItem> {
    let missing = MissingItem("port dump.");
    let (ifinfo, link) = (port.ifinfo.or_empty(), port.link.or_empty());
    let addr = ifinfo.dev_addr.as_deref().ok_or(missing)?;
    ifinfo.dev_addr_len.ok_or(missing)?;
    let ifindex = ifinfo.ifindex.ok_or(missing)?;
    ifinfo.ifname.as_deref().ok_or(missing)?;
    let duplex = link.duplex.as_deref().ok_or(missing)?;
    let speed = link.speed.ok_or(missing)?;
    let up = link.up.ok_or(missing)?;
    let watches = port.link_watches.as_ref().ok_or(missing)?;
    page.bare(name);
    page.indented(|page| {
        page.detail("ifindex", ifindex);
        page.detail("addr", addr);
        page.detail("ethtool link", format_args!("{speed}mbit/{duplex}duplex/{}", up_or_down(up)));
        let summary = watches.up.ok_or(MissingItem("port link watches dump."))?;
        page.heading("link watches");
        page.indented(|page| {
            page.line("link summary", up_or_down(summary));
            let mut watches = port.watches();
            watches.try_for_each(|(key, watch)| watch::view(page, key, watch))
        })?;
        if runner != "lacp" {
            return Ok(());
        }
        page.heading("runner");
        page.indented(|page| lacp_port(page, port))
    })
}

fn lacp_port(page: &mut Page<'_>, port: &Port) -> Result<(), MissingItem> {
    let missing = MissingItem("port runner dump.");
    let runner = port.runner.or_empty();
    let aggregator = runner.aggregator.or_empty();
    let selected = runner.selected.ok_or(missing)?;
    let id = aggregator.id.ok_or(missing)?;
    let carries = aggregator.selected.ok_or(missing)?;
    let state = runner.state.as_deref().ok_or(missing)?;
    let key = runner.key.ok_or(missing)?;
    let prio = runner.prio.ok_or(missing)?;
    let actor = runner.actor_lacpdu_info.as_ref().ok_or(missing)?;
    let partner = runner.partner_lacpdu_info.as_ref().ok_or(missing)?;
    let suffix = if carries { ", Selected" } else { "" };
    page.line("aggregator ID", format_args!("{id}{suffix}"));
    page.line("selected", yes(selected));
    page.line("state", state);
    page.detail("key", key);
    page.detail("priority", prio);
    lacpdu_info(page, "actor LACPDU info", actor)?;
    lacpdu_info(page, "partner LACPDU info", partner)
}

/// Adds one end of the link to a verbose view. A view that is not verbose fails for a missing
/// item too, as teamdctl's does.
fn lacpdu_info(page: &mut Page<'_>, heading: &str, info: &LacpduInfo) -> Result<(), MissingItem> {
    if page.verbose {
        page.heading(heading);
    }
    page.indented(|page| {
        let details = [
            ("system priority", text(&info.system_priority)),
            ("system", info.system.clone()),
            ("key", text(&info.key)),
            ("port_priority", text(&info.port_priority)),
            ("port", text(&info.port)),
            ("state", info.state.map(|state| format!("{state:#x}"))),
        ];
        page.details(MissingItem("port runner lacpdu dump."), details)
    })
}

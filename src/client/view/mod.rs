//! `state view`: the state as text.
//!
//! Owns the layout of libteam's teamdctl, line by line, and its strictness: an item that is
//! missing or has another type ends the view with teamdctl's text for the item's object, after
//! the lines so far. Ports and watches come in the order of the document. The module [`lacp`]
//! shows what teamdctl does not.

pub mod lacp;
mod page;
mod watch;

use std::fmt::{self, Display};

use crate::state::lacp::LacpduInfo;
use crate::state::{OrEmpty, Port, Runner, Setup, State};
use page::{Page, up_or_down, yes};

/// The state lacks an item; displays as teamdctl does. Holds the name of the item's object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingItem(&'static str);

impl Display for MissingItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failed to parse JSON {}", self.0)
    }
}

impl std::error::Error for MissingItem {}

/// Adds the view of `state` to `text`; `level` is the level of the outermost lines.
///
/// # Errors
/// When an item is missing; the text then ends before the item.
pub fn write(
    text: &mut String,
    state: &State,
    verbose: bool,
    level: usize,
) -> Result<(), MissingItem> {
    let mut page = Page {
        text,
        level,
        verbose,
    };
    page.heading("setup");
    let runner_name = page.indented(|page| setup(page, state.setup.or_empty()))?;
    if state.ports.is_some() {
        page.heading("ports");
        page.indented(|page| {
            let mut ports = state.ports();
            ports.try_for_each(|(name, of)| port(page, name, of, runner_name))
        })?;
    }
    runner(&mut page, runner_name, state.runner.or_empty())
}

fn setup<'a>(page: &mut Page<'_>, setup: &'a Setup) -> Result<&'a str, MissingItem> {
    let missing = MissingItem("setup dump.");
    let runner = setup.runner_name.as_deref().ok_or(missing)?;
    let mode = setup.kernel_team_mode_name.as_deref().ok_or(missing)?;
    let dbus = setup.dbus_enabled.ok_or(missing)?;
    let zmq = setup.zmq_enabled.ok_or(missing)?;
    let debug_level = setup.debug_level.ok_or(missing)?;
    let daemonized = setup.daemonized.ok_or(missing)?;
    let pid = setup.pid.ok_or(missing)?;
    let pid_file = setup.pid_file.as_deref().ok_or(missing)?;
    page.line("runner", runner);
    page.detail("kernel team mode", mode);
    page.detail("D-BUS enabled", yes(dbus));
    page.detail("ZeroMQ enabled", yes(zmq));
    page.detail("debug level", debug_level);
    page.detail("daemonized", yes(daemonized));
    page.detail("PID", pid);
    page.detail("PID file", pid_file);
    Ok(runner)
}

fn runner(page: &mut Page<'_>, name: &str, runner: &Runner) -> Result<(), MissingItem> {
    let missing = MissingItem("runner dump.");
    match name {
        "activebackup" => {
            page.heading("runner");
            page.indented(|page| {
                let active = runner.active_port.as_deref().ok_or(missing)?;
                page.line("active port", active);
                Ok(())
            })
        }
        "lacp" => {
            page.heading("runner");
            page.indented(|page| {
                let active = runner.active.ok_or(missing)?;
                let sys_prio = runner.sys_prio.ok_or(missing)?;
                let fast_rate = runner.fast_rate.ok_or(missing)?;
                page.line("active", yes(active));
                page.line("fast rate", yes(fast_rate));
                page.detail("system priority", sys_prio);
                Ok(())
            })
        }
        _ => Ok(()),
    }
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
        page.detail(
            "ethtool link",
            format_args!("{speed}mbit/{duplex}duplex/{}", up_or_down(up)),
        );
        let summary = watches.up.ok_or(MissingItem("port link watches dump."))?;
        page.heading("link watches");
        page.indented(|page| {
            page.line("link summary", up_or_down(summary));
            let mut watches = port.watches();
            watches.try_for_each(|(key, watch)| watch::view(page, key, watch))
        })?;
        match runner {
            "lacp" => {
                page.heading("runner");
                page.indented(|page| lacp_port(page, port))
            }
            _ => Ok(()),
        }
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
    let missing = MissingItem("port runner lacpdu dump.");
    if page.verbose {
        page.heading(heading);
    }
    page.indented(|page| {
        let system_priority = info.system_priority.ok_or(missing)?;
        let system = info.system.as_deref().ok_or(missing)?;
        let key = info.key.ok_or(missing)?;
        let port_priority = info.port_priority.ok_or(missing)?;
        let port = info.port.ok_or(missing)?;
        let state = info.state.ok_or(missing)?;
        page.detail("system priority", system_priority);
        page.detail("system", system);
        page.detail("key", key);
        page.detail("port_priority", port_priority);
        page.detail("port", port);
        page.detail("state", format_args!("{state:#x}"));
        Ok(())
    })
}

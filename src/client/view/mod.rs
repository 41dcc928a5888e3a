//! `state view`: the state document as text for people.
//!
//! Owns the layout of libteam's teamdctl, line by line, and its strictness: a field that is
//! missing or of another type ends the view with the words that teamdctl has for it, after what
//! was shown so far. Ports and watches come in the document's order. What teamdctl does not show
//! stands in modules of its own.

pub mod lacp;

use std::fmt::{self, Display, Write};

use serde_json::{Map, Value};

/// Blanks for each level.
const STEP: usize = 2;

/// The document lacks something; displays as in teamdctl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken(&'static str);

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failed to parse JSON {}", self.0)
    }
}

impl std::error::Error for Broken {}

/// Writes the view of `state` into `out`, also when it ends early; `level` is the depth of its
/// outermost lines.
pub fn write(out: &mut String, state: &Value, verbose: bool, level: usize) -> Result<(), Broken> {
    let mut page = Page {
        out,
        level,
        verbose,
    };
    page.heading("setup");
    let runner = page.indented(|page| setup(page, state))?;
    if let Some(ports) = state.get("ports") {
        page.heading("ports");
        page.indented(|page| {
            members(ports).try_for_each(|(name, port)| view_port(page, name, port, runner))
        })?;
    }
    let fields = Fields::new(state, "runner dump.");
    match runner {
        "activebackup" => {
            page.heading("runner");
            page.indented(|page| {
                page.line("active port", fields.text("runner.active_port")?);
                Ok(())
            })
        }
        "lacp" => {
            page.heading("runner");
            page.indented(|page| {
                let active = fields.flag("runner.active")?;
                let sys_prio = fields.int("runner.sys_prio")?;
                let fast_rate = fields.flag("runner.fast_rate")?;
                page.line("active", yes(active));
                page.line("fast rate", yes(fast_rate));
                page.detail("system priority", sys_prio);
                Ok(())
            })
        }
        _ => Ok(()),
    }
}

fn setup<'a>(page: &mut Page<'_>, state: &'a Value) -> Result<&'a str, Broken> {
    let fields = Fields::new(state, "setup dump.");
    let runner = fields.text("setup.runner_name")?;
    let mode = fields.text("setup.kernel_team_mode_name")?;
    let dbus = fields.flag("setup.dbus_enabled")?;
    let zmq = fields.flag("setup.zmq_enabled")?;
    let debug_level = fields.int("setup.debug_level")?;
    let daemonized = fields.flag("setup.daemonized")?;
    let pid = fields.int("setup.pid")?;
    let pid_file = fields.text("setup.pid_file")?;
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

fn view_port(page: &mut Page<'_>, name: &str, port: &Value, runner: &str) -> Result<(), Broken> {
    let fields = Fields::new(port, "port dump.");
    let addr = fields.text("ifinfo.dev_addr")?;
    fields.int("ifinfo.dev_addr_len")?;
    let ifindex = fields.int("ifinfo.ifindex")?;
    fields.text("ifinfo.ifname")?;
    let duplex = fields.text("link.duplex")?;
    let speed = fields.int("link.speed")?;
    let up = fields.flag("link.up")?;
    fields.value("link_watches")?;
    page.bare(name);
    page.indented(|page| {
        page.detail("ifindex", ifindex);
        page.detail("addr", addr);
        page.detail(
            "ethtool link",
            format_args!("{speed}mbit/{duplex}duplex/{}", up_or_down(up)),
        );
        let watches = Fields::new(port, "port link watches dump.");
        let summary = watches.flag("link_watches.up")?;
        page.heading("link watches");
        page.indented(|page| {
            page.line("link summary", up_or_down(summary));
            let list = watches.find("link_watches.list").into_iter();
            list.flat_map(members)
                .try_for_each(|(key, watch)| view_watch(page, key, watch))
        })?;
        match runner {
            "lacp" => {
                page.heading("runner");
                page.indented(|page| view_lacp_port(page, port))
            }
            _ => Ok(()),
        }
    })
}

fn view_watch(page: &mut Page<'_>, key: &str, watch: &Value) -> Result<(), Broken> {
    let fields = Fields::new(watch, "port link watch dump.");
    let up = fields.flag("up")?;
    let name = fields.text("name")?;
    let down_count = fields.int("down_count")?;
    page.heading(format_args!("instance[{key}]"));
    page.indented(|page| {
        page.line("name", name);
        page.line("link", up_or_down(up));
        page.line("down count", down_count);
        match name {
            "ethtool" => view_ethtool(page, watch),
            "arp_ping" => view_arp_ping(page, watch),
            "nsna_ping" => view_nsna_ping(page, watch),
            "tipc" => {
                // The one text of teamdctl without a full stop.
                let fields = Fields::new(watch, "tipc_bearer link watch dump");
                page.detail("tipc bearer", fields.text("tipc_bearer")?);
                Ok(())
            }
            _ => Err(Broken("unknown link watch info dump.")),
        }
    })
}

fn view_ethtool(page: &mut Page<'_>, watch: &Value) -> Result<(), Broken> {
    let fields = Fields::new(watch, "ethtool link watch dump.");
    let delay_up = fields.int("delay_up")?;
    let delay_down = fields.int("delay_down")?;
    page.detail("link up delay", delay_up);
    page.detail("link down delay", delay_down);
    Ok(())
}

fn view_arp_ping(page: &mut Page<'_>, watch: &Value) -> Result<(), Broken> {
    let fields = Fields::new(watch, "arp_ping link watch dump.");
    let source = fields.text("source_host")?;
    let target = fields.text("target_host")?;
    let interval = fields.int("interval")?;
    let missed_max = fields.int("missed_max")?;
    let missed = fields.int("missed")?;
    let validate_active = fields.flag("validate_active")?;
    let validate_inactive = fields.flag("validate_inactive")?;
    let send_always = fields.flag("send_always")?;
    let init_wait = fields.int("init_wait")?;
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

fn view_nsna_ping(page: &mut Page<'_>, watch: &Value) -> Result<(), Broken> {
    let fields = Fields::new(watch, "nsna_ping link watch dump.");
    let target = fields.text("target_host")?;
    let interval = fields.int("interval")?;
    let missed_max = fields.int("missed_max")?;
    let missed = fields.int("missed")?;
    let init_wait = fields.int("init_wait")?;
    page.detail("target host", target);
    page.detail("interval", interval);
    page.detail("missed packets", format_args!("{missed}/{missed_max}"));
    page.detail("initial wait", init_wait);
    Ok(())
}

fn view_lacp_port(page: &mut Page<'_>, port: &Value) -> Result<(), Broken> {
    let fields = Fields::new(port, "port runner dump.");
    let selected = fields.flag("runner.selected")?;
    let aggregator = fields.int("runner.aggregator.id")?;
    let carries = fields.flag("runner.aggregator.selected")?;
    let state = fields.text("runner.state")?;
    let key = fields.int("runner.key")?;
    let prio = fields.int("runner.prio")?;
    let actor = fields.value("runner.actor_lacpdu_info")?;
    let partner = fields.value("runner.partner_lacpdu_info")?;
    let suffix = if carries { ", Selected" } else { "" };
    page.line("aggregator ID", format_args!("{aggregator}{suffix}"));
    page.line("selected", yes(selected));
    page.line("state", state);
    page.detail("key", key);
    page.detail("priority", prio);
    view_lacpdu(page, "actor LACPDU info", actor)?;
    view_lacpdu(page, "partner LACPDU info", partner)
}

/// Read also where it is not shown, for teamdctl refuses it then, too.
fn view_lacpdu(page: &mut Page<'_>, heading: &str, info: &Value) -> Result<(), Broken> {
    if page.verbose {
        page.heading(heading);
    }
    page.indented(|page| {
        let fields = Fields::new(info, "port runner lacpdu dump.");
        let system_priority = fields.int("system_priority")?;
        let system = fields.text("system")?;
        let key = fields.int("key")?;
        let port_priority = fields.int("port_priority")?;
        let port = fields.int("port")?;
        let state = fields.int("state")?;
        page.detail("system priority", system_priority);
        page.detail("system", system);
        page.detail("key", key);
        page.detail("port_priority", port_priority);
        page.detail("port", port);
        page.detail("state", format_args!("{state:#x}"));
        Ok(())
    })
}

fn yes(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

fn up_or_down(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// Fields of one object by dotted path, and the words for when one of them is not there.
struct Fields<'a> {
    object: &'a Value,
    what: &'static str,
}

impl<'a> Fields<'a> {
    fn new(object: &'a Value, what: &'static str) -> Self {
        Fields { object, what }
    }

    fn find(&self, path: &str) -> Option<&'a Value> {
        path.split('.')
            .try_fold(self.object, |at, name| at.get(name))
    }

    fn read<T>(&self, path: &str, of: impl FnOnce(&'a Value) -> Option<T>) -> Result<T, Broken> {
        self.find(path).and_then(of).ok_or(Broken(self.what))
    }

    fn text(&self, path: &str) -> Result<&'a str, Broken> {
        self.read(path, Value::as_str)
    }

    fn int(&self, path: &str) -> Result<i64, Broken> {
        self.read(path, Value::as_i64)
    }

    fn flag(&self, path: &str) -> Result<bool, Broken> {
        self.read(path, Value::as_bool)
    }

    fn value(&self, path: &str) -> Result<&'a Value, Broken> {
        self.read(path, Some)
    }
}

/// The text so far, and where its next line stands.
struct Page<'a> {
    out: &'a mut String,
    level: usize,
    verbose: bool,
}

impl Page<'_> {
    fn bare(&mut self, text: impl Display) {
        let indent = self.level * STEP;
        let _ = writeln!(self.out, "{:indent$}{text}", "");
    }

    fn heading(&mut self, text: impl Display) {
        self.bare(format_args!("{text}:"));
    }

    fn line(&mut self, label: &str, value: impl Display) {
        self.bare(format_args!("{label}: {value}"));
    }

    /// A line that only a verbose view shows.
    fn detail(&mut self, label: &str, value: impl Display) {
        if self.verbose {
            self.line(label, value);
        }
    }

    fn indented<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        self.level += 1;
        let result = body(self);
        self.level -= 1;
        result
    }
}

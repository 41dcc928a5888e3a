//! Lists of ports, options and interfaces, with marks for changes. Pure.
//!
//! A list has marks for the changes of the last batch of events. `begin` clears the marks and drops
//! removed entries before the next batch. Texts list the newest entry first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::value;
use crate::netlink::link::LinkInfo;
use crate::netlink::team::{TeamOption, TeamPort};
use crate::state::List;
use crate::state::answers::{DriverAnswer, DriverInterface};

/// Bytes after which the text of a line is cut.
const LONGEST: usize = 119;

/// The entries that a monitor shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Changed entries.
    Changed,
    /// All entries.
    All,
}

impl Style {
    /// Returns whether the monitor shows an entry with these marks.
    pub fn shows(self, changed: bool, removed: bool) -> bool {
        self == Style::All || changed || removed
    }
}

fn mark(changed: bool, removed: bool) -> char {
    match (removed, changed) {
        (true, _) => '-',
        (false, true) => '*',
        (false, false) => ' ',
    }
}

/// Returns at most [`LONGEST`] bytes of `text`, followed by `cut` if bytes are missing.
fn shortened(text: &str, cut: &str) -> String {
    match text.char_indices().find(|(at, c)| at + c.len_utf8() > LONGEST) {
        Some((at, _)) => format!("{}{cut}", &text[..at]),
        None => text.to_owned(),
    }
}

/// The ports, oldest first.
#[derive(Clone, Debug)]
pub struct Ports(pub Vec<TeamPort>);

impl Ports {
    /// Returns the interface indices of the ports.
    pub fn indices(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|port| port.ifindex)
    }

    /// Begins a batch: clears the marks.
    pub fn begin(&mut self) {
        self.0.retain(|port| !port.removed);
        self.0.iter_mut().for_each(|port| port.changed = false);
    }

    /// Applies an event.
    pub fn update(&mut self, port: TeamPort) {
        let same = |known: &&mut TeamPort| known.ifindex == port.ifindex;
        match self.0.iter_mut().find(same) {
            Some(known) => *known = port,
            None if port.removed => (),
            None => self.0.push(port),
        }
    }

    /// Returns the text of the whole list.
    pub fn show(&self, links: &Interfaces) -> String {
        let lines = self.0.iter().rev().map(|port| line(port, links) + "\n");
        lines.collect()
    }

    /// Returns the block of a monitor; empty if there is nothing to show.
    pub fn block(&self, style: Style, links: &Interfaces) -> String {
        let shown = |port: &&TeamPort| style.shows(port.changed, port.removed);
        let lines = self.0.iter().rev().filter(shown);
        block("ports", style, lines.map(|port| line(port, links)))
    }
}

fn line(port: &TeamPort, links: &Interfaces) -> String {
    let TeamPort { ifindex, speed, .. } = port;
    let name = links.name(*ifindex);
    let text = format!(
        "{}{ifindex}: {name}: {} {speed}Mbit {} ",
        mark(port.changed, port.removed),
        if port.linkup { "up" } else { "down" },
        if port.duplex == 0 { "HD" } else { "FD" },
    );
    shortened(&text, " <trunc>")
}

fn block(heading: &str, style: Style, lines: impl Iterator<Item = String>) -> String {
    let lines: String = lines.map(|line| format!("  {line}\n")).collect();
    match style {
        Style::Changed if lines.is_empty() => String::new(),
        _ => format!("{heading}:\n{lines}"),
    }
}

/// The options, in the driver's order.
#[derive(Clone, Debug)]
pub struct Options(pub Vec<TeamOption>);

impl Options {
    /// Begins a batch: clears the marks.
    pub fn begin(&mut self) {
        self.0.iter_mut().for_each(|option| option.changed = false);
    }

    /// Applies an event.
    pub fn update(&mut self, option: TeamOption) {
        let place = self.0.iter().position(|known| known.id == option.id);
        match (place, option.removed) {
            (Some(place), true) => drop(self.0.remove(place)),
            (Some(place), false) => self.0[place] = option,
            (None, true) => (),
            (None, false) => self.0.push(option),
        }
    }

    /// Returns the text of the whole list.
    pub fn show(&self, links: &Interfaces) -> String {
        let mut text = String::new();
        for option in self.0.iter().rev() {
            let line = format!("{} ", body(option, links));
            let _ = writeln!(text, "{}", shortened(&line, " <trunc>"));
        }
        text
    }

    /// Returns the block of a monitor; empty if there is nothing to show.
    pub fn block(&self, style: Style, links: &Interfaces) -> String {
        let shown = |option: &&TeamOption| style == Style::All || option.changed;
        let lines = self.0.iter().rev().filter(shown).map(|option| {
            let changed = if option.changed { " changed" } else { "" };
            shortened(&body(option, links), "...") + changed
        });
        block("options", style, lines)
    }
}

fn body(option: &TeamOption, links: &Interfaces) -> String {
    let mut text = format!("{}{} ", mark(option.changed, option.removed), option.id.name);
    if let Some(port) = option.id.port {
        let _ = write!(text, "(port:{}) ", links.name(port));
    }
    if let Some(index) = option.id.index {
        let _ = write!(text, "(arridx:{index}) ");
    }
    text + &value::show(&option.value)
}

/// An interface, with the changes of its last update.
#[derive(Clone, Debug)]
struct Interface {
    link: LinkInfo,
    changed: Changed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Changed {
    name: bool,
    hwaddr: bool,
    master: bool,
    /// Any of these, or a property that is not shown.
    any: bool,
    removed: bool,
}

/// The interfaces of the network namespace, by index.
#[derive(Clone, Debug)]
pub struct Interfaces(BTreeMap<u32, Interface>);

impl Interfaces {
    /// Returns the list of these interfaces, without marks.
    pub fn new(links: Vec<LinkInfo>) -> Self {
        let known = links.into_iter();
        let known =
            known.map(|link| (link.ifindex, Interface { link, changed: Changed::default() }));
        Interfaces(known.collect())
    }

    /// Returns the name of an interface; `None` for an unknown interface.
    pub fn known_name(&self, ifindex: u32) -> Option<String> {
        self.0.get(&ifindex).map(|interface| interface.link.name.clone())
    }

    fn name(&self, ifindex: u32) -> &str {
        let known = self.0.get(&ifindex);
        known.map_or("(removed)", |interface| &interface.link.name)
    }

    /// Begins a batch: drops removed interfaces.
    pub fn begin(&mut self) {
        self.0.retain(|_, interface| !interface.changed.removed);
    }

    /// Sets the state of the interface `ifindex`; `None` removes the interface. Returns whether
    /// anything changed. The marks of the interface stay until its next update.
    pub fn update(&mut self, ifindex: u32, link: Option<LinkInfo>) -> bool {
        let Some(link) = link else {
            let Some(gone) = self.0.get_mut(&ifindex) else {
                return false;
            };
            let is_new = !gone.changed.removed;
            gone.changed = Changed { any: true, removed: true, ..Changed::default() };
            return is_new;
        };
        let before = self.0.get(&ifindex);
        let differs = |test: fn(&LinkInfo, &LinkInfo) -> bool| {
            before.is_none_or(|before| test(&before.link, &link))
        };
        let mut changed = Changed {
            name: differs(|before, link| before.name != link.name),
            hwaddr: differs(|before, link| before.hwaddr != link.hwaddr),
            master: differs(|before, link| before.master != link.master),
            any: differs(|before, link| before.admin_up != link.admin_up),
            removed: false,
        };
        changed.any |= changed.name || changed.hwaddr || changed.master;
        self.0.insert(ifindex, Interface { link, changed });
        changed.any
    }

    /// Returns the interfaces among `shown` that `style` shows, newest first.
    pub fn answer(&self, style: Style, shown: &BTreeSet<u32>) -> DriverAnswer {
        let known = self.0.iter().rev();
        let known = known.filter(|(ifindex, it)| {
            shown.contains(ifindex) && style.shows(it.changed.any, it.changed.removed)
        });
        let interfaces = known.map(|(ifindex, it)| DriverInterface {
            ifindex: Some((*ifindex).into()),
            name: Some(it.link.name.clone()),
            hwaddr: Some(it.link.hwaddr.to_string()),
            master: Some(it.link.master.unwrap_or(0).into()),
            removed: Some(it.changed.removed),
        });
        DriverAnswer { interfaces: Some(List(interfaces.collect())), ..DriverAnswer::default() }
    }

    /// Returns the block of a monitor for the interfaces `shown`; empty if there is nothing to show.
    pub fn block(&self, style: Style, shown: &BTreeSet<u32>) -> String {
        let known = self.0.iter().rev();
        let known = known.filter(|(ifindex, _)| shown.contains(ifindex));
        let star = |changed| if changed { "*" } else { "" };
        let lines =
            known.filter(|(_, it)| style == Style::All || it.changed.any).map(|(ifindex, it)| {
                let text = format!(
                    "{}{ifindex}: {}{}: {}{}: {}{} ",
                    mark(it.changed.any, false),
                    star(it.changed.name),
                    it.link.name,
                    star(it.changed.hwaddr),
                    it.link.hwaddr,
                    star(it.changed.master),
                    it.link.master.unwrap_or(0),
                );
                shortened(&text, "...")
            });
        block("ifinfos", style, lines)
    }
}

#[cfg(test)]
mod tests {
    use runners::HwAddr;

    use super::*;
    use crate::netlink::team::{OptionId, Value};

    fn link(ifindex: u32, name: &str, master: Option<u32>) -> LinkInfo {
        let hwaddr = HwAddr([2, 0, 0, 0, 0, ifindex as u8]);
        LinkInfo { ifindex, name: name.to_owned(), hwaddr, master, ..LinkInfo::default() }
    }

    fn links() -> Interfaces {
        let port = |ifindex, name| link(ifindex, name, Some(9));
        Interfaces::new(vec![port(3, "eth1"), port(5, "eth2"), link(9, "team0", None)])
    }

    fn port(ifindex: u32, linkup: bool) -> TeamPort {
        TeamPort {
            ifindex,
            linkup,
            speed: if linkup { 10000 } else { 0 },
            duplex: u8::from(linkup),
            changed: false,
            removed: false,
        }
    }

    fn option(id: OptionId, value: Value) -> TeamOption {
        TeamOption { id, value, changed: false, removed: false }
    }

    // The texts below are those of teamnl 1.31 on Linux 6.1.

    #[test]
    fn ports_are_listed_newest_first() {
        let ports = Ports(vec![port(3, true), port(5, false)]);
        let text = " 5: eth2: down 0Mbit HD \n 3: eth1: up 10000Mbit FD \n";
        assert_eq!(ports.show(&links()), text);
    }

    #[test]
    fn options_are_listed_newest_first_and_long_ones_are_cut() {
        let program = [6, 0, 0, 0, 0, 0, 0, 0].repeat(30);
        let options = Options(vec![
            option(OptionId::team("bpf_hash_func"), Value::Binary(program)),
            option(OptionId::element("lb_hash_stats", 255), Value::Binary(vec![0; 8])),
            option(OptionId::port("priority", 3), Value::S32(-7)),
        ]);
        let text = " priority (port:eth1) -7 \n \
                    lb_hash_stats (arridx:255) \\00\\00\\00\\00\\00\\00\\00\\00 \n \
                    bpf_hash_func \\06\\00\\00\\00\\00\\00\\00\\00\\06\\00\\00\\00\\00\\00\\00\\00\
                    \\06\\00\\00\\00\\00\\00\\00\\00\\06\\00\\00\\00\\00\\00\\00\\00\\06\\00\\0 <trunc>\n";
        assert_eq!(options.show(&links()), text);
    }

    #[test]
    fn a_monitor_shows_the_changes_of_a_batch() {
        let mut ports = Ports(vec![port(3, true)]);
        ports.begin();
        ports.update(TeamPort { changed: true, ..port(5, false) });
        let text = "ports:\n  *5: eth2: down 0Mbit HD \n";
        assert_eq!(ports.block(Style::Changed, &links()), text);
        let text = format!("{text}   3: eth1: up 10000Mbit FD \n");
        assert_eq!(ports.block(Style::All, &links()), text);
        ports.begin();
        assert_eq!(ports.block(Style::Changed, &links()), "");
        ports.update(TeamPort { removed: true, ..port(3, false) });
        let text = "ports:\n  -3: eth1: down 0Mbit HD \n";
        assert_eq!(ports.block(Style::Changed, &links()), text);
        ports.begin();
        assert_eq!(ports.indices().collect::<Vec<_>>(), [5]);

        let mut options = Options(Vec::new());
        options.update(TeamOption {
            changed: true,
            ..option(OptionId::port("enabled", 5), Value::Bool(false))
        });
        let text = "options:\n  *enabled (port:eth2) false changed\n";
        assert_eq!(options.block(Style::Changed, &links()), text);
    }

    #[test]
    fn a_monitor_marks_the_changes_of_an_interface() {
        let mut known = links();
        let all: BTreeSet<u32> = [3, 5, 9].into();
        assert!(!known.update(5, Some(link(5, "eth2", Some(9)))));
        assert!(known.update(3, Some(link(3, "eth1", None))));
        let text = "ifinfos:\n  *3: eth1: 02:00:00:00:00:03: *0 \n";
        assert_eq!(known.block(Style::Changed, &all), text);
        assert!(known.update(3, None));
        assert_eq!(known.name(3), "eth1");
        known.begin();
        assert_eq!(known.name(3), "(removed)");
    }
}

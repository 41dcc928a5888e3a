//! The status of a port.

use super::counters::{Counters, Rates};
use crate::state::status::PortStatus;
use crate::state::{OrEmpty, Port, Runner};

/// Returns the status of the port `name` without its last change.
pub fn of_port(
    name: &str,
    port: &Port,
    runner: &Runner,
    counters: Option<Counters>,
    rates: Option<Rates>,
) -> PortStatus {
    let (link, own) = (port.link.or_empty(), port.teamr.or_empty());
    let why = why_out(port);
    let partner = &port.runner.or_empty().partner_lacpdu_info;
    let partner = partner.or_empty().system.clone().filter(|system| system != NO_SYSTEM);
    PortStatus {
        link: link.up,
        speed: link.speed,
        duplex: link.duplex.clone(),
        role: Some(role(name, runner, why.is_some()).to_owned()),
        why,
        partner,
        rx_rate: rates.map(|rates| rates.rx),
        tx_rate: rates.map(|rates| rates.tx),
        drops: own.rx_missed.zip(own.tx_dropped).map(|(rx, tx)| rx.saturating_add(tx)),
        errors: counters.map(|counters| counters.errors),
        changed_ago: None,
        last_change: None,
    }
}

/// System ID of a port without a LACP partner.
const NO_SYSTEM: &str = "00:00:00:00:00:00";

fn role(name: &str, runner: &Runner, is_out: bool) -> &'static str {
    if is_out {
        return "out";
    }
    match (&runner.active_port, &runner.designated_port) {
        (Some(active), _) if active == name => "active",
        (Some(_), _) => "backup",
        (None, Some(designated)) if designated == name => "designated",
        (None, _) => "carries",
    }
}

/// Returns the reason that keeps the port out of forwarding; `None` if nothing does.
pub fn why_out(port: &Port) -> Option<String> {
    let (own, runner) = (port.teamr.or_empty(), port.runner.or_empty());
    let damping = port.damping.or_empty();
    let is_closed = port.gate == Some(false) || runner.macsec_gate == Some(false);
    if port.link.or_empty().up == Some(false) {
        return Some("no link".to_owned());
    }
    if own.corrupting == Some(true) {
        return Some("too many frames come in damaged".to_owned());
    }
    if port.link_watches.or_empty().up == Some(false) && own.enabled != Some(true) {
        return Some(watch_down(port));
    }
    if port.drained == Some(true) {
        return Some("drained".to_owned());
    }
    if is_closed {
        return Some("its gate is closed".to_owned());
    }
    if damping.suppressed == Some(true) {
        let seconds = damping.ends_in.unwrap_or(0).div_ceil(1000);
        return Some(format!("damped for {seconds} s more"));
    }
    if own.allowed == Some(false) {
        return Some("kept out by hand".to_owned());
    }
    if own.hwaddr_refused == Some(true) {
        return Some("refuses the team's hardware address".to_owned());
    }
    match own.lacp.or_empty().why.as_deref() {
        Some("") | None => {
            let unselected =
                runner.aggregator.as_ref().is_some_and(|it| it.selected == Some(false));
            unselected.then(|| "not in the aggregator that carries traffic".to_owned())
        }
        Some(why) => Some(why.to_owned()),
    }
}

/// Returns why the watches of a port with a link say that the link is down.
fn watch_down(port: &Port) -> String {
    let down = port.watches().find(|(_, watch)| watch.up != Some(true));
    let Some((_, watch)) = down else {
        return "its link watch is down".to_owned();
    };
    let name = watch.name.as_deref().unwrap_or("unknown");
    let lacp = port.teamr.or_empty().lacp.or_empty().why.as_deref();
    let lacp = lacp.filter(|why| name == "lacp" && !why.is_empty());
    match (watch.teamr.or_empty().obstacle.as_deref().or(lacp), watch.target_host.as_deref(), name)
    {
        (Some(obstacle), ..) => format!("link watch {name}: {obstacle}"),
        (None, Some(target), _) => format!("link watch {name} gets no answer from {target}"),
        (None, None, "ethtool") => "delay_up has not passed".to_owned(),
        (None, None, _) => format!("link watch {name} is down"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::state::Part;

    fn of(port: Value, runner: Value) -> (String, Option<String>) {
        let port = Port::read(&port).expect("a port");
        let runner = Runner::read(&runner).expect("a runner");
        let status = of_port("eth1", &port, &runner, None, None);
        (status.role.expect("a role"), status.why)
    }

    #[test]
    fn the_role_follows_the_runner() {
        let up = json!({"link": {"up": true}, "link_watches": {"up": true}});
        for (runner, role) in [
            (json!({"active_port": "eth1"}), "active"),
            (json!({"active_port": "eth2"}), "backup"),
            (json!({"designated_port": "eth1"}), "designated"),
            (json!({"designated_port": "eth2"}), "carries"),
            (json!({}), "carries"),
        ] {
            assert_eq!(of(up.clone(), runner), (role.to_owned(), None));
        }
    }

    #[test]
    fn the_first_cause_that_keeps_a_port_out_is_named() {
        let watch = json!({"name": "arp_ping", "up": false, "target_host": "192.0.2.1"});
        let down = json!({"up": false, "list": {"link_watch_0": watch}});
        for (port, why) in [
            (json!({"link": {"up": false}, "link_watches": down}), "no link"),
            (
                json!({"link": {"up": true}, "link_watches": down}),
                "link watch arp_ping gets no answer from 192.0.2.1",
            ),
            (
                json!({
                    "link": {"up": true},
                    "link_watches": {
                        "up": false,
                        "list": {"link_watch_0": {"name": "lacp", "up": false}},
                    },
                    "teamr": {"lacp": {"why": "no LACPDU heard"}},
                }),
                "link watch lacp: no LACPDU heard",
            ),
            (json!({"teamr": {"corrupting": true}}), "too many frames come in damaged"),
            (json!({"drained": true}), "drained"),
            (json!({"gate": false}), "its gate is closed"),
            (json!({"runner": {"macsec_gate": false}}), "its gate is closed"),
            (json!({"damping": {"suppressed": true, "ends_in": 4200}}), "damped for 5 s more"),
            (json!({"teamr": {"allowed": false}}), "kept out by hand"),
            (json!({"teamr": {"hwaddr_refused": true}}), "refuses the team's hardware address"),
            (json!({"teamr": {"lacp": {"why": "no LACPDU heard"}}}), "no LACPDU heard"),
            (
                json!({"runner": {"aggregator": {"selected": false}}}),
                "not in the aggregator that carries traffic",
            ),
        ] {
            assert_eq!(of(port, json!({})), ("out".to_owned(), Some(why.to_owned())));
        }
    }
}

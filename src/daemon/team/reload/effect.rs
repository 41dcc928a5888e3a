//! The effects of changed keys on the traffic of a running team.

use json_config::Difference;
use runners::wire::lacpdu::StateBits;
use runners::{LacpSettings, RunnerSettings};
use serde_json::Value;

/// The reason of an interruption: the configuration has no port.
pub(super) const NO_PORT: &str =
    "no port is left: the carrier of the team goes down, and no frame passes";

/// The reason of an interruption: the ranks of the ports change.
pub(super) const MOVES: &str = "the active port may change: frames on their way to the former one are \
    lost until the switch hears the announcement, in a fraction of a millisecond";

/// The reason of an interruption: a port leaves.
pub(super) const LEAVES: &str = "frames on their way to the port that leaves are lost, in a fraction of a \
    millisecond";

/// How a change of one key reaches the running team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Without the loss of a frame.
    Live,
    /// With a pause, described here.
    Interrupts(&'static str),
    /// Not while the team runs, for the reason given here.
    Refused(String),
}

impl Effect {
    /// Makes a live change, and one that only moves ports, an interruption for this reason.
    pub(super) fn interrupt(&mut self, why: &'static str) {
        if matches!(self, Effect::Live | Effect::Interrupts(LEAVES | MOVES)) {
            *self = Effect::Interrupts(why);
        }
    }
}

/// Returns the effect of a change, with the runner of the new configuration.
pub(super) fn effect(difference: &Difference, runner: &RunnerSettings, rebuilds: bool) -> Effect {
    const REBUILDS: &str = "the kernel's driver changes its mode only without ports: all ports \
        leave and join again, and no frame passes meanwhile";
    const NEGOTIATES: &str = "the aggregation with the LACP partner is negotiated anew, in \
        milliseconds or, if the partner waits before it aggregates, in two seconds";
    const GATE: &str = "frames on their way to a port whose gate closes are lost; drain the port \
        before";
    const NEW_ADDRESS: &str = "hosts and switches learn the new hardware address; the team \
        announces it";
    let is_by_active = |value: &Option<Value>| value.as_ref().is_some_and(|it| it == "by_active");
    let is_lacp = matches!(runner, RunnerSettings::Lacp(_));
    let is_activebackup = matches!(runner, RunnerSettings::ActiveBackup { .. });
    match difference.path()[..] {
        ["device"] => Effect::Refused(
            "a running team keeps its device; stop the daemon and start it again".to_owned(),
        ),
        ["runner", "name"] if rebuilds => Effect::Interrupts(REBUILDS),
        ["runner", "name" | "sys_prio"] | ["ports", _, "lacp_key" | "lacp_prio"] if is_lacp => {
            Effect::Interrupts(NEGOTIATES)
        }
        [.., "link_watch", "sys_prio"] => Effect::Interrupts(NEGOTIATES),
        ["runner", "name" | "failback"] | ["ports", _, "prio" | "sticky"] if is_activebackup => {
            Effect::Interrupts(MOVES)
        }
        ["ports", _, "gate"] => Effect::Interrupts(GATE),
        ["ports", _] if difference.after.is_none() => Effect::Interrupts(LEAVES),
        ["runner", "hwaddr_policy"]
            if is_by_active(&difference.before) || is_by_active(&difference.after) =>
        {
            Effect::Interrupts(NEW_ADDRESS)
        }
        ["hwaddr"] if is_lacp => Effect::Interrupts(NEGOTIATES),
        ["hwaddr"] => Effect::Interrupts(NEW_ADDRESS),
        _ => Effect::Live,
    }
}

/// Returns why a change of the key at `path` interrupts the traffic of an aggregate with partners in
/// the states `partners`, if the change does.
pub(super) fn effect_on_partner(
    path: &[&str],
    before: &LacpSettings,
    after: &RunnerSettings,
    partners: &[StateBits],
) -> Option<&'static str> {
    const ENDS: &str = "the LACP partner receives no more LACPDUs and takes its ports out of the \
        aggregate: most frames are lost until the partner has a static aggregate";
    const PERIOD: &str = "the LACP partner sends or expects LACPDUs at the former period, and the \
        aggregation fails again and again until both ends have the same \"fast_period\"; set \
        \"fast_rate\" to false at both ends before";
    const PASSIVE: &str = "the LACP partner is passive, too: neither end sends LACPDUs, and the \
        aggregation ends";
    let has_partner = |bit, value| partners.iter().any(|state| state.has(bit) == value);
    let RunnerSettings::Lacp(after) = after else {
        return (path == ["runner", "name"]).then_some(ENDS);
    };
    match path {
        ["runner", "fast_period"] => {
            let loses = after.fast_rate && after.fast_period < before.fast_period;
            let is_lost =
                has_partner(StateBits::TIMEOUT, true) && after.fast_period > before.fast_period;
            (loses || is_lost).then_some(PERIOD)
        }
        ["runner", "active"] => {
            (!after.active && has_partner(StateBits::ACTIVITY, false)).then_some(PASSIVE)
        }
        _ => None,
    }
}

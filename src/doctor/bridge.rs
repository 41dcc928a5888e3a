//! The team device as a port of a bridge: what keeps frames from passing between the two.

use super::{BridgePortFacts, Facts, Findings};

pub(super) fn diagnose(facts: &Facts, findings: &mut Findings) {
    let port = facts.device.as_ref().and_then(|device| device.bridge_port.as_ref());
    let (Some(port), Some(bridge)) = (port, facts.master()) else {
        return;
    };
    report_blocked(facts, bridge, port, findings);
    report_spanning_tree(facts, bridge, port, findings);
    let device = facts.device_name();
    if port.hairpin {
        findings.problem(
            "bridge-hairpin",
            format!("{bridge} sends frames from the network back out on {device}."),
            format!("Turn it off: bridge link set dev {device} hairpin off."),
        );
    }
    let mtu = facts.device.as_ref().and_then(|device| device.mtu);
    let mtus = port.bridge_mtu.zip(mtu).filter(|(above, below)| above > below);
    if let Some((above, below)) = mtus {
        findings.problem(
            "mtu-below-bridge",
            format!("{bridge} has MTU {above}, and drops frames that exceed {device}'s {below}."),
            format!("Set both alike: ip link set dev {device} mtu {above}, its ports follow."),
        );
    }
}

fn report_blocked(facts: &Facts, bridge: &str, port: &BridgePortFacts, findings: &mut Findings) {
    // A bridge port that is down or without a carrier is always disabled.
    let device = facts.device.as_ref();
    let is_up = device.is_some_and(|device| device.up && device.carrier != Some(false));
    let state = port.not_forwarding.filter(|_| is_up && !facts.linked_ports().is_empty());
    let (Some(state), device) = (state, facts.device_name()) else {
        return;
    };
    let cure = match state {
        "disabled" if port.bpdu_guard => {
            format!(
                "A BPDU came in on the guarded port: turn spanning tree off on the switch ports, \
                 then set {device} down and up."
            )
        }
        "disabled" => format!("Enable it: bridge link set dev {device} state 3."),
        "blocking" => "Find the second path to the root of the spanning tree, such as another \
                       cable of this host."
            .to_owned(),
        _ => "Wait, or turn spanning tree off on the bridge if no loop can exist.".to_owned(),
    };
    findings.problem(
        "bridge-port-blocked",
        format!("{bridge} does not forward on {device}: the port is {state}."),
        cure,
    );
}

fn report_spanning_tree(
    facts: &Facts,
    bridge: &str,
    port: &BridgePortFacts,
    findings: &mut Findings,
) {
    let device = facts.device_name();
    if port.stp_delay == 0 {
        return;
    }
    findings.notice(
        "bridge-stp-delay",
        format!(
            "{bridge} runs spanning tree: after {device} gets a carrier, no frame passes for {} s.",
            port.stp_delay
        ),
        format!(
            "If no loop can exist: ip link set dev {bridge} type bridge stp_state 0; else lower \
             forward_delay."
        ),
    );
    let speed = facts.device.as_ref().and_then(|device| device.speed);
    let speeds = speed.filter(|speed| *speed > 0).zip(facts.speed_of_ports());
    let speeds = speeds.filter(|(device, ports)| device != ports);
    if let (Some((speed, ports)), Some(cost)) = (speeds, port.path_cost) {
        findings.notice(
            "bridge-path-cost",
            format!(
                "The kernel takes {device} for a link of {speed} Mbit/s, its ports carry {ports} \
                 Mbit/s: the path cost {cost} is another one's."
            ),
            format!("Give the port its cost by hand: bridge link set dev {device} cost N."),
        );
    }
    if port.bpdu_guard {
        findings.notice(
            "bridge-bpdu-guard",
            format!("A BPDU of the switch makes {bridge} disable {device}."),
            format!("Turn the guard off: bridge link set dev {device} guard off."),
        );
    }
}

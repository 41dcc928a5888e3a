//! The status of a team: what `teamrctl status` shows, made by the client from the state, the
//! recording, the kernel's counters and the findings of the doctor.

use serde_json::Value;

use super::definition::{
    Element, Field, Form, List, Member, Members, Object, OrEmpty, Part, Unit, object, state_objects,
};
use super::{Failovers, RefusedDataPaths};

state_objects! {
    pub struct Status: "The status of a team." {
        runner: String, "Name of the runner.";
        up: bool, "Whether the team device is administratively up; absent if the kernel has no such device.";
        carrier: bool, "Whether the team device has a carrier; absent while the device is down.";
        active_port: String, "Runner activebackup: the active port; empty without one.";
        designated_port: String,
            "Runners slb, tlb and alb: the one port that receives broadcast and multicast.";
        master: String, "The bridge or other interface that has the team device as a port; absent without one.";
        hwaddr: String, "Hardware address of the team device.";
        mtu: u64 [unit(Unit::Bytes)], "MTU of the team device.";
        data_path: String, "The data path: kernel, programs or relay.";
        data_path_refused: RefusedDataPaths, "Preferred data paths that do not work here.";
        failovers: Failovers, "Failovers, which are changes of the forwarding after a lost link.";
        trial_ends_in: u64 [unit(Unit::Milliseconds)],
            "Time until the configuration on trial ends; 0 without a trial.";
        rx_rate: u64 [unit(Unit::BitsPerSecond)], "Rate that the team device receives at.";
        tx_rate: u64 [unit(Unit::BitsPerSecond)], "Rate that the team device sends at.";
        ports: Members<PortStatus>, "The ports by interface name.";
        findings: List<FindingStatus>, "The findings of the doctor, problems first.";
    }

    pub struct PortStatus: "A port." {
        link: bool, "Whether the port has a carrier.";
        speed: i64 [unit(Unit::MegabitsPerSecond)],
            "Speed of the link; 0 without a link, -1 if the driver does not know the speed.";
        duplex: String, "Duplex mode, full or half.";
        role: String,
            "Part of the port in forwarding: active, backup, designated, carries or out.";
        why: String, "Why the port is out of forwarding; absent if it is not.";
        partner: String, "Runner lacp: system ID of the partner; absent without one.";
        rx_rate: u64 [unit(Unit::BitsPerSecond)], "Rate that the port receives at.";
        tx_rate: u64 [unit(Unit::BitsPerSecond)], "Rate that the port sends at.";
        drops: u64 [unit(Unit::Frames)],
            "Frames that the team lost on the port, for want of room or of processor time.";
        errors: u64 [unit(Unit::Frames)],
            "Frames that the interface received damaged or failed to send.";
        changed_ago: u64 [unit(Unit::Milliseconds)],
            "Time since the last change of the port; absent if the recording has none.";
        last_change: String, "Last change of the port; absent if the recording has none.";
    }

    pub struct FindingStatus: "A finding of the doctor." {
        id: String, "Stable name.";
        problem: bool, "Whether the finding is a problem, not a notice.";
        cause: String, "One sentence about the fault.";
        cure: String, "One sentence about the remedy.";
    }
}

impl Member for PortStatus {
    const PLACEHOLDER: &'static str = "P";
    const OBJECT: &'static Object = &PortStatus::OBJECT;
}

impl Element for FindingStatus {
    const OBJECT: &'static Object = &FindingStatus::OBJECT;
}

impl Status {
    /// Returns the ports with their names, in the order of the state.
    pub fn ports(&self) -> impl Iterator<Item = (&str, &PortStatus)> {
        let ports = self.ports.iter().flat_map(|ports| &ports.0);
        ports.map(|(name, port)| (name.as_str(), port))
    }
}

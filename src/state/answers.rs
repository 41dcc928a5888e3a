//! Answers of the clients that are no part of the state: changes, findings, explanations, news, and
//! what teamrnl shows of the kernel's driver.

use serde_json::Value;

use super::definition::{
    Element, Field, Form, List, Name, Object, OrEmpty, Part, Unit, object, state_objects,
};

state_objects! {
    pub struct Changes: "The answer to diff, reload, try or set." {
        changes: List<Change>, "The keys that differ, also after a refusal.";
        outcome: String, "Outcome: planned, done, refused or failed.";
        error: String, "Reason of a refusal or a failure; absent without one.";
        trial: String, "ID of the trial that has begun; absent without one.";
    }

    pub struct Change: "A key that differs." {
        key: String, "Path of the key.";
        before: Value, "Former value; null if the key was absent.";
        after: Value, "New value; null if the key is absent now.";
        effect: String, "Effect on the traffic: live, interrupts or refused.";
        why: String, "Reason of the effect; absent without one.";
    }

    pub struct Explanation: "The meaning of a finding." {
        id: String, "Stable name of the finding.";
        meaning: String, "The fault, and how it is noticed.";
        remedy: String, "The remedy.";
    }

    pub struct NewsLine: "An event of a team." {
        at: f64, "Unix time in seconds.";
        device: String, "Name of the team device.";
        kind: String, "Kind: allowed, decision, forwarding, link, moved or port.";
        port: Name, "Name of the port; null if the event has none.";
        text: String, "One line for people.";
    }

    pub struct DriverAnswer: "The answer to a command of teamrnl, or one change of its monitor." {
        ports: List<DriverPort>, "The ports of the command ports, newest first.";
        options: List<DriverOption>, "The options of the commands options and getoption, newest first.";
        interfaces: List<DriverInterface>, "The team device and the ports whose interface changed.";
    }

    pub struct DriverPort: "A port of the kernel's driver." {
        ifindex: u64, "Interface index.";
        name: Name, "Interface name; null if the interface is gone.";
        link: bool, "Whether the port has a link.";
        speed: u64 [unit(Unit::MegabitsPerSecond)],
            "Speed of the link; 0 without a link, 4294967295 if the driver does not know the speed.";
        duplex: String, "Duplex mode, full or half.";
        changed: bool, "Whether the last event changed the port.";
        removed: bool, "Whether the port has left the team.";
    }

    pub struct DriverOption: "An option of the kernel's driver." {
        name: String, "Name.";
        port: Name, "Name of the port whose option it is; absent for an option of the team.";
        index: u64, "Index in an array; absent for an option that is none.";
        kind: String, "Type of the value: u32, s32, bool, string or binary.";
        value: Value, "The value; a binary one is text of hexadecimal digits.";
        changed: bool, "Whether the last event changed the option.";
        removed: bool, "Whether the option is gone.";
    }

    pub struct DriverInterface: "An interface of the team." {
        ifindex: u64, "Interface index.";
        name: String, "Interface name.";
        hwaddr: String, "Hardware address.";
        master: u64, "Index of the interface that has this one as a port; 0 without one.";
        removed: bool, "Whether the interface is gone.";
    }
}

impl Element for Change {
    const OBJECT: &'static Object = &Change::OBJECT;
}

impl Element for DriverPort {
    const OBJECT: &'static Object = &DriverPort::OBJECT;
}

impl Element for DriverOption {
    const OBJECT: &'static Object = &DriverOption::OBJECT;
}

impl Element for DriverInterface {
    const OBJECT: &'static Object = &DriverInterface::OBJECT;
}

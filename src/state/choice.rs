//! The choice of a port for a frame: what `teamrctl hash` shows.

use serde_json::Value;

use super::definition::{Field, Form, Object, OrEmpty, Part, object, state_objects};

state_objects! {
    pub struct Choice: "The choice of a port for a frame of the team device." {
        frame: String, "The frame: protocol, source and destination.";
        ports: String, "Names of the ports that send the frame, separated by blanks; empty if the frame is dropped.";
        bucket: u64, "Hash bucket of the frame; absent under a runner without buckets.";
        source: String, "Source address that the team writes into the frame; absent without one.";
        why: String, "Reason of the choice.";
    }
}

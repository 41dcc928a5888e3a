//! Listings of the programs of common teams, and the number of instructions for a common frame: TCP
//! over IPv4 without a tag.
//!
//! `TEAMR_REWRITE=1 cargo test --package integration --test programs instructions` writes `listings`
//! anew.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::{env, fs};

use runners::{BUCKETS, HashFields, TxPolicy};
use teamr::datapath::ebpf::layout::Egress;
use teamr::datapath::ebpf::maps::{MAX_PORTS, Maps, Verdict};
use teamr::datapath::ebpf::shared::{EGRESS, Slot};
use teamr::datapath::ebpf::team_program::{self, ReceivingPort};
use teamr::datapath::ebpf::{TeamHook, layout};
use teamr::sys::bpf::Program;

use crate::frame::Frame;
use crate::machine::{self, listing};
use crate::{LOOPBACK, cost, nothing, slot};

/// Egress of the port: the index of the interface, and the key of the counters.
const PORT: Egress = Egress { ifindex: 41, sent: 1 };
const ATTACHMENT: u32 = 1;

/// A program, the name of its listing, and its result for the common frame.
struct Case {
    name: &'static str,
    program: Vec<u64>,
    /// Index of the interface to which the program redirects the frame.
    leaves_on: u32,
}

fn cases(slot: &Slot, maps: &Maps) -> Vec<Case> {
    let fields = ["eth", "ipv4", "ipv6", "tcp", "udp", "sctp"];
    let fields = fields.iter().filter_map(|name| HashFields::from_name(name));
    let fields = fields.fold(HashFields::NONE, |all, field| all | field);
    let hashed = TxPolicy::LoadBalance {
        fields,
        balanced: false,
        neighbours: false,
        buckets: Arc::new([None; BUCKETS]),
    };
    let transmit = |policy: &TxPolicy| team_program::transmit(policy, &[], slot.maps(), None);
    let port = ReceivingPort { ifindex: PORT.ifindex, index: 0, attachment: ATTACHMENT };
    let team = TeamHook::PeerIngress(LOOPBACK).receiver();
    vec![
        Case {
            name: "transmit-activebackup",
            program: transmit(&TxPolicy::ActiveBackup { active: None }),
            leaves_on: PORT.ifindex,
        },
        Case { name: "transmit-loadbalance", program: transmit(&hashed), leaves_on: PORT.ifindex },
        Case {
            name: "receive",
            program: team_program::receive(port, Some(team), maps, slot),
            leaves_on: LOOPBACK,
        },
    ]
}

/// Returns the values of maps that a frame finds, by the size of a value.
fn values() -> BTreeMap<usize, Vec<u8>> {
    let team = [layout::bytes(&[LOOPBACK, 0]), Egress::bytes(&[PORT; BUCKETS])].concat();
    let mut verdicts = layout::bytes(&[Verdict::Collect.word(ATTACHMENT)]);
    verdicts.resize(MAX_PORTS * size_of::<u32>(), 0);
    assert_eq!(team.len(), EGRESS as usize + (BUCKETS << Egress::SHIFT));
    [team, verdicts].into_iter().map(|value| (value.len(), value)).collect()
}

fn common_frame() -> Vec<u8> {
    let mut frame = Frame::tcp4(0x0a00_0001, 0x0a00_0002, [1000, 2000]).build();
    frame.resize(frame.len().max(64), 0);
    frame
}

#[test]
#[cfg(target_endian = "little")]
fn the_instructions_of_a_common_frame_are_listed() {
    let Some(nothing) = nothing() else {
        return;
    };
    let frame = common_frame();
    let floor = cost(&nothing, &frame);
    for (kind, slots) in [("one team", 1), ("several teams", 8)] {
        let (slot, maps) = (slot(slots).expect("a slot"), Maps::create().expect("maps"));
        slot.write(&[PORT; BUCKETS]).expect("written");
        maps.verdicts.write(0, &values()[&(MAX_PORTS * size_of::<u32>())]).expect("written");
        for Case { name, program, leaves_on } in cases(&slot, &maps) {
            // Protocol and interface of the frame.
            let fields = [(16, u32::from(0x0800_u16.to_be())), (40, LOOPBACK)];
            let run = machine::run(&program, &frame, &fields, &values());
            assert_eq!(run.redirected_to, Some(leaves_on.into()), "{name}");
            let loaded = Program::load(&program, "teamr_counted").expect("a program");
            assert_eq!(loaded.test(&frame, &[], 1).expect("run").result, 7, "{name}");
            let net = cost(&loaded, &frame).saturating_sub(floor);
            println!(
                "{name}, {kind}: {} instructions, {} calls, {net} ns a frame",
                run.instructions, run.calls,
            );
            if slots == 1 {
                let counted = format!(
                    "A common frame: {} instructions, {} calls.\n\n",
                    run.instructions, run.calls
                );
                compare(name, &(counted + &listing(&program)));
            }
        }
    }
}

/// Compares a listing with its file, or writes the file.
fn compare(name: &str, expected: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/listings");
    let path = folder.join(format!("{name}.txt"));
    if env::var_os("TEAMR_REWRITE").is_some() {
        fs::write(&path, expected).expect("write a file");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} is not the program:\n{expected}", path.display());
}

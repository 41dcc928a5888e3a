//! The hash program and teamd's give the same hash for real frames.

use runners::HashFields;
use serde_json::Value;
use teamr::datapath::team_driver::hash_program;
use teamr::netlink::bpf::run;

const VECTORS: &str = include_str!("vectors.json");

fn fields(names: &Value) -> HashFields {
    let names = names.as_array().expect("a list of names");
    names.iter().fold(HashFields::NONE, |all, name| {
        let name = name.as_str().expect("a name");
        all | HashFields::from_name(name).expect("a known name")
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|pair| std::str::from_utf8(pair).expect("ASCII"))
        .map(|pair| u8::from_str_radix(pair, 16).expect("hex"))
        .collect()
}

/// Returns the source port of an IPv6 packet whose ports count, which teamd leaves out.
fn omitted_source_port(fields: HashFields, frame: &[u8]) -> u32 {
    let half = |at: usize| u32::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
    let start = if half(12) == 0x8100 { 18 } else { 14 };
    if half(start - 2) != 0x86dd {
        return 0;
    }
    let counted = match frame[start + 6] {
        6 => fields.intersects(HashFields::TCP),
        17 => fields.intersects(HashFields::UDP),
        132 => fields.intersects(HashFields::SCTP),
        _ => false,
    };
    if counted { half(start + 40) } else { 0 }
}

#[test]
fn every_vector_of_teamd_holds_apart_from_the_source_port_of_ipv6() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("JSON");
    let vectors = vectors["vectors"].as_array().expect("a list");
    let mut compared = 0;
    let mut with_source_port = 0;
    for vector in vectors {
        let frame = bytes(vector["frame"].as_str().expect("a frame"));
        let tci = vector["vlan_tci"].as_u64().map(|tci| tci as u16);
        for result in vector["results"].as_array().expect("results") {
            let fields = fields(&result[0]);
            let teamd = result[1].as_str().expect("a hash").trim_start_matches("0x");
            let teamd = u32::from_str_radix(teamd, 16).expect("a number");
            let ours = run(&hash_program(fields), &frame, tci);
            let omitted = omitted_source_port(fields, &frame);
            let name = &vector["name"];
            assert_eq!(ours, teamd ^ omitted, "{name} {}", result[0]);
            compared += 1;
            with_source_port += u32::from(omitted != 0);
        }
    }
    assert_eq!(compared, 28 * 9);
    assert!(with_source_port > 0);
}

#[test]
fn srcmac_is_the_source_half_of_eth() {
    let mut frame = [7; 64];
    let of = |frame: &[u8]| run(&hash_program(HashFields::SRC_MAC), frame, None);
    let before = of(&frame);
    frame[..6].fill(9);
    assert_eq!(of(&frame), before);
    frame[11] ^= 1;
    assert_eq!(of(&frame), before ^ 1);
}

#[test]
fn no_fields_give_bucket_zero_and_no_program_is_too_long() {
    let frame = [7; 64];
    assert_eq!(run(&hash_program(HashFields::NONE), &frame, None), 0);
    let names = ["eth", "vlan", "l3", "l4"];
    let all = names.iter().fold(HashFields::NONE, |all, name| {
        all | HashFields::from_name(name).expect("a known name")
    });
    // Beyond about 450 the option no longer fits the driver's answer.
    assert!(hash_program(all).len() < 200);
}

//! The codec against messages of a 6.1 kernel's team driver (little-endian), family 28, team
//! device 4, port 3.
#![allow(clippy::unwrap_used, reason = "a test fails by its panic")]

use std::os::unix::net::UnixDatagram;

use super::super::message::Messages;
use super::*;
use crate::sys::socket_option::attach_filter;

const DRIVER: u16 = 28;
const DEVICE: u32 = 4;

/// Answer to a request for ports with an ACK, no port: list, DONE without payload, ACK.
const EMPTY_PORT_LIST: &str = "\
     200000001c00060007000000ef02000003010000080001000400000004000300100000000300060007000000\
     ef020000240000000200000107000000ef020000000000001c0000001c0005000700000000000000";
/// Answer to a request for ports without an ACK.
const PORT_LIST: &str = "\
     400000001c00060008000000ef02000003010000080001000400000024000300200001000800010003000000\
     0400030008000400102700000500050001000000100000000300060008000000ef020000";
/// Answer to a request for options in mode roundrobin with one port.
const OPTION_LIST: &str = "\
     cc0100001c00060009000000ef020000020100000800010004000000b001020028000100090001006d6f6465\
     0000000005000300050000000f000400726f756e64726f62696e00002c000100170001006e6f746966795f70\
     656572735f636f756e74000005000300030000000800040000000000300001001a0001006e6f746966795f70\
     656572735f696e74657276616c000000050003000300000008000400000000002c000100170001006d636173\
     745f72656a6f696e5f636f756e74000005000300030000000800040000000000300001001a0001006d636173\
     745f72656a6f696e5f696e74657276616c00000005000300030000000800040000000000240001000c000100\
     656e61626c65640008000600030000000500030006000000040004002400010010000100757365725f6c696e\
     6b757000080006000300000005000300060000002c00010018000100757365725f6c696e6b75705f656e6162\
     6c656400080006000300000005000300060000002c0001000d0001007072696f726974790000000008000600\
     03000000050003000e00000008000400000000002c0001000d00010071756575655f69640000000008000600\
     0300000005000300030000000800040000000000100000000300060009000000ef020000";
/// Events of an enslaving: the port, its options, its link.
const ENSLAVED: &str = "\
     400000001c000200000000000000000003010000080001000400000024000300200001000800010003000000\
     040002000800040000000000050005000000000010000000030002000000000000000000000100001c000200\
     0000000000000000020100000800010004000000e4000200280001000c000100656e61626c65640008000600\
     03000000050003000600000004000400040002002800010010000100757365725f6c696e6b75700008000600\
     030000000500030006000000040002003000010018000100757365725f6c696e6b75705f656e61626c656400\
     0800060003000000050003000600000004000200300001000d0001007072696f726974790000000008000600\
     03000000050003000e000000080004000000000004000200300001000d00010071756575655f696400000000\
     0800060003000000050003000300000008000400000000000400020010000000030002000000000000000000\
     440000001c000200000000000000000003010000080001000400000028000300240001000800010003000000\
     04000200040003000800040010270000050005000100000010000000030002000000000000000000";
/// Event of a set: priority -7.
const PRIORITY: &str = "\
     500000001c000200000000000000000002010000080001000400000034000200300001000d0001007072696f\
     72697479000000000800060003000000050003000e00000008000400f9ffffff040002001000000003000200\
     0000000000000000";
/// Events of a release.
const RELEASED: &str = "\
     100100001c0002000000000000000000020100000800010004000000f4000200280001000c000100656e6162\
     6c6564000800060003000000050003000600000004000500040002002c00010010000100757365725f6c696e\
     6b7570000800060003000000050003000600000004000500040002003400010018000100757365725f6c696e\
     6b75705f656e61626c656400080006000300000005000300060000000400050004000200340001000d000100\
     7072696f72697479000000000800060003000000050003000e00000008000400f9ffffff0400050004000200\
     340001000d00010071756575655f696400000000080006000300000005000300030000000800040000000000\
     040005000400020010000000030002000000000000000000440000001c000200000000000000000003010000\
     0800010004000000280003002400010008000100030000000400020004000600080004000000000005000500\
     0000000010000000030002000000000000000000";

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

fn messages(bytes: &[u8]) -> Vec<TeamMessage> {
    let messages = Messages(bytes);
    messages.filter_map(|message| parse(DRIVER, DEVICE, &message)).collect()
}

fn options(news: &TeamMessage) -> &[TeamOption] {
    match news {
        TeamMessage::Options(options) => options,
        TeamMessage::Ports(_) => panic!("ports"),
    }
}

/// Any datagram socket filters as a netlink socket does.
#[test]
fn the_filter_drops_events_of_other_devices() {
    let passed = |message: &[u8], ifindex: u32| {
        let (ours, drivers) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        attach_filter(&ours, &device_filter(ifindex)).unwrap();
        drivers.send(message).unwrap();
        let mut buffer = [0; 1024];
        let length = ours.recv(&mut buffer).unwrap_or_default();
        buffer[..length] == *message
    };
    for text in [EMPTY_PORT_LIST, PORT_LIST, OPTION_LIST, PRIORITY, RELEASED] {
        let message = bytes(text);
        assert!(passed(&message, DEVICE), "{text}");
        for other in [0, 3, DEVICE << 8, DEVICE << 24] {
            assert!(!passed(&message, other), "{other}: {text}");
        }
    }
    // A later driver may begin with another attribute.
    let mut message = bytes(PRIORITY);
    message[22] = 9;
    assert!(passed(&message, DEVICE + 1));
}

#[test]
fn an_answer_ends_with_an_empty_done_and_the_ack_comes_after() {
    let bytes = bytes(EMPTY_PORT_LIST);
    assert_eq!(messages(&bytes), [TeamMessage::Ports(Vec::new())]);
    let messages: Vec<_> = Messages(&bytes).collect();
    assert_eq!(messages.len(), 3);
    assert!(messages[1].is_done());
    assert!(messages[1].payload.is_empty());
    assert_eq!(messages[2].error(), Some(0));
}

#[test]
fn a_port_with_its_link() {
    let port = TeamPort {
        ifindex: 3,
        linkup: true,
        speed: 10000,
        duplex: 1,
        changed: false,
        removed: false,
    };
    assert_eq!(messages(&bytes(PORT_LIST)), [TeamMessage::Ports(vec![port])]);
}

#[test]
fn options_of_every_common_type() {
    let news = messages(&bytes(OPTION_LIST));
    let options = options(&news[0]);
    let value = |id: OptionId| {
        let found = options.iter().find(|option| option.id == id);
        found.map(|option| option.value.clone())
    };
    assert_eq!(options.len(), 10);
    let mode = Value::Text("roundrobin".to_owned());
    assert_eq!(value(OptionId::team(name::MODE)), Some(mode));
    let count = OptionId::team(name::NOTIFY_PEERS_COUNT);
    assert_eq!(value(count), Some(Value::U32(0)));
    let enabled = OptionId::port(name::ENABLED, 3);
    assert_eq!(value(enabled), Some(Value::Bool(true)));
    // A missing attribute is false.
    let linkup = OptionId::port(name::USER_LINKUP, 3);
    assert_eq!(value(linkup), Some(Value::Bool(false)));
    let priority = OptionId::port(name::PRIORITY, 3);
    assert_eq!(value(priority), Some(Value::S32(0)));
    assert_eq!(value(OptionId::port(name::PRIORITY, 5)), None);
}

#[test]
fn events_of_a_port_from_enslaving_to_release() {
    let enslaved = messages(&bytes(ENSLAVED));
    assert_eq!(enslaved.len(), 3);
    assert!(
        matches!(&enslaved[0], TeamMessage::Ports(ports) if ports[0].changed && !ports[0].linkup)
    );
    assert!(options(&enslaved[1]).iter().all(|option| option.changed));
    assert!(matches!(&enslaved[2], TeamMessage::Ports(ports) if ports[0].linkup));

    let set = messages(&bytes(PRIORITY));
    assert_eq!(options(&set[0])[0].value, Value::S32(-7));

    let released = messages(&bytes(RELEASED));
    assert!(options(&released[0]).iter().all(|option| option.removed));
    assert!(matches!(&released[1], TeamMessage::Ports(ports) if ports[0].removed));
}

#[test]
fn messages_of_another_device_or_family_are_none() {
    let bytes = bytes(PORT_LIST);
    let message = Messages(&bytes).next().unwrap();
    assert_eq!(parse(DRIVER, DEVICE + 1, &message), None);
    assert_eq!(parse(DRIVER + 1, DEVICE, &message), None);
}

#[test]
fn a_set_request_is_as_the_driver_writes_options() {
    let written = [
        (OptionId::port(name::PRIORITY, 3), Value::S32(-7)),
        (OptionId::team(name::MODE), Value::Text("random".to_owned())),
        (OptionId::port(name::ENABLED, 3), Value::Bool(false)),
        (OptionId::port(name::ENABLED, 3), Value::Bool(true)),
        (OptionId::element(name::LB_TX_HASH_TO_PORT_MAPPING, 255), Value::U32(3)),
        (OptionId::team(name::BPF_HASH_FUNC), Value::Binary(vec![6; 8])),
    ];
    let mut bytes = set_request(DRIVER, DEVICE, &written).finish(1, true).unwrap();
    // Read back as if it were an event.
    bytes[16] = OPTIONS_GET;
    let news = messages(&bytes);
    let read: Vec<_> =
        options(&news[0]).iter().map(|option| (option.id.clone(), option.value.clone())).collect();
    assert_eq!(read, written);
}

#[test]
fn an_option_of_an_unknown_type_is_skipped_alone() {
    let mut bytes = bytes(OPTION_LIST);
    // The type of the first option, a text, and then one beyond the table.
    let place = bytes.windows(8).position(|window| window == [5, 0, 3, 0, 5, 0, 0, 0]).unwrap();
    bytes[place + 4] = 99;
    let news = messages(&bytes);
    assert_eq!(options(&news[0]).len(), 9);
}

#[test]
fn no_cut_and_no_flipped_byte_panics() {
    let captured = [PORT_LIST, OPTION_LIST, ENSLAVED, RELEASED];
    for captured in captured.map(bytes) {
        for end in 0..captured.len() {
            messages(&captured[..end]);
            for byte in [0, 1, 0x7f, 0xff] {
                let mut spoilt = captured.clone();
                spoilt[end] = byte;
                messages(&spoilt);
            }
        }
    }
}

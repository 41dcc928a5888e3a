//! The cases: what a partner on the wire sees of an implementation of LACP.

use std::time::Duration;

use runners::wire::lacpdu::{Lacpdu, StateBits};

use crate::partner::{ALL_MUX, Partner};

/// One requirement of 802.1AX-2014.
pub struct Case {
    /// The clause.
    pub clause: &'static str,
    /// The requirement.
    pub what: &'static str,
    /// Which of [`OTHERS`] meet it.
    pub others: [bool; OTHERS.len()],
    /// Returns whether an implementation meets the requirement. The cases run in order on one link.
    pub check: fn(&mut Partner) -> bool,
}

/// The implementations beside teamr, in the order of the table.
pub const OTHERS: [&str; 4] =
    ["teamd 1.31", "bonding of Linux 6.12", "bonding of Linux 7.2", "Open vSwitch 3.1"];
/// Places in [`OTHERS`].
pub const TEAMD: usize = 0;
pub const BONDING: usize = 1;
pub const NEWER_BONDING: usize = 2;
pub const OPEN_VSWITCH: usize = 3;

/// The cases in the order in which they run.
pub const CASES: [Case; 12] = [
    Case {
        clause: "6.4.2.3",
        what: "An LACPDU has 110 octets with the lengths and reserved fields of the standard.",
        others: [true, true, true, true],
        check: has_the_format,
    },
    Case {
        clause: "6.4.15",
        what: "A port whose partner is in sync attaches, collects and distributes.",
        others: [true, true, true, true],
        check: Partner::establish,
    },
    Case {
        clause: "6.4.13",
        what: "A port sends an LACPDU each second to a partner with Short Timeout.",
        others: [true, true, true, true],
        check: sends_each_second,
    },
    Case {
        clause: "6.5",
        what: "A Marker gets a Marker Response with the same requester.",
        others: [false, true, true, false],
        check: answers_a_marker,
    },
    Case {
        clause: "6.4.12",
        what: "A partner with a wrong view of the port gets an LACPDU at once.",
        others: [true, true, true, true],
        check: corrects_a_wrong_view,
    },
    Case {
        clause: "6.4.16",
        what: "A port sends at most three LACPDUs in a second.",
        others: [false, true, true, false],
        check: limits_pdus,
    },
    Case {
        clause: "6.4.15",
        what: "A port stops distributing when its partner stops collecting.",
        others: [false, false, false, false],
        check: follows_collecting,
    },
    Case {
        clause: "6.4.15",
        what: "A port stops distributing when its partner is out of sync, and returns.",
        others: [true, true, true, false],
        check: follows_synchronization,
    },
    Case {
        clause: "6.4.2.3",
        what: "An LACPDU of a newer version with another TLV is read.",
        others: [false, true, true, true],
        check: reads_newer_versions,
    },
    Case {
        clause: "6.4.12",
        what: "A port without LACPDUs is Expired after three seconds with Short Timeout.",
        others: [true, true, true, true],
        check: expires,
    },
    Case {
        clause: "6.4.12",
        what: "A port without LACPDUs is Defaulted three seconds later.",
        others: [true, true, true, true],
        check: defaults,
    },
    Case {
        clause: "6.4.14",
        what: "A port that receives its own LACPDUs does not distribute.",
        others: [true, true, true, true],
        check: refuses_its_own_pdus,
    },
];

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn has_the_format(partner: &mut Partner) -> bool {
    let heard = partner.listen(seconds(5), |_| true);
    let Some(heard) = heard.first() else {
        return false;
    };
    let frame = &heard.frame;
    let zeros = |from: usize, to: usize| frame[from..to].iter().all(|octet| *octet == 0);
    frame.len() == 124
        && frame[..6] == [0x01, 0x80, 0xc2, 0x00, 0x00, 0x02]
        && frame[12..18] == [0x88, 0x09, 1, 1, 1, 20]
        && zeros(33, 36)
        && frame[36..38] == [2, 20]
        && zeros(53, 56)
        && frame[56..58] == [3, 16]
        && zeros(60, 124)
}

fn sends_each_second(partner: &mut Partner) -> bool {
    let heard = partner.talk(seconds(6), |_| false);
    let apart = heard.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at));
    // A loaded machine delays a PDU; no implementation with another period comes near.
    heard.len() >= 5 && apart.max().is_some_and(|most| most < 1_500_000_000)
}

fn answers_a_marker(partner: &mut Partner) -> bool {
    let transaction = 0x0102_0304;
    let (port, system) = (partner.actor.port, partner.actor.system);
    let response = partner.ask_marker(transaction);
    response.and_then(|response| response.responds_to(port, system)) == Some(transaction)
}

/// Returns an LACPDU that knows another key of the system under test.
fn wrong_view(partner: &Partner, number: u16) -> Vec<u8> {
    let mut pdu = partner.pdu();
    pdu.partner.key = pdu.partner.key.wrapping_add(1 + number);
    pdu.frame(pdu.actor.system)
}

fn corrects_a_wrong_view(partner: &mut Partner) -> bool {
    // The limit of three LACPDUs in a second has room again.
    partner.talk(seconds(2), |_| false);
    let frame = wrong_view(partner, 0);
    partner.send(&frame);
    // The next periodic LACPDU may take a second; one of three tries meets it at most.
    (0..3).any(|_| {
        partner.send(&frame);
        !partner.listen(Duration::from_millis(300), |_| true).is_empty()
    })
}

fn limits_pdus(partner: &mut Partner) -> bool {
    partner.talk(seconds(2), |_| false);
    let mut heard = Vec::new();
    for number in 0..100 {
        let frame = wrong_view(partner, number);
        partner.send(&frame);
        heard.extend(partner.listen(Duration::from_millis(20), |_| false));
    }
    let times: Vec<u64> = heard.iter().map(|heard| heard.at).collect();
    // The fourth PDU of any four comes a second after the first, less the jitter of the machine.
    !times.is_empty() && times.windows(4).all(|four| four[3] - four[0] > 900_000_000)
}

fn follows_collecting(partner: &mut Partner) -> bool {
    if !partner.establish() {
        return false;
    }
    partner.actor.state = partner.actor.state.with(StateBits::COLLECTING, false);
    partner.send_pdu();
    let stopped = |pdu: &Lacpdu| !pdu.actor.state.has(StateBits::DISTRIBUTING);
    partner.talk(seconds(4), stopped).last().is_some_and(|heard| stopped(&heard.pdu))
}

fn follows_synchronization(partner: &mut Partner) -> bool {
    if !partner.establish() {
        return false;
    }
    partner.actor.state = StateBits(0x07);
    partner.send_pdu();
    let stopped = |pdu: &Lacpdu| !pdu.actor.state.has(StateBits::DISTRIBUTING);
    let heard = partner.talk(seconds(4), stopped);
    heard.last().is_some_and(|heard| stopped(&heard.pdu)) && partner.establish()
}

fn reads_newer_versions(partner: &mut Partner) -> bool {
    partner.talk(seconds(2), |_| false);
    let mut pdu = partner.pdu();
    pdu.actor.port_priority = 0x1234;
    let mut frame = pdu.frame(pdu.actor.system);
    frame[15] = 2;
    // In place of the terminator: a TLV of an unknown type with two octets.
    frame[72..76].copy_from_slice(&[9, 4, 1, 2]);
    partner.send(&frame);
    let is_read = |pdu: &Lacpdu| pdu.partner.port_priority == 0x1234;
    let heard = partner.listen(seconds(2), is_read);
    heard.last().is_some_and(|heard| is_read(&heard.pdu))
}

fn expires(partner: &mut Partner) -> bool {
    if !partner.establish() {
        return false;
    }
    partner.send_pdu();
    let is_expired = |pdu: &Lacpdu| pdu.actor.state.has(StateBits::EXPIRED);
    let early = partner.listen(Duration::from_millis(2500), is_expired);
    let late = partner.listen(seconds(2), is_expired);
    let last =
        |heard: &[crate::partner::Heard]| heard.last().is_some_and(|heard| is_expired(&heard.pdu));
    !last(&early) && last(&late)
}

fn defaults(partner: &mut Partner) -> bool {
    let is_defaulted = |pdu: &Lacpdu| pdu.actor.state.has(StateBits::DEFAULTED);
    let heard = partner.listen(seconds(5), is_defaulted);
    heard.last().is_some_and(|heard| is_defaulted(&heard.pdu))
}

fn refuses_its_own_pdus(partner: &mut Partner) -> bool {
    partner.listen(seconds(4), |_| false);
    let mut distributed = false;
    for _ in 0..40 {
        for heard in partner.listen(Duration::from_millis(100), |_| true) {
            partner.send(&heard.frame);
            distributed |= heard.pdu.actor.state.has(ALL_MUX);
        }
    }
    !distributed
}

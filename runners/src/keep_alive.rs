//! The LACPDU with which the kernel may answer the Partner while the daemon is away, and the LACPDU
//! of the Partner that this answer requires.
//!
//! The answer tells the Partner nothing new: the required LACPDU shows that neither end has changed
//! since the daemon last ran.

use std::ops::Range;
use std::time::Duration;

use crate::ident::HwAddr;
use crate::time::Instant;
use crate::wire::lacpdu::Lacpdu;

/// Keep-alive of one port that distributes to a current Partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// The LACPDU that the port would send now.
    pub(crate) own: Lacpdu,
    /// The port's own address.
    pub(crate) source: HwAddr,
    /// Version of the Partner's last LACPDU.
    pub(crate) partner_version: u8,
    /// Source address of the Partner's last LACPDU.
    pub(crate) partner_source: HwAddr,
    /// Whether the Partner's last LACPDU describes the Actor as the answer does; otherwise the
    /// Partner has not received the last change yet.
    pub heard: bool,
    /// Time of the last LACPDU that the port sent.
    pub sent: Instant,
    /// Pause between two LACPDUs that the Partner expects.
    pub period: Duration,
    /// Least pause between two answers.
    pub pause: Duration,
}

impl KeepAlive {
    /// Offsets of the bytes of [`expected`](Self::expected) that a frame must have: from the
    /// destination address to the end of the Partner's view of the Actor, except the reserved bytes
    /// between the two descriptions.
    pub const COMPARED: [Range<usize>; 2] = [0..33, 36..53];

    /// Returns the frame that answers the Partner: 124 bytes.
    pub fn answer(&self) -> Vec<u8> {
        self.own.frame(self.source)
    }

    /// Returns the Partner's LACPDU as a frame: the Partner as recorded last, and the Actor as the
    /// answer describes it.
    pub fn expected(&self) -> Vec<u8> {
        let (actor, partner) = (self.own.partner, self.own.actor);
        // Retry counts stand behind the compared bytes.
        let pdu = Lacpdu { version: self.partner_version, ..Lacpdu::new(actor, partner, None) };
        pdu.frame(self.partner_source)
    }
}

//! What a program of traffic control is given: places in `struct __sk_buff`, verdicts.

/// Bytes of the frame.
pub const LENGTH: i16 = 0;
/// Mark.
pub const MARK: i16 = 8;
/// Ethertype behind the tag, in network order.
pub const PROTOCOL: i16 = 16;
/// Whether a VLAN tag stands beside the frame, and what is in it.
pub const VLAN_PRESENT: i16 = 20;
/// See [`VLAN_PRESENT`].
pub const VLAN_TCI: i16 = 24;
/// The frame's first byte, and the byte after the last that lies in one piece with it.
pub const DATA: i16 = 76;
/// See [`DATA`].
pub const DATA_END: i16 = 80;

/// What a program returns: the next one decides.
pub const NEXT: i32 = -1;
/// The frame is dropped.
pub const DROP: i32 = 2;

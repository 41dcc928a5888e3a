//! The context of a traffic-control program: offsets in `struct __sk_buff`, and verdicts.

/// Length of the frame.
pub const LENGTH: i16 = 0;
/// Mark of the frame.
pub const MARK: i16 = 8;
/// Ethertype behind the tag, in network byte order.
pub const PROTOCOL: i16 = 16;
/// Whether the kernel keeps a VLAN tag beside the frame, and the tag.
pub const VLAN_PRESENT: i16 = 20;
/// See [`VLAN_PRESENT`].
pub const VLAN_TCI: i16 = 24;
/// The frame's first byte, and the end of the memory that is contiguous with it.
pub const DATA: i16 = 76;
/// See [`DATA`].
pub const DATA_END: i16 = 80;

/// Verdict: the next program decides.
pub const NEXT: i32 = -1;
/// Verdict: the frame is dropped.
pub const DROP: i32 = 2;

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
/// Priority of the frame in the queue.
pub const PRIORITY: i16 = 32;
/// Index of the interface that receives or sends the frame.
pub const IFINDEX: i16 = 40;
/// A number of 16 bits in the frame's metadata, which the frame keeps when a program redirects it.
pub const TC_INDEX: i16 = 44;
/// The kernel's hash of the sender's socket, or of a received frame; 0 without a hash.
pub const HASH: i16 = 68;
/// The frame's first byte, and the end of the memory that is contiguous with it.
pub const DATA: i16 = 76;
/// See [`DATA`].
pub const DATA_END: i16 = 80;

/// Verdict: the frame passes; no other program and no filter decides.
pub const PASS: i32 = 0;
/// Verdict: the next program decides.
pub const NEXT: i32 = -1;
/// Verdict: the frame is dropped.
pub const DROP: i32 = 2;

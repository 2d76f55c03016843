//! What a name server sent: a copy of the packet, in a ring buffer of its own (`ANSWERS`), so that a flood of answers
//! costs no event.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of a packet that are copied: any ordinary answer. What is beyond is not read.
pub const PACKET: usize = 2032;
/// Size of the ring buffer in bytes: some 500 answers. A connection for each question of a busy client brings thousands a second, and
/// a reader that other work keeps off its CPU for 50 ms must not lose any.
pub const RING_BYTES: u64 = 1 << 20;
/// The port that answers come from.
pub const DNS_PORT: u16 = 53;

/// A packet that arrived at a socket. 2,048 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Answer {
    /// cgroup v2 id of the socket: who asked.
    pub cgroup: u64,
    /// User of the socket, in the initial user namespace.
    pub uid: u32,
    /// Bytes of `packet` that are used; the others mean nothing.
    pub len: u32,
    /// From the IP header on. Hostile.
    pub packet: [u8; PACKET],
}

//! A socket asked to reach a destination.

use super::{record::Head, verdict::byte_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

byte_enum! {
    /// The hook that was asked.
    Op {
        /// `connect()`
        Connect = 0 => "connect",
        /// `sendto()`, `sendmsg()`, `sendmmsg()` on an unconnected datagram socket
        Sendmsg = 1 => "sendmsg",
        /// A packet on its way out
        Egress = 2 => "egress",
        /// None: the daemon found the connection open
        Open = 3 => "open",
    }
}

/// A record of [`super::record::Kind::Connect`]. 104 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Connect {
    /// Who and what.
    pub head: Head,
    /// Destination, words in network byte order; an IPv4 address (also a v4-mapped one) is the first, the rest 0.
    pub address: [u32; 4],
    /// Destination port, host byte order.
    pub port: u16,
    /// `AF_INET` (2) or `AF_INET6` (10); a v4-mapped address counts as `AF_INET`.
    pub family: u16,
    /// `IPPROTO_*`, as the socket says.
    pub protocol: u8,
    /// [`Op`]
    pub op: u8,
    #[doc(hidden)]
    pub pad: u16,
}

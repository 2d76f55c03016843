//! A packet on its way out told something: where it goes, what it asks for, or which protocol it speaks.

use super::{record::Head, verdict::byte_enum};
use crate::parse::name::ROOM;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

byte_enum! {
    /// What was read in the packet.
    Subject {
        /// Its destination.
        Destination = 0 => "destination",
        /// The name in a DNS question.
        DnsQuestion = 1 => "dns-question",
        /// The server name of a TLS ClientHello.
        ServerName = 2 => "server-name",
        /// A ClientHello that names no server, or only an encrypted one.
        NoServerName = 3 => "no-server-name",
        /// The opening of a mining protocol.
        Protocol = 4 => "protocol",
    }
}

/// The true name is in an encrypted ClientHello.
pub const ENCRYPTED_HELLO: u8 = 1;
/// A packet socket handed it to the interface as a frame.
pub const FRAME: u8 = 2;

/// A record of [`super::record::Kind::Packet`]. 408 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Packet {
    /// Who and what. The process is 0 where the kernel sent the packet by itself and its owner is not known.
    pub head: Head,
    /// Cookie of the socket, as `sock_diag` knows it.
    pub cookie: u64,
    /// Source, words in network byte order; an IPv4 address is the first, the rest 0.
    pub source: [u32; 4],
    /// Destination, likewise.
    pub destination: [u32; 4],
    /// Source port, host byte order.
    pub source_port: u16,
    /// Destination port, host byte order.
    pub destination_port: u16,
    /// `AF_INET` (2) or `AF_INET6` (10).
    pub family: u16,
    /// Characters in `name`.
    pub name_len: u16,
    /// `IPPROTO_*`
    pub protocol: u8,
    /// [`Subject`]
    pub subject: u8,
    /// [`crate::parse::stratum::Dialect`], 0 if none.
    pub dialect: u8,
    /// [`crate::parse::stratum::Role`], 0 if none.
    pub role: u8,
    /// [`ENCRYPTED_HELLO`], [`FRAME`]
    pub flags: u8,
    #[doc(hidden)]
    pub pad: u8,
    #[doc(hidden)]
    pub pad2: u16,
    /// The name, lower case, without a dot at its end. Chosen by the process: hostile.
    pub name: [u8; ROOM],
}

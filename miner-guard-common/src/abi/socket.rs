//! What the kernel side remembers of a socket, in the socket's own storage: it goes when the socket goes.
//!
//! User space never reads it; it stands here because it rests in a table that outlives the daemon.

use crate::{
    parse::{dns::Questions, name::Name, stratum::Stratum, tls::Hello},
    table::NameHasher,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How far the first payload of a stream has been read: values of [`Socket::stage`].
pub mod stage {
    /// Nothing was sent yet.
    pub const FRESH: u8 = 0;
    /// It began as TLS does.
    pub const TLS: u8 = 1;
    /// It may be a mining protocol.
    pub const STRATUM: u8 = 2;
    /// DNS over TCP: read as long as the connection lasts.
    pub const DNS: u8 = 3;
    /// Read, and nothing more is wanted of it.
    pub const QUIET: u8 = 4;
    /// DNS datagrams: each begins anew.
    pub const DATAGRAM: u8 = 5;
}

/// What was sent is denied: every further payload is dropped.
pub const CUT: u8 = 1;
/// The owner's fields were read while the owner itself was sending.
pub const OWNED: u8 = 2;
/// The owner runs a program that is on the allowlist.
pub const EXEMPT_OWNER: u8 = 4;
/// It is a connection: all its packets go to the peer that the socket itself names.
pub const STREAM: u8 = 8;

/// One socket. 144 bytes, all zero at first.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Socket {
    /// Fingerprint of the last destination that was let pass and the generation that judged it; 0: none yet.
    pub passed: u64,
    /// The same of the last destination that was told and let pass, so that it is told once.
    pub told: u64,
    /// cgroup v2 id of the owner.
    pub cgroup: u64,
    /// Owner's thread group.
    pub pid: u32,
    /// Owner's thread.
    pub tid: u32,
    /// Owner's real user.
    pub uid: u32,
    /// Owner's real group.
    pub gid: u32,
    /// Owner's name.
    pub comm: [u8; 16],
    /// TCP: number of the next byte that was not read yet.
    pub next: u32,
    /// [`stage`]
    pub stage: u8,
    /// [`CUT`], [`OWNED`], [`EXEMPT_OWNER`], [`STREAM`]
    pub flags: u8,
    #[doc(hidden)]
    pub pad: u16,
    /// Reader of a mining protocol.
    pub stratum: Stratum,
    /// Reader of a TLS ClientHello.
    pub hello: Hello,
    /// Reader of DNS questions over TCP.
    pub questions: Questions,
}

/// A name that is being read from a socket. Most sockets never have one, so it is no part of [`Socket`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Reading {
    /// Senders that read into it now. A second one at the same time is refused: two threads that send on one
    /// datagram socket could spoil each other's name.
    pub users: u64,
    /// Hashes the name while it is looked up.
    pub hasher: NameHasher,
    /// What was found of it so far.
    pub found: u64,
    /// The reader of a datagram.
    pub questions: Questions,
    /// What was read.
    pub name: Name,
    #[doc(hidden)]
    pub pad: u16,
}

//! A process began to run a new program.

use super::{file::FileId, record::Head};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of the file name that a record holds.
pub const FILENAME: usize = 256;
/// Bytes of the arguments that a record holds.
pub const ARGS: usize = 512;

/// The file was not known: user space should identify it.
pub const FIRST_SEEN: u32 = 1;
/// The LSM hook saw it: no new program runs if `enforced`.
pub const FROM_LSM: u32 = 2;
/// `args` holds less than there was.
pub const ARGS_TRUNCATED: u32 = 4;
/// The file has no name any more, or never had one (deleted, memfd).
pub const UNLINKED: u32 = 8;

/// A record of [`super::record::Kind::Exec`]. 896 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Exec {
    /// Who and what.
    pub head: Head,
    /// The file that the kernel opened (the interpreter for a script).
    pub file: FileId,
    /// Parent's thread group.
    pub ppid: u32,
    /// [`FIRST_SEEN`] …
    pub flags: u32,
    /// Bytes used of `filename`.
    pub filename_len: u32,
    /// Bytes used of `args`.
    pub args_len: u32,
    /// The path as given to `execve`, unresolved. Chosen by the process: hostile.
    pub filename: [u8; FILENAME],
    /// Arguments, each closed by NUL. Chosen by the process: hostile.
    pub args: [u8; ARGS],
}

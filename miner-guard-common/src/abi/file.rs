//! The identity of an executable file, and the verdict that is kept under it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Which file this is. Any write or rename moves the change time, so that a changed file is a new one.
/// 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FileId {
    /// Inode number.
    pub ino: u64,
    /// Change time: whole seconds since 1970.
    pub ctime_sec: i64,
    /// Size in bytes.
    pub size: u64,
    /// Change time: nanoseconds in the second.
    pub ctime_nsec: u32,
    /// Device of the file system as the kernel keeps it (`major << 20 | minor`).
    pub dev: u32,
}

/// What is known of a file. 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FileVerdict {
    /// [`super::verdict::Verdict`]: `Allow` for a clean file.
    pub verdict: u8,
    /// [`super::verdict::Reason`]
    pub reason: u8,
    /// [`EXEMPT`], [`LOADER`]
    pub flags: u16,
    /// Index of the rule; 0 for the guard's own identification.
    pub rule: u32,
    /// Version of the identification rules that decided; a row of another version is decided anew.
    pub version: u32,
    #[doc(hidden)]
    pub pad: u32,
}

/// The file is on the allowlist: its processes are exempt.
pub const EXEMPT: u16 = 1;
/// The file runs other files that it is given (`ld.so`): every exec is reported.
pub const LOADER: u16 = 2;

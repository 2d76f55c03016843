//! What processes do while they run: code samples, and the rounding modes of their threads.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Code bytes of a sample.
pub const CODE: usize = 64;

/// A piece of the code that a thread was executing. 112 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Sample {
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// Address of the next instruction.
    pub ip: u64,
    /// cgroup v2 id of the task.
    pub cgroup: u64,
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// Real user id, in the initial user namespace.
    pub uid: u32,
    /// CPU that took it.
    pub cpu: u32,
    /// Bytes of `code` that could be read; 0 in a [`ROUNDING`] record.
    pub len: u32,
    /// [`ROUNDING`]
    pub flags: u32,
    /// From `ip` on. Chosen by the process: hostile.
    pub code: [u8; CODE],
}

/// No code: the process was seen for the first time in a rounding mode that is not to nearest.
pub const ROUNDING: u32 = 1;

/// Size of the ring of samples in bytes.
pub const RING_BYTES: u64 = 1 << 18;

/// Number of rounding modes of SSE: to nearest, down, up, to zero; the index is the field of MXCSR.
pub const MODES: usize = 4;

/// In which rounding modes the threads of a process were when they were switched out. 40 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Rounding {
    /// How often in each mode, since the process was first seen in a mode that is not to nearest.
    pub counts: [u32; MODES],
    /// The last time, `CLOCK_MONOTONIC`, nanoseconds.
    pub last_ns: u64,
    /// cgroup v2 id of the task.
    pub cgroup: u64,
    /// Real user id, in the initial user namespace.
    pub uid: u32,
    /// 1: not in the guarded cgroup, so that nobody need ask again.
    pub outside: u32,
}

/// The bit of a process among those whose rounding modes are kept. Several processes share one.
#[must_use]
pub const fn bit(pid: u32) -> u64 {
    1 << (pid % 64)
}

/// Processes whose rounding modes are kept.
pub const ROUNDING_ENTRIES: usize = 4096;

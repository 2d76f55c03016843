//! The head of every record in the ring buffer.

use super::verdict::byte_enum;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

byte_enum! {
    /// What follows the head.
    Kind {
        /// [`super::connect::Connect`]
        Connect = 1 => "connect",
        /// [`super::exec::Exec`]
        Exec = 2 => "exec",
        /// [`super::packet::Packet`]
        Packet = 3 => "packet",
    }
}

/// The head: who did it, when, and what was decided. 80 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Head {
    /// [`Kind`]
    pub kind: u8,
    /// [`super::verdict::Verdict`]
    pub verdict: u8,
    /// 1 only when the kernel stopped it.
    pub enforced: u8,
    /// [`super::verdict::Reason`]
    pub reason: u8,
    /// Index of the rule in the generation, 0 if none.
    pub rule: u32,
    /// Generation that decided.
    pub generation: u64,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// cgroup v2 id (inode of its directory) of the task.
    pub cgroup: u64,
    /// Thread group (what user space calls the process).
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// Real user id, in the initial user namespace.
    pub uid: u32,
    /// Real group id, in the initial user namespace.
    pub gid: u32,
    /// CPU that wrote the record.
    pub cpu: u32,
    /// Records of this process and kind that were held back before this one.
    pub suppressed: u32,
    /// Command name of the thread, NUL-padded. Chosen by the process: hostile.
    pub comm: [u8; 16],
    /// [`super::verdict::Mode`] of the generation.
    pub mode: u32,
    #[doc(hidden)]
    pub pad: u32,
}

byte_enum! {
    /// Why records were lost, the index into the per-CPU `LOSS` array (a `u64` counter each).
    Loss {
        /// The ring buffer was full, at connect or sendmsg.
        RingConnect = 0 => "ring-connect",
        /// The ring buffer was full, at exec.
        RingExec = 1 => "ring-exec",
        /// A hook met no policy, or one it cannot read, and failed open.
        NoPolicy = 2 => "no-policy",
        /// A kernel structure could not be read, and the hook failed open.
        KernelRead = 3 => "kernel-read",
        /// The state of a process could not be stored: the table was full.
        TaskTable = 4 => "task-table",
        /// A record was counted into `suppressed` of a later one (not a loss; for `status`).
        Aggregated = 5 => "aggregated",
        /// The ring of code samples was full.
        RingSample = 6 => "ring-sample",
        /// The ring buffer was full, at a packet.
        RingPacket = 7 => "ring-packet",
        /// The state of a socket could not be stored: its packets passed unread.
        SocketTable = 8 => "socket-table",
        /// The ring buffer of name servers' answers was full.
        RingAnswer = 10 => "ring-answer",
    }
}
/// Number of [`Loss`] counters, with room to grow without a new map shape.
pub const LOSS_SLOTS: u32 = 16;

/// Size of the ring buffer in bytes.
pub const RING_BYTES: u64 = 1 << 20;

/// For so long after a wake-up, in nanoseconds, a processor's further records wake nobody: a wake-up costs the program that
/// causes it many times what its call does. The daemon, once woken, looks again after twice as long, until it finds nothing.
pub const WAKE_GAP_NS: u64 = 500_000;

/// Records that one process may send within [`FLOOD_WINDOW_NS`]; more are counted into a later one.
pub const FLOOD_BURST: u32 = 64;
/// Length of the window, nanoseconds.
pub const FLOOD_WINDOW_NS: u64 = 1_000_000_000;

/// Whose records are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FloodKey {
    /// Thread group.
    pub pid: u32,
    /// [`Kind`]
    pub kind: u32,
}

/// How many records a process sent, and how many were held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Flood {
    /// Begin of the window, `CLOCK_MONOTONIC`, nanoseconds.
    pub since_ns: u64,
    /// Records sent in it.
    pub sent: u32,
    /// Records held back and not told yet.
    pub held: u32,
}

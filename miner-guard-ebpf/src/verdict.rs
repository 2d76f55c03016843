//! The only place where an answer becomes a return code or a signal.

use miner_guard_common::abi::verdict::{Mode, Verdict};

/// A verdict, and what the mode makes of it.
pub struct Decision {
    /// In audit, what enforce would have done.
    pub verdict: Verdict,
    /// Whether the kernel stops it now.
    pub enforced: bool,
    /// [`miner_guard_common::abi::verdict::Reason`]
    pub reason: u8,
    /// Index of the rule.
    pub rule: u32,
    /// Generation that was asked.
    pub generation: u64,
    /// Mode of that generation.
    pub mode: Mode,
}

/// What a socket address hook returns: EPERM for the caller, or go on.
#[inline(always)]
pub fn socket(d: &Decision) -> i32 {
    // The verifier must see that only 0 and 1 come out; without the barrier the mask is optimised away.
    core::hint::black_box(i32::from(!d.enforced)) & 1
}

/// What an LSM hook returns.
#[inline(always)]
pub fn lsm(d: &Decision) -> i32 {
    const EPERM: i32 = 1;
    if d.enforced { -EPERM } else { 0 }
}

/// Kills the thread group before its first user instruction.
#[inline(always)]
pub fn exec(d: &Decision) {
    const SIGKILL: u32 = 9;
    if d.enforced {
        // SAFETY: the helper has no preconditions; it acts on the current task.
        unsafe { aya_ebpf::helpers::bpf_send_signal(SIGKILL) };
    }
}

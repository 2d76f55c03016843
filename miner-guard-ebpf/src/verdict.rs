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

/// A decision as one number, never 0: steps of a program hand each other numbers.
pub mod packed {
    use miner_guard_common::{
        abi::verdict::Verdict,
        table::{Details, Header},
    };

    use super::Decision;
    use crate::policy::Generation;

    const ENFORCED: u64 = 1 << 48;

    /// The number.
    #[inline(always)]
    pub const fn pack(rule: u32, verdict: Verdict, reason: u8, enforced: bool) -> u64 {
        let enforced = if enforced { ENFORCED } else { 0 };
        rule as u64 | (verdict as u64) << 32 | (reason as u64) << 40 | enforced
    }

    /// Whether it is enforced.
    #[inline(always)]
    pub const fn enforced(decision: u64) -> bool {
        decision & ENFORCED != 0
    }

    /// The decision, under the policy in force. `None` for a number that means nothing.
    #[inline(always)]
    pub fn unpack(decision: u64) -> Option<Decision> {
        let generation = Generation::current()?;
        Some(Decision {
            verdict: Verdict::from_byte((decision >> 32) as u8)?,
            enforced: enforced(decision),
            reason: (decision >> 40) as u8,
            rule: decision as u32,
            generation: Details::read(&generation)?.generation(),
            mode: Header::read(&generation)?.mode(),
        })
    }
}

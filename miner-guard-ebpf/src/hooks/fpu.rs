//! A thread is switched out and its floating point registers are saved: in which rounding mode was it?
//!
//! RandomX switches among all four at random; interval arithmetic uses one or two, everything else rounds to nearest.
//! This runs at every context switch of a user thread, so that nearly always it must be over after two reads.

use crate::{
    task::{self, Ptr},
    watch,
};

/// `x86_fpu_regs_deactivated`
#[inline(always)]
pub fn deactivated(fpu: u64) {
    /// Rounding control in MXCSR: to nearest, down, up, to zero.
    const SHIFT: u32 = 13;
    let Some(mxcsr) = task::mxcsr(Ptr::new(fpu)) else { return };
    let mode = (mxcsr >> SHIFT & 3) as usize;
    if mode != 0 || watch::watching() {
        watch::count(mode);
    }
}

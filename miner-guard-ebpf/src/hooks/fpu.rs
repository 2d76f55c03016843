//! A thread is switched out and its floating point registers are saved: in which rounding mode was it?
//!
//! RandomX switches among all four at random; interval arithmetic uses one or two, everything else rounds to nearest.
//! This runs at every context switch of a user thread, so that nearly always it must be over after three loads.

use crate::{task, watch};

/// `x86_fpu_regs_deactivated`
#[inline(always)]
pub fn deactivated(fpu: *const u8) {
    /// Rounding control in MXCSR: to nearest, down, up, to zero.
    const SHIFT: u32 = 13;
    let mode = (task::mxcsr(fpu) >> SHIFT & 3) as usize;
    let watched = watch::watched();
    if mode != 0 || watched != 0 {
        watch::count(mode, watched);
    }
}

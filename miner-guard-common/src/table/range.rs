//! Sorted, disjoint ranges of 128-bit addresses, one a block: IPv6 prefixes and protected destinations.

use super::Blocks;
use crate::abi::policy::range;

/// The tag of the range around an address (high and low 64 bits), 0 if none. At most 21 blocks.
#[inline(always)]
pub(super) fn tag<B: Blocks>(blocks: &B, base: u32, len: u32, high: u64, low: u64) -> u32 {
    if base == 0 {
        return 0;
    }
    // Invariant: the last range that starts at or before the address, if any, is in [at, at + left).
    let mut at = base;
    let mut left = len;
    let mut step = 0;
    while step < 20 {
        step += 1;
        if left <= 1 {
            break;
        }
        let half = left >> 1;
        let middle = at.wrapping_add(half);
        let Some(b) = blocks.block(middle) else { return 0 };
        if before_or_at(b.long(range::FIRST), b.long(range::FIRST + 2), high, low) {
            at = middle;
            left -= half;
        } else {
            left = half;
        }
    }
    let Some(b) = blocks.block(at) else { return 0 };
    let inside = before_or_at(b.long(range::FIRST), b.long(range::FIRST + 2), high, low)
        && before_or_at(high, low, b.long(range::LAST), b.long(range::LAST + 2));
    if inside { b.word(range::TAG) } else { 0 }
}

#[inline(always)]
const fn before_or_at(a_high: u64, a_low: u64, b_high: u64, b_low: u64) -> bool {
    a_high < b_high || (a_high == b_high && a_low <= b_low)
}

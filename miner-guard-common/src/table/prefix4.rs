//! IPv4 prefixes, compiled into a step function: three levels of 16, 8 and 8 bits.
//!
//! A trie walks a node a bit; here the whole nesting was resolved when the policy was compiled, and a
//! lookup reads one block for most addresses and five at most. Where most of 256 neighbours of the second level are divided
//! further, their chunks lie in a row, and the second level is not read.

use super::{Blocks, Header};
use crate::abi::policy::{TAG_POINTER, TAG_SPREAD, chunk, word};

/// The value of a cell of the chunk `at`, from the section's start: a tag, or a pointer to the next chunk.
#[inline(always)]
fn cell<B: Blocks>(blocks: &B, base: u32, at: u32, cell: u32) -> u32 {
    let Some(b) = blocks.block(base.wrapping_add(at)) else { return 0 };
    let part = (cell >> 5) & 7;
    let up_to = b.word(chunk::BITMAP + part) & (u32::MAX >> (31 - (cell & 31)));
    let before = (b.word(chunk::BEFORE + (part >> 2)) >> ((part & 3) * 8)) & 0xff;
    // Cell 0 begins a value, so that at least one bit is set.
    let rank = before.wrapping_add(up_to.count_ones()).wrapping_sub(1);
    let values = b.word(chunk::VALUES);
    if values == 0 {
        return b.word(chunk::INLINE.wrapping_add(rank));
    }
    let at = values.wrapping_add(rank);
    match blocks.block(base.wrapping_add(at >> 4)) {
        Some(b) => b.word(at),
        None => 0,
    }
}

/// The tag of the prefixes around an address (host byte order), 0 if none.
#[inline(always)]
pub(super) fn tag<B: Blocks>(blocks: &B, header: &Header<'_>, address: u32) -> u32 {
    let base = header.word(word::PREFIX4);
    if base == 0 {
        return 0;
    }
    let Some(b) = blocks.block(base.wrapping_add(address >> 20)) else { return 0 };
    let mut value = b.word(address >> 16);
    if value & TAG_POINTER != 0 {
        let second = (address >> 8) & 0xff;
        if value & TAG_SPREAD == 0 {
            value = cell(blocks, base, value & !TAG_POINTER, second);
        } else {
            value = value.wrapping_add(second) & !TAG_SPREAD;
        }
        if value & TAG_POINTER != 0 {
            value = cell(blocks, base, value & !TAG_POINTER, address & 0xff);
        }
    }
    // Three levels and no more: a pointer here is a broken image, and a broken image denies nothing.
    if value & TAG_POINTER != 0 { 0 } else { value }
}

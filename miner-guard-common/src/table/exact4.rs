//! Exact IPv4 addresses: buckets of 8, two choices.

use super::{Blocks, Header};
use crate::abi::policy::{Block, TAG_SPILLED, word};

/// The two buckets of an address (host byte order), the first choice first.
#[inline(always)]
pub const fn choices(address: u32, multiplier: u64, buckets: u32) -> (u32, u32) {
    let h = (address as u64).wrapping_mul(multiplier);
    ((((h >> 32) * buckets as u64) >> 32) as u32, (((h & 0xffff_ffff) * buckets as u64) >> 32) as u32)
}

/// The tag of an address in its bucket, 0 if it is not there. Empty slots hold tag 0, so that they need no test.
#[inline(always)]
const fn in_bucket(b: &Block, address: u32) -> u32 {
    let mut tag = 0;
    let mut i = 0;
    while i < 8 {
        if b.word(i) == address {
            tag |= b.word(8 + i);
        }
        i += 1;
    }
    tag & !TAG_SPILLED
}

/// The tag of an address (host byte order), 0 if it is not listed. One block for most misses, two at most.
#[inline(always)]
pub(super) fn tag<B: Blocks>(blocks: &B, header: &Header<'_>, address: u32) -> u32 {
    let base = header.word(word::EXACT4);
    if base == 0 {
        return 0;
    }
    let (one, two) = choices(address, header.long(word::MULTIPLIER), header.word(word::EXACT4_LEN));
    let Some(b) = blocks.block(base.wrapping_add(one)) else { return 0 };
    let tag = in_bucket(b, address);
    if tag != 0 || b.word(8) & TAG_SPILLED == 0 {
        return tag;
    }
    match blocks.block(base.wrapping_add(two)) {
        Some(b) => in_bucket(b, address),
        None => 0,
    }
}

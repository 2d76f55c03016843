//! Exact IPv4 addresses: buckets of 8, two choices; before many of them a filter, which holds no address but knows of nearly
//! all that are not listed that they are not.

use super::{Blocks, Header};
use crate::abi::policy::{Block, TAG_SPILLED, word};

/// The two buckets of an address (host byte order), the first choice first.
#[inline(always)]
pub const fn choices(address: u32, multiplier: u64, buckets: u32) -> (u32, u32) {
    let h = (address as u64).wrapping_mul(multiplier);
    ((((h >> 32) * buckets as u64) >> 32) as u32, (((h & 0xffff_ffff) * buckets as u64) >> 32) as u32)
}

/// Which mark of the first bucket says that an address like this one is in its second.
#[inline(always)]
pub const fn mark(address: u32, multiplier: u64) -> u32 {
    ((address as u64).wrapping_mul(multiplier) >> 32) as u32 & 7
}

/// Buckets from which on a filter lies behind them. Fewer stay in a processor's caches by themselves.
pub const FILTERED_FROM: u32 = 1 << 13;

/// Blocks of the filter of so many buckets: 8 bits an address where they are 3/4 full. It is a tenth of what it spares the
/// processor to fetch.
#[inline(always)]
pub const fn filter_blocks(buckets: u32) -> u32 {
    if buckets < FILTERED_FROM { 0 } else { buckets / 32 * 3 }
}

/// An address in a filter of `blocks`: the block, a word in it, and the bits of the `u64` there that are all set if the address is
/// listed. One address in thirty that is not has them too.
#[inline(always)]
pub const fn filter_bits(address: u32, multiplier: u64, blocks: u32) -> (u32, u32, u64) {
    let h = (address as u64).wrapping_mul(multiplier);
    let m = (h ^ h >> 32).wrapping_mul(multiplier);
    let bits = 1 << (m >> 38 & 63) | 1 << (m >> 32 & 63) | 1 << (m >> 26 & 63) | 1 << (m >> 20 & 63);
    ((((m >> 32) * blocks as u64) >> 32) as u32, (m >> 44 & 7) as u32 * 2, bits)
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

/// The tag of an address (host byte order), 0 if it is not listed. One block for most misses, three at most.
#[inline(always)]
pub(super) fn tag<B: Blocks>(blocks: &B, header: &Header<'_>, address: u32) -> u32 {
    let base = header.word(word::EXACT4);
    if base == 0 {
        return 0;
    }
    let multiplier = header.long(word::MULTIPLIER);
    let buckets = header.word(word::EXACT4_LEN);
    let filter = filter_blocks(buckets);
    if filter != 0 {
        let (block, at, bits) = filter_bits(address, multiplier, filter);
        match blocks.block(base.wrapping_add(buckets).wrapping_add(block)) {
            Some(b) if b.long(at) & bits != bits => return 0,
            _ => {}
        }
    }
    let (one, two) = choices(address, multiplier, buckets);
    let Some(b) = blocks.block(base.wrapping_add(one)) else { return 0 };
    let tag = in_bucket(b, address);
    if tag != 0 || b.word(8 + mark(address, multiplier)) & TAG_SPILLED == 0 {
        return tag;
    }
    match blocks.block(base.wrapping_add(two)) {
        Some(b) => in_bucket(b, address),
        None => 0,
    }
}

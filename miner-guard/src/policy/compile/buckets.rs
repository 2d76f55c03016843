//! Bucketed tables with two choices.
//!
//! A key goes into its first bucket as long as that has room; the first bucket of a key that had to go into its
//! second one is marked, so that the lookup of a key that is not there mostly ends after one bucket.

use super::CompileError;
use miner_guard_common::{
    abi::policy::{Block, TAG_SPILLED},
    table::{
        KEYED_SLOTS, exact4_choices, exact4_mark, filter_bits, filter_blocks, keyed_choices, keyed_mark,
    },
};

/// How keys lie in a bucket.
trait Layout {
    type Key: Copy + PartialEq;
    const SLOTS: usize;
    fn choices(&self, key: Self::Key, buckets: u32) -> (u32, u32);
    fn get(b: &Block, slot: usize) -> (Self::Key, u32);
    fn set(b: &mut Block, slot: usize, key: Self::Key, tag: u32);
    /// Marks the key's first bucket: it went to its second.
    fn mark_spilled(&self, b: &mut Block, key: Self::Key);
}

struct Exact4 {
    multiplier: u64,
}

impl Layout for Exact4 {
    type Key = u32;
    const SLOTS: usize = 8;
    fn choices(&self, key: u32, buckets: u32) -> (u32, u32) {
        exact4_choices(key, self.multiplier, buckets)
    }
    fn get(b: &Block, slot: usize) -> (u32, u32) {
        (b.0[slot], b.0[8 + slot] & !TAG_SPILLED)
    }
    fn set(b: &mut Block, slot: usize, key: u32, tag: u32) {
        b.0[slot] = key;
        // The mark shares the slot's tag and stays with the bucket.
        b.0[8 + slot] = b.0[8 + slot] & TAG_SPILLED | tag;
    }
    fn mark_spilled(&self, b: &mut Block, key: u32) {
        b.0[8 + exact4_mark(key, self.multiplier) as usize] |= TAG_SPILLED;
    }
}

struct Keyed;

impl Layout for Keyed {
    type Key = u64;
    const SLOTS: usize = KEYED_SLOTS as usize;
    fn choices(&self, key: u64, buckets: u32) -> (u32, u32) {
        keyed_choices(key, buckets)
    }
    fn get(b: &Block, slot: usize) -> (u64, u32) {
        (u64::from(b.0[slot]) | u64::from(b.0[Self::SLOTS + slot]) << 32, b.0[2 * Self::SLOTS + slot])
    }
    fn set(b: &mut Block, slot: usize, key: u64, tag: u32) {
        b.0[slot] = key as u32;
        b.0[Self::SLOTS + slot] = (key >> 32) as u32;
        b.0[2 * Self::SLOTS + slot] = tag;
    }
    fn mark_spilled(&self, b: &mut Block, key: u64) {
        b.0[15] |= keyed_mark(key);
    }
}

/// The exact IPv4 section.
pub(super) struct Exact {
    /// The buckets, then the filter if there is one.
    pub section: Vec<Block>,
    pub buckets: u32,
    /// What places the addresses.
    pub multiplier: u64,
}

/// The exact IPv4 section for distinct addresses. 3/4 full: 10.7 bytes an address, and one more for the filter.
pub(super) fn exact4(keys: &[(u32, u32)], seed: u64) -> Result<Exact, CompileError> {
    let mut multiplier = seed;
    let mut buckets = keys.len().div_ceil(6).max(1);
    for _ in 0..ATTEMPTS {
        // An odd multiplier with mixed bits in both halves (splitmix64).
        multiplier = mix(multiplier);
        let layout = Exact4 { multiplier: multiplier | 1 };
        let n = size(buckets, "IPv4 address")?;
        if let Some(mut section) = fill(&layout, keys, n) {
            section.append(&mut filter(keys, layout.multiplier, n));
            return Ok(Exact { section, buckets: n, multiplier: layout.multiplier });
        }
        buckets += buckets / 16 + 1;
    }
    Err(CompileError::Collision("IPv4 address"))
}

/// What stands before the buckets.
fn filter(keys: &[(u32, u32)], multiplier: u64, buckets: u32) -> Vec<Block> {
    let mut filter = vec![Block::ZERO; filter_blocks(buckets) as usize];
    if !filter.is_empty() {
        for &(address, _) in keys {
            let (block, at, bits) = filter_bits(address, multiplier, filter.len() as u32);
            let b = &mut filter[block as usize];
            b.set_long(at, b.long(at) | bits);
        }
    }
    filter
}

/// The keyed section.
pub(super) fn keyed(keys: &mut Vec<(u64, u32)>) -> Result<Vec<Block>, CompileError> {
    keys.sort_unstable();
    // The same thing twice is one thing (the first rule); two things under one hash cannot be told apart.
    keys.dedup();
    if keys.windows(2).any(|w| w[0].0 == w[1].0) {
        return Err(CompileError::Collision("hashed"));
    }
    let mut buckets = keys.len().div_ceil(4).max(1) * 16 / 15 + 1;
    for _ in 0..ATTEMPTS {
        if let Some(table) = fill(&Keyed, keys, size(buckets, "hashed")?) {
            return Ok(table);
        }
        buckets += buckets / 16 + 1;
    }
    Err(CompileError::Collision("hashed"))
}

const ATTEMPTS: usize = 24;
/// Keys moved to make room for one.
const MOVES: usize = 256;

fn size(buckets: usize, what: &'static str) -> Result<u32, CompileError> {
    u32::try_from(buckets).ok().filter(|n| *n < 1 << 30).ok_or(CompileError::TooLarge(what))
}

const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

fn fill<L: Layout>(layout: &L, keys: &[(L::Key, u32)], buckets: u32) -> Option<Vec<Block>> {
    let mut table = vec![Block::ZERO; buckets as usize];
    let mut spilled = Vec::new();
    for &(key, tag) in keys {
        let (one, _) = layout.choices(key, buckets);
        if !put::<L>(&mut table[one as usize], key, tag) {
            spilled.push((key, tag));
        }
    }
    let mut random = mix(u64::from(buckets));
    for (key, tag) in spilled {
        let (one, two) = layout.choices(key, buckets);
        layout.mark_spilled(&mut table[one as usize], key);
        let (mut key, mut tag, mut at) = (key, tag, two);
        let mut moves = 0;
        while !put::<L>(&mut table[at as usize], key, tag) {
            moves += 1;
            if moves > MOVES {
                return None;
            }
            // A neighbour that has room in its other bucket is the one to move; else one at random.
            let bucket = &table[at as usize];
            random = mix(random);
            let slot = (0..L::SLOTS)
                .find(|&s| {
                    let other = other(layout, L::get(bucket, s).0, at, buckets);
                    other != at && has_room::<L>(&table[other as usize])
                })
                .unwrap_or((random % L::SLOTS as u64) as usize);
            let (moved, moved_tag) = L::get(bucket, slot);
            L::set(&mut table[at as usize], slot, key, tag);
            let (first, second) = layout.choices(moved, buckets);
            at = other(layout, moved, at, buckets);
            if at == second {
                layout.mark_spilled(&mut table[first as usize], moved);
            }
            (key, tag) = (moved, moved_tag);
        }
    }
    Some(table)
}

fn other<L: Layout>(layout: &L, key: L::Key, at: u32, buckets: u32) -> u32 {
    let (one, two) = layout.choices(key, buckets);
    if at == one { two } else { one }
}

fn has_room<L: Layout>(b: &Block) -> bool {
    (0..L::SLOTS).any(|s| L::get(b, s).1 == 0)
}

fn put<L: Layout>(b: &mut Block, key: L::Key, tag: u32) -> bool {
    match (0..L::SLOTS).find(|&s| L::get(b, s).1 == 0) {
        Some(slot) => {
            L::set(b, slot, key, tag);
            true
        }
        None => false,
    }
}

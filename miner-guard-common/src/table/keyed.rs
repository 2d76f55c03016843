//! Everything that is not an IPv4 address: a 64-bit keyed hash in buckets of 5, two choices.

use super::{Blocks, Header, sip::Sip};
use crate::abi::policy::{Block, Class, word};

/// The secret of this boot's hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SipKey(pub u64, pub u64);

impl SipKey {
    /// A hash that has taken the class.
    #[inline(always)]
    pub const fn class(self, class: Class) -> Sip {
        self.class_of(class as u8)
    }

    #[inline(always)]
    const fn class_of(self, class: u8) -> Sip {
        Sip::new(self.0, self.1).word(class as u64)
    }

    /// The key of an IPv6 address given as two numbers, high half first.
    #[inline(always)]
    pub const fn address6(self, high: u64, low: u64) -> u64 {
        self.class(Class::Address6).word(high).word(low).finish(0, 24)
    }

    /// The key of a number: a port, a user, a group, a cgroup.
    #[inline(always)]
    pub const fn number(self, class: Class, n: u64) -> u64 {
        self.number_of(class as u8, n)
    }

    #[inline(always)]
    pub(super) const fn number_of(self, class: u8, n: u64) -> u64 {
        self.class_of(class).word(n).finish(0, 16)
    }
}

/// The two buckets of a hash, the first choice first.
#[inline(always)]
pub const fn choices(hash: u64, buckets: u32) -> (u32, u32) {
    ((((hash >> 32) * buckets as u64) >> 32) as u32, (((hash & 0xffff_ffff) * buckets as u64) >> 32) as u32)
}

/// The bit of word 15 of the first bucket which says that a key like this one is in its second.
#[inline(always)]
pub const fn mark(hash: u64) -> u32 {
    1 << (hash as u32 & 31)
}

/// Slots of a bucket.
pub const SLOTS: u32 = 5;

#[inline(always)]
const fn in_bucket(b: &Block, hash: u64) -> u32 {
    let mut tag = 0;
    let mut i = 0;
    while i < SLOTS {
        if b.word(i) == hash as u32 && b.word(SLOTS + i) == (hash >> 32) as u32 {
            tag |= b.word(2 * SLOTS + i);
        }
        i += 1;
    }
    tag
}

/// The tag under a hash, 0 if none.
#[inline(always)]
pub(super) fn tag<B: Blocks>(blocks: &B, header: &Header<'_>, hash: u64) -> u32 {
    let base = header.word(word::KEYED);
    if base == 0 {
        return 0;
    }
    let (one, two) = choices(hash, header.word(word::KEYED_LEN));
    let Some(b) = blocks.block(base.wrapping_add(one)) else { return 0 };
    let tag = in_bucket(b, hash);
    if tag != 0 || b.word(15) & mark(hash) == 0 {
        return tag;
    }
    match blocks.block(base.wrapping_add(two)) {
        Some(b) => in_bucket(b, hash),
        None => 0,
    }
}

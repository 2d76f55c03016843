//! Addresses that were learned: the answers to a denied name, and where a confirmed miner connected to.
//!
//! `LEARNED` says what is denied to whom; `LEARNED_FILTER` stands before it, so that an address that nobody learned
//! costs a bit, and an empty table one word.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Rows of the `LEARNED` table.
pub const ENTRIES: usize = 16_384;
/// Bits of each half of the filter.
pub const BITS: u32 = 1 << 15;
/// [`LearnedKey::cgroup`] for everyone: a destination of a confirmed miner.
pub const EVERYONE: u64 = 0;
/// [`LearnedKey::cgroup`] of an address that is only suspect: nothing is denied, its first payload is looked at.
pub const SUSPECT: u64 = u64::MAX;

/// What is learned of an address, for whom. 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct LearnedKey {
    /// [`words`] of the address: network byte order, IPv4 as `::ffff:a.b.c.d`.
    pub address: [u32; 4],
    /// cgroup v2 id of who asked, [`EVERYONE`] or [`SUSPECT`].
    pub cgroup: u64,
}

/// For how long, and why. 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct LearnedValue {
    /// Until when, `CLOCK_MONOTONIC`, nanoseconds.
    pub until_ns: u64,
    /// Index of the rule in the generation in force.
    pub rule: u32,
    /// [`super::verdict::Verdict`]
    pub verdict: u8,
    /// [`super::verdict::Reason`]
    pub reason: u8,
    #[doc(hidden)]
    pub pad: u16,
}

/// The one value of `LEARNED_FILTER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Filter {
    /// 0: nothing is denied to anybody.
    pub any_denied: u32,
    /// 0: nothing is suspect.
    pub any_suspect: u32,
    /// A bit ([`bit`]) for each address that is denied to somebody.
    pub denied: [u32; BITS as usize / 32],
    /// The same for suspects.
    pub suspect: [u32; BITS as usize / 32],
}

/// The four words under which an address is kept. IPv4, IPv4 mapped into IPv6 and IPv4 behind NAT64 are one address.
#[inline(always)]
pub const fn words(address: &crate::table::Address) -> [u32; 4] {
    match address.behind_nat64() {
        Some(v4) => crate::table::Address::v4(v4.to_be()).words(),
        None => address.words(),
    }
}

/// The bit of an address. Not keyed: who makes addresses collide wins one look into the table.
#[inline(always)]
pub const fn bit(words: &[u32; 4]) -> u32 {
    let high = words[0] as u64 | (words[1] as u64) << 32;
    let low = words[2] as u64 | (words[3] as u64) << 32;
    let mixed = (high.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ low).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed >> (64 - BITS.trailing_zeros())) as u32
}

/// Whether the bit is set in one half of the filter.
#[inline(always)]
pub const fn is_set(half: &[u32; BITS as usize / 32], bit: u32) -> bool {
    half[(bit / 32) as usize % (BITS as usize / 32)] & 1 << (bit % 32) != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Address;
    use core::net::IpAddr;

    fn key(text: &str) -> [u32; 4] {
        words(&Address::from(text.parse::<IpAddr>().unwrap()))
    }

    #[test]
    fn one_address_has_one_key_however_it_is_written() {
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_eq!(key("192.0.2.1"), key("64:ff9b::192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_ne!(key("2001:db8::1"), key("2001:db8::2"));
    }

    #[test]
    fn neighbours_have_different_bits() {
        let mut bits: Vec<u32> = (0..=255).map(|n| bit(&key(&format!("192.0.2.{n}")))).collect();
        assert!(bits.iter().all(|b| *b < BITS));
        bits.sort_unstable();
        bits.dedup();
        assert!(bits.len() > 240, "{} of 256", bits.len());
    }

    #[test]
    fn the_layouts_have_the_sizes_that_they_say() {
        assert_eq!((size_of::<LearnedKey>(), size_of::<LearnedValue>()), (24, 16));
    }
}

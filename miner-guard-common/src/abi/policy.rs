//! The compiled policy: one *generation*, one array map of 64-byte blocks.
//!
//! Everything that a verdict depends on lies in this one map, the mode included. There are two slots, each a place in an
//! array of maps for the image and one in an array for a copy of its first [`HEAD_BLOCKS`] blocks, which a program reaches without
//! a call; the lowest bit of a counter says which slot is in force. Raising it replaces the whole policy at once.
//!
//! | blocks | section | form |
//! |---|---|---|
//! | 0 | head | words [`word`]: magic, ABI, mode, where the sections lie: all that a miss needs |
//! | 1 | details | words [`detail`]: generation, hash key, canary: read only for a hit, a name or IPv6 |
//! | … | exact IPv4 | buckets of 8 addresses (words 0–7, host order) and their tags (words 8–15), each with [`TAG_SPILLED`] |
//! | … | filter | behind many exact buckets: 8 `u64` a block, bits by [`crate::table::filter_bits`] |
//! | … | keyed | buckets of 5 hashes (low words 0–4, high words 5–9) and tags (10–14); word 15: 32 marks like [`TAG_SPILLED`] |
//! | … | IPv4 prefixes | 4,096 blocks of tags by the high 16 bits, then [`chunk`]s, then tags |
//! | … | IPv6 prefixes | one range a block, sorted, disjoint: words [`range`] |
//! | … | protected | the same; IPv4 as `::ffff:a.b.c.d` |
//! | … | ports | 128 blocks, a bit a port; the tag is in the keyed section |
//! | … | outcome lists | entries of two words: `low port | high port << 16`, tag; 8 a block |
//!
//! A section that starts at block 0 is absent. A *tag* says what is listed for a key, without another look:
//!
//! | bits | direct tag | with [`TAG_LIST`] |
//! |---|---|---|
//! | 31 | 0; with [`TAG_POINTER`], [`TAG_SPREAD`] | 1 |
//! | 30 | [`TAG_SPILLED`] in an exact bucket, [`TAG_POINTER`] in the prefix section | the same |
//! | 26–29 | verdict (27–29), [`TAG_WITH_PORT`] (26) | log2 of the list's blocks |
//! | 0–25 | rule, 1 … | first block of the list, from the start of the section |

use super::verdict::Mode;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One value of the map: 64 bytes, a cache line. Words are in host byte order; a `u64` takes two words, low first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, align(8))]
pub struct Block(pub [u32; 16]);

impl Block {
    /// A block of zeros.
    pub const ZERO: Self = Self([0; 16]);

    /// The word at `i & 15`. The mask is what lets the verifier see that it stays inside.
    #[inline(always)]
    pub const fn word(&self, i: u32) -> u32 {
        self.0[(i & 15) as usize]
    }

    /// The `u64` in words `i` and `i + 1` (modulo 16).
    #[inline(always)]
    pub const fn long(&self, i: u32) -> u64 {
        self.word(i) as u64 | (self.word(i + 1) as u64) << 32
    }

    /// Writes a `u64` into words `i` and `i + 1` (modulo 16).
    pub const fn set_long(&mut self, i: u32, value: u64) {
        self.0[(i & 15) as usize] = value as u32;
        self.0[((i + 1) & 15) as usize] = (value >> 32) as u32;
    }
}

/// First word of every generation: "MGRD".
pub const MAGIC: u32 = 0x4452_474d;
/// Blocks before the first section, of which the hooks have a copy at hand.
pub const HEAD_BLOCKS: u32 = 2;

/// Words of block 0.
pub mod word {
    /// [`super::MAGIC`]
    pub const MAGIC: u32 = 0;
    /// ABI in the low 16 bits, mode in bits 16–23, in bits 24–31 how many labels the names have below which all is listed:
    /// bit [`super::depth`] of each.
    pub const ABI_MODE: u32 = 1;
    /// A bit for each [`super::Class`] that has a key at all.
    pub const CLASSES: u32 = 2;
    /// First block of the exact IPv4 section.
    pub const EXACT4: u32 = 3;
    /// Buckets in it; the filter, if there is one, lies behind them.
    pub const EXACT4_LEN: u32 = 4;
    /// First block of the IPv4 prefix section.
    pub const PREFIX4: u32 = 5;
    /// First block of the port bitmap.
    pub const PORTS: u32 = 6;
    /// First block of the keyed section.
    pub const KEYED: u32 = 7;
    /// Buckets in it.
    pub const KEYED_LEN: u32 = 8;
    /// First block of the IPv6 prefix section.
    pub const RANGE6: u32 = 9;
    /// Ranges in it.
    pub const RANGE6_LEN: u32 = 10;
    /// First block of the protected and allowed destinations.
    pub const PROTECTED: u32 = 11;
    /// Ranges in it.
    pub const PROTECTED_LEN: u32 = 12;
    /// First block of the outcome lists.
    pub const LISTS: u32 = 13;
    /// The odd multiplier of the IPv4 hash, two words. Random, so that no feed can be made to collide.
    pub const MULTIPLIER: u32 = 14;
}

/// Words of block 1.
pub mod detail {
    /// Number of the generation, two words.
    pub const GENERATION: u32 = 0;
    /// SipHash key, four words, random per boot.
    pub const SIP_KEY: u32 = 2;
    /// cgroup v2 id of the canary, two words; 0 = none.
    pub const CANARY_CGROUP: u32 = 6;
    /// Rule of the canary; 0 = none.
    pub const CANARY_RULE: u32 = 8;
    /// Rules: their indexes are 1 … this.
    pub const RULES: u32 = 9;
    /// Blocks of the whole generation.
    pub const BLOCKS: u32 = 10;
    /// A bit for each 128th of the IPv4 space in which something is protected, four words: most of what is denied is
    /// known not to be protected by a look here.
    pub const PROTECTED4: u32 = 11;
    /// Whether anything is protected.
    pub const PROTECTED: u32 = 15;
}

/// Words of a chunk of the IPv4 prefix section: a step function over 256 cells.
pub mod chunk {
    /// A bit a cell, 8 words: set where a new value begins. Cell 0 always begins one.
    pub const BITMAP: u32 = 0;
    /// Where the values lie, in words from the start of the section; 0: in this block, from [`INLINE`].
    pub const VALUES: u32 = 8;
    /// Bits set before each of the 8 bitmap words, a byte each, two words.
    pub const BEFORE: u32 = 9;
    /// The values, when there are no more than [`INLINE_MAX`].
    pub const INLINE: u32 = 11;
    /// Values that fit into the chunk itself.
    pub const INLINE_MAX: usize = 5;
}

/// Words of a range block.
pub mod range {
    /// First address: its high 64 bits, then its low ones; two words each.
    pub const FIRST: u32 = 0;
    /// Last address, the same way.
    pub const LAST: u32 = 4;
    /// Tag.
    pub const TAG: u32 = 8;
}

/// The tag points to an outcome list.
pub const TAG_LIST: u32 = 1 << 31;
/// In the tag of slot `n` of an exact bucket: some key whose first bucket this is, and whose mark is `n`, lies in its
/// second one. Eight marks, so that one spilled key sends only one in eight look-ups of other keys to a second bucket.
pub const TAG_SPILLED: u32 = 1 << 30;
/// In the prefix section: not a tag, but the block (from the section's start) of the next chunk.
pub const TAG_POINTER: u32 = 1 << 30;
/// With [`TAG_POINTER`], in the index of the prefix section: the first of 256 chunks in a row, one for each value of the
/// address's next 8 bits.
pub const TAG_SPREAD: u32 = 1 << 31;
/// The rule asked for this port: the reason is address *and* port.
pub const TAG_WITH_PORT: u32 = 1 << 26;
/// Shift of the verdict in a direct tag.
pub const TAG_VERDICT_SHIFT: u32 = 27;
/// Rule of a direct tag, or block of a list.
pub const TAG_VALUE: u32 = (1 << 26) - 1;
/// Shift of log2(blocks) in a list tag.
pub const TAG_STEPS_SHIFT: u32 = 26;
/// Most steps of a search in a list: all that the tag's field can say (65,536 ports, 8 a block, need 13), so that the
/// verifier has one bound and not two.
pub const LIST_STEPS_MAX: u32 = 15;
/// Most ranges in a section: the lookup searches no longer than 20 steps.
pub const RANGES_MAX: u32 = (1 << 20) - 1;

/// What a key of the keyed section is: the first 8 bytes that are hashed. Numbers are part of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Class {
    /// An IPv6 address.
    Address6 = 0,
    /// A port that is listed alone.
    Port = 1,
    /// A name: this one and none below it.
    Domain = 2,
    /// All names below this one.
    DomainBelow = 3,
    /// An exempt user.
    Uid = 4,
    /// An exempt group.
    Gid = 5,
    /// An exempt cgroup, by its v2 id.
    Cgroup = 6,
    /// A name that is never denied.
    AllowedDomain = 7,
    /// All names below this one are never denied.
    AllowedDomainBelow = 8,
    /// Not looked up here: some executable file is exempt, by its identity in the file table.
    Exe = 9,
    /// Not looked up here: some file is listed, by its path or content, and may be a script: starts of scripts are reported.
    Script = 10,
}

impl Class {
    /// The class of names of this number; `None` for the number of any other class.
    #[inline(always)]
    pub const fn of_names(n: u32) -> Option<Self> {
        match n {
            2 => Some(Self::Domain),
            3 => Some(Self::DomainBelow),
            7 => Some(Self::AllowedDomain),
            8 => Some(Self::AllowedDomainBelow),
            _ => None,
        }
    }
}

/// Puts the mode into block 0 of a generation that is not yet in use, or of one that is: it is a single word.
pub const fn set_mode(head: &mut Block, mode: Mode) {
    let depths = head.0[word::ABI_MODE as usize] & 0xff00_0000;
    head.0[word::ABI_MODE as usize] = depths | super::ABI & 0xffff | (mode as u32) << 16;
}

/// The bit, of the eight in [`word::ABI_MODE`], that stands for a name of so many labels; eight and more have one.
pub const fn depth(labels: u32) -> u32 {
    1 << (24 + if labels < 8 { labels.saturating_sub(1) } else { 7 })
}

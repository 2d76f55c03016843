//! The first two blocks, read field by field when a field is needed.

use super::{Address, Blocks, keyed::SipKey};
use crate::abi::{
    ABI,
    policy::{Block, Class, MAGIC, depth, detail, word},
    verdict::Mode,
};

/// Block 0: enough for a destination that is not listed.
#[derive(Clone, Copy)]
pub struct Header<'a>(&'a Block);

impl<'a> Header<'a> {
    /// `None` if there is no generation, or one of another layout.
    #[inline(always)]
    pub fn read<B: Blocks>(blocks: &'a B) -> Option<Self> {
        let b = blocks.head()?;
        if b.word(word::MAGIC) != MAGIC || b.word(word::ABI_MODE) & 0xffff != ABI & 0xffff {
            return None;
        }
        Some(Self(b))
    }

    /// The mode. An unknown byte is audit: what cannot be read is not enforced.
    #[inline(always)]
    pub const fn mode(&self) -> Mode {
        if (self.word(word::ABI_MODE) >> 16) & 0xff == Mode::Enforce as u32 {
            Mode::Enforce
        } else {
            Mode::Audit
        }
    }

    /// Whether there is any key of this class.
    #[inline(always)]
    pub const fn has(&self, class: Class) -> bool {
        self.has_number(class as u8)
    }

    /// Whether there may be a name of so many labels below which all is listed.
    #[inline(always)]
    pub const fn has_below(&self, labels: u32) -> bool {
        self.word(word::ABI_MODE) & depth(labels) != 0
    }

    /// Whether any task can be exempt.
    #[inline(always)]
    pub const fn exempts(&self) -> bool {
        const CLASSES: u32 = 1 << Class::Uid as u32
            | 1 << Class::Gid as u32
            | 1 << Class::Cgroup as u32
            | 1 << Class::Exe as u32;
        self.word(word::CLASSES) & CLASSES != 0
    }

    #[inline(always)]
    pub(super) const fn has_number(&self, class: u8) -> bool {
        self.word(word::CLASSES) & (1 << (class & 31)) != 0
    }

    #[inline(always)]
    pub(super) const fn word(&self, i: u32) -> u32 {
        self.0.word(i)
    }

    #[inline(always)]
    pub(super) const fn long(&self, i: u32) -> u64 {
        self.0.long(i)
    }
}

/// Block 1: what only a hit, a name or IPv6 needs.
#[derive(Clone, Copy)]
pub struct Details<'a>(&'a Block);

impl<'a> Details<'a> {
    /// `None` if there is no generation.
    #[inline(always)]
    pub fn read<B: Blocks>(blocks: &'a B) -> Option<Self> {
        blocks.details().map(Self)
    }

    /// Number of the generation.
    #[inline(always)]
    pub const fn generation(&self) -> u64 {
        self.0.long(detail::GENERATION)
    }

    /// Key of all hashes.
    #[inline(always)]
    pub const fn sip_key(&self) -> SipKey {
        SipKey(self.0.long(detail::SIP_KEY), self.0.long(detail::SIP_KEY + 2))
    }

    /// cgroup v2 id of the canary, 0 if there is none.
    #[inline(always)]
    pub const fn canary_cgroup(&self) -> u64 {
        self.0.long(detail::CANARY_CGROUP)
    }

    /// Rule of the canary, 0 if there is none. An answer of this rule binds the canary's cgroup alone, in either
    /// mode; for every other task the destination is not listed.
    #[inline(always)]
    pub const fn canary_rule(&self) -> u32 {
        self.0.word(detail::CANARY_RULE)
    }

    /// Whether the destination may be protected: `false` for most of what is not.
    #[inline(always)]
    pub const fn may_protect(&self, address: &Address) -> bool {
        match address.is_v4() {
            Some(v4) => self.0.word(detail::PROTECTED4 + (v4 >> 30)) & 1 << ((v4 >> 25) & 31) != 0,
            None => self.0.word(detail::PROTECTED) != 0,
        }
    }

    /// Number of rules.
    #[inline(always)]
    pub const fn rules(&self) -> u32 {
        self.0.word(detail::RULES)
    }

    /// Blocks of the whole generation.
    #[inline(always)]
    pub const fn blocks(&self) -> u32 {
        self.0.word(detail::BLOCKS)
    }
}

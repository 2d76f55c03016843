//! The first two blocks, read field by field when a field is needed.

use super::{Answer, Blocks, keyed::SipKey};
use crate::abi::{
    ABI,
    policy::{Block, Class, MAGIC, detail, word},
    verdict::{Mode, Reason, Verdict},
};

/// Block 0: enough for a destination that is not listed.
#[derive(Clone, Copy)]
pub struct Header<'a>(&'a Block);

impl<'a> Header<'a> {
    /// `None` if there is no generation, or one of another layout.
    #[inline(always)]
    pub fn read<B: Blocks>(blocks: &'a B) -> Option<Self> {
        let b = blocks.block(0)?;
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
        self.word(word::CLASSES) & (1 << class as u32) != 0
    }

    /// The same tag, of which the verifier knows nothing: not even on the ways that end with "none".
    #[inline(always)]
    pub(super) const fn forget_tag(&self, tag: u32) -> u32 {
        tag ^ self.unknown() as u32
    }

    /// 0, because the top byte of that word is 0 in every image; which only we know.
    #[inline(always)]
    const fn unknown(&self) -> u64 {
        ((self.word(word::ABI_MODE) >> 24) as u64).wrapping_mul(0x0101_0101_0101_0101)
    }

    /// The same answer, of which the verifier knows nothing.
    ///
    /// It follows every way on which an answer can come about, and checks what comes after once for each unless two
    /// ways look the same to it: on 5.10 to 6.1 more than its million instructions.
    #[inline(always)]
    pub(super) fn forget(&self, answer: Option<Answer>) -> Option<Answer> {
        let packed = match answer {
            Some(a) => a.rule as u64 | (a.verdict as u64) << 32 | (a.reason as u64) << 40,
            None => 0,
        };
        let packed = packed ^ self.unknown();
        if packed == 0 {
            return None;
        }
        let verdict = Verdict::from_byte((packed >> 32) as u8)?;
        Some(Answer { rule: packed as u32, verdict, reason: Reason::from_byte((packed >> 40) as u8)? })
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
        blocks.block(1).map(Self)
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
